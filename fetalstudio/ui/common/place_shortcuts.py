"""Shortcuts by the place of a key, where the layout of the keyboard has no Latin letters.

Qt finds them itself if a second, Latin layout is set up, and only for keys that type letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PySide6.QtCore import QEvent, QKeyCombination, QObject, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QAbstractButton, QMainWindow, QMenu, QWidget

from fetalstudio.ui.common.key_places import key_of


class PlaceShortcuts(QObject):
    """Does what a key of ``window`` does on a Latin layout, unless the key is the same on both.

    A filter and not ``QMainWindow.event``: the window would then be deleted from within Python,
    and wait there for the thumbnails' threads, which wait for Python.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take a key that no widget took, before Qt looks for a shortcut."""
        if event.type() != QEvent.Type.ShortcutOverride or not isinstance(event, QKeyEvent):
            return False
        key = key_of(event)
        if key == event.key():
            return False
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        keys = QKeySequence(QKeyCombination(held, key))
        focus = self._window.focusWidget() or self._window
        for repeats, run in _having(keys, self._window, focus):
            event.accept()
            if repeats or not event.isAutoRepeat():
                run()
            return True
        return False


def _having(
    keys: QKeySequence, window: QWidget, focus: QWidget
) -> Iterator[tuple[bool, Callable[[], object]]]:
    """What ``keys`` reach from ``focus``, nearest first: whether it repeats, and how to do it."""
    widget: QWidget | None = focus
    actions: list[QAction] = []
    shortcuts: list[QShortcut] = []
    while widget is not None:
        actions += widget.actions()
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        shortcuts += widget.findChildren(QShortcut, options=direct)
        widget = None if widget is window else widget.parentWidget()
    for top in window.menuBar().actions() if isinstance(window, QMainWindow) else ():
        menu = top.menu()
        actions += menu.actions() if isinstance(menu, QMenu) else []
    for action in actions:
        if keys in action.shortcuts() and action.isEnabled():
            yield action.autoRepeat(), action.trigger
    for shortcut in shortcuts:
        if shortcut.key() == keys and shortcut.isEnabled():
            yield shortcut.autoRepeat(), shortcut.activated.emit
    for button in window.findChildren(QAbstractButton):
        if button.shortcut() == keys and button.isVisible() and button.isEnabled():
            yield button.autoRepeat(), button.click
