"""Which of several ellipses lies on the skull, which is a bright ring in an ultrasound."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse

_DIRECTIONS = 96
_LEAST_SEEN = 16
"""Directions in which both outlines have to be in the picture, and apart."""
_STEP = 0.01
"""Of the logarithm of the distance from the centre, as all lengths here."""
_AROUND, _GAP, _FLANK = 0.08, 0.02, 0.12
"""How far the skull may be from the outline, and what lies beside it inside and outside."""
_APART = 0.1
"""From which on two outlines are looked at in a direction."""
_GRAIN, _LEAST_GRAIN = 0.018, 0.5
"""The smoothing, as a share of a semi-axis and in px. It grows with the root of an outline's size,
so that mere speckle, of which more lies near a longer one, prefers none."""
_OUTSIDE = -1000.0

_Values = NDArray[np.float32]


def fits_better(
    pixels: NDArray[np.uint8], ellipse: Ellipse, others: Sequence[Ellipse]
) -> list[float | None]:
    """How much better an ellipse fits a picture, (H, W), than each of others with its centre.

    It is 1 where the outline of the ellipse is brighter in all directions from the centre, and -1
    where that of the other is. In each direction two things count alike: how bright the brightest
    place near the outline is, and how much brighter it is than what lies beside it. Directions in
    which the two outlines are within 10 % of each other do not count. None where too few are left,
    or too few in which both outlines lie in the picture.
    """
    smooth: dict[float, _Values] = {}
    for b in {e.b for e in (ellipse, *others)}:
        grain = max(_GRAIN * math.sqrt(ellipse.b * b), _LEAST_GRAIN)
        smooth[b] = cv2.GaussianBlur(pixels, (0, 0), grain).astype(np.float32)
    own = _Ring(smooth[ellipse.b], ellipse)
    return [own.compared(_Ring(smooth[other.b], other)) for other in others]


class _Ring:
    """What a picture shows around an outline, for each direction from its centre."""

    def __init__(self, smooth: _Values, ellipse: Ellipse) -> None:
        direction = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
        turned = direction - np.radians(ellipse.angle_deg)
        radius = (
            ellipse.a * ellipse.b / np.hypot(ellipse.b * np.cos(turned), ellipse.a * np.sin(turned))
        )
        steps = round((_AROUND + _GAP + _FLANK) / _STEP)
        away = np.arange(-steps, steps + 1) * _STEP
        distance = np.outer(radius, np.exp(away))
        x = (ellipse.cx + distance * np.cos(direction)[:, None]).astype(np.float32)
        y = (ellipse.cy + distance * np.sin(direction)[:, None]).astype(np.float32)
        border = cv2.BORDER_CONSTANT
        grey = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, None, border, _OUTSIDE)
        grey[grey < 0] = np.nan
        self.size = np.log(radius)
        self.bright = grey[:, np.abs(away) < _AROUND + _STEP / 2].max(axis=1)
        """Not a number where the outline lies outside of the picture."""
        inside = grey[:, away < -_AROUND - _GAP + _STEP / 2].mean(axis=1)
        outside = grey[:, away > _AROUND + _GAP - _STEP / 2].mean(axis=1)
        self.clear = self.bright - np.fmax(inside, outside)

    def compared(self, other: _Ring) -> float | None:
        counts = np.abs(self.size - other.size) >= _APART
        counts &= np.isfinite(self.clear) & np.isfinite(other.clear)
        if np.count_nonzero(counts) < _LEAST_SEEN:
            return None
        votes = np.sign(self.bright - other.bright) + np.sign(self.clear - other.clear)
        return float(votes[counts].mean()) / 2
