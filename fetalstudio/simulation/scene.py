"""What a simulated frame is asked to show, and random scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.biometry import Trimester, trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.probe import Probe
from fetalstudio.simulation.biometry import TYPICAL_HC_MM, random_head, random_probe

TRIMESTERS: tuple[Trimester, ...] = get_args(Trimester)
_SMALL_HEAD = 0.22
"""Semi-major axis as a share of the frame's width: heads below it are mostly of the first
trimester, where the body is in the frame too."""


@dataclass(frozen=True, slots=True)
class Clutter:
    """What scanners and publishers draw over frames. HC18 has bars and boxes."""

    grey_bar: bool = True
    """The grey scale at the left edge."""
    boxes: bool = True
    """Blanked corners."""
    text: bool = False
    calipers: bool = False
    """Crosses and dotted lines anywhere except along the head, which they would reveal."""


@dataclass(frozen=True, slots=True)
class SimulatedScene:
    """A head, its scanner and the clutter. Everything else depends on the seed."""

    ellipse: Ellipse
    """The outer edge of the skull, in px."""
    size: Size
    """(width, height) of the frame in px."""
    trimester: Trimester
    mm_per_px: float
    probe: Probe
    sector: NDArray[np.uint8] | None = None
    """(H, W) of 0 and 1: nothing outside it is scanned. None for all that the probe covers."""
    clutter: Clutter = Clutter(grey_bar=False, boxes=False)


def scene_for(
    ellipse: Ellipse,
    size: Size,
    seed: int,
    *,
    trimester_: Trimester | None = None,
    mm_per_px: float | None = None,
    sector: NDArray[np.uint8] | None = None,
) -> SimulatedScene:
    """A scene around a given ellipse, without clutter. Everything else is drawn from ``seed``.

    The trimester, if it is not given, follows from the HC in mm. Without a scale, a head that is
    small in its frame counts as first trimester and one of five large heads as third trimester; the
    scale is then that of a typical head. Raises :class:`InputError` for an ellipse outside the
    frame, a scale that is not positive, or a sector that is empty or of another size.
    """
    w, h = size
    if not ellipse.reaches(size):
        raise InputError(f"The ellipse lies off the {w}x{h} px frame. Move it onto the frame.")
    if mm_per_px is not None and not (math.isfinite(mm_per_px) and mm_per_px > 0):
        raise InputError(
            f"A scale of {mm_per_px} mm/px is not possible. Give the size of a pixel, above 0."
        )
    if sector is not None and (sector.shape != (h, w) or not sector.any()):
        raise InputError(
            f"The sector is empty or has another size than the frame. Give a mask of {w}x{h} px."
        )
    if trimester_ is None:
        if mm_per_px is not None:
            trimester_ = trimester(ellipse.perimeter * mm_per_px)
        else:
            older: Trimester = (
                "third" if np.random.default_rng([seed, 3]).random() < 0.2 else "second"
            )
            trimester_ = "first" if ellipse.a < _SMALL_HEAD * w else older
    if mm_per_px is None:
        mm_per_px = TYPICAL_HC_MM[trimester_] / ellipse.perimeter
    rng = np.random.default_rng([seed, 1])
    probe = (
        random_probe(rng, size, mm_per_px, trimester_)
        if sector is None
        else Probe.of_sector(sector)
    )
    return SimulatedScene(ellipse, size, trimester_, mm_per_px, probe, sector)


def random_scene(
    seed: int, *, trimester_: Trimester | None = None, size: Size = (800, 540)
) -> SimulatedScene:
    """A random scene: head, position and sector of one trimester, by published biometry alone.

    Trimesters are equally likely. Heads are drawn until three quarters of their outline lie in the
    sector.
    """
    rng = np.random.default_rng([seed, 0])
    drawn = trimester_ or TRIMESTERS[int(rng.integers(3))]
    for _ in range(50):
        ellipse, mm_per_px = random_head(rng, size, drawn)
        probe = random_probe(rng, size, mm_per_px, drawn)
        x, y = np.rint(ellipse.contour(60)).astype(int).T
        on = (x >= 0) & (y >= 0) & (x < size[0]) & (y < size[1])
        lit = probe.sector(size)[y[on], x[on]].sum() / 60
        if lit >= 0.75:
            break
    clutter = Clutter(
        grey_bar=rng.random() < 0.95,
        boxes=rng.random() < 0.9,
        text=rng.random() < 0.1,
        calipers=rng.random() < 0.06,
    )
    return SimulatedScene(ellipse, size, drawn, mm_per_px, probe, None, clutter)
