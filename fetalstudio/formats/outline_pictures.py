"""Pictures that show an ellipse: a filled mask or a ring, beside a frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.metrics import dice

_LABEL_NUMBERS = 8
"""With a maximum up to this, a mask's values are the numbers of structures, not grey levels."""
_EXPLAINED = 0.9
_RING_ERROR = 5e-4
"""Of the HC: half of what writing a ring and reading it again may lose."""


def ellipse_in(mask: NDArray[np.generic]) -> Ellipse:
    """The ellipse that an annotation picture (H, W) shows, as a filled head or as a thin ring.

    Pixels brighter than half of the maximum count, so that smoothed edges and JPEG noise do not. In
    a picture of label numbers every label counts. Raises ``ValueError`` if the picture is empty or
    shows another shape.
    """
    top = float(mask.max())
    shown = np.greater(mask, 0 if top <= _LABEL_NUMBERS else top / 2).astype(np.uint8)
    # The largest disc that fits is about as large as a filled head, and far smaller than a ring's
    # area, whether the ring is closed, cut by the border or in pieces.
    thickness = float(cv2.distanceTransform(shown, cv2.DIST_L2, 3).max())
    filled = thickness > 0.4 * np.sqrt(shown.sum() / np.pi)
    ellipse = Ellipse.from_mask(shown) if filled else Ellipse.from_ring(shown)
    if _explained(shown > 0, ellipse, 3 + 2 * thickness if not filled else None) < _EXPLAINED:
        raise ValueError("it shows something other than one ellipse")
    return ellipse


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
    size = (shown.shape[1], shown.shape[0])
    if near is None:
        return dice(ellipse.mask(size) > 0, shown)
    u, v = ellipse.local(size)
    from_centre = np.hypot(u, v)
    scaled = np.hypot(u / ellipse.a, v / ellipse.b)
    outline = from_centre / np.maximum(scaled, 1e-9)
    return float((np.abs(from_centre - outline) <= near)[shown].mean())


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
