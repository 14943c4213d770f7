"""Request and result types for experiments, and the answer to: do the pairs help?

Importing this module imports no torch: the window shows an experiment with the same functions as
the job that ran it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import (
    FEW_REPEATS,
    FEW_SUBJECTS,
    by_repeat,
    over_repeats,
    paired_difference,
)
from fetalstudio.core.training_settings import TrainingSettings, settings_of
from fetalstudio.core.words import counted
from fetalstudio.engine.comparisons import comparisons_in_words
from fetalstudio.engine.evidence import Answer
from fetalstudio.engine.process.job import Job
from fetalstudio.engine.resumable import cohort_now
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run

BEFORE = "before"
"""Used like the name of a mix for the original segmenter, which is measured once."""
SYNTHETIC = "synthetic"
CONTROL = "augmented_steps"
"""The mix that the answer compares with: the best use of the same number of steps without a
synthetic frame. It was chosen before anything was measured."""
POSITIVE = "real_frames"
"""The mix of the positive control, which shows whether the trial could have shown a difference."""
MIXES: Mapping[str, str] = {
    POSITIVE: "Control by real frames",
    "real": "Real frames",
    "augmented": "Real, with varied copies",
    SYNTHETIC: "Real and synthetic",
    "real_steps": "Real, as many steps",
    CONTROL: "Real, varied, as many steps",
}
"""The data mixes that are trained on and compared, with their names.

``real_frames``: as ``augmented_steps``, but with as many more real frames as there are pairs; or,
if there are not enough, with half of the real frames. ``real``: each real frame once an epoch.
``augmented``: also one varied copy of each, whose box is derived after it was varied.
``synthetic``: the real frames and the pairs. ``*_steps``: the real frames, or always new varied
copies of them, until an epoch has as many frames as that of ``synthetic``. These, and the positive
control, take the same number of optimiser steps as ``synthetic``, so that longer training is not
mistaken for better data."""
MARGIN = 0.002
"""A difference in the mean Dice below this does not matter for measuring heads."""
SENSITIVE = 2 * MARGIN
"""Real frames must move the mean Dice by at least this, or the trial could not have shown a
difference."""


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
class Trained:
    """The result of one training on a mix."""

    mix: str
    seed: int
    dice: tuple[float, ...]
    """Dice of the test frames, in the order of the run's record."""
    steps: int
    seconds: float

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Trained:
        """The result from an entry of the run's history, which is its ``asdict``.

        In runs of earlier versions the mix is called ``arm``.
        """
        mix = row["mix"] if "mix" in row else row["arm"]
        others = {key: row[key] for key in ("seed", "steps", "seconds")}
        return cls(mix=mix, dice=tuple(row["dice"]), **others)


@dataclass(frozen=True, slots=True)
class MixFigures:
    """The figures of one mix over all seeds."""

    mix: str
    dice: Interval
    """Mean Dice with its 95 % interval over other subjects and seeds."""
    by_seed: tuple[Interval, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The Dice of one mix minus that of another, on the same test frames."""

    against: str
    difference: Interval
    """With its 95 % interval over other subjects and seeds. The ends of both intervals are NaN if
    there are too few to tell."""
    equivalence: Interval
    """The same with the 90 % interval, which decides two one-sided tests at 5 %."""
    by_seed: tuple[float, ...]
    failures: tuple[float, float]
    """How many test frames have a Dice below 0.9 with this mix and with the other, mean over the
    seeds."""


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


def examples_in(mix: str, real: int, pairs: int) -> int:
    """How many frames an epoch of the mix shows."""
    return {"real": real, "augmented": 2 * real}.get(mix, real + pairs)


def steps_in(mix: str, real: int, pairs: int, *, epochs: int, batch: int) -> int:
    """How many optimiser steps the mix takes."""
    return epochs * math.ceil(examples_in(mix, real, pairs) / batch)


def name_of(mix: str, result: ExperimentResult) -> str:
    """The name of a mix of the experiment for a person."""
    if mix == BEFORE:
        return f"{result.segmenter}, not fine-tuned"
    if mix == POSITIVE:
        return f"Control: +{result.more} real" if result.more else "Control: half of real"
    return MIXES[mix]


def own_settings(settings: TrainingSettings) -> TrainingSettings:
    """The settings with the experiment's own values.

    Without copies and patience, mixes of the same size take the same number of steps.
    """
    return replace(settings, copies=1, patience=settings.epochs, seed=0)


def request_of(run: Run, project: Project) -> ExperimentRequest:
    """The request that resumes a run of the project: that with which it began, with the present
    name of its cohort."""
    known = {field.name for field in fields(ExperimentRequest)}
    stored = {k: v for k, v in run.settings.items() if k in known}
    settings = own_settings(settings_of(run.settings))
    now = {"project": project.path, "cohort": cohort_now(project, run), "settings": settings}
    return ExperimentRequest(**{**stored, **now})


def trainings_of(run: Run) -> tuple[int, int]:
    """How many trainings of an experiment have ended, and how many it has."""
    ended = sum(Trained.of_row(row).mix != BEFORE for row in run.history)
    return ended, len(MIXES) * len(run.data["drawn"])


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
        more=len(drawn.get("more", ())),
        comparison=run.settings.get("comparison", 1),
    )


def findings(
    trained: Sequence[Trained],
    subjects: Sequence[str],
    *,
    real: int,
    synthetic: int,
    more: int,
    comparison: int = 1,
    **named: Any,
) -> ExperimentResult | None:
    """The figures, the comparisons and the answer; None before all mixes of one seed are done.

    ``subjects`` are those of the test frames. ``named`` gives the other fields of the result.
    """
    by_mix = {mix: {t.seed: t for t in trained if t.mix == mix} for mix in (BEFORE, *MIXES)}
    # Earlier versions trained no positive control.
    needed = [mix for mix in MIXES if mix != POSITIVE or by_mix[mix]]
    seeds = sorted(set.intersection(*(set(by_mix[mix]) for mix in needed)))
    if not seeds:
        return None
    dice = {mix: [by_mix[mix][seed].dice for seed in seeds] for mix in needed}
    dice = {BEFORE: [t.dice for t in by_mix[BEFORE].values()], **dice}
    figures = tuple(
        MixFigures(
            mix,
            over_repeats(rows, subjects),
            tuple(over_repeats([row], subjects) for row in rows),
            max(t.steps for t in by_mix[mix].values()),
        )
        for mix, rows in dice.items()
        if rows
    )
    comparisons = {
        mix: compare(dice[SYNTHETIC], dice[mix], subjects, against=mix)
        for mix in needed
        if mix != SYNTHETIC
    }
    control = None
    if POSITIVE in dice:
        order = (POSITIVE, CONTROL) if more else (CONTROL, POSITIVE)
        control = compare(dice[order[0]], dice[order[1]], subjects, against=order[1])
    tested = len(set(subjects))
    given = answer(comparisons[CONTROL], control, tested)
    means = {f.mix: f.dice.mean for f in figures}
    counts = _Counts(real, synthetic, more, len(subjects), tested, comparison)
    return ExperimentResult(
        real=real,
        synthetic=synthetic,
        seeds=len(seeds),
        test_frames=len(subjects),
        test_subjects=tested,
        mixes=figures,
        comparisons=tuple(comparisons.values()),
        control=control,
        more=more,
        comparison=comparison,
        answer=given,
        sentence=_answer_in_words(given, comparisons[CONTROL], control, counts),
        evidence=_evidence(
            comparisons[CONTROL], control, (means[SYNTHETIC], means[CONTROL]), counts
        ),
        **named,
    )


def compare(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    subjects: Sequence[str],
    *,
    against: str,
) -> Comparison:
    """Compare the Dice of two mixes, each (seeds, frames), on the test frames of ``subjects``."""
    difference = paired_difference(first, second, subjects)
    equivalence = paired_difference(first, second, subjects, level=0.9)
    if _too_few(len(set(subjects)), len(first)):
        difference = replace(difference, low=math.nan, high=math.nan)
        equivalence = difference
    failures = _failures(first), _failures(second)
    return Comparison(against, difference, equivalence, by_repeat(first, second), failures)


def _failures(dice: Sequence[Sequence[float]]) -> float:
    return sum(value < FAILURE for row in dice for value in row) / len(dice)


def _too_few(subjects: int, repeats: int) -> bool:
    return subjects < FEW_SUBJECTS or repeats < FEW_REPEATS


def answer(
    pairs: Comparison, control: Comparison | None, subjects: int, margin: float = MARGIN
) -> Answer:
    """The answer to: do the pairs help?

    ``pairs`` compares the mix with pairs with :data:`CONTROL`. Unless the positive control moved
    the Dice by twice the margin, the trial could not have shown a difference. Failures are looked
    at before the mean: if at least one more frame fails with pairs, they neither help nor make no
    difference. For ``no``, two one-sided tests must find the difference within the margin;
    otherwise the 95 % interval must lie on one side of zero.
    """
    if control is None or not _sensitive(control, margin):
        return "insensitive"
    if _too_few(subjects, len(pairs.by_seed)):
        return "too_few"
    fails_more = pairs.failures[0] >= pairs.failures[1] + 1
    equal = pairs.equivalence.low >= -margin and pairs.equivalence.high <= margin
    if equal and not fails_more:
        return "no"
    if pairs.difference.high < 0:
        return "harm"
    return "yes" if pairs.difference.low > 0 and not fails_more else "unknown"


def _sensitive(control: Comparison, margin: float) -> bool:
    """Of too few to tell, there is no interval, and the mean alone counts."""
    return control.difference.mean >= 2 * margin and not control.difference.low <= 0


@dataclass(frozen=True, slots=True)
class _Counts:
    """The numbers that the sentences name."""

    real: int
    pairs: int
    more: int
    frames: int
    subjects: int
    comparison: int


def _evidence(
    pairs: Comparison, control: Comparison | None, dice: tuple[float, float], counts: _Counts
) -> str:
    """What was measured. ``dice`` are the means with and without the pairs."""
    repeats = len(pairs.by_seed)
    better = sum(d > 0 for d in pairs.by_seed)
    real = "" if control is None else f"{_control_in_words(control, counts)}. "
    intervals = "" if math.isnan(pairs.difference.low) else ", with 95 % intervals"
    return (
        f"Measured on {counted(counts.frames, 'test frame')} of "
        f"{counted(counts.subjects, 'subject')} that no training saw{intervals}: "
        f"Dice {dice[0]:.3f} with the pairs and {dice[1]:.3f} without, difference "
        f"{_points(pairs.difference)}, better in {better} of {counted(repeats, 'repeat')}. {real}"
        f"Frames that fail (Dice below {FAILURE}): {pairs.failures[0]:.1f} with the pairs and "
        f"{pairs.failures[1]:.1f} without. {comparisons_in_words(counts.comparison)}"
    ).strip()


def _control_in_words(control: Comparison, counts: _Counts) -> str:
    real = (
        f"{counted(counts.more, 'more real frame')} instead of the pairs"
        if counts.more
        else "The other half of the real frames"
    )
    return f"{real}: {_points(control.difference)}"


def _points(difference: Interval) -> str:
    """A difference in points of Dice, with its interval if there is one."""
    text = f"{100 * difference.mean:+.2f} points"
    if math.isnan(difference.low):
        return text
    return f"{text} ({100 * difference.low:+.2f} to {100 * difference.high:+.2f})"


def _answer_in_words(
    given: Answer, pairs: Comparison, control: Comparison | None, counts: _Counts
) -> str:
    """The answer, and what to do where there is none."""
    had = f"{counted(counts.pairs, 'synthetic pair')} beside {counted(counts.real, 'real frame')}"
    without = "training just as long on varied copies of the real frames alone"
    if given == "yes":
        return f"Yes: with {had} the heads are outlined better than by {without}."
    if given == "harm":
        return f"No: with {had} the heads are outlined worse than by {without}."
    if given == "no":
        return (
            f"No: with {had} the heads are outlined as well as by {without}, to within a margin of "
            f"{100 * MARGIN:.1f} points (equivalence test at 5 %)."
        )
    if given == "too_few":
        return (
            f"Too few to tell whether {had} help. An answer needs {FEW_SUBJECTS} test subjects and "
            f"{FEW_REPEATS} repeats: annotate frames of more subjects, or ask for more repeats."
        )
    if given == "insensitive":
        return _insensitive(control)
    doubt = (
        "more frames fail with them"
        if pairs.failures[0] >= pairs.failures[1] + 1
        else "the interval holds both zero and differences that matter"
    )
    return (
        f"It is not known whether {had} help more than {without}, because {doubt}. More test "
        "subjects or more repeats could tell."
    )


def _insensitive(control: Comparison | None) -> str:
    if control is None:
        return (
            "This trial could not have shown a difference: an earlier version made it, which had "
            "no control by real frames. Compare again."
        )
    why = (
        "even real frames did not move the Dice by "
        f"{100 * SENSITIVE:.1f} points, twice the margin that matters"
        if control.difference.mean < SENSITIVE
        else "what real frames bring may be chance"
    )
    return (
        f"This trial could not have shown a difference: {why}. A segmenter that has not seen such "
        "frames could show one; so could more annotated frames, or more repeats."
    )
