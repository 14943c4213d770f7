"""Plots of the heads of a batch and of its cohort: size, shape, angle and position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QWidget

from fetalstudio.core.biometry import SECOND_TRIMESTER_FROM_MM, THIRD_TRIMESTER_FROM_MM
from fetalstudio.core.heads import HeadDistribution
from fetalstudio.ui import theme
from fetalstudio.ui.common.plots import StillPlot
from fetalstudio.ui.synthesise.heads import Drawn, HeadPreview

COHORT, BATCH = theme.TEXT, theme.SERIES[0]
_OUTLINES = 60
"""Largest number of outlines drawn; more would hide each other."""
Figure = Callable[[HeadDistribution, Drawn], float]


def circumference(distribution: HeadDistribution, drawn: Drawn) -> float:
    """HC in the unit of the distribution."""
    head, ellipse = drawn
    return head.circumference(ellipse, distribution.unit)


def _ratio(_distribution: HeadDistribution, drawn: Drawn) -> float:
    return drawn[1].b / drawn[1].a


def _angle(distribution: HeadDistribution, drawn: Drawn) -> float:
    return distribution.angle_of(drawn[1])


class Histogram(StillPlot):
    """The distribution of one figure in the cohort (grey) and the batch (teal)."""

    def __init__(self, figure: Figure, title: str) -> None:
        super().__init__()
        self._figure, self._title = figure, title
        self.getAxis("left").hide()
        self.setLabel("bottom", title, color=theme.TEXT_DIM)
        self._cohort = self._steps(COHORT, 70)
        self._batch = self._steps(BATCH, 70)
        self.batch_shares: NDArray[np.float64] = np.zeros(0)
        self.edges: NDArray[np.float64] = np.zeros(0)

    def show_heads(
        self, distribution: HeadDistribution, own: list[Drawn], new: list[Drawn]
    ) -> None:
        """Draw both with the same bins."""
        ours = np.array([self._figure(distribution, drawn) for drawn in own])
        made = np.array([self._figure(distribution, drawn) for drawn in new])
        # With few heads, narrow bins would show single heads and not a distribution.
        bins = 24 if len(ours) >= 60 else 14
        both = np.concatenate([ours, made])
        low, high = float(both.min()), float(both.max())
        room = 0.04 * (high - low) or 0.05 * max(abs(high), 1.0)
        self.edges = np.linspace(low - room, high + room, bins + 1)
        most = 1e-6
        for curve, values in ((self._cohort, ours), (self._batch, made)):
            shares = np.histogram(values, self.edges)[0] / max(len(values), 1)
            curve.setData(self.edges, shares)
            most = max(most, float(shares.max()))
            self.batch_shares = shares
        self.setYRange(0, 1.3 * most, padding=0)
        self.setXRange(self.edges[0], self.edges[-1], padding=0)

    def _steps(self, colour: str, alpha: int) -> pg.PlotDataItem:
        fill = pg.mkColor(colour)
        fill.setAlpha(alpha)
        return self.plot(
            [0, 1], [0], stepMode="center", fillLevel=0, brush=fill, pen=pg.mkPen(colour, width=1)
        )


class SizeHistogram(Histogram):
    """The distribution of HC with the limits of the trimesters; without labels if small."""

    def __init__(self, *, small: bool = False) -> None:
        super().__init__(circumference, "HC in mm")
        self._small = small
        pen = pg.mkPen(theme.BORDER, style=Qt.PenStyle.DashLine)
        self._limits = [
            pg.InfiniteLine(
                limit,
                pen=pen,
                label=None if small else name,
                labelOpts={"position": 0.98, "color": theme.TEXT_DIM, "anchors": [(0, 0), (0, 0)]},
            )
            for limit, name in (
                (SECOND_TRIMESTER_FROM_MM, "2nd trimester"),
                (THIRD_TRIMESTER_FROM_MM, "3rd"),
            )
        ]
        for line in self._limits:
            self.addItem(line, ignoreBounds=True)

    def show_heads(
        self, distribution: HeadDistribution, own: list[Drawn], new: list[Drawn]
    ) -> None:
        super().show_heads(distribution, own, new)
        title = None if self._small else f"HC in {distribution.unit}"
        self.setLabel("bottom", title, color=theme.TEXT_DIM)
        for line in self._limits:
            line.setVisible(distribution.unit == "mm")


class Places(StillPlot):
    """The outlines of both on the frame; all frames are drawn with the same width."""

    def __init__(self) -> None:
        super().__init__()
        self.hideAxis("left")
        self.hideAxis("bottom")
        self.setAspectLocked(True)
        self.invertY(True)
        self._frame = self.plot([], [], pen=pg.mkPen(theme.BORDER, width=1))
        self._batch = self._lines(BATCH, 75)
        self._centres = self._dots(BATCH)
        self._cohort = self._lines(COHORT, 150)
        self._own_centres = self._dots(COHORT)

    def show_heads(self, own: list[Drawn], new: list[Drawn]) -> None:
        """Draw both sets of outlines."""
        heights = [head.size[1] / head.size[0] for head, _ in (*own, *new)]
        h = float(np.median(heights))
        self._frame.setData([0, 1, 1, 0, 0], [0, 0, h, h, 0])
        for curve, drawn in ((self._cohort, own), (self._batch, new)):
            every = max(1, -(-len(drawn) // _OUTLINES))
            lines = [_outline(d) for d in drawn[::every]]
            points = np.concatenate(lines) if lines else np.zeros((0, 2))
            curve.setData(points[:, 0], points[:, 1], connect="finite")
        for dots, drawn in ((self._own_centres, own), (self._centres, new)):
            dots.setData([e.cx / s.size[0] for s, e in drawn], [e.cy / s.size[0] for s, e in drawn])
        # The smaller set is on top, or it would be hidden.
        for item in (self._own_centres, self._cohort):
            item.setZValue(1 if len(own) < len(new) else -1)
        self.setRange(xRange=(0, 1), yRange=(0, h), padding=0.03)

    def _dots(self, colour: str) -> pg.ScatterPlotItem:
        dots = pg.ScatterPlotItem(size=4, pen=None, brush=pg.mkBrush(colour))
        self.addItem(dots)
        return dots

    def _lines(self, colour: str, alpha: int) -> pg.PlotDataItem:
        pen = pg.mkColor(colour)
        pen.setAlpha(alpha)
        return self.plot([], [], pen=pg.mkPen(pen, width=1), antialias=True)


class HeadPlots(QWidget):
    """Four plots that follow a :class:`HeadPreview`."""

    def __init__(self, preview: HeadPreview, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._preview = preview
        self.sizes, self.places = SizeHistogram(), Places()
        self.ratios = Histogram(_ratio, "Axis ratio, minor over major")
        self.angles = Histogram(_angle, "Angle of the major axis in degrees")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(theme.SPACE)
        plots: list[StillPlot] = [self.sizes, self.places, self.ratios, self.angles]
        for i, plot in enumerate(plots):
            plot.setMinimumSize(240, 180)
            grid.addWidget(plot, i // 2, i % 2)
        preview.drew.connect(self._show)
        preview.changed.connect(self._refused)

    def _show(self) -> None:
        own, new = self._preview.cohort, self._preview.drawn
        distribution = self._preview.distribution or self._preview.own
        if distribution is None or not self.isVisible():
            return
        for plot in (self.sizes, self.ratios, self.angles):
            plot.show_heads(distribution, own, new)
        self.places.show_heads(own, new)

    def _refused(self) -> None:
        if self._preview.error:
            self._show()  # only the cohort

    def showEvent(self, event: object) -> None:
        """Show what was drawn while the plots were hidden."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._show()


def _outline(drawn: Drawn) -> NDArray[np.float64]:
    """The outline relative to the frame's width, (n, 2), with a gap (NaN) at the end."""
    head, ellipse = drawn
    points = ellipse.contour(48) / head.size[0]
    return np.concatenate([points, points[:1], [[np.nan, np.nan]]])


def key_text(preview: HeadPreview) -> str:
    """The legend, with the number of heads of each colour, as rich text."""
    own, new = len(preview.cohort), len(preview.drawn)
    return (
        f'<span style="color:{COHORT}">●</span> {own} real heads (training part of the cohort)'
        "&nbsp;&nbsp; "
        f'<span style="color:{BATCH}">●</span> {new} heads of the batch'
    )
