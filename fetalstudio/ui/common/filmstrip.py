"""A row of small images, the newest at the end."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QDialog,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui.common.pixmaps import shrunk, to_pixmap

KEPT = 24
"""Older images are dropped, so that a long batch does not fill the memory."""
LARGE = (1200, 800)
"""Largest size of an enlarged image, (width, height) in px."""
_NARROWEST, _WIDEST = 1.5, 3.0
"""Width of an image in the row in heights: a caption needs some room, and other images too."""


class Filmstrip(QListWidget):
    """Previews of a batch or a training; hidden while empty."""

    def __init__(self, height: int = 104, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: deque[NDArray[np.uint8]] = deque(maxlen=KEPT)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setMovement(QListView.Movement.Static)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setSelectionMode(QListWidget.SelectionMode.NoSelection)
        self._height = height
        self.setSpacing(2)
        self.setFixedHeight(height + 44)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Click an image to enlarge it")
        self.itemClicked.connect(lambda item: self._enlarge(self.row(item), item.text()))
        self.hide()

    def add(self, image: NDArray[np.uint8], caption: str = "") -> None:
        """Append an image, (H, W) or (H, W, 3) uint8, and scroll to it."""
        if not self._images:
            self._fit(image)
        size = self.iconSize()
        if len(self._images) == KEPT:
            self.takeItem(0)
        self._images.append(image)
        small = to_pixmap(shrunk(image, size.width(), size.height()))
        item = QListWidgetItem(QIcon(small), caption)
        item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.addItem(item)
        self.show()
        self.scrollToItem(item)

    def _fit(self, image: NDArray[np.uint8]) -> None:
        """Give wide images, such as a row of frames, the whole height too."""
        aspect = min(max(image.shape[1] / image.shape[0], _NARROWEST), _WIDEST)
        self.setIconSize(QSize(round(self._height * aspect), self._height))

    def _enlarge(self, index: int, caption: str) -> None:
        window = QDialog(self)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle(caption)
        label = QLabel()
        label.setPixmap(to_pixmap(shrunk(self._images[index], *LARGE)))
        layout = QVBoxLayout(window)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label)
        window.open()

    def drop_all(self) -> None:
        """Remove all images."""
        self.clear()
        self._images.clear()
        self.hide()
