"""Notices over the bottom of the window: what happened, and details on request."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QEnterEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import icons, theme
from fetalstudio.ui.common.breaking_label import BreakingLabel
from fetalstudio.ui.common.text_dialog import TextDialog

_STEP = "step"
"""The level of what the last step did or undid: the notice of the next step takes its place."""
_LEVELS = {
    _STEP: ("info", theme.ACCENT_HOVER, 6_000),
    "info": ("info", theme.ACCENT_HOVER, 6_000),
    "warning": ("warning", theme.WARNING, 15_000),
    "error": ("error", theme.ERROR, 0),
}
"""Icon, colour and time on screen in ms; 0: until it is closed. The gravest come last."""

_AT_ONCE = 3
_WIDTH, _SHARE = 680, 0.6
"""A notice is so many px wide, and at most this share of the place: the panel at the right, where
the next button often is, stays free."""
_BELOW = 88
"""px between the lowest notice and the bottom of the window's place: room for a line of buttons
with a sentence."""


class Notice(QFrame):
    """One notice. It closes itself after its time, but not while the pointer is on it."""

    closed = Signal()

    def __init__(self, text: str, level: str, details: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.text, self.level, self.details = text, level, details
        icon_name, colour, self._time = _LEVELS[level]
        self.setObjectName("notice")
        self.setStyleSheet(
            f"#notice {{ background: {theme.RAISED}; border: 1px solid {theme.BORDER};"
            f" border-left: 3px solid {colour}; border-radius: {theme.RADIUS}px; }}"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 8, 8, 8)
        layout.setSpacing(10)
        sign = QLabel()
        sign.setPixmap(icons.pixmap(icon_name, colour, 20, self.devicePixelRatioF()))
        layout.addWidget(sign, 0, Qt.AlignmentFlag.AlignVCenter)
        self.label = BreakingLabel(text)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout.addWidget(self.label, 1)
        if details:
            more = QPushButton("Details")
            more.setToolTip("The full error, to copy into a bug report")
            more.clicked.connect(self.show_details)
            layout.addWidget(more, 0, Qt.AlignmentFlag.AlignVCenter)
        shut = QToolButton()
        shut.setIcon(icons.icon("close", theme.TEXT_DIM, theme.TEXT_BRIGHT, 16))
        shut.setToolTip(theme.tip("Close", "Ctrl+W"))
        shut.clicked.connect(self.close)
        layout.addWidget(shut, 0, Qt.AlignmentFlag.AlignVCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self.close)
        self.restart()

    def restart(self) -> None:
        """Start the time on screen again."""
        if self._time:
            self._timer.start(self._time)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._timer.stop()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.restart()
        super().leaveEvent(event)

    def show_details(self) -> None:
        """Open a window with the full error."""
        TextDialog("What happened", self.text, self.details, self.window()).open()


class NoticeBoard(QWidget):
    """The notices low over the place that ``places`` shows, at the left: at most three, the newest
    last. The hint and the buttons at the bottom of a place stay free: a page says with a method
    ``foot_height`` how many px they take where that is more than usual."""

    def __init__(self, places: QStackedWidget) -> None:
        super().__init__(places)
        self._over = places
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.SPACE)
        self.notices: list[Notice] = []
        places.installEventFilter(self)
        places.currentChanged.connect(lambda _: self._follow())
        self.hide()

    def add(self, text: str, level: str = "info", details: str = "") -> None:
        """Show a notice; if it is already on screen, its time starts again."""
        for notice in self.notices:
            if (notice.text, notice.level) == (text, level):
                notice.restart()
                return
        if level == _STEP:
            for notice in [notice for notice in self.notices if notice.level == _STEP]:
                self._drop(notice)
        gravity = list(_LEVELS)
        while len(self.notices) >= _AT_ONCE:  # of the least grave, the oldest
            self._drop(min(self.notices, key=lambda notice: gravity.index(notice.level)))
        notice = Notice(text, level, details, self)
        notice.closed.connect(lambda: self._forget(notice))
        self.notices.append(notice)
        self._layout.addWidget(notice)
        self.show()
        self.raise_()
        self._place()

    def close_newest(self) -> None:
        """Close the newest notice."""
        if self.notices:
            self._drop(self.notices[-1])

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.notices:
            self._place()
        return super().eventFilter(watched, event)

    def _follow(self) -> None:
        """Stay in front of a page that comes to the front, and leave its foot free."""
        self.raise_()
        QTimer.singleShot(0, self, self._place)  # once the page is laid out

    def _drop(self, notice: Notice) -> None:
        self._forget(notice)
        notice.close()

    def _forget(self, notice: Notice) -> None:
        if notice in self.notices:
            self.notices.remove(notice)
            self._place()

    def _place(self) -> None:
        if not self.notices:
            self.hide()
            return
        parent = self._over
        foot: Callable[[], int] | None = getattr(parent.currentWidget(), "foot_height", None)
        below = max(_BELOW, foot() + theme.SPACE if foot is not None else 0)
        width = min(_WIDTH, round(_SHARE * parent.width()))
        height = sum(self._height(n, width) for n in self.notices)
        height += theme.SPACE * (len(self.notices) - 1)
        self.setGeometry(2 * theme.SPACE, parent.height() - height - below, width, height)

    @staticmethod
    def _height(notice: Notice, width: int) -> int:
        layout = notice.layout()
        wanted = layout.heightForWidth(width - 4) if layout and layout.hasHeightForWidth() else 0
        return max(wanted + 2, notice.sizeHint().height() if not wanted else 0, 44)
