"""The sector of a frame: where there can be ultrasound, and where echoes are seen.

A scanner writes exact black outside its sector. Fluid inside mostly keeps a trace of noise, but on
some machines shadows and fluid are black too. The sector is found at a width of 300 px, which is
enough for its outline and gives the kernels the same meaning on every frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.components import areas, labelled
from fetalstudio.core.ellipse import largest_component

_ACROSS = 300
"""Width in px at which masks are computed."""
_BUMP = 15
"""Text and bars that touch the sector are narrower."""
_LEAST = 0.02
"""Least share of the frame that a further lit part of the sector covers."""
_BLANKED = 9
"""A blanked corner is wider and higher than this, even if fluid beside it is black too."""
_BESIDE = 15
"""Black pixels within this distance of a blanked part belong to it."""
_LENS = 0.12
"""The gap under a curved probe is lower than this share of the frame's height, and at least twice
as wide as it is high."""
Mask = NDArray[np.uint8]


def seen_sector(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """:func:`sector_mask`, read-only; None if the frame is too dark to show a sector."""
    # While an ellipse is dragged, each new frame needs the same sector again.
    return _seen_sector(image.tobytes(), image.shape)


@lru_cache(maxsize=3)
def _seen_sector(pixels: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    mask = sector_mask(np.frombuffer(pixels, np.uint8).reshape(shape))
    mask.setflags(write=False)
    return mask if mask.any() else None


def tissue_mask(image: NDArray[np.uint8]) -> Mask:
    """The tissue of an (H, W) uint8 frame, (H, W) of 0 and 1.

    It lies well inside the part that shows echoes, and away from everything that is drawn on it.
    """
    small = largest_component(_lit(image))
    lit = cv2.min(_outlined(small, image.shape), _enlarged(small, image.shape))
    inside = cv2.erode(lit, np.ones((17, 17), np.uint8))
    # Text and calipers are white and sharper than anything that a beam can show.
    drawn = cv2.dilate((image > 230).astype(np.uint8), np.ones((17, 17), np.uint8))
    return np.asarray(inside - cv2.min(inside, drawn), np.uint8)


def sector_mask(image: NDArray[np.uint8]) -> Mask:
    """Estimate the sector of an (H, W) uint8 frame, as (H, W) of 0 and 1.

    The sector is the convex hull of the echoes, without the gap under a curved probe and without
    blanked corners. Black shadows and fluid belong to it; thin or isolated marks outside (grey bar,
    text) do not. Its outline is a polygon. A black frame gives an empty mask.
    """
    lit = _lit(image)
    if lit.any():
        lit = _completed(lit, _shrunk(image <= 1) > 0.97)
    return _outlined(lit, image.shape)


def _lit(image: NDArray[np.uint8]) -> Mask:
    """Where echoes are seen, at a width of 300 px."""
    bright = (_shrunk(image > 1) > 0.4).astype(np.uint8)
    # A sector may extend beyond the border, so a dark spot at the border is closed as well.
    framed = cv2.copyMakeBorder(_opened(bright, 7), 20, 20, 20, 20, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    return np.asarray(closed[20:-20, 20:-20], np.uint8)


def _completed(lit: Mask, black: NDArray[np.bool_]) -> Mask:
    """The lit parts of a sector with the shadows and the fluid between and around them."""
    hull = _hull(lit)
    whole = hull.copy()
    for part in _parts((hull > 0) & (lit == 0), 100):
        if _is_under_a_curved_probe(part, hull):
            whole[part] = 0
    for part in _parts(_opened(((hull > 0) & black).astype(np.uint8), _BLANKED) > 0, 300):
        if _is_blanked(part, hull):
            near = cv2.dilate(part.astype(np.uint8), np.ones((2 * _BESIDE + 1,) * 2, np.uint8))
            whole[(near > 0) & black] = 0
    return largest_component(_opened(whole, 5))


def _hull(lit: Mask) -> Mask:
    """The hull of the largest lit part and those above and below it: a shadow may cut a sector."""
    core = _opened(lit, _BUMP)
    main = largest_component(core if core.any() else lit)
    columns = main.any(axis=0)
    for part in _parts(core > 0, round(_LEAST * lit.size)):
        own = part.any(axis=0)
        # A header or a panel is a rectangle; what a shadow cuts off a sector is not.
        panel = part.sum() > 0.95 * part[_box(part)].size
        if not panel and (own & columns).sum() > 0.5 * own.sum():
            main = np.maximum(main, part.astype(np.uint8))
    contours, _ = cv2.findContours(main, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = cv2.convexHull(np.concatenate(contours))
    return cv2.fillConvexPoly(np.zeros_like(lit), outline, 1).astype(np.uint8)


def _parts(mask: NDArray[np.bool_], least: int) -> Iterator[NDArray[np.bool_]]:
    """The connected parts of at least this many px."""
    labels = labelled(mask.astype(np.uint8), connectivity=4)
    for number in np.flatnonzero(areas(labels)[1:] >= least) + 1:
        yield labels == number


def _box(part: NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _is_under_a_curved_probe(part: NDArray[np.bool_], hull: Mask) -> bool:
    """Whether a dark part is the lens between the hull's upper edge and the arc of the probe."""
    rows, columns = _box(part)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height > _LENS * len(hull) or width < 2 * height:
        return False
    below_the_edge = part[:, columns].argmax(axis=0) - hull[:, columns].argmax(axis=0)
    return bool((np.abs(below_the_edge) <= 1).mean() > 0.8)


def _is_blanked(part: NDArray[np.bool_], hull: Mask) -> bool:
    """Whether a black part is a rectangle at the left or right edge of the hull.

    A rectangle from side to side may be a shadow and does not count.
    """
    rows, columns = _box(part)
    box = int(hull[rows, columns].sum())
    if int(part.sum()) < 0.9 * box or int(hull[rows].sum()) < 1.1 * box:
        return False
    left, right = (hull[rows] > 0).argmax(axis=1), (hull[rows, ::-1] > 0).argmax(axis=1)
    gaps = columns.start - left, hull.shape[1] - columns.stop - right
    return any(float((gap <= _BESIDE).mean()) > 0.5 for gap in gaps)


def _shrunk(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The covered share of each cell, at a width of 300 cells."""
    h, w = mask.shape
    size = (_ACROSS, max(round(_ACROSS * h / w), 8))
    shares = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(shares, np.float32)


def _opened(mask: Mask, side: int) -> Mask:
    """The mask without parts narrower than ``side`` px, at the border as well."""
    framed = cv2.copyMakeBorder(mask, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    return np.asarray(opened[side:-side, side:-side], np.uint8)


def _enlarged(small: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask at the frame's own size."""
    size = (shape[1], shape[0])
    enlarged = cv2.resize(small.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
    return (enlarged > 0.5).astype(np.uint8)


def _outlined(small: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask at the frame's own size, with straight edges and without holes."""
    region = _enlarged(small, shape)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    step = 1.5 * shape[1] / _ACROSS
    outline = [cv2.approxPolyDP(contour, step, True) for contour in contours]
    return cv2.drawContours(np.zeros_like(region), outline, -1, 1, cv2.FILLED).astype(np.uint8)
