"""A frame with its ellipse, edited with the mouse and the keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCursor,
    QFocusEvent,
    QHideEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
)
from PySide6.QtWidgets import QWidget

from fetalstudio.core.biometry import Spread
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import overlay
from fetalstudio.ui.canvas.drafts import BoxDraft, Draft, Tool, begin_draft, placed
from fetalstudio.ui.canvas.frame_view import FrameView, point
from fetalstudio.ui.canvas.handles import Handle, Shape, handle_points, hit, with_knob_in_sight
from fetalstudio.ui.canvas.keys import KEYS, edited_by_key
from fetalstudio.ui.canvas.overlay import EllipseStyle
from fetalstudio.ui.canvas.view import Point
from fetalstudio.ui.common.key_places import key_of

CLICK_PX = 6.0
"""Screen px; a shorter stroke is a click."""
MERGE_MS = 400
"""Key strokes that follow each other within this time are one edit."""
_HELD_MS = 1500
"""A key that is held down repeats sooner; what it does in all is one edit."""

_ANCHORED = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier
_GHOST = EllipseStyle(theme.STATE_COLOURS["proposed"], dashed=True)
_REPLACED = EllipseStyle(theme.TEXT_OFF, dashed=True)


@dataclass(frozen=True, slots=True)
class _HandleDrag:
    handle: Handle
    start: Point
    shape: Shape


class FrameCanvas(FrameView):
    """A frame with an ellipse on it; knows neither project nor session.

    The left button drags the handles, draws where there is no ellipse yet, and pans elsewhere.
    Three gestures can be unfinished: a handle drag and a draft, which Esc cancels, and key strokes
    that :meth:`flush` turns into one edit. A new image (a live preview) leaves them alone; call
    :meth:`leave_gesture` before another frame is shown.
    """

    KEYS = KEYS

    ellipse_changing = Signal(object)
    """The ellipse (or None) during a gesture."""
    ellipse_edited = Signal(object)
    """The ellipse (or None) after a gesture: one undoable edit."""
    ruler_drawn = Signal(object)
    """The two ends ((x, y), (x, y)), in image px, of a line drawn with the ruler."""
    state_changed = Signal()
    """There is an ellipse now or none any more, or it became :attr:`editable` or not."""
    tool_changed = Signal(object)
    """The new :class:`Tool`."""
    hint_changed = Signal(str)
    """The next step while something is being drawn, else empty."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ellipse: Ellipse | None = None
        self._shape: Shape | None = None
        self._ghost: Shape | None = None
        self._spread: Spread | None = None
        self._compared: list[tuple[Shape, EllipseStyle]] = []
        self._style = EllipseStyle()
        self._editable, self._peeking = True, False
        self._tool, self._drawing_tool = Tool.EDIT, Tool.CALLIPER
        self._drag: _HandleDrag | None = None
        self._draft: Draft | None = None
        self._hover: Handle | None = None
        self._turn_cursor = overlay.turn_cursor()
        self._key_edits = QTimer(self)
        self._key_edits.setSingleShot(True)
        self._key_edits.timeout.connect(self._commit)
        self.setMouseTracking(True)
        self.setAccessibleName("Frame and ellipse")

    # -- what is shown ----------------------------------------------------------------------

    def set_ellipse(self, ellipse: Ellipse | None) -> None:
        """Show this ellipse. During a drag it becomes the ellipse that Esc restores."""
        self.flush()
        if ellipse == self._ellipse and self._drag is None:
            return
        self._keep(ellipse)
        if self._drag is None:
            self._shape = None  # The turn knob starts at its usual end for another ellipse.
            self._show(ellipse)

    @property
    def empty(self) -> bool:
        """Whether there is no ellipse, apart from one that is being drawn."""
        return self._ellipse is None

    def ellipse(self) -> Ellipse | None:
        """The ellipse as it is on screen, even during a gesture."""
        if self._drag is None and self._draft is None and not self._key_edits.isActive():
            return self._ellipse
        shape = self._live_shape()
        return None if shape is None else shape.ellipse()

    def set_ghost(self, ellipse: Ellipse | None) -> None:
        """Show a second ellipse, for comparison: dashed, without handles."""
        self._ghost = None if ellipse is None else Shape.of(ellipse)
        self.update()

    def ghost(self) -> Ellipse | None:
        """The second ellipse that is shown for comparison."""
        return None if self._ghost is None else self._ghost.ellipse()

    def set_compared(self, ellipses: Sequence[tuple[Ellipse, EllipseStyle]]) -> None:
        """Show further ellipses without handles, such as those of several observers."""
        self._compared = [(Shape.of(ellipse), style) for ellipse, style in ellipses]
        self.update()

    def set_spread(self, spread: Spread | None) -> None:
        """Show how uncertain the ellipse is: a faint double outline where it may be far off."""
        self._spread = spread
        self.update()

    def handle_points(self) -> dict[Handle, Point]:
        """The positions of the ellipse's handles on screen; empty if there is no ellipse."""
        return {} if self._shape is None else handle_points(self._shape, self._view)

    def set_style(self, style: EllipseStyle) -> None:
        """Set the colour, dashes and label of the ellipse."""
        self._style = style
        self.update()

    @property
    def editable(self) -> bool:
        """Whether the ellipse can be drawn and changed."""
        return self._editable

    def set_editable(self, editable: bool) -> None:
        """Allow or forbid drawing and changing the ellipse; it is allowed at first."""
        self.leave_gesture()
        self._editable = editable
        self.state_changed.emit()
        self.view_moved()
        self.update()

    def peek(self, peeking: bool) -> None:
        """Hide everything but the frame, as H does while it is held."""
        self._peeking = peeking
        self.view_moved()
        self.update()

    def view_moved(self) -> None:
        if self._shape is not None and self._drag is None:
            self._shape = with_knob_in_sight(self._shape, self._view, self._viewport())
        self._look_for_handle(point(QPointF(self.mapFromGlobal(QCursor.pos()))))

    def _show(self, ellipse: Ellipse | None) -> None:
        self._shape = None if ellipse is None else Shape.of(ellipse, like=self._shape)
        self.view_moved()
        self.update()

    def _live_shape(self) -> Shape | None:
        drawing = self._draft is not None and self._tool is not Tool.RULER
        return self._draft.shape if self._draft is not None and drawing else self._shape

    def _live_style(self, shape: Shape) -> EllipseStyle:
        """The style of the shape on screen.

        What a person draws or changes is no longer the proposal that the style may speak of.
        """
        dragged = self._drag is not None and self._drag.shape is not shape
        if dragged or self._key_edits.isActive() or shape is not self._shape:
            return EllipseStyle(self._style.colour)
        return self._style

    # -- tools and edits --------------------------------------------------------------------

    @property
    def tool(self) -> Tool:
        """The tool of the left button."""
        return self._tool

    def set_tool(self, tool: Tool) -> None:
        """Choose the tool of the left button; an unfinished draft is cancelled."""
        self.leave_gesture()
        self._tool = tool
        if tool in (Tool.CALLIPER, Tool.BOX):
            self._drawing_tool = tool
        self.view_moved()
        self.tool_changed.emit(tool)
        self.hint_changed.emit(tool.hint)
        self.update()

    @property
    def drawing(self) -> bool:
        """Whether a line or box is unfinished."""
        return self._draft is not None

    def flush(self) -> None:
        """Turn pending key strokes into an edit now."""
        if self._key_edits.isActive():
            self._key_edits.stop()
            self._commit()

    def cancel(self) -> bool:
        """Cancel an unfinished stroke and show the ellipse as it was. False if there was none."""
        busy = self._drag is not None or self._draft is not None
        self._drag = None
        self._end_draft()
        if busy:
            self._show(self._ellipse)
            self.ellipse_changing.emit(self._ellipse)
        return busy

    def leave_gesture(self) -> None:
        """Turn pending key strokes into an edit, and cancel an unfinished stroke."""
        self.flush()
        self.cancel()

    def remove(self) -> None:
        """Remove the ellipse: one edit."""
        self.leave_gesture()
        if self._editable:
            self._shape = None
            self._commit()

    def place(self) -> None:
        """Put an ellipse in the middle of what is in sight, where there is none: one edit."""
        self.leave_gesture()
        if self._editable and self._frame is not None and self.empty:
            corners = self._view.to_image((0.0, 0.0)), self._view.to_image(self._viewport())
            self.set_tool(Tool.EDIT)
            self._shape = placed(self._frame.pixels, *corners)
            self._commit()

    def _keep(self, ellipse: Ellipse | None) -> None:
        was_empty, self._ellipse = self.empty, ellipse
        if self.empty is not was_empty:
            self.state_changed.emit()

    def _commit(self) -> None:
        """Make the live shape the ellipse."""
        ellipse = None if self._shape is None else self._shape.ellipse()
        self._drag = None
        self._show(ellipse)
        if ellipse != self._ellipse:
            self._keep(ellipse)
            self.ellipse_edited.emit(ellipse)

    def _change(self, shape: Shape) -> None:
        self._shape = shape
        self.update()
        self.ellipse_changing.emit(shape.ellipse())

    # -- the mouse --------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None:
            return  # A second button during a drag does nothing.
        left = event.button() == Qt.MouseButton.LeftButton
        if self._frame is None or self._view_drag or self._space or not left:
            super().mousePressEvent(event)
            return
        at = point(event.position())
        self.flush()
        tool = self._tool_here()
        if self._draft is not None:
            return  # A point is set where the button is released.
        if tool is not Tool.EDIT:
            self._begin_draft(tool, at)
            return
        handle = self._handle_at(at)
        if handle is None or self._shape is None:
            super().mousePressEvent(event)
        else:
            self._drag = _HandleDrag(handle, self._view.to_image(at), self._shape)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = point(event.position())
        if self._view_drag is not None:
            super().mouseMoveEvent(event)
        elif self._drag is not None:
            self._change(self._dragged(self._drag, at, event.modifiers()))
        elif self._draft is not None:
            self._draft.move(self._view.to_image(at), modified=_shift(event))
            self._draft_changed()
        else:
            self._look_for_handle(at)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        at = point(event.position())
        if self._view_drag is not None or event.button() != Qt.MouseButton.LeftButton:
            super().mouseReleaseEvent(event)
        elif self._drag is not None:
            start, self._shape = self._drag.shape, self._dragged(self._drag, at, event.modifiers())
            self._commit() if self._shape != start else self.cancel()
        elif self._draft is not None:
            self._release_draft(self._draft, self._view.to_image(at), modified=_shift(event))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        clicked_once = self._draft is not None and self._draft.shape is None
        on_handle = self._handle_at(point(event.position())) is not None
        if on_handle or (self._draft is not None and not clicked_once):
            self.mousePressEvent(event)
            return
        self.cancel()  # The first click of the two began a draft, if there is no ellipse.
        super().mouseDoubleClickEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover = None
        self.update()
        super().leaveEvent(event)

    def _tool_here(self) -> Tool:
        """The tool that a press uses: without an ellipse, the last drawing tool."""
        empty = self._tool is Tool.EDIT and self._editable and self._shape is None
        return self._drawing_tool if empty else self._tool

    def _dragged(self, drag: _HandleDrag, at: Point, held: Qt.KeyboardModifier) -> Shape:
        to = self._view.to_image(at)
        if drag.handle is Handle.CENTRE and self._frame is not None:
            dx, dy = to[0] - drag.start[0], to[1] - drag.start[1]
            return drag.shape.moved(dx, dy, self._frame.size)
        return drag.shape.dragged(drag.handle, drag.start, to, anchored=bool(held & _ANCHORED))

    def _begin_draft(self, tool: Tool, at: Point) -> None:
        if tool is not self._tool:
            self.set_tool(tool)
        self._draft = begin_draft(tool, self._view.to_image(at), CLICK_PX / self._view.scale)
        self._draft_changed()

    def _draft_changed(self) -> None:
        if self._draft is not None:
            self.hint_changed.emit(self._draft.hint)
            if self._draft.shape is not None:
                self.ellipse_changing.emit(self._draft.shape.ellipse())
        self.update()

    def _release_draft(self, draft: Draft, at: Point, *, modified: bool) -> None:
        complete = draft.release(at, modified=modified)
        if not complete and isinstance(draft, BoxDraft):
            self.cancel()
        elif not complete:
            self._draft_changed()
        else:
            tool, shape, line = self._tool, draft.shape, draft.line
            self._end_draft()
            self.set_tool(Tool.EDIT)
            if tool is Tool.RULER:
                self.ruler_drawn.emit(line)
            else:
                self._shape = shape
                self._commit()

    def _end_draft(self) -> None:
        if self._draft is not None:
            self._draft = None
            self.hint_changed.emit("")

    # -- the keys ---------------------------------------------------------------------------

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            if self._edited_by(event) is not None:
                event.accept()  # The canvas comes before any shortcut of the window.
                return True
            if event.matches(QKeySequence.StandardKey.Undo) and self.cancel():
                event.accept()  # The unfinished stroke is the most recent action.
                return True
            self.flush()  # Undo, or another frame, must find the key strokes as an edit.
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        edited = self._edited_by(event)
        if edited is not None:
            self._change(edited)
            self._key_edits.start(_HELD_MS)
        elif event.key() == Qt.Key.Key_Escape:
            if not self.cancel() and self._tool is Tool.EDIT:
                event.ignore()
            self.set_tool(Tool.EDIT)
        elif key_of(event) == Qt.Key.Key_H and not event.modifiers():
            self.peek(True)
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if self._key_edits.isActive() and not event.isAutoRepeat():
            self._key_edits.start(MERGE_MS)
        if key_of(event) != Qt.Key.Key_H:
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat():
            self.peek(False)

    def _edited_by(self, event: QKeyEvent) -> Shape | None:
        free = self._editable and self._drag is None and self._draft is None
        if self._shape is None or self._frame is None or not free:
            return None
        return edited_by_key(self._shape, event, self._frame.size)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.flush()
        self.peek(False)
        super().focusOutEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        self.leave_gesture()
        super().hideEvent(event)

    # -- appearance -------------------------------------------------------------------------

    def _handle_at(self, at: Point) -> Handle | None:
        usable = self._editable and self._tool is Tool.EDIT and not self._peeking
        return hit(self.handle_points(), at) if usable else None

    def _look_for_handle(self, at: Point) -> None:
        """Find the handle under the pointer after either has moved."""
        if self._drag is not None:
            return
        hover = self._handle_at(at) if self.underMouse() else None
        if hover is not self._hover:
            self._hover = hover
            self.update()
        self.show_cursor()

    def idle_cursor(self) -> QCursor | Qt.CursorShape:
        if self._hover is Handle.TURN:
            return self._turn_cursor
        if self._hover is Handle.CENTRE:
            return Qt.CursorShape.SizeAllCursor
        if self._hover is not None and self._shape is not None:
            return overlay.axis_cursor(self._shape.outward(self._hover))
        if self._tool_here() is not Tool.EDIT:
            return Qt.CursorShape.CrossCursor
        return Qt.CursorShape.ArrowCursor

    def paint_overlay(self, painter: QPainter) -> None:
        super().paint_overlay(painter)
        if self._peeking:
            return
        for compared, style in self._compared:
            overlay.paint_ellipse(painter, compared, self._view, style)
        if self._ghost is not None:
            overlay.paint_ellipse(painter, self._ghost, self._view, _GHOST)
        shape, colour = self._live_shape(), self._style.colour
        if self._draft is not None and shape is not self._shape and self._shape is not None:
            overlay.paint_ellipse(painter, self._shape, self._view, _REPLACED)
        if self._spread is not None and self._ellipse is not None and shape is self._shape:
            of = Shape.of(self._ellipse)
            overlay.paint_spread(painter, of, self._spread, self._view, colour)
        if shape is not None:
            overlay.paint_ellipse(painter, shape, self._view, self._live_style(shape))
        if self._drag is not None and shape is not None:
            overlay.paint_axes(painter, shape, self._view, colour)
        elif shape is not None and self._draft is None and self._editable:
            overlay.paint_handles(painter, shape, self._view, colour, self._hover)
        if self._draft is not None and self._draft.line is not None:
            overlay.paint_line(painter, self._draft.line, self._view, theme.ELLIPSE)


def _shift(event: QMouseEvent) -> bool:
    return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
