"""From numpy pictures to what Qt paints."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, letterbox
from fetalstudio.ui import theme


def to_pixmap(image: NDArray[np.uint8]) -> QPixmap:
    """An (H, W) grey or (H, W, 3) RGB uint8 picture as a pixmap of the same size."""
    data = np.ascontiguousarray(image)
    h, w = data.shape[:2]
    kind = QImage.Format.Format_Grayscale8 if data.ndim == 2 else QImage.Format.Format_RGB888
    return QPixmap.fromImage(QImage(data.data, w, h, data.strides[0], kind))


def shrunk(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture made to fit into ``width`` x ``height`` px, one scale; never enlarged."""
    h, w = image.shape[:2]
    scale = min(width / w, height / h, 1.0)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def framed(
    image: NDArray[np.uint8], ellipse: Ellipse | None, width: int, height: int, colour: str
) -> QPixmap:
    """A picture of exactly ``width`` x ``height`` px: the frame with bars, the ellipse drawn in."""
    pixmap = QPixmap(width, height)
    pixmap.fill(QColor(theme.CANVAS))
    small = shrunk(image, width, height)
    h, w = small.shape[:2]
    x0, y0 = (width - w) // 2, (height - h) // 2
    painter = QPainter(pixmap)
    painter.drawPixmap(x0, y0, to_pixmap(small))
    if ellipse is not None:
        place = Affine.translation(x0, y0) @ letterbox((image.shape[1], image.shape[0]), (w, h))
        # Painters count from pixel edges, the ellipse from pixel centres.
        outline = place.apply(ellipse.contour(90)) + 0.5
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(colour), 1.4))
        painter.drawPolygon(QPolygonF([QPointF(float(x), float(y)) for x, y in outline]))
    painter.end()
    return pixmap


class Picture(QLabel):
    """A frame with its ellipse, fitted into whatever room the layout gives."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: NDArray[np.uint8] | None = None
        self._ellipse: Ellipse | None = None
        self._placeholder = self._otherwise = placeholder
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setProperty("role", "dim")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumSize(QSize(160, 110))
        self._draw()

    def show_frame(
        self,
        image: NDArray[np.uint8] | None,
        ellipse: Ellipse | None = None,
        *,
        otherwise: str = "",
    ) -> None:
        """Show a frame, or for None what is said ``otherwise`` (default: the placeholder)."""
        self._image, self._ellipse = image, ellipse
        self._otherwise = otherwise or self._placeholder
        self._draw()

    @property
    def image(self) -> NDArray[np.uint8] | None:
        """What is shown."""
        return self._image

    def resizeEvent(self, event: object) -> None:
        """Draw anew at the new size."""
        self._draw()

    def _draw(self) -> None:
        width = self.width()
        self.setFixedHeight(max(110, round(width * 2 / 3)))
        if self._image is None:
            self.setText(self._otherwise)
            return
        self.setPixmap(framed(self._image, self._ellipse, width, self.height(), theme.ELLIPSE))


class FittedPicture(QLabel):
    """A picture of any shape, as large as the layout gives room for; it asks for none itself."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._picture: NDArray[np.uint8] | None = None
        self._placeholder = placeholder
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setProperty("role", "dim")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setMinimumSize(QSize(160, 110))
        self.show_picture(None)

    def show_picture(self, picture: NDArray[np.uint8] | None) -> None:
        """Show (H, W) or (H, W, 3) uint8, or the placeholder for None."""
        self._picture = picture
        if picture is None:
            self.setText(self._placeholder)
        else:
            self.setPixmap(to_pixmap(shrunk(picture, self.width(), self.height())))

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The picture at its own size."""
        return self._picture

    def resizeEvent(self, event: object) -> None:
        """Fit anew."""
        self.show_picture(self._picture)
