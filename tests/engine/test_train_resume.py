"""A training that was killed goes on where it was."""

import contextlib
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from fetalstudio.cli import main
from fetalstudio.core.errors import InputError
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.process.events import Epoch, Event
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.resumable import can_resume, state_file
from fetalstudio.formats.model_card import fingerprint
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.resources import models_dir
from tests.engine.support import die, killed

EPOCHS = {n: TrainingSettings(epochs=n, copies=1) for n in (1, 2)}
EARLIER_OPTIONS = {
    "epochs",
    "batch",
    "learning_rate",
    "patience",
    "copies",
    "recipe",
    "lora",
    "seed",
}


def train_and_die(project: Path, last_epoch: int) -> None:
    def hear(event: Event) -> None:
        if isinstance(event, Epoch) and event.epoch == last_epoch:
            die()

    settings = TrainingSettings(epochs=3, copies=1)
    run_job(TrainRequest(project, real=3, synthetic=0, settings=settings), hear)


def test_a_killed_training_goes_on_after_its_last_epoch(
    sample_project: Project, forks: None
) -> None:
    killed(train_and_die, sample_project.path, 2)
    (run,) = sample_project.runs.fail_crashed()
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    assert can_resume(sample_project, run)
    heard: list[Event] = []
    result = run_job(TrainRequest(sample_project.path, resume=run.id), heard.append)
    assert [e.epoch for e in heard if isinstance(e, Epoch)] == [3]
    assert result.run_id == run.id and result.epochs_run == 3
    done = sample_project.runs.get(run.id)
    assert done.state == "finished" and not can_resume(sample_project, done)
    assert [row["epoch"] for row in done.history] == [0, 1, 2, 3]
    seconds = [row["seconds"] for row in done.history]
    assert seconds == sorted(seconds)
    assert not state_file(sample_project, run.id).exists()
    with pytest.raises(InputError, match="finished"):
        run_job(TrainRequest(sample_project.path, resume=run.id))


def as_an_earlier_version_left_it(project: Project, run: Run) -> None:
    """Its options beside its other settings, and its checkpoint in the model's folder."""
    flat = {k: v for k, v in run.settings.items() if k not in ("settings", "job")}
    flat |= {k: v for k, v in run.settings["settings"].items() if k in EARLIER_OPTIONS}
    with contextlib.closing(sqlite3.connect(project.path / "project.db")) as database, database:
        sql = "UPDATE runs SET settings = ? WHERE id = ?"
        database.execute(sql, (json.dumps(flat), run.id))
    place = project.path / "models" / str(run.id) / "state.pt"
    place.parent.mkdir()
    state_file(project, run.id).rename(place)


def test_a_training_killed_before_its_first_model_is_resumed_after_another_one(
    sample_project: Project, capsys: pytest.CaptureFixture[str], forks: None
) -> None:
    killed(train_and_die, sample_project.path, 1)
    (cut_off,) = sample_project.runs.fail_crashed()
    assert cut_off.name == "tuned-1" and not sample_project.models.all()
    as_an_earlier_version_left_it(sample_project, cut_off)
    request = TrainRequest(sample_project.path, real=3, synthetic=0, settings=EPOCHS[1])
    with pytest.raises(InputError, match="is taken"):
        run_job(replace(request, name="tuned-1"))
    between = run_job(request)
    assert sample_project.runs.get(between.run_id).name == "tuned-2"
    assert main(["train", str(sample_project.path), "--resume", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["run_id"] == cut_off.id and result["epochs_run"] == 3
    done = sample_project.runs.get(cut_off.id)
    assert (done.name, done.state) == ("tuned-1", "finished")
    assert result["model"] in (None, "tuned-1")


def test_it_does_not_go_on_with_other_frames(sample_project: Project) -> None:
    request = TrainRequest(sample_project.path, real=3, synthetic=0, settings=EPOCHS[2])
    run = sample_project.runs.start(
        "mine",
        {"job": "train", "started_from": "compact", "real": 3, "synthetic": 0},
        {"train": []},
    )
    sample_project.runs.update(run.id, state="cancelled")
    with pytest.raises(InputError, match="before its first epoch"):
        run_job(replace(request, resume=run.id))
    state_file(sample_project, run.id).write_bytes(b"")
    with pytest.raises(InputError, match="have changed"):
        run_job(replace(request, resume=run.id))
    assert sample_project.runs.get(run.id).state == "cancelled"


def test_it_does_not_go_on_from_other_weights(sample_project: Project) -> None:
    request = TrainRequest(sample_project.path, real=3, synthetic=0, settings=EPOCHS[1])
    run_job(request)
    (run,) = sample_project.runs.all()
    assert run.settings["started_from_sha256"] == fingerprint(models_dir() / "segmenter-compact")
    other = {**run.settings, "started_from_sha256": "0" * 64}
    again = sample_project.runs.start("again", other, run.data)
    sample_project.runs.update(again.id, state="cancelled")
    state_file(sample_project, again.id).write_bytes(b"")
    with pytest.raises(InputError, match="compact, has changed since"):
        run_job(replace(request, resume=again.id))


def test_of_a_handful_of_test_subjects_no_interval_is_given(sample_project: Project) -> None:
    request = TrainRequest(sample_project.path, real=3, synthetic=0, settings=EPOCHS[1])
    result = run_job(request)
    assert result.test_subjects < 5
    assert all(math.isnan(value) for value in result.difference_ci95)
    assert "95 % interval" not in result.verdict
