"""How the tests of the engine drive a client."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import psutil

from fetalstudio.engine.process import worker
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import FINAL, Event, Started
from fetalstudio.studies.campaigns.child import in_child


class Log:
    """What a client said, by job, and a way to wait for it."""

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.events: list[tuple[int, Event]] = []

    def of(self, job_id: int) -> list[Event]:
        return [event for number, event in self.events if number == job_id]

    def last(self, job_id: int) -> Any:
        return self.of(job_id)[-1]

    def until(self, met: Callable[[], bool], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not met():
            assert time.monotonic() < deadline, f"nothing came in time: {self.events}"
            self.events += self.client.poll(0.2)

    def until_final(self, *job_ids: int, timeout: float = 30.0) -> Any:
        """Waits until these jobs are over; the last event of the last of them."""
        self.until(lambda: all(self.over(number) for number in job_ids), timeout)
        for number in job_ids:
            self.check(number)
        return self.last(job_ids[-1])

    def until_said(self, job_id: int, kind: type[Event], timeout: float = 30.0) -> None:
        self.until(lambda: any(isinstance(e, kind) for e in self.of(job_id)), timeout)

    def over(self, job_id: int) -> bool:
        return any(isinstance(event, FINAL) for event in self.of(job_id))

    def check(self, job_id: int) -> None:
        """One final event, the last; `Started` first unless that is all there is."""
        events = self.of(job_id)
        assert [isinstance(e, FINAL) for e in events] == [False] * (len(events) - 1) + [True]
        if len(events) > 1:
            assert [isinstance(e, Started) for e in events] == [True] + [False] * (len(events) - 1)


def killed(work: Callable[..., None], *arguments: object) -> None:
    """Do ``work(*arguments)`` in a process of its own, in the midst of which it kills itself.

    The test asks for the fixture ``forks``, so that the process need not load PyTorch.
    """
    assert in_child(work, *arguments, patience_s=120.0).status == -signal.SIGKILL


def die() -> None:
    """End this process as the system does where it runs out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


class ForkedWorker:
    """The main function of an engine process that is forked, with the variables of this moment.

    The process that forks has those of the time when it was started.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return partial, (_serve, dict(os.environ))


def _serve(variables: Mapping[str, str], pipe: Connection, grace_s: float) -> None:
    os.environ.clear()
    os.environ.update(variables)
    worker.main(pipe, grace_s)


def gone(pid: int, timeout: float = 10.0) -> bool:
    """Whether the process ends in time (one that waits to be reaped has ended)."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False
