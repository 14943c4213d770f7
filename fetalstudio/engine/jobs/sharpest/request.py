"""Request and result types for the search for the sharpest frames of clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class SharpestRequest:
    """Job ``sharpest``: find the frame of each clip that shows a head best."""

    job: ClassVar[Job[SharpestRequest, SharpestResult]] = Job(
        "sharpest", "Looking for the sharpest frames", "fetalstudio.engine.jobs.sharpest.job:run"
    )
    clips: tuple[Path, ...]
    """DICOM files, in an archive or not."""


@dataclass(frozen=True, slots=True)
class SharpestResult:
    """What was found."""

    numbers: Mapping[Path, int]
    """By clip, the number of its frame, from 1. Clips in which no head was seen are left out."""
