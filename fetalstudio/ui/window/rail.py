"""The rail on the left: the five places in the order of the work."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QButtonGroup, QToolButton, QVBoxLayout, QWidget

from fetalstudio.ui import icons, theme

PLACE_TITLES = {
    "library": ("Library", "All frames, and what is left to do"),
    "annotate": ("Annotate", "Draw and correct head ellipses"),
    "synthesise": ("Synthesise", "Make ultrasounds that follow an ellipse"),
    "review": ("Review", "Accept or reject synthetic pairs"),
    "train": ("Train", "Fine-tune the segmenter and adopt the result"),
}


class RailButton(QToolButton):
    """An icon above its name, with a badge that counts what is waiting there."""

    def __init__(self, icon_name: str, text: str) -> None:
        super().__init__()
        self.setIcon(icons.icon(icon_name, theme.TEXT_DIM, theme.TEXT_BRIGHT, 26))
        self.setIconSize(QSize(26, 26))
        self.setText(text)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setFixedSize(78, 62)
        self.setObjectName("rail")
        self.waiting = 0
        """The number in the badge; changed by :meth:`set_waiting`."""

    def set_waiting(self, count: int) -> None:
        """Show ``count`` in a badge; 0 hides it."""
        if count != self.waiting:
            self.waiting = count
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if self.isChecked():
            painter.setBrush(QColor(theme.ACCENT))
            painter.drawRoundedRect(QRectF(0, 16, 3, self.height() - 32), 1.5, 1.5)
        if self.waiting:
            text = str(self.waiting) if self.waiting < 1000 else "999+"
            font = QFont(self.font())
            font.setPixelSize(10)
            painter.setFont(font)
            width = max(16, painter.fontMetrics().horizontalAdvance(text) + 8)
            badge = QRectF(self.width() / 2 + 7, 5, width, 16)
            painter.setBrush(QColor(theme.HOVER))
            painter.drawRoundedRect(badge, 8, 8)
            painter.setPen(QColor(theme.TEXT))
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, text)


class Rail(QWidget):
    """One button per place and one for the sheet of keys."""

    place_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        theme.style(self, "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedWidth(90)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, theme.SPACE, 6, theme.SPACE)
        layout.setSpacing(theme.SPACE // 2)
        group = QButtonGroup(self)
        self.buttons: dict[str, RailButton] = {}
        for number, (place, (title, purpose)) in enumerate(PLACE_TITLES.items(), 1):
            button = RailButton(place, title)
            button.setCheckable(True)
            button.setToolTip(theme.tip(purpose, f"Ctrl+{number}"))
            button.setAccessibleName(title)
            button.clicked.connect(lambda _checked, p=place: self.place_requested.emit(p))
            group.addButton(button)
            layout.addWidget(button)
            self.buttons[place] = button
        layout.addStretch()
        self.keys_button = RailButton("keys", "Keys")
        self.keys_button.setToolTip(theme.tip("All keys", "?"))
        layout.addWidget(self.keys_button)

    def show_place(self, place: str) -> None:
        """Mark ``place`` as the one on screen."""
        self.buttons[place].setChecked(True)
