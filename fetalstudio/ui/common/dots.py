"""Dots in the colour of what they stand for."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap

DOT = 10
"""px; the width of the icon."""


def dot_icon(colour: str) -> QIcon:
    """A dot of this colour."""
    pixmap = QPixmap(DOT * 2, DOT * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(3, 3, 2 * DOT - 6, 2 * DOT - 6)
    painter.end()
    pixmap.setDevicePixelRatio(2)
    return QIcon(pixmap)
