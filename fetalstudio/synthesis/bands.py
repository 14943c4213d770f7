"""Lossless transform of an image to 16 frequency bands at a quarter of its size, and back.

The 4x4 blocks of the image are transformed by an orthonormal 4-point Walsh-Hadamard (two-level
Haar packet) basis along both axes. Without an autoencoder, the speckle is not blurred.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BANDS = 16
FACTOR = 4


def _basis() -> Tensor:
    pair = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    line = torch.kron(pair, pair) / 2
    return torch.kron(line, line)


def to_bands(image: Tensor) -> Tensor:
    """(B, 1, H, W) to (B, 16, H/4, W/4); H and W are multiples of 4. Band 0 is 4 x the mean."""
    blocks = functional.pixel_unshuffle(image, FACTOR)
    return torch.einsum("ij,bjhw->bihw", _basis().to(image), blocks)


def from_bands(bands: Tensor) -> Tensor:
    """The inverse of :func:`to_bands`."""
    blocks = torch.einsum("ji,bjhw->bihw", _basis().to(bands), bands)
    return functional.pixel_shuffle(blocks, FACTOR)
