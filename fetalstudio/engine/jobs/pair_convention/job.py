"""Job ``pair_convention``: the convention that pairs for a cohort follow, measured once."""

from __future__ import annotations

from fetalstudio.engine.cohort_split import check_cohort, keep_parts
from fetalstudio.engine.jobs.pair_convention.request import (
    PairConventionRequest,
    PairConventionResult,
)
from fetalstudio.engine.measured_conventions import pair_conventions
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.project.project import Project


def run(
    request: PairConventionRequest, report: Report, cancelled: CancelCheck
) -> PairConventionResult:
    """Measure it unless it is known; it is kept until an ellipse changes.

    Raises :class:`~fetalstudio.core.errors.InputError` if there is no such cohort.
    """
    with Project.open(request.project) as project:
        check_cohort(project, request.cohort)
        keep_parts(project, request.cohort)
        found = pair_conventions(project, [request.cohort], report, cancelled)
        return PairConventionResult(found.get(request.cohort))
