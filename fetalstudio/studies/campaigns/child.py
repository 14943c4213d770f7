"""Runs the work of a trial in a process of its own, with limits on its time and memory.

The processes are forked from one that has imported everything, so that a trial takes no time to
load PyTorch. On Windows, which cannot fork, each is started from nothing.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")

HANG_S = 5.0
"""What takes longer without an end is a hang."""
MOST_MB = 1000
"""No work on an input may take more memory than that."""
_STOPPED_MB = 6000
"""Work that takes so much address space is stopped, to spare the machine."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[Result]):
    """How a child ended."""

    status: int | None
    """The exit status, negative for a signal; None for a child that had to be killed."""
    result: Result | None
    """What its work returned, if it returned."""
    seconds: float
    peak_mb: int
    """The most memory that it held, in MB; 0 if its work did not return."""

    def faults(self) -> list[str]:
        """What is wrong with how work on an input ended."""
        if self.status is None:
            return [f"it did not end within {self.seconds:.0f} s"]
        if self.status != 0:
            return [f"it ended with status {self.status}"]
        if self.peak_mb > MOST_MB:
            return [f"it took {self.peak_mb} MB"]
        return []


class Child(Generic[Result]):
    """A process that does ``work(*arguments)``, a function of a module."""

    def __init__(self, work: Callable[..., Result], *arguments: Any) -> None:
        # Typed loosely: the contexts of the two ways have no common type with a process.
        context: Any = multiprocessing.get_context(
            "spawn" if sys.platform == "win32" else "forkserver"
        )
        self._pipe, theirs = context.Pipe(duplex=False)
        self._started = time.monotonic()
        # The process that forks has the variables of the time when it was started.
        variables = dict(os.environ)
        self._process = context.Process(
            target=_do, args=(theirs, variables, work, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def kill(self) -> int | None:
        """Kill it as ``kill -9`` does; returns its exit status, which is 0 if it had ended."""
        self._process.kill()
        self._process.join()
        return self._process.exitcode

    def ended(self, patience_s: float) -> Ended[Result]:
        """Wait for its end; after ``patience_s`` seconds it is killed."""
        value: tuple[Result | None, int] = None, 0
        late = not self._pipe.poll(patience_s)
        if not late:
            with contextlib.suppress(EOFError):  # it was killed, or left by sys.exit
                value = self._pipe.recv()
            self._process.join(HANG_S)
        status = self._process.exitcode
        if status is None:
            self.kill()
        return Ended(status, value[0], time.monotonic() - self._started, value[1])


def in_child(
    work: Callable[..., Result], *arguments: Any, patience_s: float = HANG_S
) -> Ended[Result]:
    """Do ``work(*arguments)`` in a child."""
    return Child(work, *arguments).ended(patience_s)


def preload(modules: Sequence[str]) -> None:
    """Name the modules that children find imported. The last call before the first child counts."""
    if sys.platform != "win32":
        multiprocessing.get_context("forkserver").set_forkserver_preload([*modules])


def _do(
    pipe: Connection,
    variables: Mapping[str, str],
    work: Callable[..., Any],
    arguments: Sequence[Any],
) -> None:
    os.environ.clear()
    os.environ.update(variables)
    if sys.platform == "win32":
        pipe.send((work(*arguments), 1))
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_STOPPED_MB << 20, resource.RLIM_INFINITY))
    result = work(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send((result, peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)))
