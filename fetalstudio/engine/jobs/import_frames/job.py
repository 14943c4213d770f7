"""Job ``import``: bring frames into a project."""

from __future__ import annotations

from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.importers import ImportReport, import_frames
from fetalstudio.project.project import Project


def run(request: ImportRequest, report: Report, cancelled: CancelCheck) -> ImportReport:
    """Import all or nothing; files that cannot be used are left out and named in the result."""
    with Project.open(request.project) as project:
        return import_frames(
            project,
            request.source,
            request.choices,
            format=request.format,
            seen=request.seen,
            author=request.author,
            progress=Steps(None, report, cancelled, "importing"),
        )
