"""Plots over epochs, steps or measurements, in the colours of the theme."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyqtgraph as pg
from PySide6.QtCore import Qt

from fetalstudio.ui import theme


class StillPlot(pg.PlotWidget):
    """A plot that the mouse neither pans nor zooms."""

    def __init__(self, axes: dict[str, pg.AxisItem] | None = None) -> None:
        super().__init__(background=theme.CANVAS, axisItems=axes)
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(pg.mkPen(theme.BORDER))
            axis.setTextPen(pg.mkPen(theme.TEXT_DIM))
            axis.enableAutoSIPrefix(False)


def step_plot(title: str) -> StillPlot:
    """A plot over epochs or steps with ``title`` on its left axis."""
    plot = StillPlot({"bottom": _EpochAxis(orientation="bottom"), "left": _ValueAxis()})
    plot.setLabel("left", title, color=theme.TEXT_DIM)
    plot.showGrid(x=False, y=True, alpha=0.12)
    # Plots above each other leave the same room for their numbers, so that their epochs align.
    plot.getAxis("left").setWidth(64)
    plot.setMinimumHeight(120)
    return plot


def step_curve(plot: pg.PlotWidget, colour: str) -> pg.PlotDataItem:
    """A line with a dot at each value; empty at first."""
    return plot.plot(
        [],
        [],
        pen=pg.mkPen(colour, width=2),
        symbol="o",
        symbolSize=5,
        symbolPen=None,
        symbolBrush=colour,
        antialias=True,
    )


def marker(plot: pg.PlotWidget, colour: str) -> pg.InfiniteLine:
    """A dashed vertical line across the plot; hidden at first."""
    line = pg.InfiniteLine(
        angle=90, pen=pg.mkPen(colour, width=1, style=Qt.PenStyle.DashLine), movable=False
    )
    line.setVisible(False)
    plot.addItem(line, ignoreBounds=True)
    return line


def chip(colour: str, name: str, value: float | None = None, digits: int = 3) -> str:
    """A dot in the colour of the curve, its name and its value, as rich text."""
    text = name
    if value is not None:
        text += f" {value:.{digits}f}" if math.isfinite(value) else " none"
    # No line break between the dot and the name.
    return f'<span style="color:{colour}">●</span>&nbsp;{text}&nbsp;'


class _EpochAxis(pg.AxisItem):
    """An axis with ticks at whole epochs or steps only."""

    def tickSpacing(self, low: float, high: float, size: float) -> list[tuple[float, float]]:
        """One level of ticks, a round number of epochs and about 60 px apart."""
        wanted = (high - low) / max(size / 60.0, 1.0)
        steps = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
        return [(float(next((s for s in steps if s >= wanted), steps[-1])), 0.0)]


class _ValueAxis(pg.AxisItem):
    """An axis with plain decimals, on a logarithmic scale too."""

    def __init__(self) -> None:
        super().__init__(orientation="left")

    def logTickStrings(self, values: Sequence[float], scale: float, spacing: float) -> list[str]:
        """``0.2`` rather than a power of ten."""
        return [f"{10**value:.2g}" for value in values]
