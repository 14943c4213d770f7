"""Request and result types for proposals of ellipses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.job import Job

Prompt = Literal["auto", "box"]


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Job ``propose``: the segmenter proposes ellipses for frames without an annotation."""

    job: ClassVar[Job[ProposeRequest, ProposeResult]] = Job(
        "propose", "Proposing ellipses", "fetalstudio.engine.jobs.propose.job:run"
    )
    project: Path
    segmenter: str | None = None
    """Default: the adopted one, else ``compact``."""
    cohort: str | None = None
    frame_ids: tuple[str, ...] | None = None
    """These frames only (annotated ones too: a new proposal never replaces a person's ellipse)."""
    again: bool = False
    """Also where a proposal of this segmenter waits already, or was rejected."""
    prompt: Prompt = "auto"
    """``box``: show the segmenter the box of the ellipse that a frame has, as another segmenter's
    proposal; frames without one are left out."""


@dataclass(frozen=True, slots=True)
class Proposal:
    frame_id: str
    ellipse: Ellipse
    confidence: float


@dataclass(frozen=True, slots=True)
class ProposeResult:
    proposals: tuple[Proposal, ...]
    without: tuple[str, ...]
    """Names of the frames where no head was found."""
