"""A queue that keeps only the newest of the items that replace each other."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

Item = TypeVar("Item")


class CoalescingQueue(Generic[Item]):
    """First in, first out; an item with a key takes the place of a waiting one with that key.

    It is put at the end of the queue, so that it overtakes nothing that came before it.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[object, Item] = {}

    def put(self, item: Item, key: object = None) -> bool:
        """Append ``item``; without a key it replaces nothing. Whether one more waits now."""
        with self._lock:
            before = len(self._waiting)
            key = object() if key is None else key
            self._waiting.pop(key, None)
            self._waiting[key] = item
            return len(self._waiting) > before

    def take(self) -> Item | None:
        """Remove and return the first item; None where nothing waits."""
        with self._lock:
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None

    def take_all(self) -> dict[object, Item]:
        """Remove and return all items in order, by key."""
        with self._lock:
            taken, self._waiting = self._waiting, {}
            return taken
