"""The Qt binding itself: what one release got wrong, checked at each change of the pinned one."""

from __future__ import annotations

import sys

from PySide6.QtCore import QObject


def test_calls_into_qt_own_the_none_that_they_return() -> None:
    """PySide6 6.12.0 does not: on Python 3.11 it kills the window after some thousand calls."""
    thing, calls = QObject(), 1000
    before = sys.getrefcount(None)
    for _ in range(calls):
        thing.setObjectName("x")
    assert sys.getrefcount(None) > before - calls // 2
