"""The strip under a canvas: what to do next, grey window and zoom."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QToolButton, QWidget

from fetalstudio.ui import theme
from fetalstudio.ui.canvas import FrameCanvas, GreyWindow

_WINDOW_TIP = "Window: how many grey values are spread over the screen (right drag sideways)"
_LEVEL_TIP = "Level: which grey value is in the middle (right drag up and down)"


class ViewBar(QWidget):
    """Follows a canvas and steers how it shows the frame."""

    def __init__(self, canvas: FrameCanvas, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._idle_hint = ""
        theme.style(self, "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.hint = ElidedLabel()
        self.window_slider = _slider(
            "Window: how many grey values are spread (right drag sideways)", 510
        )
        self.window_slider.setMinimum(2)
        self.level_slider = _slider(
            "Level: which grey is in the middle (right drag up and down)", 255
        )
        self.percent = theme.style(QLabel(), "dim")
        self.percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.percent.setFixedWidth(self.percent.fontMetrics().horizontalAdvance("3200 % "))
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        row.setSpacing(theme.SPACE)
        row.addWidget(self.hint, 1)
        row.addWidget(theme.style(QLabel("Window"), "dim"))
        row.addWidget(self.window_slider)
        row.addWidget(theme.style(QLabel("Level"), "dim"))
        row.addWidget(self.level_slider)
        row.addWidget(tool_button(canvas.commands.reset_window))
        row.addSpacing(theme.SPACE)
        row.addWidget(self.percent)
        row.addWidget(tool_button(canvas.commands.fit))
        row.addWidget(tool_button(canvas.commands.actual))
        for slider in (self.window_slider, self.level_slider):
            slider.valueChanged.connect(self._slid)
        canvas.window_changed.connect(self._show_window)
        canvas.zoom_changed.connect(self._show_zoom)
        canvas.hint_changed.connect(lambda text: self.hint.setText(text or self._idle_hint))
        self._show_window(canvas.window_level)
        self._show_zoom(canvas.view.scale)

    def set_idle_hint(self, text: str) -> None:
        """What is said while nothing is being drawn."""
        if self.hint.text() == self._idle_hint:
            self.hint.setText(text)
        self._idle_hint = text

    def _slid(self) -> None:
        self._canvas.set_window_level(
            GreyWindow(float(self.window_slider.value()), float(self.level_slider.value()))
        )

    def _show_window(self, window: GreyWindow) -> None:
        for slider, value in (
            (self.window_slider, window.width),
            (self.level_slider, window.level),
        ):
            # A slider has whole steps only, and must not round what was dragged on the canvas.
            slider.blockSignals(True)
            slider.setValue(round(value))
            slider.blockSignals(False)

    def _show_zoom(self, scale: float) -> None:
        self.percent.setText(f"{100 * scale * self.devicePixelRatioF():.0f} %")


class ElidedLabel(QLabel):
    """Text that is cut with an ellipsis where there is no room, and never makes the window wide;
    the tooltip has all of it."""

    def __init__(
        self, role: str = "dim", elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__()
        theme.style(self, role)
        self._elide = elide
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str) -> None:
        super().setText(text)
        self.setToolTip(text)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), self._elide, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, text)


def tool_button(action: QAction) -> QToolButton:
    """A button for an action that leaves the keyboard with the canvas."""
    button = QToolButton()
    button.setDefaultAction(action)
    button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return button


def _slider(tip: str, maximum: int) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(0, maximum)
    slider.setMinimumWidth(56)
    slider.setMaximumWidth(110)
    slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    slider.setToolTip(tip)
    slider.setAccessibleName(tip.split(":")[0])
    return slider
