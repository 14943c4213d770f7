"""Windows that fit on their screen."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

_FRAME = QSize(16, 40)
"""What a window manager may add around a window. It does not count a window as too large for the
screen, and everything below the screen's edge would be out of reach."""


def room_for(window: QWidget) -> QSize:
    """The largest size of a window that fits on its screen with its frame."""
    return window.screen().availableSize() - _FRAME
