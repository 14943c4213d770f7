"""Runs the window's jobs: their events arrive as Qt signals in the GUI thread.

A background `QThread` polls the `EngineClient`; the GUI thread never waits for the child process.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QCoreApplication, QObject, Qt, QThread, QTimer, Signal, Slot

from fetalstudio.engine.process.client import GRACE_S, EngineClient
from fetalstudio.engine.process.coalescing import CoalescingQueue
from fetalstudio.engine.process.events import (
    FINAL,
    Adapting,
    Cancelled,
    Checkpoint,
    Epoch,
    Event,
    Failed,
    Finished,
    Preview,
    Progress,
    RunKey,
    Started,
    Warned,
)
from fetalstudio.engine.process.job import Asked, Job, Request, job_of

Result = TypeVar("Result")

_ONE_CLICK_S = 1.0
"""A double click asks a job to stop once: what it then completes is not ended with it."""


class Work(QObject):
    """Something that takes its time, which a :class:`~fetalstudio.ui.common.job_bar.JobBar` can
    follow."""

    started = Signal()
    progress = Signal(object)
    """`Progress`, at most 20 a second."""
    ended = Signal()

    @property
    def kept(self) -> str:
        """While it completes what it has: what is kept if it is cancelled, in sentences."""
        return ""

    def cancel(self) -> None:
        """Ask it to stop, and return at once; ``ended`` follows."""
        raise NotImplementedError


class JobHandle(Work, Generic[Result]):
    """One submitted job. ``started`` comes first and one of ``finished``, ``failed``, ``cancelled``
    last, followed by ``ended``; a job cancelled while it waits never starts.

    Use :meth:`on_finished` and :meth:`on_cancelled` to receive the result with its type.
    """

    preview = Signal(object)
    """`Preview`; of those that do not stay, at most 20 a second, and some are left out."""
    epoch = Signal(object)
    """`Epoch`."""
    adapting = Signal(object)
    """`Adapting`."""
    checkpoint = Signal(object)
    """`Checkpoint`."""
    warned = Signal(str)
    finished = Signal(object)
    """The job's result."""
    failed = Signal(object)
    """`Failed`."""
    cancelled = Signal(object)
    """The job's partial result, or None."""

    def __init__(
        self,
        client: EngineClient,
        job_id: int,
        job: Job[Any, Result],
        project: Path | None = None,
    ) -> None:
        super().__init__()
        self._client = client
        self.id = job_id
        self.job = job
        self.project = project
        """The folder of the project that the job works on, if it works on one."""
        self.over = False
        self.run: RunKey | None = None
        """The run of the job, if it has one and said so."""
        self._asked_at = -_ONE_CLICK_S
        self._finishing = False

    def on_finished(self, slot: Callable[[Result], object]) -> None:
        """Call ``slot`` with the result when the job has finished."""
        self.finished.connect(slot)

    def on_cancelled(self, slot: Callable[[Result | None], object]) -> None:
        """Call ``slot`` with the partial result, or None, when the job was cancelled."""
        self.cancelled.connect(slot)

    @property
    def kept(self) -> str:
        return self.job.kept if self._finishing else ""

    def cancel(self) -> None:
        """Ask the job to stop, and return at once; ``cancelled`` follows within seconds.

        A job may complete what it has, for example test what it trained. Asked meanwhile, it stops
        now.
        """
        one_click = time.monotonic() - self._asked_at < _ONE_CLICK_S
        now = self._finishing and not one_click
        self._client.cancel(self.id, Asked.TO_STOP_NOW if now else Asked.TO_STOP)
        self._asked_at = time.monotonic()

    def tell(self, event: Event) -> None:
        """Emit the signal of ``event``."""
        self.run = event.run or self.run
        match event:
            case Started():
                self.started.emit()
            case Progress():
                self._finishing = event.finishing
                self.progress.emit(event)
            case Preview():
                self.preview.emit(event)
            case Epoch():
                self.epoch.emit(event)
            case Adapting():
                self.adapting.emit(event)
            case Checkpoint():
                self.checkpoint.emit(event)
            case Warned(message):
                self.warned.emit(message)
            case Finished(result):
                self.finished.emit(result)
            case Failed():
                self.failed.emit(event)
            case Cancelled(result):
                self.cancelled.emit(result)
        if self.over:
            self.ended.emit()


_Mailbox = CoalescingQueue[tuple[int, Event]]
"""Events on their way to the GUI thread, with the number of their job."""


class _Pump(QThread):
    """Moves events from the client to the mailbox; ends when the client is closed."""

    arrived = Signal()
    """Another event is waiting in the mailbox."""

    def __init__(self, client: EngineClient, mailbox: _Mailbox, parent: QObject) -> None:
        super().__init__(parent)
        self.setObjectName("engine-pump")
        self._client = client
        self._mailbox = mailbox

    def run(self) -> None:
        while not self._client.closed:
            for job_id, event in self._client.poll():
                if _post(self._mailbox, job_id, event):
                    self.arrived.emit()


def _post(mailbox: _Mailbox, job_id: int, event: Event) -> bool:
    """Put an event into the mailbox. Returns whether another one is waiting now.

    A newer droppable event replaces the one that waits, so that they do not pile up while the GUI
    thread is busy.
    """
    return mailbox.put((job_id, event), (job_id, type(event)) if event.droppable else None)


class Engine(QObject):
    """Runs jobs one at a time in the engine's process. Use it in the GUI thread only."""

    job_started = Signal(object)
    """`JobHandle`."""
    queue_changed = Signal()
    """A job has joined or left the queue; see :attr:`waiting`."""
    job_progress = Signal(object, object)
    """`JobHandle`, `Progress`."""
    job_ended = Signal(object)
    """`JobHandle`; for every job that had started."""

    def __init__(self, parent: QObject | None = None, *, grace_s: float = GRACE_S) -> None:
        super().__init__(parent)
        self._client = EngineClient(grace_s=grace_s)
        self._handles: dict[int, JobHandle[Any]] = {}
        self._running: JobHandle[Any] | None = None
        self._mailbox: _Mailbox = CoalescingQueue()
        self._holds = 0
        self._pump = _Pump(self._client, self._mailbox, self)
        self._pump.arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._pump.start()
        application = QCoreApplication.instance()
        if application is not None:  # a QThread that outlives its object aborts the program
            application.aboutToQuit.connect(self.shutdown)

    @property
    def running(self) -> JobHandle[Any] | None:
        """The job that runs now."""
        return self._running

    @property
    def waiting(self) -> list[JobHandle[Any]]:
        """The jobs that have not begun, the next one first."""
        return [handle for handle in self._handles.values() if handle is not self._running]

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._client.pid

    def submit(self, request: Request[Result], *, replace: bool = False) -> JobHandle[Result]:
        """Queue the job that ``request`` asks for; connect to its handle before returning to the
        event loop.

        ``replace`` drops waiting jobs of that name and cancels a running one. Raises as
        `EngineClient.submit`.
        """
        job_id = self._client.submit(request, replace=replace)
        project: Path | None = getattr(request, "project", None)
        handle = JobHandle(self._client, job_id, job_of(request), project)
        self._handles[job_id] = handle
        self.queue_changed.emit()
        return handle

    def warm_up(self, *requests: type[Request[Any]]) -> None:
        """Start the process and import what the jobs of ``requests`` need, in the background."""
        self._client.warm_up(*requests)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let the events of jobs wait while the block handles events of the window: what they cause
        must not come in the middle of it. Jobs go on."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            QTimer.singleShot(0, self, self._catch_up)

    @Slot()
    def shutdown(self) -> None:
        """Cancel every job, end the process and the thread, and hand out the last signals.

        Takes about a second where nothing runs, and up to the grace longer otherwise. Calling
        it twice does no harm.
        """
        self._client.close()
        self._pump.wait()
        for job_id, event in self._client.poll(0):
            _post(self._mailbox, job_id, event)
        while self._deliver():
            pass

    @Slot()
    def _deliver(self) -> bool:
        """Hand out one event; False if none is waiting, or all are held.

        Only one at a time, so that a slot that opens a dialog (and with it an event loop) does not
        delay the events behind it.
        """
        waiting = None if self._holds else self._mailbox.take()
        if waiting is None:
            return False
        job_id, event = waiting
        handle = self._handles[job_id]
        if isinstance(event, Started):
            self._running = handle
            self.job_started.emit(handle)
            handle.tell(event)
        elif isinstance(event, FINAL):
            self._end(handle, event)
        else:
            handle.tell(event)
            if isinstance(event, Progress):
                self.job_progress.emit(handle, event)
        return True

    @Slot()
    def _catch_up(self) -> None:
        if self._deliver():
            QTimer.singleShot(0, self, self._catch_up)

    def _end(self, handle: JobHandle[Any], event: Event) -> None:
        del self._handles[handle.id]
        handle.over = True
        if handle is self._running:
            self._running = None
            self.job_ended.emit(handle)  # first, as a slot of the handle may open a dialog
        self.queue_changed.emit()
        handle.tell(event)
