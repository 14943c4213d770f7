"""The request for the plan of an import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.formats.privacy.redaction import Policy
from fetalstudio.formats.sources import AUTO
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.plan import ImportPlan


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Job ``plan_import``: say what an import would do, and what is in doubt."""

    job: ClassVar[Job[PlanRequest, ImportPlan]] = Job(
        "plan-import", "Looking at the files", "fetalstudio.engine.jobs.plan_import.job:run"
    )
    project: Path
    source: Path
    choices: Choices = NO_CHOICES
    format: str = AUTO
    """Of the source: ``auto`` or a name in :data:`fetalstudio.formats.sources.FORMATS`."""
    frames: str | None = None
    """Of files with several: see :attr:`fetalstudio.formats.reading.doubts.Question.FRAMES`."""
    head_label: str | None = None
    """How the head is called in annotation files of other programs."""
    redact: Policy = "auto"
    """How what a scanner shows around the sector and text in it are blacked out."""
