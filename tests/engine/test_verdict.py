"""The verdict of a training: what it claims, and how often it errs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.statistics import FEW_SUBJECTS
from fetalstudio.engine.comparisons import comparisons
from fetalstudio.engine.jobs.train.verdict import compare
from fetalstudio.project.project import Project

N = 24
SUBJECTS = [f"s{i}" for i in range(N)]
BEFORE = [0.95] * (N - 1) + [0.97]


@pytest.mark.parametrize(
    ("gain", "answer", "begins"),
    [
        (0.01, "better", "The new model is better"),
        (-0.01, "worse", "The new model is worse"),
        (0.0, "unclear", "No clear difference"),
    ],
)
def test_the_verdict_says_what_the_figures_allow(gain: float, answer: str, begins: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.005, N)
    found = compare(BEFORE, list(np.add(BEFORE, gain + noise - noise.mean())), SUBJECTS)
    assert found.answer == answer and found.sentence.startswith(begins)
    assert "24 test frames of 24 subjects" in found.sentence
    assert "0 of the frames failed before, 0 after" in found.sentence
    assert "95 % interval" in found.sentence


def test_failures_are_looked_at_before_the_mean() -> None:
    after = [0.98] * (N - 1) + [0.89]
    found = compare(BEFORE, after, SUBJECTS)
    assert found.difference.mean > 0.02 and found.failures == (0, 1)
    assert found.answer == "failures"
    assert found.sentence.startswith("Keep the current model, as more frames fail")


def test_of_few_test_subjects_only_the_figures_are_given() -> None:
    few = FEW_SUBJECTS - 1
    found = compare([0.9] * few, [0.99] * few, SUBJECTS[:few])
    assert found.answer == "too_few" and math.isnan(found.difference.low)
    assert found.sentence.startswith("Too few to tell: Dice 0.900 before, 0.990 after on 19 test")
    assert "interval" not in found.sentence and "better" not in found.sentence


def test_without_a_better_epoch_nothing_is_compared() -> None:
    found = compare(BEFORE, BEFORE, SUBJECTS, improved=False, comparison=7)
    assert found.answer == "kept" and found.sentence.endswith("Keep that model.")


def test_the_verdict_says_how_often_these_subjects_were_compared() -> None:
    assert "compared" not in compare(BEFORE, BEFORE, SUBJECTS).sentence
    assert "have been compared 7 times on these test subjects" in (
        compare(BEFORE, BEFORE, SUBJECTS, comparison=7).sentence
    )


def test_comparisons_on_the_same_subjects_are_counted(sample_project: Project) -> None:
    frames = sample_project.frames.all()
    first, other = frames[0], next(f for f in frames if f.subject != frames[0].subject)

    def ended(job: str, frame_id: str, verdict: dict[str, object] | None) -> None:
        run = sample_project.runs.start("run", {"job": job}, {"test": [frame_id]})
        sample_project.runs.update(run.id, state="finished", verdict=verdict)

    assert comparisons(sample_project, [first.subject]) == 1
    ended("train", first.id, {"model": "tuned-1"})
    ended("experiment", first.id, {"sentence": "Yes."})
    ended("train", other.id, {"model": "tuned-2"})  # other subjects
    ended("train", first.id, {"model": None})  # no new model
    ended("train", first.id, None)  # stopped
    ended("adapt", first.id, {"model": "ours"})  # a synthesizer
    assert comparisons(sample_project, [first.subject]) == 3


# -- how often it errs ------------------------------------------------------------------------


def _effects(kind: str, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,): differences in Dice whose mean in truth is zero."""
    if kind == "skewed":
        return 0.01 * (rng.exponential(1, n) - 1)
    plain = rng.normal(0, 0.006, n)
    if kind == "normal":
        return plain
    failed = rng.random(n)  # either model may lose a head
    return plain + np.where(failed < 0.02, 0.1, 0) - np.where(failed > 0.98, 0.1, 0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["normal", "skewed", "failures"])
@pytest.mark.parametrize("subjects", [3, 20, 50, 300])
def test_at_most_one_verdict_in_twenty_is_false(kind: str, subjects: int) -> None:
    rng = np.random.default_rng(subjects)
    of = [f"s{i}" for i in range(subjects) for _ in range(1 + i % 3)]
    before = np.full(len(of), 0.95)
    size = np.array([1 + i % 3 for i in range(subjects)])
    wrong, tries = 0, 300
    for _ in range(tries):
        each = np.repeat(_effects(kind, subjects, rng), size)
        after = before + each + rng.normal(0, 0.003, len(of))
        wrong += compare(before.tolist(), after.tolist(), of).answer in ("better", "worse")
    print(f"false verdicts, {kind}, {subjects} subjects: {wrong / tries:.3f}")
    assert wrong / tries <= 0.07


@pytest.mark.slow
def test_a_real_gain_is_found_more_often_than_not() -> None:
    rng = np.random.default_rng(0)
    of, before = [f"s{i}" for i in range(50)], np.full(50, 0.95)
    found = [
        compare(before.tolist(), (before + 0.004 + _effects("normal", 50, rng)).tolist(), of).answer
        for _ in range(200)
    ]
    assert found.count("better") > 150
