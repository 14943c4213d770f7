"""Runs a job in this process: what the command line does."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.events import Cancelled, Event, Finished, RunKey, Started
from fetalstudio.engine.process.job import (
    CancelCheck,
    Report,
    Request,
    failure,
    job_of,
)
from fetalstudio.engine.process.signals import first_only_asks
from fetalstudio.engine.process.threads import settle_threads

Result = TypeVar("Result")


def _ignore(event: Event) -> None:
    pass


def _never() -> bool:
    return False


def run_job(
    request: Request[Result], on_event: Report | None = None, cancelled: CancelCheck = _never
) -> Result:
    """Run the job of ``request`` to its end, and return its result.

    ``on_event`` receives the same events as the engine's client: `Started`, the job's own events
    and one final event. The first Ctrl-C, SIGTERM or SIGHUP asks the job to stop. A second one
    interrupts it. Raises `Stopped` if the job was stopped, TypeError if ``request`` is not the
    request of a job, and whatever the job raises, such as `UserError` and `InputError`.
    """
    job = job_of(request)
    listener = on_event or _ignore
    run_key: RunKey | None = None

    def report(event: Event) -> None:
        nonlocal run_key
        run_key = event.run or run_key
        listener(event)

    def conclude(event: Event) -> None:
        listener(replace(event, run=run_key))

    settle_threads()  # before torch is imported
    run = job.load()
    report(Started(job.name))
    try:
        with first_only_asks() as interrupted:
            result = run(request, report, lambda: max(interrupted(), cancelled()))
    except Stopped as stopped:
        conclude(Cancelled(stopped.result))
        raise
    except KeyboardInterrupt as second:
        conclude(Cancelled())
        raise Stopped from second
    except Exception as error:
        conclude(failure(job.name, error))
        raise
    conclude(Finished(result))
    return result
