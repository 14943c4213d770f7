"""Job ``measure_conventions``: how each cohort's annotators draw, as the segmenter sees it."""

from __future__ import annotations

from fetalstudio.engine.cohort_split import check_cohort
from fetalstudio.engine.jobs.measure_conventions.request import (
    MeasureConventionsRequest,
    MeasureConventionsResult,
)
from fetalstudio.engine.measured_conventions import measure_conventions
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.project.project import Project


def run(
    request: MeasureConventionsRequest, report: Report, cancelled: CancelCheck
) -> MeasureConventionsResult:
    """Measure what is not known yet; the figures are kept until an ellipse changes."""
    with Project.open(request.project) as project:
        check_cohort(project, request.cohort)
        cohorts = project.frames.cohorts() if request.cohort is None else [request.cohort]
        return MeasureConventionsResult(measure_conventions(project, cohorts, report, cancelled))
