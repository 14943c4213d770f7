"""The outlines that annotation files hold, and the ellipse that each describes.

Annotation tools count px from the corner of the picture: its first pixel covers 0 to 1. Ellipses of
the program count from the centre of that pixel, so half a px lies between the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.fit import Points
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.folders.annotation_words import HEADS
from fetalstudio.formats.reading.outline_pictures import ShownEllipse, ellipse_in
from fetalstudio.formats.tables.table_files import plain
from fetalstudio.formats.writing.carries import Outline

_FARTHEST = 4
"""Sides of the picture that an outline may reach beyond it."""
_LEAST_POINTS = 8
"""Of a polygon whose points alone are fitted."""
_ALIKE = 0.95
"""Dice from which the ellipse of a polygon's points describes its area too."""
_VERTICES = 120
"""Of the polygons that are written: it loses 0.05 % of the area."""
_MOST_POINTS = 100_000
_SQUARE = 0.02
"""How far a rectangle's corners may be from right angles, as the cosine, and its sides from equal
lengths."""
_LONGEST = 20
"""Times the width and height that the sides of an outline may be long, together. Drawing them takes
memory in proportion."""

_HEADS = HEADS | frozenset(
    {"foetalhead", "fetushead", "fetalskull", "headcircumference", "fetalerkopf", "kopfumfang"}
    | {"cabezafetal", "craneofetal", "cabecafetal", "craniofetal", "tetefoetale", "tetefœtale"}
    | {"tetedufoetus", "testafetale", "craniofetale", "головаплода", "头部", "胎儿头部"}
)
"""What the head is called, without spaces, accents and punctuation."""
_NEUTRAL = frozenset(
    {"", "object", "mask", "ellipse", "polygon", "circle", "annotation", "foreground", "roi"}
    | {"segmentation", "target", "region", "shape", "outline", "contour"}
)
"""Labels that say nothing: where all outlines have one of these, they are of the head."""


def is_head(label: str) -> bool:
    """Whether a label in an annotation file means the head."""
    return plain_label(label) in _HEADS


def is_neutral(label: str) -> bool:
    """Whether a label says nothing about what is outlined."""
    known = plain_label(label)
    return known in _NEUTRAL or known.isdecimal()


def plain_label(label: str) -> str:
    """A label by which others are compared: letters and digits only, without case and accents."""
    return plain(label)


@dataclass(frozen=True, slots=True)
class Shape:
    """One outline in an annotation file."""

    label: str
    """What it shows, as the file says it."""
    how: Outline
    shown: Callable[[Size], ShownEllipse]
    """The ellipse in a picture of this size (width, height). Raises ``ValueError`` with the reason
    where there is none."""


@dataclass(frozen=True, slots=True)
class AnnotatedPicture:
    """What an annotation file says about one picture."""

    file: Path
    """The annotation file."""
    name: str
    """The picture's path as the file spells it: of any system, also as a URL."""
    size: Size | None
    """(width, height) in px, where the file says it."""
    shapes: tuple[Shape, ...]
    part: Part | None = None
    unread: tuple[str, ...] = ()
    """The kinds of what the file holds besides, and that is no outline, such as ``line``."""


# -- reading ---------------------------------------------------------------------------------


def of_ellipse(numbers: Sequence[float], angle_deg: float, size: Size) -> ShownEllipse:
    """An ellipse by its centre and semi-axes (cx, cy, rx, ry), of which ``rx`` is turned from +x
    towards +y by the angle."""
    cx, cy, rx, ry = numbers
    if not (rx > 0 and ry > 0):
        raise ValueError("its axes are not above 0")
    _check_extent(np.array([[cx - rx, cy - ry], [cx + rx, cy + ry]]), size)
    ellipse = Ellipse.of(cx - 0.5, cy - 0.5, rx, ry, angle_deg)
    if not ellipse.reaches(size):
        raise ValueError("it lies outside the picture")
    return ShownEllipse(ellipse)


def of_model(shape: Shape) -> Shape:
    """An outline that a model drew, as the file says of it."""
    return doubtful(shape, "a model drew it, as the file says")


def doubtful(shape: Shape, doubt: str) -> Shape:
    """An outline that is never more than a proposal, and why."""

    def shown(size: Size) -> ShownEllipse:
        found = shape.shown(size)
        return replace(found, doubt=found.doubt or doubt)

    return replace(shape, shown=shown)


def of_box(corners: Sequence[float], angle_deg: float, size: Size) -> ShownEllipse:
    """The ellipse inside a box (x0, y0, x1, y1) that is turned around its centre by the angle:
    never more than a proposal."""
    x0, y0, x1, y1 = corners
    inside = ((x0 + x1) / 2, (y0 + y1) / 2, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    shown = of_ellipse(inside, angle_deg, size)
    return replace(shown, doubt="it is a box, and the ellipse inside it may have another angle")


def of_mask(mask: NDArray[np.uint8]) -> ShownEllipse:
    """The ellipse that a mask shows, (H, W) of 0 and 1."""
    shown = ellipse_in(np.ascontiguousarray(mask) * np.uint8(255))
    return replace(shown, value=None)


def of_polygons(rings: Sequence[Points], size: Size) -> ShownEllipse:
    """The ellipse that polygons describe together; each is (n, 2) x and y in px.

    The points of a polygon lie on the outline and its sides inside it. So an ellipse is fitted to
    the points, where it describes the area too.
    """
    rings = [ring for ring in rings if len(ring) >= 3]
    if not rings:
        raise ValueError("it has fewer than three points")
    if sum(map(len, rings)) > _MOST_POINTS:
        raise ValueError("it has too many points")
    for ring in rings:
        _check_extent(ring, size)
    if sum(_around(ring) for ring in rings) > _LONGEST * sum(size):
        raise ValueError("its sides are far too long for an outline")
    width, height = size
    if len(rings) == 1 and (box := _as_box(rings[0])) is not None:
        return of_box(*box, size)
    mask = np.zeros((height, width), np.bool_)
    for ring in rings:
        _fill(mask, ring)
    shown = of_mask(mask.astype(np.uint8))
    if shown.doubt or len(rings) > 1:
        return shown
    inside = rings[0] - 0.5
    free = ((inside > 0.5) & (inside < np.array(size) - 1.5)).all(axis=1)
    points = np.unique(inside[free], axis=0)
    if len(points) < _LEAST_POINTS:
        return shown
    try:
        fitted = Ellipse.from_points(points)
    except ValueError:
        return shown
    return replace(shown, ellipse=fitted) if fitted.overlap(shown.ellipse) >= _ALIKE else shown


def _as_box(ring: Points) -> tuple[tuple[float, float, float, float], float] | None:
    """The corners of a box and the angle by which it is turned, where a polygon is a rectangle."""
    if len(ring) == 5 and np.array_equal(ring[0], ring[-1]):
        ring = ring[:4]
    if len(ring) != 4:
        return None
    along, down, back, up = (ring[(i + 1) % 4] - ring[i] for i in range(4))
    width, height = float(np.hypot(*along)), float(np.hypot(*down))
    apart = max(np.abs(along + back).max(), np.abs(down + up).max())
    if abs(float(along @ down)) > _SQUARE * width * height or apart > _SQUARE * (width + height):
        return None
    (x, y), angle = ring.mean(axis=0), float(np.degrees(np.arctan2(along[1], along[0])))
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2), angle


def points_of(values: Sequence[object]) -> Points:
    """(n, 2) points of a list x, y, x, y, ... Raises ``ValueError`` for what is no such list."""
    if len(values) % 2:
        raise ValueError("it has an odd number of coordinates")
    try:
        flat = np.array([_number(value) for value in values], np.float64)
    except TypeError as error:
        raise ValueError("its coordinates are no numbers") from error
    return flat.reshape(-1, 2)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{str(value)[:20]!r} is no coordinate") from error


def _fill(mask: NDArray[np.bool_], ring: Points) -> None:
    """Set the pixels of an (H, W) mask whose centres lie in a polygon, counted from the corner.

    OpenCV would set those that its sides touch, too.
    """
    low = np.clip(np.floor(ring.min(axis=0)), 0, mask.shape[::-1]).astype(int)
    high = np.clip(np.ceil(ring.max(axis=0)), 0, mask.shape[::-1]).astype(int)
    (left, top), (width, height) = low, high - low
    x0, y0 = (ring - low - 0.5).T
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    # Each side crosses the rows from `first` to before `last`.
    first, last = (np.clip(np.ceil(y), 0, height).astype(int) for y in np.sort((y0, y1), axis=0))
    counts = last - first
    side = np.repeat(np.arange(len(ring)), counts)
    row = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
    across = (x1 - x0)[side] / (y1 - y0)[side]
    crossings = x0[side] + (row - y0[side]) * across
    turns = np.zeros((height, width + 1), np.int32)
    np.add.at(turns, (row, np.clip(np.ceil(crossings), 0, width).astype(int)), 1)
    mask[top : top + height, left : left + width] |= (np.cumsum(turns, axis=1)[:, :width] % 2) > 0


def _around(ring: Points) -> float:
    """The length of a polygon's sides in px."""
    return float(np.hypot(*(ring - np.roll(ring, 1, axis=0)).T).sum())


def _check_extent(points: Points, size: Size) -> None:
    limits = np.array(size, np.float64)
    if not np.isfinite(points).all():
        raise ValueError("its coordinates are no finite numbers")
    if (points < -_FARTHEST * limits).any() or (points > (1 + _FARTHEST) * limits).any():
        raise ValueError("it reaches far beyond the picture")


# -- writing ---------------------------------------------------------------------------------


def polygon_in(ellipse: Ellipse, size: Size) -> Points:
    """The points of a polygon for what of an ellipse is in a picture of this size, (n, 2), counted
    from the picture's corner; empty where that is nothing."""
    points = ellipse.contour(_VERTICES) + 0.5
    for axis, limit in ((0, 0.0), (0, float(size[0])), (1, 0.0), (1, float(size[1]))):
        points = _clipped(points, axis, limit, keep_above=limit == 0)
    return points


def _clipped(points: Points, axis: int, limit: float, *, keep_above: bool) -> Points:
    """What of a convex polygon lies on one side of a line (Sutherland and Hodgman 1974)."""
    kept = points[:, axis] >= limit if keep_above else points[:, axis] <= limit
    found = []
    for i, point in enumerate(points):
        before, was_kept = points[i - 1], kept[i - 1]
        if bool(was_kept) != bool(kept[i]):
            share = (limit - before[axis]) / (point[axis] - before[axis])
            crossing = before + share * (point - before)
            crossing[axis] = limit
            found.append(crossing)
        if kept[i]:
            found.append(point)
    return np.array(found).reshape(-1, 2)
