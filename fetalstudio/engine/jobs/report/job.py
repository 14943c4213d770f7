"""Job ``report``: write an evaluation as a file to share."""

from __future__ import annotations

from datetime import datetime

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.report.page import report_html
from fetalstudio.engine.jobs.report.request import ReportRequest, ReportResult
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.formats.files import write_bytes
from fetalstudio.project.project import Project


def run(request: ReportRequest, report: Report, cancelled: CancelCheck) -> ReportResult:
    """Write one HTML file. It replaces a file of the same name."""
    if request.out.is_dir():
        raise InputError(
            f"{request.out} is a folder. Choose a file name for the report, such as report.html."
        )
    with Project.open(request.project) as project:
        page = report_html(request.result, project.frames.pixels, datetime.now().astimezone())
    if cancelled():
        raise Stopped
    write_bytes(request.out, page.encode())
    return ReportResult(request.out)
