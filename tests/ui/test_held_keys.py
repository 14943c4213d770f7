"""Keys that are held down, as X11 tells of them: each repetition a release and a press."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QMessageBox, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.ui.common.held_keys import HeldKeys

PRESS, RELEASE = QEvent.Type.KeyPress, QEvent.Type.KeyRelease
_SCAN = {Qt.Key.Key_A: 38, Qt.Key.Key_B: 56, Qt.Key.Key_H: 43, Qt.Key.Key_Return: 36}


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
        focus = QGuiApplication.focusWindow()
        assert focus is not None
        QCoreApplication.sendEvent(focus, event)
        return event

    def repeat(self, key: Qt.Key, at: int) -> None:
        """A repetition that the system names as such."""
        none = Qt.KeyboardModifier.NoModifier
        for kind in (RELEASE, PRESS):
            event = QKeyEvent(kind, key, none, _SCAN[key], 0, 0, "", True)
            event.setTimestamp(at)
            focus = QGuiApplication.focusWindow()
            assert focus is not None
            QCoreApplication.sendEvent(focus, event)

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
    held = HeldKeys(window, x11=True)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
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


class Questions:
    """Asks one question after another, as an import does about each scanner layout."""

    def __init__(self, keyboard: Keyboard, count: int) -> None:
        self._keyboard, self._left, self.answers = keyboard, count, list[str]()

    def ask(self) -> None:
        if not self._left:
            return
        self._left -= 1
        box = QMessageBox(self._keyboard.window)
        box.setText("Is this right?")
        box.addButton(QMessageBox.StandardButton.Yes)
        box.addButton(QMessageBox.StandardButton.No)
        box.setDefaultButton(QMessageBox.StandardButton.Yes)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.finished.connect(lambda _: self.answers.append("answered"))
        box.finished.connect(self.ask)
        box.open()

    def shown(self) -> bool:
        focus = QGuiApplication.focusWindow()
        return focus is not None and focus is not self._keyboard.window.windowHandle()


@pytest.mark.parametrize("own_repetitions", [False, True])
def test_a_held_enter_answers_one_question(
    keyboard: Keyboard, qtbot: QtBot, own_repetitions: bool
) -> None:
    """As X11 tells of it, and as the other systems do, which name a repetition as such."""
    enter, questions = Qt.Key.Key_Return, Questions(keyboard, 3)
    questions.ask()
    qtbot.waitUntil(questions.shown)
    keyboard.send(PRESS, enter, 1000)
    assert questions.answers == ["answered"]
    for at in (1660, 1700, 1740):
        qtbot.waitUntil(questions.shown)
        if own_repetitions:
            keyboard.repeat(enter, at)
        else:
            keyboard.send(RELEASE, enter, at)
            keyboard.send(PRESS, enter, at)
    assert questions.answers == ["answered"]
    keyboard.send(RELEASE, enter, 1790)
    qtbot.wait(30)
    for at in (2000, 2200):  # struck again, each is answered
        qtbot.waitUntil(questions.shown)
        keyboard.send(PRESS, enter, at)
    assert questions.answers == 3 * ["answered"]


def test_what_a_repeated_key_opens_is_watched_too(keyboard: Keyboard, qtbot: QtBot) -> None:
    """A repetition of B asks, and waits for the answer in a loop of events of its own."""
    questions, enter = Questions(keyboard, 2), Qt.Key.Key_Return

    def ask_and_hold_enter() -> None:
        questions.ask()
        qtbot.waitUntil(questions.shown)
        keyboard.send(PRESS, enter, 5000)
        qtbot.waitUntil(questions.shown)
        keyboard.send(RELEASE, enter, 5600)
        keyboard.send(PRESS, enter, 5600)

    keyboard.send(PRESS, Qt.Key.Key_B, 1000)
    repeated = keyboard.window.findChildren(QShortcut)[1].activated
    repeated.connect(ask_and_hold_enter, Qt.ConnectionType.SingleShotConnection)
    keyboard.send(RELEASE, Qt.Key.Key_B, 1660)
    keyboard.send(PRESS, Qt.Key.Key_B, 1660)
    assert keyboard.done == ["B", "B"] and questions.answers == ["answered"]
    keyboard.send(RELEASE, enter, 5700)
    keyboard.send(PRESS, enter, 5900)
    qtbot.wait(30)
    assert questions.answers == 2 * ["answered"]
