"""Request and result types for proposals of ellipses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.core.biometry import Spread
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.process.job import Job

Prompt = Literal["auto", "box"]
SNAP = False
"""Whether proposals are moved onto the skull unless a person chooses. This helps where annotators
follow the skull, and costs where they draw outside of it (docs/evidence/evaluation.md)."""


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Job ``propose``: the segmenter proposes ellipses for frames without an annotation."""

    job: ClassVar[Job[ProposeRequest, ProposeResult]] = Job(
        "propose", "Proposing ellipses", "fetalstudio.engine.jobs.propose.job:run"
    )
    project: Path
    segmenter: str | None = None
    """The segmenter to use; by default the adopted one, or else ``compact``."""
    cohort: str | None = None
    frame_ids: tuple[str, ...] | None = None
    """Only these frames, including annotated ones. A person's ellipse is never replaced."""
    again: bool = False
    """Include frames that have a proposal of this segmenter, or had one that was rejected."""
    prompt: Prompt = "auto"
    """``box`` prompts the segmenter with the box of a frame's ellipse, such as another segmenter's
    proposal. Frames without an ellipse are left out."""
    snap: bool = SNAP
    """Move each ellipse onto the outline of the skull by a second look at the frame."""


@dataclass(frozen=True, slots=True)
class Proposal:
    frame_id: str
    ellipse: Ellipse
    confidence: float
    spread: Spread | None = None
    """How uncertain its sizes are; known of ellipses that were moved onto the skull."""


@dataclass(frozen=True, slots=True)
class ProposeResult:
    proposals: tuple[Proposal, ...]
    without: tuple[str, ...]
    """Names of the frames where no head was found."""
