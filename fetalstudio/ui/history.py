"""The steps of undo, which all places share."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack


class History(QUndoStack):
    """The steps of undo. A step whose undo or redo failed stays where it was."""

    undone = Signal(object)
    """A step (`QUndoCommand`) was undone."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._was = 0
        self.indexChanged.connect(self._moved)

    def _moved(self, index: int) -> None:
        before, self._was = self._was, index
        undone = index < before
        moved_over = self.command(index if undone else index - 1)
        if getattr(moved_over, "failed", False):
            # It changed nothing, so it must not count as undone (or done again).
            self._was = before
            if undone:
                self.redo()
            else:
                self.undo()
        elif undone and moved_over is not None:
            self.undone.emit(moved_over)
