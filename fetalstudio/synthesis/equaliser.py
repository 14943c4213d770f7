"""Gives the finest octaves of an image the average power that they have in real frames.

A network that works on a coarse grid leaves faint lines of 2 and 4 px. They are hardly seen, but
they are the first thing by which another network tells such an image from a real one. One filter,
the same in each place, takes them out and restores what is too weak. It is measured once, on frames
that the network learnt from.

Real frames also have faint noise, whose variance grows with the brightness. Without it, rounding to
whole grey levels turns smooth areas into steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 32
"""Side in px of the windows in which power is measured, and of the table of gains."""
_STRIDE = SIDE // 2
_ROUNDING = 1 / 12
"""Variance of rounding to whole grey levels: power per px at all frequencies."""
_NOISE = 0.0005
"""Variance of the finest noise, in grey levels squared for each grey level. With more of it, the
bright places of pictures of the validation frames had too much power in the finest octave."""
_COARSEST, _FULL = 0.12, 0.2
"""cycles per px: the equaliser begins at the first, and has its full effect from the second. What
is coarser shows structures, not texture."""
_GAINS = (0.15, 1.6)
"""Limits of a change of amplitude."""

Image = NDArray[np.float32]
Power = NDArray[np.float64]
"""(32, 32): mean power per px by frequency (y, x), in the order of ``numpy.fft``."""

_TAPER = np.outer(*[np.hanning(SIDE + 2)[1:-1]] * 2)
_F = np.fft.fftfreq(SIDE)
_SHARE = np.clip((np.hypot(_F[:, None], _F) - _COARSEST) / (_FULL - _COARSEST), 0, 1)


def fine_power(image: NDArray[np.uint8], tissue: NDArray[np.uint8]) -> Power | None:
    """The power of an (H, W) image in windows of ``tissue``, (H, W) of 0 and 1; None if it has too
    few of them."""
    h, w = image.shape
    x = image.astype(np.float32)
    found = [
        x[top : top + SIDE, left : left + SIDE]
        for top in range(0, h - SIDE + 1, _STRIDE)
        for left in range(0, w - SIDE + 1, _STRIDE)
        if tissue[top : top + SIDE, left : left + SIDE].all()
    ]
    if len(found) < 10:
        return None
    windows = np.stack(found)
    windows -= windows.mean(axis=(1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(windows * _TAPER)) ** 2
    return np.asarray(power.mean(axis=0) / (_TAPER**2).sum())


@dataclass(frozen=True)
class Equaliser:
    """A filter and the finest noise."""

    gains: NDArray[np.float32]
    """(32, 32): changes of amplitude by frequency (y, x), in the order of ``numpy.fft``."""

    def apply(self, image: Image, seed: int) -> Image:
        """Filter an (H, W) image in grey levels. The result is the same for the same seed."""
        kernel = np.fft.fftshift(np.fft.ifft2(self.gains).real)[1:, 1:]
        kernel = np.asarray(kernel / kernel.sum(), np.float32)
        even = cv2.filter2D(image, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
        spread = np.sqrt(_NOISE * np.maximum(even, 0))
        rng = np.random.default_rng([seed, 3])
        return np.asarray(even + spread * rng.standard_normal(even.shape, np.float32), np.float32)

    def corrected(self, real: Sequence[Power], made: Sequence[Power]) -> Equaliser:
        """The one that would have given ``made``, the images of this one, the power of ``real``."""
        change = np.mean(
            [
                np.log(_without_rounding(r) / _without_rounding(m))
                for r, m in zip(real, made, strict=True)
            ],
            axis=0,
        )
        gains = self.gains * np.exp(change / 2 * _SHARE)
        # The filter has no phase, so opposite frequencies belong together.
        opposite = np.roll(gains[::-1, ::-1], (1, 1), (0, 1))
        return Equaliser(np.clip((gains + opposite) / 2, *_GAINS).astype(np.float32))


NEUTRAL = np.ones((SIDE, SIDE), np.float32)
"""Gains that change nothing."""


def _without_rounding(power: Power) -> Power:
    return np.maximum(power - _ROUNDING, 0.1 * _ROUNDING)
