"""Figures of a report as SVG text: Bland-Altman, and the Dice of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from fetalstudio.engine.jobs.evaluate.evaluation import FAILURE
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.evaluate.scorecard import agreement_points

_W, _H = 560, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 44
_COLOURS = ("#1b7f79", "#b0722a", "#4a6fb5", "#96508c", "#6f7f2f", "#555555")


def bland_altman(result: EvaluateResult) -> str | None:
    """The differences of HC over the mean HC, with bias and limits; None where no HC is known."""
    points = agreement_points(result.frames)
    if not points or result.hc_bias_mm is None:
        return None
    lines = [(result.hc_bias_mm, "bias", "")]
    if result.hc_limits_mm is not None:
        low, high = result.hc_limits_mm
        lines += [(low, "lower limit", "5 4"), (high, "upper limit", "5 4")]
    xs, ys = [p[1] for p in points], [p[2] for p in points]
    axes = _Axes(xs, [*ys, *(y for y, _, _ in lines), 0.0])
    cohorts = sorted({s.cohort for s, _, _ in points})
    colours = {c: _COLOURS[i % len(_COLOURS)] for i, c in enumerate(cohorts)}
    parts = [axes.frame("mean of both HC in mm", "segmenter less person in mm")]
    for y, name, dash in lines:
        parts.append(axes.line(y, f"{name} {y:+.2f}", dash))
    parts += [axes.dot(x, y, colours[s.cohort], f"{s.name}: {y:+.2f} mm") for s, x, y in points]
    if len(cohorts) > 1:
        parts.append(_legend(colours))
    return _svg("Bland-Altman plot of the head circumference", parts)


def dice_figure(result: EvaluateResult) -> str:
    """Every frame's Dice, the lowest at the left."""
    ordered = sorted(result.frames, key=lambda s: s.dice)
    values = [s.dice for s in ordered]
    axes = _Axes([0.0, len(ordered) - 1.0], [*values, 1.0])
    parts = [axes.frame("frames, by their Dice", "Dice")]
    parts += [
        axes.dot(i, s.dice, _COLOURS[0 if s.dice >= FAILURE else 1], f"{s.name}: {s.dice:.3f}")
        for i, s in enumerate(ordered)
    ]
    parts.append(axes.line(float(np.mean(values)), f"mean {np.mean(values):.4f}", ""))
    return _svg("Dice of every frame", parts)


class _Axes:
    """From figures to places in the picture, with room around the outermost ones."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        self.x0, self.x1 = _roomy(xs)
        self.y0, self.y1 = _roomy(ys)

    def x(self, value: float) -> float:
        return _LEFT + (value - self.x0) / (self.x1 - self.x0) * (_W - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _H - _BOTTOM - (value - self.y0) / (self.y1 - self.y0) * (_H - _TOP - _BOTTOM)

    def frame(self, below: str, beside: str) -> str:
        """The box, round numbers along it, and what they are."""
        parts = [
            f'<rect x="{_LEFT}" y="{_TOP}" width="{_W - _LEFT - _RIGHT}" '
            f'height="{_H - _TOP - _BOTTOM}" fill="none" stroke="#bbb"/>'
        ]
        for value in _ticks(self.x0, self.x1):
            parts.append(_text(self.x(value), _H - _BOTTOM + 16, f"{value:g}", "middle"))
        for value in _ticks(self.y0, self.y1):
            y = self.y(value)
            parts.append(f'<path d="M{_LEFT} {y:.1f}H{_W - _RIGHT}" stroke="#eee"/>')
            parts.append(_text(_LEFT - 6, y + 4, f"{value:g}", "end"))
        parts.append(_text((_LEFT + _W - _RIGHT) / 2, _H - 8, below, "middle"))
        middle = (_TOP + _H - _BOTTOM) / 2
        parts.append(
            f'<text x="14" y="{middle}" text-anchor="middle" '
            f'transform="rotate(-90 14 {middle})">{escape(beside)}</text>'
        )
        return "".join(parts)

    def line(self, y: float, name: str, dash: str) -> str:
        """A level line with its name at the right."""
        at = self.y(y)
        return (
            f'<path d="M{_LEFT} {at:.1f}H{_W - _RIGHT}" stroke="#444" stroke-dasharray="{dash}"/>'
            + _text(_W - _RIGHT - 4, at - 4, name, "end")
        )

    def dot(self, x: float, y: float, colour: str, told: str) -> str:
        """A point that tells its figures under the pointer."""
        return (
            f'<circle cx="{self.x(x):.1f}" cy="{self.y(y):.1f}" r="3.5" fill="{colour}" '
            f'fill-opacity="0.7"><title>{escape(told)}</title></circle>'
        )


def _roomy(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = 0.06 * (high - low) or 0.05 * max(abs(high), 0.1)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Some five round numbers between both."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(i * step, 10) for i in range(first, last + 1)]


def _legend(colours: dict[str, str]) -> str:
    parts = []
    for i, (name, colour) in enumerate(colours.items()):
        y = _TOP + 14 + 16 * i
        parts.append(f'<circle cx="{_LEFT + 12}" cy="{y - 4}" r="4" fill="{colour}"/>')
        parts.append(_text(_LEFT + 22, y, name, "start"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_W} {_H}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )
