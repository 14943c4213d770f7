"""The distance between two sets of frames in style: grey levels and texture, not content.

Whole sectors are compared on one canvas, whatever the size of the frames. ``core.texture`` compares
one head in the frame's own pixels, which show the finest speckle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.geometry import letterbox, warp
from fetalstudio.core.sector import seen_sector
from fetalstudio.core.spectrum import radial_power

_CANVAS = (384, 256)
"""Frames are compared at this (width, height), so that a frequency means the same in all."""
_RINGS = 32
"""Rings of equal width between frequency 0 and the Nyquist frequency of the lower side."""


@dataclass(frozen=True, slots=True)
class StyleDistance:
    """Two distances, each 0 for equal styles."""

    grey: float
    """Earth mover's distance of the grey levels inside the sectors, in grey levels (0 to 255)."""
    spectrum: float
    """Mean absolute difference of the radial power spectra, in dB."""


@dataclass(frozen=True, slots=True)
class Style:
    """The style of a set of frames."""

    levels: NDArray[np.float64]
    """(256,) cumulative shares of the grey levels inside the sectors; each frame counts once."""
    spectrum_db: NDArray[np.float64]
    """(31,) mean power by ring of spatial frequency, in dB; the mean grey (ring 0) left out."""

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]]) -> Style:
        """The style of images (H, W) uint8 of any size. Raises ``ValueError`` if there are none."""
        if not images:
            raise ValueError("a style needs at least one image")
        placed = [_placed(image) for image in images]
        levels = np.mean([_levels(image) for image in placed], axis=0)
        spectrum = np.mean([_spectrum(image) for image in placed], axis=0)
        return cls(np.cumsum(levels), spectrum)

    def distance(self, other: Style) -> StyleDistance:
        """The distance to another style; symmetric."""
        return StyleDistance(
            float(np.abs(self.levels - other.levels).sum()),
            float(np.abs(self.spectrum_db - other.spectrum_db).mean()),
        )


def _placed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    h, w = image.shape
    return warp(image, letterbox((w, h), _CANVAS), _CANVAS).astype(np.uint8)


def _inside(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The sector; the whole frame if no sector is seen."""
    sector = seen_sector(image)
    return np.ones(image.shape, bool) if sector is None else sector > 0


def _levels(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.bincount(image[_inside(image)], minlength=256) / _inside(image).sum()


def _spectrum(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Power by ring in dB. A window hides the edge of the sector, which would dominate."""
    h, w = image.shape
    inside = _inside(image)
    window = np.outer(np.hanning(h), np.hanning(w)) * cv2.GaussianBlur(
        inside.astype(np.float64), (0, 0), 6
    )
    centred = np.where(inside, image - image[inside].mean(), 0.0) * window
    power = radial_power(centred, _RINGS) / (window**2).sum()
    # An even image has no power at all; a ten-thousandth of a grey level is negligible.
    return 10 * np.log10(power[1:] + 1e-8)
