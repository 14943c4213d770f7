"""A curved array and its sector: the mapping between pixels and beams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.geometry import Size

Field = NDArray[np.float32]
"""A value per cell of the polar grid, (depths, beams) float32."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The geometry of the beams. Lengths in px of the frame, angles in radians."""

    apex_x: float
    apex_y: float
    """The point where all beams meet, above the frame for most probes."""
    near: float
    """From the apex to the probe's surface: large for a flat probe, small for an endocavity one."""
    far: float
    """From the apex to the end of the scanned depth."""
    half_angle: float
    """Half of the angle of the sector."""
    tilt: float = 0.0
    """Direction of the middle beam, 0 straight down, positive to the right."""

    def __post_init__(self) -> None:
        if not (0 <= self.near < self.far and 0 < self.half_angle < math.pi / 2):
            raise ValueError(f"a probe needs 0 <= near < far and an angle below 90 degrees: {self}")

    def beams(self, size: Size) -> tuple[Field, Field]:
        """Each pixel's distance from the apex (px) and angle to the middle beam, two (H, W)."""
        x = np.arange(size[0], dtype=np.float32)[None] - np.float32(self.apex_x)
        y = np.arange(size[1], dtype=np.float32)[:, None] - np.float32(self.apex_y)
        return np.hypot(x, y), np.arctan2(x, y) - np.float32(self.tilt)

    def sector(self, size: Size) -> NDArray[np.uint8]:
        """The pixels that are scanned, (H, W) of 0 and 1."""
        return self.lit(*self.beams(size))

    def lit(self, r: Field, theta: Field) -> NDArray[np.uint8]:
        """Whether points at this distance from the apex and this angle are scanned, 0 or 1."""
        inside = (r >= self.near) & (r <= self.far) & (np.abs(theta) <= self.half_angle)
        return inside.astype(np.uint8)

    @classmethod
    def spanning(
        cls, size: Size, *, width: float, half_angle: float, top: float, bottom: float
    ) -> Probe:
        """From the visible sector: its ``width`` at half the frame's height, and the heights where
        it begins and ends in the middle, all in px, which may lie beyond the frame."""
        apex_y = size[1] / 2 - width / 2 / math.tan(half_angle)
        near = max(top - apex_y, 1.0)
        far = max(bottom - apex_y, near + 8.0)
        return cls(size[0] / 2, apex_y, near, far, half_angle)

    @classmethod
    def of_sector(cls, sector: NDArray[np.uint8]) -> Probe:
        """A probe whose beams cover a given sector, (H, W) of 0 and 1, estimated from its sides.

        If the sides cannot be found (cut by the frame, or parallel), a usual angle is used.
        """
        h, w = sector.shape
        left, right = _side(sector), _side(sector[:, ::-1])
        apex = (w / 2, h / 2 - w / 2 / math.tan(0.5))
        if left is not None and right is not None:
            # x = left[0] y + left[1] on one side, x = w - 1 - (right[0] y + right[1]) on the other.
            closing = -(left[0] + right[0])
            if closing > 0.05:
                y = (left[1] + right[1] - (w - 1)) / closing
                apex = (left[0] * y + left[1], y)
        ys, xs = np.nonzero(sector)
        if len(ys) == 0:
            ys, xs = np.array([0, h - 1]), np.array([0, w - 1])
        # An apex below the uppermost lit row would send beams upwards.
        x0, y0 = apex[0], min(apex[1], float(ys.min()) - 4.0)
        r, theta = np.hypot(xs - x0, ys - y0), np.arctan2(xs - x0, ys - y0)
        middle = float(theta.max() + theta.min()) / 2
        half = min(float(np.ptp(theta)) / 2 + 0.01, 1.5)
        return cls(x0, y0, max(float(r.min()) - 1, 0.0), float(r.max()) + 2, half, middle)


def _side(sector: NDArray[np.uint8]) -> tuple[float, float] | None:
    """Slope and offset of the sector's left side, x over y; None if the frame cuts it."""
    rows = np.nonzero(sector.any(axis=1))[0]
    first = sector[rows].argmax(axis=1)
    free = first > 2
    if free.sum() < 24:
        return None
    y, x = rows[free].astype(float), first[free].astype(float)
    # The median of slopes over half the rows: blanked corners and round ends do not move it.
    half = len(y) // 2
    slope = float(np.median((x[half:] - x[: len(x) - half]) / (y[half:] - y[: len(y) - half])))
    return slope, float(np.median(x - slope * y))


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
