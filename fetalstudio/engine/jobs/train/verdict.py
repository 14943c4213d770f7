"""The verdict of a training: whether the new model is better than the one that it started from.

Importing this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.prompts import in_words
from fetalstudio.core.statistics import FEW_SUBJECTS, paired_difference
from fetalstudio.core.words import counted
from fetalstudio.engine.comparisons import comparisons_in_words
from fetalstudio.project.store.records import Run

Answer = Literal["better", "worse", "failures", "unclear", "too_few", "kept"]
"""``failures``: more frames fail with the new model. ``too_few``: too few test subjects to tell.
``kept``: no epoch was better, so there is no new model."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparison of two models on the same test frames."""

    answer: Answer
    difference: Interval
    """Of the Dice, after minus before; its ends are NaN with fewer than :data:`FEW_SUBJECTS`."""
    failures: tuple[int, int]
    """Frames with a Dice below :data:`FAILURE`, before and after."""
    sentence: str
    """The verdict for a person."""


def verdict_of(run: Run) -> Mapping[str, Any] | None:
    """The verdict of a run that holds for its model.

    None while it is under way, and where it was resumed after its verdict and a later epoch has
    become the best: the model is that of this epoch now.
    """
    if run.verdict is None or run.state == "running":
        return None
    best = [row["epoch"] for row in run.history if row.get("best") and "epoch" in row]
    tested = run.verdict.get("best_epoch")
    return None if best and tested is not None and max(best) != tested else run.verdict


def compare(
    before: Sequence[float],
    after: Sequence[float],
    subjects: Sequence[str],
    *,
    improved: bool = True,
    comparison: int = 1,
) -> Verdict:
    """Compare the Dice of the test frames of ``subjects`` before and after the training.

    Failures are looked at before the mean: a model with which more frames fail is never better.
    ``improved`` says whether any epoch was better in validation; ``comparison`` is the number of
    this comparison on these subjects.
    """
    tested = len(set(subjects))
    difference = paired_difference([after], [before], subjects)
    if tested < FEW_SUBJECTS:
        difference = replace(difference, low=float("nan"), high=float("nan"))
    failures = _failures(before), _failures(after)
    answer = _answer(difference, failures, tested) if improved else "kept"
    dice = float(np.mean(before)), float(np.mean(after))
    said = _sentence(answer, dice, difference, failures, tested)
    more = comparisons_in_words(comparison) if improved else ""
    return Verdict(answer, difference, failures, f"{said} {more}".strip())


def how_to_use(verdict: Mapping[str, Any]) -> str:
    """For a person, what the new model is used with, and what its confidence is worth.

    ``verdict`` has the fields of ``TrainResult``; in runs of earlier versions some are missing, and
    the answer is empty then.
    """
    prompt, used_with = verdict.get("prompt"), verdict.get("used_with")
    if prompt is None or used_with is None:
        return ""
    said = [f"Measured {in_words(prompt)}, before and after."]
    if verdict.get("model") is None:
        return said[0]
    if used_with != prompt:
        said.append(
            f"On the validation frames the new model is better {in_words(used_with)}, and is used "
            "like that from now on."
        )
    if verdict.get("confidence_known"):
        said.append("Its confidence was calibrated on the validation frames, by cross-validation.")
    else:
        said.append(
            "Its proposals come without a confidence: the validation frames are of too few "
            "subjects to calibrate it, or do not agree with it. Annotate frames of more subjects."
        )
    return " ".join(said)


def _failures(dice: Sequence[float]) -> int:
    return sum(value < FAILURE for value in dice)


def _answer(difference: Interval, failures: tuple[int, int], subjects: int) -> Answer:
    if subjects < FEW_SUBJECTS:
        return "too_few"
    if difference.high < 0:
        return "worse"
    if failures[1] > failures[0]:
        return "failures"
    return "better" if difference.low > 0 else "unclear"


def _sentence(
    answer: Answer,
    dice: tuple[float, float],
    difference: Interval,
    failures: tuple[int, int],
    subjects: int,
) -> str:
    frames = f"{counted(difference.n, 'test frame')} of {counted(subjects, 'subject')}"
    if answer == "kept":
        return (
            f"No epoch was better than the model that the training started from (Dice "
            f"{dice[0]:.3f} on {frames}). Keep that model."
        )
    figures = (
        f"Dice {dice[0]:.3f} before, {dice[1]:.3f} after on {frames}; "
        f"{failures[0]} of the frames failed before, {failures[1]} after (Dice below {FAILURE})"
    )
    if answer == "too_few":
        return (
            f"Too few to tell: {figures}. A verdict needs {FEW_SUBJECTS} test subjects: annotate "
            "frames of more subjects."
        )
    low, high = 100 * difference.low, 100 * difference.high
    figures += f"; difference {low:+.2f} to {high:+.2f} points (95 % interval)"
    return {
        "better": f"The new model is better: {figures}.",
        "worse": f"The new model is worse: {figures}. Keep the current one.",
        "failures": f"Keep the current model, as more frames fail with the new one: {figures}.",
        "unclear": f"No clear difference: {figures}. Annotate frames of more subjects to find one.",
    }[answer]
