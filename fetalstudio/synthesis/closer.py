"""A closer view of a small head: the canvas is laid on the head and what lies around it.

A head of a few cells of the denoiser's grid is not always drawn. It is drawn a second time on a
canvas that shows less of the frame, within the tissue of the first drawing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, Size, letterbox, warp
from fetalstudio.core.sector import seen_sector
from fetalstudio.synthesis.conditions import CANVAS, Condition, Surroundings
from fetalstudio.synthesis.scene import Scene

_SMALL = 34.0
"""px on the canvas: heads whose minor semi-axis is shorter are drawn again."""
_WANTED = 46.0
"""px on the canvas that this axis has in the closer view, if the view is not too close."""
_CLOSEST = 3.0
"""A closer view shows too little of the frame to join on to it."""
MARGIN, FEATHER = 0.12, 0.2
"""Width of the margin of new tissue around a head that replaces another, and of its fading into
the surroundings, in semi-minor axes."""


def closer_view(head: Ellipse, size: Size) -> Affine | None:
    """Maps the frame to a canvas about a small head; None if the head is large enough.

    The view stays within the frame.
    """
    whole = letterbox(size, CANVAS)
    across = head.b * whole.scale
    if across >= _SMALL:
        return None
    scale = whole.scale * min(_WANTED / across, _CLOSEST)
    start = []
    for middle, side, canvas in zip((head.cx, head.cy), size, CANVAS, strict=True):
        shown = canvas / scale
        low, high = sorted((-0.5, side - 0.5 - shown))
        start.append(float(np.clip(middle - shown / 2, low, high)))
    # Pixel centres are at integers, so the first one of the canvas is half a pixel inside.
    return Affine(xx=scale, x0=-0.5 - scale * start[0], yy=scale, y0=-0.5 - scale * start[1])


def closer_condition(scene: Scene, view: Affine, drawn: NDArray[np.uint8]) -> Condition:
    """What the second drawing is asked to show, given the first one, (256, 384)."""
    ellipse = scene.ellipse.transformed(view)
    from_first = view @ letterbox(scene.size, CANVAS).inverse()
    sector = None
    if scene.reference is not None:
        sector = seen_sector(warp(scene.reference, view, CANVAS))
    surroundings = Surroundings(warp(drawn, from_first, CANVAS), made_around(ellipse))
    return Condition(ellipse, sector, scene.style, surroundings)


def made_around(head: Ellipse) -> NDArray[np.float32]:
    """(256, 384): 1 on the head and a margin around it, fading to 0."""
    beyond = head.sdf(CANVAS) / head.b - MARGIN
    return np.clip(1 - beyond / FEATHER, 0, 1).astype(np.float32)
