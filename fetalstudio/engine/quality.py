"""How well a synthetic frame shows the ellipse that it was asked to show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import dice, surface_distances

if TYPE_CHECKING:
    from fetalstudio.segmentation.segmenter import Segmenter


def pair_quality(
    segmenter: Segmenter, image: NDArray[np.uint8], ellipse: Ellipse
) -> Mapping[str, float]:
    """Figures of a pair, the segmenter (without a prompt) against the requested ellipse.

    ``dice`` 0 to 1 (0 where nothing is found); ``hc_difference`` relative, positive where the
    found head is larger; ``hd95_px``; ``edge`` see :func:`edge_score`. What cannot be computed
    is left out.
    """
    h, w = image.shape
    wanted = ellipse.mask((w, h))
    found = segmenter.predict(image)
    quality = {"dice": 0.0, "edge": edge_score(image, ellipse)}
    if found.ellipse is not None:
        shown = found.ellipse.mask((w, h))
        quality["dice"] = dice(shown, wanted)
        quality["hc_difference"] = found.ellipse.perimeter / ellipse.perimeter - 1
        hd95 = surface_distances(shown, wanted).hd95
        if math.isfinite(hd95):
            quality["hd95_px"] = hd95
    return quality


def edge_score(image: NDArray[np.uint8], ellipse: Ellipse, *, n: int = 180) -> float:
    """Share of the outline with a skull-like ridge on it, 0 to 1; needs no model.

    At ``n`` points the brightness along the normal is compared: just inside the outline (where the
    skull lies, up to 6 % of b deep) against further in and further out. Points off the frame do
    not count; 0 where none is left.
    """
    h, w = image.shape
    depth = np.linspace(-0.2, 0.2, 41) * ellipse.b
    t = np.linspace(0, 2 * math.pi, n, endpoint=False)
    outline = np.column_stack([ellipse.a * np.cos(t), ellipse.b * np.sin(t)])
    normal = np.column_stack([np.cos(t) / ellipse.a, np.sin(t) / ellipse.b])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    points = (outline[:, None] + depth[None, :, None] * normal[:, None]) @ ellipse.axes
    x = (points[..., 0] + ellipse.cx).astype(np.float32)
    y = (points[..., 1] + ellipse.cy).astype(np.float32)
    profile = cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderValue=0)
    on_frame = (x >= 0) & (y >= 0) & (x <= w - 1) & (y <= h - 1)
    usable = on_frame.all(axis=1)
    if not usable.any():
        return 0.0
    ridge = (depth > -0.07 * ellipse.b) & (depth < 0.03 * ellipse.b)
    inner, outer = depth < -0.12 * ellipse.b, depth > 0.08 * ellipse.b
    peak = profile[:, ridge].max(axis=1)
    around = np.minimum(profile[:, inner].mean(axis=1), profile[:, outer].mean(axis=1))
    return float((peak[usable] > 1.5 * around[usable] + 10).mean())
