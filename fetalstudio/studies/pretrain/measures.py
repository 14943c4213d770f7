"""What a model's card says of its measurement on the held-out frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fetalstudio.core.statistics import mean_interval
from fetalstudio.engine.jobs.evaluate.evaluation import summarise
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore
from fetalstudio.engine.models.loading import BUILT_IN

_KEPT = (
    *("n", "subjects", "dice", "iou", "hd95_px", "assd_px", "hd95_mm", "assd_mm"),
    *("hc_mae_mm", "hc_bias_mm", "hc_limits_mm", "failures", "failure_ci95", "ci95"),
)


def figures_of(result: EvaluateResult) -> Mapping[str, Any]:
    """Those of an evaluation that a card states."""
    return {name: getattr(result, name) for name in _KEPT}


def by_trimester(scores: Sequence[FrameScore]) -> Mapping[str, Any]:
    """The figures of all frames, and of each trimester by its name."""
    result = summarise(BUILT_IN, scores)
    return {
        **figures_of(result),
        **{name: figures_of(part) for name, part in result.groups.items()},
    }


def gain_of(before: Sequence[FrameScore], after: Sequence[FrameScore]) -> Mapping[str, Any]:
    """The mean change of the Dice and of the HC error in mm, each with its interval."""
    subjects = [score.subject for score in before]
    dices = [b.dice - a.dice for a, b in zip(before, after, strict=True)]
    errors = [
        abs(b.hc_error_mm) - abs(a.hc_error_mm)
        for a, b in zip(before, after, strict=True)
        if a.hc_error_mm is not None and b.hc_error_mm is not None
    ]
    gains = {"dice": mean_interval(dices, subjects)}
    if len(errors) == len(dices):
        gains["hc_error_mm"] = mean_interval(errors, subjects)
    return {
        name: {"mean": gain.mean, "ci95": [gain.low, gain.high]} for name, gain in gains.items()
    }
