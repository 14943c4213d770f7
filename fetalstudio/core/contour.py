"""Fits an ellipse to a field that is positive inside the head, with subpixel accuracy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse, largest_component
from fetalstudio.core.fit import Points, settle

_SCALE = 2.0 / 800
"""Share of the image's width. Outline points farther than this from the fit count less."""
_LEAST = 16


def ellipse_of(field: NDArray[np.float32]) -> Ellipse | None:
    """The ellipse fitted robustly to the zero line around the largest positive region of ``field``.

    ``field`` has shape (H, W). Returns None if no region is large enough. Where the image's border
    cuts the region off, its edge is not fitted.
    """
    region = largest_component(field > 0)
    try:
        start = Ellipse.from_mask(region)
    except ValueError:
        return None
    points = zero_line(field, region)
    if len(points) < _LEAST:
        return start
    params = (start.cx, start.cy, start.a, start.b, start.angle_deg)
    return Ellipse.of(*settle(params, points, _SCALE * field.shape[1]))


def zero_line(field: NDArray[np.float32], region: NDArray[np.uint8]) -> Points:
    """The zero crossings of ``field`` along the outer edge of ``region``, (n, 2) x and y in px.

    Each pixel of the edge moves along the field's slope, by Newton's step and at most 1.5 px.
    """
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    edge = max(contours, key=len)[:, 0]
    h, w = region.shape
    x, y = edge[((edge > 1) & (edge < (w - 2, h - 2))).all(axis=1)].T
    # Smoothed, because the slope at a single pixel is as noisy as the field.
    smooth = cv2.GaussianBlur(field, (0, 0), 1.5)
    slope_y, slope_x = (d[y, x] for d in np.gradient(smooth))
    step = -field[y, x] / np.maximum(slope_x**2 + slope_y**2, 1e-9)
    moves = np.clip(np.stack([step * slope_x, step * slope_y], axis=1), -1.5, 1.5)
    return np.stack([x, y], axis=1).astype(np.float64) + moves
