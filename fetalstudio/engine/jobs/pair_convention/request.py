"""Request and result types for measuring how a cohort is drawn, for pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.convention import Convention
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class PairConventionRequest:
    """Job ``pair_convention``: the convention that pairs for a cohort follow."""

    job: ClassVar[Job[PairConventionRequest, PairConventionResult]] = Job(
        "pair_convention",
        "Looking at how a cohort is drawn",
        "fetalstudio.engine.jobs.pair_convention.job:run",
        stopped="",
    )
    project: Path
    cohort: str


@dataclass(frozen=True, slots=True)
class PairConventionResult:
    """How a cohort is drawn, as the pairs that are like it will follow it."""

    convention: Convention | None
    """None for a cohort that has none: too few of its subjects are annotated and in the training
    part, or the judge learnt from it."""
