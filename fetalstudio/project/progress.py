"""How imports and exports say how far they are, and learn that they should stop."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int], None]
"""Called with (done, total)."""

IsCancelled = Callable[[], bool]


class OperationCancelledError(Exception):
    """The import or export stopped because it was asked to; nothing of it remains."""


def never() -> bool:
    """The :data:`IsCancelled` of what nobody can stop."""
    return False


def silent(done: int, total: int) -> None:
    """The :data:`OnProgress` that nobody listens to."""
