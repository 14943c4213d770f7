"""Gives a synthetic image the grain of a real frame: the same speckle, as soft and as sharp.

A synthesizer draws the texture that it learnt, which has the average sharpness of its scanners. The
lender shows which texture this image should have, by its radial power spectrum. Excess power of the
image is filtered out. Missing power is amplified up to :data:`_MOST`; the rest is added as noise,
which is as strong in each place as the image's own detail.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.geometry import Size
from fetalstudio.core.sector import tissue_mask
from fetalstudio.core.spectrum import tissue_power

_RINGS = 16
"""Rings of equal width from 0 to 0.5 cycles per px."""
_COARSE = 2
"""The first rings are left to the model: they show structures, not texture."""
_MOST = 2.0
"""Largest amplification of power. More would amplify artefacts and cause ringing at edges."""
_MARGIN = 16
"""Width in px of the mirrored margin, because the filter works across the border."""
_UNEVEN = 4.0
"""Largest strength of the noise in one place, relative to the average."""
_STEPS = 32
"""Entries of a filter's table from one ring to the next."""


def with_grain_of(
    reference: NDArray[np.uint8], image: NDArray[np.uint8], seed: int
) -> NDArray[np.uint8]:
    """``image``, (H, W) uint8, with the grain of ``reference``, which has the same size.

    The result is the same for the same seed. The image is unchanged if the reference shows too
    little tissue. Black stays black.
    """
    tissue, wanted = _measured(reference.tobytes(), reference.shape)
    if wanted is None:
        return image
    own = tissue_power([image], tissue, _RINGS)
    assert own is not None, "its windows are those of the reference"
    # An even image has no power at all; a hundredth of a grey level is negligible.
    wanted, own = wanted + 1e-4, own[0] + 1e-4
    wanted[:_COARSE] = own[:_COARSE]
    passed = np.minimum(wanted / own, _MOST)
    lacking = np.maximum(wanted - own * passed, 0)
    size = (image.shape[1], image.shape[0])
    x = image.astype(np.float32)
    result = _filtered(_spectrum(x), passed, size)
    if lacking.any():
        result = result + _filtered(_white(seed, size), lacking, size) * _strength(x, tissue)
    result[_black(image)] = 0
    return np.clip(result + 0.5, 0, 255).astype(np.uint8)


@lru_cache(maxsize=3)  # while an ellipse is dragged the frame stays
def _measured(
    pixels: bytes, shape: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float64] | None]:
    """The frame's tissue, and its power by ring. Do not write to the result."""
    frame = np.frombuffer(pixels, np.uint8).reshape(shape)
    tissue = tissue_mask(frame)
    power = tissue_power([frame], tissue, _RINGS)
    return tissue, None if power is None else power[0]


@lru_cache(maxsize=1)  # while an ellipse is dragged the seed stays
def _white(seed: int, size: Size) -> Tensor:
    """The spectrum of white noise, from another stream than the lift's. Do not write to it."""
    rng = np.random.default_rng([seed, 1])
    return _spectrum(rng.standard_normal(size[::-1], np.float32))


def _spectrum(x: NDArray[np.float32]) -> Tensor:
    """The spectrum of an image with its mirrored margin."""
    framed = np.pad(x, _MARGIN, mode="symmetric")
    return torch.fft.rfft2(torch.from_numpy(framed))


def _filtered(spectrum: Tensor, power: NDArray[np.float64], size: Size) -> NDArray[np.float32]:
    """An image of ``size``, filtered without phase shift by these shares of power by ring."""
    w, h = size
    fine = np.interp((np.arange(_STEPS * _RINGS * 2) + 0.5) / _STEPS - 0.5, range(_RINGS), power)
    amplitude = torch.from_numpy(np.sqrt(fine).astype(np.float32))[_steps(size)]
    framed = torch.fft.irfft2(spectrum * amplitude, s=(h + 2 * _MARGIN, w + 2 * _MARGIN))
    return framed.numpy()[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]


@lru_cache(maxsize=3)
def _steps(size: Size) -> Tensor:
    """The index into a filter's table for each value of the spectrum. Do not write to it."""
    y = np.fft.fftfreq(size[1] + 2 * _MARGIN)[:, None]
    radius = np.hypot(y, np.fft.rfftfreq(size[0] + 2 * _MARGIN))
    return torch.from_numpy((radius * 2 * _RINGS * _STEPS).astype(np.int64))


def _black(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The black areas; single dark px of the speckle do not count."""
    black = (image == 0).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8)) > 0)


def _strength(x: NDArray[np.float32], tissue: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The strength of the fine detail in each place, with an average of 1 over the tissue."""
    size = (x.shape[1], x.shape[0])
    small = (max(size[0] // 4, 1), max(size[1] // 4, 1))
    coarse = cv2.resize(cv2.resize(x, small, interpolation=cv2.INTER_AREA), size)
    power = cv2.resize((x - coarse) ** 2, small, interpolation=cv2.INTER_AREA)
    local = cv2.resize(cv2.GaussianBlur(power, (0, 0), 1.5), size)
    mean = float(local[tissue > 0].mean())
    return np.asarray(np.minimum(np.sqrt(local / max(mean, 1e-6)), _UNEVEN), np.float32)
