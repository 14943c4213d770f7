"""Mapping a frame and its ellipse to the model's square image, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, Size, letterbox, warp
from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings

RgbImage = NDArray[np.uint8]
"""(S, S, 3) uint8."""


def to_canvas(size: Size, side: int, placement: Literal["squash", "letterbox"]) -> Affine:
    """Maps px of a frame of ``size`` to px of the square image."""
    if placement == "letterbox":
        return letterbox(size, (side, side))
    sx, sy = side / size[0], side / size[1]
    # Edges scale, not pixel centres: x' + .5 = s (x + .5).
    return Affine(xx=sx, x0=0.5 * sx - 0.5, yy=sy, y0=0.5 * sy - 0.5)


def training_image(
    frame: NDArray[np.uint8], ellipse: Ellipse, side: int, settings: LoraSettings
) -> RgbImage:
    """The packing of the paper's code: frame, frame, outline."""
    h, w = frame.shape
    there = to_canvas((w, h), side, settings.placement)
    grey = warp(frame, there, (side, side)).astype(np.uint8)
    drawn = ellipse.transformed(there)
    if settings.third_channel == "filled":
        third = drawn.mask((side, side)) * np.uint8(255)
    else:
        third = draw_outline(drawn, side, settings.outline_width)
    return np.dstack([grey, grey, third])


def condition_image(
    ellipse: Ellipse, sector: NDArray[np.uint8] | None, side: int, outline_width: float
) -> RgbImage:
    """The condition image for an ``ellipse`` in px of the square image.

    Red: signed distance to the ellipse through tanh at a sixteenth of the side, bright inside.
    Green: the sector, (S, S) of 0 and 1, or 0.5 if it is left to the model. Blue: the
    outline.
    """
    distance = np.tanh(-ellipse.sdf((side, side)) / (side / 16))
    red = np.round((distance + 1) * 127.5).astype(np.uint8)
    green = np.full((side, side), 128, np.uint8) if sector is None else sector * np.uint8(255)
    return np.dstack([red, green, draw_outline(ellipse, side, outline_width)])


def draw_outline(ellipse: Ellipse, side: int, width: float) -> NDArray[np.uint8]:
    """The outline in white on black, (S, S) uint8, smooth at its edges."""
    distance = np.abs(ellipse.sdf((side, side)))
    return np.round(255 * np.clip(width / 2 + 0.5 - distance, 0, 1)).astype(np.uint8)


def to_frame(image: NDArray[np.uint8], there: Affine, size: Size) -> NDArray[np.uint8]:
    """A channel (S, S) of the square image at the size of the frame, (H, W) uint8."""
    return warp(image, there.inverse(), size).astype(np.uint8)


def to_tensor(images: Sequence[RgbImage]) -> Tensor:
    """(B, 3, S, S) float32 in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(tensor: Tensor) -> list[RgbImage]:
    """The inverse, rounded and clipped."""
    bytes_ = ((tensor.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return list(bytes_.permute(0, 2, 3, 1).cpu().numpy())
