"""Plain records of frames: what a source says about them, and what an export writes of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.outline_pictures import ellipse_in
from fetalstudio.formats.pictures import note_in, read_image

_HC_TOLERANCE = 0.01
"""Relative difference between annotation and table beyond which the import warns."""

_HC18_NAME = re.compile(r"(\d+)_\d*HC")
_PATIENT = re.compile(r"(?:(?i:patient)[-_ ]?\d+)(?:_([A-Z]{3})(?![A-Za-z]))?")
_PATIENT_FOLDER = re.compile(
    r"(?:p|pt|pat|patient|case|subj|sub|subject|id|s)?[-_ ]?\d+", re.IGNORECASE
)
"""The name of a folder that holds one patient's frames."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame of a source: where its picture is, and what the source says about it."""

    path: Path
    name: str
    subject: str
    annotation: Path | None = None
    """The picture that shows its ellipse, where no table gives one."""
    ellipse: Ellipse | None = None
    """In px, from a table; it counts before that of a picture."""
    ellipse_size: Size | None = None
    """(width, height) in px of the frame that the table's ellipse was drawn on."""
    calibration: Calibration | None = None
    hc_mm: float | None = None
    """As a table states it; it is compared with the ellipse."""
    labels: Mapping[str, str] = field(default_factory=dict)

    def read(self) -> FrameContent:
        """Decode the picture and find the ellipse.

        Raises :class:`InputError`, naming the file and the cure, for a picture that cannot be
        used. An ellipse that cannot be used is a problem of the content.
        """
        pixels = read_image(self.path)
        if note_in(self.path) is not None:
            raise InputError(
                f"{self.path} is synthetic, as a note in the file says, and was left out: it must "
                "not count as a real frame. Open the project that it came from to use it."
            )
        size = (pixels.shape[1], pixels.shape[0])
        try:
            ellipse = self._ellipse(size)
        except InputError as error:
            problem = f"{error} Its frame was imported without an ellipse."
            return FrameContent(pixels, None, (problem,))
        note = ellipse and self._disagreement(ellipse)
        return FrameContent(pixels, ellipse, (note,) if note else ())

    def _ellipse(self, size: Size) -> Ellipse | None:
        """The table's, which is exact, or that of the annotation picture."""
        if self.ellipse is None:
            return None if self.annotation is None else _annotated(self.annotation, size)
        if self.ellipse_size not in (None, size):
            raise InputError(
                f"{self.path} is {size[0]}x{size[1]} px, which is not the width and height that "
                "the table of ellipses has. Correct the table."
            )
        if not self.ellipse.reaches(size):
            raise InputError(f"{self.path}: its ellipse lies outside. Correct the table.")
        return self.ellipse

    def _disagreement(self, ellipse: Ellipse) -> str | None:
        if self.calibration is None or self.hc_mm is None:
            return None
        measured = self.calibration.to_mm(ellipse).perimeter
        if abs(measured - self.hc_mm) <= _HC_TOLERANCE * self.hc_mm:
            return None
        return (
            f"{self.path}: the annotation's HC is {measured:.1f} mm, the table says "
            f"{self.hc_mm:.1f}. It was imported as annotated; check its pixel size."
        )


@dataclass(frozen=True, slots=True)
class FrameContent:
    """What the files of a :class:`FrameRecord` hold."""

    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse | None
    problems: tuple[str, ...]
    """A message for each thing that was left out or looks wrong, naming the file and the cure."""


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The frames of a folder, or of a single file."""

    cohort: str
    """A name for them, where nobody gives another."""
    records: tuple[FrameRecord, ...]
    problems: tuple[str, ...]
    """A message for each file that was not used, naming it and the cure."""


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


def subject_of(name: str) -> str:
    """The patient key in a frame's name.

    ``392_2HC`` is of subject 392, ``Patient00690_Plane3_1_of_4`` of Patient00690 and
    ``patient002_EGY_plane1`` of patient002_EGY; any other name is its own subject.
    """
    hc18, patient = _HC18_NAME.fullmatch(name), _PATIENT.match(name)
    if hc18:
        return hc18[1]
    return patient[0] if patient else name


def subject_of_folder(name: str) -> str | None:
    """The patient key in a folder's name (``P001``, ``case 12``); None for any other name."""
    return name if _PATIENT_FOLDER.fullmatch(name) else None


def country_of(name: str) -> Mapping[str, str]:
    """The label in a name such as ``patient002_EGY_plane1`` (ISO 3166, three letters)."""
    patient = _PATIENT.match(name)
    return {"country": patient[1]} if patient and patient[1] else {}


def _annotated(path: Path, size: Size) -> Ellipse:
    mask = read_image(path)
    if mask.shape[::-1] != size:
        raise InputError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]} px but its frame {size[0]}x{size[1]}. "
            "Export it at the frame's size."
        )
    try:
        shown = ellipse_in(mask)
    except ValueError as error:
        raise InputError(f"{path}: {error}. Draw it again or remove it.") from error
    if shown.doubt is not None:
        raise InputError(f"{path}: {shown.doubt}. Draw it again or remove it.")
    return shown.ellipse
