"""The estimate before a training, and the time left during one."""

from dataclasses import replace

import pytest

from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.train import cost as training_cost
from fetalstudio.engine.jobs.train.cost import (
    TYPICAL,
    TrainingCountdown,
    Work,
    cost,
    kind_of,
    pace_of,
)
from fetalstudio.project.project import Project

WORK = Work(train=60, validation=6, test=10)
SETTINGS = TrainingSettings(copies=2, epochs=20)


def test_copies_epochs_and_lora_cost_time_and_memory(sample_project: Project) -> None:
    pace = TYPICAL["compact"]
    usual = cost(pace, WORK, SETTINGS)
    assert usual.epochs_s == pytest.approx(20 * 120 * pace.train_s)
    assert usual.seconds == pytest.approx(usual.epochs_s + (120 + 6 + 20) * pace.embed_s)
    assert usual.memory == pytest.approx(pace.memory + 126 * pace.embedding)
    assert cost(pace, WORK, replace(SETTINGS, copies=4)).seconds > 1.8 * usual.seconds
    with_lora = cost(pace_of(sample_project, "compact", 4), WORK, replace(SETTINGS, lora=4))
    assert with_lora.seconds > 2 * usual.seconds


def test_the_pace_is_that_of_the_newest_run_of_the_same_kind(sample_project: Project) -> None:
    assert pace_of(sample_project, "compact", 0) == TYPICAL["compact"]
    settings = {"job": "train", "kind": "compact", "lora": 0, "copies": 2}
    run = sample_project.runs.start("mine", settings, {"train": ["a", "b"], "pairs": [1]})
    for epoch, seconds in enumerate((5.0, 8.0, 11.0)):
        sample_project.runs.update(run.id, history_entry={"epoch": epoch, "seconds": seconds})
    pace = pace_of(sample_project, "compact", 0)
    assert (pace.of, pace.train_s) == ("mine", pytest.approx(3 / 6))
    assert pace.embed_s == pytest.approx(5.0 / 6)
    assert pace_of(sample_project, "vit_b", 0) == TYPICAL["vit_b"]
    assert pace_of(sample_project, "compact", 4).of == ""


def test_the_countdown_follows_the_trainings_own_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(training_cost.time, "monotonic", lambda: now[0])
    countdown = TrainingCountdown(40.0)
    assert countdown.embedded(1, 11) == 40
    now[0] += 2
    assert countdown.embedded(2, 11) == pytest.approx(9 * 2 + 40)
    assert countdown.stepped(1, 20) == pytest.approx(38)
    now[0] += 3
    assert countdown.stepped(2, 20) == pytest.approx(3 * 18)


def test_the_new_start_of_a_resumed_run_is_no_epoch(sample_project: Project) -> None:
    settings = {"job": "train", "kind": "compact", "lora": 0, "copies": 2}
    run = sample_project.runs.start("mine", settings, {"train": ["a", "b"], "pairs": [1]})
    for epoch, seconds in enumerate((5.0, 8.0, 68.0)):
        sample_project.runs.update(run.id, history_entry={"epoch": epoch, "seconds": seconds})
    assert pace_of(sample_project, "compact", 0).train_s == pytest.approx(3 / 6)


def test_embedding_takes_as_long_as_in_the_run_that_did_it(sample_project: Project) -> None:
    """A later run finds the frames embedded, but one with other frames will not."""
    settings = {"job": "train", "kind": "vit_b", "lora": 0, "copies": 2}
    data = {"train": ["a", "b"], "pairs": [1], "validation": ["c"], "test": ["d"]}
    for name, start in (("first", 80.0), ("second", 4.0)):
        run = sample_project.runs.start(name, settings, data)
        for epoch in (0, 1):
            row = {"epoch": epoch, "seconds": start + 3 * epoch}
            sample_project.runs.update(run.id, history_entry=row)
    pace = pace_of(sample_project, "vit_b", 0)
    assert (pace.of, pace.embed_s) == ("second", pytest.approx(80 / 8))


def test_no_time_left_is_said_before_anything_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(training_cost.time, "monotonic", lambda: now[0])
    countdown = TrainingCountdown(None)
    assert countdown.embedded(1, 11) is None and countdown.embedded(2, 11) is None
    assert countdown.stepped(1, 20) is None
    now[0] += 3
    assert countdown.stepped(2, 20) == pytest.approx(3 * 18)


def test_the_kind_is_told_by_the_card() -> None:
    assert kind_of({"type": "compact", "widths": [8]}) == "compact"
    assert kind_of({"type": "sam", "variant": "vit_l"}) == "vit_l"
