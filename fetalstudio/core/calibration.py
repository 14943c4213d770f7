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


_LEAST_MM, _MOST_MM = 0.001, 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """Width and height of a pixel in mm, each from 0.001 to 10. Raises ``ValueError`` otherwise.

    No head is measured on finer or coarser pixels: those of HC18 are 0.05 to 0.4 mm wide.
    """

    mm_per_px_x: float
    mm_per_px_y: float
    source: Source

    def __post_init__(self) -> None:
        for value in (self.mm_per_px_x, self.mm_per_px_y):
            if not (_LEAST_MM <= value <= _MOST_MM):
                raise ValueError(f"a pixel is {_LEAST_MM} to {_MOST_MM} mm wide, not {value}")

    @property
    def mm_per_px(self) -> float:
        """Side in mm of a square with the area of a pixel."""
        return math.sqrt(self.mm_per_px_x * self.mm_per_px_y)

    def to_mm(self, ellipse: Ellipse) -> Ellipse:
        """The ellipse in mm, with its axes computed in mm, so non-square pixels are handled."""
        return ellipse.transformed(Affine.scaling(self.mm_per_px_x, self.mm_per_px_y))
