"""Job ``screens``: find the scanner layouts that nobody has confirmed."""

from __future__ import annotations

from fetalstudio.engine.jobs.find_screens.request import ScreensRequest, ScreensResult
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.screen_samples import find_screens


def run(request: ScreensRequest, report: Report, cancelled: CancelCheck) -> ScreensResult:
    """One frame of each layout, as the scanner showed it. Nothing is stored."""
    progress = Steps(None, report, cancelled, "looking")
    source = (request.source, request.format, request.frames, request.files)
    return ScreensResult(find_screens(*source, progress=progress))
