"""The frames that a combo box offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QStringListModel, Qt

from fetalstudio.project.store.records import Frame

Index = QModelIndex | QPersistentModelIndex


class FrameChoices(QStringListModel):
    """Frames with name and cohort; the data of an item is the id of its frame.

    Their texts are made when they are shown, because there may be a hundred thousand. Qt holds an
    empty text for each, because a list asks for their number at every row.
    """

    def __init__(self) -> None:
        super().__init__()
        self._frames: Sequence[Frame] = ()
        self._places: dict[str, int] = {}

    def offer(self, frames: Sequence[Frame]) -> None:
        """Offer these frames in place of others."""
        self._frames = frames
        self._places = {frame.id: place for place, frame in enumerate(frames)}
        self.setStringList([""] * len(frames))

    def place(self, frame_id: str | None) -> int:
        """The row of a frame; -1 where it is not offered."""
        return -1 if frame_id is None else self._places.get(frame_id, -1)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        frame = self._frames[index.row()]
        if role == Qt.ItemDataRole.UserRole:
            return frame.id
        return f"{frame.name}  ({frame.cohort})" if role == Qt.ItemDataRole.DisplayRole else None
