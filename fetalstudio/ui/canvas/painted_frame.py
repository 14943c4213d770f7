"""A frame as it is painted: through a grey window, and resampled to suit the zoom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter

from fetalstudio.core.geometry import Size
from fetalstudio.ui.canvas.view import Point, View

NEAREST_ABOVE = 4.0
"""Device px per image px; at a larger zoom single pixels are shown as squares."""


@dataclass(frozen=True, slots=True)
class GreyWindow:
    """The grey values that are shown: ``level`` - ``width`` / 2 to ``level`` + ``width`` / 2."""

    width: float = 255.0
    level: float = 127.5

    def changed(self, width: float, level: float) -> GreyWindow:
        """Wider by ``width`` and higher by ``level`` grey values, within [2, 510] and [0, 255]."""
        return GreyWindow(
            min(max(self.width + width, 2.0), 510.0), min(max(self.level + level, 0.0), 255.0)
        )

    def table(self) -> NDArray[np.uint8]:
        """The displayed value of each of the 256 grey values, (256,) uint8."""
        values = (np.arange(256) - self.level) / self.width + 0.5
        return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


class PaintedFrame:
    """A frame, (H, W) uint8, ready to be painted at any zoom."""

    def __init__(self, pixels: NDArray[np.uint8], window: GreyWindow) -> None:
        if pixels.ndim != 2 or pixels.dtype != np.uint8:
            raise ValueError(f"a frame is an (H, W) uint8 array, not {pixels.shape} {pixels.dtype}")
        self.pixels = pixels
        self.size: Size = (pixels.shape[1], pixels.shape[0])
        self._levels: list[NDArray[np.uint8]] = []
        self.set_window(window)

    def set_window(self, window: GreyWindow) -> None:
        """Change the grey window."""
        self._levels = [np.ascontiguousarray(window.table()[self.pixels])]

    def paint(self, painter: QPainter, view: View, viewport: Size, device_ratio: float) -> None:
        """Paint the visible part of the frame on a viewport of (width, height) logical px."""
        device_scale = view.scale * device_ratio
        halvings = max(0, math.floor(math.log2(1 / device_scale)))
        pixels = self._level(halvings)
        # The scale from the frame to this smaller copy; sides are rounded up, hence two factors.
        sx, sy = pixels.shape[1] / self.size[0], pixels.shape[0] / self.size[1]
        x1, y1, x2, y2 = self._seen(view, viewport)
        left, top = view.to_screen((x1 - 0.5, y1 - 0.5))
        target = QRectF(left, top, (x2 - x1) * view.scale, (y2 - y1) * view.scale)
        source = QRectF(x1 * sx, y1 * sy, (x2 - x1) * sx, (y2 - y1) * sy)
        smooth = device_scale < NEAREST_ABOVE
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(target, _image(pixels), source)

    def _seen(self, view: View, viewport: Size) -> tuple[int, int, int, int]:
        """The visible box of pixels (x1, y1, x2, y2), so that a large zoom stays cheap."""

        def span(low: float, high: float, length: int) -> tuple[int, int]:
            return max(0, math.floor(low)), min(length, math.ceil(high) + 1)

        low: Point = view.to_image((0, 0))
        high: Point = view.to_image((float(viewport[0]), float(viewport[1])))
        x1, x2 = span(low[0], high[0], self.size[0])
        y1, y2 = span(low[1], high[1], self.size[1])
        return x1, y1, max(x1, x2), max(y1, y2)

    def _level(self, halvings: int) -> NDArray[np.uint8]:
        """The frame at 1 / 2^halvings by area means, as bilinear sampling alone would alias."""
        while len(self._levels) <= halvings and min(self._levels[-1].shape) > 1:
            h, w = self._levels[-1].shape
            half = ((w + 1) // 2, (h + 1) // 2)
            self._levels.append(
                cv2.resize(self._levels[-1], half, interpolation=cv2.INTER_AREA).astype(np.uint8)
            )
        return self._levels[min(halvings, len(self._levels) - 1)]


def _image(pixels: NDArray[np.uint8]) -> QImage:
    """A view of the pixels, which must outlive it."""
    h, w = pixels.shape
    return QImage(pixels.data, w, h, pixels.strides[0], QImage.Format.Format_Grayscale8)
