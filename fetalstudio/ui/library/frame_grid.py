"""The frames of a project as a grid of thumbnails: the model with its filter, and its cells."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    QSize,
    QStringListModel,
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
from fetalstudio.engine.cohort_conventions import DrawnFrame
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Annotation, Frame, author_in_words
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


class FrameModel(QStringListModel):
    """The real frames of a project with their newest annotation; its rows are those that a filter
    by cohort, by state, and by a text in their name or labels leaves.

    Qt holds an empty text for each row, because a list asks for their number at every row.
    """

    def __init__(self, ratio: float, parent: QObject | None = None) -> None:
        """``ratio``: device px per logical px of the screen that shows the thumbnails."""
        super().__init__(parent)
        self._project: Project | None = None
        self._frames: list[Frame] = []
        self._texts: list[str] = []
        """Where a text is looked for, of each frame."""
        self._states: list[State] = []
        self._places: dict[str, int] = {}
        """Of each frame among all, by its id."""
        self._annotations: dict[str, Annotation] = {}
        self._scope: list[int] = []
        """The places of the frames that match the cohort and the text."""
        self._rows: list[int] = []
        """The place of the frame in each row, ascending."""
        self.cohort: str | None = None
        self._state: State | None = None
        self._text = ""
        self._thumbnails = Thumbnails(THUMBNAIL_SIZE * ratio, self)
        self._thumbnails.ready.connect(lambda frame_id: self._changed(frame_id, THUMBNAIL))
        # Before any view: those that are told next find the frames of the rows that are left.
        self.rowsRemoved.connect(self._rows_removed)

    def load(self, project: Project | None, frames: list[Frame]) -> None:
        """Show these frames of ``project``, and read their annotations again."""
        if project is not self._project:
            self._thumbnails.clear()
        self._project = project
        self._frames = frames
        self._texts = _searched(frames)
        self._annotations = project.annotations.by_frame() if project is not None else {}
        held = self._annotations.get
        self._states = [_state(held(frame.id)) for frame in frames]
        self._places = {frame.id: place for place, frame in enumerate(frames)}
        self._show(again=True)

    def choose(self, cohort: str | None, state: State | None, text: str) -> None:
        """Set the three filters at once."""
        chosen = cohort, state, text.strip().lower()
        if chosen == (self.cohort, self._state, self._text):
            return
        self.cohort, self._state, self._text = chosen
        self._show()

    def _show(self, *, again: bool = False) -> None:
        """Show the rows that match; ``again``: also if they are the same."""
        self._scope = self._matching()
        states, wanted, places = self._states, self._state, list(self._scope)
        if wanted is not None:
            places = [place for place in places if states[place] == wanted]
        if again or places != self._rows:
            self._rows = places
            self.setStringList([""] * len(places))

    def counts(self) -> dict[State, int]:
        """The number of frames in each state that match the cohort and the text."""
        found = Counter(map(self._states.__getitem__, self._scope))
        return {state: found[state] for state in STATES}

    def counts_in(self, cohort: str | None) -> dict[State, int]:
        """The number of frames of a cohort, or of all, in each state; a search changes nothing."""
        found = Counter(
            state
            for frame, state in zip(self._frames, self._states, strict=True)
            if cohort in (None, frame.cohort)
        )
        return {state: found[state] for state in STATES}

    def drawn(self) -> list[DrawnFrame]:
        """The frames of the chosen cohort, or of all, whose ellipse a person drew or confirmed."""
        return [
            DrawnFrame(frame.id, frame.cohort, frame.subject, held.ellipse)
            for frame in self._frames
            if self.cohort in (None, frame.cohort)
            and (held := self._annotations.get(frame.id)) is not None
            and held.ellipse is not None
            and held.state != "proposed"
        ]

    def _matching(self) -> list[int]:
        """The places of the frames that match the cohort and the text."""
        text, cohort = self._text, self.cohort
        places = [place for place, searched in enumerate(self._texts) if text in searched]
        if cohort is None:
            return places
        return [place for place in places if self._frames[place].cohort == cohort]

    def refresh(self, frame_id: str) -> None:
        """Read the annotation of one frame again; its row comes or goes by its state."""
        if self._project is None or frame_id not in self._places:
            return
        annotation = self._project.annotations.newest(frame_id)
        if annotation is None or annotation.ellipse is None:
            self._annotations.pop(frame_id, None)
        else:
            self._annotations[frame_id] = annotation
        place = self._places[frame_id]
        self._states[place] = _state(self._annotations.get(frame_id))
        frame, row = self._frames[place], bisect_left(self._rows, place)
        matches = self._text in self._texts[place] and self.cohort in (None, frame.cohort)
        matches = matches and self._state in (None, self._states[place])
        if self._rows[row : row + 1] == [place]:
            if not matches:
                self.removeRow(row)
        elif matches:
            self._rows.insert(row, place)
            self.insertRow(row)
        self._changed(frame_id, ANNOTATION)

    def _rows_removed(self, _parent: QModelIndex, first: int, last: int) -> None:
        del self._rows[first : last + 1]

    def state(self, frame: Frame) -> State:
        """The frame's annotation state; ``none`` without an ellipse."""
        return self._states[self._places[frame.id]]

    @property
    def frames(self) -> list[Frame]:
        """All frames, those that the filter hides too, in the order of the rows."""
        return self._frames

    def shown(self) -> list[Frame]:
        """The frames that match, in the order of the rows."""
        return [self.frame(row) for row in range(self.rowCount())]

    def frame(self, row: int) -> Frame:
        """The frame in a row."""
        return self._frames[self._rows[row]]

    def index_of(self, frame_id: str) -> QModelIndex:
        """The row of a frame; invalid where there is none."""
        place = self._places.get(frame_id, -1)
        row = bisect_left(self._rows, place)
        shown = self._rows[row : row + 1] == [place]
        return self.index(row) if shown else QModelIndex()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        frame = self.frame(index.row())
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return frame.name
        if role == FRAME:
            return frame
        if role == ANNOTATION:
            return self._annotations.get(frame.id)
        if role == THUMBNAIL and self._project is not None:
            path = self._project.frames.path(frame.id)
            return self._thumbnails.get(frame.id, partial(read_image, path))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._describe(frame)
        return super().data(index, role)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Names cannot be edited."""
        return super().flags(index) & ~Qt.ItemFlag.ItemIsEditable

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
            lines.append(
                f"Ellipse {annotation.state} by {author_in_words(annotation.author)}{sure}"
            )
        return "\n".join(lines)

    def _changed(self, frame_id: str, role: int) -> None:
        index = self.index_of(frame_id)
        if index.isValid():
            self.dataChanged.emit(index, index, [role])


def _state(annotation: Annotation | None) -> State:
    return "none" if annotation is None else annotation.state


def _searched(frames: Sequence[Frame]) -> list[str]:
    """The name and the labels of each frame in lower case, each in a line of its own."""
    labels: dict[int, str] = {}
    texts = []
    for frame in frames:
        key = id(frame.labels)  # thousands of frames share them
        if key not in labels:
            lines = (f"\n{label} {value}" for label, value in frame.labels.items())
            labels[key] = "".join(lines).lower()
        texts.append(frame.name.lower() + labels[key])
    return texts


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
        draw_ellipse(painter, annotation.ellipse, theme.STATE_COLOURS[annotation.state])
    painter.restore()


def draw_ellipse(painter: QPainter, ellipse: Ellipse, colour: str) -> None:
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

    def __init__(self, model: FrameModel, parent: QWidget | None = None) -> None:
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
        """Share the width evenly among the cells, without a ragged edge. The current frame stays
        in view."""
        current = self.currentIndex()
        shown = QRect(QPoint(), event.oldSize()).contains(self.visualRect(current))
        width = self.viewport().width() - 1
        columns = max(width // _NARROWEST, 1)
        cell = _cell(min(width // columns, THUMBNAIL_SIZE.width() + _GAP + 2 * _MARGIN))
        if cell != self._delegate.cell or not self.gridSize().isValid():
            self._delegate.cell = cell
            self.setGridSize(cell)
            self.verticalScrollBar().setSingleStep(cell.height() // 3)
        super().resizeEvent(event)
        if current.isValid() and shown:
            self.scrollTo(current)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Skip the list's own handler, which would select the first frame."""
        QWidget.focusInEvent(self, event)
        self.viewport().update()

    def keyboardSearch(self, search: str) -> None:
        """Leave letters to the page's keys; names are found with the search field."""
