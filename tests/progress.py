"""A `Progress` for tests: notes the steps, and asks to stop when the test says so."""

from __future__ import annotations

from collections.abc import Callable

from fetalstudio.core.progress import Stopped


class Watched:
    """Follows work in a test."""

    def __init__(self, stop: Callable[[], bool] = lambda: False) -> None:
        self.steps: list[tuple[int, int]] = []
        self._stop = stop

    def advance(self, done: int, total: int, note: str = "") -> None:
        self.steps.append((done, total))
        self.check()

    def check(self) -> None:
        if self._stop():
            raise Stopped
