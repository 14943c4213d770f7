"""Work on the open project that the window waits for, on a thread of its own.

Meanwhile the window is painted, shows the progress and the time left, and takes no input but to
cancel: what is on screen may be about to change. Jobs go on, and their events wait.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from PySide6.QtCore import QEventLoop, Qt, QThread, QTimer, Signal, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from fetalstudio.core.progress import Progress
from fetalstudio.engine.process.events import Event
from fetalstudio.engine.process.events import Progress as ProgressEvent
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project
from fetalstudio.project.store.storage import Version
from fetalstudio.ui import theme
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.job_runner import Engine, Work

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Task = Callable[[Project, Progress], Result]
"""Is called on the thread with the project, opened there. It raises :class:`Stopped` if asked to,
having changed nothing or said what is left."""

_QUIET_MS = 300
"""Shorter work is not shown at all."""
_INTERVAL_S = 0.05
"""At most 20 reports of progress a second."""
_WIDTH = 460


def wait_for(
    project: Project, engine: Engine, title: str, task: Task[Result], parent: QWidget | None
) -> Result:
    """Run a task on the project that the window has open, and return its result when it has ended.

    What the pages show of frames and annotations is read on the thread too, so that the window does
    not have to read it itself. Raises what the task raises; :class:`Stopped` if the person cancels
    it, or ends the program.
    """
    thread = _Thread(project, task)
    with engine.held(), contextlib.ExitStack() as ended:
        ended.callback(thread.end)
        thread.start()
        # What is typed or clicked meanwhile waits, and is not lost.
        _loop(thread, QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents, _QUIET_MS)
        if thread.isRunning():
            dialog = _WaitDialog(title, thread.work, parent)
            ended.callback(dialog.deleteLater)
            ended.callback(dialog.hide)
            dialog.show()
            _loop(thread, QEventLoop.ProcessEventsFlag.AllEvents)
    return thread.result()


def _loop(thread: QThread, flags: QEventLoop.ProcessEventsFlag, most_ms: int | None = None) -> None:
    """Handle events until the thread has ended, for at most so long."""
    loop = QEventLoop()
    thread.finished.connect(loop.quit)
    if most_ms is not None:
        QTimer.singleShot(most_ms, loop, loop.quit)
    if thread.isRunning():
        loop.exec(flags)


class _Cancellable(Work):
    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self._stop = stop

    def cancel(self) -> None:
        self._stop.set()


class _Thread(QThread, Generic[Result]):
    progress = Signal(object)
    changed = Signal()
    """The task is done, and what is on screen is to be read again."""

    def __init__(self, project: Project, task: Task[Result]) -> None:
        super().__init__()
        self.setObjectName("waited-for")
        self._held, self._path, self._task = project, Path(project.path), task
        self._stop, self._read_on = threading.Event(), threading.Event()
        self._reported = 0.0
        self._version: Version | None = None
        self._result: list[Result] = []
        self._error: BaseException | None = None
        self._opened: Project | None = None
        self.work = _Cancellable(self._stop)
        self.progress.connect(self.work.progress)
        self.changed.connect(self._read_again)

    def result(self) -> Result:
        """What the task has returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]

    def end(self) -> None:
        """Wait until the thread has ended, which is soon if it had not ended yet."""
        self._stop.set()
        self._read_on.set()
        self.wait()
        if self._version is not None and self._opened is not None:
            self._held.take_over(self._opened, self._version)

    @Slot()
    def _read_again(self) -> None:
        # From now on, what is read is at least as new as this.
        self._version = self._held.version()
        self._read_on.set()

    def run(self) -> None:
        try:
            with Project.open(self._path) as project:
                steps = Steps(None, self._report, self._stop.is_set)
                self._result.append(self._task(project, steps))
                self.changed.emit()
                self._read_on.wait()
                project.read_ahead()
                self._opened = project
        except BaseException as error:
            if self._result:  # the window then reads for itself
                log.warning("the project could not be read ahead", exc_info=True)
            else:
                self._error = error

    def _report(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, ProgressEvent) and now - self._reported >= _INTERVAL_S:
            self._reported = now
            self.progress.emit(event)


class _WaitDialog(QDialog):
    """Shows the progress; Esc and the button cancel."""

    def __init__(self, title: str, work: Work, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowModality(Qt.WindowModality.ApplicationModal)
        self.setMinimumWidth(_WIDTH)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[3 * theme.SPACE] * 4)
        layout.setSpacing(2 * theme.SPACE)
        heading = theme.style(QLabel(title), "title")
        heading.setTextFormat(Qt.TextFormat.PlainText)
        heading.setWordWrap(True)
        layout.addWidget(heading)
        self.bar = JobBar()
        self.bar.follow(work, queued="Starting")
        layout.addWidget(self.bar)

    def reject(self) -> None:
        """Ask the work to stop; the dialog is hidden once it has."""
        self.bar.cancel_button.click()

    def closeEvent(self, event: QCloseEvent) -> None:
        """As :meth:`reject`. The dialog does not prevent the end of the program."""
        self.reject()
        event.setAccepted(not event.spontaneous())
