"""Moves a drawn head onto the ellipse that it was asked for.

A network draws a head to within a percent or two of its size, and a small one less closely. Where
the head is found in the drawing, the drawing is stretched by as much as it is off: as a whole on
the head, and less and less around it.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse

HeadFinder = Callable[[NDArray[np.uint8], Ellipse], Ellipse | None]
"""Finds the ellipse of the head near a given one in an (H, W) image; None if there is none."""
Image = NDArray[np.float32]

_LEAST = 0.9
"""Overlap (Dice) of the ellipse that was found with the one that was asked for. Below it, nothing
is moved: stretching would show, or what was found is something else."""
_WHOLE, _REACH = 1.15, 1.6
"""Relative radii up to which the image moves as a whole, and from which on it stays."""
_EDGE = 0.15
"""In minor semi-axes: within this distance from the edge of the sector, the image moves less and
less. Otherwise the edge would be bent."""
_STEP = 4
"""px between the points at which the shift is computed."""


def aligned(
    image: Image, asked: Ellipse, found: Ellipse | None, sector: NDArray[np.uint8] | None = None
) -> Image:
    """An (H, W) image in grey levels whose head, ``found`` in it, is moved onto ``asked``.

    ``sector``, (H, W) of 0 and 1, is what is scanned. The image is returned as it is if nothing was
    found, or if what was found is far from the head that was asked for.
    """
    if found is None or found.overlap(asked) < _LEAST:
        return image
    h, w = image.shape
    left, top, right, bottom = asked.box()
    margin = (_REACH - 1) * asked.a + _STEP
    x0, x1 = max(int(left - margin), 0), min(int(right + margin) + 1, w)
    y0, y1 = max(int(top - margin), 0), min(int(bottom + margin) + 1, h)
    if x0 >= x1 or y0 >= y1:
        return image
    # The shift changes slowly, so every fourth px is enough.
    across, down = -(-(x1 - x0) // _STEP), -(-(y1 - y0) // _STEP)
    first = (_STEP - 1) / 2
    x, y = np.meshgrid(x0 + first + _STEP * np.arange(across), y0 + first + _STEP * np.arange(down))
    away = np.stack([x - asked.cx, y - asked.cy], axis=-1)
    unit = away @ np.linalg.inv(_stretch(asked)).T
    shift = unit @ _stretch(found).T - away + (found.cx - asked.cx, found.cy - asked.cy)
    share = np.clip((_REACH - np.linalg.norm(unit, axis=-1)) / (_REACH - _WHOLE), 0, 1)
    share = share * share * (3 - 2 * share)
    if sector is not None:
        inside = cv2.distanceTransform(sector, cv2.DIST_L2, cv2.DIST_MASK_3)
        columns, rows = np.minimum(x[0].astype(int), w - 1), np.minimum(y[:, 0].astype(int), h - 1)
        share = share * np.clip(inside[np.ix_(rows, columns)] / (_EDGE * asked.b), 0, 1)
    moved = cv2.resize(
        (share[..., None] * shift).astype(np.float32), (_STEP * across, _STEP * down)
    )[: y1 - y0, : x1 - x0]
    result = image.copy()
    result[y0:y1, x0:x1] = cv2.remap(
        image,
        moved[..., 0] + np.arange(x0, x1, dtype=np.float32),
        moved[..., 1] + np.arange(y0, y1, dtype=np.float32)[:, None],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return result


def _stretch(ellipse: Ellipse) -> NDArray[np.float64]:
    """The symmetric matrix that makes the ellipse, about its centre, of the unit circle.

    From one ellipse to another it turns nothing, even where they are nearly circles.
    """
    axes = np.asarray(ellipse.axes)
    return np.asarray(axes.T @ np.diag([ellipse.a, ellipse.b]) @ axes)
