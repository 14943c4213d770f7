"""Job ``experiment``: the mixes, what is kept, and the answer in words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fetalstudio.cli import main
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Stopped
from fetalstudio.core.statistics import FEW_REPEATS, FEW_SUBJECTS
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.evidence import Answer
from fetalstudio.engine.jobs.experiment.answer import MARGIN, Comparison, answer, compare
from fetalstudio.engine.jobs.experiment.findings import Trained, findings, result_of
from fetalstudio.engine.jobs.experiment.mixes import (
    BEFORE,
    CONTROL,
    MIXES,
    POSITIVE,
    SYNTHETIC,
    added_by_control,
    examples_in,
    steps_in,
)
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest, ExperimentResult
from fetalstudio.engine.jobs.experiment.training import examples_of
from fetalstudio.engine.jobs.synthesize.like_cohort import batch_sources
from fetalstudio.engine.process.events import Checkpoint, Event, Progress, Warned
from fetalstudio.engine.process.local import run_job
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import SYNTHETIC_COHORT
from tests.engine.support import die, killed

ONE_EPOCH = TrainingSettings(epochs=1)
SUBJECTS = [f"s{i // 2}" for i in range(24)]


def accept_pairs(project: Project, count: int = 3) -> None:
    """A bright ring on noise for some ellipses of the training part."""
    for i, item in enumerate(batch_sources(project)[:count]):
        noise = np.random.default_rng(i).integers(0, 80, item.size[::-1], dtype=np.uint8)
        points = np.round(item.ellipse.contour(90)).astype(np.int32)
        pair = project.pairs.add(
            np.asarray(cv2.polylines(noise, [points], True, 255, 5), np.uint8),
            name=f"ring_{i}",
            ellipse=item.ellipse,
            cohort=SYNTHETIC_COHORT,
            calibration=None,
            quality={},
            provenance={"source_frame": item.id},
        )
        project.pairs.review(pair.id, "accepted", reviewer="test")


def small(project: Project, **fields: Any) -> ExperimentRequest:
    given = {"real": 2, "synthetic": 2, "seeds": 2, "settings": ONE_EPOCH, **fields}
    return ExperimentRequest(project.path, **given)


# -- mixes -------------------------------------------------------------------------------------


def _example(seed: int) -> LabelledFrame:
    image = np.random.default_rng(seed).integers(1, 255, (60, 80), dtype=np.uint8)
    return LabelledFrame.of(image, Ellipse(40, 30, 20, 15, 10 * seed))


def test_controls_take_as_many_steps_as_the_mix_with_pairs() -> None:
    real, pairs = [_example(i) for i in range(3)], [_example(10 + i) for i in range(5)]
    for mix in MIXES:
        assert len(examples_of(mix, real, pairs)) == examples_in(mix, 3, 5)
    steps = {mix: steps_in(mix, 3, 5, epochs=7, batch=2) for mix in MIXES}
    assert steps[SYNTHETIC] == steps["real_steps"] == steps[CONTROL] == steps[POSITIVE] == 28
    assert (steps["real"], steps["augmented"]) == (14, 21)


def test_pairs_are_in_one_mix_alone_and_every_real_frame_in_each() -> None:
    real, pairs = [_example(i) for i in range(3)], [_example(10 + i) for i in range(5)]
    for mix in MIXES:
        shown = examples_of(mix, real, pairs)
        assert [e for e in shown if any(e is p for p in pairs)] == (
            pairs if mix == SYNTHETIC else []
        )
        held_back = real[1::2] if mix == POSITIVE else []
        assert [r for r in real if not any(e is r for e in shown)] == held_back
    repeated = Counter(id(e) for e in examples_of("real_steps", real, pairs))
    assert sorted(repeated.values()) == [2, 3, 3]


def test_varied_copies_differ_and_carry_their_own_ellipse() -> None:
    real = [_example(1)]
    shown = examples_of(CONTROL, real, [_example(2)] * 3)
    assert len({e.image.tobytes() for e in shown}) == len({e.ellipse for e in shown}) == 4


def test_the_positive_control_has_more_real_frames_or_half_of_them() -> None:
    real, pairs = [_example(i) for i in range(4)], [_example(i) for i in range(1, 7)]
    spare = [_example(i) for i in range(8, 17)]
    more = added_by_control(spare, len(real), len(pairs))
    assert more == spare[:6]
    shown = examples_of(POSITIVE, real, pairs, more)
    assert len(shown) == 10 and all(any(e is r for e in shown) for r in (*real, *more))
    assert added_by_control(spare[:3], len(real), len(pairs)) == []
    half = examples_of(POSITIVE, real, pairs)
    assert len(half) == 10 and not any(e is real[1] or e is real[3] for e in half)


# -- the answer -------------------------------------------------------------------------------


def found(
    gains: Sequence[float],
    *,
    spread: float = 0.002,
    subjects: int = 24,
    control: float = 0.01,
    more: int = 30,
    comparison: int = 1,
    lost: float = 0.0,
) -> ExperimentResult:
    """A repeat a gain of the mix with pairs over all others, which the ``control`` exceeds.

    ``lost`` is taken from the Dice of one frame, with pairs.
    """
    rng = np.random.default_rng(0)
    of = [f"s{i % subjects}" for i in range(48)]
    base = rng.uniform(0.93, 0.95, 48)
    trained = [Trained(BEFORE, 0, tuple(base - 0.1), 0, 0.0)]
    for seed, gain in enumerate(gains):
        for mix in MIXES:
            more_dice = np.zeros(48)
            if mix == SYNTHETIC:
                more_dice = gain + rng.normal(0, spread, 48)
                more_dice[0] -= lost
            elif mix == POSITIVE:
                more_dice += control if more else -control
            trained.append(Trained(mix, seed, tuple(base + more_dice), 10, 1.0))
    made = findings(
        trained,
        of,
        run_id=1,
        name="experiment-1",
        segmenter="compact",
        real=20,
        synthetic=40,
        more=more,
        comparison=comparison,
    )
    assert made is not None
    return made


GAINS = (0.012, 0.02, 0.016, 0.014, 0.018)


def test_yes_names_the_gain_its_interval_and_what_it_rests_on() -> None:
    result = found(GAINS)
    assert result.answer == "yes"
    gain = next(c for c in result.comparisons if c.against == CONTROL).difference
    assert gain.mean == pytest.approx(0.016, abs=0.001) and gain.low < gain.mean < gain.high
    assert result.sentence.startswith("Yes: with 40 synthetic pairs beside 20 real frames")
    evidence = result.evidence
    assert evidence.startswith("Measured on 48 test frames of 24 subjects that no training saw")
    assert f"({100 * gain.low:+.2f} to {100 * gain.high:+.2f}), better in 5 of 5" in evidence
    assert "30 more real frames instead of the pairs: +1.00 points" in evidence
    assert "0.0 with the pairs and 0.0 without" in evidence
    assert "have been compared 7 times" in found(GAINS, comparison=7).evidence


@pytest.mark.parametrize(
    ("gains", "answer", "begins"),
    [
        (
            (0.0, 0.0002, 0.0, -0.0001, 0.0001),
            "no",
            "No: with 40 synthetic pairs beside 20 real frames the heads are outlined as well",
        ),
        ((-0.02, -0.01, -0.015, -0.02, -0.01), "harm", "No: "),
        (
            (0.03, -0.01, 0.02, -0.02, 0.01),
            "unknown",
            "It is not known whether 40 synthetic pairs beside 20 real frames help",
        ),
    ],
)
def test_no_and_unknown_are_said_as_plainly(
    gains: tuple[float, ...], answer: str, begins: str
) -> None:
    result = found(gains)
    assert result.answer == answer and result.sentence.startswith(begins)
    margin = "to within a margin of 0.2 points (equivalence test at 5 %)" in result.sentence
    assert margin == (answer == "no")


@pytest.mark.parametrize("more", [30, 0])
def test_a_trial_in_which_real_frames_change_nothing_could_not_have_shown_anything(
    more: int,
) -> None:
    for gains in (GAINS, (0.0,) * 5, (0.0,)):
        result = found(gains, control=0.0039, more=more)
        assert result.answer == "insensitive"
        assert result.sentence.startswith("This trial could not have shown a difference: even real")
        assert "A segmenter that has not seen such frames could show one" in result.sentence
    assert found((0.0,) * 5, control=0.0041, more=more).answer == "no"


def test_few_subjects_and_few_repeats_give_figures_and_no_answer() -> None:
    for result in (found(GAINS, subjects=FEW_SUBJECTS - 1), found(GAINS[: FEW_REPEATS - 1])):
        assert result.answer == "too_few"
        assert result.sentence.startswith("Too few to tell whether 40 synthetic pairs")
        assert "interval" not in result.evidence and "difference +1." in result.evidence


def test_failures_are_looked_at_before_the_mean() -> None:
    result = found(GAINS, lost=0.1)
    decisive = next(c for c in result.comparisons if c.against == CONTROL)
    assert decisive.difference.low > 0 and decisive.failures == (1.0, 0.0)
    assert result.answer == "unknown" and "because more frames fail with them" in result.sentence


def test_an_experiment_of_an_earlier_version_is_shown_without_its_claim(
    sample_project: Project,
) -> None:
    ids = [frame.id for frame in sample_project.frames.all()][:6]
    data = {
        "test": ids,
        "subjects": [f"s{i}" for i in range(6)],
        "validation": [],
        "drawn": [{"train": ids[:2], "pairs": [1, 2, 3], "ellipses": ""}],
    }
    run = sample_project.runs.start("e", {"job": "experiment", "segmenter": "compact"}, data)
    for mix in (BEFORE, *(mix for mix in MIXES if mix != POSITIVE)):
        row = {"arm": mix, "seed": 0, "dice": [0.95] * 6, "steps": 3, "best_epoch": 0}
        sample_project.runs.update(run.id, history_entry={**row, "seconds": 1.0})
    result = result_of(sample_project.runs.get(run.id))
    assert result is not None and result.control is None and result.answer == "insensitive"
    assert "an earlier version made it" in result.sentence
    assert [m.mix for m in result.mixes] == [BEFORE, *(mix for mix in MIXES if mix != POSITIVE)]


# -- how often it errs ------------------------------------------------------------------------


def _simulated(
    rng: np.random.Generator,
    subjects: int,
    gain: float,
    *,
    skewed: bool = False,
    repeats: int = FEW_REPEATS,
) -> Answer:
    """The answer of an experiment with a ``gain`` in truth.

    Subjects, repeats and single trainings on single frames vary.
    """
    of = [f"s{i}" for i in range(subjects) for _ in range(1 + i % 2)]
    size = np.array([1 + i % 2 for i in range(subjects)])

    def compared(mean: float) -> Comparison:
        by_subject = rng.exponential(1, subjects) - 1 if skewed else rng.normal(0, 1, subjects)
        difference = (
            mean + rng.normal(0, 0.0015, (repeats, 1)) + np.repeat(0.006 * by_subject, size)
        )
        difference = difference + rng.normal(0, 0.004, (repeats, len(of)))
        without = np.full((repeats, len(of)), 0.95)
        return compare((without + difference).tolist(), without.tolist(), of, against=CONTROL)

    return answer(compared(gain), compared(0.01), subjects)


@pytest.mark.slow
@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("subjects", [3, 20, 50, 300])
def test_at_most_one_answer_in_twenty_is_false(subjects: int, skewed: bool) -> None:
    rng, tries = np.random.default_rng(subjects), 150
    alike = [_simulated(rng, subjects, 0.0, skewed=skewed) for _ in range(tries)]
    differing = [_simulated(rng, subjects, MARGIN, skewed=skewed) for _ in range(tries)]
    wrong = sum(given in ("yes", "harm") for given in alike) / tries
    missed = differing.count("no") / tries
    print(f"{subjects} subjects, skewed {skewed}: false {wrong:.3f}, false 'no' {missed:.3f}")
    assert wrong <= 0.07 and missed <= 0.07


@pytest.mark.slow
def test_a_gain_of_twice_the_margin_is_found_more_often_than_not() -> None:
    rng, tries = np.random.default_rng(0), 100
    found = [_simulated(rng, 50, 2 * MARGIN) for _ in range(tries)]
    print(f"power with 50 subjects: {found.count('yes') / tries:.3f}")
    assert found.count("yes") / tries > 0.5
    alike = [_simulated(rng, 200, 0.0, repeats=10) for _ in range(tries)]
    print(f"'no' with 200 subjects, 10 repeats: {alike.count('no') / tries:.3f}")
    assert alike.count("no") / tries > 0.5


def test_a_seed_counts_once_all_its_mixes_are_done() -> None:
    rows = [Trained(mix, 0, (0.9,) * 24, 1, 1.0) for mix in MIXES]
    named: dict[str, Any] = {
        "run_id": 1,
        "name": "e",
        "segmenter": "compact",
        "real": 1,
        "synthetic": 1,
        "more": 0,
    }
    assert findings(rows[:-1], SUBJECTS, **named) is None
    half = [*rows, Trained("real", 1, (0.5,) * 24, 1, 1.0)]
    result = findings(half, SUBJECTS, **named)
    assert result is not None and result.seeds == 1
    assert {a.dice.mean for a in result.mixes} == {0.9}


# -- the job ----------------------------------------------------------------------------------


def test_a_cancelled_experiment_keeps_what_is_done_and_goes_on(sample_project: Project) -> None:
    accept_pairs(sample_project)
    heard: list[Event] = []

    def done() -> int:
        return sum(isinstance(e, Checkpoint) for e in heard)

    with pytest.raises(Stopped) as stopped:
        run_job(small(sample_project), heard.append, lambda: done() >= 9)
    (run,) = sample_project.runs.all()
    kept = list(run.history)
    assert run.state == "cancelled" and len(kept) == 9
    assert stopped.value.result.seeds == 1 and stopped.value.result == result_of(run)

    heard.clear()
    result = run_job(small(sample_project), heard.append)
    (run,) = sample_project.runs.all()
    assert run.state == "finished" and run.job == "experiment"
    assert list(run.history[:9]) == kept and len(run.history) == 1 + 2 * len(MIXES)
    assert result == result_of(run) and result.seeds == 2 and result.real == result.synthetic == 2
    assert run.verdict is not None and run.verdict["sentence"] == result.sentence
    shown = [e for e in heard if isinstance(e, Progress)]
    assert shown[0].done > 0 and shown[-1].done == shown[-1].total
    assert any(e.eta_s for e in shown)
    drawn = [set(d["train"]) for d in run.data["drawn"]]
    assert not (drawn[0] | drawn[1]) & {*run.data["test"]}
    for each in run.data["drawn"]:
        assert len(each["more"]) == 2
        assert not {*each["more"]} & {*each["train"], *run.data["test"]}
    assert run.verdict["comparison"] == 1
    assert not sample_project.models.all()


def test_what_changed_since_it_was_stopped_is_said(sample_project: Project) -> None:
    accept_pairs(sample_project)
    heard: list[Event] = []

    def warnings() -> list[str]:
        return [event.message for event in heard if isinstance(event, Warned)]

    def after_the_first_measure() -> bool:
        return any(isinstance(event, Checkpoint) for event in heard)

    def start() -> None:
        with pytest.raises(Stopped):
            run_job(small(sample_project, seeds=1), heard.append, after_the_first_measure)
        heard[:] = [event for event in heard if isinstance(event, Warned)]

    start()
    (stopped,) = sample_project.runs.all()
    drawn = stopped.data["drawn"][0]["train"][0]
    sample_project.annotations.add(drawn, Ellipse(300, 200, 120, 90, 3), author="t", state="final")
    start()
    (said,) = [text for text in warnings() if "begins again" in text]
    assert said == (
        f"The frames, the pairs or the segmenter have changed since {stopped.name} was stopped, "
        "so the comparison begins again."
    )
    heard.clear()
    start()  # nothing has changed since the second one, which goes on
    assert not [text for text in warnings() if "begins again" in text]
    assert len(sample_project.runs.all()) == 2


def compare_and_die(request: ExperimentRequest) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, Checkpoint) and event.note.startswith("augmented,"):
            die()

    run_job(request, hear)


def test_what_a_killed_process_had_done_stays(sample_project: Project, forks: None) -> None:
    accept_pairs(sample_project)
    killed(compare_and_die, small(sample_project, seeds=1))
    (run,) = sample_project.runs.fail_crashed()
    assert [row["mix"] for row in run.history] == [BEFORE, POSITIVE, "real", "augmented"]
    run_job(small(sample_project, seeds=1))
    (run,) = sample_project.runs.all()
    assert run.state == "finished" and len(run.history) == 1 + len(MIXES)


def test_mixes_that_taught_nothing_could_not_have_shown_a_difference(
    sample_project: Project,
) -> None:
    accept_pairs(sample_project)
    nothing = TrainingSettings(epochs=1, learning_rate=1e-9)
    heard: list[Event] = []
    result = run_job(small(sample_project, seeds=1, settings=nothing), heard.append)
    # Of these pairs it is not known who made them, which is said once, and recorded.
    said = [e.message for e in heard if isinstance(e, Warned) and "not found here" in e.message]
    assert len(said) == 1 and said[0].startswith("2 pairs are by a synthesizer")
    assert sample_project.runs.all()[0].settings["unknown_makers"] == {"no name": 2}
    assert len({trained.dice.mean for trained in result.mixes}) == 1
    assert result.answer == "insensitive"
    assert result.sentence.startswith("This trial could not have shown a difference")


def test_what_was_trained_is_compared_even_where_it_got_worse(sample_project: Project) -> None:
    accept_pairs(sample_project)
    destructive = TrainingSettings(epochs=1, learning_rate=0.1)
    result = run_job(small(sample_project, seeds=1, settings=destructive))
    before = next(t for t in result.mixes if t.mix == BEFORE)
    assert all(t.dice.mean < before.dice.mean for t in result.mixes if t.mix != BEFORE)


def test_nothing_to_compare_is_said_with_the_cure(sample_project: Project) -> None:
    with pytest.raises(InputError, match="no accepted pair that can be trained on"):
        run_job(small(sample_project, synthetic=None))
    with pytest.raises(InputError, match="seeds is 0"):
        run_job(small(sample_project, seeds=0))
    assert not sample_project.runs.all()


def test_the_command_prints_the_table_and_the_sentence(
    sample_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    accept_pairs(sample_project)
    path = str(sample_project.path)
    options = ["--real", "2", "--synthetic", "2", "--seeds", "1", "--epochs", "1", "--json"]
    assert main(["experiment", path, *options]) == 0
    said = capsys.readouterr()
    value = json.loads(said.out.splitlines()[-1])
    assert value["sentence"] in said.err and value["evidence"] in said.err
    assert "Real, varied, as many steps" in said.err
    assert [a["mix"] for a in value["mixes"]] == [BEFORE, *MIXES]
    assert "compact, not fine-tuned" in said.err
    assert main(["experiment", str(Path(path) / "nowhere"), "--json"]) == 2
