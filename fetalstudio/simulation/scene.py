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

TRIMESTERS: tuple[Trimester, ...] = get_args(Trimester)
TYPICAL_HC_MM = {"first": 76.0, "second": 176.0, "third": 292.0}
"""Medians of the HC18 training set."""
_SMALL_HEAD = 0.22
"""Semi-major axis as a share of the frame's width. Most of HC18's heads below it are of the first
trimester, but few above it."""


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
    probe = _random_probe(rng, size, trimester_) if sector is None else Probe.of_sector(sector)
    return SimulatedScene(ellipse, size, trimester_, mm_per_px, probe, sector)


def random_scene(
    seed: int, *, trimester_: Trimester | None = None, size: Size = (800, 540)
) -> SimulatedScene:
    """A random scene like those of HC18: head, position and sector of one trimester.

    Trimesters are equally likely. Heads are drawn until three quarters of their outline lie in the
    sector.
    """
    rng = np.random.default_rng([seed, 0])
    drawn = trimester_ or TRIMESTERS[int(rng.integers(3))]
    for _ in range(50):
        ellipse, mm_per_px = _random_head(rng, size, drawn)
        probe = _random_probe(rng, size, drawn)
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


def _random_probe(rng: np.random.Generator, size: Size, kind: Trimester) -> Probe:
    """A curved array as in HC18: deep or zoomed in, sometimes an endocavity probe."""
    w, h = size
    if kind == "first" and rng.random() < 0.22:
        apex = float(rng.uniform(-0.08, 0.02)) * h
        near = float(rng.uniform(0.06, 0.11)) * h
        half = float(rng.uniform(0.85, 1.2))
        return Probe(w / 2, apex, near, float(rng.uniform(0.92, 1.2)) * h - apex, half)
    zoomed = rng.random() < {"first": 0.55, "second": 0.3, "third": 0.1}[kind]
    width = float(rng.uniform(1.15, 2.0) if zoomed else rng.uniform(0.8, 1.12)) * w
    half = float(rng.uniform(0.2, 0.45) if zoomed else rng.uniform(0.38, 0.72))
    top = float(rng.uniform(-1.0, -0.2) if zoomed else rng.uniform(-0.18, 0.06)) * h
    bottom = float(rng.uniform(0.95, 1.35)) * h
    probe = Probe.spanning(size, width=width, half_angle=half, top=top, bottom=bottom)
    shift = float(rng.normal(0, 0.04)) * w
    return Probe(probe.apex_x + shift, probe.apex_y, probe.near, probe.far, half)


_HEADS = {
    # HC mm, axis ratio, semi-axis / width, centre x and y: mean, sd; then their limits. From HC18.
    "first": ((76, 9, 52, 97.9), (0.83, 0.045, 0.72, 0.93), (0.21, 0.05, 0.12, 0.32), 0.08),
    "second": ((176, 24, 99, 258), (0.785, 0.04, 0.69, 0.88), (0.30, 0.05, 0.16, 0.385), 0.05),
    "third": ((292, 19, 262, 340), (0.80, 0.04, 0.70, 0.91), (0.295, 0.045, 0.19, 0.38), 0.04),
}


def _random_head(rng: np.random.Generator, size: Size, kind: Trimester) -> tuple[Ellipse, float]:
    hc, ratio, a_share, spread = _HEADS[kind]
    hc_mm, b_over_a, a = (
        float(np.clip(rng.normal(mean, sd), low, high))
        for mean, sd, low, high in (hc, ratio, a_share)
    )
    # Wide frames are wider than a head is long: the side that limits the head counts.
    a *= min(size[0], 1.5 * size[1])
    turned = rng.random() < (0.6 if kind == "first" else 0.15)
    angle = float(rng.normal(0, 45 if kind == "first" else 25) if turned else rng.normal(0, 6))
    x = size[0] * float(rng.normal(0.49, spread))
    y = size[1] * float(rng.normal(0.50, spread))
    ellipse = Ellipse.of(x, y, a, a * b_over_a, angle)
    return ellipse, hc_mm / ellipse.perimeter
