"""Pictures that show an ellipse: a filled mask or a ring, beside a frame.

Nothing is guessed. A picture that shows several structures, an inverted one or one that is hidden
in the transparency is refused with the reason, and a shape that an ellipse describes only in part
comes with a doubt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse, largest_component, main_strokes
from fetalstudio.core.fit import Points, distances, robust_fit
from fetalstudio.core.geometry import Size
from fetalstudio.core.metrics import dice

_LABEL_NUMBERS = 8
"""With a maximum up to this, a mask's values are the numbers of structures, not grey levels."""
_EXACT_VALUES = 16
"""With more values than this, a picture has smoothed edges or the noise of a JPEG."""
_LARGE = 4096
"""Px a side: larger pictures are looked at in steps."""
_NOISE = 40
"""Grey levels, in each channel, by which such a picture's values vary."""
_THICK = 5
"""Px: a region that holds a square of this side is no edge between others."""
_VISIBLE = 16
"""Px: fewer are specks."""
_MARGIN = 4
"""Px around what is marked that are looked at with it."""
_CONTRAST = 64
"""Grey levels: a noisy or smoothed annotation has at least this range."""
_INVERTED = 0.8
"""Share of the picture's border from which on what is marked is the background."""
_RING_SHARE, _RING_PX = 0.12, 3.5
"""Half of a ring's width: of its radius, or in px. A thicker one is a filled head with a hole."""
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

MASK_VALUE = re.compile(r"\d+|#[0-9a-f]{6}")
"""How a value of a mask is written: a number, or a colour as #rrggbb."""


class SeveralStructuresError(ValueError):
    """The picture shows more than one structure, and which is the head was not stated."""

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(f"it shows several structures, with the values {', '.join(values)}")
        self.values = tuple(values)


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


def ellipse_in(
    samples: NDArray[Any], alpha: NDArray[Any] | None = None, value: str | None = None
) -> ShownEllipse:
    """The ellipse that an annotation picture shows, as a filled head or as a thin ring.

    ``samples`` and ``alpha`` are as :func:`~fetalstudio.formats.pictures.read_samples` gives them;
    ``value`` says which value marks the head, as :data:`MASK_VALUE` has it. Holes in a filled head
    belong to it. Raises :class:`SeveralStructuresError` where the head is not known among several
    structures, and ``ValueError`` with the reason where no ellipse is shown.
    """
    step = _step(samples)
    samples = samples[::step, ::step]
    codes = _codes(samples)
    _check_transparency(codes, None if alpha is None else alpha[::step, ::step])
    found = _structures(samples, codes)
    names = [name for name, _ in found]
    single = names[0] if len(names) == 1 and samples.ndim == 2 else None
    if value is not None:
        chosen = [region for name, region in found if _is_value(name, value)]
        if not chosen:
            raise ValueError(
                f"it holds nothing of the value {value}, but {', '.join(names) or 'nothing at all'}"
            )
        shown = chosen[0]
    elif len(found) > 1:
        raise SeveralStructuresError(names)
    else:
        shown = _marked(samples, codes)
    border = np.concatenate([shown[0], shown[-1], shown[:, 0], shown[:, -1]])
    if border.mean() > _INVERTED:
        raise ValueError("it is inverted: the background is marked and the head is not")
    (top, left), part = _part(shown)
    e, doubt = _described(part.astype(np.uint8))
    cx, cy = (e.cx + left) * step, (e.cy + top) * step
    whole = Ellipse(cx, cy, e.a * step, e.b * step, e.angle_deg)
    return ShownEllipse(whole, doubt, single)


def structures_in(samples: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The structures that an annotation picture shows: the value of each, and where it is, (H, W).

    ``samples`` are as for :func:`ellipse_in`.
    """
    return _structures(samples, _codes(samples))


def is_annotation(pixels: NDArray[np.uint8]) -> bool:
    """Whether a picture, (H, W) grey, has the few grey levels and flat regions of an annotation."""
    step = _step(pixels)
    pixels = np.ascontiguousarray(pixels[::step, ::step])
    levels = np.bincount(pixels.ravel(), minlength=256)
    if np.sort(levels)[-_LABEL_NUMBERS:].sum() >= 0.998 * pixels.size:
        return True
    if int(np.ptp(pixels)) < _CONTRAST:
        return False
    # A JPEG or smoothed edges: nearly all lies near few levels, and next to its like.
    near = 0
    for _ in range(3):
        top = int(levels.argmax())
        near += int(levels[max(top - 12, 0) : top + 13].sum())
        levels[max(top - 12, 0) : top + 13] = 0
    if near < 0.97 * pixels.size:
        return False
    spread = cv2.dilate(pixels, np.ones((3, 3), np.uint8)) - cv2.erode(
        pixels, np.ones((3, 3), np.uint8)
    )
    bright = pixels > max(int(pixels.max()) // 2, 1)
    return bool(bright.any()) and float((spread[bright] <= 24).mean()) > 0.6


def _step(samples: NDArray[Any]) -> int:
    """Every how many-th pixel of a large picture is enough, and keeps the memory small."""
    return -(-max(samples.shape[:2]) // _LARGE)


# -- what is marked --------------------------------------------------------------------------


def _codes(samples: NDArray[Any]) -> NDArray[Any]:
    """One number for each value or colour, (H, W)."""
    if samples.ndim == 2:
        return samples
    red, green, blue = (samples[..., c].astype(np.int64) for c in range(3))
    return (red << 16) | (green << 8) | blue


def _name(code: float, samples: NDArray[Any]) -> str:
    return f"{code:g}" if samples.ndim == 2 else f"#{int(code):06x}"


def _is_value(name: str, stated: str) -> bool:
    grey = f"#{int(name):02x}{int(name):02x}{int(name):02x}" if name.isdigit() else name
    return stated.lower() in (name, grey)


def _check_transparency(codes: NDArray[Any], alpha: NDArray[Any] | None) -> None:
    if codes.min() == codes.max():
        if alpha is not None and alpha.min() < alpha.max():
            raise ValueError("the shape is in its transparency alone, and transparency is not read")
        raise ValueError("it is empty: all pixels have one value")
    if alpha is not None and (codes[alpha == 0] > codes.min()).any():
        raise ValueError("a part of what is marked is transparent, and transparency is not read")


def _structures(samples: NDArray[Any], codes: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """The regions of one value each, by name; edges between them and specks are none."""
    values, counts = _values(codes)
    background = values[0]
    if len(values) <= _EXACT_VALUES:
        regions = {float(v): codes == v for v in values if v != background}
    else:
        noisy = _noisy_regions(samples, values[np.argsort(-counts)], codes.size)
        regions = {v: r for v, r in noisy.items() if not _alike(v, background, samples)}
    square = np.ones((_THICK, _THICK), np.uint8)
    thick = {v for v, r in regions.items() if cv2.erode(r.astype(np.uint8), square).any()}
    found = []
    for value, region in sorted(regions.items()):
        if value not in thick:
            if region.sum() < _VISIBLE:
                continue
            others = [r for v, r in regions.items() if v != value and (v in thick or v > value)]
            union = np.logical_or.reduce(others or [np.zeros_like(region)])
            beside = cv2.dilate(union.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            if beside[region].mean() > 0.5:
                continue
        found.append((_name(value, samples), region))
    return found


def _noisy_regions(
    samples: NDArray[Any], values: NDArray[Any], pixels: int
) -> dict[float, NDArray[np.bool_]]:
    """The regions around the most frequent values, ``values`` being sorted by that."""
    regions: dict[float, NDArray[np.bool_]] = {}
    free = np.ones(samples.shape[:2], bool)
    for value in values[:256]:
        if len(regions) == _EXACT_VALUES or any(_alike(v, value, samples) for v in regions):
            continue
        away = samples.astype(np.int64) - _channels(value, samples)
        region = free & (np.abs(away).reshape(*samples.shape[:2], -1).max(axis=2) <= _NOISE)
        if region.sum() >= 1e-3 * pixels:
            regions[float(value)] = region
            free &= ~region
    return regions


def _channels(code: float, samples: NDArray[Any]) -> NDArray[np.int64]:
    whole = int(code)
    if samples.ndim == 2:
        return np.array(whole)
    return np.array([whole >> 16, whole >> 8 & 255, whole & 255])


def _alike(code: float, other: float, samples: NDArray[Any]) -> bool:
    away = np.abs(_channels(code, samples) - _channels(other, samples))
    return bool(away.max() <= _NOISE)


def _marked(samples: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.bool_]:
    """What is marked where there is one structure: pixels brighter than half of the maximum, so
    that smoothed edges and the noise of a JPEG do not count."""
    grey = samples if samples.ndim == 2 else samples.max(axis=2)
    if len(_values(codes)[0]) == 2:
        return np.asarray(codes > codes.min())
    top = float(grey.max())
    return np.greater(grey, 0 if top <= _LABEL_NUMBERS else top / 2)


def _values(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The values that there are, in their order, and how many pixels have each."""
    if codes.dtype != np.uint8:
        return np.unique(codes, return_counts=True)
    counts = np.bincount(codes.ravel(), minlength=256)  # many times faster than sorting
    there = np.flatnonzero(counts)
    return there, counts[there]


def _part(shown: NDArray[np.bool_]) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """What is shown with a margin, so that only the picture's own border cuts it; and the row and
    the column where that begins."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not rows.size:
        return (0, 0), shown
    top, left = max(int(rows[0]) - _MARGIN, 0), max(int(columns[0]) - _MARGIN, 0)
    part = shown[top : int(rows[-1]) + _MARGIN + 1, left : int(columns[-1]) + _MARGIN + 1]
    return (top, left), part


# -- which ellipse it is ---------------------------------------------------------------------


def _described(shown: NDArray[np.uint8]) -> tuple[Ellipse, str | None]:
    """The ellipse of what is shown (0 and 1), and the doubt about it."""
    if not shown.any():
        raise ValueError("it is empty: nothing is marked")
    # A ring is thin for its size, whether it is closed, cut by the border or in pieces.
    thickness = float(cv2.distanceTransform(shown, cv2.DIST_L2, 3).max())
    strokes = main_strokes(shown)
    ys, xs = np.nonzero(strokes)
    radius = float(np.sqrt((np.ptp(xs) + 1) * (np.ptp(ys) + 1))) / 2
    filled = thickness > max(_RING_SHARE * radius, min(_RING_PX, 0.4 * radius))
    if filled:
        region = _without_holes(largest_component(shown))
        ellipse = Ellipse.from_mask(region)
        points, inset, allowed = _free_outline(region), 0.45, 0.0
        whole = shown | region
        explained = _explained(whole > 0, ellipse, None)
        lone = float(region.sum()) / float(whole.sum())
    else:
        ellipse = Ellipse.from_ring(shown)
        points, inset, allowed = np.column_stack([xs, ys]).astype(np.float64), 0.0, thickness
        explained = _explained(shown > 0, ellipse, 3 + 2 * thickness)
        lone = float(strokes.sum()) / float(shown.sum())
    size = float(np.sqrt(ellipse.a * ellipse.b))
    params = (ellipse.cx, ellipse.cy, ellipse.a - inset, ellipse.b - inset, ellipse.angle_deg)
    away = np.maximum(np.abs(distances(params, points)) - allowed, 0)
    if away.max(initial=0) > max(1.5, _STRAY * size):
        cut = _without_cuts(points, max(1.0, 0.01 * size) + allowed, inset)
        if cut is not None and lone >= _EXPLAINED:
            return cut, "a straight edge cuts it; the ellipse was fitted to the rest"
    if explained < _EXPLAINED:
        raise ValueError("it shows something other than one ellipse")
    mean = float(np.sqrt(np.mean(away**2)))
    if mean > max(1.0, _MEAN_STRAY * size) or away.max() > max(2.5, _MOST_STRAY * size):
        return ellipse, f"an ellipse does not describe it: it is up to {away.max():.0f} px off"
    return ellipse, None


def _without_holes(region: NDArray[np.uint8]) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(region), contours, -1, 1, cv2.FILLED))


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
