"""An image that fills the room it is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from fetalstudio.ui.common.pixmaps import shrunk, to_pixmap


class FittedImage(QLabel):
    """A image of any shape, as large as the layout gives room for; it asks for none itself."""

    def __init__(self, placeholder: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._image: NDArray[np.uint8] | None = None
        self._placeholder = placeholder
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setProperty("role", "dim")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.setMinimumSize(QSize(160, 110))
        self.show_image(None)

    def show_image(self, image: NDArray[np.uint8] | None) -> None:
        """Show (H, W) or (H, W, 3) uint8, or the placeholder for None."""
        self._image = image
        if image is None:
            self.setText(self._placeholder)
        else:
            self.setPixmap(to_pixmap(shrunk(image, self.width(), self.height())))

    @property
    def shown(self) -> NDArray[np.uint8] | None:
        """The image at its own size."""
        return self._image

    def resizeEvent(self, event: object) -> None:
        """Fit anew."""
        self.show_image(self._image)
