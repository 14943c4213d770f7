"""What a job is, and how its request names it.

A job is a function ``run(request, report, cancelled) -> result``. Each job has its own request
class, whose class attribute ``job`` describes it, so that a request is all that has to be passed on
to run a job. The function is named, not imported: knowing a job does not import torch.
"""

from __future__ import annotations

import dataclasses
import importlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.engine.process.events import Event, Failed, RunKey

RequestT = TypeVar("RequestT", contravariant=True)
ResultT = TypeVar("ResultT", covariant=True)

Report = Callable[[Event], None]
CancelCheck = Callable[[], int]
"""Answers how the job is asked to stop: one of :class:`Asked`, or True for ``TO_STOP``."""


class Asked(IntEnum):
    """How a job is asked to stop."""

    NOT = 0
    TO_STOP = 1
    """It may still take the steps that complete what it has."""
    TO_STOP_NOW = 2
    """It takes no such steps either."""


@dataclass(frozen=True, slots=True)
class Job(Generic[RequestT, ResultT]):
    """A job: its names, and where its function is found."""

    name: str
    """The name of the job on the command line, in messages and in the project's runs."""
    title: str
    """The text that the window shows while the job runs, such as ``Making pairs``."""
    entry: str
    """``module:function``."""
    kept: str = ""
    """What is kept if the job stops while it completes what it has, in sentences."""
    stopped: str = "What it has saved is kept."
    """What is kept if the job is stopped earlier, and how it goes on, in sentences. Empty where it
    stores nothing: it is stopped without a word."""

    def load(self) -> Callable[[RequestT, Report, CancelCheck], ResultT]:
        """Import the job's function. Raises ImportError or AttributeError where there is none.

        The function calls ``cancelled()`` at least once a step and raises `Stopped` when the
        answer is yes. It reports neither `Started` nor a final event: the runner does.
        """
        module, _, function = self.entry.partition(":")
        run = getattr(importlib.import_module(module), function)
        return cast(Callable[[RequestT, Report, CancelCheck], ResultT], run)


class Request(Protocol[ResultT]):
    """The request of a job with this result: a frozen dataclass with a class attribute ``job``."""

    @property
    def job(self) -> Job[Any, ResultT]:
        """The job that answers requests of this class."""


def job_of(request: Request[ResultT] | type[Request[ResultT]]) -> Job[Any, ResultT]:
    """The job of a request, or of a class of requests.

    Raises TypeError where ``request`` is not the request of a job.
    """
    job = getattr(request, "job", None)
    if not isinstance(job, Job):
        named = request.__name__ if isinstance(request, type) else type(request).__name__
        raise TypeError(f"{named} is not the request of a job")
    return job


def report_in_run(report: Report, project: Path, run_id: int) -> Report:
    """``report`` for the events of a run of the project at ``project``: they name the run."""
    run = RunKey(project, run_id)
    return lambda event: report(dataclasses.replace(event, run=run))


def failure(job: str, error: BaseException) -> Failed:
    """The event for an ``error`` that ended ``job``: a message to act on, and the traceback."""
    details = "".join(traceback.format_exception(error))
    return Failed(_message(job, error), details, bad_input=isinstance(error, InputError))


def _message(job: str, error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    if is_out_of_memory(error):
        return (
            f"There was not enough memory for the job '{job}'. What was saved is kept. Close other "
            "programs, or choose a smaller batch or model, and start or resume the job."
        )
    text = str(error).strip()
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"The job '{job}' stopped with an unexpected error ({named})."
