"""Request and result types for making a project shareable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ShareableRequest:
    """Job ``shareable``: write a project without what may say who its patients are."""

    job: ClassVar[Job[ShareableRequest, ShareableResult]] = Job(
        "shareable",
        "Making the project shareable",
        "fetalstudio.engine.jobs.shareable.job:run",
    )
    project: Path
    copy: Path | None = None
    """A new folder for the shareable project; None puts it in the place of the project."""
    cohorts: Mapping[str, str] = field(default_factory=dict)
    """New names of cohorts, by old name."""
    keep_names: bool = False
    keep_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShareableResult:
    """What was changed."""

    path: Path
    """Of the shareable project."""
    changes: tuple[str, ...]
    """A sentence for each kind of change."""
