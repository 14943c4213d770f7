"""A training that was killed goes on where it was."""

import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest

from fetalstudio.core.errors import BadInput
from fetalstudio.engine.events import Epoch, Event
from fetalstudio.engine.local import run_job
from fetalstudio.engine.requests import TrainRequest
from fetalstudio.engine.resuming import can_go_on, state_file
from fetalstudio.project.store import Project

CHILD = """
    import os, signal, sys
    from pathlib import Path
    from fetalstudio.engine.events import Epoch
    from fetalstudio.engine.local import run_job
    from fetalstudio.engine.requests import TrainRequest

    def hear(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    run_job("train", TrainRequest(Path(sys.argv[1]), real=3, synthetic=0, epochs=3, copies=1), hear)
"""


def test_a_killed_training_goes_on_after_its_last_epoch(sample_project: Project) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(sample_project.path)]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert killed.returncode == -9, killed.stderr
    (run,) = sample_project.fail_crashed()
    assert [row["epoch"] for row in run.history] == [0, 1, 2]
    assert can_go_on(sample_project, run)
    heard: list[Event] = []
    result = run_job("train", TrainRequest(sample_project.path, resume=run.id), heard.append)
    assert [e.epoch for e in heard if isinstance(e, Epoch)] == [3]
    assert result.run_id == run.id and result.epochs_run == 3
    done = sample_project.run(run.id)
    assert done.state == "finished" and not can_go_on(sample_project, done)
    assert [row["epoch"] for row in done.history] == [0, 1, 2, 3]
    seconds = [row["seconds"] for row in done.history]
    assert seconds == sorted(seconds)
    assert not state_file(sample_project, run.id).exists()
    with pytest.raises(BadInput, match="finished"):
        run_job("train", TrainRequest(sample_project.path, resume=run.id))


def test_it_does_not_go_on_with_other_frames(sample_project: Project) -> None:
    request = TrainRequest(sample_project.path, real=3, synthetic=0, epochs=2, copies=1)
    run = sample_project.start_run(
        "mine",
        {"job": "train", "started_from": "compact", "real": 3, "synthetic": 0},
        {"train": []},
    )
    sample_project.update_run(run.id, state="cancelled")
    with pytest.raises(BadInput, match="before its first epoch"):
        run_job("train", replace(request, resume=run.id))
    state_file(sample_project, run.id).parent.mkdir(parents=True)
    state_file(sample_project, run.id).write_bytes(b"")
    with pytest.raises(BadInput, match="have changed"):
        run_job("train", replace(request, resume=run.id))
    assert sample_project.run(run.id).state == "cancelled"
