"""A curved array and its sector: the mapping between pixels and beams."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.geometry import Size

Field = NDArray[np.float32]
"""A value per point, float32."""


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
    def usual(cls, size: Size) -> Probe:
        """A curved array that fills a frame of ``size``, for frames whose sector is not known."""
        w, h = size
        return cls.spanning(size, width=0.9 * w, half_angle=0.6, top=0.02 * h, bottom=0.98 * h)

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
        # The nearest and the farthest place and both ends of the angle lie on the outline.
        contours, _ = cv2.findContours(sector, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if contours:
            xs, ys = np.concatenate(contours)[:, 0].T
        else:
            xs, ys = np.array([0, w - 1]), np.array([0, h - 1])
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
