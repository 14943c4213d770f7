"""Speckle measured along the beams and across them, by depth.

A pulse is short and a beam is wide, and it widens with depth. So speckle is longer across the beam
than along it, and coarser far from the probe. A radial spectrum shows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.probe import Probe

SIDE: Final = 64
"""Side in px of the windows in which speckle is measured."""
EDGES: Final = (0.03, 0.06, 0.12, 0.18, 0.25, 0.35, 0.5)
"""Edges in cycles per px of the bands of spatial frequency."""
BANDS: Final = len(EDGES) - 1
_STRIDE: Final = 48
_LONGEST: Final = 20.0
"""Largest correlation length in px that a window can show."""
_STEP: Final = 0.25
_FEWEST: Final = 6
"""With fewer windows, a slope over depth would be chance."""
_SLOW: Final = SIDE / 6
"""px: sigma of what is taken for anatomy when lengths are measured."""
_LEAST_SPREAD: Final = 1.0
"""Windows with less spread, in grey levels, show fluid or rounding, not speckle."""
_Y: Final = np.fft.fftfreq(SIDE)[:, None]
_X: Final = np.fft.rfftfreq(SIDE)[None]
_BAND: Final = np.digitize(np.hypot(_X, _Y), EDGES)
_TAPER: Final = np.outer(np.hanning(SIDE), np.hanning(SIDE)).astype(np.float32)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Speckle:
    """What n windows of tissue show."""

    depth: Floats
    """(n,): from the probe, 0, to the end of the scanned depth, 1."""
    power: Floats
    """(n, 2, 6): log10 of the power per px, along and across the beams, by :data:`EDGES`."""
    axial: Floats
    """(n,): px after which the correlation along the beam falls to a half."""
    lateral: Floats
    """(n,): the same across the beam."""
    skewness: Floats
    """(n,): of the grey levels. They are compressed by a logarithm, so gain and dynamic range do
    not change it; fully developed (Rayleigh) speckle has -1.14."""
    kurtosis: Floats
    """(n,): excess kurtosis of the grey levels; 2.4 for Rayleigh speckle."""
    snr: Floats
    """(n,): mean over standard deviation of the grey levels."""

    def __len__(self) -> int:
        return len(self.depth)

    @classmethod
    def joined(cls, several: Sequence[Speckle]) -> Speckle:
        """The windows of several frames. Raises ``ValueError`` without any."""
        if not several:
            raise ValueError("no speckle was measured")
        return cls(*(np.concatenate([getattr(s, f.name) for s in several]) for f in fields(cls)))

    def between(self, low: float, high: float) -> Speckle:
        """The windows from a depth up to another."""
        kept = (self.depth >= low) & (self.depth < high)
        return Speckle(*(getattr(self, f.name)[kept] for f in fields(self)))


def speckle_of(image: NDArray[np.uint8], tissue: NDArray[np.uint8], probe: Probe) -> Speckle:
    """Measure an (H, W) frame in windows of 64 px that lie in ``tissue``, (H, W) of 0 and 1."""
    windows = _Windows.of(image, tissue, probe)
    if windows is None:
        empty = np.zeros(0)
        return Speckle(empty, np.zeros((0, 2, BANDS)), *(empty,) * 5)
    z = windows.centred / windows.spread[:, None, None]
    axial, lateral = _lengths(windows.flat, windows.beams)
    return Speckle(
        windows.depth,
        _powers(windows.centred, windows.beams),
        axial,
        lateral,
        (z**3).mean((1, 2)),
        (z**4).mean((1, 2)) - 3,
        windows.mean / windows.spread,
    )


def power_at_ends(
    image: NDArray[np.uint8], tissue: NDArray[np.uint8], probe: Probe
) -> Floats | None:
    """(2, 2, 6): the power of :class:`Speckle` near the probe and far from it, as straight lines
    over depth. None if fewer than six windows show tissue."""
    windows = _Windows.of(image, tissue, probe)
    if windows is None or len(windows.depth) < _FEWEST:
        return None
    power = _powers(windows.centred, windows.beams)
    # A prior of level lines: a few windows at one depth say nothing about the slope.
    middle, mean = windows.depth.mean(), power.mean(axis=0)
    centred = windows.depth - middle
    slope = np.tensordot(centred, power - mean, 1) / ((centred**2).sum() + 0.5)
    ends = np.array([0.0, 1.0]) - middle
    return np.asarray(mean + ends[:, None, None] * slope)


@dataclass(frozen=True, slots=True)
class _Windows:
    """n windows of tissue, their beams' directions (n, 2), and what lies around."""

    centred: Floats
    """(n, 64, 64) grey levels minus their mean."""
    flat: Floats
    """(n, 64, 64) grey levels without slow changes, which are anatomy."""
    mean: Floats
    spread: Floats
    beams: Floats
    depth: Floats

    @classmethod
    def of(
        cls, image: NDArray[np.uint8], tissue: NDArray[np.uint8], probe: Probe
    ) -> _Windows | None:
        h, w = image.shape
        places = [
            (y, x)
            for y in range(0, h - SIDE + 1, _STRIDE)
            for x in range(0, w - SIDE + 1, _STRIDE)
            if tissue[y : y + SIDE, x : x + SIDE].all()
        ]
        grey = image.astype(np.float32)
        small = cv2.resize(grey, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        slow = cv2.resize(cv2.GaussianBlur(small, (0, 0), _SLOW / 4), (w, h))
        seen, flat = (
            np.array([of[y : y + SIDE, x : x + SIDE] for y, x in places]).reshape(-1, SIDE, SIDE)
            for of in (grey, grey - slow)
        )
        spread = seen.std((1, 2)).astype(np.float64)
        kept = spread >= _LEAST_SPREAD
        if not kept.any():
            return None
        at = np.array(places, float)[kept] + SIDE / 2 - np.array([probe.apex_y, probe.apex_x])
        r = np.maximum(np.hypot(*at.T), 1e-6)
        depth = np.clip((r - probe.near) / (probe.far - probe.near), 0, 1)
        mean = seen[kept].mean((1, 2), dtype=np.float64)
        centred = seen[kept] - mean.astype(np.float32)[:, None, None]
        beams = (at / r[:, None])[:, ::-1]
        return cls(centred, flat[kept], mean, spread[kept], beams, depth)


def _powers(windows: Floats, beams: Floats) -> Floats:
    """(n, 2, 6): log10 of the power along and across the beams."""
    power = np.abs(np.fft.rfft2(windows * _TAPER)) ** 2 / (_TAPER**2).sum()
    dx, dy = beams.T[:, :, None]
    result = np.empty((len(windows), 2, BANDS))
    for band in range(BANDS):
        y, x = np.nonzero(band + 1 == _BAND)
        fx, fy = _X[0, x], _Y[y, 0]
        along = np.abs(fx * dx + fy * dy) >= np.abs(fx * dy - fy * dx)
        for i, cone in enumerate((along, ~along)):
            total = (power[:, y, x] * cone).sum(1) / np.maximum(cone.sum(1), 1)
            result[:, i, band] = np.log10(total + 1e-3)
    return result


def _lengths(windows: Floats, beams: Floats) -> tuple[Floats, Floats]:
    """px along and across the beams after which the correlation falls to a half."""
    power = np.abs(np.fft.rfft2(windows * _TAPER)) ** 2
    correlation = np.fft.fftshift(np.fft.irfft2(power, s=(SIDE, SIDE)), axes=(1, 2))
    middle = SIDE // 2
    correlation /= np.maximum(correlation[:, middle, middle], 1e-9)[:, None, None]
    steps = np.arange(0, _LONGEST + _STEP, _STEP)
    found = []
    for dx, dy in (beams.T, (-beams[:, 1], beams[:, 0])):
        x = (middle + dx[:, None] * steps).astype(np.float32)
        y = (middle + dy[:, None] * steps).astype(np.float32)
        lines = [
            cv2.remap(one, x[i : i + 1], y[i : i + 1], cv2.INTER_LINEAR, borderValue=0)[0]
            for i, one in enumerate(correlation.astype(np.float32))
        ]
        found.append(np.array([_half(line) for line in lines]))
    return found[0], found[1]


def _half(line: NDArray[np.float32]) -> float:
    below = np.flatnonzero(line < 0.5)
    if len(below) == 0:
        return _LONGEST
    i = int(below[0])
    return float(i - 1 + (line[i - 1] - 0.5) / max(line[i - 1] - line[i], 1e-6)) * _STEP
