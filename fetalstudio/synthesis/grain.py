"""Gives a synthetic image the grain of a real frame: the same speckle, along and across the beams.

A synthesizer draws the texture that it learnt, which has the average sharpness of its scanners. The
lender shows which texture this image should have, by its power spectrum along and across its beams.
Excess power of the image is filtered out. Missing power is amplified up to :data:`_MOST`; the rest
is added as noise, which is as strong in each place as the image's own detail. This is done twice:
the gains along and across the beams overlap, and grey levels end at 0 and 255, so that after one
round an image has too little power.

The beams fan out, so a filter that follows them is another one in each place. With the angle p of a
frequency and the angle t of the beam, a gain of (a + c) / 2 + (a - c) / 2 cos 2(p - t) is a along
the beam and c across it. Because cos 2(p - t) = cos 2p cos 2t + sin 2p sin 2t, three filters that
are the same everywhere make it, weighted by the place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.geometry import Size
from fetalstudio.core.probe import Probe
from fetalstudio.core.sector import seen_sector, tissue_mask

_RINGS = 16
"""Rings of equal width from 0 to 0.5 cycles per px."""
_COARSE = 2
"""The first rings are left to the model: they show structures, not texture."""
_MOST = 2.0
"""Largest amplification of power. More would amplify artefacts and cause ringing at edges."""
_ROUNDS = 2
"""A third one would bring the power nearer by a fifth of what the second one brings."""
_MARGIN = 16
"""Width in px of the mirrored margin, because the filter works across the border."""
_UNEVEN = 4.0
"""Largest strength of the noise in one place, relative to the average."""
_STEPS = 32
"""Entries of a filter's table from one ring to the next."""
_SIDE = 64
"""Side in px of the windows in which power is measured."""
_FEWEST = 4
"""A frame with fewer windows inside its sector is not representative."""

_AREA = np.pi * np.diff((np.arange(_RINGS + 1) / (2 * _RINGS)) ** 2)
"""The share of the spectrum in each ring. A power per px times it adds up to a variance."""
_ROUNDING = 1 / 12
"""Variance of rounding to whole grey levels. Weaker noise would not be seen."""

Power = NDArray[np.float64]
"""(2, 16): mean power per px by ring, along the beams and across them."""
Field = NDArray[np.float32]


def with_grain_of(reference: NDArray[np.uint8], x: Field, seed: int) -> Field:
    """``x``, an (H, W) image in grey levels, with the grain of ``reference`` of the same size.

    The result is the same for the same seed. The image is unchanged if the reference shows too
    little tissue. Black stays black.
    """
    lender = _lender(reference.tobytes(), reference.shape)
    if lender is None:
        return x
    for turn in range(_ROUNDS):
        x = _nearer_to(lender, x, (seed, turn))
    return x


def _nearer_to(lender: _Lender, x: Field, noise: tuple[int, int]) -> Field:
    """One round; ``noise`` is the seed of what may be added."""
    own = lender.power_of(x)
    # An even image has no power at all; a hundredth of a grey level is negligible.
    wanted, own = lender.power + 1e-4, own + 1e-4
    wanted[:, :_COARSE] = own[:, :_COARSE]
    passed = np.minimum(wanted / own, _MOST)
    lacking = np.maximum(wanted - own * passed, 0)
    size = (x.shape[1], x.shape[0])
    result = _filtered(_spectrum(x), passed, size, lender)
    if lacking.mean(axis=0) @ _AREA > _ROUNDING:
        added = _filtered(_white(noise, size), lacking, size, lender)
        result += added * _strength(x, lender.tissue)
    result[_black(x)] = 0
    return np.clip(result, 0, 255)


@dataclass(frozen=True)
class _Lender:
    """What a frame lends. Do not write to its arrays."""

    tissue: NDArray[np.uint8]
    places: NDArray[np.intp]
    """(n, 2): row and column of each window of tissue."""
    bins: NDArray[np.intp]
    """(n, 64, 33): the ring of each value of a window's spectrum, plus 17 across the beam."""
    power: Power
    turn: tuple[Tensor, Tensor]
    """cos 2t and sin 2t of the beam's angle t in each place, two (H, W)."""

    def power_of(self, image: Field) -> Power:
        """The power of an image in the windows of tissue."""
        return _power(image, self.places, self.bins)


@lru_cache(maxsize=3)  # while an ellipse is dragged the frame stays
def _lender(pixels: bytes, shape: tuple[int, int]) -> _Lender | None:
    frame = np.frombuffer(pixels, np.uint8).reshape(shape)
    (h, w), tissue = shape, tissue_mask(frame)
    places = np.array(
        [
            (y, x)
            for y in range(0, h - _SIDE + 1, _SIDE)
            for x in range(0, w - _SIDE + 1, _SIDE)
            if tissue[y : y + _SIDE, x : x + _SIDE].all()
        ],
        np.intp,
    )
    if len(places) < _FEWEST:
        return None
    sector = seen_sector(frame)
    probe = Probe.usual((w, h)) if sector is None else Probe.of_sector(sector)
    bins = _bins(places, probe)
    dx = np.arange(w, dtype=np.float32)[None] - np.float32(probe.apex_x)
    dy = np.arange(h, dtype=np.float32)[:, None] - np.float32(probe.apex_y)
    squared = np.maximum(dx * dx + dy * dy, np.float32(1e-6))
    cosine, sine = (dx * dx - dy * dy) / squared, 2 * dx * dy / squared
    turn = torch.from_numpy(cosine), torch.from_numpy(sine)
    # The image is not rounded yet.
    power = np.maximum(_power(frame.astype(np.float32), places, bins) - _ROUNDING, 0)
    return _Lender(tissue, places, bins, power, turn)


def _bins(places: NDArray[np.intp], probe: Probe) -> NDArray[np.intp]:
    """See :class:`_Lender`. What lies within 45 degrees of the beam counts as along it."""
    fy, fx = np.fft.fftfreq(_SIDE)[:, None], np.fft.rfftfreq(_SIDE)[None]
    ring = np.minimum(np.hypot(fx, fy) / 0.5 * _RINGS, _RINGS).astype(np.intp)
    dy, dx = (places + _SIDE / 2 - (probe.apex_y, probe.apex_x)).T[:, :, None, None]
    across = np.abs(fx * dx + fy * dy) < np.abs(fx * dy - fy * dx)
    return ring + across * (_RINGS + 1)


_TAPER = np.outer(np.hanning(_SIDE), np.hanning(_SIDE)).astype(np.float32)


def _power(image: Field, places: NDArray[np.intp], bins: NDArray[np.intp]) -> Power:
    windows = np.stack([image[y : y + _SIDE, x : x + _SIDE] for y, x in places])
    windows -= windows.mean(axis=(1, 2), keepdims=True)
    spectrum = torch.fft.rfft2(torch.from_numpy(windows * _TAPER))
    power = spectrum.abs().square().numpy().ravel() / (_TAPER**2).sum()
    total = np.bincount(bins.ravel(), power, minlength=2 * (_RINGS + 1))
    count = np.bincount(bins.ravel(), minlength=2 * (_RINGS + 1))
    mean = total / np.maximum(count, 1)
    return np.asarray(mean.reshape(2, _RINGS + 1)[:, :_RINGS])


@lru_cache(maxsize=_ROUNDS)  # while an ellipse is dragged the seed stays
def _white(seed: tuple[int, int], size: Size) -> Tensor:
    """The spectrum of white noise, from another stream than the lift's. Do not write to it."""
    rng = np.random.default_rng([*seed, 1])
    return _spectrum(rng.standard_normal(size[::-1], np.float32))


def _spectrum(x: Field) -> Tensor:
    """The spectrum of an image with its mirrored margin."""
    framed = np.pad(x, _MARGIN, mode="symmetric")
    return torch.fft.rfft2(torch.from_numpy(framed))


def _filtered(spectrum: Tensor, power: Power, size: Size, lender: _Lender) -> Field:
    """An image of ``size``, filtered without phase shift by these shares of power by ring, along
    and across the beams."""
    w, h = size
    step, cosine, sine = _frequencies(size)
    fine = (np.arange(_STEPS * _RINGS * 2) + 0.5) / _STEPS - 0.5
    along, across = (np.sqrt(np.interp(fine, range(_RINGS), of)) for of in power)
    even, uneven = (
        torch.from_numpy(gain.astype(np.float32)).index_select(0, step).view(cosine.shape)
        for gain in ((along + across) / 2, (along - across) / 2)
    )

    def image(gain: Tensor) -> Tensor:
        framed = torch.fft.irfft2(spectrum * gain, s=(h + 2 * _MARGIN, w + 2 * _MARGIN))
        return framed[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]

    result = torch.addcmul(image(even), image(uneven * cosine), lender.turn[0])
    return np.asarray(result.addcmul_(image(uneven * sine), lender.turn[1]).numpy())


@lru_cache(maxsize=3)
def _frequencies(size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """For each value of the spectrum: the index into a filter's table (flat), and cos 2p and sin 2p
    of its angle p. Do not write to them."""
    y = np.fft.fftfreq(size[1] + 2 * _MARGIN)[:, None]
    x = np.fft.rfftfreq(size[0] + 2 * _MARGIN)[None]
    squared = np.maximum(x * x + y * y, 1e-12)
    step = np.sqrt(squared) * (2 * _RINGS * _STEPS)
    cosine, sine = (x * x - y * y) / squared, 2 * x * y / squared
    return (
        torch.from_numpy(step.astype(np.int64).ravel()),
        torch.from_numpy(cosine.astype(np.float32)),
        torch.from_numpy(sine.astype(np.float32)),
    )


def _black(x: Field) -> NDArray[np.bool_]:
    """The black areas; single dark px of the speckle do not count."""
    black = (x < 0.5).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8)) > 0)


def _strength(x: Field, tissue: NDArray[np.uint8]) -> Field:
    """The strength of the fine detail in each place, with an average of 1 over the tissue."""
    size = (x.shape[1], x.shape[0])
    small = (max(size[0] // 4, 1), max(size[1] // 4, 1))
    coarse = cv2.resize(cv2.resize(x, small, interpolation=cv2.INTER_AREA), size)
    power = cv2.resize((x - coarse) ** 2, small, interpolation=cv2.INTER_AREA)
    local = cv2.resize(cv2.GaussianBlur(power, (0, 0), 1.5), size)
    mean = float(local[tissue > 0].mean())
    return np.asarray(np.minimum(np.sqrt(local / max(mean, 1e-6)), _UNEVEN), np.float32)
