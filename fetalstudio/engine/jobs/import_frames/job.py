"""Job ``import``: bring frames into a project."""

from __future__ import annotations

from fetalstudio.engine.clips import sharpest_finder
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.importing.importers import ImportReport, import_frames
from fetalstudio.project.project import Project


def run(request: ImportRequest, report: Report, cancelled: CancelCheck) -> ImportReport:
    """Import all or nothing; files that cannot be used are left out and named in the report."""
    with Project.open(request.project) as project:
        return import_frames(
            project,
            request.source,
            request.choices,
            request.options,
            sharpest=sharpest_finder(report, cancelled),
            seen=request.seen,
            author=request.author,
            progress=Steps(None, report, cancelled, "importing"),
        )
