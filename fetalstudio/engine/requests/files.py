"""What comes into a project and goes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fetalstudio.engine.requests.segmentation import EvaluateResult


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """Job ``import``: bring frames into a project."""

    project: Path
    source: Path
    format: Literal["auto", "hc18", "folder"] = "auto"
    cohort: str | None = None
    """Default: the source folder's name."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    cohort: str
    frames: int
    annotated: int
    duplicates: int
    """Pictures that the project already held."""
    problems: tuple[str, ...]
    """One message a file that was left out, naming the file and the cure."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Job ``report``: an evaluation as one HTML file to share."""

    project: Path
    """Which holds the frames of the evaluation."""
    out: Path
    result: EvaluateResult


@dataclass(frozen=True, slots=True)
class ReportResult:
    out: Path


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """Job ``export``: frames and masks in a layout that others read."""

    project: Path
    out: Path
    format: Literal["hc18"] = "hc18"
    cohort: str | None = None
    synthetic: bool = True
    """With the accepted pairs."""
    copies: bool = False
    """Also with those that copy a training frame."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    out: Path
    frames: int
    pairs: int
    copies_left_out: int
    """Accepted pairs that are too much like a training frame of the synthesizer."""
    problems: tuple[str, ...] = ()
    """What the layout cannot hold and was left out, a message each."""
