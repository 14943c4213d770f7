"""The frames of a project as a grid of thumbnails: the model, its filter and how a cell looks."""

from __future__ import annotations

from typing import Any, Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QRectF,
    QSize,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFont,
    QImage,
    QPainter,
    QPainterPath,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from fetalstudio.core.biometry import measure
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project
from fetalstudio.project.records import Annotation, Frame
from fetalstudio.ui import theme
from fetalstudio.ui.library.thumbnails import Thumbnails
from fetalstudio.ui.worklist import certainty

State = Literal["none", "proposed", "draft", "final"]
STATES: tuple[State, ...] = ("none", "proposed", "draft", "final")
STATE_TITLES = {"none": "To draw", "proposed": "Proposed", "draft": "Draft", "final": "Final"}
TO_DO = frozenset({"none", "proposed", "draft"})
"""States in which a frame waits for a person."""

FRAME = Qt.ItemDataRole.UserRole
ANNOTATION = Qt.ItemDataRole.UserRole + 1
THUMBNAIL = Qt.ItemDataRole.UserRole + 2

THUMBNAIL_SIZE = QSize(264, 176)
"""The largest thumbnail, in logical px: the 3:2 of most frames."""
_NARROWEST = 212
_MARGIN, _GAP, _CAPTION = 6, 8, 46

Index = QModelIndex | QPersistentModelIndex


class FrameModel(QAbstractListModel):
    """The real frames of a project with their newest annotation."""

    def __init__(self, ratio: float, parent: QObject | None = None) -> None:
        """``ratio``: device px per logical px of the screen that shows the thumbnails."""
        super().__init__(parent)
        self._project: Project | None = None
        self._frames: list[Frame] = []
        self._rows: dict[str, int] = {}
        self._annotations: dict[str, Annotation] = {}
        self._thumbnails = Thumbnails(THUMBNAIL_SIZE * ratio, self)
        self._thumbnails.ready.connect(lambda frame_id: self._changed(frame_id, THUMBNAIL))

    def load(self, project: Project | None, frames: list[Frame]) -> None:
        """Show these frames of ``project``, and read their annotations again."""
        self.beginResetModel()
        if project is not self._project:
            self._thumbnails.clear()
        self._project = project
        self._frames = frames
        self._annotations = dict(project.annotations.by_frame()) if project is not None else {}
        self._rows = {frame.id: row for row, frame in enumerate(self._frames)}
        self.endResetModel()

    def refresh(self, frame_id: str) -> None:
        """Read the annotation of one frame again."""
        if self._project is None or frame_id not in self._rows:
            return
        annotation = self._project.annotations.newest(frame_id)
        if annotation is None or annotation.ellipse is None:
            self._annotations.pop(frame_id, None)
        else:
            self._annotations[frame_id] = annotation
        self._changed(frame_id, ANNOTATION)

    def state(self, frame: Frame) -> State:
        """The frame's annotation state; ``none`` without an ellipse."""
        annotation = self._annotations.get(frame.id)
        return annotation.state if annotation is not None else "none"

    @property
    def frames(self) -> list[Frame]:
        """All frames, in the order of the rows."""
        return self._frames

    def index_of(self, frame_id: str) -> QModelIndex:
        """The row of a frame; invalid where there is none."""
        row = self._rows.get(frame_id)
        return self.index(row) if row is not None else QModelIndex()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 (Qt's signature)
        return 0 if parent.isValid() else len(self._frames)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        frame = self._frames[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return frame.name
        if role == FRAME:
            return frame
        if role == ANNOTATION:
            return self._annotations.get(frame.id)
        if role == THUMBNAIL and self._project is not None:
            return self._thumbnails.get(frame.id, self._project.frames.path(frame.id))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._describe(frame)
        return None

    def _describe(self, frame: Frame) -> str:
        annotation = self._annotations.get(frame.id)
        lines = [
            frame.name,
            f"Cohort {frame.cohort}, subject {frame.subject}",
            f"{frame.width} x {frame.height} px, "
            + ("calibrated" if frame.calibration else "no calibration: no mm"),
            *(f"{label}: {value}" for label, value in frame.labels.items()),
        ]
        if annotation is not None:
            held = annotation.confidence
            sure = "" if held is None else f", {certainty(held)}"
            lines.append(f"Ellipse {annotation.state} by {annotation.author}{sure}")
        return "\n".join(lines)

    def _changed(self, frame_id: str, role: int) -> None:
        index = self.index_of(frame_id)
        if index.isValid():
            self.dataChanged.emit(index, index, [role])


class FrameFilter(QSortFilterProxyModel):
    """Filters frames by cohort, by state, and by a text in their name or labels."""

    def __init__(self, model: FrameModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.frames = model
        self.cohort: str | None = None
        self.state: State | None = None
        self.text = ""
        self.setSourceModel(model)

    def choose(self, cohort: str | None, state: State | None, text: str) -> None:
        """Set the three filters at once."""
        self.beginFilterChange()
        self.cohort, self.state, self.text = cohort, state, text.strip().lower()
        self.endFilterChange()

    def counts(self) -> dict[State, int]:
        """The number of frames in each state that match the cohort and the text."""
        result = dict.fromkeys(STATES, 0)
        for frame in self.frames.frames:
            if self._in_scope(frame):
                result[self.frames.state(frame)] += 1
        return result

    def filterAcceptsRow(self, row: int, parent: Index) -> bool:
        frame = self.frames.frames[row]
        return self._in_scope(frame) and self.state in (None, self.frames.state(frame))

    def _in_scope(self, frame: Frame) -> bool:
        texts = frame.name, *(f"{label} {value}" for label, value in frame.labels.items())
        found = any(self.text in text.lower() for text in texts)
        return found and self.cohort in (None, frame.cohort)


class FrameDelegate(QStyledItemDelegate):
    """Paints a cell: the thumbnail with its ellipse above the name, the state and the HC."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cell = _cell(_NARROWEST)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return self.cell

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        rect: QRect = option.rect
        flags: QStyle.StateFlag = option.state
        selected = bool(flags & QStyle.StateFlag.State_Selected)
        frame: Frame = index.data(FRAME)
        annotation: Annotation | None = index.data(ANNOTATION)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        half = _GAP / 2
        card = QRectF(rect).adjusted(half, half, -half, -half)
        painter.setPen(QPen(QColor(theme.ACCENT), 2) if selected else Qt.PenStyle.NoPen)
        hovered = bool(flags & QStyle.StateFlag.State_MouseOver)
        fill = theme.RAISED if selected or hovered else theme.PANEL
        painter.setBrush(QColor(fill))
        painter.drawRoundedRect(card.adjusted(1, 1, -1, -1), theme.RADIUS, theme.RADIUS)
        place = card.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_CAPTION)
        _draw_thumbnail(painter, place, frame, annotation, index.data(THUMBNAIL))
        _draw_caption(
            painter, QRectF(place.x(), place.bottom() + 4, place.width(), 40), frame, annotation
        )
        painter.restore()


def _cell(width: int) -> QSize:
    """The size of a cell of this width, with a 3:2 thumbnail."""
    around = _GAP + 2 * _MARGIN
    return QSize(width, round((width - around) / 1.5) + _GAP + _MARGIN + _CAPTION)


def _draw_thumbnail(
    painter: QPainter,
    place: QRectF,
    frame: Frame,
    annotation: Annotation | None,
    image: QImage | None,
) -> None:
    painter.save()
    clip = QPainterPath()
    clip.addRoundedRect(place, 3, 3)
    painter.setClipPath(clip)
    painter.fillRect(place, QColor(theme.CANVAS))
    scale = min(place.width() / frame.width, place.height() / frame.height)
    width, height = frame.width * scale, frame.height * scale
    x = place.center().x() - width / 2
    y = place.center().y() - height / 2
    if image is not None:
        painter.drawImage(QRectF(x, y, width, height), image)
    if annotation is not None and annotation.ellipse is not None:
        painter.translate(x, y)
        painter.scale(scale, scale)
        _draw_ellipse(painter, annotation.ellipse, theme.STATE_COLOURS[annotation.state])
    painter.restore()


def _draw_ellipse(painter: QPainter, ellipse: Ellipse, colour: str) -> None:
    """In image px. Pixel centres are at whole numbers, hence the half."""
    pen = QPen(QColor(colour), 1.4)
    pen.setCosmetic(True)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.translate(ellipse.cx + 0.5, ellipse.cy + 0.5)
    painter.rotate(ellipse.angle_deg)
    painter.drawEllipse(QPointF(0, 0), ellipse.a, ellipse.b)


def _draw_caption(
    painter: QPainter, place: QRectF, frame: Frame, annotation: Annotation | None
) -> None:
    state = annotation.state if annotation is not None else "none"
    top = QRectF(place.x() + 2, place.y(), place.width() - 4, 20)
    bottom = top.translated(0, 19)
    painter.setPen(QColor(theme.TEXT))
    metrics = painter.fontMetrics()
    name = metrics.elidedText(frame.name, Qt.TextElideMode.ElideMiddle, int(top.width()))
    painter.drawText(top, Qt.AlignmentFlag.AlignVCenter, name)
    small = QFont(painter.font())
    small.setPixelSize(11)
    painter.setFont(small)
    colour = QColor(theme.STATE_COLOURS[state])
    painter.setBrush(colour if state != "none" else Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colour, 1.4))
    painter.drawEllipse(QPointF(bottom.x() + 5, bottom.center().y()), 3.4, 3.4)
    painter.setPen(QColor(theme.TEXT_DIM))
    said = STATE_TITLES[state]
    if annotation is not None and state == "proposed" and annotation.confidence is not None:
        said = certainty(annotation.confidence).capitalize()
    painter.drawText(bottom.adjusted(15, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, said)
    if annotation is not None and annotation.ellipse is not None and frame.calibration is not None:
        hc = measure(annotation.ellipse, frame.calibration).hc_mm
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.drawText(bottom, right, f"HC {hc:.1f} mm")


class FrameGrid(QListView):
    """The grid itself."""

    def __init__(self, model: FrameFilter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(model)
        self._delegate = FrameDelegate(self)
        self.setItemDelegate(self._delegate)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setMovement(QListView.Movement.Static)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setDragDropMode(QListView.DragDropMode.NoDragDrop)
        self.setMouseTracking(True)
        self.setAccessibleName("Frames")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the width evenly among the cells, without a ragged edge."""
        width = self.viewport().width() - 1
        columns = max(width // _NARROWEST, 1)
        cell = _cell(min(width // columns, THUMBNAIL_SIZE.width() + _GAP + 2 * _MARGIN))
        if cell != self._delegate.cell or not self.gridSize().isValid():
            self._delegate.cell = cell
            self.setGridSize(cell)
            self.verticalScrollBar().setSingleStep(cell.height() // 3)
        super().resizeEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Skip the list's own handler, which would select the first frame."""
        QWidget.focusInEvent(self, event)
        self.viewport().update()

    def keyboardSearch(self, search: str) -> None:
        """Leave letters to the page's keys; names are found with the search field."""
