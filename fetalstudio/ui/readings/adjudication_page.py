"""Adjudication: the readings of a frame over each other, and a decision that becomes final."""

from __future__ import annotations

import itertools
import math
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.agreement import dice_of, mean_ellipse
from fetalstudio.core.biometry import measure
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame, Reading
from fetalstudio.ui import theme
from fetalstudio.ui.annotate.bars import ViewBar, tool_button
from fetalstudio.ui.canvas import CanvasActions, EllipseStyle, FrameCanvas, GreyWindow, Tool
from fetalstudio.ui.canvas.finished import finished_ellipse
from fetalstudio.ui.common.dots import dot_icon
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.form import note, page_action
from fetalstudio.ui.readings.commands import Adjudicate
from fetalstudio.ui.session import Session

_MOST = 9
"""Readings of a frame that have a key."""
_PANEL_WIDTH = 324
_HINT = "Press 1 or 2 to take a reading, M for their mean, or draw. Enter decides"
_FRAME_ID = Qt.ItemDataRole.UserRole
_NAME = Qt.ItemDataRole.UserRole + 1


class AdjudicationPage(QWidget):
    """Frames that at least two observers read, those that they agree on least first.

    A decision is a final revision of the frame's annotation by the person at the window. It names
    the readings that were on screen. The readings stay as they are.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._frame: Frame | None = None
        self._readings: list[Reading] = []
        self._by_frame: dict[str, list[Reading]] = {}
        self._decided: set[str] = set()
        """The frames whose newest revision is an adjudication."""
        self._stale = True
        self.canvas = FrameCanvas()
        self.canvas_actions = CanvasActions(self.canvas)
        self.view_bar = ViewBar(self.canvas, self.canvas_actions)
        self.list = QListWidget()
        self.list.setAccessibleName("Frames, the worst agreement first")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.empty = EmptyState()
        self.rows: list[QPushButton] = []
        """Take a reading: one button each."""
        self._build_actions()
        self._build()
        self._connect()

    def activated(self) -> None:
        """Give the keyboard to the canvas; called whenever the page is shown."""
        if self._stale:
            self.reload(None if self._frame is None else self._frame.id)
        (self.canvas if self._frame is not None else self.empty.button).setFocus()

    # -- building ---------------------------------------------------------------------------

    def _build_actions(self) -> None:
        self.previous_action = page_action(
            self, "Previous", "Previous frame", lambda: self._step(-1), "PgUp", repeats=True
        )
        self.next_action = page_action(
            self, "Next", "Next frame", lambda: self._step(1), "PgDown", repeats=True
        )
        self.mean_action = page_action(
            self, "Mean", "Take the mean of the readings", self.mean, "M"
        )
        self.decide_action = page_action(
            self,
            "Decide, next",
            "Make this ellipse the final one, and go to the next frame to decide on",
            self.decide,
            "Return",
            "Enter",
        )
        for i in range(_MOST):
            page_action(
                self, f"Take {i + 1}", f"Take reading {i + 1}", partial(self.take, i), f"{i + 1}"
            )

    def _build(self) -> None:
        bar = theme.style(QWidget(), "bar")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(bar)
        row.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        row.setSpacing(theme.SPACE // 2)
        for action, arrow in (
            (self.previous_action, Qt.ArrowType.LeftArrow),
            (self.next_action, Qt.ArrowType.RightArrow),
        ):
            arrow_button = tool_button(action)
            arrow_button.setArrowType(arrow)
            row.addWidget(arrow_button)
        self.name = theme.style(QLabel(), "heading")
        self.position = ElidedLabel()
        row.addSpacing(theme.SPACE)
        row.addWidget(self.name)
        row.addSpacing(theme.SPACE)
        row.addWidget(self.position, 1)
        for action in (
            self.canvas_actions.draw,
            self.canvas_actions.box,
            self.canvas_actions.place,
            self.canvas_actions.remove,
        ):
            row.addWidget(tool_button(action))
        middle = QVBoxLayout()
        middle.setSpacing(0)
        middle.addWidget(bar)
        middle.addWidget(self.canvas, 1)
        middle.addWidget(self.view_bar)
        panel = theme.style(QWidget(), "panel")
        panel.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        panel.setFixedWidth(_PANEL_WIDTH)
        side = QVBoxLayout(panel)
        side.setContentsMargins(*[2 * theme.SPACE] * 4)
        side.setSpacing(theme.SPACE)
        self.agreement = note()
        self.takes = QVBoxLayout()
        self.takes.setSpacing(theme.SPACE // 2)
        self.mean_button = QPushButton("M   Mean of the readings")
        self.mean_button.setToolTip(self.mean_action.toolTip())
        self.decision = note()
        self.decide_button = theme.style(QPushButton("Decide, next"), "primary")
        self.decide_button.setToolTip(self.decide_action.toolTip())
        for button in (self.mean_button, self.decide_button):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        theme.style(self.mean_button, "answer")
        side.addWidget(theme.style(QLabel("Readings"), "heading"))
        side.addWidget(self.agreement)
        side.addLayout(self.takes)
        side.addWidget(self.mean_button)
        side.addSpacing(theme.SPACE)
        side.addWidget(theme.style(QLabel("Decision"), "heading"))
        side.addWidget(self.decision)
        side.addWidget(self.decide_button)
        side.addSpacing(theme.SPACE)
        side.addWidget(theme.style(QLabel("Frames, the worst first"), "heading"))
        side.addWidget(self.list, 1)
        work = QWidget()
        columns = QHBoxLayout(work)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(0)
        columns.addLayout(middle, 1)
        columns.addWidget(panel)
        self.body = QStackedWidget()
        self.body.addWidget(work)
        self.body.addWidget(self.empty)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.body)

    def _connect(self) -> None:
        session = self.session
        width, level = session.settings.window_level
        self.canvas.set_window_level(GreyWindow(width, level))
        self.view_bar.set_idle_hint(_HINT)
        for signal in (
            session.project_changed,
            session.readings_changed,
            session.frames_changed,
        ):
            signal.connect(self._changed)
        session.annotation_changed.connect(self._annotation_changed)
        session.adjudication_asked.connect(self.reload)
        self.canvas.ellipse_changing.connect(self._describe)
        self.canvas.ellipse_edited.connect(self._describe)
        self.mean_button.clicked.connect(self.mean)
        self.decide_button.clicked.connect(self.decide)
        self.list.currentItemChanged.connect(self._chosen)
        self.empty.clicked.connect(lambda: session.reading_asked.emit([]))

    # -- frames -----------------------------------------------------------------------------

    def _changed(self, *_: object) -> None:
        self._stale = True
        if self.isVisible():
            self.reload(None if self._frame is None else self._frame.id)

    def reload(self, wanted: str | None = None) -> None:
        """Read the readings of the project again, and show the wanted frame, or else the first
        that is not decided."""
        self._stale = False
        self.canvas.leave_gesture()
        project = self.session.project
        frames = {frame.id: frame for frame in project.frames.all()} if project else {}
        self._by_frame = _read_by_several(project.readings.with_annotations() if project else [])
        self._by_frame = {f: held for f, held in self._by_frame.items() if f in frames}
        self._decided = _decided(project) if project else set()
        order = sorted(self._by_frame, key=lambda frame_id: -_apart(self._by_frame[frame_id]))
        self.list.blockSignals(True)
        self.list.clear()
        for frame_id in order:
            item = QListWidgetItem()
            item.setData(_FRAME_ID, frame_id)
            item.setData(_NAME, frames[frame_id].name)
            self._mark(item)
            self.list.addItem(item)
        self.list.blockSignals(False)
        if not order:
            self._frame = None
            self.empty.say(
                "No frame was read by two people",
                "Merge the readings of a colleague from the menu Readings, or let her read frames "
                "here without seeing. Then you can decide between two ellipses.",
                "Read again without seeing",
            )
            self.body.setCurrentWidget(self.empty)
            return
        self.body.setCurrentIndex(0)
        waiting = next((f for f in order if f not in self._decided), order[0])
        row = order.index(wanted if wanted in self._by_frame else waiting)
        self.list.setCurrentRow(row)
        self._show(frames[order[row]])

    def _annotation_changed(self, frame_id: str) -> None:
        """Show a decision, or that it was taken back, without reading all frames again."""
        if not self.isVisible() or frame_id not in self._by_frame:
            self._changed()
            return
        readings = self.session.open.readings
        held = _read_by_several(readings.with_annotations(frame_id)).get(frame_id)
        if held is None:
            self._changed()
            return
        self._by_frame[frame_id] = held
        newest = self.session.open.annotations.newest(frame_id)
        made_from = readings.adjudicated(frame_id)
        if newest is not None and (frame_id, newest.revision) in made_from:
            self._decided.add(frame_id)
        else:
            self._decided.discard(frame_id)
        for row in range(self.list.count()):
            if self.list.item(row).data(_FRAME_ID) == frame_id:
                self._mark(self.list.item(row))
        if self._frame is not None and self._frame.id == frame_id:
            self._show(self._frame)

    def _mark(self, item: QListWidgetItem) -> None:
        """Say in the list whether a frame is decided."""
        done = item.data(_FRAME_ID) in self._decided
        item.setText(f"{item.data(_NAME)}{'   decided' if done else ''}")
        item.setForeground(QColor(theme.TEXT_DIM if done else theme.TEXT))

    def _chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            frame = self.session.open.frames.find(item.data(_FRAME_ID))
            if frame is not None:
                self._show(frame)

    def _step(self, by: int) -> None:
        row = self.list.currentRow() + by
        if 0 <= row < self.list.count():
            self.list.setCurrentRow(row)

    def _show(self, frame: Frame) -> None:
        self.canvas.leave_gesture()
        another = self._frame is None or self._frame.id != frame.id
        self._frame = frame
        self._readings = self._by_frame[frame.id][:_MOST]
        if another:
            try:
                self.canvas.set_image(self.session.open.frames.pixels(frame.id))
            except UserError as error:
                self.canvas.set_image(None)
                self.session.report(error)
            self.canvas.set_tool(Tool.EDIT)
            self.canvas.fit()
        self.canvas.set_compared(
            [
                (reading.ellipse, EllipseStyle(_colour(i)))
                for i, reading in enumerate(self._readings)
                if reading.ellipse is not None
            ]
        )
        newest = self.session.open.annotations.newest(frame.id)
        decided = frame.id in self._decided
        self.canvas.set_style(EllipseStyle(theme.TEXT_BRIGHT))
        self.canvas.set_ellipse(newest.ellipse if decided and newest is not None else None)
        self._show_readings()
        self._describe(self.canvas.ellipse())
        row, count = self.list.currentRow(), self.list.count()
        left = count - len(self._decided & self._by_frame.keys())
        self.name.setText(frame.name)
        place = f"{row + 1} of {count}"
        self.position.setText(
            f"{frame.cohort}, {place}, {left} to decide", f"{place}, {left} to decide", place
        )
        self.previous_action.setEnabled(row > 0)
        self.next_action.setEnabled(row + 1 < count)

    def _show_readings(self) -> None:
        assert self._frame is not None  # it is on screen
        for button in self.rows:
            self.takes.removeWidget(button)
            button.deleteLater()
        self.rows = []
        for i, reading in enumerate(self._readings):
            kind = "" if reading.blinded else ", not blinded"
            size = _size(reading.ellipse, self._frame)
            button = theme.style(
                QPushButton(f"{i + 1}   {reading.observer}{kind}\n{size}"), "answer"
            )
            button.setIcon(dot_icon(_colour(i)))
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.setToolTip(theme.tip("Take this reading", f"{i + 1}"))
            button.clicked.connect(partial(self.take, i))
            self.takes.addWidget(button)
            self.rows.append(button)
        drawn = [reading.ellipse for reading in self._readings if reading.ellipse is not None]
        lowest = min(dice_of(a, b) for a, b in itertools.combinations(drawn, 2))
        which = "" if len(drawn) == 2 else " between the two that differ most"
        self.agreement.setText(f"Dice {lowest:.3f}{which}")

    def _describe(self, ellipse: Ellipse | None) -> None:
        if self._frame is None:
            return
        self.decide_button.setEnabled(ellipse is not None)
        if ellipse is None:
            self.decision.setText("Take a reading or their mean, or draw an ellipse.")
            return
        taken = [r.observer for r in self._readings if r.ellipse == ellipse]
        drawn = [r.ellipse for r in self._readings if r.ellipse is not None]
        if taken:
            what = f"As {taken[0]}"
        else:
            what = "The mean" if ellipse == mean_ellipse(drawn) else "Drawn by you"
        self.decision.setText(f"{what}\n{_size(ellipse, self._frame)}")

    # -- deciding ---------------------------------------------------------------------------

    def take(self, index: int, *_: object) -> None:
        """Begin with the ellipse of a reading; it can still be changed."""
        self.canvas.leave_gesture()
        if self._frame is not None and index < len(self._readings):
            self._put(self._readings[index].ellipse)

    def mean(self) -> None:
        """Begin with the mean of the readings."""
        self.canvas.leave_gesture()
        drawn = [reading.ellipse for reading in self._readings if reading.ellipse is not None]
        if self._frame is not None and drawn:
            self._put(mean_ellipse(drawn))

    def _put(self, ellipse: Ellipse | None) -> None:
        self.canvas.set_tool(Tool.EDIT)
        self.canvas.set_ellipse(ellipse)
        self._describe(ellipse)

    def decide(self) -> None:
        """Make the ellipse on screen final, and go to the next frame that is not decided."""
        if self._frame is None:
            return
        ellipse = finished_ellipse(
            self.canvas,
            self.session.message.emit,
            "Take a reading with its number, press M for the mean, or draw an ellipse first.",
        )
        if ellipse is None:
            return
        frame_id = self._frame.id
        ids = [reading.id for reading in self._readings]
        before = self.session.undo_stack.index()
        self.session.undo_stack.push(Adjudicate(self.session, frame_id, ellipse, ids))
        if self.session.undo_stack.index() == before:
            return  # it could not be saved; a notice says why
        waiting = self._by_frame.keys() - self._decided
        if waiting:
            order = [self.list.item(row).data(_FRAME_ID) for row in range(self.list.count())]
            at = order.index(frame_id)
            following = next(f for f in (*order[at:], *order[:at]) if f in waiting)
            self.list.setCurrentRow(order.index(following))
        else:
            text = f"All {counted(len(self._by_frame), 'frame')} are decided."
            self.session.message.emit(text, "info")


def _decided(project: Project) -> set[str]:
    newest = project.annotations.by_frame()
    return {
        frame_id
        for frame_id, revision in project.readings.adjudicated()
        if frame_id in newest and newest[frame_id].revision == revision
    }


def _read_by_several(readings: list[Reading]) -> dict[str, list[Reading]]:
    """By frame: the first blinded reading of each observer, or her annotation, where two observers
    could read it."""
    by_frame: dict[str, dict[str, Reading]] = {}
    for reading in sorted(readings, key=lambda r: (not r.blinded, r.round, r.observer)):
        if reading.ellipse is not None:
            by_frame.setdefault(reading.frame_id, {}).setdefault(reading.observer, reading)
    return {
        frame_id: sorted(held.values(), key=lambda r: r.observer)
        for frame_id, held in by_frame.items()
        if len(held) > 1
    }


def _apart(readings: list[Reading]) -> float:
    """How far apart the readings of a frame are, as a share of the radius; for their order alone,
    because the Dice of hundreds of frames would take seconds."""
    drawn = [reading.ellipse for reading in readings if reading.ellipse is not None]
    return max(
        (
            math.hypot(one.cx - other.cx, one.cy - other.cy)
            + abs(one.a - other.a)
            + abs(one.b - other.b)
            + (one.a - one.b) * abs(math.sin(math.radians(one.angle_deg - other.angle_deg)))
        )
        / math.sqrt(one.a * one.b)
        for one, other in itertools.combinations(drawn, 2)
    )


def _colour(index: int) -> str:
    return theme.SERIES[index % len(theme.SERIES)]


def _size(ellipse: Ellipse | None, frame: Frame) -> str:
    if ellipse is None:
        return "cannot be read"
    if frame.calibration is None:
        return f"perimeter {ellipse.perimeter:.0f} px"
    head = measure(ellipse, frame.calibration)
    return f"HC {head.hc_mm:.1f}, BPD {head.bpd_mm:.1f}, OFD {head.ofd_mm:.1f} mm"
