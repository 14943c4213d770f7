"""Views of a frame whose predictions are averaged: unchanged, mirrored and rotated."""

from __future__ import annotations

from fetalstudio.core.geometry import Affine, Size

_TURN_DEG = 8.0
"""Rotation of views in degrees. Training frames were rotated by up to 30 degrees."""


def views_of(size: Size, count: int, *, turned: bool) -> list[Affine]:
    """The first ``count`` (1 to 4) maps from a frame of ``size`` to a view of the same size.

    Without ``turned`` there are at most two, both upright: a tight box is not tight in the others.
    """
    centre = ((size[0] - 1) / 2, (size[1] - 1) / 2)
    upright = [Affine(), Affine(xx=-1.0, x0=size[0] - 1.0)]
    tilted = [Affine.rotation(degrees, centre) for degrees in (_TURN_DEG, -_TURN_DEG)]
    return [*upright, *(tilted if turned else [])][:count]
