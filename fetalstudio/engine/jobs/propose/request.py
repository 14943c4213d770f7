"""Request and result types for proposals of ellipses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from fetalstudio.core.convention import Convention
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
    """The segmenter to use; by default the adopted one, or else ``compact``."""
    cohort: str | None = None
    frame_ids: tuple[str, ...] | None = None
    """Only these frames, including annotated ones. A person's ellipse is never replaced."""
    again: bool = False
    """Include frames that have a proposal of this segmenter, or had one that was rejected."""
    prompt: Prompt = "auto"
    """``box`` prompts the segmenter with the box of a frame's ellipse, such as another segmenter's
    proposal. Frames without an ellipse are left out."""
    convention: bool = True
    """Draw as the annotators of each frame's cohort do, where enough of their ellipses are known:
    see :func:`~fetalstudio.engine.jobs.propose.conventions.measured_conventions`."""


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
    conventions: Mapping[str, Convention] = field(default_factory=dict)
    """By cohort, the convention that its proposals follow."""

    @property
    def followed(self) -> str:
        """For a person, which conventions the proposals follow; "" for none."""
        return " ".join(
            f"Proposals for {cohort} follow its annotated frames, which are {found.sentence}."
            for cohort, found in self.conventions.items()
        )
