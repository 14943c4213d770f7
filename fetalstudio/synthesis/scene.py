"""What a synthesizer is asked to show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size


@dataclass(frozen=True, slots=True)
class Scene:
    """What one synthetic frame is asked to show."""

    ellipse: Ellipse
    """In px of the frame."""
    size: Size
    """(width, height) of the frame in px."""
    style: str = "any"
    """One of ``conditions.STYLES``, or ``simulated`` for the scanner simulator instead of the
    network."""
    reference: NDArray[np.uint8] | None = None
    """A real frame of the same size, (H, W) uint8, whose sector, brightness and grain are taken
    over."""
    replaces: Ellipse | None = None
    """The head in ``reference``, in its px. If it is given, the tissue around this head and
    the new one is kept."""
    mm_per_px: float | None = None
    """The scale, if it is known. Only the simulator uses it, and guesses it otherwise."""
    grain: bool = True
    """Whether the brightness and the grain of ``reference`` are taken over too."""
