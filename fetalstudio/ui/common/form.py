"""Fields that remember their value, and the parts of which side panels are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.ui import theme
from fetalstudio.ui.common.allowing import set_tip, usual_tip
from fetalstudio.ui.common.number_fields import DecimalField, WholeField
from fetalstudio.ui.settings import Settings


def whole_number(
    settings: Settings, key: str, default: int, low: int, high: int, *, lowest: str = ""
) -> WholeField:
    """An integer field kept under ``key``; ``lowest`` replaces the smallest value on screen."""
    field = WholeField()
    _indent(field)
    field.setRange(low, high)
    field.setSpecialValueText(lowest)
    field.setValue(settings.get(key, default))
    field.valueChanged.connect(lambda value: settings.set(key, value))
    return field


def decimal_number(
    settings: Settings,
    key: str,
    default: float,
    limits: tuple[float, float],
    *,
    step: float,
    decimals: int,
    lowest: str = "",
) -> DecimalField:
    """A decimal field kept under ``key``, as :func:`whole_number`."""
    field = number_field(limits, step, decimals)
    field.setSpecialValueText(lowest)
    field.setValue(settings.get(key, default))
    field.valueChanged.connect(lambda value: settings.set(key, value))
    return field


def number_field(limits: tuple[float, float], step: float, decimals: int) -> DecimalField:
    """A decimal field whose value is not kept."""
    field = DecimalField()
    _indent(field)
    field.setDecimals(decimals)
    field.setRange(*limits)
    field.setSingleStep(step)
    return field


def _indent(field: QAbstractSpinBox) -> None:
    # The style sheet's padding does not reach the text of a spin box.
    field.lineEdit().setTextMargins(6, 0, 0, 0)
    field.setMinimumWidth(64)


def combo() -> QComboBox:
    """A combo box whose items, however long, do not widen the panel."""
    field = QComboBox()
    field.setMinimumContentsLength(8)
    field.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return field


def choice(settings: Settings, key: str, default: str, options: Mapping[str, str]) -> QComboBox:
    """One of ``options`` (value to label), kept under ``key``; ``currentData()`` is the value."""
    field = combo()
    for value, label in options.items():
        field.addItem(label, value)
    field.setCurrentIndex(max(0, field.findData(settings.get(key, default))))
    field.currentIndexChanged.connect(lambda _: settings.set(key, str(field.currentData())))
    return field


def tick(settings: Settings, key: str, text: str, *, default: bool) -> QCheckBox:
    """A check box kept under ``key``."""
    field = QCheckBox(text)
    field.setChecked(settings.get(key, default))
    field.toggled.connect(lambda on: settings.set(key, on))
    return field


_LABEL_WIDTH = 104
"""px; the fields of all sections of a panel are aligned."""


class Section(QWidget):
    """A titled group in a side panel: rows of label and field, or whole widgets."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # Not a form layout, which gives wrapped lines of text too little height.
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(theme.SPACE)
        if title:
            self._column.addWidget(theme.style(QLabel(title), "heading"))

    def row(self, label: str, field: QWidget, tip: str) -> None:
        """Add a labelled field; ``tip`` is the tooltip of both."""
        name = QLabel(label)
        name.setFixedWidth(_LABEL_WIDTH)
        name.setBuddy(field)
        name.setToolTip(tip)
        field.setToolTip(tip)
        field.setAccessibleName(label)
        line = QHBoxLayout()
        line.setSpacing(theme.SPACE)
        line.addWidget(name)
        line.addWidget(field, 1)
        self._column.addLayout(line)

    def add(self, widget: QWidget) -> None:
        """Add a widget as wide as the section."""
        self._column.addWidget(widget)


def note(text: str = "") -> QLabel:
    """A muted line of text that wraps."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "dim")
    return label


def side_by_side(*widgets: QWidget) -> QWidget:
    """Widgets that share a line equally."""
    line = QWidget()
    layout = QHBoxLayout(line)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(theme.SPACE)
    for widget in widgets:
        layout.addWidget(widget, 1)
    return line


def rule() -> QFrame:
    """A thin line between sections."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFixedHeight(1)
    line.setStyleSheet(f"background: {theme.BORDER}; border: none")
    return line


def side_panel(width: int, *parts: QWidget) -> QScrollArea:
    """A column of sections that scrolls where the window is not tall enough."""
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
    layout.setSpacing(2 * theme.SPACE)
    for part in parts:
        layout.addWidget(part)
    layout.addStretch(1)
    # A part that cannot be as narrow as the panel does not push the others out of sight.
    column.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    area = QScrollArea()
    area.setWidget(column)
    guard_from_wheel(column)
    area.setWidgetResizable(True)
    area.setFixedWidth(width)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFrameShape(QFrame.Shape.NoFrame)
    return area


def guard_from_wheel(part: QWidget) -> None:
    """Keep the wheel from changing the fields of ``part`` that do not have the keyboard.

    It would change the field under the pointer unseen. In a panel it scrolls the panel instead.
    """
    guard = _WheelGuard(part)
    for kind in (QComboBox, QAbstractSpinBox):
        for field in part.findChildren(kind):
            guard.guard(field)


class _WheelGuard(QObject):
    def guard(self, field: QWidget) -> None:
        # By default the wheel itself gives the keyboard to the field.
        field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True


def leave_on_return(part: QWidget, then: QWidget) -> None:
    """Let Return in a number field of ``part`` enter the number and give the keyboard to ``then``.

    In the field, letters are text; after it, they are the keys of the page again.
    """
    for field in part.findChildren(QAbstractSpinBox):
        field.lineEdit().returnPressed.connect(then.setFocus)


def with_foot(panel: QScrollArea, foot: QWidget) -> QWidget:
    """The panel with ``foot`` below it; the foot holds the main button and does not scroll."""
    whole = QWidget()
    whole.setFixedWidth(panel.maximumWidth())
    column = QVBoxLayout(whole)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(0)
    column.addWidget(panel, 1)
    column.addWidget(rule())
    below = QVBoxLayout()
    below.setContentsMargins(2 * theme.SPACE, theme.SPACE, 2 * theme.SPACE, 2 * theme.SPACE)
    below.addWidget(foot)
    column.addLayout(below)
    return whole


def keyed(page: QWidget, button: QPushButton, *keys: str) -> QPushButton:
    """Give a button keys that work anywhere on ``page``, and return the button.

    The keys are appended to its tooltip.
    """
    tip = usual_tip(button)
    for key in keys:
        shortcut = QShortcut(QKeySequence(key), page)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setWhatsThis(tip)
        # A key that is held down acts once, unless the button repeats too.
        shortcut.setAutoRepeat(button.autoRepeat())
        shortcut.activated.connect(button.click)
    set_tip(button, theme.tip(tip, ", ".join(keys)))
    return button


def page_action(
    page: QWidget,
    text: str,
    tip: str,
    run: Callable[[], object],
    *keys: str,
    repeats: bool = False,
) -> QAction:
    """An action whose keys work anywhere on ``page``; they are appended to its tooltip.

    A key that is held down acts once, unless the action ``repeats``.
    """
    action = QAction(text, page)
    action.setAutoRepeat(repeats)
    action.setShortcuts([QKeySequence(key) for key in keys])
    action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    native = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    action.setToolTip(theme.tip(tip, native))
    action.triggered.connect(lambda _checked: run())
    page.addAction(action)
    return action
