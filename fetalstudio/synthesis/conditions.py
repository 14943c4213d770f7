"""The conditions of the compact synthesizer: maps of the ellipse and the sector, and a style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine

CANVAS = (384, 256)
"""(width, height) in px of the image that the model makes."""
GRID = (96, 64)
"""(width, height) of the maps: one cell for each 4x4 block of the canvas."""
STYLES = ("first", "second", "third", "any")
"""Trimesters by name; ``any`` leaves the choice to the model."""
CHANNELS = 7


@dataclass(frozen=True, slots=True)
class Surroundings:
    """A frame whose head is replaced while its other tissue is kept."""

    image: NDArray[np.uint8]
    """(256, 384) on the canvas."""
    made: NDArray[np.float32]
    """(256, 384): the share of the model in each pixel, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The conditions of one image."""

    ellipse: Ellipse | None
    """On the canvas; None leaves the head to the model (the unguided branch)."""
    sector: NDArray[np.uint8] | None = None
    """(256, 384) of 0 and 1; None leaves the sector to the model."""
    style: str = "any"
    surroundings: Surroundings | None = None
    """Tissue to keep; None makes the whole image."""


def condition_maps(condition: Condition) -> NDArray[np.float32]:
    """The maps, (7, 64, 96) float32 within [-1, 1].

    0 covered share of the cell; 1-2 signed distance through tanh at 4 and 32 px; 3-4 coordinates
    along the major and minor axis (1 on the outline, clipped at 1.5); 5 signed distance to the
    sector's edge through tanh at 4 px, positive inside; 6 which of the two is known: 0 neither,
    0.5 the sector, 1 the ellipse (with or without a sector).
    """
    maps = np.zeros((CHANNELS, GRID[1], GRID[0]), np.float32)
    if condition.sector is not None:
        maps[5] = cv2.resize(_edge(condition.sector), GRID, interpolation=cv2.INTER_AREA)
        maps[6] = 0.5
    if condition.ellipse is not None:
        # Cell (0, 0) covers canvas pixels 0 to 3, whose middle is at 1.5.
        small = condition.ellipse.transformed(Affine.scaling(0.25) @ Affine.translation(-1.5, -1.5))
        distance = 4 * small.sdf(GRID)
        u, v = small.local(GRID)
        maps[0] = np.clip(0.5 - distance / 4, 0, 1)
        maps[1] = np.tanh(distance / 4)
        maps[2] = np.tanh(distance / 32)
        maps[3] = np.clip(u / small.a, -1.5, 1.5) / 1.5
        maps[4] = np.clip(v / small.b, -1.5, 1.5) / 1.5
        maps[6] = 1.0
    return maps


def _edge(sector: NDArray[np.uint8]) -> NDArray[np.float32]:
    """tanh of the signed distance to a region's edge in steps of 4 px, positive inside."""
    inside, outside = (
        cv2.distanceTransform(part, cv2.DIST_L2, cv2.DIST_MASK_3) for part in (sector, 1 - sector)
    )
    return np.tanh((inside - outside) / 4).astype(np.float32)


def _stack_maps(conditions: Sequence[Condition]) -> NDArray[np.float32]:
    """The maps of all conditions, (B, 7, 64, 96)."""
    return np.stack([condition_maps(c) for c in conditions])


def style_labels(conditions: Sequence[Condition]) -> NDArray[np.int64]:
    """(B,) indices into :data:`STYLES`. Raises ``ValueError`` for an unknown style."""
    for condition in conditions:
        if condition.style not in STYLES:
            raise ValueError(f"there is no style {condition.style!r}, only {STYLES}")
    return np.array([STYLES.index(c.style) for c in conditions])


def condition_tensors(
    conditions: Sequence[Condition], device: torch.device
) -> tuple[Tensor, Tensor]:
    """The inputs of the denoiser: :func:`_stack_maps` and :func:`style_labels` on ``device``."""
    maps, labels = _stack_maps(conditions), style_labels(conditions)
    return torch.from_numpy(maps).to(device), torch.from_numpy(labels).to(device)
