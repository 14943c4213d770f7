"""The look: made for a dim reading room, with the ultrasound as the brightest thing on screen.

Colours and spacings are named here. Widgets that paint use these names; all others follow the
style sheet. To style a widget, give it a role with :func:`style`:

- ``QPushButton``: ``role`` = ``primary`` (one per page), ``quiet``, ``danger``, ``answer`` (one of
  a list)
- ``QLabel``: ``role`` = ``title``, ``heading``, ``dim``, ``value`` (measurements), ``error``,
  ``warning``
- ``QFrame``/``QWidget``: ``role`` = ``panel`` (a raised surface), ``bar`` (a strip of tools)
"""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from fetalstudio.resources import icons_dir

# Surfaces from the darkest: behind an image, the page, panels, buttons.
CANVAS = "#0a0b0d"
BACKGROUND = "#131518"
PANEL = "#1a1d21"
RAISED = "#24282e"
HOVER = "#2d323a"
BORDER = "#30353d"

TEXT = "#c3c9d1"
TEXT_BRIGHT = "#dde1e6"
TEXT_DIM = "#868e99"
TEXT_OFF = "#555c66"

ACCENT = "#4f9a94"
ACCENT_HOVER = "#5eaaa4"
ACCENT_DIM = "#1f3b3b"

ERROR = "#d2736c"
WARNING = "#d3a35b"
GOOD = "#78b089"

STATE_COLOURS = {
    "none": "#6b737e",
    "proposed": "#7d9fd6",
    "draft": "#d3a35b",
    "final": "#78b089",
    "pending": "#7d9fd6",
    "accepted": "#78b089",
    "rejected": "#d2736c",
}
"""Colours of annotation and review states."""

ELLIPSE = "#5cc8bd"
"""The ellipse being edited; others have the colour of their state."""

SERIES = ("#5cc8bd", "#d3a35b", "#7d9fd6", "#c08bb8", "#a3b56b")
"""Curves: teal, amber, blue, mauve, olive. Colour-blind people can distinguish them."""

SPACE = 8
"""px; distances are SPACE / 2, SPACE, 2 SPACE and 3 SPACE."""
RADIUS = 5

W = TypeVar("W", bound=QWidget)


def style(widget: W, role: str) -> W:
    """Give ``widget`` a role of the style sheet and return it; a later call changes the role."""
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
    return widget


def tip(text: str, keys: str = "") -> str:
    """A tooltip that ends with its keys: ``Accept the pair  (A)``."""
    return f"{text}  ({keys})" if keys else text


def apply(app: QApplication) -> None:
    """Apply the look to the whole application."""
    app.setStyle("Fusion")
    app.styleHints().setColorScheme(Qt.ColorScheme.Dark)
    app.setPalette(_palette())
    font = QFont(app.font())
    font.setFamilies(["Inter", "Segoe UI", ".AppleSystemUIFont", "Noto Sans", "DejaVu Sans"])
    font.setPixelSize(13)
    app.setFont(font)
    app.setStyleSheet(_SHEET)


def _palette() -> QPalette:
    role = QPalette.ColorRole
    palette = QPalette()
    for which, colour in {
        role.Window: BACKGROUND,
        role.WindowText: TEXT,
        role.Base: PANEL,
        role.AlternateBase: RAISED,
        role.Text: TEXT,
        role.PlaceholderText: TEXT_DIM,
        role.Button: RAISED,
        role.ButtonText: TEXT,
        role.BrightText: TEXT_BRIGHT,
        role.ToolTipBase: RAISED,
        role.ToolTipText: TEXT,
        role.Highlight: ACCENT,
        role.HighlightedText: "#0c1414",
        role.Link: ACCENT_HOVER,
        role.Accent: ACCENT,
        role.Light: HOVER,
        role.Midlight: HOVER,
        role.Mid: BORDER,
        role.Dark: "#0e1012",
        role.Shadow: "#000000",
    }.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, which, QColor(TEXT_OFF))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, QColor(BORDER))
    return palette


_ICONS = icons_dir().as_posix()

_SHEET = f"""
QToolButton#rail {{ font-size: 12px; padding: 6px 0 4px 0; color: {TEXT_DIM}; }}
QToolButton#rail:checked, QToolButton#rail:hover {{ color: {TEXT_BRIGHT}; }}

QToolTip {{ background: {RAISED}; color: {TEXT}; border: 1px solid {BORDER}; padding: 5px 7px; }}

QLabel {{ background: transparent; }}
QLabel[role="title"] {{ font-size: 19px; font-weight: 600; color: {TEXT_BRIGHT}; }}
QLabel[role="heading"] {{ font-size: 13px; font-weight: 600; color: {TEXT_BRIGHT}; }}
QLabel[role="dim"] {{ color: {TEXT_DIM}; }}
QLabel[role="value"] {{ font-size: 15px; font-weight: 500; color: {TEXT_BRIGHT}; }}
QLabel[role="error"] {{ color: {ERROR}; }}
QLabel[role="warning"] {{ color: {WARNING}; }}

*[role="panel"] {{ background: {PANEL}; border: 0; border-radius: {RADIUS}px; }}
*[role="bar"] {{ background: {PANEL}; border: 0; }}
*[role="canvas"] {{ background: {CANVAS}; border: 0; }}

QPushButton {{
    background: {RAISED}; color: {TEXT}; border: 1px solid {BORDER}; border-radius: {RADIUS}px;
    padding: 6px 14px; min-height: 18px;
}}
QPushButton:hover {{ background: {HOVER}; color: {TEXT_BRIGHT}; }}
QPushButton:pressed, QPushButton:checked {{ background: {ACCENT_DIM}; border-color: {ACCENT}; }}
QPushButton:focus {{ border-color: {ACCENT}; }}
QPushButton:disabled {{ background: {PANEL}; color: {TEXT_OFF}; border-color: {RAISED}; }}
QPushButton[role="primary"] {{ background: {ACCENT}; color: #0c1414; border-color: {ACCENT};
    font-weight: 600; }}
QPushButton[role="primary"]:hover {{ background: {ACCENT_HOVER}; }}
QPushButton[role="primary"]:focus {{ border-color: {TEXT_BRIGHT}; }}
QPushButton[role="primary"]:disabled {{ background: {RAISED}; color: {TEXT_OFF};
    border-color: {RAISED}; }}
QPushButton[role="quiet"] {{ background: transparent; border-color: transparent; }}
QPushButton[role="quiet"]:hover {{ background: {HOVER}; }}
QPushButton[role="quiet"]:checked {{ background: {RAISED}; color: {TEXT_BRIGHT}; }}
QPushButton[role="quiet"]:focus {{ border-color: {BORDER}; }}
QPushButton[role="answer"] {{ text-align: left; padding: 5px 10px; }}
QPushButton[role="danger"] {{ color: {ERROR}; }}
QPushButton[role="danger"]:disabled {{ color: {TEXT_OFF}; }}

QDialogButtonBox {{ dialogbuttonbox-buttons-have-icons: 0; }}

QStatusBar QPushButton {{ padding: 2px 12px; }}

QToolButton {{ background: transparent; border: 1px solid transparent;
    border-radius: {RADIUS}px; padding: 5px; color: {TEXT}; }}
QToolButton:hover {{ background: {HOVER}; color: {TEXT_BRIGHT}; }}
QToolButton:checked {{ background: {ACCENT_DIM}; color: {TEXT_BRIGHT}; }}
QToolButton:focus {{ border-color: {ACCENT}; }}
QToolButton:disabled {{ color: {TEXT_OFF}; }}

QLineEdit, QPlainTextEdit, QTextEdit {{
    background: {CANVAS}; color: {TEXT}; border: 1px solid {BORDER}; border-radius: {RADIUS}px;
    padding: 5px 8px; selection-background-color: {ACCENT}; selection-color: #0c1414;
}}
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus {{ border-color: {ACCENT}; }}

QComboBox, QAbstractSpinBox {{ background: {RAISED}; color: {TEXT}; border: 1px solid {BORDER};
    border-radius: {RADIUS}px; padding: 5px 8px; min-height: 18px;
    selection-background-color: {ACCENT}; selection-color: #0c1414; }}
QComboBox:hover, QAbstractSpinBox:hover {{ background: {HOVER}; }}
QComboBox:focus, QAbstractSpinBox:focus {{ border-color: {ACCENT}; }}
QComboBox:disabled, QAbstractSpinBox:disabled {{ color: {TEXT_OFF}; background: {PANEL}; }}
QComboBox::drop-down {{ border: 0; width: 24px; }}
QComboBox::down-arrow {{ image: url("{_ICONS}/chevron-down.svg"); width: 12px; height: 12px; }}
QComboBox QLineEdit {{ background: transparent; border: 0; padding: 0; }}
QComboBox QAbstractItemView {{ background: {PANEL}; border: 1px solid {BORDER}; padding: 4px;
    selection-background-color: {HOVER}; selection-color: {TEXT_BRIGHT}; }}
QAbstractSpinBox {{ padding-right: 2px; }}
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ border: 0; width: 20px;
    background: transparent; }}
QAbstractSpinBox::up-arrow {{ image: url("{_ICONS}/chevron-up.svg"); width: 10px; height: 10px; }}
QAbstractSpinBox::down-arrow {{ image: url("{_ICONS}/chevron-down.svg"); width: 10px;
    height: 10px; }}
QCheckBox {{ spacing: {SPACE}px; }}
QCheckBox::indicator {{ width: 16px; height: 16px; border: 1px solid {TEXT_OFF};
    border-radius: 3px; background: {CANVAS}; }}
QCheckBox::indicator:hover, QCheckBox::indicator:focus {{ border-color: {ACCENT}; }}
QCheckBox::indicator:checked {{ background: {ACCENT}; border-color: {ACCENT};
    image: url("{_ICONS}/check.svg"); }}
QCheckBox::indicator:disabled {{ background: {PANEL}; border-color: {BORDER}; }}
QRadioButton::indicator {{ width: 14px; height: 14px; border: 1px solid {TEXT_OFF};
    border-radius: 8px; background: {CANVAS}; }}
QRadioButton::indicator:hover, QRadioButton::indicator:focus {{ border-color: {ACCENT}; }}
QRadioButton::indicator:checked {{ width: 6px; height: 6px; border: 5px solid {ACCENT}; }}

QListView, QTableView, QTreeView {{ background: {BACKGROUND}; border: 0; outline: 0;
    selection-background-color: {ACCENT_DIM}; selection-color: {TEXT_BRIGHT}; }}
QTableView {{ gridline-color: {RAISED}; }}
QHeaderView::section {{ background: {PANEL}; color: {TEXT_DIM}; border: 0;
    border-bottom: 1px solid {BORDER}; padding: 5px 8px; }}

QGroupBox {{ background: {PANEL}; border: 0; border-radius: {RADIUS}px; margin-top: 0;
    padding: 30px 12px 12px 12px; }}
QGroupBox::title {{ subcontrol-origin: padding; subcontrol-position: top left;
    left: 12px; top: 10px; color: {TEXT_BRIGHT}; font-weight: 600; }}

QProgressBar {{ background: {CANVAS}; border: 0; border-radius: 3px; max-height: 6px;
    min-height: 6px; text-align: center; }}
QProgressBar::chunk {{ background: {ACCENT}; border-radius: 3px; }}

QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
QScrollBar::handle {{ background: {HOVER}; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:vertical {{ min-height: 32px; }}
QScrollBar::handle:horizontal {{ min-width: 32px; }}
QScrollBar::handle:hover {{ background: {TEXT_OFF}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}

QSlider::groove:horizontal {{ background: {BORDER}; height: 3px; border-radius: 1px; }}
QSlider::sub-page:horizontal {{ background: {ACCENT}; height: 3px; border-radius: 1px; }}
QSlider::handle:horizontal {{ background: {TEXT}; width: 12px; height: 12px; margin: -5px 0;
    border-radius: 6px; }}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus {{ background: {TEXT_BRIGHT}; }}
QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled
    {{ background: {TEXT_OFF}; }}

QMenuBar {{ background: {BACKGROUND}; color: {TEXT_DIM}; padding: 2px 4px; }}
QMenuBar::item {{ padding: 4px 9px; border-radius: 4px; background: transparent; }}
QMenuBar::item:selected {{ background: {HOVER}; color: {TEXT_BRIGHT}; }}
QMenu {{ background: {PANEL}; border: 1px solid {BORDER}; padding: 5px; }}
QMenu::item {{ padding: 6px 26px 6px 14px; border-radius: 4px; }}
QMenu::item:selected {{ background: {HOVER}; color: {TEXT_BRIGHT}; }}
QMenu::item:disabled {{ color: {TEXT_OFF}; }}
QMenu::separator {{ height: 1px; background: {BORDER}; margin: 5px 8px; }}

QStatusBar {{ background: {PANEL}; color: {TEXT_DIM}; }}
QStatusBar::item {{ border: 0; }}
QSplitter::handle {{ background: {BACKGROUND}; }}
QTabWidget::pane {{ border: 0; }}
QTabBar::tab {{ background: transparent; color: {TEXT_DIM}; padding: 7px 14px;
    border-bottom: 2px solid transparent; }}
QTabBar::tab:selected {{ color: {TEXT_BRIGHT}; border-bottom-color: {ACCENT}; }}
QTabBar::tab:hover {{ color: {TEXT_BRIGHT}; }}
"""
