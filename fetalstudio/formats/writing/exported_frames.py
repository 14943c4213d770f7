"""Frames and pairs on their way into a folder: what an export writes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.splits import Part
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote


@dataclass(frozen=True, slots=True)
class ExportedFrame:
    """A real frame on its way into a folder."""

    id: str
    name: str
    cohort: str
    subject: str
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse | None
    calibration: Calibration | None
    labels: Mapping[str, str]
    part: Part | None = None
    """None where it is not yet divided."""


@dataclass(frozen=True, slots=True)
class ExportedPair:
    """A synthetic frame with its ellipse, on its way into a folder."""

    id: str
    name: str
    cohort: str
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse
    requested: Ellipse
    calibration: Calibration | None
    quality: Mapping[str, float]
    provenance: Mapping[str, Any]
    corrected: bool = False
    """Whether a person moved the ellipse."""
    part: ClassVar[Part] = "train"
    """Nothing is validated or tested on a synthetic frame, so it is in no other part."""

    @property
    def note(self) -> SyntheticNote:
        """What the picture's file says about it."""
        return SyntheticNote(
            self.ellipse,
            self.requested,
            self.corrected,
            self.calibration,
            self.quality,
            self.provenance,
        )
