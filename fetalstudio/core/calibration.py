"""Millimetres per pixel, and their source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine

Source = Literal["table", "dicom", "header", "manual", "inherited", "simulated"]
"""``table``: a table beside the frames. ``dicom``: a DICOM region. ``header``: the header of a
MetaImage, NRRD or NIfTI file. ``manual``: two points on a ruler. ``inherited``: from another frame
of the same machine or, for a synthetic frame, from its lender. ``simulated``: from the simulated
scanner; such frames are never stored."""

SOURCES: Mapping[Source, str] = {
    "table": "table",
    "dicom": "DICOM",
    "header": "header of the file",
    "manual": "by hand",
    "inherited": "from another frame",
    "simulated": "simulated",
}
"""What a person reads of each source."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Width and height of a pixel in mm, each in (0, 10]. Raises ``ValueError`` otherwise."""

    mm_per_px_x: float
    mm_per_px_y: float
    source: Source

    def __post_init__(self) -> None:
        for value in (self.mm_per_px_x, self.mm_per_px_y):
            if not (math.isfinite(value) and 0 < value <= 10):
                raise ValueError(f"a pixel is more than 0 and at most 10 mm wide, not {value}")

    @property
    def mm_per_px(self) -> float:
        """Side in mm of a square with the area of a pixel."""
        return math.sqrt(self.mm_per_px_x * self.mm_per_px_y)

    def to_mm(self, ellipse: Ellipse) -> Ellipse:
        """The ellipse in mm, with its axes computed in mm, so non-square pixels are handled."""
        return ellipse.transformed(Affine.scaling(self.mm_per_px_x, self.mm_per_px_y))
