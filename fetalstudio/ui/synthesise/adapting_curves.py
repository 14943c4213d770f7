"""The curves of an adaptation: distance to the real frames, loss, and Dice with the ellipses."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from fetalstudio.engine.process.events import Adapting
from fetalstudio.ui import theme
from fetalstudio.ui.common.plots import chip, marker, step_curve, step_plot

FIDELITY, LOSS, GREY, SPECTRUM = theme.SERIES[:4]


class AdaptingCurves(QWidget):
    """By step: distances to the real frames relative to the first, loss, and Dice."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._measured: list[Adapting] = []
        self._readout = QLabel()
        self._readout.setTextFormat(Qt.TextFormat.RichText)
        self._readout.setWordWrap(True)
        self.style_plot, self.loss_plot, self.dice_plot = (
            step_plot(title) for title in ("Distance (start 1)", "Loss", "Dice")
        )
        plots = (self.style_plot, self.loss_plot, self.dice_plot)
        self._grey, self._spectrum = (
            step_curve(self.style_plot, colour) for colour in (GREY, SPECTRUM)
        )
        self._loss = step_curve(self.loss_plot, LOSS)
        self._dice = step_curve(self.dice_plot, FIDELITY)
        self._best = [marker(plot, theme.TEXT_DIM) for plot in plots]
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        for plot in plots:
            plot.setLabel("bottom", "Step", color=theme.TEXT_DIM)
            row.addWidget(plot)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self._readout)
        layout.addLayout(row, 1)
        self.clear()

    def clear(self, steps: int = 1) -> None:
        """Remove the curves; ``steps`` sets the width of the empty axis."""
        self._measured = []
        self._show(steps)

    def add(self, event: Adapting) -> None:
        """Append a measurement."""
        self._measured.append(event)
        self._show(event.steps)

    @property
    def steps(self) -> list[int]:
        """The steps that are shown."""
        return [event.step for event in self._measured]

    def readout(self) -> str:
        """The line above the plots, as rich text."""
        return self._readout.text()

    def _show(self, steps: int) -> None:
        x = np.array(self.steps, dtype=float)
        start = self._measured[0] if self._measured else None
        for curve, key in (
            (self._grey, "grey"),
            (self._spectrum, "spectrum"),
            (self._loss, "loss"),
            (self._dice, "fidelity"),
        ):
            y = np.array([getattr(event, key) for event in self._measured], dtype=float)
            if key in ("grey", "spectrum") and start is not None:
                y = y / max(getattr(start, key), 1e-6)
            known = np.isfinite(y)
            curve.setData(x[known], y[known])
        for plot in (self.style_plot, self.loss_plot, self.dice_plot):
            plot.setXRange(-0.02 * steps, 1.02 * steps, padding=0)
            plot.enableAutoRange(axis="y")
        best = next((event.step for event in reversed(self._measured) if event.best), None)
        for line in self._best:
            line.setVisible(best is not None)
            line.setValue(best or 0)
        self._readout.setText(self._text(best))

    def _text(self, best: int | None) -> str:
        if not self._measured:
            return (
                f"{chip(GREY, 'grey levels')} {chip(SPECTRUM, 'spectrum')} compared with the "
                f"held-out frames &nbsp; {chip(LOSS, 'loss')} &nbsp; "
                f"{chip(FIDELITY, 'Dice with the held-out ellipses')}"
            )
        last = self._measured[-1]
        parts = [
            f"Step {last.step}&nbsp;",
            chip(GREY, "grey levels", last.grey, 1),
            chip(SPECTRUM, "spectrum (dB)", last.spectrum, 1),
            chip(LOSS, "loss", last.loss) if math.isfinite(last.loss) else "",
            chip(FIDELITY, "Dice", last.fidelity),
            f"copies {last.copies}&nbsp;",
            f'<span style="color:{theme.TEXT_DIM}">best: step {best}</span>' if best else "",
        ]
        return " ".join(part for part in parts if part)
