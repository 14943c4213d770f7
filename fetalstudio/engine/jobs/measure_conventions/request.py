"""Request and result types for measuring how cohorts are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.cohort_conventions import CohortConvention, apart
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class MeasureConventionsRequest:
    """Job ``measure_conventions``: how each cohort's annotators draw, on their annotated frames."""

    job: ClassVar[Job[MeasureConventionsRequest, MeasureConventionsResult]] = Job(
        "measure_conventions",
        "Measuring how heads are drawn",
        "fetalstudio.engine.jobs.measure_conventions.job:run",
    )
    project: Path
    cohort: str | None = None
    """Only this cohort; by default all."""


@dataclass(frozen=True, slots=True)
class MeasureConventionsResult:
    """How the cohorts of a project are drawn."""

    conventions: Mapping[str, CohortConvention]
    """By cohort, where the annotated frames are of enough subjects."""

    @property
    def sentences(self) -> list[str]:
        """For a person: how each cohort is drawn, and which cohorts differ."""
        return [found.sentence for found in self.conventions.values()] + apart(self.conventions)
