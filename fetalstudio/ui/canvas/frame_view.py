"""A frame on screen with zoom, pan, grey window and a scale bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QCursor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from fetalstudio.core.calibration import Calibration
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import overlay
from fetalstudio.ui.canvas.painted_frame import GreyWindow, PaintedFrame
from fetalstudio.ui.canvas.view import Point, View

_ZOOM_PER_NOTCH = 2.0**0.25
_GREY_PER_PX = 0.5
"""Grey values by which a drag of one screen px changes window or level."""


@dataclass(frozen=True, slots=True)
class _ViewDrag:
    what: Literal["pan", "window"]
    last: Point


class FrameView(QWidget):
    """Shows an 8-bit grey frame.

    The left or middle button pans, as does any button while Space is held. The right button
    changes the grey window, the wheel zooms about the pointer, and a double click fits the frame.
    """

    window_changed = Signal(object)
    """The new :class:`GreyWindow`."""
    zoom_changed = Signal(float)
    """Screen px per image px."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._frame: PaintedFrame | None = None
        self._view, self._fitted = View(), True
        self._window = GreyWindow()
        self._calibration: Calibration | None = None
        self._view_drag: _ViewDrag | None = None
        self._space = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(160, 120)

    def sizeHint(self) -> QSize:
        return QSize(800, 540)

    # -- what is shown ----------------------------------------------------------------------

    def set_image(self, pixels: NDArray[np.uint8] | None) -> None:
        """Show a frame, (H, W) uint8, or None for nothing. A frame of another size is fitted."""
        before = self._frame.size if self._frame else None
        self._frame = None if pixels is None else PaintedFrame(pixels, self._window)
        if self._frame is not None and self._frame.size != before:
            self.fit()
        self.update()

    def set_calibration(self, calibration: Calibration | None) -> None:
        """Show a scale bar in mm; None hides it."""
        self._calibration = calibration
        self.update()

    @property
    def view(self) -> View:
        """Where the frame lies on screen."""
        return self._view

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height of the frame in px; None without one."""
        return None if self._frame is None else self._frame.size

    def fit(self) -> None:
        """Show the whole frame, also after the canvas is resized."""
        self._fitted = True
        if self._frame is not None:
            self._set_view(View.fitted(self._frame.size, self._viewport()))

    def zoom(self, factor: float, about: QPointF | None = None) -> None:
        """Zoom about a point on the canvas (its middle by default)."""
        if self._frame is None:
            return
        self._fitted = False
        point = QPointF(self.width() / 2, self.height() / 2) if about is None else about
        self._set_view(self._view.zoomed(factor, (point.x(), point.y())))

    @property
    def window_level(self) -> GreyWindow:
        """The grey window."""
        return self._window

    def set_window_level(self, window: GreyWindow) -> None:
        """Show the frame through this grey window."""
        if window == self._window:
            return
        self._window = window
        if self._frame is not None:
            self._frame.set_window(window)
        self.window_changed.emit(window)
        self.update()

    def _viewport(self) -> tuple[float, float]:
        return float(self.width()), float(self.height())

    def _set_view(self, view: View) -> None:
        if self._frame is None:
            return
        self._view = view.kept_in_sight(self._frame.size, self._viewport())
        self.view_moved()
        self.zoom_changed.emit(self._view.scale)
        self.update()

    def view_moved(self) -> None:
        """For subclasses: called after the frame has moved on screen."""

    # -- events -----------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self.zoom(1.0 + event.value(), event.position())
            return True
        return super().event(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        if self._fitted:
            self.fit()
            return
        old, new = event.oldSize(), event.size()
        dx, dy = (new.width() - old.width()) / 2, (new.height() - old.height()) / 2
        self._set_view(self._view.panned(dx, dy))

    def wheelEvent(self, event: QWheelEvent) -> None:
        notches = event.angleDelta().y() / 120
        if notches:
            self.zoom(_ZOOM_PER_NOTCH**notches, event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._frame is None or self._view_drag is not None:
            return
        right = event.button() == Qt.MouseButton.RightButton and not self._space
        self._view_drag = _ViewDrag("window" if right else "pan", point(event.position()))
        self.show_cursor()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        drag = self._view_drag
        if drag is None:
            return
        at = point(event.position())
        dx, dy = at[0] - drag.last[0], at[1] - drag.last[1]
        self._view_drag = _ViewDrag(drag.what, at)
        if drag.what == "pan":
            self._fitted = False
            self._set_view(self._view.panned(dx, dy))
        else:
            # A drag to the right raises the contrast, a drag upwards the brightness.
            window = self._window.changed(-_GREY_PER_PX * dx, _GREY_PER_PX * dy)
            self.set_window_level(window)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._view_drag = None
        self.show_cursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.fit()
        else:
            self.mousePressEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._hold_space(event, True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._hold_space(event, False)

    def _hold_space(self, event: QKeyEvent, down: bool) -> None:
        if event.key() != Qt.Key.Key_Space:
            event.ignore()
        elif not event.isAutoRepeat():
            self._space = down
            self.show_cursor()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self._space = False
        super().focusOutEvent(event)

    # -- appearance -------------------------------------------------------------------------

    def show_cursor(self) -> None:
        """Set the cursor to what the left button does here."""
        if self._view_drag is not None and self._view_drag.what == "pan":
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
        elif self._space:
            self.setCursor(Qt.CursorShape.OpenHandCursor)
        else:
            self.setCursor(self.idle_cursor())

    def idle_cursor(self) -> QCursor | Qt.CursorShape:
        """For subclasses: the cursor while the view is not being dragged."""
        return Qt.CursorShape.ArrowCursor

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.CANVAS))
        if self._frame is None:
            return
        size = (self.width(), self.height())
        self._frame.paint(painter, self._view, size, self.devicePixelRatioF())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.paint_overlay(painter)

    def paint_overlay(self, painter: QPainter) -> None:
        """Paint over the frame, in logical screen px."""
        if self._calibration is not None:
            corner = QPointF(self.width() - 16.5, self.height() - 12.5)
            overlay.paint_scale_bar(painter, self._calibration, self._view, corner)


def point(position: QPointF) -> Point:
    """A Qt point as a plain pair."""
    return position.x(), position.y()
