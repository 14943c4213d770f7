"""Request and result types for an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Job ``export``: frames and masks in a layout that others read."""

    job: ClassVar[Job[ExportRequest, ExportResult]] = Job(
        "export", "Exporting", "fetalstudio.engine.jobs.export.job:run"
    )
    project: Path
    out: Path
    format: Literal["hc18"] = "hc18"
    cohort: str | None = None
    synthetic: bool = True
    """Export the accepted pairs too."""
    copies: bool = False
    """Export those pairs too that copy a training frame."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote."""

    out: Path
    frames: int
    """Real ones."""
    pairs: int
    copies_left_out: int
    """Accepted pairs that are too much like a training frame of the synthesizer."""
    problems: tuple[str, ...] = ()
    """What the layout cannot hold and was left out, a message each."""
