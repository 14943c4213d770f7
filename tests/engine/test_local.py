"""Jobs run in this process, and the registry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.engine.process.events import (
    FINAL,
    Cancelled,
    Checkpoint,
    Epoch,
    Event,
    Failed,
    Finished,
    Preview,
    Progress,
    Started,
    Warned,
)
from fetalstudio.engine.process.job import JobCancelled
from fetalstudio.engine.process.local import run_job
from fetalstudio.engine.process.registry import JOBS, reference, resolve
from tests.engine import jobs_for_tests
from tests.engine.support import job


def test_result_and_events() -> None:
    events: list[Event] = []
    assert run_job(job("everything"), "best", events.append) == "done"
    kinds = [Started, Progress, Preview, Epoch, Checkpoint, Warned, Progress, Finished]
    assert [type(event) for event in events] == kinds
    assert events[-1] == Finished("done")


def test_nobody_needs_to_listen() -> None:
    assert run_job(job("steps"), 2) == 2


def test_cancel_from_outside() -> None:
    events: list[Event] = []
    with pytest.raises(JobCancelled) as stopped:
        run_job(job("steps"), 1000, events.append, cancelled=lambda: len(events) >= 4)
    assert stopped.value.result == 3
    assert events[-1] == Cancelled(3)
    assert sum(isinstance(event, FINAL) for event in events) == 1


def test_an_error_is_raised_as_it_is_and_told() -> None:
    events: list[Event] = []
    with pytest.raises(InputError, match="a\\.png is cut off"):
        run_job(job("bad_input"), "a.png is cut off", events.append)
    assert [type(event) for event in events] == [Started, Failed]
    assert isinstance(events[-1], Failed)
    assert events[-1].bad_input


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """A shell starts what runs in its background with SIGINT ignored, and tests may be run so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _interrupt_soon(seconds: float = 0.1) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_the_first_interrupt_lets_the_job_stop_by_itself() -> None:
    before = signal.getsignal(signal.SIGINT)
    _interrupt_soon()
    with pytest.raises(JobCancelled) as stopped:
        run_job(job("steps"), 100_000)
    assert stopped.value.result > 0
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_ends_a_deaf_job() -> None:
    before = signal.getsignal(signal.SIGINT)
    events: list[Event] = []
    _interrupt_soon(0.1)
    # Signals that arrive together count as one: on a busy machine the second must not catch up.
    _interrupt_soon(0.8)
    with pytest.raises(JobCancelled) as stopped:
        run_job(job("deaf"), 20.0, events.append)
    assert stopped.value.result is None
    assert events[-1] == Cancelled()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_in_a_thread_that_may_not_handle_signals() -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run_job(job("steps"), 2)))
    thread.start()
    thread.join(10)
    assert results == [2]


def test_the_registry_knows_the_jobs() -> None:
    assert list(JOBS) == [
        "import",
        "propose",
        "sample",
        "synthesize",
        "train",
        "experiment",
        "adapt",
        "evaluate",
        "report",
        "export",
        "adapt-sd",
    ]
    assert reference("train") == JOBS["train"]
    with pytest.raises(ValueError, match="no job 'Train'; there are: import"):
        reference("Train")


def test_a_reference_resolves_to_its_function() -> None:
    assert resolve(job("echo")) is jobs_for_tests.echo
    with pytest.raises(AttributeError):
        resolve(job("nothing_of_that_name"))


def test_every_registered_job_can_be_loaded() -> None:
    """In a process of its own, as this one must stay free of torch."""
    code = """
from fetalstudio.engine.process.registry import JOBS, resolve
assert [name for name in JOBS if not callable(resolve(name))] == []
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
