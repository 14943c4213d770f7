"""Compares readings on a thread of its own, so that the window never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from PySide6.QtCore import QObject, QRunnable, QThreadPool, Signal, Slot

from fetalstudio.core.progress import Stopped
from fetalstudio.project.agreements import ObserverAgreement, ReadTogether, ReadTwice


class Comparer(QObject):
    """Compares one list of readings after another; of several that wait, only the newest."""

    progress = Signal(int, int)
    """Frames that were compared, of how many."""
    compared = Signal(object, object)
    """The list of :class:`ObserverAgreement`, when all are ready, and the
    :class:`GroupAgreement` of all observers, or None."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._task: _Task | None = None

    def compare(self, found: Sequence[ReadTwice], together: ReadTogether | None) -> None:
        """Compare these, in the place of what is being compared."""
        self.stop()
        self._task = _Task(found, together)
        self._task.signals.progress.connect(self._progressed)
        self._task.signals.done.connect(self._came)
        self._pool.start(self._task)

    def stop(self) -> None:
        """Stop comparing; nothing of it is reported any more."""
        if self._task is not None:
            self._task.stopped.set()
            self._task = None

    @Slot(object, int, int)
    def _progressed(self, signals: object, done: int, total: int) -> None:
        if self._task is not None and self._task.signals is signals:
            self.progress.emit(done, total)

    @Slot(object, object, object)
    def _came(self, signals: object, found: object, group: object) -> None:
        if self._task is not None and self._task.signals is signals:
            self._task = None
            self.compared.emit(found, group)


class _Signals(QObject):
    progress = Signal(object, int, int)
    done = Signal(object, object, object)


class _Task(QRunnable):
    def __init__(self, found: Sequence[ReadTwice], together: ReadTogether | None) -> None:
        super().__init__()
        self._together = together
        self.signals = _Signals()
        self.stopped = threading.Event()
        self._found = tuple(found)
        self._done = 0
        self._total = sum(len(one.readings) for one in found)

    def run(self) -> None:
        compared: list[ObserverAgreement] = []
        try:
            for one in self._found:
                agreement = one.compare(self)
                self._done += len(one.readings)
                if agreement is not None:
                    compared.append(agreement)
            group = None if self._together is None else self._together.compare()
        except Stopped:
            return
        self.signals.done.emit(self.signals, compared, group)

    def advance(self, done: int, total: int, note: str = "") -> None:
        """As :class:`~fetalstudio.core.progress.Progress` asks for."""
        self.check()
        if done % 10 == 0:
            self.signals.progress.emit(self.signals, self._done + done, self._total)

    def check(self) -> None:
        """As :class:`~fetalstudio.core.progress.Progress` asks for."""
        if self.stopped.is_set():
            raise Stopped()
