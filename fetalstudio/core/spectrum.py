"""Radial power spectra: how strong structures of each size are, whatever their direction."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray


def radial_power(tapered: NDArray[np.floating], rings: int) -> NDArray[np.float64]:
    """(rings,) mean power by ring of spatial frequency, rings of equal width from 0 to 0.5
    cycles/px, of (H, W) grey levels that fall off to 0 at the border; corners are left out."""
    power = np.abs(np.fft.rfft2(tapered)) ** 2
    ring, count = _rings(*tapered.shape, rings)
    return np.asarray(np.bincount(ring, power.ravel(), minlength=rings + 1)[:rings] / count)


@cache
def _rings(h: int, w: int, rings: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The ring of each of the values of an FFT, flat, and how many each has."""
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w))
    ring = np.minimum(radius.ravel() / 0.5 * rings, rings).astype(np.intp)
    return ring, np.maximum(np.bincount(ring, minlength=rings + 1)[:rings], 1)
