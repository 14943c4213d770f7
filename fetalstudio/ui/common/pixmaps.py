"""Images as numpy arrays, made into pixmaps."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage, QPixmap


def to_pixmap(image: NDArray[np.uint8]) -> QPixmap:
    """An (H, W) grey or (H, W, 3) RGB uint8 image as a pixmap of the same size."""
    data = np.ascontiguousarray(image)
    h, w = data.shape[:2]
    kind = QImage.Format.Format_Grayscale8 if data.ndim == 2 else QImage.Format.Format_RGB888
    return QPixmap.fromImage(QImage(data.data, w, h, data.strides[0], kind))


def shrunk(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The image scaled down uniformly to fit into ``width`` x ``height`` px; never enlarged."""
    h, w = image.shape[:2]
    scale = min(width / w, height / h, 1.0)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
