"""Jobs run in this process, and how requests name their jobs."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine import jobs
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
    RunKey,
    Started,
    Warned,
)
from fetalstudio.engine.process.local import run_job
from tests.engine import jobs_for_tests
from tests.engine.jobs_for_tests import Echo, NoSuchFunction, NoSuchModule, ask


def test_result_and_events() -> None:
    events: list[Event] = []
    assert run_job(ask("everything", "best"), events.append) == "done"
    kinds = [Started, Progress, Preview, Epoch, Checkpoint, Warned, Progress, Finished]
    assert [type(event) for event in events] == kinds
    assert events[-1] == Finished("done")


def test_nobody_needs_to_listen() -> None:
    assert run_job(ask("steps", 2)) == 2


def test_cancel_from_outside() -> None:
    events: list[Event] = []
    with pytest.raises(Stopped) as stopped:
        run_job(ask("steps", 1000), events.append, cancelled=lambda: len(events) >= 4)
    assert stopped.value.result == 3
    assert events[-1] == Cancelled(3)
    assert sum(isinstance(event, FINAL) for event in events) == 1


def test_an_error_is_raised_as_it_is_and_told() -> None:
    events: list[Event] = []
    with pytest.raises(InputError, match="a\\.png is cut off"):
        run_job(ask("bad_input", "a.png is cut off"), events.append)
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
    with pytest.raises(Stopped) as stopped:
        run_job(ask("steps", 100_000))
    assert stopped.value.result > 0
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_interrupt_ends_a_deaf_job() -> None:
    before = signal.getsignal(signal.SIGINT)
    events: list[Event] = []
    _interrupt_soon(0.1)
    # Signals that arrive together count as one: on a busy machine the second must not catch up.
    _interrupt_soon(0.8)
    with pytest.raises(Stopped) as stopped:
        run_job(ask("deaf", 20.0), events.append)
    assert stopped.value.result is None
    assert events[-1] == Cancelled()
    assert signal.getsignal(signal.SIGINT) is before


def test_it_runs_in_a_thread_that_may_not_handle_signals() -> None:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(run_job(ask("steps", 2))))
    thread.start()
    thread.join(10)
    assert results == [2]


def _requests() -> dict[str, type[Any]]:
    """The request classes of the program's jobs, by the job's name."""
    found: dict[str, type[Any]] = {}
    for folder in pkgutil.iter_modules(jobs.__path__):
        module = importlib.import_module(f"{jobs.__name__}.{folder.name}.request")
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and kind.__module__ == module.__name__
                and hasattr(kind, "job")
            ):
                assert kind.job.name not in found, "two jobs of one name"
                assert kind.job.entry.startswith(f"{jobs.__name__}.{folder.name}.job:")
                found[kind.job.name] = kind
    return found


def test_every_folder_of_jobs_has_a_request_with_a_name_and_a_title() -> None:
    requests = _requests()
    assert set(requests) == {
        *("import", "propose", "sample", "synthesize", "train", "experiment", "adapt"),
        *(
            "measure_conventions",
            "pair_convention",
            "evaluate",
            "report",
            "export",
            "adapt-sd",
            "probe",
            "sharpest",
            "shareable",
        ),
        *("plan-import", "snap"),
    }
    titles = [kind.job.title for kind in requests.values()]
    assert all(title[0].isupper() for title in titles) and len(set(titles)) == len(titles)


def test_what_is_not_the_request_of_a_job_is_refused() -> None:
    for request in (None, "train", Path("a.png")):
        with pytest.raises(TypeError, match="is not the request of a job"):
            run_job(request)  # type: ignore[arg-type]  # that is the point


def test_a_job_loads_its_function() -> None:
    assert Echo.job.load() is jobs_for_tests.echo
    with pytest.raises(AttributeError):
        NoSuchFunction.job.load()
    with pytest.raises(ImportError):
        NoSuchModule.job.load()


def test_every_job_can_be_loaded_and_takes_its_request() -> None:
    """In a process of its own, as this one must stay free of torch."""
    code = """
import typing
from tests.engine.test_local import _requests
for kind in _requests().values():
    hints = typing.get_type_hints(kind.job.load())
    declared = typing.get_type_hints(kind)["job"]
    job, = typing.get_args(declared)
    assert typing.get_args(job) == (hints["request"], hints["return"]), (kind, hints)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_events_name_the_run_from_the_moment_that_the_job_knows_it(tmp_path: Path) -> None:
    events: list[Event] = []
    run_job(ask("in_a_run", tmp_path), events.append)
    key = RunKey(tmp_path, 7)
    assert [(type(event), event.run) for event in events] == [
        (Started, None),
        (Warned, None),
        (Epoch, key),
        (Finished, key),
    ]
