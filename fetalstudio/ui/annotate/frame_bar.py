"""The bar above a large frame: where one is in the list, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from fetalstudio.ui import theme
from fetalstudio.ui.annotate.view_bar import ElidedLabel, tool_button


class FrameBar(QWidget):
    """Two arrows, the frame's ``name`` and ``position``, then groups of buttons.

    An action with an icon shows its text too.
    """

    def __init__(self, arrows: tuple[QAction, QAction], *groups: Sequence[QAction]) -> None:
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
        for i, group in enumerate(groups):
            if i:
                row.addSpacing(theme.SPACE)
            for action in group:
                button = tool_button(action)
                if not action.icon().isNull():
                    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
                row.addWidget(button)
