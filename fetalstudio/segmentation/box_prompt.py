"""Takes the box of a prompt as a second measurement of the extent of the head."""

from __future__ import annotations

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine

Box = tuple[float, float, float, float]
_REACH = 0.05
"""Share of the head's width or height: a side that differs by more was drawn roughly."""


def drawn_to_box(ellipse: Ellipse, box: Box, share: float) -> Ellipse:
    """The ellipse with each side of its tight box moved towards that of ``box`` (x0, y0, x1, y1).

    A side moves by ``share`` (0 to 1) of the difference if that is small, and by less and less
    above 5 % of the head's width or height: a careful box counts, a rough one does not.
    """
    found = np.array(ellipse.box())
    size = np.tile(found[2:] - found[:2], 2)
    apart = (np.array(box) - found) / size
    x0, y0, x1, y1 = found + share * np.exp(-((apart / _REACH) ** 2)) * apart * size
    xx, yy = (x1 - x0) / size[0], (y1 - y0) / size[1]
    return ellipse.transformed(Affine(xx=xx, x0=x0 - xx * found[0], yy=yy, y0=y0 - yy * found[1]))
