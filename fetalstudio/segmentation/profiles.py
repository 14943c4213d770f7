"""Preprocessing profiles: how a frame is prepared for a model and mapped to its square input.

A model works only with the preprocessing of its training, so each model card names a profile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Affine, Size, letterbox, warp

PIXEL_MEAN, PIXEL_STD = 45.0, 50.0
"""Mean and standard deviation of 8-bit grey values, close to those in the sector of HC18."""
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class Profile(ABC):
    """Maps a frame to a square input of ``side`` px and scales its grey values."""

    side: int

    @abstractmethod
    def to_input(self, size: Size) -> Affine:
        """Maps pixels of a frame of ``size`` to pixels of the input, for prompts too."""

    @abstractmethod
    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        """Prepare a frame (H, W) uint8 for the encoder: (3, side, side) float32."""


class CompactProfile(Profile):
    """Centred at one scale with black bars, normalised by one mean and standard deviation."""

    __slots__ = ()

    def to_input(self, size: Size) -> Affine:
        return letterbox(size, (self.side, self.side))

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        to_input = self.to_input((image.shape[1], image.shape[0]))
        laid = warp(image, to_input, (self.side, self.side))
        return ((torch.from_numpy(laid).float() - PIXEL_MEAN) / PIXEL_STD).expand(3, -1, -1)


class SamProfile(Profile):
    """As segment_anything: the longest side fills the input, ImageNet's scaling, then zeros at the
    right or bottom (``utils/transforms.py`` and ``Sam.preprocess``)."""

    __slots__ = ()

    def to_input(self, size: Size) -> Affine:
        return _stretched(size, self._inner(size))

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        w, h = self._inner((image.shape[1], image.shape[0]))
        grey = _resized(image, (w, h), "bilinear")
        mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        return functional.pad((grey - mean) / std, (0, self.side - w, 0, self.side - h))

    def _inner(self, size: Size) -> Size:
        scale = self.side / max(size)
        return int(size[0] * scale + 0.5), int(size[1] * scale + 0.5)


class MedSamProfile(Profile):
    """As MedSAM (``MedSAM_Inference.py``): stretched to the square; darkest 0, brightest 1."""

    __slots__ = ()

    def to_input(self, size: Size) -> Affine:
        return _stretched(size, (self.side, self.side))

    def prepare(self, image: NDArray[np.uint8]) -> Tensor:
        grey = _resized(image, (self.side, self.side), "bicubic").clamp(0, 255).round()
        low, high = grey.min(), grey.max()
        return ((grey - low) / (high - low).clamp(min=1e-8)).expand(3, -1, -1)


ProfileName = Literal["compact", "sam", "medsam"]
PROFILES: Mapping[str, type[Profile]] = {
    "compact": CompactProfile,
    "sam": SamProfile,
    "medsam": MedSamProfile,
}


def profile_of(preprocessing: Mapping[str, Any], side: int) -> Profile:
    """The profile that a card's ``preprocessing`` names, by default ``compact``.

    Raises :class:`InputError` for an unknown profile.
    """
    name = preprocessing.get("profile", "compact")
    if name not in PROFILES:
        raise InputError(
            f"There is no preprocessing profile {name!r}. Choose one of these: "
            f"{', '.join(PROFILES)}."
        )
    return PROFILES[name](side)


def _stretched(size: Size, inner: Size) -> Affine:
    """Scales each axis; edges scale, not pixel centres."""
    sx, sy = inner[0] / size[0], inner[1] / size[1]
    return Affine(xx=sx, x0=0.5 * sx - 0.5, yy=sy, y0=0.5 * sy - 0.5)


def _resized(image: NDArray[np.uint8], size: Size, mode: str) -> Tensor:
    """(1, h, w) float32. Shrinking is low-pass filtered, like Pillow's in their training."""
    grey = torch.from_numpy(np.ascontiguousarray(image)).float()[None, None]
    shape = (size[1], size[0])
    return functional.interpolate(grey, shape, mode=mode, align_corners=False, antialias=True)[0]
