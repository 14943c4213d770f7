"""Job ``experiment``: the mixes, what is kept, and the answer in words."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections import Counter
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
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.experiment.mixes import evenly, examples_of
from fetalstudio.engine.jobs.experiment.request import (
    BEFORE,
    CONTROL,
    FEW_SUBJECTS,
    MIXES,
    SYNTHETIC,
    ExperimentRequest,
    ExperimentResult,
    Trained,
    examples_in,
    findings,
    result_of,
    steps_in,
)
from fetalstudio.engine.jobs.synthesize.like_cohort import batch_sources
from fetalstudio.engine.process.events import Checkpoint, Event, Progress
from fetalstudio.engine.process.local import run_job
from fetalstudio.project.project import Project
from fetalstudio.project.records import SYNTHETIC_COHORT

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


def test_controls_take_as_many_steps_as_the_arm_with_pairs() -> None:
    real, pairs = [_example(i) for i in range(3)], [_example(10 + i) for i in range(5)]
    for mix in MIXES:
        assert len(examples_of(mix, real, pairs)) == examples_in(mix, 3, 5)
    steps = {mix: steps_in(mix, 3, 5, epochs=7, batch=2) for mix in MIXES}
    assert steps[SYNTHETIC] == steps["real_steps"] == steps[CONTROL] == 28
    assert (steps["real"], steps["augmented"]) == (14, 21)


def test_pairs_are_in_one_arm_alone_and_every_real_frame_in_each() -> None:
    real, pairs = [_example(i) for i in range(3)], [_example(10 + i) for i in range(5)]
    for mix in MIXES:
        shown = examples_of(mix, real, pairs)
        assert [e for e in shown if any(e is p for p in pairs)] == (
            pairs if mix == SYNTHETIC else []
        )
        assert all(any(e is r for e in shown) for r in real)
    repeated = Counter(id(e) for e in examples_of("real_steps", real, pairs))
    assert sorted(repeated.values()) == [2, 3, 3]


def test_varied_copies_differ_and_carry_their_own_ellipse() -> None:
    real = [_example(1)]
    shown = examples_of(CONTROL, real, [_example(2)] * 3)
    assert len({e.image.tobytes() for e in shown}) == len({e.ellipse for e in shown}) == 4


def test_few_validation_frames_are_spread_over_all() -> None:
    items = [_example(i) for i in range(9)]
    names = {id(e): i for i, e in enumerate(items)}
    assert [names[id(e)] for e in evenly(items, 20)] == list(range(9))
    assert [names[id(e)] for e in evenly(items, 3)] == [0, 3, 6]


# -- the answer -------------------------------------------------------------------------------


def found(gains: list[float], *, spread: float = 0.002, subjects: int = 12) -> ExperimentResult:
    """A repeat a gain of the mix with pairs over all others."""
    rng = np.random.default_rng(0)
    of = [f"s{i % subjects}" for i in range(48)]
    base = rng.uniform(0.9, 0.95, 48)
    trained = [Trained(BEFORE, 0, tuple(base - 0.1), 0, 0, 0.0)]
    for seed, gain in enumerate(gains):
        for mix in MIXES:
            more = gain + rng.normal(0, spread, 48) if mix == SYNTHETIC else 0
            trained.append(Trained(mix, seed, tuple(base + more), 10, 1, 1.0))
    made = findings(
        trained, of, run_id=1, name="experiment-1", segmenter="compact", real=20, synthetic=40
    )
    assert made is not None
    return made


def test_yes_names_the_gain_its_interval_and_what_it_rests_on() -> None:
    result = found([0.012, 0.02, 0.016])
    assert result.answer == "yes"
    gain = next(c for c in result.comparisons if c.against == CONTROL).difference
    assert gain.mean == pytest.approx(0.016, abs=0.001) and gain.low < gain.mean < gain.high
    sentence = result.sentence
    assert sentence.startswith("Yes: with 40 synthetic pairs beside 20 real frames")
    assert f"{100 * gain.low:+.2f} to {100 * gain.high:+.2f} points (95 % interval)" in sentence
    assert "better in 3 of 3 repeats" in sentence
    assert sentence.endswith("on 48 test frames of 12 subjects that no training saw.")
    assert ". " not in sentence


@pytest.mark.parametrize(
    ("gains", "answer", "begins"),
    [
        (
            [0.0, 0.0002],
            "no",
            "No: with 40 synthetic pairs beside 20 real frames the heads are out",
        ),
        ([-0.02, -0.01], "harm", "No: "),
        (
            [0.03, -0.01],
            "unknown",
            "It is not known whether 40 synthetic pairs beside 20 real frames help",
        ),
    ],
)
def test_no_and_unknown_are_said_as_plainly(gains: list[float], answer: str, begins: str) -> None:
    result = found(gains)
    assert result.answer == answer and result.sentence.startswith(begins)
    unclear = "because the result depends on which real frames were sampled" in result.sentence
    assert unclear == (answer == "unknown")


def test_a_wide_interval_and_few_subjects_are_no_answer() -> None:
    wide = found([0.004], spread=0.05)
    assert wide.answer == "unknown" and "more test subjects are needed" in wide.sentence
    few = found([0.02], subjects=FEW_SUBJECTS - 1)
    assert few.answer == "unknown" and "4 test subjects are too few" in few.sentence
    assert "of 1 repeat," in few.sentence


def test_a_seed_counts_once_all_its_arms_are_done() -> None:
    rows = [Trained(mix, 0, (0.9,) * 24, 1, 1, 1.0) for mix in MIXES]
    named: dict[str, Any] = {
        "run_id": 1,
        "name": "e",
        "segmenter": "compact",
        "real": 1,
        "synthetic": 1,
    }
    assert findings(rows[:-1], SUBJECTS, **named) is None
    half = [*rows, Trained("real", 1, (0.5,) * 24, 1, 1, 1.0)]
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
        run_job(small(sample_project), heard.append, lambda: done() >= 8)
    (run,) = sample_project.runs.all()
    kept = list(run.history)
    assert run.state == "cancelled" and len(kept) == 8
    assert stopped.value.result.seeds == 1 and stopped.value.result == result_of(run)

    heard.clear()
    result = run_job(small(sample_project), heard.append)
    (run,) = sample_project.runs.all()
    assert run.state == "finished" and run.job == "experiment"
    assert list(run.history[:8]) == kept and len(run.history) == 1 + 2 * len(MIXES)
    assert result == result_of(run) and result.seeds == 2 and result.real == result.synthetic == 2
    assert run.verdict is not None and run.verdict["sentence"] == result.sentence
    shown = [e for e in heard if isinstance(e, Progress)]
    assert shown[0].done > 0 and shown[-1].done == shown[-1].total
    assert any(e.eta_s for e in shown)
    drawn = [set(d["train"]) for d in run.data["drawn"]]
    assert not (drawn[0] | drawn[1]) & {*run.data["test"], *run.data["validation"]}
    assert not sample_project.models.all()


def test_what_a_killed_process_had_done_stays(sample_project: Project) -> None:
    accept_pairs(sample_project)
    child = """
        import os, signal, sys
        from pathlib import Path
        from fetalstudio.engine.process.events import Checkpoint
        from fetalstudio.engine.process.local import run_job

        def hear(event):
            if isinstance(event, Checkpoint) and event.note.startswith("augmented,"):
                os.kill(os.getpid(), signal.SIGKILL)

        from tests.engine.test_experiment import small
        from fetalstudio.project.project import Project

        with Project.open(Path(sys.argv[1])) as project:
            request = small(project, seeds=1)
        run_job(request, hear)
    """
    command = [sys.executable, "-c", textwrap.dedent(child), str(sample_project.path)]
    assert subprocess.run(command, timeout=120, check=False).returncode == -9
    (run,) = sample_project.runs.fail_crashed()
    assert [row["mix"] for row in run.history] == [BEFORE, "real", "augmented"]
    run_job(small(sample_project, seeds=1))
    (run,) = sample_project.runs.all()
    assert run.state == "finished" and len(run.history) == 1 + len(MIXES)


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
    assert value["sentence"] in said.err and "Real, varied, as many steps" in said.err
    assert [a["mix"] for a in value["mixes"]] == [BEFORE, *MIXES]
    assert "compact, not fine-tuned" in said.err
    assert main(["experiment", str(Path(path) / "nowhere"), "--json"]) == 2
