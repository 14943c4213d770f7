"""The bar above a pair: what it is, and the buttons that decide on it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from fetalstudio.ui import theme

_CAPTION_WIDTH = 48
"""px that the caption has at least: room for "12/345"."""


class DecisionBar(QWidget):
    """Badges, a caption and buttons such as "Accept (A)", the most important one last.

    Where there is no room, the buttons do not name their keys, and the first one is hidden: its
    key works all the same.
    """

    def __init__(
        self, badges: Sequence[QLabel], caption: QLabel, buttons: Sequence[QPushButton]
    ) -> None:
        super().__init__()
        theme.style(self, "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._badges, self._buttons = badges, buttons
        self._texts = [button.text() for button in buttons]
        line = QHBoxLayout(self)
        line.setContentsMargins(2 * theme.SPACE, theme.SPACE, theme.SPACE, theme.SPACE)
        line.setSpacing(theme.SPACE)
        for badge in badges:
            line.addWidget(badge, 0, Qt.AlignmentFlag.AlignVCenter)
        line.addWidget(caption, 1)
        for button in buttons:
            line.addWidget(button)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:  # a badge has come or gone
            self._fit()
        return super().event(event)

    def _fit(self) -> None:
        short = [text.partition(" (")[0] for text in self._texts]
        whole = self._needed(self._texts) <= self.width()
        for button, text in zip(self._buttons, self._texts if whole else short, strict=True):
            button.setText(text)
        self._buttons[0].setVisible(whole or self._needed(short) <= self.width())

    def _needed(self, texts: Sequence[str]) -> int:
        """px of the bar with these texts on all buttons."""
        badges = [badge.sizeHint().width() for badge in self._badges if not badge.isHidden()]
        widths = [
            button.sizeHint().width()
            + button.fontMetrics().horizontalAdvance(text)
            - button.fontMetrics().horizontalAdvance(button.text())
            for button, text in zip(self._buttons, texts, strict=True)
        ]
        parts = [*badges, _CAPTION_WIDTH, *widths]
        return sum(parts) + (len(parts) - 1) * theme.SPACE + 3 * theme.SPACE
