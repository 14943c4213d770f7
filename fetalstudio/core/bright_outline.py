"""Which of several ellipses lies on the skull, which is a bright ring in an ultrasound."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine

_DIRECTIONS = 96
_LEAST_SEEN = 16
"""The fewest directions in which both outlines lie in the picture, and apart from each other."""
_STEP = 0.01
"""The step along a ray, in the natural logarithm of the distance from the centre; the lengths of a
look are in this logarithm, too."""
_LEAST_GRAIN = 0.5
"""The least smoothing, in px."""
_SMALLEST = 12.0
"""The least semi-axis, in px: around a smaller outline, speckle and a skull look alike."""
_SHIFT, _SCALES = 0.6, (0.5, 0.64, 1.5)
"""The outlines around one are shifted by this share of its shorter semi-axis, or scaled by these
factors."""
_NEAREST = 1e-9
"""The distance that stands for the centre of an outline, whose logarithm would be infinite."""
_OUTSIDE = -1000.0
_REDUCED = 320
"""px of the longer side of a picture that is looked at fast."""

_Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Look:
    """How closely a picture is looked at."""

    around: float
    """How far the skull may be from the outline."""
    gap: float
    """How far the flanks begin beyond that."""
    flank: float
    """How wide the flanks are, inside and outside, with which the skull is compared."""
    apart: float
    """How far two outlines must be apart in a direction for the direction to count."""
    grain: float
    """The smoothing, as a share of a semi-axis. It grows with the root of an outline's size, so
    that mere speckle, of which more lies near a longer one, prefers none."""


_COARSE = _Look(0.08, 0.02, 0.12, 0.1, 0.018)
_FINE = _Look(0.03, 0.01, 0.08, 0.03, 0.012)


def fits_better(
    pixels: NDArray[np.uint8],
    ellipse: Ellipse,
    others: Sequence[Ellipse],
    *,
    finely: bool = False,
) -> list[float | None]:
    """How much better an ellipse fits a picture, (H, W), than each of others, wherever they lie.

    It is 1 where the outline of the ellipse is brighter in all directions from its centre than that
    of the other from its own, and -1 where the other's is. In each direction two things count
    alike: how bright the brightest place near the outline is, and how much brighter it is than what
    lies beside it. Directions in which one outline lies within 10 % of the other do not count. None
    where too few are left, or too few in which both outlines lie in the picture, and where one has
    a semi-axis below 12 px.

    Outlines that differ less, such as those of a level head at a few degrees, are only compared
    ``finely``: from 3 % on, and nearer to them. A right ellipse then fits less clearly better.
    """
    look = _FINE if finely else _COARSE
    smooth: dict[float, _Values] = {}
    for b in {e.b for e in (ellipse, *others)}:
        grain = max(look.grain * math.sqrt(ellipse.b * b), _LEAST_GRAIN)
        smooth[b] = cv2.GaussianBlur(pixels, (0, 0), grain).astype(np.float32)
    own = _Ring(smooth[ellipse.b], ellipse, look)
    return [own.compared(_Ring(smooth[other.b], other, look)) for other in others]


def lies_on_skull(pixels: NDArray[np.uint8], ellipse: Ellipse) -> float | None:
    """How much better an ellipse fits a picture, (H, W), than those that are shifted to each side,
    shorter and longer, on average: as :func:`fits_better` counts it, and None where it gives none.

    Of 794 ellipses of sonographers it is 0.79 in the median, and 0.4 in the first trimester; of
    ellipses that lie anywhere in the field, 0.1.
    """
    shift = _SHIFT * ellipse.b
    others = [
        replace(ellipse, cx=ellipse.cx + dx * shift, cy=ellipse.cy + dy * shift)
        for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]
    others += [replace(ellipse, a=k * ellipse.a, b=k * ellipse.b) for k in _SCALES]
    found = [vote for vote in fits_better(pixels, ellipse, others) if vote is not None]
    return float(np.mean(found)) if found else None


def reduced(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Affine]:
    """A picture, (H, W), in which a skull can be seen as well and sooner, and what takes px of the
    former to px of it: its longer side is 320 px at most."""
    height, width = pixels.shape
    scale = min(1.0, _REDUCED / max(width, height))
    size = (round(width * scale), round(height * scale))
    x, y = size[0] / width, size[1] / height
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, Affine(xx=x, yy=y, x0=(x - 1) / 2, y0=(y - 1) / 2)


class _Ring:
    """What a picture shows around an outline, for each direction from its centre."""

    def __init__(self, smooth: _Values, ellipse: Ellipse, look: _Look) -> None:
        direction = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
        turned = direction - np.radians(ellipse.angle_deg)
        radius = (
            ellipse.a * ellipse.b / np.hypot(ellipse.b * np.cos(turned), ellipse.a * np.sin(turned))
        )
        steps = round((look.around + look.gap + look.flank) / _STEP)
        away = np.arange(-steps, steps + 1) * _STEP
        distance = np.outer(radius, np.exp(away))
        x = (ellipse.cx + distance * np.cos(direction)[:, None]).astype(np.float32)
        y = (ellipse.cy + distance * np.sin(direction)[:, None]).astype(np.float32)
        border = cv2.BORDER_CONSTANT
        grey = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, None, border, _OUTSIDE)
        grey[grey < 0] = np.nan
        self.ellipse, self.look = ellipse, look
        self.outline = np.column_stack(
            [ellipse.cx + radius * np.cos(direction), ellipse.cy + radius * np.sin(direction)]
        )
        self.shows = ellipse.b >= _SMALLEST
        self.bright = grey[:, np.abs(away) < look.around + _STEP / 2].max(axis=1)
        """Not a number where the outline lies outside of the picture."""
        inside = grey[:, away < -look.around - look.gap + _STEP / 2].mean(axis=1)
        outside = grey[:, away > look.around + look.gap - _STEP / 2].mean(axis=1)
        self.clear = self.bright - np.fmax(inside, outside)

    def compared(self, other: _Ring) -> float | None:
        """How much better this outline fits than the other; see :func:`fits_better`."""
        apart = self.look.apart
        counts = (self._from(other) >= apart) & (other._from(self) >= apart)
        counts &= np.isfinite(self.clear) & np.isfinite(other.clear)
        enough = np.count_nonzero(counts) >= _LEAST_SEEN
        if not (enough and self.shows and other.shows):
            return None
        votes = np.sign(self.bright - other.bright) + np.sign(self.clear - other.clear)
        return float(votes[counts].mean()) / 2

    def _from(self, other: _Ring) -> NDArray[np.float64]:
        """How far each point of the outline is from the other's, seen from the other's centre."""
        e = other.ellipse
        u, v = ((self.outline - (e.cx, e.cy)) @ e.axes.T).T
        return np.abs(np.log(np.maximum(np.hypot(u / e.a, v / e.b), _NEAREST)))
