"""The progress of a job: its events, with the time left."""

from __future__ import annotations

import time

from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.events import Progress
from fetalstudio.engine.process.job import Asked, CancelCheck, Report


class Steps:
    """Counts the steps of a job: reports each with the time left, and stops when asked to.

    It is a `fetalstudio.core.progress.Progress`, for the functions that the job calls.
    """

    def __init__(
        self,
        total: int | None,
        report: Report,
        cancelled: CancelCheck,
        note: str = "",
        *,
        done: int = 0,
        finishing: bool = False,
    ) -> None:
        """Without a ``total``, nothing is reported before the first step that names it.

        ``done`` steps were made at another time, so they do not count for the pace. With
        ``finishing``, the steps are taken unless the job was asked to stop now.
        """
        self.done, self.note, self._finishing = done, note, finishing
        self._heeded = Asked.TO_STOP_NOW if finishing else Asked.TO_STOP
        self._total = total
        self._report, self._cancelled = report, cancelled
        self._started, self._before = time.monotonic(), done
        if total is not None:
            report(Progress(done, total, None, note, finishing))

    def check(self) -> None:
        """Raise :class:`Stopped` if the job was asked to stop."""
        if self._cancelled() >= self._heeded:
            raise Stopped

    def advance(self, done: int | None = None, total: int | None = None, note: str = "") -> None:
        """One step further, or to ``done``; then :meth:`check`. Where ``done`` goes back, steps of
        another kind begin, and so does the estimate."""
        before, self.done = self.done, self.done + 1 if done is None else done
        if self.done < before:
            self._started, self._before = time.monotonic(), self.done
        self._total = self._total if total is None else total
        self.note = note or self.note
        total = self.done if self._total is None else self._total
        made = self.done - self._before
        eta = (time.monotonic() - self._started) / made * (total - self.done) if made else None
        self._report(Progress(self.done, total, eta, self.note, self._finishing))
        self.check()
