"""The results of a study by the number of real frames: the paper's figure, and tables.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fetalstudio.core.metrics import Interval
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.experiment.findings import Trained, findings
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, CONTROL, MIXES, POSITIVE, SYNTHETIC
from fetalstudio.engine.jobs.experiment.request import ExperimentResult
from fetalstudio.formats.tables.table_files import table_text
from fetalstudio.studies.plots import blank_figure, pixels_of

_SIZE = (1400, 1080)
_FAINT = "#787e86"
_REAL, _AUGMENTED, _PAIRS = "#6e747e", "#d68c28", "#148c82"
_STYLES: dict[str, tuple[str, str]] = {
    POSITIVE: (_REAL, "dotted"),
    "real": (_REAL, "solid"),
    "augmented": (_AUGMENTED, "solid"),
    SYNTHETIC: (_PAIRS, "solid"),
    "real_steps": (_REAL, "dashed"),
    CONTROL: (_AUGMENTED, "dashed"),
}
"""Colour and line style of each curve. The controls, trained for as many steps, are dashed, and
the one by more real frames is dotted."""


@dataclass(frozen=True, slots=True)
class Point:
    """The results for one number of real frames, over the seeds of which every mix is complete."""

    real: int
    found: ExperimentResult

    def dice(self, mix: str) -> Interval:
        """The Dice of a mix, or of the original segmenter."""
        return next(figures.dice for figures in self.found.mixes if figures.mix == mix)

    @property
    def gain(self) -> Interval:
        """The gain from the pairs over the control with the same number of steps."""
        return next(c.difference for c in self.found.comparisons if c.against == CONTROL)


def points_of(
    rows: Sequence[tuple[int, Trained]], subjects: Sequence[str], more: int
) -> list[Point]:
    """The points of trainings, each given with its number of real frames, in ascending order.

    ``subjects`` are those of the test frames, and ``more`` is the number of real frames that the
    positive control adds. The original segmenter has the number 0.
    """
    before = [t for n, t in rows if n == 0]
    points = []
    for real in sorted({n for n, _ in rows if n}):
        trained = before + [t for n, t in rows if n == real]
        found = findings(
            trained,
            subjects,
            real=real,
            synthetic=0,
            more=more,
            run_id=0,
            name="study",
            segmenter="base",
        )
        if found is not None:
            points.append(Point(real, found))
    return points


def figure(points: Sequence[Point], tested: str) -> NDArray[np.uint8]:
    """The study's figure as RGB, (1080, 1400, 3) uint8.

    It shows the Dice by the number of real frames with 95 % intervals, and below it the gain from
    the pairs over the control with the same number of steps.
    """
    sheet = blank_figure(_SIZE)
    dice, gain = sheet.subplots(2, 1, height_ratios=(2, 1))
    dice.set_title(
        f"Dice by the number of real frames\n{tested}; bars: 95 % intervals over subjects "
        "and draws",
        loc="left",
    )
    gain.set_title(f"What the pairs add to: {MIXES[CONTROL].lower()} (Dice points)", loc="left")
    gain.set_xlabel("N, the number of real frames")
    for axes in (dice, gain):
        # The numbers are evenly spaced, as in the paper.
        axes.set_xticks(range(len(points)), [str(p.real) for p in points])
        axes.set_xlim(-0.5, max(len(points), 1) - 0.5)
        axes.grid(axis="y", color="#e4e6ea")
        axes.set_axisbelow(True)
    if points:
        before = points[0].dice(BEFORE).mean
        dice.axhline(before, color=_FAINT, linestyle="dashed", label="before any training")
        for place, (mix, (colour, line)) in enumerate(_STYLES.items()):
            # Side by side, because their bars would hide each other.
            offset = 0.02 * (place - 2)
            _curve(dice, [p.dice(mix) for p in points], colour, line, offset, MIXES[mix])
        dice.legend(ncols=3, frameon=False)
        gain.axhline(0, color=_FAINT, linestyle="dashed")
        _curve(gain, [_points_of_dice(p.gain) for p in points], _PAIRS, "solid")
    return pixels_of(sheet)


def _curve(
    axes: Axes,
    values: Sequence[Interval],
    colour: str,
    line: str,
    offset: float = 0.0,
    label: str | None = None,
) -> None:
    """A line through the means, with a bar for each interval."""
    means = np.array([v.mean for v in values])
    ends = np.array([[v.low for v in values], [v.high for v in values]])
    axes.errorbar(
        np.arange(len(values)) + offset,
        means,
        yerr=np.abs(ends - means),
        color=colour,
        linestyle=line,
        marker="o",
        capsize=3,
        label=label,
    )


def markdown(points: Sequence[Point], tested: str, epochs: int) -> str:
    """A table with a row for each number of real frames, then a sentence for each."""
    names = [MIXES[mix] for mix in MIXES]
    head = ["N", "Seeds", *names, f"Gain over {MIXES[CONTROL].lower()}, points"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for p in points:
        cells = [str(p.real), str(p.found.seeds)]
        cells += [_interval(p.dice(mix), 4) for mix in MIXES]
        cells.append(_interval(_points_of_dice(p.gain), 2, "+"))
        lines.append(f"| {' | '.join(cells)} |")
    said = [f"- {p.real} real frames: {_short(p)}" for p in points]
    base = f"Before any training: {_interval(points[0].dice(BEFORE), 4)}. " if points else ""
    about = f"Mean Dice with 95 % intervals, {tested}, {counted(epochs, 'epoch')}. {base}"
    return "\n".join([about, "", *lines, "", *said, ""])


def long_table(points: Sequence[Point]) -> str:
    """CSV with a row for each mix and number of real frames."""
    rows = [
        {
            "real": p.real,
            "mix": trained.mix,
            "seeds": p.found.seeds,
            "steps": trained.steps,
            "dice": f"{trained.dice.mean:.6f}",
            "low": f"{trained.dice.low:.6f}",
            "high": f"{trained.dice.high:.6f}",
        }
        for p in points
        for trained in p.found.mixes
    ]
    return table_text(("real", "mix", "seeds", "steps", "dice", "low", "high"), rows)


def _short(p: Point) -> str:
    gain = _points_of_dice(p.gain)
    by_seed = next(c.by_seed for c in p.found.comparisons if c.against == CONTROL)
    said = {
        "yes": "the pairs help",
        "no": "the pairs make no difference that matters",
        "harm": "the pairs do harm",
        "unknown": "it is not known whether the pairs help",
        "too_few": "too few draws or subjects to tell",
        "insensitive": "this trial could not have shown a difference",
    }[p.found.answer]
    better = sum(d > 0 for d in by_seed)
    return (
        f"{said} ({_interval(gain, 2, '+')} points; better with {better} of {len(by_seed)} draws)."
    )


def _interval(value: Interval, digits: int, sign: str = "") -> str:
    mean, low, high = (f"{v:{sign}.{digits}f}" for v in (value.mean, value.low, value.high))
    return mean if math.isnan(value.low) else f"{mean} ({low} to {high})"


def _points_of_dice(i: Interval) -> Interval:
    return Interval(100 * i.mean, 100 * i.low, 100 * i.high, i.n)
