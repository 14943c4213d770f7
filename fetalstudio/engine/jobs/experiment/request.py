"""Request and result types for an experiment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import FEW_REPEATS
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.evidence import Answer
from fetalstudio.engine.jobs.experiment.answer import Comparison
from fetalstudio.engine.process.job import Job


@dataclass(frozen=True, slots=True)
class ExperimentRequest:
    """Job ``experiment``: train with and without the pairs, and compare.

    After a cancel or a crash the same request resumes the run.
    """

    job: ClassVar[Job[ExperimentRequest, ExperimentResult]] = Job(
        "experiment",
        "Comparing trainings",
        "fetalstudio.engine.jobs.experiment.job:run",
        stopped="The trainings that have ended are kept, and Resume in Train, Experiment, goes on "
        "with the others.",
    )
    project: Path
    segmenter: str | None = None
    """The segmenter from which each training starts; by default the built-in one, which was not
    trained on the project's frames."""
    cohort: str | None = None
    real: int | None = None
    """Number of real frames, drawn again with each seed; by default the whole training part."""
    synthetic: int | None = None
    """Number of accepted pairs, drawn again with each seed; by default all."""
    seeds: int = FEW_REPEATS
    """Number of repeats; with fewer than five, nothing is claimed."""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    """How each mix is trained. The experiment sets ``copies``, ``patience`` and ``seed`` itself."""


@dataclass(frozen=True, slots=True)
class MixFigures:
    """The figures of one mix over all seeds."""

    mix: str
    dice: Interval
    """Mean Dice with its 95 % interval over other subjects and seeds."""
    by_seed: tuple[Interval, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class ExperimentResult:
    """The findings of an experiment over the seeds with which every mix has been trained."""

    run_id: int
    name: str
    segmenter: str
    real: int
    synthetic: int
    seeds: int
    test_frames: int
    test_subjects: int
    mixes: tuple[MixFigures, ...]
    """The original segmenter, then the mixes in the order of :data:`MIXES`."""
    comparisons: tuple[Comparison, ...]
    """The mix with pairs, compared with each of the other mixes."""
    control: Comparison | None
    """What real frames bring: the mix with more of them minus that with fewer, at equal steps. None
    in experiments of earlier versions."""
    more: int
    """How many real frames the positive control adds; 0 if it leaves out half of them."""
    comparison: int
    """The number of this comparison on these test subjects, among all of the project."""
    answer: Answer
    sentence: str
    """The answer for a person, with what to do where there is none."""
    evidence: str
    """What was measured, in words."""
