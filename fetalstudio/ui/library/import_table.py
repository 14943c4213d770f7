"""The plan of an import as a table, a row for every file, with its picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from fetalstudio.core.words import natural_order
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.roles import Role
from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.key_places import key_of
from fetalstudio.ui.library.frame_grid import draw_ellipse
from fetalstudio.ui.library.import_pictures import annotation_picture, picture_of
from fetalstudio.ui.library.import_rows import Kind, Row, picture_key, rows_of
from fetalstudio.ui.library.thumbnails import Read, Thumbnails

ROW = Qt.ItemDataRole.UserRole
_THUMBNAIL = Qt.ItemDataRole.UserRole + 1

_THUMBNAIL_SIZE = QSize(84, 56)
_ROW_HEIGHT = 64
_COLUMNS = ("File", "Taken for", "Subject", "Ellipse", "mm per px", "In doubt")
_WIDTHS = ((220, 360), (84, 84), (76, 168), (76, 76), (90, 140))
"""Least and most of each column but the last, which takes the rest, in px."""
_CELL_MARGIN = 24
_DECIDING = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Delete)
"""The keys that change what is imported, besides the digits."""

Index = QModelIndex | QPersistentModelIndex


class ImportModel(QAbstractTableModel):
    """The rows of a plan that a filter leaves, in the order of a column."""

    def __init__(self, ratio: float, parent: QObject | None = None) -> None:
        """``ratio``: device px per logical px of the screen that shows the thumbnails."""
        super().__init__(parent)
        self._all: dict[str, Row] = {}
        self._shown: list[str] = []
        self._places: dict[str, int] = {}
        self._choices = Choices()
        self._redactor = Redactor()
        self._kind, self._text = Kind.ALL, ""
        self._order: tuple[int, bool] = (-1, False)
        self._thumbnails = Thumbnails(_THUMBNAIL_SIZE * ratio, self)
        self._thumbnails.ready.connect(self._thumbnail_came)

    def show_plan(self, plan: ImportPlan, choices: Choices) -> None:
        """Show this plan. Rows that are shown stay where they are, in doubt or not."""
        self._choices, self._redactor = choices, plan.redactor
        rows = {row.key: row for row in rows_of(plan, choices)}
        if self._all.keys() == rows.keys():
            self._all = rows
            if rows:
                corner = self.index(max(self.rowCount() - 1, 0), len(_COLUMNS) - 1)
                self.dataChanged.emit(self.index(0, 0), corner)
        else:
            self._choose(rows)

    def choose(self, kind: Kind, text: str) -> None:
        """Show the rows of this kind whose path or subject holds a text."""
        self._kind, self._text = kind, text.strip().lower()
        self._choose()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 is the order of the plan, with what is in doubt first."""
        self._order = column, order == Qt.SortOrder.DescendingOrder
        self._choose()

    def _choose(self, found: dict[str, Row] | None = None) -> None:
        """Show what the filter leaves of the rows, which are others now if they are ``found``."""
        self.beginResetModel()
        self._all = self._all if found is None else found
        rows = [row for row in self._all.values() if self._matches(row)]
        column, descending = self._order
        rows.sort(key=_SORTED_BY[column], reverse=descending)
        self._shown = [row.key for row in rows]
        self._places = {key: place for place, key in enumerate(self._shown)}
        self.endResetModel()

    def _matches(self, row: Row) -> bool:
        subject = row.frame.subject if row.frame is not None else ""
        return row.is_of(self._kind) and self._text in f"{row.key}\n{subject}".lower()

    def counts(self) -> dict[Kind, int]:
        """The rows that each filter shows; of those in doubt, only the ones that are open."""
        counts = {kind: sum(row.is_of(kind) for row in self._all.values()) for kind in Kind}
        counts[Kind.DOUBTS] = sum(bool(row.open) for row in self._all.values())
        return counts

    @property
    def rows(self) -> Iterable[Row]:
        """All rows, those that the filter hides too."""
        return self._all.values()

    def row(self, number: int) -> Row:
        """The row in this place."""
        return self._all[self._shown[number]]

    def place_of(self, key: str) -> int | None:
        """Where a row is shown, if it is."""
        return self._places.get(key)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.row(index.row())
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return _text(row, index.column())
            case Qt.ItemDataRole.ToolTipRole:
                said = [row.key, *(doubt.message for doubt in row.open), *row.notes]
                return "\n".join(said)
            case Qt.ItemDataRole.ForegroundRole:
                return QColor(_colour(row, index.column()))
            case Qt.ItemDataRole.DecorationRole if index.column() == 3 and row.ellipse is not None:
                return icons.dot(theme.STATE_COLOURS[row.ellipse_state])
        if role == ROW:
            return row
        if role == _THUMBNAIL:
            return self._thumbnail(row)
        return None

    def _thumbnail(self, row: Row) -> QImage | None:
        read = self.picture_of(row)
        return None if read is None else self._thumbnails.get(picture_key(row), read)

    def picture_of(self, row: Row) -> Read | None:
        """Reads the picture of a row; None where it has none."""
        if row.frame is not None:
            return picture_of(row.frame, row.answers(self._choices), self._redactor)
        if row.file is not None and row.file.role is Role.ANNOTATION:
            return annotation_picture(row.file.path)
        return None

    def _thumbnail_came(self, key: str) -> None:
        place = self.place_of(key.partition("\n")[0])
        if place is not None:
            index = self.index(place, 0)
            self.dataChanged.emit(index, index, [_THUMBNAIL])


class ImportTable(QTableView):
    """The table itself. Digits answer the doubt of the selected rows."""

    digit = Signal(int, bool)
    """A digit from 1 on, and whether Ctrl is held."""
    entered = Signal()
    """Return was pressed."""
    leave_out = Signal()
    """Delete was pressed."""

    def __init__(self, model: ImportModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self._model = model
        self.setItemDelegate(_RowDelegate(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Files to import")
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setSortingEnabled(True)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(64)
        # What was selected and is still shown is selected again.
        self._kept: tuple[list[Row], int] = ([], 0)
        model.modelAboutToBeReset.connect(self._keep)
        model.modelReset.connect(self._restore)

    def fit_columns(self) -> None:
        """Make the columns as wide as what they say of frames, within bounds.

        The names of other files are shortened in the middle, so that they take no room from the
        doubts in the last column.
        """
        every = [self._model.row(place) for place in range(self._model.rowCount())]
        rows = [row for row in every if row.frame is not None] or every
        for column, (least, most) in enumerate(_WIDTHS):
            longest = max((_text(row, column) for row in rows), key=len, default="")
            beside = _CELL_MARGIN + (0 if column else _THUMBNAIL_SIZE.width())
            needed = self.fontMetrics().horizontalAdvance(longest) + beside
            self.setColumnWidth(column, min(max(needed, least), most))

    def selected(self) -> list[Row]:
        """The selected rows, the current one first."""
        places = [index.row() for index in self.selectionModel().selectedRows()]
        current = self.currentIndex().row()
        return [self._model.row(p) for p in sorted(places, key=lambda p: (p != current, p))]

    def _keep(self) -> None:
        self._kept = self.selected(), self.verticalScrollBar().value()

    def _restore(self) -> None:
        rows, scrolled = self._kept
        self.select([row.key for row in rows])
        if not self.selectionModel().hasSelection():  # other frames of the clip are taken now
            clips = {row.frame.clip for row in rows if row.frame is not None} - {None}
            shown = map(self._model.row, range(self._model.rowCount() if clips else 0))
            self.select([r.key for r in shown if r.frame and r.frame.clip in clips][:1])
        self.verticalScrollBar().setValue(scrolled)
        if not self.selectionModel().hasSelection() and self._model.rowCount():
            self.select([self._model.row(0).key])

    def select(self, keys: Sequence[str]) -> None:
        """Select the rows of these keys that are shown, the first one as the current row."""
        places = [p for key in keys if (p := self._model.place_of(key)) is not None]
        chosen = QItemSelection()
        # In runs, because a selection of thousands of single rows is slow.
        for _, run in groupby(enumerate(sorted(places)), lambda item: item[1] - item[0]):
            rows = [row for _, row in run]
            chosen.select(self._model.index(rows[0], 0), self._model.index(rows[-1], 0))
        flag = QItemSelectionModel.SelectionFlag
        if places:
            first = self._model.index(places[0], 0)
            self.selectionModel().setCurrentIndex(first, flag.NoUpdate)
        self.selectionModel().select(chosen, flag.ClearAndSelect | flag.Rows)

    def next_open(self) -> bool:
        """Go to the next row with an open doubt, after the last one to the first; False if there is
        none."""
        count = self._model.rowCount()
        start = self.currentIndex().row() + 1
        for place in (*range(start, count), *range(min(start, count))):
            if self._model.row(place).open:
                # Not selectRow, which toggles while Ctrl is held.
                self.select([self._model.row(place).key])
                self.scrollTo(self.currentIndex())
                return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        digit = key_of(event) - int(Qt.Key.Key_0)
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if event.isAutoRepeat() and (1 <= digit <= 9 or event.key() in _DECIDING):
            return  # a key that is held down decides once
        if 1 <= digit <= 9:
            self.digit.emit(digit, control)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered.emit()
        elif key_of(event) == Qt.Key.Key_N and not control:
            self.next_open()
        elif event.key() == Qt.Key.Key_Delete:
            self.leave_out.emit()
        else:
            super().keyPressEvent(event)


class _RowDelegate(QStyledItemDelegate):
    """Paints the picture with its ellipse before the name, and the folder below it."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        option.state &= ~QStyle.StateFlag.State_HasFocus  # the row is what has it
        if index.column() != 0:
            super().paint(painter, option, index)
            return
        row: Row = index.data(ROW)
        blank = QStyleOptionViewItem(option)
        self.initStyleOption(blank, index)
        blank.text = ""
        style = blank.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, blank, painter, blank.widget)
        rect: QRect = option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        place = QRectF(rect.x() + 6, rect.y() + 4, _THUMBNAIL_SIZE.width(), rect.height() - 8)
        _draw_picture(painter, place, row, index.data(_THUMBNAIL))
        words = QRectF(rect).adjusted(_THUMBNAIL_SIZE.width() + 16, 0, -6, 0)
        folder = row.key.rpartition("/")[0]
        lines = [(row.name, theme.TEXT_BRIGHT if row.open else theme.TEXT)]
        lines += [(folder, theme.TEXT_DIM)] if folder else []
        top = words.center().y() - 9.5 * len(lines)
        for text, colour in lines:
            painter.setPen(QColor(colour))
            said = painter.fontMetrics().elidedText(
                text, Qt.TextElideMode.ElideMiddle, int(words.width())
            )
            line = QRectF(words.x(), top, words.width(), 19)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, said)
            top += 19
        painter.restore()


def _draw_picture(painter: QPainter, place: QRectF, row: Row, image: QImage | None) -> None:
    painter.save()
    painter.setClipRect(place)
    painter.fillRect(place, QColor(theme.CANVAS if row.frame or image else theme.PANEL))
    if image is not None:
        draw_fitted(painter, place, image, row)
    painter.restore()


def draw_fitted(painter: QPainter, place: QRectF, image: QImage, row: Row) -> None:
    """Draw the picture of a row as large as the place allows, with its ellipse."""
    size = row.frame.size if row.frame is not None else None
    width, height = size or (image.width(), image.height())
    scale = min(place.width() / width, place.height() / height)
    shown = QRectF(0, 0, width * scale, height * scale)
    shown.moveCenter(place.center())
    painter.drawImage(shown, image)
    if row.ellipse is not None:
        painter.translate(shown.topLeft())
        painter.scale(scale, scale)
        draw_ellipse(painter, row.ellipse, theme.STATE_COLOURS[row.ellipse_state])


def _text(row: Row, column: int) -> str:
    frame = row.frame
    match column:
        case 0:
            return row.name
        case 1:
            return row.taken_for
        case 5:
            return _doubt_text(row)
    if frame is None or frame.frame_id is None:
        return ""
    match column:
        case 2:
            return frame.subject
        case 3:
            return {"none": "", "final": "final", "proposed": "proposal"}[row.ellipse_state]
    size = frame.calibration
    return "" if size is None else f"{size.mm_per_px:.4g} ({size.source})"


def _doubt_text(row: Row) -> str:
    if row.open:
        more = f" and {len(row.open) - 1} more" if len(row.open) > 1 else ""
        return f"{row.open[0].question.text}{more}"
    if row.doubts:
        return "decided"
    return "see the note" if row.notes else ""


def _colour(row: Row, column: int) -> str:
    if column == 5:
        if row.open or row.notes:
            return theme.WARNING
        return theme.GOOD
    if row.frame is None or row.frame.frame_id is None:
        return theme.TEXT_DIM
    return theme.TEXT


def _by(column: int) -> Callable[[Row], Any]:
    return lambda row: (natural_order(_text(row, column)), natural_order(row.key))


_SORTED_BY: dict[int, Callable[[Row], Any]] = {
    -1: lambda row: (not row.open, not row.doubts, not row.notes, row.file is not None),
    0: lambda row: natural_order(row.key),
    **{column: _by(column) for column in (1, 2, 3, 4)},
    5: lambda row: (not row.open, not row.doubts, not row.notes, _text(row, 5)),
}
