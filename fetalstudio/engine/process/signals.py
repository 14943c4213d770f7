"""The signals that ask a process to end: Ctrl-C (SIGINT), SIGTERM and SIGHUP.

A job ends by each of them as by a cancel. Imports the standard library only, so that the handlers
can be set before anything else is loaded.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
END_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))

Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def handling(handler: Handler) -> Iterator[None]:
    """Let ``handler`` answer the signals inside the block.

    A signal that is ignored, as SIGHUP is under ``nohup``, stays ignored. Outside the main thread,
    which alone may set handlers, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in END_SIGNALS}
    try:
        for number, now in before.items():
            if now is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, then in before.items():
            if then is not None:  # a handler that was not set by Python cannot be put back
                signal.signal(number, then)


@contextmanager
def first_only_asks() -> Iterator[Callable[[], bool]]:
    """Inside, the first signal only sets a flag, whose check is yielded; the next one interrupts.

    The second signal, of whichever kind, raises KeyboardInterrupt.
    """
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            interrupt(number, frame)
        asked.set()

    with handling(ask):
        yield asked.is_set


def ignore_at_the_end() -> None:
    """From now on signals are ignored wherever nothing else is answering them.

    For a process that ends as soon as it has said how its work came out.
    """
    for number in END_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, ignore)


def ignore(number: int, frame: FrameType | None) -> None:
    """A handler that does nothing. Unlike ``SIG_IGN`` it is not handed on to child processes."""


def interrupt(number: int, frame: FrameType | None) -> None:
    """A handler that raises KeyboardInterrupt."""
    raise KeyboardInterrupt
