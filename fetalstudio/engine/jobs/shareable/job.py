"""Job ``shareable``: write a project without what may say who its patients are."""

from __future__ import annotations

from fetalstudio.engine.jobs.shareable.request import ShareableRequest, ShareableResult
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.exporting.sharing import make_shareable, plan_sharing, write_shareable
from fetalstudio.project.project import Project


def run(request: ShareableRequest, report: Report, cancelled: CancelCheck) -> ShareableResult:
    """All of it, or nothing: after an error or a cancel both folders are as they were."""
    progress = Steps(None, report, cancelled, "writing the pictures")
    with Project.open(request.project) as project:
        sharing = plan_sharing(
            project,
            cohorts=request.cohorts,
            keep_names=request.keep_names,
            keep_labels=request.keep_labels,
        )
        if request.copy is not None:
            write_shareable(project, request.copy, sharing, progress)
    if request.copy is None:
        make_shareable(request.project, sharing, progress)
    return ShareableResult(request.copy or request.project, tuple(sharing.sentences()))
