"""The request to import frames; its result is the project's report of the import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job
from fetalstudio.formats.privacy.redaction import Policy
from fetalstudio.formats.sources import AUTO
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.importers import AUTHOR, ImportReport


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    job: ClassVar[Job[ImportRequest, ImportReport]] = Job(
        "import", "Importing frames", "fetalstudio.engine.jobs.import_frames.job:run"
    )
    project: Path
    source: Path
    format: str = AUTO
    """Of the source: ``auto`` or a name in :data:`fetalstudio.formats.sources.FORMATS`."""
    cohort: str | None = None
    """Default: the source folder's name, unless it may say who a patient is."""
    mask_value: str | None = None
    """Which value (``2``) or colour (``#ff0000``) marks the head in mask pictures."""
    frames: str | None = None
    """Of files with several: see :attr:`fetalstudio.formats.reading.doubts.Question.FRAMES`."""
    redact: Policy = "auto"
    """How what a scanner shows around the sector and text in it are blacked out."""
    files: tuple[Path, ...] = ()
    """DICOM files and archives: these alone are read, of the folder ``source``."""
    head_label: str | None = None
    """How the head is called in annotation files of other programs."""
    keep_names: bool = False
    """Whether frames keep the names of their files; otherwise they get neutral ones."""
    keep_labels: tuple[str, ...] = ()
    """Labels to import although a text of theirs may say who a patient is."""
    choices: Choices = NO_CHOICES
    """What a person decided about what is in doubt."""
    seen: Mapping[str, str | None] | None = None
    """The pictures of the plan that a person has seen, as
    :attr:`~fetalstudio.project.importing.plan.ImportPlan.pictures` names them."""
    author: str = AUTHOR
    """Who imports, for the log of amendments."""
