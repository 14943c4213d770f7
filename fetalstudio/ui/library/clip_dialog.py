"""The dialog in which a person chooses the frames of a clip that are imported."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QAbstractListModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QImage, QPainter, QPen
from PySide6.QtWidgets import (
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from fetalstudio.core.words import counted
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.reading.doubts import NONE
from fetalstudio.formats.reading.frame_reading import read_shown
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.screen import room_for
from fetalstudio.ui.library.thumbnails import Thumbnails

_PICTURE = QSize(168, 126)
_CELL = _PICTURE + QSize(2 * theme.SPACE, 4 * theme.SPACE)
Index = QModelIndex | QPersistentModelIndex


class ClipDialog(AskDialog):
    """Shows the frames of a clip, as they would be stored; those that are selected are taken."""

    def __init__(
        self, clip: FrameRecord, redactor: Redactor, chosen: list[int], parent: QWidget | None
    ) -> None:
        """``chosen``: the numbers, from 0, of the frames that are selected at first."""
        super().__init__("Which frames of the clip?", "Take them", parent)
        assert clip.video is not None
        self.explain(f"{clip.path.name}  ·  {counted(clip.video.count, 'frame')}")
        self.explain(
            "Click the frames to take; a second click leaves one out. With the keyboard, use the "
            "arrows and the space bar. Nothing is stored yet."
        )
        self.view = QListView()
        self.view.setModel(_Frames(clip, redactor, self.devicePixelRatioF(), self.view))
        self.view.setViewMode(QListView.ViewMode.IconMode)
        self.view.setMovement(QListView.Movement.Static)
        self.view.setResizeMode(QListView.ResizeMode.Adjust)
        self.view.setSelectionMode(QListView.SelectionMode.MultiSelection)
        self.view.setUniformItemSizes(True)
        self.view.setItemDelegate(_FrameDelegate(self.view))
        self.view.setGridSize(_CELL)
        self.view.setAccessibleName("Frames of the clip")
        self._layout.insertWidget(self._layout.count() - 2, self.view, 1)
        selection = self.view.selectionModel()
        for number in chosen:
            place = self.view.model().index(number, 0)
            selection.select(place, QItemSelectionModel.SelectionFlag.Select)
        if chosen:
            first = self.view.model().index(chosen[0], 0)
            selection.setCurrentIndex(first, QItemSelectionModel.SelectionFlag.NoUpdate)
            self.view.scrollTo(first)
        selection.selectionChanged.connect(lambda *_: self._follow())
        self.resize(QSize(960, 720).boundedTo(room_for(self)))
        self.view.setFocus()
        self._follow()

    @property
    def choice(self) -> str:
        """The answer: the numbers of the selected frames, from 1."""
        numbers = sorted(index.row() + 1 for index in self.view.selectedIndexes())
        return ",".join(map(str, numbers)) or NONE

    def _follow(self) -> None:
        selected = len(self.view.selectedIndexes())
        self.accept_button.setText(
            f"Take {counted(selected, 'frame')}" if selected else "Take none"
        )


class _FrameDelegate(QStyledItemDelegate):
    """Paints a frame with its number, in a border where it is taken."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        cell: QRect = option.rect
        taken = bool(option.state & QStyle.StateFlag.State_Selected)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        place = QRectF(cell.x() + theme.SPACE, cell.y() + 4, _PICTURE.width(), _PICTURE.height())
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(place, QColor(theme.CANVAS))
        image: QImage | None = index.data(Qt.ItemDataRole.DecorationRole)
        if image is not None:
            size = image.size().scaled(_PICTURE, Qt.AspectRatioMode.KeepAspectRatio)
            shown = QRectF(0, 0, size.width(), size.height())
            shown.moveCenter(place.center())
            painter.drawImage(shown, image)
        if taken or focused:
            painter.setPen(QPen(QColor(theme.ACCENT if taken else theme.BORDER), 3 if taken else 1))
            painter.drawRect(place)
        painter.setPen(QColor(theme.TEXT_BRIGHT if taken else theme.TEXT_DIM))
        below = QRectF(place.x(), place.bottom() + 2, place.width(), 20)
        said = f"{index.data()}  taken" if taken else f"{index.data()}"
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, said)
        painter.restore()

    def sizeHint(self, _option: QStyleOptionViewItem, _index: Index) -> QSize:
        return _CELL


class _Frames(QAbstractListModel):
    def __init__(
        self, clip: FrameRecord, redactor: Redactor, ratio: float, parent: QObject
    ) -> None:
        super().__init__(parent)
        assert clip.video is not None
        self._clip, self._redactor, self._count = clip, redactor, clip.video.count
        self._thumbnails = Thumbnails(_PICTURE * ratio, self)
        self._thumbnails.ready.connect(self._came)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._count

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        number = index.row()
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return str(number + 1)
            case Qt.ItemDataRole.DecorationRole:
                return self._thumbnails.get(str(number), partial(self._read, number))
            case Qt.ItemDataRole.ToolTipRole | Qt.ItemDataRole.AccessibleTextRole:
                return f"Frame {number + 1}"
        return None

    def _read(self, number: int) -> NDArray[np.uint8]:
        return read_shown(self._clip.frames(str(number + 1))[0], self._redactor)

    def _came(self, number: str) -> None:
        place = self.index(int(number), 0)
        self.dataChanged.emit(place, place, [Qt.ItemDataRole.DecorationRole])
