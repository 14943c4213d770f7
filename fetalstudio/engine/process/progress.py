"""Progress with the time left."""

from __future__ import annotations

import time
from collections.abc import Callable

from fetalstudio.engine.process.events import Progress
from fetalstudio.engine.process.job import CancelCheck, JobCancelled, Report


class Steps:
    """Counts the steps of a job: reports each with the time left, and stops when asked to."""

    def __init__(
        self, total: int, report: Report, cancelled: CancelCheck, note: str = "", *, done: int = 0
    ) -> None:
        """``done`` steps were made at another time: they tell nothing about the pace."""
        self.total, self.done, self.note = total, done, note
        self._report, self._cancelled = report, cancelled
        self._started, self._before = time.monotonic(), done
        report(Progress(done, total, None, note))

    def check(self) -> None:
        """Raise :class:`JobCancelled` when the job was asked to stop."""
        if self._cancelled():
            raise JobCancelled

    def advance(self, done: int | None = None, note: str | None = None) -> None:
        """One step further, or to ``done``; then :meth:`check`."""
        self.done = self.done + 1 if done is None else done
        self.note = self.note if note is None else note
        left = self.total - self.done
        made = self.done - self._before
        eta = (time.monotonic() - self._started) / made * left if made else None
        self._report(Progress(self.done, self.total, eta, self.note))
        self.check()


def counter(report: Report, cancelled: CancelCheck, note: str) -> Callable[[int, int], None]:
    """For work that tells (done, total) itself, the total with its first step."""
    steps: Steps | None = None

    def count(done: int, total: int) -> None:
        nonlocal steps
        steps = steps or Steps(total, report, cancelled, note)
        steps.advance(done)

    return count
