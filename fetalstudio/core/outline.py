"""Finds the ellipse in an outline that a model drew, which may be broken, smeared or speckled.

The paper shows this step in a figure only (arXiv 2506.23664, figure b) and its code leaves it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse, largest_component, main_strokes
from fetalstudio.core.fit import distances, robust_fit

_THRESHOLD = 180
"""Grey level, after normalisation, from which a pixel belongs to the outline; that of the paper."""


@dataclass(frozen=True, slots=True)
class Outline:
    """An ellipse found in an image of its outline, and how reliable it is."""

    ellipse: Ellipse
    residual_px: float
    """Root mean square distance, in px, of the line's agreeing pixels to the ellipse."""
    agreement: float
    """Share of the line's pixels that lie on the ellipse, 0 to 1."""
    coverage: float
    """Share of the ellipse inside the image that has a line on it, 0 to 1."""

    @property
    def score(self) -> float:
        """Coverage times agreement, reduced by the residual (to 0 at a tenth of b); 0 to 1."""
        loss = min(self.residual_px / (0.1 * self.ellipse.b), 1.0)
        return self.coverage * self.agreement * (1 - loss)


def find_outline(image: NDArray[np.uint8], *, filled: bool = False) -> Outline | None:
    """The ellipse whose outline is bright in ``image``, (H, W) uint8; None if there is none.

    The image is normalised to 0 to 255 and thresholded, and specks are removed. The result is the
    ellipse that most of the line agrees on. With ``filled`` the inside of the ellipse is bright
    too, and the line is the edge of the largest bright region.
    """
    # A filled head may cover more than half of the image.
    low, high = float(np.percentile(image, 5 if filled else 50)), float(image.max())
    if high - low < 16:
        return None
    stretched = np.clip((image.astype(np.float32) - low) * (255 / (high - low)), 0, 255)
    bright = stretched.astype(np.uint8) >= _THRESHOLD
    line = _around(bright) if filled else main_strokes(bright)
    points = np.argwhere(line)[:, ::-1].astype(np.float64)
    tolerance = max(1.5, 0.008 * max(image.shape))
    try:
        fitted, agree = robust_fit(points, tolerance)
        ellipse = Ellipse.of(*fitted)
    except ValueError:
        return None
    if ellipse.a > 2 * max(image.shape) or ellipse.b < 3 * tolerance:
        return None  # nearly a straight line, or a blot
    if filled:  # the edge runs half a px beyond the centres of the outermost pixels
        ellipse = Ellipse(
            ellipse.cx, ellipse.cy, ellipse.a + 0.5, ellipse.b + 0.5, ellipse.angle_deg
        )
    residual = float(np.sqrt(np.mean(distances(fitted, points[agree]) ** 2)))
    coverage = _coverage(line, ellipse, tolerance)
    return Outline(ellipse, residual, float(agree.mean()), coverage)


def _around(bright: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The outermost pixels of the largest region, except where the image's border cuts it."""
    region = largest_component(bright)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = cv2.drawContours(np.zeros_like(region), contours, -1, 1, cv2.FILLED)
    return np.asarray(whole - cv2.erode(whole, np.ones((3, 3), np.uint8)), np.uint8)


def _coverage(line: NDArray[np.uint8], ellipse: Ellipse, tolerance: float) -> float:
    h, w = line.shape
    x, y = np.round(ellipse.contour(360)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < w) & (y < h)
    if not inside.any():
        return 0.0
    away = cv2.distanceTransform(1 - line, cv2.DIST_L2, cv2.DIST_MASK_5)
    return float((away[y[inside], x[inside]] <= tolerance).mean())
