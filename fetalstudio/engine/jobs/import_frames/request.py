"""Request and result types for importing frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    job: ClassVar[Job[ImportRequest, ImportResult]] = Job(
        "import", "Importing frames", "fetalstudio.engine.jobs.import_frames.job:run"
    )
    project: Path
    source: Path
    format: Literal["auto", "hc18", "folder"] = "auto"
    cohort: str | None = None
    """Default: the source folder's name."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    cohort: str
    frames: int
    annotated: int
    duplicates: int
    """Pictures that the project already held."""
    problems: tuple[str, ...]
    """One message a file that was left out, naming the file and the cure."""
