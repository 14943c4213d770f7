"""The keys that change an ellipse."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent

from fetalstudio.core.geometry import Size
from fetalstudio.ui.canvas.handles import Shape
from fetalstudio.ui.common.key_places import key_of

_TURN_DEG = 0.5
_SHIFT_FACTOR = 10.0

_Edit = Callable[[Shape, float, Size | None], Shape]


def _move(dx: int, dy: int) -> _Edit:
    return lambda shape, factor, frame: shape.moved(dx * factor, dy * factor, frame)


def _resize(first: int, second: int) -> _Edit:
    return lambda shape, factor, _: shape.resized(first * factor, second * factor)


def _turn(sense: int) -> _Edit:
    return lambda shape, factor, _: shape.turned(sense * factor * _TURN_DEG)


_EDITS: dict[Qt.Key, _Edit] = {
    Qt.Key.Key_Left: _move(-1, 0),
    Qt.Key.Key_Right: _move(1, 0),
    Qt.Key.Key_Up: _move(0, -1),
    Qt.Key.Key_Down: _move(0, 1),
    # With Shift these keys type other characters, and + shares a key with = on many keyboards:
    # all characters of a key do the same.
    Qt.Key.Key_Plus: _resize(1, 0),
    Qt.Key.Key_Equal: _resize(1, 0),
    Qt.Key.Key_Asterisk: _resize(1, 0),
    Qt.Key.Key_Minus: _resize(-1, 0),
    Qt.Key.Key_Underscore: _resize(-1, 0),
    Qt.Key.Key_BracketRight: _resize(0, 1),
    Qt.Key.Key_BraceRight: _resize(0, 1),
    Qt.Key.Key_BracketLeft: _resize(0, -1),
    Qt.Key.Key_BraceLeft: _resize(0, -1),
    Qt.Key.Key_Q: _turn(-1),
    Qt.Key.Key_E: _turn(1),
}

KEYS = (
    ("Arrows", "Move the ellipse by 1 px"),
    ("- / +", "Shorten or lengthen the long axis by 1 px"),
    ("[ / ]", "Shorten or lengthen the short axis by 1 px"),
    ("Q / E", "Turn the ellipse by 0.5°"),
    ("Shift", "With any of these: ten times as far"),
    ("Shift + drag", "Keep the opposite end of the axis where it is"),
    ("Esc", "Cancel an unfinished drawing"),
    ("H", "Hide the ellipse while held"),
    ("Space + drag", "Pan the frame"),
    ("Right-drag", "Change contrast and brightness"),
)
"""For the sheet of keys: (keys, what they do)."""


def edited_by_key(shape: Shape, event: QKeyEvent, frame: Size | None) -> Shape | None:
    """``shape`` after a key stroke; None if the key changes no ellipse.

    The centre stays on a ``frame`` of (width, height).
    """
    # On many keyboards brackets need AltGr, which arrives as Ctrl+Alt. The keypad works too.
    held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    only_shift = held in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier)
    bracket = event.text() in ("[", "]", "{", "}")
    edit = _EDITS.get(key_of(event)) if only_shift or bracket else None
    if edit is None:
        return None
    shift = bool(held & Qt.KeyboardModifier.ShiftModifier)
    return edit(shape, _SHIFT_FACTOR if shift else 1.0, frame)
