"""Request and result types for a fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.engine.process.job import Job

Recipe = Literal["recommended", "paper"]
RECIPES: Mapping[Recipe, Mapping[str, Any]] = {
    "recommended": {"epochs": 20, "batch": 8, "learning_rate": 1e-4, "patience": 5, "copies": 2},
    "paper": {"epochs": 20, "batch": 5, "learning_rate": 1e-5, "patience": 20, "copies": 1},
}


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Job ``train``: fine-tune the segmenter on real plus accepted synthetic pairs."""

    job: ClassVar[Job[TrainRequest, TrainResult]] = Job(
        "train", "Training the segmenter", "fetalstudio.engine.jobs.train.job:run"
    )
    project: Path
    segmenter: str | None = None
    """Start from this one; default as for ``propose``."""
    cohort: str | None = None
    real: int | None = None
    """Use at most that many real frames; default all with a final or draft annotation."""
    synthetic: int | None = None
    """Use at most that many accepted pairs; default all. 0 for none."""
    epochs: int = 20
    batch: int = 8
    learning_rate: float = 1e-4
    patience: int = 5
    """Stop after that many epochs without a better validation Dice."""
    copies: int = 2
    """Of each frame: as it is, and varied ones."""
    recipe: Recipe = "recommended"
    """Optimizer and prompts; see ``segmentation.fine_tuning.FineTuneSettings``."""
    lora: int = 0
    """Rank of low-rank changes of the encoder, 0 for none: better where a GPU allows it."""
    seed: int = 0
    name: str | None = None
    """Of the new model; default ``<cohort>-<run>``."""
    resume: int | None = None
    """Id of a run that did not finish: go on with it, by its own settings."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    run_id: int
    model: str | None
    """None where no epoch was better than the model that it started from."""
    dice_before: float
    dice_after: float
    difference: float
    difference_ci95: tuple[float, float]
    test_frames: int
    test_subjects: int
    real: int
    synthetic: int
    epochs_run: int
    best_epoch: int
    verdict: str
    """One sentence for a person."""
    copies_left_out: int = 0
    """Accepted pairs that are too much like a training frame of the synthesizer."""
    device: str = ""
    """Where it was trained, and in which numbers."""
