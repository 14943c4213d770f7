"""The window's side of the engine: queues jobs, runs the child process, hands out its events.

`submit` and `cancel` only record the request and return at once, from any thread. All communication
with the child happens inside `poll`, which one thread calls in a loop.
"""

from __future__ import annotations

import io
import multiprocessing
import pickle
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import Any

from fetalstudio.engine.process import worker
from fetalstudio.engine.process.events import (
    Cancelled,
    Event,
    Failed,
    Progress,
    RunKey,
    Started,
    Warned,
)
from fetalstudio.engine.process.job import Asked, Job, Request, failure, job_of

GRACE_S = 4.0
"""Time for a cancelled job to stop by itself before its process is ended. With the end of the
process it stays below the 5 s within which any job should have ended."""
STEP_S = 60.0
"""Progress of a cancelled job that completes what it has gives it this time for the next step,
unless it was asked to stop now. Without a GPU, large models take seconds for a frame."""
START_METHOD = "spawn"
"""How the process is started: with nothing of the window, whose threads may hold locks."""
SEEN_INTERVAL_S = 0.05
"""Droppable events of a kind come at most this often: 20 a second."""
_EXIT_S = 4.0  # torch takes a second or two to leave in good order
_TRIES = 2  # for a job whose process ended before the job began
_BATCH = 256  # messages read in one go, so that a job with many events cannot keep `poll` busy
_HEAVY = frozenset({"torch", "diffusers", "segment_anything"})


@dataclass(slots=True)
class _Order:
    """A job that was submitted."""

    id: int
    job: str
    """The job's name."""
    request: bytes
    sent: bool = False
    begun: bool = False
    """Whether the child has begun to run the job."""
    tries: int = 0
    """How often the job was sent to the child."""
    asked: Asked = Asked.NOT
    told: Asked = Asked.NOT
    """What of ``asked`` the child knows."""
    kill_at: float | None = None
    """When the process is ended; set when the child is asked to cancel."""
    run: RunKey | None = None
    """The run that the job's events named."""


class _Child:
    """One engine process and our end of the pipe to it."""

    def __init__(self, grace_s: float) -> None:
        """Start the process. Raises OSError if the system cannot."""
        # Typed loosely: the contexts have no common type with a process.
        context: Any = multiprocessing.get_context(START_METHOD)
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=worker.main, args=(theirs, grace_s), name="fetalstudio-engine", daemon=True
        )
        try:
            self.process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()  # otherwise its death would not end the pipe
        self.ready = False
        self.warmed = False

    def said(self, limit: int | None = None) -> Iterator[worker.Ready | worker.Begun | worker.Said]:
        """The messages that were not read yet. Raises EOFError or OSError if the pipe has ended."""
        count = 0
        while (limit is None or count < limit) and self.pipe.poll():
            yield self.pipe.recv()
            count += 1

    def end(self, patience_s: float) -> int | None:
        """Wait up to ``patience_s`` for the process to end, then kill it. Returns the exit code."""
        self.process.join(patience_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        return self.process.exitcode


class EngineClient:
    """Runs jobs one at a time in a child process that is kept alive, in the order of submission.

    Every job's events begin with `Started` and end with exactly one of `FINAL`; a job that is
    cancelled while it waits has `Cancelled` as its only event.
    """

    def __init__(self, *, grace_s: float = GRACE_S) -> None:
        self._grace_s = grace_s
        self._lock = threading.Lock()  # guards the state that submit, cancel and poll share
        self._queue: deque[_Order] = deque()
        self._current: _Order | None = None
        self._events: list[tuple[int, Event]] = []
        self._last_id = 0
        self._closed = False
        self._woken = False
        self._wake_reader, self._wake_writer = multiprocessing.Pipe(duplex=False)
        self._polling = threading.Lock()  # guards the child; held while communicating with it
        self._child: _Child | None = None
        self._child_wanted = False
        self._warm_jobs: tuple[Job[Any, Any], ...] = ()
        self._seen_owed = False
        self._seen_at = 0.0

    # -- from any thread --------------------------------------------------------------------------

    def submit(self, request: Request[Any], *, replace: bool = False) -> int:
        """Queue the job that ``request`` asks for and return its id.

        The request is copied now. With ``replace``, waiting jobs of that name are dropped and a
        running one is cancelled. Raises TypeError for what is not the request of a job and for a
        request that cannot be sent, RuntimeError after `close`.
        """
        if isinstance(request, type):
            raise TypeError(f"{request.__name__} is a class, not the request of a job")
        job = job_of(request).name
        try:
            pickled = pickle.dumps(request)
        except Exception as error:  # pickling runs code of the request's values
            raise TypeError(f"the request of job '{job}' cannot be sent: {error}") from error
        with self._lock:
            if self._closed:
                raise RuntimeError("the engine is closed")
            if replace:
                for order in self._orders():
                    if order.job == job:
                        self._ask(order, Asked.TO_STOP)
            self._last_id += 1
            self._queue.append(_Order(self._last_id, job, pickled))
            self._wake()
            return self._last_id

    def cancel(self, job_id: int, asked: Asked = Asked.TO_STOP) -> None:
        """Ask the job to stop. A job that has ended is not affected."""
        with self._lock:
            for order in self._orders():
                if order.id == job_id:
                    self._ask(order, asked)
            self._wake()

    def warm_up(self, *requests: type[Request[Any]]) -> None:
        """Start the child and import what the jobs of ``requests`` need, so that the first one
        starts quickly. Raises TypeError for a class that is not the request of a job."""
        jobs = tuple(job_of(request) for request in requests)
        with self._lock:
            self._warm_jobs = jobs
            self._child_wanted = True
            self._wake()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        child = self._child
        return child.process.pid if child is not None else None

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def close(self) -> None:
        """Ask every job to stop now and end the child: at once where it is idle, within the grace
        where a job runs. `poll` then still hands out the last events. Closing twice does no harm.
        """
        with self._lock:
            self._closed = True
            for order in self._orders():
                self._ask(order, Asked.TO_STOP_NOW)
            self._wake()
        with self._polling:
            self._advance()
            while self._current is not None:
                self._listen(self._patience(None))
                self._advance()
            if self._child is not None:
                child, self._child = self._child, None
                child.pipe.close()
                child.end(_EXIT_S)

    def _orders(self) -> list[_Order]:
        return [*([self._current] if self._current else []), *self._queue]

    def _ask(self, order: _Order, asked: Asked) -> None:
        if order is self._current:
            order.asked = max(order.asked, asked)
        else:
            self._queue.remove(order)
            self._events.append((order.id, Cancelled()))

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._wake_writer.send_bytes(b"!")

    # -- in the polling thread --------------------------------------------------------------------

    def poll(self, timeout: float | None = None) -> list[tuple[int, Event]]:
        """Events as (job id, event), as soon as there are any.

        An empty list after ``timeout`` seconds (None waits without end), and at once when closed.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._polling:
            while True:
                if not self._closed:
                    self._advance()
                with self._lock:
                    if self._events or self._closed:
                        taken, self._events = self._events, []
                        self._seen_owed |= any(event.droppable for _, event in taken)
                        return taken
                if deadline is not None and time.monotonic() >= deadline:
                    return []
                self._listen(self._patience(deadline))

    def _advance(self) -> None:
        """Do what is due: take the next job, and start, instruct or kill the child."""
        self._take_next()
        order = self._current
        if order is not None and order.asked and not order.sent:
            self._conclude(Cancelled())
            order = None
        if self._child is None and (order is not None or self._child_wanted):
            self._start()
        if self._child is None or not self._child.ready:
            return
        if order is not None and order.kill_at is not None and time.monotonic() >= order.kill_at:
            self._bury(patience_s=0.0)
            self._child_wanted = True  # so that the next job need not wait for it
            return
        try:
            self._tell(self._child, order)
        except OSError:
            self._bury()

    def _take_next(self) -> None:
        with self._lock:
            if self._current is None and self._queue:
                self._current = self._queue.popleft()
                self._events.append((self._current.id, Started(self._current.job)))

    def _start(self) -> None:
        self._child_wanted = False
        self._seen_owed = False
        try:
            self._child = _Child(self._grace_s)
        except OSError as error:
            self._conclude(_could_not_start(str(error)))

    def _tell(self, child: _Child, order: _Order | None) -> None:
        """Send what the child does not know yet. Raises OSError if the child is gone."""
        if order is None:
            if self._warm_jobs and not child.warmed:
                child.warmed = True
                child.pipe.send(worker.WarmUp(self._warm_jobs))
        elif not order.sent:
            child.pipe.send(worker.Perform(order.id, order.job, order.request))
            order.sent = True
            order.tries += 1
        elif order.asked > order.told:
            order.told = order.asked
            order.kill_at = time.monotonic() + self._grace_s
            child.pipe.send(worker.Cancel(order.id, order.told))
        if self._seen_owed and time.monotonic() >= self._seen_at + SEEN_INTERVAL_S:
            self._seen_owed = False
            self._seen_at = time.monotonic()
            child.pipe.send(worker.Seen())

    def _patience(self, deadline: float | None) -> float | None:
        """Seconds until something is due without a message; None if nothing is."""
        due = [deadline] if deadline is not None else []
        if self._seen_owed:
            due.append(self._seen_at + SEEN_INTERVAL_S)
        if self._current is not None and self._current.kill_at is not None:
            due.append(self._current.kill_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _listen(self, patience: float | None) -> None:
        """Wait for a wake-up, a message or the end of the child, and handle it."""
        child = self._child
        sources: list[Any] = [self._wake_reader]
        if child is not None:
            sources += [child.pipe, child.process.sentinel]
        ready = connection.wait(sources, patience)
        if self._wake_reader in ready:
            with self._lock:
                self._wake_reader.recv_bytes()
                self._woken = False
        if child is None:
            return
        if child.process.sentinel in ready:
            self._bury()
        elif child.pipe in ready:
            try:
                self._hear(child, _BATCH)
            except (EOFError, OSError):
                self._bury()
            except MemoryError as error:  # a message too large for this process
                self._conclude(failure("engine", error))
                self._bury(patience_s=0.0)

    def _hear(self, child: _Child, limit: int | None = None) -> None:
        for message in child.said(limit):
            if isinstance(message, worker.Ready):
                child.ready = True
            elif self._current is None or message.job_id != self._current.id:
                continue
            elif isinstance(message, worker.Begun):
                self._current.begun = True
            else:
                event = _read(message)
                self._current.run = event.run or self._current.run
                finishing = isinstance(event, Progress) and event.finishing
                if finishing and self._current.told is Asked.TO_STOP:
                    self._current.kill_at = time.monotonic() + STEP_S
                if message.final:
                    self._conclude(event)
                else:
                    with self._lock:
                        self._events.append((message.job_id, event))

    def _conclude(self, event: Event) -> None:
        with self._lock:
            if self._current is not None:
                event = replace(event, run=self._current.run)
                self._events.append((self._current.id, event))
                self._current = None

    def _bury(self, patience_s: float = _EXIT_S) -> None:
        """Handle the end of the child: read its last messages and conclude its job."""
        child, self._child = self._child, None
        if child is None:
            return
        code = child.end(patience_s)
        with suppress(EOFError, OSError):  # the end of the pipe, maybe within a message
            self._hear(child)
        child.pipe.close()
        order = self._current
        if order is None:
            return
        if order.asked:
            self._conclude(Cancelled())
        elif not child.ready:
            self._conclude(_could_not_start(_reason(code)))
        elif not order.begun and order.tries < _TRIES:
            order.sent = False  # it died while idle; a new one runs the job
        else:
            self._conclude(
                Failed(
                    f"The engine stopped unexpectedly ({_reason(code)}). "
                    "What was saved is kept; start the job again.",
                    traceback="",
                )
            )


class _Reader(pickle.Unpickler):
    """Reads an event, and refuses one that would import torch into the window's process."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in _HEAVY:
            raise pickle.UnpicklingError(f"{module}.{name} must not be part of an event")
        return super().find_class(module, name)


def _read(said: worker.Said) -> Event:
    try:
        event: Event = _Reader(io.BytesIO(said.event)).load()
    except Exception as error:  # unpickling runs code of the event's classes
        message = f"An event of the job cannot be read ({error})."
        return Failed(message, traceback.format_exc()) if said.final else Warned(message)
    return event


def _could_not_start(reason: str) -> Failed:
    return Failed(
        f"The engine could not be started ({reason}). Close other programs and start the job "
        "again; if that does not help, reinstall FetalStudio.",
        traceback="",
    )


def _reason(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"exit code {exit_code}"
    number = -exit_code
    try:
        name = f", {signal.Signals(number).name}"
    except ValueError:
        name = ""
    hint = ": the system may have run out of memory" if number == 9 else ""
    return f"signal {number}{name}{hint}"
