"""Views of a frame, over which a model's answers are averaged: as it is, mirrored, turned."""

from __future__ import annotations

from fetalstudio.core.geometry import Affine, Size

_TURN_DEG = 8.0
"""To either side; the compact segmenter learnt from frames turned by up to 30 degrees."""


def views_of(size: Size, count: int, *, turned: bool) -> list[Affine]:
    """The first ``count`` (1 to 4) maps from a frame of ``size`` to a view of the same size.

    Without ``turned`` only upright ones, two at most: a tight box would not be tight in the others.
    """
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    upright = [Affine(), Affine(xx=-1.0, x0=size[0] - 1.0)]
    tilted = [Affine.rotation(degrees, centre) for degrees in (_TURN_DEG, -_TURN_DEG)]
    return [*upright, *(tilted if turned else [])][:count]
