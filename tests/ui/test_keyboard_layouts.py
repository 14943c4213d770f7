"""A key works by its place where the layout of the keyboard has no Latin letters."""

# ruff: noqa: RUF001  (letters that look like Latin ones are the point)

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QDialog, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui.canvas import FrameCanvas, Tool
from fetalstudio.ui.canvas.handles import Shape
from fetalstudio.ui.canvas.keys import edited_by_key
from fetalstudio.ui.common.key_places import key_of
from fetalstudio.ui.common.place_shortcuts import PlaceShortcuts
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow

HEAD = Ellipse(400, 270, 200, 150, 0.3)
SCAN = {"D": 40, "Q": 24, "W": 25, "E": 26, "H": 43, "[": 34, "]": 35, "Z": 52, "C": 54, "/": 61}
"""As X11 reports them."""
LAYOUTS = {
    "Cyrillic": {"D": "в", "Q": "й", "W": "ц", "E": "у", "H": "р", "[": "х", "]": "ъ"},
    "Greek": {"D": "δ", "Q": ";", "W": "ς", "E": "ε", "H": "η", "[": "[", "]": "]"},
    "Hebrew": {"D": "ג", "Q": "/", "W": "'", "E": "ק", "H": "י", "[": "]", "]": "["},
    "Arabic": {"D": "ي", "Q": "ض", "W": "ص", "E": "ث", "H": "ا", "[": "ج", "]": "د"},
    "Armenian": {"D": "տ", "Q": "խ", "W": "ւ", "E": "է", "H": "հ", "[": "զ", "]": "ղ"},
    "Thai": {"D": "ก", "Q": "ๆ", "W": "ไ", "E": "ำ", "H": "้", "[": "บ", "]": "ล"},
}
NONE = Qt.KeyboardModifier.NoModifier


def stroke(place: str, typed: str, kind: QEvent.Type = QEvent.Type.KeyPress) -> QKeyEvent:
    """The event of the key at ``place`` of a QWERTY keyboard that types ``typed``."""
    key = ord(typed.upper()) if len(typed.upper()) == 1 else ord(typed)
    return QKeyEvent(kind, key, NONE, SCAN[place], 0, 0, typed)


def press(widget: QWidget, place: str, typed: str) -> None:
    """As a platform delivers a key: first as a possible shortcut, then as a stroke."""
    override = stroke(place, typed, QEvent.Type.ShortcutOverride)
    override.ignore()
    QApplication.sendEvent(widget, override)
    QApplication.sendEvent(widget, stroke(place, typed))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_keys_of_the_ellipse(layout: str) -> None:
    types = LAYOUTS[layout]
    shape = Shape.of(HEAD)
    # A letter comes first: only then is it known that ; is on the key of Q.
    assert edited_by_key(shape, stroke("D", types["D"]), None) is None
    for place, expected in (
        ("E", shape.turned(0.5)),
        ("Q", shape.turned(-0.5)),
        ("[", shape.resized(0, -1)),
        ("]", shape.resized(0, 1)),
    ):
        edited = edited_by_key(shape, stroke(place, types[place]), None)
        assert edited is not None and edited.ellipse() == expected.ellipse(), place
    assert edited_by_key(shape, stroke("H", types["H"]), None) is None


def test_latin_layouts_go_by_letter() -> None:
    shape = Shape.of(HEAD)
    for place, typed in (("Q", "a"), ("Q", "'"), ("E", "."), ("[", "ü"), ("]", "+"), ("W", "z")):
        edited = edited_by_key(shape, stroke(place, typed), None)
        assert (edited is not None) == (typed == "+"), (place, typed)
    turned = edited_by_key(shape, stroke("D", "e"), None)  # Dvorak
    assert turned is not None and turned.ellipse() == shape.turned(0.5).ellipse()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shortcuts_and_held_keys(open_session: Session, window: MainWindow, layout: str) -> None:
    types = LAYOUTS[layout]
    window.show_place("annotate")
    canvas = window.page("annotate").findChild(FrameCanvas)
    assert isinstance(canvas, FrameCanvas)
    canvas.setFocus()
    press(canvas, "D", types["D"])
    assert canvas.tool is Tool.CALLIPER
    press(canvas, "D", types["D"])
    assert canvas.tool is Tool.EDIT
    press(canvas, "H", types["H"])
    assert canvas._peeking
    QApplication.sendEvent(canvas, stroke("H", types["H"], QEvent.Type.KeyRelease))
    assert not canvas._peeking


@pytest.mark.parametrize("digit", ["٢", "۲", "२", "২"])
def test_digits_of_every_script_are_digits(digit: str) -> None:
    assert (
        key_of(QKeyEvent(QEvent.Type.KeyPress, ord(digit), NONE, 11, 0, 0, digit)) is Qt.Key.Key_2
    )


def test_the_keys_of_digits_that_type_letters() -> None:
    key_of(stroke("D", LAYOUTS["Thai"]["D"]))
    assert key_of(QKeyEvent(QEvent.Type.KeyPress, ord("/"), NONE, 11, 0, 0, "/")) is Qt.Key.Key_2


def test_a_dialog_knows_its_keys_by_place(qtbot: QtBot) -> None:
    dialog = QDialog()
    qtbot.addWidget(dialog)
    undone: list[bool] = []
    QShortcut(QKeySequence("Ctrl+Z"), dialog, lambda: undone.append(True))
    PlaceShortcuts(dialog)
    kind, control = QEvent.Type.ShortcutOverride, Qt.KeyboardModifier.ControlModifier
    QApplication.sendEvent(dialog, QKeyEvent(kind, ord("Я"), control, SCAN["Z"], 0, 0, "я"))
    assert undone == [True]


def test_a_search_takes_the_letters(open_session: Session, window: MainWindow) -> None:
    window.show_place("library")
    search = window.library.filters.search
    search.setFocus()
    press(search, "D", "в")
    assert search.text() == "в"
