"""Pictures that show an ellipse: a filled mask or a ring, beside a frame.

Nothing is guessed. A picture that shows several structures, an inverted one or one that is hidden
in the transparency is refused with the reason, and a shape that an ellipse describes only in part
comes with a doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.components import areas, labelled
from fetalstudio.core.ellipse import Ellipse, largest_component, main_strokes
from fetalstudio.core.fit import Points, distances, robust_fit
from fetalstudio.core.geometry import Size
from fetalstudio.core.metrics import dice
from fetalstudio.formats.pictures.marked_regions import (
    VISIBLE,
    head_region,
    soft_edge,
    step_of,
    without_holes,
)

_MARGIN = 4
"""Px around what is marked that are looked at with it."""
_RING_SHARE, _RING_PX = 0.12, 3.5
"""Half of a ring's width: of its radius, or in px. A thicker one is a filled head with a hole."""
_STROKE_SHARE, _STROKE_PX = 0.05, 6.0
"""Half of a stroke's width: of its radius, or in px. A ring that is wider may be a head with a
hole."""
_COARSE = 0.02
"""Side of the squares that a mask consists of, of the head's mean semi-axis."""
_DEGREES, _MOST_MISSING = 360, 60
"""Points on an outline, and how many in a row a line may leave out. Within the picture, none of the
794 rings of HC18 leaves out more than 5."""
_NEAR_PX = 3.0
_SECOND = 0.005
"""Area of a second shape, of the largest one's, from which on it is more than a speck."""
_LEAST_SHARE = 0.04
"""Mean semi-axis of a head, of the picture's shorter side."""
_LEAST_RATIO = 0.45
"""Shorter axis of a head by the longer one: of 767 heads of HC18, it is 0.66 or more."""
_LEAST_SEEN = 0.45
"""Share of an outline that has to lie in the picture for the ellipse to be sure."""
_WIDE_EDGE = 12
"""Px: a mask whose edge is wider was not only smoothed."""
_FEW_CORNERS = 0.6
"""Corners of a polygon, of those that its ellipse would have."""
_EXPLAINED = 0.9
_STRAY = 0.02
"""Distance from the ellipse, of its mean semi-axis, that is looked into."""
_MEAN_STRAY, _MOST_STRAY = 0.025, 0.06
"""Distances (root mean square, greatest) beyond which an ellipse does not describe the shape."""
_CUT_LENGTH, _MOST_CUTS = 0.4, 2
"""A straight cut is at least this long, of the mean semi-axis; and how many there may be."""
_RING_ERROR = 5e-4
"""Of the HC: half of what writing a ring and reading it again may lose."""

SAME_DICE = 0.95
"""From which on two outlines are of one ellipse."""


@dataclass(frozen=True, slots=True)
class ShownEllipse:
    """The ellipse in an annotation picture."""

    ellipse: Ellipse
    doubt: str | None = None
    """What a person has to look at, where the ellipse may not be what was meant."""
    value: str | None = None
    """The value of its pixels where the picture may hold numbers of structures."""
    note: str | None = None
    """What a person should know although the ellipse is not in doubt, in sentences."""
    of_table: bool = False
    """Whether it is what a table says, and no picture or annotation file."""


def ellipse_in(
    samples: NDArray[Any], alpha: NDArray[Any] | None = None, value: str | None = None
) -> ShownEllipse:
    """The ellipse that an annotation picture shows, as a filled head or as a thin ring.

    ``samples`` and ``alpha`` are as
    :func:`~fetalstudio.formats.pictures.picture_files.read_samples` gives them; ``value`` says
    which value marks the head, as :data:`~fetalstudio.formats.pictures.marked_regions.MASK_VALUE`
    has it. Holes in a filled head belong to it. Raises
    :class:`~fetalstudio.formats.pictures.marked_regions.SeveralStructuresError` where the head is
    not known among several structures, and ``ValueError`` with the reason where no ellipse is
    shown.
    """
    step = step_of(samples)
    alpha = None if alpha is None else alpha[::step, ::step]
    shown, single = head_region(samples[::step, ::step], alpha, value)
    (top, left), part = _part(shown)
    size = shown.shape[1], shown.shape[0]
    e, doubt = _described(part.astype(np.uint8), (top, left), size)
    e = Ellipse(e.cx + left, e.cy + top, e.a, e.b, e.angle_deg)
    doubt = doubt or _unlikely(e, size) or _soft(samples)
    whole = Ellipse(e.cx * step, e.cy * step, e.a * step, e.b * step, e.angle_deg)
    return ShownEllipse(whole, doubt, single)


def _part(shown: NDArray[np.bool_]) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """What is shown with a margin, so that only the picture's own border cuts it; and the row and
    the column where that begins."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not rows.size:
        return (0, 0), shown
    top, left = max(int(rows[0]) - _MARGIN, 0), max(int(columns[0]) - _MARGIN, 0)
    part = shown[top : int(rows[-1]) + _MARGIN + 1, left : int(columns[-1]) + _MARGIN + 1]
    return (top, left), part


def _described(
    shown: NDArray[np.uint8], place: tuple[int, int], size: Size
) -> tuple[Ellipse, str | None]:
    """The ellipse of what is shown (0 and 1), and the doubt about it. It is the part of a picture
    of this size that begins at this place, (row, column)."""
    if not shown.any():
        raise ValueError("it is empty: nothing is marked")
    # A ring is thin for its size, whether it is closed, cut by the border or in pieces.
    thickness = float(cv2.distanceTransform(shown, cv2.DIST_L2, 3).max())
    strokes = main_strokes(shown)
    ys, xs = np.nonzero(strokes)
    radius = float(np.sqrt((np.ptp(xs) + 1) * (np.ptp(ys) + 1))) / 2
    filled = thickness > max(_RING_SHARE * radius, min(_RING_PX, 0.4 * radius))
    if filled:
        region = without_holes(largest_component(shown))
        ellipse = Ellipse.from_mask(region)
        points, inset, allowed = _free_outline(region), 0.45, 0.0
        whole = shown | region
        doubt = _several_shapes(shown) or _blocks(region, ellipse) or _corners(region, ellipse)
        explained = _explained(whole > 0, ellipse, None)
        lone = float(region.sum()) / float(whole.sum())
    else:
        ellipse = Ellipse.from_ring(shown)
        points, inset, allowed = np.column_stack([xs, ys]).astype(np.float64), 0.0, thickness
        doubt = _thick_or_nested(strokes, thickness, radius)
        doubt = doubt or _open(strokes, ellipse, place, size)
        explained = _explained(shown > 0, ellipse, 3 + 2 * thickness)
        lone = float(strokes.sum()) / float(shown.sum())
    extent = float(np.sqrt(ellipse.a * ellipse.b))
    params = (ellipse.cx, ellipse.cy, ellipse.a - inset, ellipse.b - inset, ellipse.angle_deg)
    away = np.maximum(np.abs(distances(params, points)) - allowed, 0)
    if away.max(initial=0) > max(1.5, _STRAY * extent):
        cut = _without_cuts(points, max(1.0, 0.01 * extent) + allowed, inset)
        if cut is not None and lone >= _EXPLAINED:
            return cut, "a straight edge cuts it; the ellipse was fitted to the rest"
    if explained < _EXPLAINED:
        raise ValueError("it shows something other than one ellipse")
    mean = float(np.sqrt(np.mean(away**2)))
    if mean > max(1.0, _MEAN_STRAY * extent) or away.max() > max(2.5, _MOST_STRAY * extent):
        return ellipse, f"an ellipse does not describe it: it is up to {away.max():.0f} px off"
    return ellipse, doubt


def _several_shapes(shown: NDArray[np.uint8]) -> str | None:
    sizes = np.sort(areas(labelled(shown))[1:])
    if len(sizes) > 1 and sizes[-2] >= max(VISIBLE, _SECOND * sizes[-1]):
        return "it shows several shapes apart from each other, of which the largest was taken"
    return None


def _blocks(region: NDArray[np.uint8], ellipse: Ellipse) -> str | None:
    """The doubt about a mask that was enlarged: its outline then runs along large squares, and may
    be shifted by half of one."""
    sides = []
    for axis in (0, 1):
        changed = np.flatnonzero(np.diff(region, axis=axis).any(axis=1 - axis))
        sides.append(int(np.diff(changed).min(initial=max(region.shape))))
    if min(sides) < max(2.0, _COARSE * float(np.sqrt(ellipse.a * ellipse.b))):
        return None
    return f"it consists of blocks of {min(sides)} px, as a small mask does that was enlarged"


def _open(
    strokes: NDArray[np.uint8], ellipse: Ellipse, place: tuple[int, int], size: Size
) -> str | None:
    """The doubt about a line that leaves out a large part of the outline in a picture of this size,
    of which ``strokes`` are the part that begins at this place, (row, column)."""
    x, y = ellipse.contour(_DEGREES).round().astype(int).T
    top, left = place
    within = (x + left > 0) & (y + top > 0) & (x + left < size[0] - 1) & (y + top < size[1] - 1)
    height, width = strokes.shape
    shown = within & (x >= 0) & (y >= 0) & (x < width) & (y < height)
    away = cv2.distanceTransform(1 - strokes, cv2.DIST_L2, cv2.DIST_MASK_5)
    near = max(_NEAR_PX, _STROKE_SHARE * float(np.sqrt(ellipse.a * ellipse.b)))
    missing = within.copy()
    missing[shown] = away[y[shown], x[shown]] > near
    there = np.flatnonzero(~np.concatenate([missing, missing]))
    longest = _DEGREES if not there.size else int(np.diff(there).max(initial=1)) - 1
    if longest <= _MOST_MISSING:
        return None
    return f"it is a line that is open over {longest} degrees, and the rest was made up"


def _corners(region: NDArray[np.uint8], ellipse: Ellipse) -> str | None:
    """The doubt about a polygon of so few corners that its sides lie inside the ellipse."""
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline, size = max(contours, key=len), float(np.sqrt(ellipse.a * ellipse.b))
    tolerance = max(1.0, 0.006 * size)
    corners = len(cv2.approxPolyDP(outline, tolerance, closed=True))
    seen = len(_free_outline(region)) / len(outline)
    if corners < _FEW_CORNERS * seen * np.pi * np.sqrt(size / (2 * tolerance)):
        return f"it is a polygon of {corners} corners, and the ellipse lies between them"
    return None


def _thick_or_nested(strokes: NDArray[np.uint8], thickness: float, radius: float) -> str | None:
    """The doubt about a ring that may be a head with a hole, or about one in another."""
    if thickness > max(_STROKE_SHARE * radius, _STROKE_PX):
        return (
            f"it is a ring of {2 * thickness:.0f} px, of which the middle was taken; it may be a "
            "head with a hole"
        )
    # Only what closes around something has an area, not the pieces of one outline.
    contours, levels = cv2.findContours(strokes, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    _, _, width, height = cv2.boundingRect(strokes)
    least = 0.4 * width * height
    outer = [c for c, level in zip(contours, levels[0], strict=True) if level[3] < 0]
    if sum(cv2.contourArea(contour) >= least for contour in outer) > 1:
        return "it shows one outline inside another, and an ellipse between them was taken"
    return None


def _soft(samples: NDArray[Any]) -> str | None:
    """The doubt about an edge that is wider than a smoothed one."""
    if soft_edge(samples) <= _WIDE_EDGE:
        return None
    return (
        "its edge is soft, as in a map of a model's probabilities, and the outline at half of the "
        "height was taken"
    )


def _unlikely(ellipse: Ellipse, size: Size) -> str | None:
    """The doubt about a head that is tiny, far too long, or hardly in the picture, of (width,
    height) px."""
    if ellipse.b < _LEAST_RATIO * ellipse.a:
        return "it is far longer than a head"
    if is_tiny(ellipse, size):
        return "it is far smaller than a head"
    points = ellipse.contour(180)
    inside = ((points >= -0.5) & (points <= np.array(size) - 0.5)).all(axis=1)
    if inside.mean() < _LEAST_SEEN:
        return "the picture's border cuts most of it, and the rest does not fix an ellipse"
    return None


def is_tiny(ellipse: Ellipse, size: Size) -> bool:
    """Whether an ellipse is far smaller than a head in a picture of (width, height) px."""
    return bool(np.sqrt(ellipse.a * ellipse.b) < _LEAST_SHARE * min(size))


def _free_outline(region: NDArray[np.uint8]) -> Points:
    """The outermost pixels of a region, except where the picture's border cuts it, (n, 2)."""
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    x, y = max(contours, key=len)[:, 0].astype(np.float64).T
    h, w = region.shape
    free = (x > 0) & (y > 0) & (x < w - 1) & (y < h - 1)
    return np.column_stack([x[free], y[free]])


def _without_cuts(points: Points, tolerance: float, inset: float) -> Ellipse | None:
    """The ellipse on which all points lie but those of straight cuts through it, if there is one.

    ``points`` lie ``inset`` px inside the outline.
    """
    try:
        fitted, agree = robust_fit(points, tolerance)
        a, b = fitted[2] + inset, fitted[3] + inset
        ellipse = Ellipse.of(fitted[0], fitted[1], a, b, fitted[4])
    except ValueError:
        return None
    if agree.mean() < 0.4 or ellipse.b < 0.4 * ellipse.a:
        return None
    away = distances(fitted, points)
    others = np.abs(away) > 2 * tolerance
    if not others.any():
        return None
    apart, outside = points[others], away[others] > 0
    if outside.mean() > 0.05:
        return None
    # The cuts are where consecutive points, seen from the centre, leave the ellipse.
    angle = np.sort(np.arctan2(apart[:, 1] - ellipse.cy, apart[:, 0] - ellipse.cx))
    gaps = np.diff(angle, append=angle[0] + 2 * np.pi)
    starts = np.flatnonzero(gaps > np.radians(8))
    if not 1 <= len(starts) <= _MOST_CUTS:
        return None
    around = np.arctan2(apart[:, 1] - ellipse.cy, apart[:, 0] - ellipse.cx)
    edges = np.sort(angle[starts] + 1e-9)
    belongs = np.searchsorted(edges, around) % len(starts)
    for number in range(len(starts)):
        if not _is_straight(apart[belongs == number], tolerance, ellipse):
            return None
    return ellipse


def _is_straight(points: Points, tolerance: float, ellipse: Ellipse) -> bool:
    if len(points) < 5:
        return False
    centred = points - points.mean(axis=0)
    _, _, (along, across) = np.linalg.svd(centred, full_matrices=False)
    length = float(np.ptp(centred @ along))
    straight = float(np.sqrt(np.mean((centred @ across) ** 2))) <= tolerance
    return straight and length >= _CUT_LENGTH * np.sqrt(ellipse.a * ellipse.b)


def ring(ellipse: Ellipse, size: Size) -> NDArray[np.uint8]:
    """Draw the outline, about 2 px wide, as an (H, W) picture of 0 and 255; ``size`` is (w, h).

    :func:`ellipse_in` finds the ellipse in it again, with an HC within 0.1 % for a semi-axis of
    40 px or more.
    """
    # Pixels are coarse: an upright ellipse may come out a little small or large at one width of
    # the line, and hardly so at another. The first width is good enough for 99 in 100.
    tried: list[tuple[float, NDArray[np.uint8]]] = []
    for half in (1.0, 1.2, 0.8, 1.4, 1.1, 0.9):
        line = _line(ellipse, size, half)
        tried.append((_error(line, ellipse), line))
        if tried[-1][0] < _RING_ERROR:
            break
    return min(tried, key=lambda entry: entry[0])[1] * np.uint8(255)


def _explained(shown: NDArray[np.bool_], ellipse: Ellipse, near: float | None) -> float:
    """How well the ellipse explains what is shown, 0 to 1: the Dice of a filled one, or the share
    of a ring's pixels that lie within ``near`` px of it, measured towards its centre."""
    if near is None:
        return dice(ellipse.mask((shown.shape[1], shown.shape[0])) > 0, shown)
    rows, columns = np.nonzero(shown)
    u, v = (np.column_stack([columns - ellipse.cx, rows - ellipse.cy]) @ ellipse.axes.T).T
    from_centre = np.hypot(u, v)
    scaled = np.hypot(u / ellipse.a, v / ellipse.b)
    outline = from_centre / np.maximum(scaled, 1e-9)
    return float((np.abs(from_centre - outline) <= near).mean())


def _line(ellipse: Ellipse, size: Size, half: float) -> NDArray[np.uint8]:
    outer, inner = (
        Ellipse(ellipse.cx, ellipse.cy, ellipse.a + d, ellipse.b + d, ellipse.angle_deg)
        for d in (half, -min(half, ellipse.b / 2))
    )
    return outer.mask(size) - inner.mask(size)


def _error(line: NDArray[np.uint8], ellipse: Ellipse) -> float:
    """Relative difference in HC of the ellipse that is found in the line."""
    try:
        return abs(Ellipse.from_ring(line).perimeter / ellipse.perimeter - 1)
    except ValueError:
        return float("inf")
