"""Pictures of heads that are seen, and of none."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size


def speckle(seed: int, size: Size) -> NDArray[np.uint8]:
    """Nothing but speckle, (H, W); ``size`` is (width, height)."""
    return np.random.default_rng(seed).rayleigh(25, size[::-1]).clip(0, 255).astype(np.uint8)


def skull(head: Ellipse, seed: int, size: Size) -> NDArray[np.uint8]:
    """A bright ring in speckle, (H, W); ``size`` is (width, height)."""
    grey = speckle(seed, size)
    points = np.round(head.contour(120) * 8).astype(np.int32)
    cv2.polylines(grey, [points], True, 200, 3, cv2.LINE_AA, 3)
    return grey
