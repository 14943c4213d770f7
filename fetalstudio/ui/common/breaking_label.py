"""Text that wraps even within a word that is longer than a line, such as the name of a file."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt
from PySide6.QtGui import QClipboard, QContextMenuEvent, QKeyEvent, QKeySequence, QMouseEvent
from PySide6.QtWidgets import QApplication, QLabel, QMenu

_LONGEST = 24
"""Characters of a word that is left in one piece; any panel has room for them."""
_BREAK = "\u200b"
"""A space of no width, at which Qt breaks a line."""


def breakable(text: str) -> str:
    """The text, looking the same, with places to break words of more than 24 characters."""
    return re.sub(rf"\S{{{_LONGEST + 1},}}", lambda word: _broken(word.group()), text)


def _broken(word: str) -> str:
    pieces = re.findall(rf"[^/\\_.-]{{1,{_LONGEST}}}[/\\_.-]*|[/\\_.-]+", word)
    return _BREAK.join(pieces)


class BreakingLabel(QLabel):
    """Plain text that wraps. What is copied from it is the text as it was set."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.setText(text)

    def setText(self, text: str) -> None:
        """Show a text; its long words may be broken."""
        self._whole = text
        super().setText(breakable(text))

    def text(self) -> str:
        """The text as it was set."""
        return self._whole

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        super().mouseReleaseEvent(event)
        if QApplication.clipboard().supportsSelection():  # what the middle button pastes
            self.copy(QClipboard.Mode.Selection)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse:
            menu = QMenu(self)
            menu.addAction("Copy", self.copy).setEnabled(self.hasSelectedText())
            menu.exec(event.globalPos())
        else:
            super().contextMenuEvent(event)

    def copy(self, mode: QClipboard.Mode = QClipboard.Mode.Clipboard) -> None:
        """Copy what is selected, if anything is."""
        if self.hasSelectedText():
            QApplication.clipboard().setText(self.selectedText().replace(_BREAK, ""), mode)
