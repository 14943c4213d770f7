"""Job ``plan_import``: say what an import would do."""

from __future__ import annotations

from fetalstudio.engine.clips import sharpest_finder
from fetalstudio.engine.jobs.plan_import.request import PlanRequest
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import plan_import
from fetalstudio.project.project import Project


def run(request: PlanRequest, report: Report, cancelled: CancelCheck) -> ImportPlan:
    """Read every file of the source, and store nothing."""
    with Project.open(request.project) as project:
        return plan_import(
            project,
            request.source,
            request.choices,
            request.options,
            sharpest=sharpest_finder(report, cancelled),
            progress=Steps(None, report, cancelled, "looking at files"),
        )
