"""A label that is cut short where there is no room for its text."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy

from fetalstudio.ui import theme


class ElidedLabel(QLabel):
    """Text that is replaced by a shorter one, or ends in "…", where there is no room, and never
    widens the window.

    The tooltip shows the whole text.
    """

    def __init__(
        self, role: str = "dim", elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__()
        theme.style(self, role)
        self._elide = elide
        self._shorter: tuple[str, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str, *shorter: str) -> None:
        """Show a text, or the first of the ``shorter`` ones for which there is room."""
        self._shorter = shorter
        super().setText(text)
        self.setToolTip(text.strip())

    def shown(self) -> str:
        """What is painted in the present width."""
        metrics, texts = self.fontMetrics(), (self.text(), *self._shorter)
        fitting = (text for text in texts if metrics.horizontalAdvance(text) <= self.width())
        return next(fitting, metrics.elidedText(texts[-1], self._elide, self.width()))

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, self.shown())
