"""A Bland-Altman plot: differences over means; clicking a point names its frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal

from fetalstudio.ui import theme
from fetalstudio.ui.common.plots import StillPlot

_BAND = (134, 142, 153, 34)
_LOWEST_HEIGHT = 180


@dataclass(frozen=True, slots=True)
class DifferencePoint:
    """One frame: the mean of two measurements and their difference, in mm."""

    frame_id: str
    name: str
    mean: float
    difference: float


@dataclass(frozen=True, slots=True)
class Level:
    """A line across the plot, such as the bias, with the interval of its value."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


class BlandAltmanPlot(StillPlot):
    """Points with the bias and the limits of agreement."""

    chosen = Signal(str)
    """The id of the frame whose point was clicked."""

    def __init__(self, mean: str, difference: str, tip: str) -> None:
        """``mean`` and ``difference`` label the axes."""
        super().__init__()
        self.setLabel("bottom", mean, color=theme.TEXT_DIM)
        self.setLabel("left", difference, color=theme.TEXT_DIM)
        self.setMinimumHeight(_LOWEST_HEIGHT)
        self.setToolTip(tip)
        self.setAccessibleName("Bland-Altman plot")
        self.points = pg.ScatterPlotItem(
            size=8,
            pen=None,
            brush=pg.mkBrush(theme.SERIES[0]),
            hoverable=True,
            hoverBrush=pg.mkBrush(theme.TEXT_BRIGHT),
            tip=lambda x, y, data: f"{data[1]}: {y:+.2f} mm",
        )
        self.points.sigClicked.connect(lambda _item, points, _event: self._clicked(points))
        self.addItem(self.points)
        self._lines: list[pg.GraphicsObject] = []

    def show_points(self, points: Sequence[DifferencePoint], levels: Sequence[Level]) -> None:
        """Draw points and lines in the place of those before. The first line is solid."""
        for line in self._lines:
            self.removeItem(line)
        self._lines = []
        self.points.setData(
            x=[point.mean for point in points],
            y=[point.difference for point in points],
            data=[(point.frame_id, point.name) for point in points],
        )
        for i, level in enumerate(levels):
            if level.low is not None and level.high is not None:
                band = pg.LinearRegionItem(
                    (level.low, level.high),
                    orientation="horizontal",
                    movable=False,
                    brush=pg.mkBrush(*_BAND),
                    pen=pg.mkPen(None),
                )
                band.setZValue(-10)
                self._add(band)
            self._add(_line(level, solid=i == 0))
        if points:
            xs, ys = [point.mean for point in points], [point.difference for point in points]
            for level in levels:
                ys += [y for y in (level.value, level.low, level.high) if y is not None]
            self.setRange(xRange=(min(xs), max(xs)), yRange=(min(ys), max(ys)), padding=0.18)

    def _add(self, item: pg.GraphicsObject) -> None:
        self._lines.append(item)
        self.addItem(item)

    def _clicked(self, points: list[pg.SpotItem]) -> None:
        self.chosen.emit(points[0].data()[0])


def _line(level: Level, *, solid: bool) -> pg.InfiniteLine:
    style = Qt.PenStyle.SolidLine if solid else Qt.PenStyle.DashLine
    return pg.InfiniteLine(
        level.value,
        angle=0,
        pen=pg.mkPen(theme.TEXT_DIM, style=style),
        label=f"{level.name} {level.value:+.1f}",
        labelOpts={"position": 0.94, "color": theme.TEXT, "anchors": [(1, 1), (1, 1)]},
    )
