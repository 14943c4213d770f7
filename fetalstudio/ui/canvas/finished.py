"""The ellipse that a person has finished, for the keys that save it."""

from __future__ import annotations

from collections.abc import Callable

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui.canvas.canvas import FrameCanvas

_OUTSIDE = (
    "The centre of the ellipse lies outside the frame. Drag it onto the head, or remove the "
    "ellipse with Del."
)


def finished_ellipse(
    canvas: FrameCanvas, say: Callable[[str, str], object], advice: str
) -> Ellipse | None:
    """The ellipse on the canvas, in px of the frame.

    None where there is none, where a line is not finished, or where the centre lies outside the
    frame, which then does not show the head. ``say`` then shows what to do first, with the level of
    the notice; ``advice`` is what is said of a canvas without an ellipse.
    """
    canvas.flush()
    size = canvas.frame_size
    if canvas.drawing:
        say("Finish the line first, or cancel it with Esc.", "info")
        return None
    ellipse = canvas.ellipse()
    if ellipse is None:
        say(advice, "warning")
    elif size is not None and not ellipse.is_centred_on(size):
        say(_OUTSIDE, "warning")
        return None
    return ellipse
