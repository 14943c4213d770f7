"""Request and result types for an evaluation report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Job ``report``: write an evaluation as one HTML file to share."""

    job: ClassVar[Job[ReportRequest, ReportResult]] = Job(
        "report", "Writing the report", "fetalstudio.engine.jobs.report.job:run"
    )
    project: Path
    """The project that holds the frames of the evaluation."""
    out: Path
    result: EvaluateResult


@dataclass(frozen=True, slots=True)
class ReportResult:
    """Where the report was written."""

    out: Path
