"""Speckle measured along the beams and across them, by depth.

A pulse is short and a beam is wide, and it widens with depth. So speckle is longer across the beam
than along it, and coarser far from the probe. A radial spectrum shows neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

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
_LEAST_SPREAD: Final = 1.0
"""Windows with less spread, in grey levels, show fluid or rounding, not speckle."""
_Y: Final = np.fft.fftfreq(SIDE)[:, None]
_X: Final = np.fft.rfftfreq(SIDE)[None]
_BAND: Final = np.digitize(np.hypot(_X, _Y), EDGES)
_TAPER: Final = np.outer(np.hanning(SIDE), np.hanning(SIDE))

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

    def at_ends(self) -> Floats:
        """(2, 2, 6): the power near the probe and far from it, as straight lines over depth.

        Raises ``ValueError`` if there are no windows.
        """
        if not len(self):
            raise ValueError("no speckle was measured")
        # A prior of level lines: a few windows at one depth say nothing about the slope.
        centred = self.depth - self.depth.mean()
        mean = self.power.mean(axis=0)
        slope = np.tensordot(centred, self.power - mean, 1) / ((centred**2).sum() + 0.5)
        ends = np.array([0.0, 1.0]) - self.depth.mean()
        return np.asarray(mean + ends[:, None, None] * slope)


def speckle_of(image: NDArray[np.uint8], tissue: NDArray[np.uint8], probe: Probe) -> Speckle:
    """Measure an (H, W) frame in windows of 64 px that lie in ``tissue``, (H, W) of 0 and 1."""
    h, w = image.shape
    rows: list[tuple[Any, ...]] = []
    for y in range(0, h - SIDE + 1, _STRIDE):
        for x in range(0, w - SIDE + 1, _STRIDE):
            at = np.s_[y : y + SIDE, x : x + SIDE]
            if not tissue[at].all():
                continue
            window = image[at].astype(np.float64)
            spread = float(window.std())
            if spread < _LEAST_SPREAD:
                continue
            rows.append(_measured(window, spread, probe, x + SIDE / 2, y + SIDE / 2))
    if not rows:
        empty = np.zeros(0)
        return Speckle(empty, np.zeros((0, 2, BANDS)), *(empty,) * 5)
    return Speckle(*(np.array(column) for column in zip(*rows, strict=True)))


def _measured(
    window: Floats, spread: float, probe: Probe, x: float, y: float
) -> tuple[float, Floats, float, float, float, float, float]:
    dx, dy = x - probe.apex_x, y - probe.apex_y
    r = float(np.hypot(dx, dy)) or 1.0
    beam = (dx / r, dy / r)
    depth = float(np.clip((r - probe.near) / (probe.far - probe.near), 0, 1))
    mean = float(window.mean())
    # Slow changes are anatomy, not speckle.
    fine = window - cv2.GaussianBlur(window, (0, 0), SIDE / 6)
    power = np.abs(np.fft.rfft2((window - mean) * _TAPER)) ** 2 / (_TAPER**2).sum()
    along, across = np.abs(_X * beam[0] + _Y * beam[1]), np.abs(_X * beam[1] - _Y * beam[0])
    bands = np.empty((2, BANDS))
    for i, cone in enumerate((along >= across, along < across)):
        total = np.bincount(_BAND[cone], power[cone], minlength=BANDS + 2)[1 : BANDS + 1]
        count = np.bincount(_BAND[cone], minlength=BANDS + 2)[1 : BANDS + 1]
        bands[i] = np.log10(total / np.maximum(count, 1) + 1e-3)
    correlation = np.fft.irfft2(np.abs(np.fft.rfft2(fine * _TAPER)) ** 2, s=(SIDE, SIDE))
    correlation = np.fft.fftshift(correlation / max(correlation[0, 0], 1e-9))
    lengths = [_half(correlation, step) for step in (beam, (-beam[1], beam[0]))]
    z = (window - mean) / spread
    return (
        depth,
        bands,
        *lengths,
        float((z**3).mean()),
        float((z**4).mean() - 3),
        mean / spread,
    )  # type: ignore[return-value]


def _half(correlation: Floats, step: tuple[float, float]) -> float:
    """px along a direction after which the correlation falls to a half."""
    at = np.arange(0, _LONGEST + 0.25, 0.25, dtype=np.float32)
    middle = SIDE // 2
    x, y = middle + at * np.float32(step[0]), middle + at * np.float32(step[1])
    line = cv2.remap(
        correlation.astype(np.float32), x[None], y[None], cv2.INTER_LINEAR, borderValue=0
    )[0]
    below = np.flatnonzero(line < 0.5)
    if len(below) == 0:
        return _LONGEST
    i = int(below[0])
    share = (line[i - 1] - 0.5) / max(float(line[i - 1] - line[i]), 1e-6)
    return float(at[i - 1] + 0.25 * share)
