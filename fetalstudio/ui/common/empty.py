"""What a place shows if there is nothing to work on: the reason and the next step."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from fetalstudio.ui import theme
from fetalstudio.ui.common.breaking_label import BreakingLabel

_WIDTH = 460
"""px of the sentence, where there is room."""


class EmptyState(QWidget):
    """A title, a sentence and one button."""

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._title.setProperty("role", "title")
        self._text = BreakingLabel()
        self._text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._text.setProperty("role", "dim")
        self.button = QPushButton()
        self.button.setProperty("role", "primary")
        self.button.clicked.connect(self.clicked)
        layout = QVBoxLayout(self)
        layout.setSpacing(2 * theme.SPACE)
        layout.addStretch(1)
        for widget in (self._title, self._text, self.button):
            layout.addWidget(widget, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)

    def say(self, title: str, text: str, action: str = "") -> None:
        """Set title and sentence; the button is hidden if ``action`` is empty."""
        self._title.setText(title)
        self._text.setText(text)
        self._fit()
        self.button.setText(action)
        self.button.setVisible(bool(action))

    def minimumSizeHint(self) -> QSize:
        widest = max(self._title.sizeHint().width(), self.button.sizeHint().width())
        return QSize(widest, super().minimumSizeHint().height())  # the sentence wraps

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        width = max(min(_WIDTH, self.contentsRect().width() - 4 * theme.SPACE), 1)
        # A layout that aligns a label ignores the height of its wrapped lines.
        self._text.setFixedSize(width, max(self._text.heightForWidth(width), 0))

    def say_importing(self) -> None:
        """Say that the first frames of the project are being imported."""
        self.say(
            "Importing frames",
            "They are shown here as soon as all of them have been read. The bar at the bottom "
            "shows how far the import is, and can cancel it.",
        )

    def text(self) -> str:
        """Title and sentence."""
        return f"{self._title.text()}\n{self._text.text()}"
