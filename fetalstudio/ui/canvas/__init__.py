"""The canvas on which a frame is shown and its ellipse is drawn and edited."""

from fetalstudio.ui.canvas.actions import CanvasActions
from fetalstudio.ui.canvas.canvas import FrameCanvas
from fetalstudio.ui.canvas.drafts import Tool
from fetalstudio.ui.canvas.frame_view import FrameView
from fetalstudio.ui.canvas.overlay import EllipseStyle
from fetalstudio.ui.canvas.painted_frame import GreyWindow

__all__ = ["CanvasActions", "EllipseStyle", "FrameCanvas", "FrameView", "GreyWindow", "Tool"]
