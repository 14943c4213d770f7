"""Pictures of the work: overlays and montages for previews and reports."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import letterbox, warp

FOUND, REFERENCE = (255, 176, 64), (64, 200, 255)
"""RGB of the segmenter's ellipse and of the person's."""


def overlay(
    image: NDArray[np.uint8], found: Ellipse | None, reference: Ellipse | None
) -> NDArray[np.uint8]:
    """The frame (H, W) as RGB (H, W, 3) uint8 with both outlines."""
    rgb = np.repeat(image[..., None], 3, axis=2).copy()
    width = max(1, image.shape[1] // 400)
    for ellipse, colour in ((reference, REFERENCE), (found, FOUND)):
        if ellipse is not None:
            points = np.round(ellipse.contour(180) * 16).astype(np.int32)
            cv2.polylines(rgb, [points], True, colour, width, cv2.LINE_AA, shift=4)
    return rgb


def montage(
    images: Sequence[NDArray[np.uint8]], *, columns: int, cell: tuple[int, int] = (384, 256)
) -> NDArray[np.uint8]:
    """Pictures, (H, W) or (H, W, 3), side by side as RGB, each letterboxed into a cell."""
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * cell[1], columns * cell[0], 3), np.uint8)
    for i, image in enumerate(images):
        rgb = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
        placed = warp(rgb, letterbox((rgb.shape[1], rgb.shape[0]), cell), cell)
        y, x = divmod(i, columns)
        sheet[y * cell[1] : (y + 1) * cell[1], x * cell[0] : (x + 1) * cell[0]] = placed
    return sheet
