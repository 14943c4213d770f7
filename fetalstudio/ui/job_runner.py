"""The engine as the window sees it: jobs whose events arrive as Qt signals in the GUI thread.

A background `QThread` polls the `EngineClient`; the GUI thread never waits for the child process.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, Qt, QThread, Signal, Slot

from fetalstudio.engine.process.client import GRACE_S, EngineClient
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
    Started,
    Warned,
)


class JobHandle(QObject):
    """One submitted job. ``started`` comes first and one of ``finished``, ``failed``, ``cancelled``
    last, followed by ``ended``; a job cancelled while it waits never starts."""

    started = Signal()
    progress = Signal(object)
    """`Progress`, at most 20 a second."""
    preview = Signal(object)
    """`Preview`, at most 20 a second; some are left out."""
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
    ended = Signal()

    def __init__(self, client: EngineClient, job_id: int, job: str) -> None:
        super().__init__()
        self._client = client
        self.id = job_id
        self.job = job
        self.over = False

    def cancel(self) -> None:
        """Ask the job to stop, and return at once; ``cancelled`` follows within seconds."""
        self._client.cancel(self.id)

    def tell(self, event: Event) -> None:
        """Emit the signal of ``event``."""
        match event:
            case Started():
                self.started.emit()
            case Progress():
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


class _Mailbox:
    """Events on their way to the GUI thread. Of a job's progress and of its previews only the
    newest waits, so that a GUI thread that is held up does not pile them up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, Event]] = deque()

    def put(self, job_id: int, event: Event) -> bool:
        """Whether one more waits now."""
        with self._lock:
            replaced = isinstance(event, Progress | Preview) and self._remove(job_id, type(event))
            self._waiting.append((job_id, event))
            return not replaced

    def take(self) -> tuple[int, Event] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _remove(self, job_id: int, kind: type[Event]) -> bool:
        for index, (number, event) in enumerate(self._waiting):
            if number == job_id and type(event) is kind:
                del self._waiting[index]
                return True
        return False


class _Pump(QThread):
    """Moves events from the client to the mailbox; ends when the client is closed."""

    arrived = Signal()
    """One more event waits in the mailbox."""

    def __init__(self, client: EngineClient, mailbox: _Mailbox, parent: QObject) -> None:
        super().__init__(parent)
        self.setObjectName("engine-pump")
        self._client = client
        self._mailbox = mailbox

    def run(self) -> None:
        while not self._client.closed:
            for job_id, event in self._client.poll():
                if self._mailbox.put(job_id, event):
                    self.arrived.emit()


class Engine(QObject):
    """Runs jobs one at a time in the engine's process. To be used in the GUI thread."""

    job_started = Signal(object)
    """`JobHandle`."""
    job_progress = Signal(object, object)
    """`JobHandle`, `Progress`."""
    job_ended = Signal(object)
    """`JobHandle`; for every job that had started."""

    def __init__(self, parent: QObject | None = None, *, grace_s: float = GRACE_S) -> None:
        super().__init__(parent)
        self._client = EngineClient(grace_s=grace_s)
        self._handles: dict[int, JobHandle] = {}
        self._running: JobHandle | None = None
        self._mailbox = _Mailbox()
        self._pump = _Pump(self._client, self._mailbox, self)
        self._pump.arrived.connect(self._deliver, Qt.ConnectionType.QueuedConnection)
        self._pump.start()
        application = QCoreApplication.instance()
        if application is not None:  # a QThread that outlives its object aborts the program
            application.aboutToQuit.connect(self.shutdown)

    @property
    def running(self) -> JobHandle | None:
        """The job that runs now."""
        return self._running

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        return self._client.pid

    def submit(self, job: str, request: Any, replace: bool = False) -> JobHandle:
        """Queue a job; connect to its handle before returning to the event loop.

        ``replace`` drops waiting jobs of that name and cancels a running one. Raises as
        `EngineClient.submit`.
        """
        job_id = self._client.submit(job, request, replace=replace)
        handle = self._handles[job_id] = JobHandle(self._client, job_id, job)
        return handle

    def warm_up(self, *jobs: str) -> None:
        """Start the process and import what ``jobs`` need, in the background."""
        self._client.warm_up(*jobs)

    @Slot()
    def shutdown(self) -> None:
        """Cancel every job, end the process and the thread, and hand out the last signals.

        Takes about a second where nothing runs, and up to the grace longer otherwise. Calling
        it twice does no harm.
        """
        self._client.close()
        self._pump.wait()
        for job_id, event in self._client.poll(0):
            self._mailbox.put(job_id, event)
        while self._deliver():
            pass

    @Slot()
    def _deliver(self) -> bool:
        """Hand out one event; False where none waits. One at a time, so that a slot that opens a
        dialog (and with it an event loop) does not hold up those behind it."""
        waiting = self._mailbox.take()
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

    def _end(self, handle: JobHandle, event: Event) -> None:
        del self._handles[handle.id]
        handle.over = True
        if handle is self._running:
            self._running = None
            self.job_ended.emit(handle)  # first, as a slot of the handle may open a dialog
        handle.tell(event)
