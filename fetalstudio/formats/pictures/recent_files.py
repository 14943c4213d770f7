"""Files of many pictures, kept while one picture after the other is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 2
"""A file and the one with its masks: their pictures are read by turns."""


class RecentFiles:
    """The contents of the files that were read last, for several threads."""

    def __init__(self) -> None:
        self._contents: dict[tuple[str, int, int, int], Any] = {}
        self._lock = Lock()

    def get(self, path: Path, load: Callable[[], T], part: int = 0) -> T:
        """What ``load`` gives for this part of the file; it is called only where that is not kept.

        Raises what ``load`` raises, and ``OSError`` for a file that is missing.
        """
        status = path.stat()
        key = (str(path), status.st_mtime_ns, status.st_size, part)
        with self._lock:
            if key in self._contents:
                kept: T = self._contents[key]
                return kept
            # Room is made before the file is loaded: that is where the memory peaks.
            while len(self._contents) >= _MOST:
                del self._contents[next(iter(self._contents))]
            loaded = load()
            self._contents[key] = loaded
            return loaded


RECENT = RecentFiles()
"""One for all formats, so that they share the memory."""
