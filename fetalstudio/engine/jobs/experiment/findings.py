"""The findings of an experiment from the trainings in its run's history.

Importing this module imports no torch: the window shows an experiment with the same functions as
the job that ran it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fetalstudio.core.statistics import over_repeats
from fetalstudio.engine.jobs.experiment.answer import answer, compare
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, CONTROL, MIXES, POSITIVE, SYNTHETIC
from fetalstudio.engine.jobs.experiment.request import ExperimentResult, MixFigures
from fetalstudio.engine.jobs.experiment.wording import Counts, answer_in_words, evidence_in_words
from fetalstudio.project.store.records import Run


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
    run_id: int,
    name: str,
    segmenter: str,
    real: int,
    synthetic: int,
    more: int,
    comparison: int = 1,
) -> ExperimentResult | None:
    """The figures, the comparisons and the answer; None before all mixes of one seed are done.

    ``subjects`` are those of the test frames. The others are fields of the result.
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
    decisive, control = comparisons[CONTROL], None
    if POSITIVE in dice:
        larger, smaller = (POSITIVE, CONTROL) if more else (CONTROL, POSITIVE)
        control = compare(dice[larger], dice[smaller], subjects, against=smaller)
    tested = len(set(subjects))
    given = answer(decisive, control, tested)
    means = {f.mix: f.dice.mean for f in figures}
    counts = Counts(real, synthetic, more, len(subjects), tested, comparison)
    return ExperimentResult(
        run_id=run_id,
        name=name,
        segmenter=segmenter,
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
        sentence=answer_in_words(given, decisive, control, counts),
        evidence=evidence_in_words(decisive, control, (means[SYNTHETIC], means[CONTROL]), counts),
    )
