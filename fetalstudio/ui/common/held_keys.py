"""Keys that are held down, on X11.

For each repetition of a key, X11 sends a release and a press with one and the same time. Qt takes
them for a repetition only if the press is there already when it handles the release, which is
seldom so. A key that is held down would then act again and again, as if it were struck.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QTimer
from PySide6.QtGui import QGuiApplication, QKeyEvent, QWindow
from PySide6.QtWidgets import QWidget

_PRESS_MS = 20
"""The press of a repetition follows its release sooner; a person needs longer."""


class HeldKeys(QObject):
    """Marks the strokes of a key that is held down on ``window`` as repeated.

    A release waits for the press of the same time, and is dropped if that comes.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._released: tuple[QWindow, QKeyEvent] | None = None
        """A release that waits, and where it goes."""
        self._last = (0, 0)
        """Key and time of the last release."""
        self._sending = False
        self._wait = QTimer(self, singleShot=True, interval=_PRESS_MS)
        self._wait.timeout.connect(self.flush)

    def watch(self, window: QWindow) -> None:
        """Watch the keys of a window, which has to be shown."""
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        keys = (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
        if event.type() not in keys or self._sending:
            return False
        if not isinstance(event, QKeyEvent) or not isinstance(watched, QWindow):
            return False
        stroke = event.nativeScanCode(), event.timestamp()
        if event.isAutoRepeat():
            return False
        if event.type() == QEvent.Type.KeyRelease:
            self.flush()
            self._released, self._last = (watched, event.clone()), stroke
            self._wait.start()
            return True
        if stroke != self._last:
            self.flush()
            return False
        self._released = None
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()  # the press follows, and finds the shortcut
        else:
            self._send(watched, _repeated(event))
        return True

    def flush(self) -> None:
        """Let a release that waits be one."""
        if self._released is not None:
            (window, event), self._released = self._released, None
            self._send(window, event)

    def _send(self, window: QWindow, event: QKeyEvent) -> None:
        self._sending = True
        try:
            QCoreApplication.sendEvent(window, event)
        finally:
            self._sending = False


def needed() -> bool:
    """Whether the program runs on X11."""
    return QGuiApplication.platformName() == "xcb"


def _repeated(event: QKeyEvent) -> QKeyEvent:
    return QKeyEvent(
        event.type(),
        event.key(),
        event.modifiers(),
        event.nativeScanCode(),
        event.nativeVirtualKey(),
        event.nativeModifiers(),
        event.text(),
        True,
        event.count(),
    )
