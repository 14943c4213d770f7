"""Locks that the operating system drops when their process dies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from fetalstudio.core.errors import UserError


class Lock:
    """A lock file held by at most one owner, in any process, until it is released or dies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path, thread_local=False)

    def acquire(self, wait_s: float = 0.0) -> bool:
        """Take the lock if it is, or becomes, free.

        Raises :class:`UserError` in an unwritable folder.
        """
        try:
            self._lock.acquire(timeout=wait_s)
        except Timeout:
            return False
        except OSError as error:
            raise UserError(
                f"{self.path.parent} cannot be written: {error.strerror}. "
                "Copy the project to a folder where you may write and open it there."
            ) from error
        return True

    @contextlib.contextmanager
    def held(self, otherwise: str, *, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock inside the block.

        Raises :class:`UserError` with the message ``otherwise`` where another owner has it.
        """
        if not self.acquire(wait_s):
            raise UserError(otherwise)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Release the lock. May be called twice."""
        self._lock.release()

    def remove(self) -> None:
        """Release the lock and delete its file; for a lock that is not needed again."""
        self.release()
        self.path.unlink(missing_ok=True)
