"""The calibration of a frame: where it comes from, and setting it with the ruler in the frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from fetalstudio.core.calibration import SOURCES, Calibration
from fetalstudio.core.words import counted
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import FrameCanvas, Tool
from fetalstudio.ui.canvas.view import Point
from fetalstudio.ui.commands import SetCalibration
from fetalstudio.ui.common.form import guard_from_wheel
from fetalstudio.ui.common.number_fields import DecimalField
from fetalstudio.ui.session import Session

_USUAL_RULER_MM = 10.0
_MIN_RULER_PX = 20.0
"""Each end is placed to within about half a px. A shorter line would be off by several per cent."""


class CalibrationPanel(QWidget):
    """Shows a calibration; asks for the length of a line drawn on the frame's ruler."""

    calibrated = Signal(object)
    """The new :class:`Calibration`."""
    closed = Signal()
    """The question was answered or cancelled."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._length_px = 0.0
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.button = QPushButton("Calibrate")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.setToolTip("Draw a line between two marks of the ruler in the frame")
        self.spread_button = QPushButton()
        self.spread_button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.spread_button.setToolTip(
            "Frames of this cohort with the same size and no calibration of their own.\n"
            "Correct only if they were taken at the same depth and zoom."
        )
        self.question = QWidget()
        self.line_label = QLabel()
        self.length = DecimalField()
        self.length.setDecimals(1)
        self.length.setRange(0.1, 500.0)
        self.length.setValue(_USUAL_RULER_MM)
        self.length.setSuffix(" mm")
        self.length.installEventFilter(self)
        self.length.setAccessibleName("Length of the line in mm")
        self.set_button = QPushButton("Set")
        self.set_button.clicked.connect(self._set)
        self.error = theme.style(QLabel(), "error")
        self.error.setWordWrap(True)
        self._lay_out()
        self.show_calibration(None)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.addWidget(self.label, 1)
        head.addWidget(self.button)
        row = QHBoxLayout(self.question)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.line_label, 1)
        row.addWidget(self.length)
        row.addWidget(self.set_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(head)
        column.addWidget(self.spread_button)
        column.addWidget(self.question)
        column.addWidget(self.error)
        guard_from_wheel(self.question)
        self.question.hide()
        self.error.hide()
        self.spread_button.hide()

    @property
    def asking(self) -> bool:
        """Whether the question is open."""
        return not self.question.isHidden()

    def show_calibration(self, calibration: Calibration | None) -> None:
        """Show a calibration and where it comes from; cancels the question."""
        self.close_question()
        if calibration is None:
            text = "Not calibrated"
        else:
            x, y = calibration.mm_per_px_x, calibration.mm_per_px_y
            size = f"{x:.4f}" if x == y else f"{x:.4f} x {y:.4f}"
            text = f"{size} mm/px ({SOURCES[calibration.source]})"
        self.label.setText(text)
        theme.style(self.label, "warning" if calibration is None else "dim")

    def offer_to_spread(self, frames: int) -> None:
        """Offer to copy the calibration to ``frames`` other frames; nothing is offered for 0."""
        self.spread_button.setText(f"Use for {counted(frames, 'other frame')}")
        self.spread_button.setVisible(frames > 0)

    def ask_length(self, length_px: float) -> None:
        """Ask how long the line of ``length_px`` image px is in mm."""
        self.error.hide()
        if length_px < _MIN_RULER_PX:
            self._refuse(
                f"The line is only {length_px:.0f} px long. Draw it along more of the ruler."
            )
            return
        self._length_px = length_px
        self.line_label.setText(f"{length_px:.1f} px =")
        self.question.show()
        self.length.setFocus()
        self.length.selectAll()

    def close_question(self) -> None:
        """Cancel the question, if one is open."""
        self.error.hide()
        if self.asking:
            self.question.hide()
            self.closed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Enter and Esc in the field belong to the question, not to the page."""
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
        if not isinstance(event, QKeyEvent) or event.key() not in keys:
            return super().eventFilter(watched, event)
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
        elif event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
            self.close_question()
        elif event.type() == QEvent.Type.KeyPress:
            self._set()
        return True

    def _set(self) -> None:
        self.length.interpretText()
        mm_per_px = self.length.value() / self._length_px
        try:
            calibration = Calibration(mm_per_px, mm_per_px, "manual")
        except ValueError:
            self._refuse(f"{mm_per_px:.1f} mm per pixel is not possible. Enter the length in mm.")
            return
        self.close_question()
        self.calibrated.emit(calibration)

    def _refuse(self, why: str) -> None:
        self.error.setText(why)
        self.error.show()


class CalibrationFlow(QObject):
    """Connects the ruler on the canvas, the question in the panel and the undo stack."""

    def __init__(self, session: Session, canvas: FrameCanvas, panel: CalibrationPanel) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._panel = session, canvas, panel
        self._frame: Frame | None = None
        canvas.ruler_drawn.connect(self._ruler_drawn)
        panel.button.clicked.connect(self.toggle_ruler)
        panel.calibrated.connect(self._calibrated)
        panel.spread_button.clicked.connect(self._spread)
        panel.closed.connect(canvas.setFocus)

    def set_frame(self, frame: Frame) -> None:
        """Show the calibration of ``frame``; a question about another frame is cancelled."""
        if frame != self._frame:
            self._frame = frame
            self._canvas.set_calibration(frame.calibration)
            self._panel.show_calibration(frame.calibration)
        self._panel.offer_to_spread(len(self._alike()))

    def _alike(self) -> list[Frame]:
        """The frames to which this frame's manual calibration can be copied.

        They have the same cohort and size, and no calibration or a copied one that differs.
        """
        shown = self._frame
        if shown is None or shown.calibration is None or shown.calibration.source != "manual":
            return []
        same = replace(shown.calibration, source="inherited")
        return [
            frame
            for frame in self._session.open.frames.all(cohort=shown.cohort)
            if frame.size == shown.size
            and (frame.calibration is None or frame.calibration.source == "inherited")
            and frame.calibration != same
        ]

    def toggle_ruler(self) -> None:
        """Switch the ruler tool on or off."""
        self._panel.close_question()
        ruler = self._canvas.tool is Tool.RULER
        self._canvas.set_tool(Tool.EDIT if ruler else Tool.RULER)
        self._canvas.setFocus()

    def _ruler_drawn(self, line: tuple[Point, Point]) -> None:
        self._panel.ask_length(math.dist(*line))

    def _calibrated(self, calibration: Calibration) -> None:
        if self._frame is not None:
            self._set([self._frame], calibration)

    def _spread(self) -> None:
        alike = self._alike()
        if alike and self._frame is not None and self._frame.calibration is not None:
            self._set(alike, replace(self._frame.calibration, source="inherited"))

    def _set(self, frames: Sequence[Frame], calibration: Calibration) -> None:
        assert self._frame is not None
        command = SetCalibration(self._session, self._frame, frames, calibration)
        self._session.undo_stack.push(command)
