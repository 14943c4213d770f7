"""The engine process: runs one job after another and talks to its client over a pipe.

Jobs run in the main thread. One thread reads the pipe, so that a cancel arrives while a
job computes; another writes to it, so that a job never waits for a slow window. When the pipe
closes, the client is gone and this process ends by itself.

Flow control: a droppable event is sent only when the client has taken the one of its kind before;
of those that are reported meanwhile, the newest is kept.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from fetalstudio.core.progress import Stopped
from fetalstudio.engine.process.coalescing import CoalescingQueue
from fetalstudio.engine.process.events import Cancelled, Event, Final, Finished, RunKey
from fetalstudio.engine.process.job import Asked, Job, failure, job_of
from fetalstudio.engine.process.threads import settle_threads

_log = logging.getLogger(__name__)

_OUTBOX = 1000  # events that may wait to be written: a bound for what is never left out


@dataclass(frozen=True, slots=True)
class Perform:
    """To the child: perform the job of this request.

    The request is pickled separately, so that one that cannot be read here fails only its job.
    ``job`` is the job's name, for the message about such a failure.
    """

    job_id: int
    job: str
    request: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """To the child: stop this job, if it is still running."""

    job_id: int
    asked: Asked


@dataclass(frozen=True, slots=True)
class WarmUp:
    """To the child: import what these jobs need."""

    jobs: tuple[Job[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """To the child: the last droppable events were read, so the next ones may be sent."""


@dataclass(frozen=True, slots=True)
class Ready:
    """From the child, as its first message: it is reading the pipe now."""


@dataclass(frozen=True, slots=True)
class Begun:
    """From the child, just before a job runs. A job that has not begun has changed nothing, so if
    the process dies before this message, another process can run the job."""

    job_id: int


@dataclass(frozen=True, slots=True)
class Said:
    """From the child: an event of a job, pickled on its own for the reason given at `Perform`."""

    job_id: int
    event: bytes
    final: bool


def main(pipe: Connection, grace_s: float) -> None:
    """Serve the client at the other end of ``pipe`` until it closes.

    A job that still runs then is cancelled and gets ``grace_s`` seconds to save and stop.
    """
    _settle()
    _Worker(pipe, grace_s).serve()


def _settle() -> None:
    """Set up this process so that it does not disturb the window."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the client decides
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # so does the end of a terminal
    settle_threads()
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        os.nice(5)
    if sys.stderr is not None:  # None in a windowed program on Windows
        faulthandler.enable()


class _Reporter:
    """Sends the events of one job, under the flow control described above. Thread-safe.

    Events are pickled when they are reported: the job may use its arrays again, and one that
    cannot be pickled is an error at the line that reported it.
    """

    def __init__(self, outbox: queue.Queue[Said], job_id: int, job: str) -> None:
        self._outbox = outbox
        self._job_id = job_id
        self._job = job
        self._lock = threading.Lock()
        self._unseen: set[object] = set()
        self._held: CoalescingQueue[bytes] = CoalescingQueue()
        self._run: RunKey | None = None
        self._over = False

    def __call__(self, event: Event) -> None:
        pickled = pickle.dumps(event)
        with self._lock:
            if self._over:
                return  # a helper thread of a job that has ended
            self._run = event.run or self._run
            kind = type(event)
            if event.droppable and kind in self._unseen:
                self._held.put(pickled, kind)
                return
            if event.droppable:
                self._unseen.add(kind)
            self._send(pickled)

    def seen(self) -> None:
        """The client took what was sent: send what was held meanwhile."""
        with self._lock:
            if not self._over:
                self._unseen = self._send_held()

    def finish(self, event: Final) -> None:
        """Send the job's last event, in the run that the job named; after it, nothing is sent."""
        event = replace(event, run=self._run)
        try:
            pickled = pickle.dumps(event)
        except Exception as error:  # pickling runs code of the result's class
            pickled = pickle.dumps(replace(failure(self._job, error), run=self._run))
        with self._lock:
            self._send_held()
            self._over = True
            self._send(pickled, final=True)

    def _send_held(self) -> set[object]:
        """Send the events that were held, and return their kinds."""
        held = self._held.take_all()
        for pickled in held.values():
            self._send(pickled)
        return set(held)

    def _send(self, pickled: bytes, *, final: bool = False) -> None:
        self._outbox.put(Said(self._job_id, pickled, final))


@dataclass(slots=True)
class _Task:
    order: Perform
    report: _Reporter
    asked: Asked = Asked.NOT
    """Written by the reading thread alone."""
    claim: threading.Lock = field(default_factory=threading.Lock)
    """The thread that acquires it concludes the task: the main thread by running it, or the reading
    thread by cancelling it while the main thread is still importing."""


class _Worker:
    def __init__(self, pipe: Connection, grace_s: float) -> None:
        self._pipe = pipe
        self._grace_s = grace_s
        self._outbox: queue.Queue[Said] = queue.Queue(maxsize=_OUTBOX)
        self._inbox: queue.SimpleQueue[WarmUp | _Task | None] = queue.SimpleQueue()
        self._task: _Task | None = None  # the newest; written by the reading thread alone
        self._writing = threading.Lock()

    def serve(self) -> None:
        self._send(Ready())
        threading.Thread(target=self._listen, name="engine-reader", daemon=True).start()
        threading.Thread(target=self._speak, name="engine-writer", daemon=True).start()
        while True:
            match self._inbox.get():
                case WarmUp(jobs):
                    _warm_up(jobs)
                case None:
                    return
                case task:
                    if task.claim.acquire(blocking=False):
                        # By this thread: from the outbox it might not get out before a crash, and
                        # what the job has done by then would be done twice.
                        self._send(Begun(task.order.job_id))
                        _perform(task)

    def _speak(self) -> None:
        while True:
            self._send(self._outbox.get())

    def _send(self, message: Ready | Begun | Said) -> None:
        # The client may be gone; the reading thread sees it too and acts.
        with self._writing, suppress(OSError):
            self._pipe.send(message)

    def _listen(self) -> None:
        while True:
            try:
                message: Any = self._pipe.recv()
            except (EOFError, OSError):
                self._leave()
            match message:
                case Perform(job_id, job, _):
                    task = _Task(message, _Reporter(self._outbox, job_id, job))
                    self._task = task
                    self._inbox.put(task)
                case Cancel(job_id, asked):
                    self._cancel(job_id, asked)
                case WarmUp():
                    self._inbox.put(message)
                case Seen() if self._task is not None:
                    self._task.report.seen()

    def _cancel(self, job_id: int, asked: Asked) -> None:
        task = self._task
        if task is None or task.order.job_id != job_id:
            return  # it ended before the request to stop it arrived
        task.asked = asked
        if task.claim.acquire(blocking=False):
            task.report.finish(Cancelled())

    def _leave(self) -> NoReturn:
        """End the process after the client is gone.

        The main thread has the grace period to stop. The process then ends without it, because it
        may be deep in native code.
        """
        if self._task is not None:
            self._task.asked = Asked.TO_STOP_NOW
        self._inbox.put(None)
        time.sleep(self._grace_s)
        os._exit(0)


def _warm_up(jobs: tuple[Job[Any, Any], ...]) -> None:
    for job in jobs:
        try:
            job.load()
        except Exception:  # the job itself will fail with it, in front of the person
            _log.exception("the job '%s' cannot be loaded", job.name)


def _perform(task: _Task) -> None:
    final: Final
    try:
        request = pickle.loads(task.order.request)
        run = job_of(request).load()
        final = Finished(run(request, task.report, lambda: task.asked))
    except Stopped as stopped:
        final = Cancelled(stopped.result)
    except (Exception, SystemExit) as error:
        final = failure(task.order.job, error)
    task.report.finish(final)
