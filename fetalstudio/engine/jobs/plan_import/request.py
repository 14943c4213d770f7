"""The request for the plan of an import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.options import USUAL, ImportOptions
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
    options: ImportOptions = USUAL
