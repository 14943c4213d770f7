"""Matplotlib figures without a display."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

_DPI = 100


def blank_figure(size: tuple[int, int]) -> Figure:
    """An empty figure of (width, height) px, whose layout is automatic."""
    width, height = size
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def pixels_of(figure: Figure) -> NDArray[np.uint8]:
    """The figure drawn as RGB (height, width, 3) uint8."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)  # made by blank_figure
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), np.uint8)[..., :3].copy()
