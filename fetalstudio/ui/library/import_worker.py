"""Plans an import on a thread of its own, so that neither the window nor a training waits."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QCoreApplication, Qt, QThread, Signal, Slot

from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.events import Event, Progress
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.planner import Planner
from fetalstudio.project.project import Project
from fetalstudio.ui.job_runner import Work

log = logging.getLogger(__name__)

_INTERVAL_S = 0.05
"""At most 20 reports of progress a second."""


class Planning(Work):
    """The planning that one choice asks for."""

    def __init__(self, worker: ImportWorker) -> None:
        super().__init__()
        self._worker = worker

    def cancel(self) -> None:
        self._worker.cancel()


class ImportWorker(QThread):
    """Plans one import under one choice after another; of several that wait, only the newest.

    The thread lives on until it has ended, whoever holds this object.
    """

    progress = Signal(object)
    """`Progress`, at most 20 a second."""
    planned = Signal(object)
    """`ImportPlan`."""
    failed = Signal(str, str)
    """No plan can be made: a message, and a traceback where the fault is not in the input."""
    stopped = Signal()
    """The person has cancelled the plan; the one before counts."""
    ended = Signal()
    """A plan was made, failed or was cancelled."""

    def __init__(
        self, project: Path, prepare: Callable[[], Path], files: Sequence[Path] = ()
    ) -> None:
        """``prepare`` is called on the thread and returns the folder or file to import from. It
        raises :class:`UserError`. ``files`` are DICOM files and archives, to which the import is
        restricted."""
        super().__init__()
        self.setObjectName("import-planner")
        self._project, self._prepare, self._files = project, prepare, files
        self._changed = threading.Condition()
        self._wanted: Choices | None = None
        self._cancelled = self._closed = False
        self._reported = 0.0
        self._current: Planning | None = None
        self.progress.connect(self._pass_progress)
        self.ended.connect(self._pass_end)
        self.finished.connect(self._finished)

    def plan(self, choices: Choices) -> Planning:
        """Plan under these choices, in place of what is being planned."""
        before, self._current = self._current, Planning(self)
        if before is not None:
            before.ended.emit()
        with self._changed:
            self._wanted, self._cancelled = choices, False
            self._changed.notify()
        if not self.isRunning():
            _alive.add(self)
            if (application := QCoreApplication.instance()) is not None:
                unique = Qt.ConnectionType.UniqueConnection
                application.aboutToQuit.connect(self._end_with_application, unique)
            self.start()
        return self._current

    def cancel(self) -> None:
        """Stop planning; ``stopped`` follows."""
        with self._changed:
            self._wanted, self._cancelled = None, True

    def close(self) -> None:
        """End the thread; returns at once. Nothing is reported any more."""
        self._current = None
        with self._changed:
            self._wanted, self._closed = None, True
            self._changed.notify()

    @Slot(object)
    def _pass_progress(self, progress: Progress) -> None:
        if self._current is not None:
            self._current.progress.emit(progress)

    @Slot()
    def _pass_end(self) -> None:
        ended, self._current = self._current, None
        if ended is not None:
            ended.ended.emit()

    @Slot()
    def _end_with_application(self) -> None:
        self.close()
        self.wait()

    @Slot()
    def _finished(self) -> None:
        _alive.discard(self)

    def run(self) -> None:
        try:
            with Project.open(self._project) as project:
                self._run(project)
        except UserError as error:
            self._fail(str(error), "")
        except Exception as error:
            log.exception("the import could not be planned")
            self._fail(f"The files could not be read: {error}", traceback.format_exc())

    def _run(self, project: Project) -> None:
        planner: Planner | None = None
        while (choices := self._next()) is not None:
            try:
                steps = Steps(None, self._report, self._must_stop, "looking at files")
                if planner is None:
                    source = self._prepare()
                    planner = Planner(
                        project,
                        source,
                        options=ImportOptions(files=tuple(self._files)),
                        progress=steps,
                    )
                plan = planner.plan(choices, progress=steps)
            except Stopped:
                if self._cancelled:
                    self.stopped.emit()
                    self.ended.emit()
                continue
            self.planned.emit(plan)
            self.ended.emit()

    def _next(self) -> Choices | None:
        """Wait for choices to plan with; None when it is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._wanted is not None)
            wanted, self._wanted = self._wanted, None
            return wanted

    def _must_stop(self) -> bool:
        return self._closed or self._cancelled or self._wanted is not None

    def _report(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Progress) and now - self._reported >= _INTERVAL_S:
            self._reported = now
            self.progress.emit(event)

    def _fail(self, message: str, details: str) -> None:
        self.failed.emit(message, details)
        self.ended.emit()


_alive: set[ImportWorker] = set()
"""Those whose thread runs: a `QThread` that is deleted before it has ended aborts the program."""
