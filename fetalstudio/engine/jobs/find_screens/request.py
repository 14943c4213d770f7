"""Request and result types for finding the scanner layouts in a source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.formats.screen_samples import ScreenSample
from fetalstudio.formats.sources import AUTO


@dataclass(frozen=True, slots=True)
class ScreensRequest:
    """Job ``screens``: find the scanner layouts that nobody has confirmed."""

    job: ClassVar[Job[ScreensRequest, ScreensResult]] = Job(
        "screens", "Looking for text in the frames", "fetalstudio.engine.jobs.find_screens.job:run"
    )
    source: Path
    format: str = AUTO
    frames: str | None = None
    files: tuple[Path, ...] = ()
    """DICOM files and archives: these alone are read, of the folder ``source``."""


@dataclass(frozen=True, slots=True)
class ScreensResult:
    screens: tuple[ScreenSample, ...]
