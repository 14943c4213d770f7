"""The curves of a run: losses above, validation Dice below."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QLabel, QToolButton, QVBoxLayout, QWidget

from fetalstudio.engine.process.events import Epoch
from fetalstudio.ui import theme
from fetalstudio.ui.common.plots import chip, marker, step_curve, step_plot

Row = Mapping[str, float]
"""One epoch in the history of a run: ``epoch``, both losses, ``validation_dice``."""

DICE, VALIDATION, TRAIN = theme.SERIES[:3]


class TrainingCurves(QWidget):
    """Loss (linear or logarithmic) and Dice by epoch, with the best epoch and values on hover.

    :meth:`set_history` shows a whole run, :meth:`add` appends an epoch.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []
        self._best: int | None = None
        self._expected = 0
        self._hovered: int | None = None

        self._readout = QLabel()
        self._readout.setTextFormat(Qt.TextFormat.RichText)
        self._readout.setWordWrap(True)
        self.log_button = QToolButton(self)
        """Switches the loss axis. The page has it beside its title, where it never moves."""
        self.log_button.setText("Log scale")
        self.log_button.setCheckable(True)
        self.log_button.setShortcut(QKeySequence("Ctrl+L"))
        self.log_button.setToolTip("Show the losses on a logarithmic scale (Ctrl+L)")
        self.log_button.toggled.connect(self._show)

        self.loss_plot = step_plot("Loss")
        self.dice_plot = step_plot("Dice")
        self.dice_plot.setLabel("bottom", "Epoch", color=theme.TEXT_DIM)
        self.dice_plot.setXLink(self.loss_plot)
        self._train = step_curve(self.loss_plot, TRAIN)
        self._validation = step_curve(self.loss_plot, VALIDATION)
        self._dice = step_curve(self.dice_plot, DICE)
        self._best_lines = [marker(plot, DICE) for plot in (self.loss_plot, self.dice_plot)]
        self._best_point = pg.ScatterPlotItem(
            size=13, pen=pg.mkPen(DICE, width=2), brush=pg.mkBrush(theme.CANVAS)
        )
        self.dice_plot.addItem(self._best_point)
        self._cursors = [marker(p, theme.TEXT_DIM) for p in (self.loss_plot, self.dice_plot)]
        for plot in (self.loss_plot, self.dice_plot):
            plot.scene().sigMouseMoved.connect(lambda at, plot=plot: self._hover(plot, at))
            plot.viewport().installEventFilter(self)

        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self._readout)
        layout.addWidget(self.loss_plot, 3)
        layout.addWidget(self.dice_plot, 2)
        self._show()

    # -- content ------------------------------------------------------------------------------

    def clear(self, expected_epochs: int = 0) -> None:
        """Remove the curves; ``expected_epochs`` sets the width of the empty axis."""
        self.set_history((), expected_epochs=expected_epochs)

    def set_history(
        self, history: Sequence[Row], *, best_epoch: int | None = None, expected_epochs: int = 0
    ) -> None:
        """Show a whole run. By default the best epoch is the one with the highest Dice."""
        self._rows = list(history)
        self._expected = expected_epochs
        self._best = best_epoch if best_epoch is not None else _highest_dice(self._rows)
        self._hovered = None
        self._show()

    def add(self, epoch: Epoch) -> None:
        """Append an epoch; one that is already shown is ignored."""
        if self._rows and epoch.epoch <= self._rows[-1]["epoch"]:
            return
        self._rows.append(
            {
                "epoch": epoch.epoch,
                "train_loss": epoch.train_loss,
                "validation_loss": epoch.validation_loss,
                "validation_dice": epoch.validation_dice,
            }
        )
        self._expected = max(self._expected, epoch.epochs)
        if epoch.best:
            self._best = epoch.epoch
        self._show()

    @property
    def best_epoch(self) -> int | None:
        """The marked epoch."""
        return self._best

    @property
    def epochs(self) -> int:
        """The number of epochs shown."""
        return len(self._rows)

    def readout(self) -> str:
        """The line above the plots, as rich text."""
        return self._readout.text()

    def set_logarithmic(self, on: bool) -> None:
        """Switch the loss axis."""
        self.log_button.setChecked(on)

    # -- drawing ------------------------------------------------------------------------------

    def _column(self, key: str) -> np.ndarray:
        return np.array([row.get(key, math.nan) for row in self._rows], dtype=float)

    def _show(self) -> None:
        epochs = self._column("epoch")
        train, validation = self._column("train_loss"), self._column("validation_loss")
        dice = self._column("validation_dice")
        log = self.log_button.isChecked()
        self.loss_plot.setLogMode(y=log)
        for plot in (self.loss_plot, self.dice_plot):  # without values, numbers would mean nothing
            plot.getAxis("left").setStyle(showValues=bool(self._rows))
        for curve, values in (
            (self._train, train),
            (self._validation, validation),
            (self._dice, dice),
        ):
            known = np.isfinite(values)
            curve.setData(epochs[known], values[known])
        self._fit(epochs, np.concatenate([train, validation]), dice, log)
        self._mark_best(epochs, dice)
        self._write_readout()

    def _fit(self, epochs: np.ndarray, loss: np.ndarray, dice: np.ndarray, log: bool) -> None:
        first = float(epochs[0]) if len(epochs) else 1.0
        last = max(float(epochs[-1]) if len(epochs) else 1.0, float(self._expected), first + 1)
        self.loss_plot.setXRange(first - 0.2, last + 0.2, padding=0)
        loss = loss[np.isfinite(loss) & (loss > 0 if log else loss > -np.inf)]
        if len(loss):
            low, high = float(loss.min()), float(loss.max())
            if log:
                low, high = math.log10(low), math.log10(high)
            margin = max(0.08 * (high - low), 1e-3)
            self.loss_plot.setYRange(
                low - margin if log else max(0.0, low - margin), high + margin, padding=0
            )
        dice = dice[np.isfinite(dice)]
        if len(dice):
            # A hundredth of a Dice point must not fill the plot.
            margin = max(0.1 * float(dice.max() - dice.min()), 0.005)
            low, high = float(dice.min()) - margin, min(1.0, float(dice.max()) + margin)
            self.dice_plot.setYRange(max(0.0, low), high, padding=0)

    def _mark_best(self, epochs: np.ndarray, dice: np.ndarray) -> None:
        at = np.flatnonzero(epochs == self._best) if self._best is not None else np.array([], int)
        marks: tuple[pg.GraphicsObject, ...] = (*self._best_lines, self._best_point)
        for mark in marks:
            mark.setVisible(len(at) > 0)
        if len(at):
            for line in self._best_lines:
                line.setValue(float(epochs[at[0]]))
            self._best_point.setData(epochs[at[:1]], dice[at[:1]])

    # -- the readout --------------------------------------------------------------------------

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Leaving a plot ends the hovering."""
        if event.type() == QEvent.Type.Leave and self._hovered is not None:
            self._hovered = None
            self._write_readout()
        return super().eventFilter(watched, event)

    def _hover(self, plot: pg.PlotWidget, at: QPointF) -> None:
        if not self._rows:
            return
        x = plot.getViewBox().mapSceneToView(at).x()
        nearest = int(np.nanargmin(np.abs(self._column("epoch") - x)))
        if nearest != self._hovered:
            self._hovered = nearest
            self._write_readout()

    def _write_readout(self) -> None:
        for cursor in self._cursors:
            cursor.setVisible(self._hovered is not None)
        if not self._rows:
            self._readout.setText(
                f"{chip(TRAIN, 'training loss')} {chip(VALIDATION, 'validation loss')} "
                f"{chip(DICE, 'validation Dice')}"
            )
            return
        row = self._rows[self._hovered if self._hovered is not None else -1]
        for cursor in self._cursors:
            cursor.setValue(row["epoch"])
        self._readout.setText(
            f"Epoch {int(row['epoch'])}&nbsp; "
            f"{chip(TRAIN, 'training', row.get('train_loss'))} "
            f"{chip(VALIDATION, 'validation', row.get('validation_loss'))} "
            f"{chip(DICE, 'Dice', row.get('validation_dice'), 4)} "
            f'<span style="color:{theme.TEXT_DIM}">{self._best_text()}</span>'
        )

    def _best_text(self) -> str:
        for row in self._rows:
            if int(row["epoch"]) == self._best:
                return f"best: epoch {self._best}, {row.get('validation_dice', math.nan):.4f}"
        return ""


def _highest_dice(rows: Sequence[Row]) -> int | None:
    scored = [r for r in rows if math.isfinite(r.get("validation_dice", math.nan))]
    return int(max(scored, key=lambda r: r["validation_dice"])["epoch"]) if scored else None
