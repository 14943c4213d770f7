"""Keys that are held down, as X11 tells of them: each repetition a release and a press."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.ui.common.held_keys import HeldKeys

PRESS, RELEASE = QEvent.Type.KeyPress, QEvent.Type.KeyRelease
_SCAN = {Qt.Key.Key_A: 38, Qt.Key.Key_B: 56, Qt.Key.Key_H: 43}


class Heard(QWidget):
    """Notes the keys that it gets, and whether they are repetitions."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, bool]] = []
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self.heard.append(("press", event.isAutoRepeat()))

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self.heard.append(("release", event.isAutoRepeat()))


class Keyboard:
    """A window with keys that act once (A) and that repeat (B)."""

    def __init__(self, window: QMainWindow) -> None:
        self.window, self.done, self.heard = window, list[str](), Heard()
        window.setCentralWidget(self.heard)
        for letter, repeats in (("A", False), ("B", True)):
            shortcut = QShortcut(QKeySequence(letter), window)
            shortcut.setAutoRepeat(repeats)
            shortcut.activated.connect(lambda letter=letter: self.done.append(letter))

    def send(self, kind: QEvent.Type, key: Qt.Key, at: int) -> QKeyEvent:
        none = Qt.KeyboardModifier.NoModifier
        event = QKeyEvent(kind, key, none, _SCAN[key], 0, 0, key.name[-1].lower())
        event.setTimestamp(at)
        event.setAccepted(False)
        QCoreApplication.sendEvent(self.window.windowHandle(), event)
        return event

    def hold(self, key: Qt.Key) -> None:
        """For three repetitions, without the last release."""
        self.send(PRESS, key, 1000)
        for at in (1660, 1700, 1740):
            self.send(RELEASE, key, at)
            assert self.send(QEvent.Type.ShortcutOverride, key, at).isAccepted()
            self.send(PRESS, key, at)


@pytest.fixture
def keyboard(qtbot: QtBot) -> Iterator[Keyboard]:
    window = QMainWindow()
    qtbot.addWidget(window)
    keyboard = Keyboard(window)
    held = HeldKeys(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    held.watch(window.windowHandle())
    keyboard.heard.setFocus()
    yield keyboard
    held.flush()


def test_a_key_that_is_held_down_acts_once_unless_it_repeats(keyboard: Keyboard) -> None:
    keyboard.hold(Qt.Key.Key_A)
    assert keyboard.done == ["A"]
    keyboard.hold(Qt.Key.Key_B)
    assert keyboard.done == ["A", "B", "B", "B", "B"]


def test_strokes_that_follow_each_other_quickly_all_count(keyboard: Keyboard) -> None:
    for start in (1000, 1017, 1034):
        keyboard.send(PRESS, Qt.Key.Key_A, start)
        keyboard.send(RELEASE, Qt.Key.Key_A, start + 9)
    assert keyboard.done == ["A", "A", "A"]


def test_what_looks_at_a_held_key_itself_sees_no_release(keyboard: Keyboard, qtbot: QtBot) -> None:
    """As H, which hides the ellipse while it is held: it would flicker."""
    keyboard.hold(Qt.Key.Key_H)
    assert keyboard.heard.heard == [("press", False)] + 3 * [("press", True)]
    keyboard.send(RELEASE, Qt.Key.Key_H, 1790)
    qtbot.waitUntil(lambda: keyboard.heard.heard[-1] == ("release", False))
    assert len(keyboard.heard.heard) == 5
