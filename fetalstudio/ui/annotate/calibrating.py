"""Calibrating a frame by hand: a line on the ruler in the frame, and how long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QObject

from fetalstudio.core.calibration import Calibration
from fetalstudio.project.records import Frame
from fetalstudio.ui.annotate.calibration_panel import CalibrationPanel
from fetalstudio.ui.canvas import FrameCanvas, Tool
from fetalstudio.ui.canvas.view import Point
from fetalstudio.ui.commands import SetCalibration
from fetalstudio.ui.session import Session


class CalibrationFlow(QObject):
    """From the ruler on the canvas to the question in the panel to a step of undo."""

    def __init__(self, session: Session, canvas: FrameCanvas, panel: CalibrationPanel) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._panel = session, canvas, panel
        self._frame: Frame | None = None
        canvas.ruler_drawn.connect(self._ruler_drawn)
        panel.ruler_requested.connect(self.toggle_ruler)
        panel.calibrated.connect(self._calibrated)
        panel.spread_requested.connect(self._spread)
        panel.closed.connect(canvas.setFocus)

    def set_frame(self, frame: Frame) -> None:
        """The frame that is calibrated; drops the question about another one."""
        if frame != self._frame:
            self._frame = frame
            self._canvas.set_calibration(frame.calibration)
            self._panel.show_calibration(frame.calibration)
        self._panel.offer_to_spread(len(self._alike()))

    def _alike(self) -> list[Frame]:
        """The frames that may have this frame's calibration too, which was set by hand: those of
        its cohort and size that have none, or another one by another frame."""
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
        """Let the person draw a line on the ruler in the frame; a second time: not any more."""
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
