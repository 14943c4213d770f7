"""Pictures that show another one again: as a JPEG, beside its mask, or with an outline on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.formats.frame_tables import key_of
from fetalstudio.formats.pictures import stem_of

_SEPARATORS = "-_ .("
_BLOCK = 16
"""Px a side of the parts that are compared."""
_GRAIN, _ALIKE, _MOST = 4.0, 0.9, 0.5
"""Standard deviation from which a part has grain to compare, in grey levels; correlation from which
it is the same in both; and the share of such parts from which one picture shows the other."""
_DRAWN, _STANDS_OUT = 10.0, 4.0
"""Difference of a part, in grey levels, from which something may be drawn there; and by what factor
it then exceeds the median difference. Noise and compression differ alike in all parts."""


def named_after(
    frames: Sequence[Path], plain_folders: Iterable[Path]
) -> Mapping[Path, tuple[Path, ...]]:
    """By frame, those others that it may show again, as their names say: ``x_drawn.png`` may show
    ``x.png``, and ``results/x.png`` may show the ``x.png`` in one of the ``plain_folders``."""
    by_place = {(p.parent, key_of(stem_of(p))): p for p in reversed(frames)}
    plain = list(dict.fromkeys(plain_folders))
    found: dict[Path, tuple[Path, ...]] = {}
    for path in frames:
        key = key_of(stem_of(path))
        places = [(path.parent, key)]
        places += [(path.parent, key[:i].rstrip()) for i, c in enumerate(key) if c in _SEPARATORS]
        if path.parent not in plain:
            places += [(folder, key) for folder in plain]
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
    """Whether the first picture, (H, W) grey, shows the other one, from its top left, with a
    difference: an equal one is a duplicate. The difference is in some parts only, as something
    drawn is; with ``reencoded``, it may be everywhere. A neighbouring frame of a clip differs
    everywhere a little, and is another frame."""
    height, width = (side // _BLOCK for side in other.shape)
    if picture.shape[0] < other.shape[0] or picture.shape[1] < other.shape[1]:
        return False
    if np.array_equal(picture, other):
        return False
    one, two = (_blocks(pixels, height, width) for pixels in (picture, other))
    spread, grain = one.std(axis=(1, 2)), two.std(axis=(1, 2))
    grainy = grain > _GRAIN
    if not grainy.any():
        return False
    together = (one * two).mean(axis=(1, 2))
    correlation = together / np.maximum(spread * grain, 1e-9)
    if (correlation[grainy] >= _ALIKE).mean() < _MOST:
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
