"""Small jobs that run in the engine's real process.

The request of each is one value; ``ask(name, value)`` makes it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.events import Checkpoint, Epoch, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, Job, Report, report_in_run
from fetalstudio.engine.process.progress import Steps as Counted

HERE = "tests.engine.jobs_for_tests"


def _job(name: str, entry: str = "") -> Job[Any, Any]:
    return Job(name, f"Testing {name}", entry or f"{HERE}:{name}")


@dataclass(frozen=True)
class Ask:
    """A request that is one value."""

    job: ClassVar[Job[Any, Any]]
    value: Any = None


class Echo(Ask):
    job = _job("echo")


class Invert(Ask):
    job = _job("invert")


class Steps(Ask):
    job = _job("steps")


class Everything(Ask):
    job = _job("everything")


class InARun(Ask):
    job = _job("in_a_run")


class Deaf(Ask):
    job = _job("deaf")


class Finishing(Ask):
    job = _job("finishing")


class Spin(Ask):
    job = _job("spin")


class Flood(Ask):
    job = _job("flood")


class Series(Ask):
    job = _job("series")


class Reuse(Ask):
    job = _job("reuse")


class BadInput(Ask):
    job = _job("bad_input")


class FailForAPerson(Ask):
    job = _job("fail_for_a_person")


class Divide(Ask):
    job = _job("divide")


class ExhaustMemory(Ask):
    job = _job("exhaust_memory")


class Leave(Ask):
    job = _job("leave")


class UnpicklableResult(Ask):
    job = _job("unpicklable_result")


class UnpicklableEvent(Ask):
    job = _job("unpicklable_event")


class TorchResult(Ask):
    job = _job("torch_result")


class Crash(Ask):
    job = _job("crash")


class KillSelf(Ask):
    job = _job("kill_self")


class LeaveAMarkAndCrash(Ask):
    job = _job("leave_a_mark_and_crash")


class HoldASemaphore(Ask):
    job = _job("hold_a_semaphore")


class Surroundings(Ask):
    job = _job("surroundings")


class Fraction(Ask):
    job = _job("fraction", "fractions:Fraction")


class SlowToImport(Ask):
    job = _job("slow_to_import", "tests.engine.slow_to_import:run")


class NoSuchModule(Ask):
    job = _job("no_such_module", "no_such_module:run")


class NoSuchFunction(Ask):
    job = _job("no_such_function", f"{HERE}:no_such_function")


def ask(name: str, value: Any = None) -> Ask:
    """The request of the job ``name`` of this module."""
    return {kind.job.name: kind for kind in Ask.__subclasses__()}[name](value)


def echo(request: Echo, report: Report, cancelled: CancelCheck) -> Any:
    return request.value


def invert(request: Invert, report: Report, cancelled: CancelCheck) -> np.ndarray:
    return 255 - request.value


def steps(request: Steps, report: Report, cancelled: CancelCheck) -> int:
    """``value`` steps of 10 ms, each asking whether to stop; cancelled, it returns how far."""
    for done in range(request.value):
        if cancelled():
            raise Stopped(done)
        report(Progress(done + 1, request.value))
        time.sleep(0.01)
    return request.value


def everything(request: Everything, report: Report, cancelled: CancelCheck) -> str:
    report(Progress(1, 2))
    report(Preview(np.full((4, 6), 7, np.uint8), "half way"))
    report(Epoch(1, 1, 0.5, 0.6, 0.9, best=True))
    report(Checkpoint(request.value, "best"))
    report(Warned("careful"))
    report(Progress(2, 2))
    return "done"


def in_a_run(request: InARun, report: Report, cancelled: CancelCheck) -> None:
    """Belongs to run 7 of the project at ``value`` after its first event."""
    report(Warned("starting"))
    report = report_in_run(report, request.value, 7)
    report(Epoch(1, 1, 0.5, 0.6, 0.9, best=True))


def deaf(request: Deaf, report: Report, cancelled: CancelCheck) -> None:
    """Never asks whether to stop, for ``value`` seconds."""
    report(Checkpoint(Path("best"), "saved before the long step"))
    time.sleep(request.value)


def finishing(request: Finishing, report: Report, cancelled: CancelCheck) -> int:
    """Waits for the cancel, and then completes what it has in so many steps of so many seconds."""
    report(Checkpoint(Path("best"), "saved before the cancel"))
    while not cancelled():
        time.sleep(0.01)
    count, seconds = request.value
    steps = Counted(count, report, cancelled, finishing=True)
    for _ in range(count):
        time.sleep(seconds)
        steps.advance()
    raise Stopped(steps.done)


def spin(request: Spin, report: Report, cancelled: CancelCheck) -> int:
    """Computes for ``value`` seconds without a pause, and reports all the time."""
    until = time.monotonic() + request.value
    rounds = 0
    picture = np.zeros((540, 800), np.uint8)
    while time.monotonic() < until:
        if cancelled():
            raise Stopped(rounds)
        np.linalg.svd(np.random.default_rng(0).random((60, 60)))
        rounds += 1
        report(Progress(rounds, 1_000_000))
        report(Preview(picture))
    return rounds


def flood(request: Flood, report: Report, cancelled: CancelCheck) -> float:
    """Reports ``value`` pictures and steps as fast as it can; the result is the seconds taken."""
    start = time.monotonic()
    for number in range(request.value):
        report(Preview(np.full((540, 800), number % 256, np.uint8), str(number)))
        report(Progress(number + 1, request.value))
    return time.monotonic() - start


def series(request: Series, report: Report, cancelled: CancelCheck) -> None:
    """Reports ``value`` pictures that belong together, as fast as it can."""
    for number in range(request.value):
        report(Preview(np.full((54, 80), number, np.uint8), str(number), stays=True))


def reuse(request: Reuse, report: Report, cancelled: CancelCheck) -> None:
    """Reports one array again and again while writing into it."""
    picture = np.zeros((64, 64), np.uint8)
    for number in range(request.value):
        picture[:] = number
        report(Preview(picture, str(number)))
        picture[:] = 255


def bad_input(request: BadInput, report: Report, cancelled: CancelCheck) -> None:
    raise InputError(request.value)


def fail_for_a_person(request: FailForAPerson, report: Report, cancelled: CancelCheck) -> None:
    raise UserError(request.value)


def divide(request: Divide, report: Report, cancelled: CancelCheck) -> float:
    return request.value / 0


def exhaust_memory(request: ExhaustMemory, report: Report, cancelled: CancelCheck) -> None:
    np.empty(1 << 62, np.uint8)


def leave(request: Leave, report: Report, cancelled: CancelCheck) -> None:
    sys.exit(request.value)


def unpicklable_result(request: UnpicklableResult, report: Report, cancelled: CancelCheck) -> Any:
    return lambda: None


def unpicklable_event(request: UnpicklableEvent, report: Report, cancelled: CancelCheck) -> None:
    report(Checkpoint(threading.Lock()))  # type: ignore[arg-type]  # that is the point


def torch_result(request: TorchResult, report: Report, cancelled: CancelCheck) -> Any:
    import torch

    return torch.zeros(2)


def crash(request: Crash, report: Report, cancelled: CancelCheck) -> None:
    """A crash of native code."""
    report(Progress(1, 2))
    ctypes.string_at(0)


def kill_self(request: KillSelf, report: Report, cancelled: CancelCheck) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_mark_and_crash(
    request: LeaveAMarkAndCrash, report: Report, cancelled: CancelCheck
) -> None:
    with request.value.open("a") as marks:
        marks.write("begun\n")
    ctypes.string_at(0)


def hold_a_semaphore(request: HoldASemaphore, report: Report, cancelled: CancelCheck) -> None:
    """As tqdm does: the system has to be told when it is no longer used."""
    _kept.append(multiprocessing.get_context("spawn").RLock())


_kept: list[Any] = []


def surroundings(request: Surroundings, report: Report, cancelled: CancelCheck) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "waiting": os.environ.get("OMP_WAIT_POLICY"),
        "sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "main": threading.current_thread() is threading.main_thread(),
        "modules": tuple(sys.modules),
    }
