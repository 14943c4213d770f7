"""Request and result types for fine-tuning a segmenter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.prompts import Prompt
from fetalstudio.core.training_settings import PairCount, TrainingSettings
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Job ``train``: fine-tune a segmenter on real frames and accepted pairs."""

    job: ClassVar[Job[TrainRequest, TrainResult]] = Job(
        "train",
        "Training the segmenter",
        "fetalstudio.engine.jobs.train.job:run",
        kept="The model of the best epoch is kept, without a verdict. Resume the run to get one.",
        stopped="The epochs that have ended are kept, and Resume in Train goes on after them.",
    )
    project: Path
    segmenter: str | None = None
    """The segmenter to start from; by default the adopted one, or else ``compact``."""
    cohort: str | None = None
    real: int | None = None
    """Use at most this many real frames; by default all with a final or draft annotation."""
    synthetic: PairCount = None
    """Use at most this many accepted pairs, 0 for none; by default all. ``recommended``: as many as
    the evidence recommends; the run records the number."""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    prompt: Prompt | None = None
    """What the new model is meant to be used with: its epochs are validated, its best epoch is
    chosen and the test part is measured with this prompt. By default that of the segmenter; a SAM
    that is used with a box is used without from then on, if it has become better so."""
    name: str | None = None
    """Name of the new model; by default ``<cohort>-<number>``, or ``tuned-<number>``."""
    resume: int | None = None
    """Id of an unfinished run, to resume it with its own settings."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a training achieved, measured on the test part before and after."""

    run_id: int
    model: str | None
    """Name of the new model; None if no epoch was better than the original segmenter."""
    dice_before: float
    dice_after: float
    difference: float
    difference_ci95: tuple[float, float]
    """NaN with fewer than 20 test subjects."""
    test_frames: int
    test_subjects: int
    real: int
    synthetic: int
    epochs_run: int
    best_epoch: int
    verdict: str
    """The verdict for a person."""
    copies_left_out: int = 0
    """Number of accepted pairs that were left out as copies of training frames."""
    device: str = ""
    """The device and the number format of the training, as text."""
    answer: str = ""
    """The verdict in a word, see :data:`.verdict.Answer`; empty in runs of earlier versions."""
    failures: tuple[int, int] | None = None
    """Test frames with a Dice below 0.9, before and after."""
    prompt: Prompt = "auto"
    """The prompt of both measurements."""
    used_with: Prompt = "auto"
    """The prompt that the new model is used with."""
    confidence_known: bool = True
    """Whether the confidence of the new model could be calibrated."""
    comparison: int = 1
    """The number of this comparison on these test subjects, among all of the project."""
