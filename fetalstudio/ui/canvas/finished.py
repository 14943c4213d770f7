"""The ellipse that a person has finished, for the keys that save it."""

from __future__ import annotations

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui.canvas.canvas import FrameCanvas
from fetalstudio.ui.session import Session


def finished_ellipse(canvas: FrameCanvas, session: Session, advice: str) -> Ellipse | None:
    """The ellipse on the canvas, in px of the frame.

    None where there is none, or where a line is not finished; a notice then says what to do first.
    ``advice`` is the one for a canvas without an ellipse.
    """
    canvas.flush()
    if canvas.drawing:
        session.message.emit("Finish the line first, or cancel it with Esc.", "info")
        return None
    ellipse = canvas.ellipse()
    if ellipse is None:
        session.message.emit(advice, "warning")
    return ellipse
