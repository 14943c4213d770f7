"""A level that is fitted to a few frames has an error, and so has every figure of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.studies.calibration import calibrated_level, figures_with_error
from tests.scores import scored

SIZE_PX = {"first": 80, "second": 200, "third": 320}
"""Mean semi-axis; with 0.15 mm per px, heads of these trimesters."""
TRUE = -0.3


def _frames(counts: dict[str, int]) -> list[LabelledFrame]:
    frames = []
    for style, count in counts.items():
        for k in range(count):
            r = SIZE_PX[style]
            frame = LabelledFrame.of(
                np.zeros((4, 4), np.uint8),
                Ellipse(400, 300, r, r, 0),
                subject=f"{style} {k}",
                calibration=Calibration(0.15, 0.15, "manual"),
            )
            frames.append(frame)
    assert {frame.style for frame in frames} == set(counts)
    return frames


def _bias(rng: np.random.Generator, frames: list[LabelledFrame], third: float = 0.0) -> dict:
    """Each head's bias at the true level."""
    return {f.subject: rng.normal(third if f.style == "third" else 0.0, 0.02) for f in frames}


def _found(bias: dict) -> Callable[[LabelledFrame, float], float]:
    return lambda item, level: bias[item.subject] - 0.05 * (level - TRUE)


def test_the_error_says_how_far_other_frames_would_move_the_level() -> None:
    rng = np.random.default_rng(0)
    frames = _frames({"second": 40})
    found = [calibrated_level(_found(_bias(rng, frames)), frames, {"second": 1}) for _ in range(60)]
    actual = float(np.std([level.value for level in found]))
    assert np.mean([level.value for level in found]) == pytest.approx(TRUE, abs=0.03)
    assert np.mean([level.error for level in found]) == pytest.approx(actual, rel=0.25)


def test_a_trimester_counts_as_often_as_it_occurs() -> None:
    """Three heads of the third trimester, which are found 4 % too large, stand for a half."""
    rng = np.random.default_rng(1)
    frames = _frames({"second": 40, "third": 3})
    bias = _bias(rng, frames, third=0.04)
    as_drawn = calibrated_level(_found(bias), frames, {"second": 40 / 43, "third": 3 / 43})
    balanced = calibrated_level(_found(bias), frames, {"second": 0.5, "third": 0.5})
    assert balanced.value - as_drawn.value == pytest.approx(0.04 / 0.05 * (0.5 - 3 / 43), abs=0.15)
    assert balanced.error > as_drawn.error


def test_where_nothing_is_found_the_level_is_left_alone() -> None:
    frames = _frames({"second": 3})
    assert calibrated_level(lambda *_: None, frames, {"second": 1}).value == 0.0
    assert calibrated_level(lambda *_: 0.1, frames, {"second": 1}).value == 0.0


def test_the_interval_of_a_figure_holds_the_error_of_the_level() -> None:
    rng = np.random.default_rng(2)
    frames = _frames({"second": 100})
    few = _frames({"second": 10})
    level = calibrated_level(_found(_bias(rng, few)), few, {"second": 1})
    errors = {frame.subject: rng.normal(0, 2) for frame in frames}

    def score(item: LabelledFrame, at: float) -> FrameScore:
        error = errors[item.subject] - 9.0 * (at - level.value)  # 0.05 of an HC of 180 mm
        return scored(item.id, subject=item.subject, hc_error_mm=error)

    wide = figures_with_error(score, frames, level)
    plain = mean_interval(list(errors.values()), [frame.subject for frame in frames])
    half = (plain.high - plain.low) / 2
    expected = 1.96 * np.hypot(half / 1.96, 9.0 * level.error)
    assert wide["hc_bias_mm"].mean == pytest.approx(plain.mean)
    bias = wide["hc_bias_mm"]
    assert (bias.high - bias.low) / 2 == pytest.approx(expected, rel=0.12) and expected > 1.5 * half
    sure = figures_with_error(score, frames, replace(level, draws=level.draws * 0 + level.value))
    assert sure["hc_bias_mm"].high == pytest.approx(plain.high)
