"""Radial power spectra: the strength of structures by size, in all directions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

_WINDOW: Final = 64
_FEWEST: Final = 4
"""A frame with fewer windows inside its sector is not representative."""


def tissue_power(
    images: Sequence[NDArray[np.number]], tissue: NDArray[np.uint8], rings: int
) -> NDArray[np.float64] | None:
    """The mean :func:`radial_power` of n images of one size, (n, rings), over windows of 64 px.

    The windows lie in ``tissue``, (H, W) of 0 and 1. The power is per px: for white noise it is the
    variance. None if there are fewer than four windows.
    """
    taper = np.outer(np.hanning(_WINDOW), np.hanning(_WINDOW))
    h, w = tissue.shape
    places = [
        at
        for y in range(0, h - _WINDOW + 1, _WINDOW)
        for x in range(0, w - _WINDOW + 1, _WINDOW)
        if tissue[at := np.s_[y : y + _WINDOW, x : x + _WINDOW]].all()
    ]
    if len(places) < _FEWEST:
        return None
    windows = [[image[at] - image[at].mean() for at in places] for image in images]
    power = [[radial_power(one * taper, rings) for one in each] for each in windows]
    return np.asarray(np.mean(power, axis=1) / (taper * taper).sum())


def radial_power(tapered: NDArray[np.floating], rings: int) -> NDArray[np.float64]:
    """Mean power by ring of spatial frequency, (rings,), of (H, W) grey levels that fade to 0.

    The rings have equal width from 0 to 0.5 cycles/px. The corners of the spectrum are left out.
    """
    power = np.abs(np.fft.rfft2(tapered)) ** 2
    ring, count = _rings(*tapered.shape, rings)
    return np.asarray(np.bincount(ring, power.ravel(), minlength=rings + 1)[:rings] / count)


@cache
def _rings(h: int, w: int, rings: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The ring of each value of an FFT, flattened, and the number of values in each ring."""
    radius = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w))
    ring = np.minimum(radius.ravel() / 0.5 * rings, rings).astype(np.intp)
    return ring, np.maximum(np.bincount(ring, minlength=rings + 1)[:rings], 1)
