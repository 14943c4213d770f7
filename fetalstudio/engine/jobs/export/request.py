"""Request and result types for an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Job ``export``: frames and masks in a layout that others read."""

    job: ClassVar[Job[ExportRequest, ExportResult]] = Job(
        "export", "Exporting", "fetalstudio.engine.jobs.export.job:run"
    )
    project: Path
    out: Path
    format: str = "hc18"
    """A name in :data:`fetalstudio.formats.exports.EXPORTS`."""
    cohort: str | None = None
    synthetic: bool = True
    """Export the accepted pairs too."""
    copies: bool = False
    """Also export pairs that are copies of a training frame."""
    real_pixels: bool = False
    """Also export pairs that show a part of a real frame."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What an export wrote."""

    out: Path
    frames: int
    """Real ones."""
    pairs: int
    copies_left_out: int
    """Number of accepted pairs that were left out as copies of a training frame."""
    real_pixels_left_out: int
    """Number of other accepted pairs that were left out because they show a part of a real
    frame."""
    problems: tuple[str, ...] = ()
    """A message for each item that the layout cannot hold, and that was left out, and on cohorts
    that are drawn differently."""
