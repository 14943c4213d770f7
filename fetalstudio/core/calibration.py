"""Millimetres per pixel, and where they come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine

Source = Literal["table", "dicom", "manual", "inherited", "simulated"]
"""A table beside the frames, a DICOM region, two points on a ruler, or the calibration of another
frame: one of the same machine, or (synthetic frames) the one that the picture was made for.
``simulated`` frames are never stored: their scale is the simulated scanner's own."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The pixel's width and height in mm, each in (0, 10]. Raises ``ValueError`` outside."""

    mm_per_px_x: float
    mm_per_px_y: float
    source: Source

    def __post_init__(self) -> None:
        for value in (self.mm_per_px_x, self.mm_per_px_y):
            if not (math.isfinite(value) and 0 < value <= 10):
                raise ValueError(f"a pixel is more than 0 and at most 10 mm wide, not {value}")

    @property
    def mm_per_px(self) -> float:
        """Side in mm of a square as large as the pixel."""
        return math.sqrt(self.mm_per_px_x * self.mm_per_px_y)

    def to_mm(self, ellipse: Ellipse) -> Ellipse:
        """The ellipse in mm. Axes are taken after mapping, so non-square pixels come out right."""
        return ellipse.transformed(Affine.scaling(self.mm_per_px_x, self.mm_per_px_y))

    def rescaled(self, scale: float) -> Calibration:
        """The calibration of the frame resized by ``scale`` (> 1 enlarges)."""
        return Calibration(self.mm_per_px_x / scale, self.mm_per_px_y / scale, self.source)
