"""What is blacked out of a frame before anything is stored, and what a person confirmed of it.

A scanner arranges all its screens of one kind alike, so a person confirms once per layout what is
kept. That is remembered in the user's settings, outside of any project, under a hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.sector import sector_mask
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.privacy.burned_in_text import Box, blurred_groups, find_text, stroke_groups
from fetalstudio.resources import user_config_dir

Keep = Literal["sector", "rectangle", "all"]
"""What of a frame is kept: the sector alone, a rectangle, or everything."""
Policy = Literal["auto", "confirmed", "text", "none"]
"""How frames are redacted: as confirmed or else by what is found; only as confirmed; only text that
is found; not at all."""
POLICIES: tuple[Policy, ...] = get_args(Policy)

_LINES_OF_A_SCREEN = 3
"""Least number of lines outside the sector by which a picture counts as a scanner's screen."""
_EDGE = 2
"""Px from the frame's edge within which a line does not count for that."""
_PADDING = 4
"""Px that are blacked out around a line of text, at least."""
_MOST_TEXT = 0.2
"""Share of what is kept. More text than that is a page of a report, or no text."""
_MOST_BYTES = 4 << 20
_CONFIRM = (
    "Import it in the window, which asks what to keep, or choose with the option --redact of the "
    "command import"
)


class UnclearScreenError(InputError):
    """What of a frame may be stored is in doubt. The message is the same for frames alike;
    ``layout`` is the fingerprint of their layout."""

    def __init__(self, reason: str, layout: str) -> None:
        super().__init__(f"{reason}. {_CONFIRM}.")
        self.layout = layout


@dataclass(frozen=True, slots=True)
class Screen:
    """What is known of a picture that is as a scanner showed it."""

    layout: str
    """The fingerprint of its layout; see :func:`fingerprint`."""
    area: Box | None = None
    """Where the file's header places the tissue."""
    whole: bool = False
    """Whether it is no scanner's screen, but a picture in which text was found. It is kept whole
    unless a person wants the text blacked out."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the screens of one layout are redacted."""

    keep: Keep = "sector"
    rectangle: Box | None = None
    """What lies outside is blacked out; None for no limit. ``keep="all"`` knows none."""
    boxes: tuple[Box, ...] = ()
    """What is blacked out in every frame."""
    find_text: bool = True
    """Whether text is found in each frame, too, and blacked out."""

    def kept(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What is kept of an (H, W) grey frame before boxes and text, as (H, W) of 0 and 1."""
        kept = sector_mask(pixels) if self.keep == "sector" else np.ones_like(pixels)
        if self.keep == "all" or self.rectangle is None:
            return kept
        inside = np.zeros_like(kept)
        inside[self.rectangle.of] = kept[self.rectangle.of]
        return inside


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is blacked out of a frame. Nothing moves, so masks and calibration stay valid."""

    kept: NDArray[np.uint8] | None
    """(H, W) of 0 and 1; None keeps all."""
    boxes: tuple[Box, ...]
    """What is blacked out of what is kept."""
    confirmed: bool = False
    """Whether a person confirmed how frames of this layout are redacted."""
    layout: str | None = None
    """The fingerprint of its layout, where the picture is a scanner's screen, or shows text."""
    text_kept: bool = False
    """Whether text was found that nobody has decided on, and was kept."""

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A redacted copy of (H, W) grey pixels; the same array where there is nothing to do."""
        if self.kept is None and not self.boxes:
            return pixels
        redacted = pixels.copy() if self.kept is None else pixels * self.kept
        for box in self.boxes:
            redacted[box.of] = 0
        return pixels if np.array_equal(redacted, pixels) else redacted


NOTHING = Redaction(None, ())


@dataclass(frozen=True, slots=True)
class Redactor:
    """Decides what is blacked out of each frame of an import."""

    policy: Policy = "auto"
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    """What was confirmed, by fingerprint."""
    seen: Callable[[Path | None, NDArray[np.uint8], Screen, list[Box]], None] | None = None
    """Gets the path, the pixels, the layout and the :func:`stroke_groups` of every screen. It is
    called on several threads."""

    def rules(self, layout: str | None) -> str:
        """What stands for how screens of this layout are redacted: it changes with the policy and
        with what a person confirms. None is for pictures that are no screens."""
        confirmed = None if layout is None else self.layouts.get(layout)
        return hashlib.sha256(repr((self.policy, confirmed)).encode()).hexdigest()[:16]

    def redaction(
        self, pixels: NDArray[np.uint8], screen: Screen | None, path: Path | None = None
    ) -> Redaction:
        """What to black out of an (H, W) grey frame, which is in the file at ``path``.

        Any other picture than a ``screen`` counts as one if at least three lines of text stand
        outside its sector; else it is kept as it is, unless a person has confirmed for its layout,
        or by the policy, that text in it is blacked out. Raises :class:`UnclearScreenError` where
        the policy leaves the frame in doubt.
        """
        if self.policy == "none":
            return NOTHING
        groups = list(stroke_groups(pixels))
        screen = screen or as_screen(pixels, groups) or with_text(pixels, groups)
        if screen is None:
            return NOTHING
        groups += blurred_groups(pixels, groups)
        if self.seen is not None:
            self.seen(path, pixels, screen, groups)
        return replace(self._of_screen(pixels, screen, groups), layout=screen.layout)

    def _of_screen(self, pixels: NDArray[np.uint8], screen: Screen, groups: list[Box]) -> Redaction:
        confirmed = self.layouts.get(screen.layout)
        if self.policy == "text":
            confirmed = Layout("all")
        elif confirmed is None and self.policy == "confirmed":
            raise UnclearScreenError(
                "Nobody has confirmed what to keep of its scanner layout", screen.layout
            )
        if confirmed is not None:
            known = self.policy != "text"
            return replace(_redaction(pixels, confirmed, groups), confirmed=known)
        if screen.whole:
            return replace(NOTHING, text_kept=True)
        proposed = _redaction(pixels, Layout("sector", screen.area), groups)
        area = 0 if proposed.kept is None else int(proposed.kept.sum())
        if area == 0 and pixels.any():
            raise UnclearScreenError("Its sector was not found", screen.layout)
        if sum(box.area for box in proposed.boxes) > _MOST_TEXT * area:
            raise UnclearScreenError("Text seems to cover much of it", screen.layout)
        return proposed


def as_screen(pixels: NDArray[np.uint8], groups: list[Box]) -> Screen | None:
    """A picture without a header as a screen; None for any other picture.

    ``groups`` are its :func:`stroke_groups`.
    """
    if len(groups) < _LINES_OF_A_SCREEN:
        return None
    sector = sector_mask(pixels)
    size = (pixels.shape[1], pixels.shape[0])
    # A line at the very edge is what an export left of a screen that was cut off.
    inner = Box(0, 0, *size).padded(-_EDGE, -_EDGE, size)
    outside = [box for box in groups if not sector[box.of].any() and inner.holds(box)]
    few = len(outside) < _LINES_OF_A_SCREEN
    if few or len(find_text(pixels, outside)) < _LINES_OF_A_SCREEN:
        return None
    return Screen(fingerprint(size))


def with_text(pixels: NDArray[np.uint8], groups: list[Box]) -> Screen | None:
    """A picture that is no screen, but in which text is found; None for any other.

    ``groups`` are its :func:`stroke_groups`.
    """
    if not groups or not find_text(pixels, groups):
        return None
    return Screen(fingerprint((pixels.shape[1], pixels.shape[0]), "text"), whole=True)


def fingerprint(size: Size, *details: object) -> str:
    """What stands for a layout: a hash of the frame's size (width, height) and, where a header
    states them, of the regions, the manufacturer and the model."""
    return hashlib.sha256(repr((size, details)).encode()).hexdigest()[:16]


def propose(pixels: NDArray[np.uint8], screen: Screen) -> Layout:
    """What a person is asked to confirm, by one frame of the layout."""
    if screen.whole:
        return Layout("all")
    sector = sector_mask(pixels)
    if screen.area is not None:
        sector = Layout("sector", screen.area).kept(pixels)
    rows, columns = np.flatnonzero(sector.any(axis=1)), np.flatnonzero(sector.any(axis=0))
    rectangle = Box(0, 0, pixels.shape[1], pixels.shape[0])
    if rows.size:
        rectangle = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Layout("sector" if rows.size else "rectangle", rectangle)


def _redaction(pixels: NDArray[np.uint8], layout: Layout, groups: Iterable[Box]) -> Redaction:
    kept = layout.kept(pixels)
    boxes = layout.boxes
    if layout.find_text:
        boxes += text_boxes(
            pixels,
            [
                box
                for box in groups
                if kept[box.of].any() and not any(black.holds(box) for black in layout.boxes)
            ],
        )
    return Redaction(None if layout.keep == "all" else kept, boxes)


def text_boxes(pixels: NDArray[np.uint8], groups: Iterable[Box]) -> tuple[Box, ...]:
    """What to black out where text is found in and around some of the :func:`stroke_groups`."""
    size = (pixels.shape[1], pixels.shape[0])
    # On bright tissue the first and the last letter are easily missed.
    return tuple(
        box.padded(max(box.bottom - box.top, _PADDING), _PADDING, size)
        for box in find_text(pixels, groups)
    )


# -- what is remembered ---------------------------------------------------------------------------


def remembered() -> dict[str, Layout]:
    """The layouts that were confirmed on this computer, by fingerprint.

    Raises :class:`InputError` for a damaged file of settings.
    """
    path = _path()
    if not path.exists():
        return {}
    try:
        stored = json.loads(read_bounded(path, _MOST_BYTES))
        return {str(key): _layout(value) for key, value in stored.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(
            f"{path}, which holds the scanner layouts that you confirmed, is damaged. Delete it, "
            "and confirm the layouts again."
        ) from None


def remember(layouts: Mapping[str, Layout]) -> None:
    """Keep layouts that were confirmed beside those of before. Raises :class:`UserError` where they
    cannot be written, and :class:`InputError` as :func:`remembered`."""
    stored = {key: _plain(layout) for key, layout in {**remembered(), **layouts}.items()}
    write_bytes(_path(), json.dumps(stored, indent=1).encode())


def _path() -> Path:
    return user_config_dir() / "scanner-layouts.json"


def _plain(layout: Layout) -> dict[str, Any]:
    return {
        "keep": layout.keep,
        "rectangle": layout.rectangle and layout.rectangle.sides,
        "boxes": [box.sides for box in layout.boxes],
        "find_text": layout.find_text,
    }


def _layout(stored: Mapping[str, Any]) -> Layout:
    keep, rectangle, find = stored["keep"], stored["rectangle"], stored["find_text"]
    if keep not in get_args(Keep) or not isinstance(find, bool):
        raise ValueError("a layout is damaged")
    return Layout(
        keep,
        None if rectangle is None else _box(rectangle),
        tuple(_box(box) for box in stored["boxes"]),
        find,
    )


def _box(sides: Any) -> Box:
    left, top, right, bottom = sides
    if not (all(type(side) is int for side in sides) and 0 <= left < right and 0 <= top < bottom):
        raise ValueError("a box is damaged")
    return Box(left, top, right, bottom)
