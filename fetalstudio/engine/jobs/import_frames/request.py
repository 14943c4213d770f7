"""The request for an import of frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.formats.sources import AUTO
from fetalstudio.project.import_plan import NO_CHOICES, Choices
from fetalstudio.project.importers import AUTHOR, ImportReport


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    job: ClassVar[Job[ImportRequest, ImportReport]] = Job(
        "import", "Importing frames", "fetalstudio.engine.jobs.import_frames.job:run"
    )
    project: Path
    source: Path
    choices: Choices = NO_CHOICES
    format: str = AUTO
    """Of the source: ``auto`` or a name in :data:`fetalstudio.formats.sources.FORMATS`."""
    seen: Mapping[str, str | None] | None = None
    """The pictures of the plan that a person has seen, as
    :attr:`~fetalstudio.project.import_plan.ImportPlan.pictures` names them."""
    author: str = AUTHOR
    """Who imports, for the log of amendments."""
