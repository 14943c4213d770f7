"""Job ``export``: frames and masks in a layout that others read."""

from __future__ import annotations

from fetalstudio.engine.cohort_conventions import apart
from fetalstudio.engine.cohort_split import labelled_cohorts
from fetalstudio.engine.jobs.export.request import ExportRequest, ExportResult
from fetalstudio.engine.measured_conventions import measure_conventions
from fetalstudio.engine.models.not_known import unknown_pairs
from fetalstudio.engine.models.seen import MakersSeen
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.project import Project


def run(request: ExportRequest, report: Report, cancelled: CancelCheck) -> ExportResult:
    """Write a new folder, whole or not at all."""
    with Project.open(request.project) as project:
        cohorts = [] if request.cohort is not None else labelled_cohorts(project)
        conventions = {}
        if len(cohorts) > 1:
            conventions = measure_conventions(project, cohorts, report, cancelled)
        makers = MakersSeen(project)
        exported = export_frames(
            project,
            request.out,
            format=request.format,
            cohort=request.cohort,
            synthetic=request.synthetic,
            copies=request.copies,
            real_pixels=request.real_pixels,
            maker_saw=makers.one_of,
            not_known=lambda pairs: unknown_pairs(makers.unknown(pairs).values()),
            progress=Steps(None, report, cancelled, "exporting"),
        )
    return ExportResult(
        exported.out,
        exported.frames,
        exported.pairs,
        exported.copies,
        exported.real_pixels,
        (*exported.problems, *apart(conventions)),
    )
