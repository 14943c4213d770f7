"""Bland-Altman plot of the head circumference; clicking a point opens its frame."""

from __future__ import annotations

import pyqtgraph as pg
from PySide6.QtCore import Qt, Signal

from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.evaluate.scorecard import agreement_points
from fetalstudio.ui import theme
from fetalstudio.ui.common.plots import StillPlot


class AgreementPlot(StillPlot):
    """HC of the segmenter minus that of the person over their mean, with limits of agreement."""

    chosen = Signal(str)
    """The id of the frame whose point was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.setLabel("bottom", "Mean of both HC in mm", color=theme.TEXT_DIM)
        self.setLabel("left", "Difference in mm", color=theme.TEXT_DIM)
        self.setMinimumHeight(180)
        self.setToolTip(
            "HC of the segmenter minus that of the person. Each point is a frame; click to open it"
        )
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
        self._lines: list[pg.InfiniteLine] = []

    def show_result(self, result: EvaluateResult) -> bool:
        """Draw the result. False, and an empty plot, if no frame has both HC in mm."""
        for line in self._lines:
            self.removeItem(line)
        self._lines = []
        points = agreement_points(result.frames)
        self.points.setData(
            x=[x for _, x, _ in points],
            y=[y for _, _, y in points],
            data=[(score.frame_id, score.name) for score, _, _ in points],
        )
        levels = [] if result.hc_bias_mm is None else [(result.hc_bias_mm, "bias")]
        levels += [] if result.hc_limits_mm is None else [(y, "limit") for y in result.hc_limits_mm]
        for y, name in levels:
            self._lines.append(self._line(y, name))
            self.addItem(self._lines[-1])
        if points:
            xs, ys = [x for _, x, _ in points], [y for _, _, y in points]
            ys += [y for y, _ in levels]
            self.setRange(xRange=(min(xs), max(xs)), yRange=(min(ys), max(ys)), padding=0.18)
        return bool(points)

    def _line(self, y: float, name: str) -> pg.InfiniteLine:
        style = Qt.PenStyle.SolidLine if name == "bias" else Qt.PenStyle.DashLine
        return pg.InfiniteLine(
            y,
            angle=0,
            pen=pg.mkPen(theme.TEXT_DIM, style=style),
            label=f"{name} {y:+.1f}",
            labelOpts={"position": 0.94, "color": theme.TEXT, "anchors": [(1, 1), (1, 1)]},
        )

    def _clicked(self, points: list[pg.SpotItem]) -> None:
        self.chosen.emit(points[0].data()[0])
