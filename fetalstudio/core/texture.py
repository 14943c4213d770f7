"""Speckle, sharpness and grey levels of a head, and how far they are from a cohort's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.spectrum import radial_power

_SIDE = 256
_RINGS, _LEVELS = 32, 64
_FEWEST = 10
"""With fewer real frames, no usual range can be given."""
_LIMIT_PERCENTILE = 95.0

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Texture:
    """The texture of the head in one frame."""

    speckle_snr: float
    """Mean over standard deviation of the grey levels in windows of a tenth of b: the median over
    the inside of the skull. (A Rayleigh envelope has 1.91 before log compression. Frames are
    compressed, so only values of the same scanner can be compared.)"""
    spectrum: Floats
    """(32,) power by radial frequency, 0 to 0.5 cycles/px, in dB, minus its mean."""
    greys: Floats
    """(64,) cumulative shares of the grey levels inside the ellipse, from black."""


@dataclass(frozen=True, slots=True)
class CohortTexture:
    """The usual texture of real frames, and how much real frames differ from it."""

    speckle_snr: float
    spectrum: Floats
    greys: Floats
    frames: int
    limits: Mapping[str, float]
    """For each figure of :meth:`differences` the limit that 95 % of the real frames keep, each
    compared with the others; empty for fewer than 10 frames."""

    @classmethod
    def of(cls, textures: Sequence[Texture]) -> CohortTexture | None:
        """From the textures of real frames; None without any."""
        if not textures:
            return None
        whole = _mean(textures)
        limits: Mapping[str, float] = {}
        if len(textures) >= _FEWEST:
            apart = [
                _mean([*textures[:i], *textures[i + 1 :]]).differences(texture)
                for i, texture in enumerate(textures)
            ]
            limits = {
                key: float(np.percentile([abs(one[key]) for one in apart], _LIMIT_PERCENTILE))
                for key in apart[0]
                if all(key in one for one in apart)
            }
        return cls(whole.speckle_snr, whole.spectrum, whole.greys, len(textures), limits)

    def differences(self, texture: Texture) -> Mapping[str, float]:
        """How much a texture differs from the cohort's.

        ``speckle_difference`` is relative, ``spectrum_db`` the root mean square over the
        frequencies in dB, ``grey_difference`` the earth mover's distance of the histograms in grey
        levels. The first is left out if the cohort is too dark to show speckle.
        """
        gaps = np.abs(texture.greys - self.greys)
        figures = {
            "spectrum_db": float(np.sqrt(np.mean((texture.spectrum - self.spectrum) ** 2))),
            "grey_difference": float(gaps.sum() * 256 / _LEVELS),
        }
        if self.speckle_snr > 0:
            figures["speckle_difference"] = texture.speckle_snr / self.speckle_snr - 1
        return figures


def texture_of(image: NDArray[np.uint8], ellipse: Ellipse) -> Texture:
    """The texture of the head in an (H, W) uint8 frame."""
    h, w = image.shape
    x0, y0, x1, y1 = ellipse.box()
    left, top = min(max(0, int(x0)), w - 8), min(max(0, int(y0)), h - 8)
    head = image[top : max(int(y1) + 1, top + 8), left : max(int(x1) + 1, left + 8)]
    size = (head.shape[1], head.shape[0])
    placed = Ellipse(ellipse.cx - left, ellipse.cy - top, ellipse.a, ellipse.b, ellipse.angle_deg)
    inside = placed.mask(size) > 0
    brain = Ellipse.of(placed.cx, placed.cy, 0.8 * placed.a, 0.8 * placed.b, placed.angle_deg)
    counts = np.bincount(head[inside], minlength=256).reshape(_LEVELS, -1).sum(axis=1)
    return Texture(
        _speckle_snr(head, brain.mask(size) > 0, max(3, round(0.1 * ellipse.b))),
        _spectrum(image, (round(ellipse.cx), round(ellipse.cy))),
        np.cumsum(counts) / max(counts.sum(), 1),
    )


def _mean(textures: Sequence[Texture]) -> CohortTexture:
    return CohortTexture(
        float(np.median([t.speckle_snr for t in textures])),
        np.mean([t.spectrum for t in textures], axis=0),
        np.mean([t.greys for t in textures], axis=0),
        len(textures),
        {},
    )


def _speckle_snr(head: NDArray[np.uint8], brain: NDArray[np.bool_], window: int) -> float:
    grey = head.astype(np.float32)
    mean = np.asarray(cv2.blur(grey, (window, window)))
    square = np.asarray(cv2.blur(grey * grey, (window, window)))
    spread = np.sqrt(np.maximum(square - mean * mean, 0.25))
    # Black fluid and shadows have no speckle.
    seen = brain & (mean > 8)
    return float(np.median((mean / spread)[seen])) if seen.any() else 0.0


def _spectrum(image: NDArray[np.uint8], centre: tuple[int, int]) -> Floats:
    """The spectrum of the 256 px square around the head's centre, mirrored at the border."""
    half = _SIDE // 2
    framed = cv2.copyMakeBorder(image, half, half, half, half, cv2.BORDER_REFLECT)
    x, y = (min(max(at, 0), side - 1) for at, side in zip(centre, image.shape[::-1], strict=True))
    square = framed[y : y + _SIDE, x : x + _SIDE].astype(np.float32)
    taper = np.hanning(_SIDE).astype(np.float32)
    power = radial_power((square - square.mean()) * taper * taper[:, None], _RINGS)
    level = 10 * np.log10(power + 1.0)
    return np.asarray(level - level.mean())
