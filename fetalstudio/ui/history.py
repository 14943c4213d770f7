"""The steps of undo, which all places share."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack


class History(QUndoStack):
    """The steps of undo. A step whose undo or redo failed stays where it was."""

    moved = Signal(object, bool)
    """A step (`QUndoCommand`) was undone (True) or, after that, done again (False)."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._was = 0
        self._pushing = False
        self.indexChanged.connect(self._moved)

    def push(self, step: QUndoCommand) -> None:
        """Do a new step and add it."""
        self._pushing = True
        try:
            super().push(step)
        finally:
            self._pushing = False

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
        elif moved_over is not None and not self._pushing:
            self.moved.emit(moved_over, undone)
