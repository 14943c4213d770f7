"""Request and result types for adapting a compact synthesizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """Job ``adapt``: adapt the synthesizer to the project's own frames.

    After a crash the same request resumes the run from its last checkpoint.
    """

    job: ClassVar[Job[AdaptRequest, AdaptResult]] = Job(
        "adapt", "Adapting the synthesizer", "fetalstudio.engine.jobs.adapt.job:run"
    )
    project: Path
    cohort: str | None = None
    """The cohort to learn from; by default all."""
    synthesizer: str | None = None
    """The synthesizer to start from; by default the adopted one, or else ``compact``."""
    steps: int = 500
    name: str | None = None
    """Name of the new model; by default ``<cohort>-<number>``, or ``adapted-<number>``."""
    seed: int = 0
    batch: int = 4
    learning_rate: float = 1e-4
    measure_every: int = 50
    """Steps between two measurements on held-out ellipses."""
    patience: int = 4
    """Stop after this many measurements without a better one."""


@dataclass(frozen=True, slots=True)
class AdaptResult:
    """What an adaptation achieved, measured on the held-out frames before and after."""

    run_id: int
    model: str | None
    """Name of the new model; None if no measurement was better than the parent."""
    parent: str
    frames: int
    subjects: int
    """The number of subjects whose frames were learnt from."""
    samples: int
    held_out_subjects: int
    """The number of subjects whose ellipses and sectors the measured images have."""
    fidelity_real: float
    """Mean Dice of the segmenter on the real held-out frames."""
    before: Mapping[str, float]
    """``fidelity``, ``grey``, ``spectrum``, ``similarity``, ``copies`` of ``HeldOutFigures``."""
    after: Mapping[str, float]
    """The same figures of the best measurement; equal to ``before`` if there is no new model."""
    similarity_real: float | None
    """Mean similarity of a real held-out frame to its nearest training frame; None if the parent
    was trained on all of them."""
    steps_run: int
    best_step: int
    verdict: str
    """One sentence for a person."""
