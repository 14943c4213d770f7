"""The polar grid of a probe: one row for each depth, one column for each beam."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.geometry import Size
from fetalstudio.core.probe import Probe

Field = NDArray[np.float32]
"""A value per cell of the polar grid, (depths, beams) float32."""


@dataclass(frozen=True)
class Grid:
    """The visible part of a probe's polar grid: one row per depth, one column per beam."""

    probe: Probe
    size: Size
    grain: float
    """Frame px per unit of texture: 1 for a frame of 800x540 px."""

    @cached_property
    def _beams(self) -> tuple[Field, Field]:
        return self.probe.beams(self.size)

    @cached_property
    def sector(self) -> NDArray[np.uint8]:
        """The pixels that are scanned, (H, W) of 0 and 1."""
        return self.probe.lit(*self._beams)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Nearest and farthest depth (px), first and last angle (rad) in the frame."""
        lit = self.sector > 0
        if not lit.any():
            half = self.probe.half_angle
            return self.probe.near, self.probe.far, -half, half
        r, theta = (part[lit] for part in self._beams)
        return float(r.min()), float(r.max()), float(theta.min()), float(theta.max())

    @cached_property
    def depths(self) -> Field:
        """(depths,) px from the apex."""
        low, high, _, _ = self.bounds
        n = int(np.clip((high - low) / max(1.5 * self.grain, 1.0), 16, 1024))
        return np.linspace(low, high, n, dtype=np.float32)

    @cached_property
    def angles(self) -> Field:
        """(beams,) rad from the middle beam."""
        near, far, low, high = self.bounds
        # The width of the cells suits fine texture at two thirds of the depth.
        n = int(np.clip((high - low) * (near + 2 * far) / 3 / max(2.2 * self.grain, 1.5), 16, 768))
        return np.linspace(low, high, n, dtype=np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.depths), len(self.angles)

    @cached_property
    def step(self) -> float:
        """Depth from one row to the next, px."""
        return float(self.depths[1] - self.depths[0])

    @cached_property
    def directions(self) -> tuple[Field, Field]:
        """x and y of the unit vector along each beam, two (beams,)."""
        angles = self.angles + np.float32(self.probe.tilt)
        return np.sin(angles), np.cos(angles)

    @cached_property
    def places(self) -> tuple[Field, Field]:
        """x and y of each cell in the frame, px."""
        dx, dy = self.directions
        r = self.depths[:, None]
        return np.float32(self.probe.apex_x) + r * dx, np.float32(self.probe.apex_y) + r * dy

    def cells(self) -> tuple[Field, Field]:
        """Column and row of the grid at each pixel, two (H, W), as ``cv2.remap`` takes them."""
        r, theta = self._beams
        beam = np.float32(len(self.angles) - 1) / (self.angles[-1] - self.angles[0])
        return (theta - self.angles[0]) * beam, (r - self.depths[0]) / np.float32(self.step)
