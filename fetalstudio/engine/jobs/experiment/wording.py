"""The findings of an experiment in words, for a person.

Importing this module imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import FEW_REPEATS, FEW_SUBJECTS
from fetalstudio.core.words import counted
from fetalstudio.engine.comparisons import comparisons_in_words
from fetalstudio.engine.evidence import Answer, in_points
from fetalstudio.engine.jobs.experiment.answer import MARGIN, SENSITIVE, Comparison
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, POSITIVE
from fetalstudio.engine.jobs.experiment.request import ExperimentResult


def name_of(mix: str, result: ExperimentResult) -> str:
    """The name of a mix of the experiment for a person."""
    if mix == BEFORE:
        return f"{result.segmenter}, not fine-tuned"
    if mix == POSITIVE:
        return f"Control: +{result.more} real" if result.more else "Control: half of real"
    return MIXES[mix]


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers that the sentences name."""

    real: int
    pairs: int
    more: int
    frames: int
    subjects: int
    comparison: int


def evidence_in_words(
    pairs: Comparison, control: Comparison | None, dice: tuple[float, float], counts: Counts
) -> str:
    """What was measured. ``dice`` are the means with and without the pairs."""
    repeats = len(pairs.by_seed)
    better = sum(d > 0 for d in pairs.by_seed)
    real = "" if control is None else f"{_control_in_words(control, counts)}. "
    intervals = "" if math.isnan(pairs.difference.low) else ", with 95 % intervals"
    return (
        f"Measured on {counted(counts.frames, 'test frame')} of "
        f"{counted(counts.subjects, 'subject')} that no training saw{intervals}: "
        f"Dice {dice[0]:.3f} with the pairs and {dice[1]:.3f} without, difference "
        f"{_points(pairs.difference)}, better in {better} of {counted(repeats, 'repeat')}. {real}"
        f"Frames that fail (Dice below {FAILURE}): {pairs.failures[0]:.1f} with the pairs and "
        f"{pairs.failures[1]:.1f} without. {comparisons_in_words(counts.comparison)}"
    ).strip()


def _control_in_words(control: Comparison, counts: Counts) -> str:
    real = (
        f"{counted(counts.more, 'more real frame')} instead of the pairs"
        if counts.more
        else "The other half of the real frames"
    )
    return f"{real}: {_points(control.difference)}"


def _points(difference: Interval) -> str:
    """A difference in points of Dice, with its interval if there is one."""
    text = f"{in_points(difference.mean)} points"
    if math.isnan(difference.low):
        return text
    return f"{text} ({in_points(difference.low)} to {in_points(difference.high)})"


def answer_in_words(
    given: Answer, pairs: Comparison, control: Comparison | None, counts: Counts
) -> str:
    """The answer, and what to do where there is none."""
    had = f"{counted(counts.pairs, 'synthetic pair')} beside {counted(counts.real, 'real frame')}"
    without = "training just as long on varied copies of the real frames alone"
    if given == "yes":
        return f"Yes: with {had} the heads are outlined better than by {without}."
    if given == "harm":
        return f"No: with {had} the heads are outlined worse than by {without}."
    if given == "no":
        return (
            f"No: with {had} the heads are outlined as well as by {without}, to within a margin of "
            f"{100 * MARGIN:.1f} points (equivalence test at 5 %)."
        )
    if given == "too_few":
        return (
            f"Too few to tell whether {had} help. An answer needs {FEW_SUBJECTS} test subjects and "
            f"{FEW_REPEATS} repeats: annotate frames of more subjects, or ask for more repeats."
        )
    if given == "insensitive":
        return _insensitive(control)
    doubt = (
        "more frames fail with them"
        if pairs.fails_more
        else "the interval holds both zero and differences that matter"
    )
    return (
        f"It is not known whether {had} help more than {without}, because {doubt}. More test "
        "subjects or more repeats could tell."
    )


def _insensitive(control: Comparison | None) -> str:
    if control is None:
        return (
            "This trial could not have shown a difference: an earlier version made it, which had "
            "no control by real frames. Compare again."
        )
    why = (
        "even real frames did not move the Dice by "
        f"{100 * SENSITIVE:.1f} points, twice the margin that matters"
        if control.difference.mean < SENSITIVE
        else "what real frames bring may be chance"
    )
    return (
        f"This trial could not have shown a difference: {why}. A segmenter that has not seen such "
        "frames could show one; so could more annotated frames, or more repeats."
    )
