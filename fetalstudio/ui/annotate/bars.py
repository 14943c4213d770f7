"""The bars above and below the frame of Annotate."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import theme
from fetalstudio.ui.canvas import CanvasActions, FrameCanvas, GreyWindow
from fetalstudio.ui.common.elided_label import ElidedLabel

_NAME_WIDTH = 190
"""Room for the name of a frame and its place, in px; the margins and spaces of the bar take 40 of
them."""


class FrameBar(QWidget):
    """The bar above the frame: two arrows, its name and position, and groups of buttons.

    The button of an action with an icon shows both the icon and the text. Where there is no room
    for the name and the place, they take that of the ``spared`` buttons, one set after another: of
    actions that are in the groups and have keys.
    """

    def __init__(
        self,
        arrows: tuple[QAction, QAction],
        *groups: Sequence[QAction],
        spared: Sequence[Sequence[QAction]] = (),
    ) -> None:
        super().__init__()
        theme.style(self, "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.name = ElidedLabel("heading", Qt.TextElideMode.ElideMiddle)
        self.name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self.position = ElidedLabel()
        row = QHBoxLayout(self)
        row.setContentsMargins(theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        row.setSpacing(theme.SPACE // 2)
        sides = (Qt.ArrowType.LeftArrow, Qt.ArrowType.RightArrow)
        for action, side in zip(arrows, sides, strict=True):
            button = tool_button(action)
            button.setArrowType(side)
            row.addWidget(button)
        row.addSpacing(theme.SPACE)
        row.addWidget(self.name)
        row.addSpacing(theme.SPACE)
        row.addWidget(self.position, 1)
        buttons: dict[QAction, QToolButton] = {}
        for i, group in enumerate(groups):
            if i:
                row.addSpacing(theme.SPACE)
            for action in group:
                buttons[action] = button = tool_button(action)
                if not action.icon().isNull():
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
                row.addWidget(button)
        self._spared = [[buttons[action] for action in actions] for actions in spared]

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        widths: dict[QToolButton, int] = {}
        for button in self.findChildren(QToolButton):
            # A shorter text, such as Stop, does not move the buttons beside it.
            button.setMinimumWidth(max(button.minimumWidth(), button.sizeHint().width()))
            widths[button] = button.minimumWidth() + theme.SPACE // 2
        needed = sum(widths.values()) + _NAME_WIDTH
        for spared in self._spared:
            fits = needed <= self.width()
            for button in spared:
                button.setVisible(fits)
                needed -= 0 if fits else widths[button]


class ViewBar(QWidget):
    """The bar below the frame: the next step, grey window and zoom."""

    def __init__(self, canvas: FrameCanvas, actions: CanvasActions) -> None:
        super().__init__()
        self._canvas = canvas
        self._idle_hint = ""
        theme.style(self, "bar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.hint = ElidedLabel()
        self.window_slider = _slider(
            "Window: the range of grey values shown (right-drag sideways)", 510
        )
        self.window_slider.setMinimum(2)
        self.level_slider = _slider(
            "Level: the grey value in the middle (right-drag up or down)", 255
        )
        self.percent = theme.style(QLabel(), "dim")
        self.percent.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.percent.setFixedWidth(self.percent.fontMetrics().horizontalAdvance("3200 % "))
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.SPACE, theme.SPACE // 2, theme.SPACE, theme.SPACE // 2)
        column.setSpacing(0)
        # On a line of its own: beside the sliders, a small window would cut it short.
        column.addWidget(self.hint)
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        column.addLayout(row)
        row.addWidget(theme.style(QLabel("Window"), "dim"))
        row.addWidget(self.window_slider)
        row.addWidget(theme.style(QLabel("Level"), "dim"))
        row.addWidget(self.level_slider)
        row.addWidget(tool_button(actions.reset_window))
        row.addStretch(1)
        row.addWidget(self.percent)
        row.addWidget(tool_button(actions.fit))
        row.addWidget(tool_button(actions.actual))
        for slider in (self.window_slider, self.level_slider):
            slider.valueChanged.connect(self._slid)
        canvas.window_changed.connect(self._show_window)
        canvas.zoom_changed.connect(self._show_zoom)
        canvas.hint_changed.connect(lambda text: self.hint.setText(text or self._idle_hint))
        self._show_window(canvas.window_level)
        self._show_zoom(canvas.view.scale)

    def set_idle_hint(self, text: str) -> None:
        """Set the hint shown while nothing is being drawn."""
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
            # A slider only has integer steps and must not round the value set on the canvas.
            slider.blockSignals(True)
            slider.setValue(round(value))
            slider.blockSignals(False)

    def _show_zoom(self, scale: float) -> None:
        self.percent.setText(f"{100 * scale * self.devicePixelRatioF():.0f} %")


def tool_button(action: QAction) -> QToolButton:
    """A button for an action; the keyboard stays with the canvas."""
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
