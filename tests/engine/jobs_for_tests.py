"""Real jobs, small ones. The engine's process imports them by reference."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.engine.process.events import Checkpoint, Epoch, Preview, Progress, Warned
from fetalstudio.engine.process.job import CancelCheck, JobCancelled, Report

HERE = "tests.engine.jobs_for_tests"


def echo(request: Any, report: Report, cancelled: CancelCheck) -> Any:
    return request


def invert(request: np.ndarray, report: Report, cancelled: CancelCheck) -> np.ndarray:
    return 255 - request


def steps(request: int, report: Report, cancelled: CancelCheck) -> int:
    """``request`` steps of 10 ms, each asking whether to stop; cancelled, it returns how far."""
    for done in range(request):
        if cancelled():
            raise JobCancelled(done)
        report(Progress(done + 1, request))
        time.sleep(0.01)
    return request


def everything(request: Any, report: Report, cancelled: CancelCheck) -> str:
    report(Progress(1, 2))
    report(Preview(np.full((4, 6), 7, np.uint8), "half way"))
    report(Epoch(1, 1, 0.5, 0.6, 0.9, best=True))
    report(Checkpoint(request, "best"))
    report(Warned("careful"))
    report(Progress(2, 2))
    return "done"


def deaf(request: float, report: Report, cancelled: CancelCheck) -> None:
    """Never asks whether to stop, for ``request`` seconds."""
    report(Checkpoint(Path("best"), "saved before the long step"))
    time.sleep(request)


def spin(request: float, report: Report, cancelled: CancelCheck) -> int:
    """Computes for ``request`` seconds without a pause, and reports all the time."""
    until = time.monotonic() + request
    rounds = 0
    picture = np.zeros((540, 800), np.uint8)
    while time.monotonic() < until:
        if cancelled():
            raise JobCancelled(rounds)
        np.linalg.svd(np.random.default_rng(0).random((60, 60)))
        rounds += 1
        report(Progress(rounds, 1_000_000))
        report(Preview(picture))
    return rounds


def flood(request: int, report: Report, cancelled: CancelCheck) -> float:
    """Reports ``request`` pictures and steps as fast as it can; the result is the seconds taken."""
    start = time.monotonic()
    for number in range(request):
        report(Preview(np.full((540, 800), number % 256, np.uint8), str(number)))
        report(Progress(number + 1, request))
    return time.monotonic() - start


def reuse(request: int, report: Report, cancelled: CancelCheck) -> None:
    """Reports one array again and again while writing into it."""
    picture = np.zeros((64, 64), np.uint8)
    for number in range(request):
        picture[:] = number
        report(Preview(picture, str(number)))
        picture[:] = 255


def bad_input(request: str, report: Report, cancelled: CancelCheck) -> None:
    raise InputError(request)


def user_error(request: str, report: Report, cancelled: CancelCheck) -> None:
    raise UserError(request)


def divide(request: int, report: Report, cancelled: CancelCheck) -> float:
    return request / 0


def exhaust_memory(request: None, report: Report, cancelled: CancelCheck) -> None:
    np.empty(1 << 62, np.uint8)


def leave(request: int, report: Report, cancelled: CancelCheck) -> None:
    sys.exit(request)


def unpicklable_result(request: None, report: Report, cancelled: CancelCheck) -> Any:
    return lambda: None


def unpicklable_event(request: None, report: Report, cancelled: CancelCheck) -> None:
    report(Checkpoint(threading.Lock()))  # type: ignore[arg-type]  # that is the point


def torch_result(request: None, report: Report, cancelled: CancelCheck) -> Any:
    import torch

    return torch.zeros(2)


def crash(request: None, report: Report, cancelled: CancelCheck) -> None:
    """A crash of native code."""
    report(Progress(1, 2))
    ctypes.string_at(0)


def kill_self(request: None, report: Report, cancelled: CancelCheck) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_mark_and_crash(request: Path, report: Report, cancelled: CancelCheck) -> None:
    with request.open("a") as marks:
        marks.write("begun\n")
    ctypes.string_at(0)


def hold_a_semaphore(request: None, report: Report, cancelled: CancelCheck) -> None:
    """As tqdm does: the system has to be told when it is no longer used."""
    _kept.append(multiprocessing.get_context("spawn").RLock())


_kept: list[Any] = []


def surroundings(request: None, report: Report, cancelled: CancelCheck) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "waiting": os.environ.get("OMP_WAIT_POLICY"),
        "sigint": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
        "main": threading.current_thread() is threading.main_thread(),
        "modules": tuple(sys.modules),
    }
