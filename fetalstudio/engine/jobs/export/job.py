"""Job ``export``: frames and masks in a layout that others read."""

from __future__ import annotations

from fetalstudio.engine.jobs.export.request import ExportRequest, ExportResult
from fetalstudio.engine.process.job import CancelCheck, JobCancelled, Report
from fetalstudio.engine.process.progress import counter
from fetalstudio.project.exporters import export_hc18
from fetalstudio.project.progress import OperationCancelledError
from fetalstudio.project.project import Project


def run(request: ExportRequest, report: Report, cancelled: CancelCheck) -> ExportResult:
    """Write a new folder, whole or not at all."""
    try:
        with Project.open(request.project) as project:
            exported = export_hc18(
                project,
                request.out,
                cohort=request.cohort,
                synthetic=request.synthetic,
                copies=request.copies,
                on_progress=counter(report, cancelled, "exporting"),
                cancelled=cancelled,
            )
    except OperationCancelledError as stopped:
        raise JobCancelled from stopped
    return ExportResult(
        exported.out, exported.frames, exported.pairs, exported.copies, exported.problems
    )
