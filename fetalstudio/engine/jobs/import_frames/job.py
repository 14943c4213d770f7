"""Job ``import``: bring frames into a project."""

from __future__ import annotations

from fetalstudio.engine.jobs.import_frames.request import ImportRequest, ImportResult
from fetalstudio.engine.process.job import CancelCheck, JobCancelled, Report
from fetalstudio.engine.process.progress import counter
from fetalstudio.project.importers import import_frames
from fetalstudio.project.progress import OperationCancelledError
from fetalstudio.project.project import Project


def run(request: ImportRequest, report: Report, cancelled: CancelCheck) -> ImportResult:
    """Import all or nothing; files that cannot be used are left out and named in the result."""
    try:
        with Project.open(request.project) as project:
            imported = import_frames(
                project,
                request.source,
                format=request.format,
                cohort=request.cohort,
                on_progress=counter(report, cancelled, "importing"),
                cancelled=cancelled,
            )
    except OperationCancelledError as stopped:
        raise JobCancelled from stopped
    return ImportResult(
        imported.cohort,
        imported.frames,
        imported.annotated,
        imported.duplicates,
        imported.problems,
    )
