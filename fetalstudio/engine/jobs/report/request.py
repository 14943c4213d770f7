"""Request and result types for an evaluation report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fetalstudio.engine.jobs.evaluate.request import EvaluateResult


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Job ``report``: an evaluation as one HTML file to share."""

    project: Path
    """Which holds the frames of the evaluation."""
    out: Path
    result: EvaluateResult


@dataclass(frozen=True, slots=True)
class ReportResult:
    out: Path
