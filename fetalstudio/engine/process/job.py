"""What a job is: a plain function of a request, a way to report and a way to ask "stop?"."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.engine.process.events import Event, Failed

Report = Callable[[Event], None]
CancelCheck = Callable[[], bool]
Job = Callable[[Any, Report, CancelCheck], Any]
"""``run(request, report, cancelled) -> result``. It asks ``cancelled()`` at least once a step and
raises `JobCancelled` when the answer is yes. It reports neither `Started` nor a final event: the
runner does."""


class JobCancelled(Exception):  # noqa: N818  (a request was met: it is not an error)
    """The job stopped because it was asked to. ``result`` is what it has to show, if anything."""

    def __init__(self, result: Any = None) -> None:
        super().__init__("The job was cancelled.")
        self.result = result


def failure(job: str, error: BaseException) -> Failed:
    """The event for an ``error`` that ended ``job``: a message to act on, and the traceback."""
    details = "".join(traceback.format_exception(error))
    return Failed(_message(job, error), details, bad_input=isinstance(error, InputError))


def _message(job: str, error: BaseException) -> str:
    if isinstance(error, UserError):
        return str(error)
    # torch names its error so; asking by name keeps torch out of this module.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            f"There was not enough memory for the job '{job}'. Close other programs, "
            "or ask for a smaller batch or model, and start it again."
        )
    text = str(error).strip()
    named = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"The job '{job}' stopped with an error that was not foreseen ({named})."
