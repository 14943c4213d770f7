"""The actions of a canvas with their keys, for tool buttons and the sheet of keys."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from fetalstudio.ui import theme
from fetalstudio.ui.canvas.canvas import FrameCanvas
from fetalstudio.ui.canvas.drafts import Tool
from fetalstudio.ui.canvas.painted_frame import GreyWindow
from fetalstudio.ui.common.allowing import allow

_NOT_HERE = "There is nothing to draw on."
_NONE, _ONE = "There is no ellipse.", "There is an ellipse already: move it, or remove it first."


class CanvasActions(QObject):
    """Adds the actions to a canvas; their keys work while the canvas has the keyboard."""

    def __init__(self, canvas: FrameCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.draw = self._tool(
            "Draw", "D", "Draw an ellipse: the long axis, then a point on the side", Tool.CALLIPER
        )
        self.box = self._tool("Box", "B", "Draw an upright ellipse in a box", Tool.BOX)
        self.place = self._action(
            "Place",
            "I",
            "Place an ellipse in the middle, to be moved, grown and turned by keys",
            canvas.place,
        )
        self.remove = self._action("Remove", "Del", "Remove the ellipse", canvas.remove)
        self.fit = self._action("Fit", "F", "Show the whole frame", canvas.fit)
        self.actual = self._action(
            "1:1", "Ctrl+0", "One screen pixel per frame pixel", self._actual_size
        )
        self.zoom_in = self._action("Zoom in", "Ctrl++", "Zoom in", lambda: canvas.zoom(1.25))
        self.zoom_in.setShortcuts([QKeySequence("Ctrl++"), QKeySequence("Ctrl+=")])
        self.zoom_out = self._action("Zoom out", "Ctrl+-", "Zoom out", lambda: canvas.zoom(0.8))
        for zoom in (self.zoom_in, self.zoom_out):
            zoom.setAutoRepeat(True)
        self.reset_window = self._action(
            "Reset",
            "W",
            "Show all grey values again (right-drag changes the contrast)",
            lambda: canvas.set_window_level(GreyWindow()),
        )
        canvas.tool_changed.connect(self._show_tool)
        canvas.state_changed.connect(self._allow)
        self._allow()

    def _allow(self) -> None:
        """Allow what can be done, and say why the rest cannot."""
        closed = "" if self._canvas.editable else _NOT_HERE
        for action in (self.draw, self.box):
            allow(action, closed)
        allow(self.place, closed or ("" if self._canvas.empty else _ONE))
        allow(self.remove, closed or (_NONE if self._canvas.empty else ""))

    def _action(self, text: str, key: str, tip: str, run: Callable[[], object]) -> QAction:
        action = QAction(text, self._canvas)
        action.setShortcut(key)
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.setAutoRepeat(False)  # a key that is held down acts once
        keys = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        action.setToolTip(theme.tip(tip, keys))
        action.triggered.connect(lambda _checked=False: run())
        self._canvas.addAction(action)
        return action

    def _tool(self, text: str, key: str, tip: str, tool: Tool) -> QAction:
        action = self._action(text, key, tip, lambda: self._toggle(tool))
        action.setCheckable(True)
        action.setData(tool)
        return action

    def _toggle(self, tool: Tool) -> None:
        self._canvas.set_tool(Tool.EDIT if self._canvas.tool is tool else tool)

    def _show_tool(self, tool: Tool) -> None:
        for action in (self.draw, self.box):
            action.setChecked(action.data() is tool)

    def _actual_size(self) -> None:
        canvas = self._canvas
        canvas.zoom(1.0 / canvas.devicePixelRatioF() / canvas.view.scale)
