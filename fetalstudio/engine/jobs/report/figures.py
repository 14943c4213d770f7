"""Figures of a report, laid out in px: Bland-Altman, and the Dice of every frame.

``figure.svg`` draws what is laid out here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fetalstudio.core.metrics import FAILURE
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.evaluate.scorecard import agreement_points


@dataclass(frozen=True, slots=True)
class Box:
    """The size of the picture, and the edges of the box in it that holds the points."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


BOX = Box(width=560, height=320, left=56, right=544, top=16, bottom=276)

_COLOURS = ("#1b7f79", "#b0722a", "#4a6fb5", "#96508c", "#6f7f2f", "#555555")


@dataclass(frozen=True, slots=True)
class Tick:
    """A round number along an edge of the box."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal line with its name at the right end."""

    y: float
    name: str
    dash: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point; ``info`` is shown under the pointer."""

    x: float
    y: float
    colour: str
    info: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot. All places are in px from the top left."""

    title: str
    x_name: str
    y_name: str
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    levels: Sequence[Level]
    dots: Sequence[Dot]
    legend: Sequence[tuple[str, str]] = ()
    """Names and their colours."""


def bland_altman(result: EvaluateResult) -> Figure | None:
    """The differences of HC over the mean HC, with bias and limits; None if no HC is known."""
    points = agreement_points(result.frames)
    if not points or result.hc_bias_mm is None:
        return None
    lines = [(result.hc_bias_mm, "bias", "")]
    if result.hc_limits_mm is not None:
        low, high = result.hc_limits_mm
        lines += [(low, "lower limit", "5 4"), (high, "upper limit", "5 4")]
    axes = _Axes([p[1] for p in points], [*(p[2] for p in points), *(y for y, _, _ in lines), 0.0])
    cohorts = sorted({s.cohort for s, _, _ in points})
    colours = {c: _COLOURS[i % len(_COLOURS)] for i, c in enumerate(cohorts)}
    return Figure(
        title="Bland-Altman plot of the head circumference",
        x_name="mean of both HC in mm",
        y_name="segmenter minus person in mm",
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        levels=[Level(axes.y(y), f"{name} {y:+.2f}", dash) for y, name, dash in lines],
        dots=[
            Dot(axes.x(x), axes.y(y), colours[s.cohort], f"{s.name}: {y:+.2f} mm")
            for s, x, y in points
        ],
        legend=list(colours.items()) if len(cohorts) > 1 else (),
    )


def dice_figure(result: EvaluateResult) -> Figure:
    """The Dice of every frame, in ascending order from the left."""
    ordered = sorted(result.frames, key=lambda s: s.dice)
    values = [s.dice for s in ordered]
    mean = float(np.mean(values))
    axes = _Axes([0.0, len(ordered) - 1.0], [*values, 1.0])
    return Figure(
        title="Dice of every frame",
        x_name="frames, by their Dice",
        y_name="Dice",
        x_ticks=axes.x_ticks(),
        y_ticks=axes.y_ticks(),
        levels=[Level(axes.y(mean), f"mean {mean:.4f}", "")],
        dots=[
            Dot(
                axes.x(i),
                axes.y(s.dice),
                _COLOURS[0 if s.dice >= FAILURE else 1],
                f"{s.name}: {s.dice:.3f}",
            )
            for i, s in enumerate(ordered)
        ],
    )


class _Axes:
    """Maps values to places in the picture, with room around the outermost ones."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self._x0, self._x1 = _with_room(xs)
        self._y0, self._y1 = _with_room(ys)

    def x(self, value: float) -> float:
        return BOX.left + (value - self._x0) / (self._x1 - self._x0) * (BOX.right - BOX.left)

    def y(self, value: float) -> float:
        return BOX.bottom - (value - self._y0) / (self._y1 - self._y0) * (BOX.bottom - BOX.top)

    def x_ticks(self) -> list[Tick]:
        return [Tick(self.x(value), f"{value:g}") for value in _round_numbers(self._x0, self._x1)]

    def y_ticks(self) -> list[Tick]:
        return [Tick(self.y(value), f"{value:g}") for value in _round_numbers(self._y0, self._y1)]


def _with_room(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 0.1)
    return low - room, high + room


def _round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers between the two."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(i * step, 10) for i in range(first, last + 1)]
