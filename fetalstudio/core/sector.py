"""The scanned sector of a frame: where there is ultrasound at all."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import largest_component


def seen_sector(image: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """:func:`sector_mask`, read-only; None for a frame so dark that no sector is seen in it."""
    # While an ellipse is dragged, each new picture asks for the same frame's sector again.
    return _seen_sector(image.tobytes(), image.shape)


@lru_cache(maxsize=3)
def _seen_sector(pixels: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    mask = sector_mask(np.frombuffer(pixels, np.uint8).reshape(shape))
    mask.setflags(write=False)
    return mask if mask.any() else None


def tissue_mask(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) of 0 and 1: well inside the sector of an (H, W) uint8 frame, nothing drawn near."""
    sector = cv2.erode(sector_mask(image), np.ones((17, 17), np.uint8))
    # Text and calipers are drawn in white, and sharper than anything that a beam can show.
    drawn = cv2.dilate((image > 230).astype(np.uint8), np.ones((17, 17), np.uint8))
    return np.asarray(sector - cv2.min(sector, drawn), np.uint8)


def sector_mask(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Estimate the sector of an (H, W) uint8 frame, as (H, W) of 0 and 1.

    Outside its sector a scanner writes exact black, while fluid inside keeps a trace of noise.
    Thin or isolated marks outside (grey bar, text) are dropped, dark spots inside are filled; a
    blanked corner stays out. The outline is a polygon, as straight as the scanner's own. A black
    frame gives an empty mask.
    """
    h, w = image.shape
    # 300 px across are plenty for the outline, and the kernels then mean the same on every frame.
    size = (300, max(round(300 * h / w), 8))
    share = cv2.resize((image > 1).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    bright = (share > 0.4).astype(np.uint8)
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((7, 7), np.uint8))
    framed = cv2.copyMakeBorder(opened, 20, 20, 20, 20, cv2.BORDER_REPLICATE)
    framed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, np.ones((13, 13), np.uint8))
    lit = largest_component(framed[20:-20, 20:-20])
    enlarged = cv2.resize(lit.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
    region = (enlarged > 0.5).astype(np.uint8)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = [cv2.approxPolyDP(contour, 1.5 * w / size[0], True) for contour in contours]
    return cv2.drawContours(np.zeros_like(region), outline, -1, 1, cv2.FILLED).astype(np.uint8)
