"""Keys that are held down.

For each repetition of a key, X11 sends a release and a press with one and the same time. Qt takes
them for a repetition only if the press is there already when it handles the release, which is
seldom so. A key that is held down would then act again and again, as if it were struck.

On all systems, Qt lets a repeated Enter press the button of one dialog after another, which nobody
has read.
"""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QKeyEvent, QWindow
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid

_PRESS_MS = 20
"""The press of a repetition follows its release sooner; a person needs longer."""
_DECIDING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
"""The keys that end a dialog."""


class HeldKeys(QObject):
    """Marks the strokes of a key that is held down as repeated, in ``window`` and in its dialogs,
    and keeps repeated strokes from ending a dialog.

    A release waits for the press of the same time, and is dropped if that comes.
    """

    def __init__(self, window: QWidget, *, x11: bool | None = None) -> None:
        """``x11``: whether repetitions come as on X11; by default what the program runs on."""
        super().__init__(window)
        self._window = window
        self._x11 = QGuiApplication.platformName() == "xcb" if x11 is None else x11
        self._released: tuple[QWindow, QKeyEvent] | None = None
        """A release that waits, and where it goes."""
        self._last = (0, 0)
        """Key and time of the last release."""
        self._sending = False
        """Whether the next event is one of its own."""
        self._wait = QTimer(self, singleShot=True, interval=_PRESS_MS)
        self._wait.timeout.connect(self.flush)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.focusWindowChanged.connect(self._watch)

    def _watch(self, window: QWindow | None) -> None:
        """Watch the keys of the window that has the keyboard."""
        if window is not None:
            window.installEventFilter(self)  # once only, however often it is called

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        keys = (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
        if event.type() not in keys:
            return False
        if not isinstance(event, QKeyEvent) or not isinstance(watched, QWindow):
            return False
        own, self._sending = self._sending, False
        if event.isAutoRepeat():
            return self._ends_dialog(watched, event)
        return False if own or not self._x11 else self._on_x11(watched, event)

    def _ends_dialog(self, window: QWindow, event: QKeyEvent) -> bool:
        return event.key() in _DECIDING and window is not self._window.windowHandle()

    def _on_x11(self, watched: QWindow, event: QKeyEvent) -> bool:
        """Whether the event is held back: it waits, or is sent again as a repetition."""
        stroke = event.nativeScanCode(), event.timestamp()
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
            if isValid(window):  # the press may have closed a dialog
                self._send(window, event)

    def _send(self, window: QWindow, event: QKeyEvent) -> None:
        # What the key does may open a dialog, whose keys come before this returns.
        self._sending = True
        try:
            QCoreApplication.sendEvent(window, event)
        finally:
            self._sending = False


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
