"""The request to import frames; its result is the project's report of the import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.importers import AUTHOR, ImportReport
from fetalstudio.project.importing.options import USUAL, ImportOptions


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    job: ClassVar[Job[ImportRequest, ImportReport]] = Job(
        "import",
        "Importing frames",
        "fetalstudio.engine.jobs.import_frames.job:run",
        stopped="Nothing of it is in the project yet. What was read is kept for a week: to go on, "
        "import the same folder again.",
    )
    project: Path
    source: Path
    choices: Choices = NO_CHOICES
    """What a person decided: the cohort, and what is in doubt."""
    options: ImportOptions = USUAL
    seen: Mapping[str, str | None] | None = None
    """The pictures of the plan that a person has seen, as
    :attr:`~fetalstudio.project.importing.plan.ImportPlan.pictures` names them."""
    author: str = AUTHOR
    """Who imports, for the log of amendments."""
