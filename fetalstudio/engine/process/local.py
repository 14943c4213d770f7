"""Runs a job in this process: what the command line does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from fetalstudio.engine.process.events import Cancelled, Event, Finished, Started
from fetalstudio.engine.process.job import CancelCheck, JobCancelled, Report, failure
from fetalstudio.engine.process.registry import resolve
from fetalstudio.engine.process.threads import settle_threads


def _ignore(event: Event) -> None:
    pass


def _never() -> bool:
    return False


def run_job(
    job: str, request: Any, on_event: Report | None = None, cancelled: CancelCheck = _never
) -> Any:
    """Run ``job`` to its end and return its result.

    ``on_event`` sees what the engine's client would: `Started`, the job's own events, one final
    event. The first Ctrl-C asks the job to stop, a second one interrupts it. Raises `JobCancelled`
    where it was stopped, and whatever the job raised (`UserError` and `InputError` among it).
    """
    report = on_event or _ignore
    settle_threads()  # before torch is imported
    run = resolve(job)
    report(Started(job))
    try:
        with _interrupt_cancels() as interrupted:
            result = run(request, report, lambda: interrupted() or cancelled())
    except JobCancelled as stopped:
        report(Cancelled(stopped.result))
        raise
    except KeyboardInterrupt as second:
        report(Cancelled())
        raise JobCancelled from second
    except Exception as error:
        report(failure(job, error))
        raise
    report(Finished(result))
    return result


@contextmanager
def _interrupt_cancels() -> Iterator[Callable[[], bool]]:
    """Inside, the first SIGINT only sets a flag (yields its check), the next acts as before."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set  # only the main thread may set handlers, and only it is interrupted
        return
    before = signal.getsignal(signal.SIGINT)

    def ask(number: int, frame: FrameType | None) -> None:
        flag.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield flag.is_set
    finally:
        signal.signal(signal.SIGINT, before)
