"""Pictures that show another one again: as a JPEG, beside its mask, or with an outline on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.tables.names import key_of

_SEPARATORS = "-_ .("
_BLOCK = 16
"""Px a side of the parts that are compared."""
_GRAIN, _ALIKE, _MOST = 4.0, 0.9, 0.5
"""Standard deviation from which a part has grain to compare, in grey levels; correlation from which
it is the same in both; and the share of such parts from which one picture shows the other."""
_TILES = 4
"""In a row or a column of pictures, those that are looked at, and the last one."""
_LEAST, _SHOWN_OR_HIDDEN = 0.05, 0.8
"""The share of such parts that are the same, and of those that are blacked out, from which on one
picture shows a piece of the other; and the share of both. The rest lies across the edge."""
_DRAWN, _STANDS_OUT = 10.0, 4.0
"""Difference of a part, in grey levels, from which something may be drawn there; and by what factor
it then exceeds the median difference. Noise and compression differ alike in all parts."""


def named_after(
    frames: Sequence[Path], plain_folders: Iterable[Path]
) -> Mapping[Path, tuple[Path, ...]]:
    """By frame, those others that it may show again, as their names say: ``x_drawn.png`` may show
    ``x.png``, and ``results/x.png`` may show the ``x.png`` in one of the ``plain_folders`` that
    lies beside ``results`` or around it."""
    by_place = {(p.parent, key_of(stem_of(p))): p for p in reversed(frames)}
    plain = list(dict.fromkeys(plain_folders))
    found: dict[Path, tuple[Path, ...]] = {}
    for path in frames:
        key = key_of(stem_of(path))
        places = [(path.parent, key)]
        places += [(path.parent, key[:i].rstrip()) for i, c in enumerate(key) if c in _SEPARATORS]
        if path.parent not in plain:
            places += [(p, key) for p in plain if path.is_relative_to(p.parent)]
        others = dict.fromkeys(by_place[place] for place in places if place in by_place)
        if shown := tuple(other for other in others if other != path):
            found[path] = shown
    return found


def may_be_reencoded(path: Path, other: Path) -> bool:
    """Whether two files may hold one picture in two encodings: they have different endings, or the
    same name in two folders. Successive frames of a clip have neither."""
    endings = path.suffix.lower(), other.suffix.lower()
    return endings[0] != endings[1] or key_of(stem_of(path)) == key_of(stem_of(other))


def shows_again(
    picture: NDArray[np.uint8], other: NDArray[np.uint8], *, reencoded: bool = False
) -> bool:
    """Whether the first picture, (H, W) grey, shows the other one with a difference: an equal one
    is a duplicate. The difference is in some parts only, as something drawn or blacked out is; with
    ``reencoded``, it may be everywhere, and the picture may be smaller. A larger picture may show
    the other one beside something else. A neighbouring frame of a clip differs everywhere a
    little, and is another frame."""
    if np.array_equal(picture, other):
        return False
    if picture.shape[0] < other.shape[0] and picture.shape[1] < other.shape[1]:
        return reencoded and _is_reduced(picture, other)
    return any(
        np.array_equal(part, other) or _repeats(part, other, reencoded)
        for part in _parts_like(picture, other)
    )


def _is_reduced(picture: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    height, width = picture.shape
    if abs(width / other.shape[1] - height / other.shape[0]) > 1 / min(other.shape):
        return False
    reduced = cv2.resize(other, (width, height), interpolation=cv2.INTER_AREA)
    return _repeats(picture, np.asarray(reduced, np.uint8), reencoded=True)


def _parts_like(
    picture: NDArray[np.uint8], other: NDArray[np.uint8]
) -> Iterator[NDArray[np.uint8]]:
    """The parts of a picture that have the other one's size, as in a row or a column of such."""
    height, width = other.shape
    tops, lefts = (
        sorted({*range(0, whole - side + 1, side)[:_TILES], whole - side}) if whole >= side else []
        for whole, side in zip(picture.shape, other.shape, strict=True)
    )
    for top, left in itertools.product(tops, lefts):
        yield picture[top : top + height, left : left + width]


def _repeats(picture: NDArray[np.uint8], other: NDArray[np.uint8], reencoded: bool) -> bool:
    height, width = (side // _BLOCK for side in other.shape)
    one, two = (_blocks(pixels, height, width) for pixels in (picture, other))
    spread, grain = one.std(axis=(1, 2)), two.std(axis=(1, 2))
    grainy = grain > _GRAIN
    if not grainy.any():
        return False
    together = (one * two).mean(axis=(1, 2))
    alike = together / np.maximum(spread * grain, 1e-9) >= _ALIKE
    hidden = grainy & (spread == 0)
    a_piece = min(alike[grainy].mean(), hidden[grainy].mean()) >= _LEAST
    if a_piece and (alike | hidden)[grainy].mean() >= _SHOWN_OR_HIDDEN:
        return True
    if alike[grainy].mean() < _MOST:
        return False
    difference = (one - two).std(axis=(1, 2))
    return reencoded or bool(
        difference.max() >= max(_DRAWN, _STANDS_OUT * np.median(difference[grainy]))
    )


def _blocks(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """Square parts, (n, side, side), without their means."""
    part = pixels[: height * _BLOCK, : width * _BLOCK].astype(np.float32)
    rows = part.reshape(height, _BLOCK, width, _BLOCK).swapaxes(1, 2)
    blocks = rows.reshape(-1, _BLOCK, _BLOCK)
    return blocks - blocks.mean(axis=(1, 2), keepdims=True)
