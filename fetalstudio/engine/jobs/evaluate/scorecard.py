"""The figures of an evaluation in words, for reports and the window. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fetalstudio.core.statistics import FEW_SUBJECTS
from fetalstudio.core.words import counted
from fetalstudio.engine.cohort_conventions import CohortConvention, apart
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore

_GALLERY = 12
"""Number of the worst frames that are shown."""


def worst(scores: Sequence[FrameScore]) -> list[FrameScore]:
    """The frames to look at, the lowest Dice first."""
    return sorted(scores, key=lambda s: s.dice)[:_GALLERY]


def cells(result: EvaluateResult) -> dict[str, tuple[str, str]]:
    """The shown figures by heading, each with its interval or an empty text."""

    def mean(name: str, digits: int, sign: str = "") -> tuple[str, str]:
        value = getattr(result, name)
        if value is None:
            return "", ""
        if not np.isfinite(value):
            return "none found", ""
        return f"{value:{sign}.{digits}f}", _span(result.ci95[name], digits, sign)

    few, many = (100 * share for share in result.failure_ci95)
    limits = result.hc_limits_mm
    return {
        "n": (str(result.n), counted(result.subjects, "subject")),
        "Dice": (f"{result.dice['mean']:.4f}", _span(result.dice["ci95"], 4)),
        "worst": (f"{result.dice['min']:.3f}", ""),
        "failures": (str(result.failures), f"{few:.1f} to {many:.1f} %"),
        "HC MAE mm": mean("hc_mae_mm", 2),
        "HC bias mm": mean("hc_bias_mm", 2, "+"),
        "HC limits mm": ("" if limits is None else "{:+.1f} to {:+.1f}".format(*limits), ""),
        "HD95 mm": mean("hd95_mm", 2),
        "ASSD mm": mean("assd_mm", 2),
        "HD95 px": mean("hd95_px", 2),
        "ASSD px": mean("assd_px", 2),
        "IoU": mean("iou", 4),
        "median Dice": (f"{result.dice['median']:.4f}", ""),
    }


def cautions(result: EvaluateResult) -> list[str]:
    """Sentences for a person on what the figures cannot say."""
    said = [*result.not_known]
    if result.taken_over:
        said.append(
            f"{result.taken_over} of the {counted(result.n, 'ellipse')} are proposals of a "
            "segmenter that were confirmed without a change. That segmenter, and those trained "
            "from it, seem better on these than they are."
        )
    if result.subjects < FEW_SUBJECTS:
        said.append(
            f"{counted(result.subjects, 'subject')}: too few to tell how the segmenter does on "
            f"others ({FEW_SUBJECTS} are needed)."
        )
    return said


def conventions(result: EvaluateResult) -> list[str]:
    """A sentence for a person on how each cohort is drawn, and one on cohorts that differ."""
    found = result.conventions
    lines = [f"Heads of {cohort} are {drawn.sentence}." for cohort, drawn in found.items()]
    return lines + apart({c: CohortConvention(c, drawn) for c, drawn in found.items()})


def _span(interval: Sequence[float], digits: int, sign: str = "") -> str:
    low, high = interval
    return "" if np.isnan(low) else f"{low:{sign}.{digits}f} to {high:{sign}.{digits}f}"


def agreement_points(scores: Sequence[FrameScore]) -> list[tuple[FrameScore, float, float]]:
    """The points of a Bland-Altman plot, for frames with both HC.

    Each is a score, the mean of both HC, and the segmenter's HC minus the person's, in mm.
    """
    return [
        (s, s.hc_mm + s.hc_error_mm / 2, s.hc_error_mm)
        for s in scores
        if s.hc_mm is not None and s.hc_error_mm is not None
    ]
