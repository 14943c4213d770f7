"""Small images of frames with their ellipse drawn in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, letterbox
from fetalstudio.ui import theme
from fetalstudio.ui.common.pixmaps import shrunk, to_pixmap

ReadPixels = Callable[[str], NDArray[np.uint8] | None]
"""Reads the pixels of a frame, (H, W) uint8, by its id; None where they cannot be read."""


def thumbnail(
    image: NDArray[np.uint8], ellipse: Ellipse | None, width: int, height: int
) -> QPixmap:
    """The frame letterboxed to ``width`` x ``height`` px, with the ellipse drawn in."""
    pixmap = QPixmap(width, height)
    pixmap.fill(QColor(theme.CANVAS))
    small = shrunk(image, width, height)
    h, w = small.shape[:2]
    x0, y0 = (width - w) // 2, (height - h) // 2
    painter = QPainter(pixmap)
    painter.drawPixmap(x0, y0, to_pixmap(small))
    if ellipse is not None:
        place = Affine.translation(x0, y0) @ letterbox((image.shape[1], image.shape[0]), (w, h))
        # QPainter counts from pixel edges, the ellipse from pixel centres.
        outline = place.apply(ellipse.contour(90)) + 0.5
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(theme.ELLIPSE), 1.4))
        painter.drawPolygon(QPolygonF([QPointF(float(x), float(y)) for x, y in outline]))
    painter.end()
    return pixmap


class FrameThumbnail(QLabel):
    """A frame with its ellipse, fitted into the space that the layout gives."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: NDArray[np.uint8] | None = None
        self._ellipse: Ellipse | None = None
        self._placeholder = self._otherwise = placeholder
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setProperty("role", "dim")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(QSize(120, 110))
        self._draw()

    def show_frame(
        self,
        image: NDArray[np.uint8] | None,
        ellipse: Ellipse | None = None,
        *,
        otherwise: str = "",
    ) -> None:
        """Show a frame, or for None the text ``otherwise`` (default: the placeholder)."""
        self._image, self._ellipse = image, ellipse
        self._otherwise = otherwise or self._placeholder
        self._draw()

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """The pixels on screen, or None."""
        return self._image

    def resizeEvent(self, event: object) -> None:
        """Draw at the new size."""
        self._draw()

    def _draw(self) -> None:
        width = self.width()
        self.setFixedHeight(max(110, round(width * 2 / 3)))
        if self._image is None:
            self.setText(self._otherwise)
            return
        self.setPixmap(thumbnail(self._image, self._ellipse, width, self.height()))
