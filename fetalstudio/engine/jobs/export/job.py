"""Job ``export``: frames and masks in a layout that others read."""

from __future__ import annotations

from fetalstudio.engine.jobs.export.request import ExportRequest, ExportResult
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.exporters import export_frames
from fetalstudio.project.project import Project


def run(request: ExportRequest, report: Report, cancelled: CancelCheck) -> ExportResult:
    """Write a new folder, whole or not at all."""
    with Project.open(request.project) as project:
        exported = export_frames(
            project,
            request.out,
            format=request.format,
            cohort=request.cohort,
            synthetic=request.synthetic,
            copies=request.copies,
            real_pixels=request.real_pixels,
            progress=Steps(None, report, cancelled, "exporting"),
        )
    return ExportResult(
        exported.out,
        exported.frames,
        exported.pairs,
        exported.copies,
        exported.real_pixels,
        exported.problems,
    )
