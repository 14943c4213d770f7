"""How long work reports its progress, and learns that it should stop."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")


class Stopped(Exception):  # noqa: N818  (a request was met: it is not an error)
    """The work stopped because it was asked to. ``result`` is what it has to show, if anything."""

    def __init__(self, result: Any = None) -> None:
        super().__init__("The work was stopped.")
        self.result = result


class Progress(Protocol):
    """Given to a function that takes its time, which calls it at least once a step.

    A function that has something to keep when it is asked to stop catches :class:`Stopped` itself.
    """

    def advance(self, done: int, total: int, note: str = "") -> None:
        """Report that ``done`` of ``total`` steps are made, then :meth:`check`.

        ``note`` says what the steps are; without one, the note before stays.
        """

    def check(self) -> None:
        """Raise :class:`Stopped` if the work was asked to stop."""


class _NoProgress:
    def advance(self, done: int, total: int, note: str = "") -> None:
        pass

    def check(self) -> None:
        pass


NO_PROGRESS: Progress = _NoProgress()
"""For work that nobody follows and nobody can stop."""


class Unstoppable:
    """The progress of work that can no longer stop: it is reported, and asked for nothing."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def advance(self, done: int, total: int, note: str = "") -> None:
        """As :meth:`Progress.advance`, without :meth:`check`."""
        with contextlib.suppress(Stopped):
            self._progress.advance(done, total, note)

    def check(self) -> None:
        """Goes on in any case."""


def followed(items: Sequence[Item], progress: Progress, note: str) -> Iterator[Item]:
    """The items, each of which is a step; ``note`` says what they are. Raises :class:`Stopped`
    before the next item if the work was asked to stop."""
    for number, item in enumerate(items):
        progress.advance(number, len(items), note)
        yield item
