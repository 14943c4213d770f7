"""Request and result types for experiments, and the sentence that answers: do the pairs help?

Importing this module imports no torch: the window shows an experiment with the same functions as
the job that ran it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import by_repeat, over_repeats, paired_difference
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.core.words import counted
from fetalstudio.engine.process.job import Job
from fetalstudio.project.records import Run

BEFORE = "before"
"""Used like the name of a mix for the original segmenter, which is measured once."""
SYNTHETIC = "synthetic"
CONTROL = "augmented_steps"
"""The mix that the answer compares with: the best use of the same number of steps without a
synthetic frame. It was chosen before anything was measured."""
MIXES: Mapping[str, str] = {
    "real": "Real frames",
    "augmented": "Real, with varied copies",
    SYNTHETIC: "Real and synthetic",
    "real_steps": "Real, as many steps",
    CONTROL: "Real, varied, as many steps",
}
"""The data mixes that are trained on and compared, with their names. ``real``: each real frame once
an epoch. ``augmented``: also one varied copy of each, whose box is derived after it was varied.
``synthetic``: the real frames and the pairs. ``*_steps``: the real frames, or always new varied
copies of them, until an epoch has as many frames as that of ``synthetic``. These take the same
number of optimiser steps as ``synthetic``, so that longer training is not mistaken for better
data."""
MARGIN = 0.002
"""A difference in the mean Dice below this does not matter for measuring heads."""
FEW_SUBJECTS = 5
"""With fewer test subjects, the result says nothing about other subjects."""

Answer = Literal["yes", "no", "harm", "unknown"]


@dataclass(frozen=True, slots=True)
class ExperimentRequest:
    """Job ``experiment``: train with and without the pairs, and compare.

    After a cancel or a crash the same request resumes the run.
    """

    job: ClassVar[Job[ExperimentRequest, ExperimentResult]] = Job(
        "experiment", "Comparing trainings", "fetalstudio.engine.jobs.experiment.job:run"
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
    seeds: int = 3
    """Number of repeats."""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    """How each mix is trained. The experiment sets ``copies``, ``patience`` and ``seed`` itself."""


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of one training on a mix."""

    mix: str
    seed: int
    dice: tuple[float, ...]
    """Dice of the test frames, in the order of the run's record."""
    steps: int
    best_epoch: int
    """0 if no epoch was better than the original segmenter."""
    seconds: float

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Trained:
        """The result from an entry of the run's history, which is its ``asdict``.

        In runs of earlier versions the mix is called ``arm``.
        """
        mix = row["mix"] if "mix" in row else row["arm"]
        others = {key: row[key] for key in ("seed", "steps", "best_epoch", "seconds")}
        return cls(mix=mix, dice=tuple(row["dice"]), **others)


@dataclass(frozen=True, slots=True)
class MixFigures:
    """The figures of one mix over all seeds."""

    mix: str
    dice: Interval
    """Mean Dice, averaged over the seeds for each frame, with its 95 % interval by subject."""
    by_seed: tuple[Interval, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The Dice of the mix with pairs minus that of another mix, on the same test frames."""

    against: str
    difference: Interval
    by_seed: tuple[float, ...]


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
    """Comparisons with each of the other mixes."""
    answer: Answer
    sentence: str
    """The answer for a person."""


def examples_in(mix: str, real: int, pairs: int) -> int:
    """How many frames an epoch of the mix shows."""
    return {"real": real, "augmented": 2 * real}.get(mix, real + pairs)


def steps_in(mix: str, real: int, pairs: int, *, epochs: int, batch: int) -> int:
    """How many optimiser steps the mix takes."""
    return epochs * math.ceil(examples_in(mix, real, pairs) / batch)


def result_of(run: Run) -> ExperimentResult | None:
    """The findings of the run so far; None before all mixes of one seed are done."""
    trained = [Trained.of_row(row) for row in run.history]
    drawn = run.data["drawn"][0]
    return findings(
        trained,
        run.data["subjects"],
        run_id=run.id,
        name=run.name,
        segmenter=run.settings["segmenter"],
        real=len(drawn["train"]),
        synthetic=len(drawn["pairs"]),
    )


def findings(
    trained: Sequence[Trained], subjects: Sequence[str], *, real: int, synthetic: int, **named: Any
) -> ExperimentResult | None:
    """The figures, the comparisons and the answer; None before all mixes of one seed are done.

    ``subjects`` are those of the test frames. ``named`` gives the other fields of the result.
    """
    by_mix = {mix: {t.seed: t for t in trained if t.mix == mix} for mix in (BEFORE, *MIXES)}
    seeds = sorted(set.intersection(*(set(by_mix[mix]) for mix in MIXES)))
    if not seeds:
        return None
    of = list(subjects)
    dice = {mix: [by_mix[mix][seed].dice for seed in seeds] for mix in MIXES}
    dice = {BEFORE: [t.dice for t in by_mix[BEFORE].values()], **dice}
    figures = tuple(
        MixFigures(
            mix,
            over_repeats(rows, of),
            tuple(over_repeats([row], of) for row in rows),
            max(t.steps for t in by_mix[mix].values()),
        )
        for mix, rows in dice.items()
        if rows
    )
    comparisons = tuple(
        Comparison(
            mix,
            paired_difference(dice[SYNTHETIC], dice[mix], of),
            by_repeat(dice[SYNTHETIC], dice[mix]),
        )
        for mix in MIXES
        if mix != SYNTHETIC
    )
    decisive = next(c for c in comparisons if c.against == CONTROL)
    given = answer(decisive, len(set(subjects)))
    means = {f.mix: f.dice.mean for f in figures}
    return ExperimentResult(
        real=real,
        synthetic=synthetic,
        seeds=len(seeds),
        test_frames=len(subjects),
        test_subjects=len(set(subjects)),
        mixes=figures,
        comparisons=comparisons,
        answer=given,
        sentence=in_words(
            given,
            decisive,
            dice=(means[SYNTHETIC], means[CONTROL]),
            counts=(real, synthetic, len(subjects), len(set(subjects))),
        ),
        **named,
    )


def answer(comparison: Comparison, subjects: int) -> Answer:
    """The answer to: do the pairs help?

    For ``yes`` and ``harm``, the whole interval and every repeat must be on one side of zero. For
    ``no``, the whole interval must be within :data:`MARGIN`. With fewer than :data:`FEW_SUBJECTS`
    subjects, the answer is ``unknown``.
    """
    low, high = comparison.difference.low, comparison.difference.high
    if subjects < FEW_SUBJECTS:
        return "unknown"
    if low >= -MARGIN and high <= MARGIN:
        return "no"
    if low > 0 and all(d > 0 for d in comparison.by_seed):
        return "yes"
    if high < 0 and all(d < 0 for d in comparison.by_seed):
        return "harm"
    return "unknown"


def in_words(
    given: Answer,
    comparison: Comparison,
    *,
    dice: tuple[float, float],
    counts: tuple[int, int, int, int],
) -> str:
    """The answer as a sentence that a clinician understands, with its evidence.

    ``dice``: means with and without the pairs; ``counts``: real frames, pairs, test frames and
    their subjects.
    """
    real, pairs, frames, subjects = counts
    low, high = 100 * comparison.difference.low, 100 * comparison.difference.high
    repeats = len(comparison.by_seed)
    better = sum(d > 0 for d in comparison.by_seed)
    had = f"{counted(pairs, 'synthetic pair')} beside {counted(real, 'real frame')}"
    without = "training just as long on varied copies of the real frames alone"
    evidence = (
        f"Dice {dice[0]:.3f} with them and {dice[1]:.3f} without, difference {low:+.2f} to "
        f"{high:+.2f} points (95 % interval), better in {better} of {counted(repeats, 'repeat')}, "
        f"on {counted(frames, 'test frame')} of {counted(subjects, 'subject')} that no training saw"
    )
    if given == "yes":
        return f"Yes: with {had} the heads are outlined better than by {without}: {evidence}."
    if given == "harm":
        return f"No: with {had} the heads are outlined worse than by {without}: {evidence}."
    if given == "no":
        return (
            f"No: with {had} the heads are outlined as well as by {without}, to within "
            f"{100 * MARGIN:.1f} points: {evidence}."
        )
    doubt = _doubt(comparison, subjects)
    return f"It is not known whether {had} help more than {without}, because {doubt}: {evidence}."


def _doubt(comparison: Comparison, subjects: int) -> str:
    if subjects < FEW_SUBJECTS:
        return f"{counted(subjects, 'test subject')} are too few"
    if comparison.difference.low > 0 or comparison.difference.high < 0:
        return "the result depends on which real frames were sampled"
    return "more test subjects are needed"
