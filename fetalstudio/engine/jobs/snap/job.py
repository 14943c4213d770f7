"""Job ``snap``: a rough ellipse is moved onto the outline of the skull near it."""

from __future__ import annotations

from fetalstudio.engine.jobs.snap.request import SnapRequest, SnapResult
from fetalstudio.engine.models.loading import load_outline
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.project.project import Project


def run(request: SnapRequest, _report: Report, _cancelled: CancelCheck) -> SnapResult:
    """Look at the frame along the ellipse. Nothing is stored: the person decides."""
    with Project.open(request.project) as project:
        pixels = project.frames.pixels(request.frame_id)
    found = load_outline().snap(pixels, request.ellipse)
    return SnapResult(request.frame_id, found.ellipse, found.spread)
