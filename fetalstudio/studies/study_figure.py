"""What a study found: by the number of real frames, as a picture in the paper's layout and tables.

Imports no torch.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.metrics import Interval
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.experiment.request import (
    ARMS,
    BEFORE,
    CONTROL,
    SYNTHETIC,
    ExperimentResult,
    Trained,
    findings,
)

Colour = tuple[int, int, int]
_SIZE = (1400, 1080)
_LEFT, _RIGHT = 110, 40
_DICE, _GAIN = (150, 640), (760, 990)
"""Top and bottom of the two plots in px."""
_INK, _FAINT, _GRID = (40, 44, 50), (120, 126, 134), (228, 230, 234)
_LOOKS: dict[str, tuple[Colour, bool]] = {
    "real": ((110, 116, 126), False),
    "augmented": ((214, 140, 40), False),
    SYNTHETIC: ((20, 140, 130), False),
    "real_steps": ((110, 116, 126), True),
    CONTROL: ((214, 140, 40), True),
}
"""RGB, and whether the line is dashed: the controls of as many steps."""


@dataclass(frozen=True, slots=True)
class Point:
    """One number of real frames, over the seeds of which every arm is trained."""

    real: int
    found: ExperimentResult

    def dice(self, arm: str) -> Interval:
        """Of an arm, or of the segmenter as it came."""
        return next(figures.dice for figures in self.found.arms if figures.arm == arm)

    @property
    def gain(self) -> Interval:
        """Of the pairs, against the control of as many steps."""
        return next(c.difference for c in self.found.comparisons if c.against == CONTROL)


def points_of(rows: Sequence[tuple[int, Trained]], subjects: Sequence[str]) -> list[Point]:
    """From (number of real frames, training), in the order of the numbers; ``subjects`` are those
    of the test frames. The segmenter as it came stands under the number 0."""
    before = [t for n, t in rows if n == 0]
    points = []
    for real in sorted({n for n, _ in rows if n}):
        trained = before + [t for n, t in rows if n == real]
        named = {"run_id": 0, "name": "study", "segmenter": "base"}
        found = findings(trained, subjects, real=real, synthetic=0, **named)
        if found is not None:
            points.append(Point(real, found))
    return points


def figure(points: Sequence[Point], tested: str) -> NDArray[np.uint8]:
    """RGB (1080, 1400, 3) uint8: Dice by arm over the number of real frames with 95 % intervals,
    and below what the pairs add to the control of as many steps."""
    sheet = np.full((_SIZE[1], _SIZE[0], 3), 255, np.uint8)
    _text(sheet, "Dice by the number of real frames", (_LEFT, 40), _INK, 0.8)
    _text(sheet, f"{tested}; bars: 95 % intervals by bootstrap over subjects", (_LEFT, 70), _FAINT)
    _text(
        sheet,
        f"What the pairs add to: {ARMS[CONTROL].lower()} (Dice points)",
        (_LEFT, _GAIN[0] - 24),
        _INK,
        0.7,
    )
    _text(sheet, "N, the number of real frames", (_SIZE[0] // 2 - 130, _SIZE[1] - 24), _FAINT)
    if not points:
        return sheet
    dice = [p.dice(arm) for p in points for arm in (*ARMS, BEFORE)]
    y = _axis(sheet, _DICE, min(i.low for i in dice), max(i.high for i in dice), points)
    before = points[0].dice(BEFORE).mean
    _dashes(sheet, (_LEFT, y(before)), (_SIZE[0] - _RIGHT, y(before)), _FAINT)
    _text(sheet, "before", (_SIZE[0] - _RIGHT - 62, round(y(before)) - 8), _FAINT)
    for place, (arm, (colour, dashed)) in enumerate(_LOOKS.items()):
        # Side by side, or their bars would hide each other.
        xs = [_x(i, len(points)) + 9 * (place - 2) for i in range(len(points))]
        _curve(sheet, xs, [p.dice(arm) for p in points], y, colour, dashed=dashed)
        at = (_LEFT + 400 * (place % 3), 102 + 28 * (place // 3))
        (_dashes if dashed else _line)(sheet, (at[0], at[1] - 6), (at[0] + 44, at[1] - 6), colour)
        _text(sheet, ARMS[arm], (at[0] + 56, at[1]), _INK)
    gains = [_points_of_dice(p.gain) for p in points]
    low, high = min(0.0, *(g.low for g in gains)), max(0.0, *(g.high for g in gains))
    y = _axis(sheet, _GAIN, low, high, points)
    _dashes(sheet, (_LEFT, y(0)), (_SIZE[0] - _RIGHT, y(0)), _FAINT)
    xs = [_x(i, len(points)) for i in range(len(points))]
    _curve(sheet, xs, gains, y, _LOOKS[SYNTHETIC][0], dashed=False)
    return sheet


def markdown(points: Sequence[Point], tested: str, epochs: int) -> str:
    """A table with a row a number of real frames, then a sentence for each."""
    names = [ARMS[arm] for arm in ARMS]
    head = ["N", "Seeds", *names, f"With pairs less {ARMS[CONTROL].lower()}, points"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for p in points:
        cells = [str(p.real), str(p.found.seeds)]
        cells += [_interval(p.dice(arm), 4) for arm in ARMS]
        cells.append(_interval(_points_of_dice(p.gain), 2, "+"))
        lines.append(f"| {' | '.join(cells)} |")
    said = [f"- {p.real} real frames: {_short(p)}" for p in points]
    base = f"Before any training: {_interval(points[0].dice(BEFORE), 4)}. " if points else ""
    about = f"Mean Dice with 95 % intervals, {tested}, {counted(epochs, 'epoch')}. {base}"
    return "\n".join([about, "", *lines, "", *said, ""])


def long_table(points: Sequence[Point]) -> str:
    """CSV with a row an arm and number of real frames."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["real", "arm", "seeds", "steps", "dice", "low", "high"])
    for p in points:
        for arm in p.found.arms:
            dice = (arm.dice.mean, arm.dice.low, arm.dice.high)
            writer.writerow(
                [p.real, arm.arm, p.found.seeds, arm.steps, *(f"{v:.6f}" for v in dice)]
            )
    return table.getvalue()


def _short(p: Point) -> str:
    gain = _points_of_dice(p.gain)
    by_seed = next(c.by_seed for c in p.found.comparisons if c.against == CONTROL)
    said = {
        "yes": "the pairs help",
        "no": "the pairs make no difference that matters",
        "harm": "the pairs do harm",
        "unknown": "it cannot be told whether the pairs help",
    }[p.found.answer]
    better = sum(d > 0 for d in by_seed)
    return (
        f"{said} ({_interval(gain, 2, '+')} points; better with {better} of {len(by_seed)} draws)."
    )


def _interval(value: Interval, digits: int, sign: str = "") -> str:
    mean, low, high = (f"{v:{sign}.{digits}f}" for v in (value.mean, value.low, value.high))
    return f"{mean} ({low} to {high})"


def _points_of_dice(i: Interval) -> Interval:
    return Interval(100 * i.mean, 100 * i.low, 100 * i.high, i.n)


# -- drawing ----------------------------------------------------------------------------------


def _x(i: int, count: int) -> float:
    """The numbers stand equally far apart, as in the paper."""
    return _LEFT + (i + 0.5) / count * (_SIZE[0] - _LEFT - _RIGHT)


def _axis(
    sheet: NDArray[np.uint8],
    place: tuple[int, int],
    low: float,
    high: float,
    points: Sequence[Point],
) -> Callable[[float], float]:
    """Frame, grid and numbers of a plot; returns where a value lies."""
    top, bottom = place
    room = 0.06 * max(high - low, 1e-3)
    low, high = low - room, high + room

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    step = _round_step((high - low) / 5)
    digits = max(0, -int(np.floor(np.log10(step))))
    for tick in np.arange(np.ceil(low / step), high / step) * step:
        _line(sheet, (_LEFT, y(tick)), (_SIZE[0] - _RIGHT, y(tick)), _GRID, 1)
        _text(sheet, f"{tick + 0.0:.{digits}f}", (_LEFT - 66, round(y(tick)) + 5), _FAINT)
    cv2.rectangle(sheet, (_LEFT, top), (_SIZE[0] - _RIGHT, bottom), _FAINT, 1, cv2.LINE_AA)
    for i, p in enumerate(points):
        at = (round(_x(i, len(points))) - 6 * len(str(p.real)), bottom + 26)
        _text(sheet, str(p.real), at, _INK)
    return y


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(least))
    return float(next(m for m in (1, 2, 5, 10) if m * power >= least) * power)


def _curve(
    sheet: NDArray[np.uint8],
    xs: Sequence[float],
    values: Sequence[Interval],
    y: Callable[[float], float],
    colour: Colour,
    *,
    dashed: bool,
) -> None:
    spots = [(x, y(v.mean)) for x, v in zip(xs, values, strict=True)]
    for a, b in pairwise(spots):
        (_dashes if dashed else _line)(sheet, a, b, colour)
    for (x, middle), v in zip(spots, values, strict=True):
        _line(sheet, (x, y(v.low)), (x, y(v.high)), colour, 1)
        for end in (v.low, v.high):
            _line(sheet, (x - 4, y(end)), (x + 4, y(end)), colour, 1)
        cv2.circle(sheet, (round(x), round(middle)), 5, colour, -1, cv2.LINE_AA)


def _line(
    sheet: NDArray[np.uint8],
    a: tuple[float, float],
    b: tuple[float, float],
    colour: Colour,
    width: int = 2,
) -> None:
    ends = [(round(16 * x), round(16 * y)) for x, y in (a, b)]
    cv2.line(sheet, ends[0], ends[1], colour, width, cv2.LINE_AA, shift=4)


def _dashes(
    sheet: NDArray[np.uint8], a: tuple[float, float], b: tuple[float, float], colour: Colour
) -> None:
    start, way = np.array(a), np.array(b) - np.array(a)
    length = float(np.hypot(*way)) or 1.0
    for at in np.arange(0, length, 14):
        first, last = start + way * (at / length), start + way * (min(at + 8, length) / length)
        _line(sheet, (first[0], first[1]), (last[0], last[1]), colour)


def _text(
    sheet: NDArray[np.uint8], text: str, at: tuple[int, int], colour: Colour, size: float = 0.55
) -> None:
    cv2.putText(sheet, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
