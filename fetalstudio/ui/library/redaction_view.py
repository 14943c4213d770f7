"""A scanner's screen on which a person says what is blacked out."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import Keep, Layout
from fetalstudio.ui import theme

_NEAR = 7
"""Screen px within which the pointer takes hold of an edge."""
_LEAST = 4
"""Image px; the least side of a box."""
_REMOVED = 0.4
"""Brightness of what is blacked out, so that a person sees what goes."""

_Edge = Literal["left", "top", "right", "bottom"]
_MOVES = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_RECTANGLE = -1
"""Stands for the rectangle among the numbers of the boxes."""


class RedactionView(QWidget):
    """Shows a frame, dim and red where it is blacked out, with boxes that can be changed. ``text``
    is what is found in this frame, and is dotted.

    A drag on the picture draws a box, a drag on an edge or a corner changes it, and one inside
    moves it. Delete removes the box that was clicked, arrows move it by 1 px (with Shift, 10 px).
    """

    changed = Signal()
    """What is blacked out, or the chosen box, was changed."""

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        layout: Layout,
        text: tuple[Box, ...] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setMinimumSize(360, 270)
        self.setAccessibleName("What is blacked out of the frame")
        self._pixels, self._text = pixels, text
        whole = Box(0, 0, pixels.shape[1], pixels.shape[0])
        self.layout_shown = replace(layout, rectangle=layout.rectangle or whole)
        """What is confirmed: see :class:`~fetalstudio.formats.privacy.redaction.Layout`."""
        self._sector = Layout("sector").kept(pixels)
        self._before: list[Layout] = []
        self.chosen: int | None = None
        """The number of the box that was clicked."""
        self._drag: tuple[int, frozenset[_Edge], QPointF, Box] | None = None
        self._image = self._composed()

    def sizeHint(self) -> QSize:
        return QSize(820, 560)

    # -- changing ---------------------------------------------------------------------------

    def set_keep(self, keep: Keep) -> None:
        """Keep the sector, the rectangle or everything."""
        self._change(replace(self.layout_shown, keep=keep))

    def set_find_text(self, find: bool) -> None:
        """Whether text is found in each frame as well."""
        self._change(replace(self.layout_shown, find_text=find))

    def remove_chosen(self) -> None:
        """Keep what the chosen box blacks out."""
        if self.chosen is not None:
            boxes = self.layout_shown.boxes
            kept = boxes[: self.chosen] + boxes[self.chosen + 1 :]
            self.chosen = None
            self._change(replace(self.layout_shown, boxes=kept))

    @property
    def can_undo(self) -> bool:
        return bool(self._before)

    def undo(self) -> None:
        """Take the last change back."""
        if self._before:
            self.layout_shown, self.chosen = self._before.pop(), None
            self._show()

    def _change(self, layout: Layout) -> None:
        if layout != self.layout_shown:
            self._before.append(self.layout_shown)
            self.layout_shown = layout
        self._show()

    def _show(self) -> None:
        self._image = self._composed()
        self.changed.emit()
        self.update()

    def _box(self, number: int) -> Box:
        if number == _RECTANGLE:
            assert self.layout_shown.rectangle is not None
            return self.layout_shown.rectangle
        return self.layout_shown.boxes[number]

    def _with(self, number: int, box: Box) -> Layout:
        if number == _RECTANGLE:
            return replace(self.layout_shown, rectangle=box)
        boxes = list(self.layout_shown.boxes)
        boxes[number] = box
        return replace(self.layout_shown, boxes=tuple(boxes))

    # -- where things are -------------------------------------------------------------------

    @property
    def _scale(self) -> float:
        height, width = self._pixels.shape
        return min(self.width() / width, self.height() / height)

    @property
    def _origin(self) -> QPointF:
        height, width = self._pixels.shape
        scale = self._scale
        return QPointF((self.width() - width * scale) / 2, (self.height() - height * scale) / 2)

    def to_screen(self, x: float, y: float) -> QPointF:
        """Image px to px of the widget."""
        return self._origin + QPointF(x, y) * self._scale

    def _to_image(self, at: QPointF) -> QPointF:
        return (at - self._origin) / self._scale

    def _on_screen(self, box: Box) -> QRectF:
        return QRectF(self.to_screen(box.left, box.top), self.to_screen(box.right, box.bottom))

    def _hit(self, at: QPointF) -> tuple[int, frozenset[_Edge]] | None:
        """The box at a point, and the edges that a drag there moves; none of them moves it all."""
        numbers = list(range(len(self.layout_shown.boxes)))[::-1]
        if self.layout_shown.keep != "all":
            numbers.append(_RECTANGLE)
        for number in numbers:
            rect = self._on_screen(self._box(number))
            if not rect.adjusted(-_NEAR, -_NEAR, _NEAR, _NEAR).contains(at):
                continue
            distances: dict[_Edge, float] = {
                "left": abs(at.x() - rect.left()),
                "right": abs(at.x() - rect.right()),
                "top": abs(at.y() - rect.top()),
                "bottom": abs(at.y() - rect.bottom()),
            }
            edges = frozenset(edge for edge, away in distances.items() if away <= _NEAR)
            if edges or number != _RECTANGLE:
                small = min(rect.width(), rect.height()) < 3 * _NEAR
                inside = small and rect.contains(at) and number != _RECTANGLE
                return number, frozenset() if inside else edges
        return None

    # -- painting ---------------------------------------------------------------------------

    @property
    def _black(self) -> tuple[Box, ...]:
        """The boxes, and the text in this frame where text is found in each."""
        layout = self.layout_shown
        return layout.boxes + (self._text if layout.find_text else ())

    def _composed(self) -> QImage:
        """The frame in colours: what is blacked out is dim and red."""
        layout = self.layout_shown
        kept = self._sector.copy() if layout.keep == "sector" else np.ones_like(self._sector)
        if layout.keep != "all" and layout.rectangle is not None:
            inside = np.zeros_like(kept)
            inside[layout.rectangle.of] = kept[layout.rectangle.of]
            kept = inside
        for box in self._black:
            kept[box.of] = 0
        dim = cv2.convertScaleAbs(self._pixels, alpha=_REMOVED)
        rgb = np.stack([self._pixels] * 3, axis=-1)
        gone = kept == 0
        rgb[gone] = np.stack([dim + np.uint8(56), dim, dim], axis=-1)[gone]
        height, width = self._pixels.shape
        return QImage(rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888).copy()

    def paintEvent(self, event: QPaintEvent) -> None:
        height, width = self._pixels.shape
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(theme.CANVAS))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self._on_screen(Box(0, 0, width, height)), self._image)
        if self.layout_shown.keep != "all":
            painter.setPen(QPen(QColor(theme.ACCENT), 2))
            painter.drawRect(self._on_screen(self._box(_RECTANGLE)))
        if self.layout_shown.find_text:
            painter.setPen(QPen(QColor(theme.ERROR), 1, Qt.PenStyle.DotLine))
            for box in self._text:
                painter.drawRect(self._on_screen(box))
        for number, box in enumerate(self.layout_shown.boxes):
            colour = theme.TEXT_BRIGHT if number == self.chosen else theme.ERROR
            painter.setPen(QPen(QColor(colour), 2 if number == self.chosen else 1))
            painter.drawRect(self._on_screen(box))
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.BORDER), 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    # -- mouse and keys ---------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        at = event.position()
        hit = self._hit(at)
        start = self._to_image(at)
        if hit is None:
            corner = self._clipped(Box(int(start.x()), int(start.y()), int(start.x()), 0))
            box = Box(corner.left, corner.top, corner.left + 1, corner.top + 1)
            self._before.append(self.layout_shown)
            boxes = (*self.layout_shown.boxes, box)
            self.layout_shown = replace(self.layout_shown, boxes=boxes)
            hit = len(boxes) - 1, frozenset[_Edge](("right", "bottom"))
        else:
            self._before.append(self.layout_shown)
        self.chosen = None if hit[0] == _RECTANGLE else hit[0]
        self._drag = (*hit, start, self._box(hit[0]))
        self._show()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is None:
            hit = self._hit(event.position())
            self.setCursor(_cursor(hit[1]) if hit else Qt.CursorShape.CrossCursor)
            return
        number, edges, start, box = self._drag
        moved = self._to_image(event.position()) - start
        self.layout_shown = self._with(
            number, self._moved(box, edges, round(moved.x()), round(moved.y()))
        )
        self._image = self._composed()
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._drag is None or event.button() != Qt.MouseButton.LeftButton:
            return
        number, self._drag = self._drag[0], None
        box = self._box(number)
        if min(box.right - box.left, box.bottom - box.top) < _LEAST or (
            self._before[-1] == self.layout_shown
        ):
            # A click, which changes nothing; a new box that small was none.
            self.layout_shown = self._before.pop()
            if number >= len(self.layout_shown.boxes):
                self.chosen = None
        self._show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_chosen()
        elif key in _MOVES and self.chosen is not None:
            far = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            x, y = _MOVES[key]
            box = self._moved(self._box(self.chosen), frozenset(), x * far, y * far)
            self._change(self._with(self.chosen, box))
        else:
            super().keyPressEvent(event)

    def _moved(self, box: Box, edges: frozenset[_Edge], x: int, y: int) -> Box:
        """The box with these edges moved, or all of it."""
        height, width = self._pixels.shape
        if not edges:
            x = min(max(x, -box.left), width - box.right)
            y = min(max(y, -box.top), height - box.bottom)
            return Box(box.left + x, box.top + y, box.right + x, box.bottom + y)
        left = box.left + (x if "left" in edges else 0)
        right = box.right + (x if "right" in edges else 0)
        top = box.top + (y if "top" in edges else 0)
        bottom = box.bottom + (y if "bottom" in edges else 0)
        return self._clipped(
            Box(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
        )

    def _clipped(self, box: Box) -> Box:
        """The box within the frame, at least a pixel wide and high."""
        height, width = self._pixels.shape
        left, top = min(max(box.left, 0), width - 1), min(max(box.top, 0), height - 1)
        return Box(
            left, top, max(min(box.right, width), left + 1), max(min(box.bottom, height), top + 1)
        )


def _cursor(edges: frozenset[_Edge]) -> Qt.CursorShape:
    if not edges:
        return Qt.CursorShape.SizeAllCursor
    if edges <= {"left", "right"}:
        return Qt.CursorShape.SizeHorCursor
    if edges <= {"top", "bottom"}:
        return Qt.CursorShape.SizeVerCursor
    falling = edges in ({"left", "top"}, {"right", "bottom"})
    return Qt.CursorShape.SizeFDiagCursor if falling else Qt.CursorShape.SizeBDiagCursor
