"""Reading without seeing: one frame after another, and nothing but its pixels."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.store.records import ReadingSession
from fetalstudio.ui import theme
from fetalstudio.ui.annotate.bars import ViewBar, tool_button
from fetalstudio.ui.canvas import CanvasActions, FrameCanvas, GreyWindow, Tool
from fetalstudio.ui.canvas.finished import finished_ellipse
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.form import page_action
from fetalstudio.ui.readings.commands import DrawReading, StoreReading
from fetalstudio.ui.session import Session

_DRAW_HINT = "Drag the long axis, outer edge to outer edge. Press Enter to save and go on"
_UNSAVED = (
    "The ellipse on this frame is not saved. Press Enter to save it, or Del to remove it, before "
    "you end the session."
)
_EDIT_HINT = "Drag a handle, or press arrows, - +, [ ], Q E. Press Enter to save and go on"


class ReadingPage(QWidget):
    """The frames of one reading session.

    It knows no annotation, proposal, name or measurement, so that none can be seen. Leaving the
    page pauses the session; what was saved stays.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.reading: ReadingSession | None = None
        self._number: int | None = None
        """The place of the frame on screen."""
        self._drafts: dict[int, Ellipse | None] = {}
        """What was drawn by place; kept so that a reading that is taken back can be corrected."""
        self._unreadable: set[int] = set()
        self._spent: dict[int, float] = {}
        self._since: float | None = None
        self.canvas = FrameCanvas()
        self.canvas_actions = CanvasActions(self.canvas)
        self.view_bar = ViewBar(self.canvas, self.canvas_actions)
        self.empty = EmptyState()
        self._build_actions()
        self._build()
        width, level = session.settings.window_level
        self.canvas.set_window_level(GreyWindow(width, level))
        self.canvas.ellipse_edited.connect(self._edited)
        self.empty.clicked.connect(self._empty_clicked)
        session.project_changed.connect(self._project_changed)
        session.readings_changed.connect(self.reload)
        session.frames_changed.connect(self.reload)
        session.unsaved.in_reading = lambda: self.unsaved
        self.reload()

    def activated(self) -> None:
        """Give the keyboard to the canvas; called whenever the page is shown."""
        (self.canvas if self._number is not None else self.empty.button).setFocus()

    @property
    def unsaved(self) -> bool:
        """Whether the frame on screen has an ellipse that is not saved as a reading."""
        return self._number is not None and self.canvas.ellipse() is not None

    def begin(self, reading: ReadingSession) -> None:
        """Present what is left of a session."""
        if self.reading is None or self.reading.id != reading.id:
            self._forget()
        self.reading = reading
        self.reload()

    # -- building ---------------------------------------------------------------------------

    def _build_actions(self) -> None:
        self.save_action = page_action(
            self,
            "Save, next",
            "Save this reading and go to the next frame",
            self.save,
            "Return",
            "Enter",
        )
        self.unread_action = page_action(
            self, "Cannot be read", "Say that this frame cannot be read, and go on", self.skip, "X"
        )
        self.end_action = page_action(
            self, "End", "End this session; what was saved stays", self.end, "Ctrl+Shift+E"
        )

    def _build(self) -> None:
        bar = theme.style(QWidget(), "bar")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(bar)
        row.setContentsMargins(2 * theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        row.setSpacing(theme.SPACE)
        self.position = theme.style(QLabel(), "heading")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedSize(80, 6)
        self.observer = ElidedLabel()
        row.addWidget(self.position)
        row.addWidget(self.progress)
        row.addWidget(self.observer, 1)
        for action in (
            self.canvas_actions.draw,
            self.canvas_actions.box,
            self.canvas_actions.place,
            self.canvas_actions.remove,
        ):
            row.addWidget(tool_button(action))
        row.addSpacing(theme.SPACE)
        row.addWidget(tool_button(self.unread_action))
        row.addWidget(tool_button(self.end_action))
        self.save_button = theme.style(QPushButton("Save, next"), "primary")
        self.save_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.save_button.setToolTip(self.save_action.toolTip())
        self.save_button.clicked.connect(self.save)
        row.addWidget(self.save_button)
        work = QWidget()
        column = QVBoxLayout(work)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.view_bar)
        self.body = QStackedWidget()
        self.body.addWidget(work)
        self.body.addWidget(self.empty)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.body)

    # -- the session ------------------------------------------------------------------------

    def _forget(self) -> None:
        self._number = None
        self._drafts.clear()
        self._unreadable.clear()
        self._spent.clear()

    def _project_changed(self) -> None:
        self._forget()
        self.reading = None
        self.reload()

    def reload(self) -> None:
        """Read the session again, and show the first frame that is left."""
        if self.reading is None:
            self._show_nothing()
            return
        self.reading = self.session.open.readings.session(self.reading.id)
        left = [(n, frame_id) for n, frame_id in self.reading.left if n not in self._unreadable]
        if not left:
            self._finish()
        elif left[0][0] != self._number:
            self._show(*left[0])
        self._show_position()

    def _show(self, number: int, frame_id: str) -> None:
        self.canvas.leave_gesture()
        self._keep_time()
        try:
            pixels = self.session.open.frames.pixels(frame_id)
        except UserError as error:
            # It stays to be read, when its file is back.
            self._unreadable.add(number)
            self.session.report(error)
            self.reload()
            return
        self._number = number
        self.body.setCurrentIndex(0)
        self.canvas.set_tool(Tool.EDIT)
        self.canvas.set_ellipse(None)
        self.canvas.set_image(pixels)
        self.canvas.fit()
        self._show_draft(number, self._drafts.get(number))
        if self.isVisible():
            self._since = time.monotonic()
            self.canvas.setFocus()

    def _show_draft(self, number: int, ellipse: Ellipse | None) -> None:
        self._drafts[number] = ellipse
        if number == self._number:
            self.canvas.set_ellipse(ellipse)
            self.view_bar.set_idle_hint(_DRAW_HINT if ellipse is None else _EDIT_HINT)

    def _show_position(self) -> None:
        if self.reading is None:
            return
        total, done = len(self.reading.numbers), len(self.reading.done)
        self.position.setText(f"Reading {min(done + 1, total)} of {total}")
        self.progress.setRange(0, max(total, 1))
        self.progress.setValue(done)
        by = f"by {self.reading.observer}"
        self.observer.setText(f"{by}, without seeing", by)

    def _finish(self) -> None:
        assert self.reading is not None  # there is a session of which nothing is left
        self._keep_time()
        self._number = None
        if self._unreadable:
            left = counted(len(self._unreadable), "frame")
            self._say(
                "The rest cannot be shown", f"The files of {left} are missing or damaged.", ""
            )
            return
        if self.reading.ended_at is None:
            self.session.open.readings.end(self.reading.id)
        self._say(
            "All frames are read",
            f"{counted(len(self.reading.done), 'reading')} by {self.reading.observer} "
            "are saved. They change no annotation. Ctrl+Z takes the last one back.",
            "See the agreement",
        )

    def _show_nothing(self) -> None:
        self._number = None
        self._say(
            "No reading is in progress",
            "Readings are ellipses that you draw without seeing those of others, or your own "
            "former ones. Start from the menu Readings, or with selected frames in the Library.",
            "Go to the Library",
        )

    def _say(self, title: str, text: str, action: str) -> None:
        self.empty.say(title, text, action)
        self.body.setCurrentWidget(self.empty)
        if self.isVisible():
            self.empty.button.setFocus()

    def _empty_clicked(self) -> None:
        self.session.go("library" if self.reading is None else "agreement")

    # -- what the person does ---------------------------------------------------------------

    def _edited(self, ellipse: Ellipse | None) -> None:
        if self._number is not None:
            before = self._drafts.get(self._number)
            self.session.undo_stack.push(
                DrawReading(self._show_draft, self._number, before, ellipse)
            )

    def save(self) -> None:
        """Save the ellipse as a reading, and go to the next frame."""
        if self._number is None:
            return
        advice = "Draw an ellipse first, or press X if the frame cannot be read."
        ellipse = finished_ellipse(self.canvas, self.session.message.emit, advice)
        if ellipse is not None:
            self._store(ellipse)

    def skip(self) -> None:
        """Save that the frame cannot be read, and go to the next one."""
        self.canvas.leave_gesture()
        if self._number is not None:
            self._store(None)

    def _store(self, ellipse: Ellipse | None) -> None:
        assert self.reading is not None and self._number is not None  # a frame is on screen
        self._keep_time()
        number = self._number
        seconds = self._spent.get(number, 0.0)
        command = StoreReading(self.session, self.reading, number, ellipse, seconds)
        self.session.undo_stack.push(command)
        if self._number is not None and self._since is None and self.isVisible():
            self._since = time.monotonic()  # it could not be stored: the frame is still there

    def end(self) -> None:
        """End the session before all frames are read."""
        self.canvas.leave_gesture()
        if self.reading is None:
            return
        if self.unsaved:
            self.session.message.emit(_UNSAVED, "warning")
            return
        done = len(self.reading.done)
        self.session.open.readings.end(self.reading.id)
        self.session.message.emit(f"The session has ended with {counted(done, 'reading')}.", "info")
        self._project_changed()
        self.session.go("agreement" if done else "library")

    # -- time -------------------------------------------------------------------------------

    def _keep_time(self) -> None:
        """Count the time since the frame came on screen."""
        if self._since is not None and self._number is not None:
            spent = time.monotonic() - self._since
            self._spent[self._number] = self._spent.get(self._number, 0.0) + spent
        self._since = None

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._number is not None:
            self._since = time.monotonic()

    def hideEvent(self, event: QHideEvent) -> None:
        self._keep_time()
        super().hideEvent(event)
