"""Haze: echoes that come back more than once and veil what lies under the probe or the skull."""

from __future__ import annotations

import math

import numpy as np

from fetalstudio.core.biometry import Trimester
from fetalstudio.simulation.acoustics import Field, amplitude, smooth_noise
from fetalstudio.simulation.grid import Grid

_BEHIND_WALL_DB = {"first": (-54, -40), "second": (-54, -38), "third": (-52, -36)}


def near_field(rng: np.random.Generator, grid: Grid, mm_per_px: float) -> Field:
    """Amplitude of the reverberations between the skin and the probe, (depths, beams).

    They lie at multiples of the thickness of a layer, as stripes along the probe's surface, and
    fade within a few centimetres. Fluid there is veiled like tissue.
    """
    depth = (grid.depths - np.float32(grid.probe.near)) * np.float32(mm_per_px)
    level = float(amplitude(rng.uniform(-46, -30)))
    reach, layer = float(rng.uniform(6, 22)), float(rng.uniform(1.5, 5))
    wavy = depth[:, None] + np.float32(0.3) * smooth_noise(rng, grid.shape, (2, 4))
    stripes = 1 + np.float32(rng.uniform(0.2, 0.7)) * np.cos(wavy * np.float32(2 * math.pi / layer))
    patchy = np.exp(np.float32(0.4) * smooth_noise(rng, grid.shape, (3, 6)))
    fading = np.exp(-np.maximum(depth, 0) / np.float32(reach))[:, None]
    return (level * fading * stripes * patchy).astype(np.float32)


def behind_wall(rng: np.random.Generator, grid: Grid, inside: Field, kind: Trimester) -> Field:
    """Amplitude of the echoes between the near wall of the skull and the probe: they veil the upper
    half of the head. ``inside`` is the share of each cell that is inside the skull."""
    below = np.cumsum(inside, axis=0) * np.float32(grid.step)
    level = float(amplitude(rng.uniform(*_BEHIND_WALL_DB[kind])))
    reach = float(rng.uniform(0.3, 1.2)) * max(float(below.max()), 1.0) / 2
    patchy = np.exp(0.5 * smooth_noise(rng, grid.shape, (5, 7)))
    return (level * inside * patchy * np.exp(-below / reach)).astype(np.float32)
