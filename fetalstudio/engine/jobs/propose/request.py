"""Request and result types for proposals of ellipses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.biometry import Spread
from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.process.job import Job

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
    prompt: Prompt | None = None
    """``box`` prompts the segmenter with the box of a frame's ellipse, such as another segmenter's
    proposal. Frames without an ellipse are left out. By default the prompt is the one that the
    segmenter is used with, and the built-in segmenter finds the box where no proposal has one."""
    convention: bool = True
    """Draw as the annotators of each frame's cohort do, where enough of their ellipses are known:
    see :func:`~fetalstudio.engine.measured_conventions.proposal_conventions`."""
    snap: bool = SNAP
    """Move each ellipse onto the outline of the skull by a second look at the frame. It then
    follows the convention of ellipses that were moved in the same way."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The ellipse that a segmenter proposes on a frame, in px."""

    frame_id: str
    ellipse: Ellipse
    confidence: float | None
    """None where the segmenter's card withholds it."""
    spread: Spread | None = None
    """How uncertain its sizes are; known of ellipses that were moved onto the skull."""


@dataclass(frozen=True, slots=True)
class ProposeResult:
    """The ellipses that were found, and the frames without one."""

    proposals: tuple[Proposal, ...]
    without: tuple[str, ...]
    """Names of the frames where no head was found."""
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    """By cohort, the convention that its proposals follow."""

    @property
    def followed(self) -> str:
        """For a person, which conventions the proposals follow; "" for none."""
        return " ".join(
            f"Proposals for {cohort} follow its annotated frames, which are {found.sentence}."
            for cohort, found in self.conventions.items()
        )
