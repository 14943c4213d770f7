"""Finds the text that a scanner burned into a picture. What becomes of it is decided in
:mod:`fetalstudio.formats.privacy.redaction`.

Two steps keep this fast. Letters are strokes with edges that are sharper than most that a beam can
show; where no group of strokes looks like letters, a picture has no text. Groups within the sector
are shown to PP-OCR's detector, which tells text from bright tissue. Nothing is ever recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.components import boxes, labelled
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.resources import text_detector_path

_SHARP = 56
"""Least step in grey level between neighbours at the edge of a letter."""
_WIDEST_STROKE = 7
_HEIGHTS = 5, 72
"""Of a line of text, in px."""
_LEAST_WIDTH = 6
_LEAST_STROKES = 8
"""Pixels of strokes in a group."""
_AROUND = 24
"""Px around a group that the detector sees."""
_LEAST_SIDE = 96
"""Of what the detector sees, after enlarging."""
_ENLARGED = 1.5
_PROBABLE, _CONFIDENT = 0.25, 0.4
_CONFIDENT_IF_BLURRED = 0.6
"""Where no edge is sharp: more tissue looks like blurred letters than like sharp ones."""
_CLEAR = 128
"""A step in grey level that text has which nothing has blurred. Text around the sector and in it is
blurred alike."""
_SHARPENED, _RADIUS = 2.0, 1.5
"""By how much, and over how many px (sigma), a blurred picture is sharpened at half its size."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in px; right and bottom are outside it."""

    left: int
    top: int
    right: int
    bottom: int

    def padded(self, across: int, down: int, size: tuple[int, int]) -> Box:
        """Larger by this many px on each side, within (width, height)."""
        return Box(
            max(self.left - across, 0),
            max(self.top - down, 0),
            min(self.right + across, size[0]),
            min(self.bottom + down, size[1]),
        )

    def scaled(self, by: int) -> Box:
        """The same in a picture that is so many times as large."""
        return Box(by * self.left, by * self.top, by * self.right, by * self.bottom)

    @property
    def of(self) -> tuple[slice, slice]:
        """The rows and columns of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom)."""
        return self.left, self.top, self.right, self.bottom

    @property
    def area(self) -> int:
        """In px."""
        return (self.right - self.left) * (self.bottom - self.top)

    def contains(self, ellipse: Ellipse) -> bool:
        """Whether an ellipse lies in this box, but for a pixel or two."""
        left, top, right, bottom = ellipse.box()
        return (
            self.left - 2 <= left
            and right <= self.right + 1
            and self.top - 2 <= top
            and bottom <= self.bottom + 1
        )

    def meets(self, other: Box) -> bool:
        """Whether another box and this one overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether another box lies in this one."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )


def find_text(pixels: NDArray[np.uint8], groups: Iterable[Box]) -> list[Box]:
    """The lines of text that the detector sees in and around some of the :func:`stroke_groups` of
    an (H, W) grey picture."""
    size = (pixels.shape[1], pixels.shape[0])
    areas = _joined([box.padded(_AROUND, _AROUND, size) for box in groups])
    return [box for area in areas for box in _detected(pixels, area)]


def stroke_groups(pixels: NDArray[np.uint8]) -> Iterator[Box]:
    """Where in an (H, W) grey picture strokes stand side by side like letters."""
    narrow = np.zeros(pixels.shape, bool)
    for shape in ((_WIDEST_STROKE, 1), (1, _WIDEST_STROKE)):
        opened = cv2.morphologyEx(pixels, cv2.MORPH_OPEN, np.ones(shape, np.uint8))
        narrow |= cv2.subtract(pixels, opened) >= _SHARP
    if np.count_nonzero(narrow) < _LEAST_STROKES:
        return
    sharp = np.zeros(pixels.shape, bool)
    across = cv2.absdiff(pixels[:, 1:], pixels[:, :-1]) >= _SHARP
    down = cv2.absdiff(pixels[1:], pixels[:-1]) >= _SHARP
    sharp[:, 1:] |= across
    sharp[:, :-1] |= across
    sharp[1:] |= down
    sharp[:-1] |= down
    strokes = (narrow & sharp).astype(np.uint8)
    kernel = np.ones((5, 13), np.uint8)
    near = np.asarray(cv2.morphologyEx(strokes, cv2.MORPH_CLOSE, kernel), np.uint8)
    labels = labelled(near)
    found = boxes(labels)
    inked = np.bincount(labels[strokes > 0], minlength=len(found) + 1)[1:]
    for sides, ink in zip(found.tolist(), inked, strict=True):
        box = Box(*sides)
        # A ruler or the edge of a bar is a line; letters cover an area.
        if (
            _HEIGHTS[0] <= box.bottom - box.top <= _HEIGHTS[1]
            and box.right - box.left >= _LEAST_WIDTH
            and ink >= _LEAST_STROKES
        ):
            yield box


def blurred_groups(pixels: NDArray[np.uint8], groups: Iterable[Box]) -> list[Box]:
    """Where in an (H, W) grey picture strokes would stand side by side if it were sharper, apart
    from its :func:`stroke_groups`; none where it is sharp."""
    if _largest_step(pixels) >= _CLEAR:
        return []
    height, width = pixels.shape
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    values = half.astype(np.float32)
    detail = values - cv2.GaussianBlur(values, (0, 0), _RADIUS)
    sharper = np.clip(values + _SHARPENED * detail, 0, 255).astype(np.uint8)
    found = (box.scaled(2) for box in stroke_groups(sharper))
    known = list(groups)
    return [box for box in found if not any(map(box.meets, known))]


def _largest_step(pixels: NDArray[np.uint8]) -> int:
    """The largest difference in grey level between neighbours."""
    steps = cv2.absdiff(pixels[:, 1:], pixels[:, :-1]), cv2.absdiff(pixels[1:], pixels[:-1])
    return max(int(step.max(initial=0)) for step in steps)


def _joined(boxes: list[Box]) -> list[Box]:
    """Overlapping boxes as one."""
    rest, joined = list(boxes), list[Box]()
    while rest:
        box = rest.pop()
        for other in [*rest, *joined]:
            if box.meets(other):
                (rest if other in rest else joined).remove(other)
                rest.append(
                    Box(
                        min(box.left, other.left),
                        min(box.top, other.top),
                        max(box.right, other.right),
                        max(box.bottom, other.bottom),
                    )
                )
                break
        else:
            joined.append(box)
    return joined


def _detected(pixels: NDArray[np.uint8], area: Box) -> Iterator[Box]:
    """The lines of text in a part of the frame."""
    part = pixels[area.of]
    height, width = part.shape
    confident = _CONFIDENT if _largest_step(part) >= _SHARP else _CONFIDENT_IF_BLURRED
    scale = max(_LEAST_SIDE / min(height, width), _ENLARGED if max(height, width) < 500 else 1)
    columns, rows = (max(32, round(side * scale / 32) * 32) for side in (width, height))
    seen = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_LINEAR)
    values = np.broadcast_to(seen.astype(np.float32) / 127.5 - 1, (1, 3, rows, columns))
    session = _detector()
    (output,) = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(values)})
    probability = output[0, 0]
    labels = labelled((probability > _PROBABLE).astype(np.uint8))
    for number, (left, top, right, bottom) in enumerate(boxes(labels).tolist(), 1):
        line = labels == number
        if probability[line].mean() < confident:
            continue
        covered, around = np.count_nonzero(line), 2 * (right - left + bottom - top)
        grown = 1.6 * covered / around  # the detector marks a line's core
        x, y = width / columns, height / rows
        box = Box(
            area.left + int((left - grown) * x),
            area.top + int((top - grown) * y),
            area.left + int((right + grown) * x) + 1,
            area.top + int((bottom + grown) * y) + 1,
        )
        if box.bottom - box.top <= _HEIGHTS[1]:
            yield box


@lru_cache(maxsize=1)
def _detector() -> Any:
    import onnxruntime  # a tenth of a second, and 60 MB

    onnxruntime.disable_telemetry_events()  # on Windows; nothing leaves the machine

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(text_detector_path()), options, providers=["CPUExecutionProvider"]
    )
