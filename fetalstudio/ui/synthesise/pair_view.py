"""A synthetic frame on a canvas, and a comparison with the real frame it was made from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.geometry import Size
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import CanvasActions, FrameCanvas
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.key_places import key_of

_SPLIT_WIDTH = 112
"""px; the caption beside the slider needs the room."""


class PairView(QWidget):
    """A ``FrameCanvas`` below a bar with a caption, a split and a button for the real frame (C).

    Without a synthetic image the real frame is shown, and there is nothing to compare.
    """

    tapped = Signal()
    """Space was pressed and released without a drag in between, which would pan."""

    KEYS = (("C", "Show the real frame while held"), ("Space", "Make the ultrasound"))

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._real: NDArray[np.uint8] | None = None
        self._synthetic: NDArray[np.uint8] | None = None
        self._peeking = False
        self._tap = False
        self.canvas = FrameCanvas()
        self.canvas_actions = CanvasActions(self.canvas)
        self.canvas.installEventFilter(self)
        self.caption = ElidedLabel()
        self.split = QSlider(Qt.Orientation.Horizontal)
        self.split.setRange(0, 100)
        self.split.setFixedWidth(_SPLIT_WIDTH)
        self.split.setToolTip("Real frame on the left, synthetic frame on the right")
        self.split.setAccessibleName("Split")
        self.split.valueChanged.connect(self._draw)
        self.peek_button = QPushButton("Real frame")
        self.peek_button.setToolTip(theme.tip("Show the real frame while the button is held", "C"))
        self.peek_button.pressed.connect(lambda: self.peek(True))
        self.peek_button.released.connect(lambda: self.peek(False))

        bar = theme.style(QWidget(), "bar")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        line = QHBoxLayout(bar)
        line.setContentsMargins(2 * theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        line.setSpacing(theme.SPACE)
        line.addWidget(self.caption, 1)
        line.addWidget(theme.style(QLabel("Split"), "dim"))
        line.addWidget(self.split)
        line.addWidget(self.peek_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(bar)
        column.addWidget(self.canvas, 1)
        self._draw()

    def set_real(self, image: NDArray[np.uint8] | None) -> None:
        """Show a real frame, (H, W) uint8, or None; removes the synthetic one and fits the view."""
        self._real, self._synthetic = image, None
        self._draw()
        self.canvas.fit()

    def set_synthetic(self, image: NDArray[np.uint8] | None) -> None:
        """Show a synthetic image or preview, (H, W) or (H, W, 3) uint8; keeps the view."""
        if image is not None and self._real is not None:
            image = _at_size(image, (self._real.shape[1], self._real.shape[0]))
        self._synthetic = image
        self._draw()

    def say(self, text: str, *shorter: str, role: str = "dim") -> None:
        """Set the caption, what it is in a narrow window, and its role in the style sheet."""
        self.caption.setText(text, *shorter)
        theme.style(self.caption, role)

    def peek(self, on: bool) -> None:
        """Show the real frame while ``on``."""
        if on != self._peeking:
            self._peeking = on
            self._draw()

    def shown(self) -> NDArray[np.uint8] | None:
        """The pixels on the canvas."""
        if self._real is None or self._synthetic is None or self._peeking:
            return self._real
        at = round(self.split.value() / 100 * self._real.shape[1])
        if at == 0:
            return self._synthetic
        image = self._synthetic.copy()
        image[:, :at] = self._real[:, :at]
        image[:, at - 1 : at + 1] = 128
        return image

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Holding C on the canvas shows the real frame; tapping Space emits ``tapped``."""
        if isinstance(event, QKeyEvent) and not event.modifiers():
            pressed = event.type() == QEvent.Type.KeyPress
            released = event.type() == QEvent.Type.KeyRelease
            if key_of(event) == Qt.Key.Key_C and (pressed or released):
                if not event.isAutoRepeat():
                    self.peek(pressed)
                return True
            if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
                if released and self._tap:
                    self.tapped.emit()
                self._tap = pressed or (self._tap and not released)
        elif event.type() == QEvent.Type.MouseButtonPress:
            self._tap = False
        elif event.type() == QEvent.Type.FocusOut:
            self._tap = False
            self.peek(False)
        return super().eventFilter(watched, event)

    def _draw(self) -> None:
        comparable = self._real is not None and self._synthetic is not None
        for widget in (self.split, self.peek_button):
            allow(widget, "" if comparable else "There is no image to compare the real frame with.")
        self.canvas.set_image(self.shown())


def _at_size(image: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """A preview, (H, W) or (H, W, 3), as a grey image of the size of the frame."""
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    if (image.shape[1], image.shape[0]) != size:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return image
