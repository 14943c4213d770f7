"""The comparison of two mixes, and the answer to: do the pairs help?

Importing this module imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import FEW_REPEATS, FEW_SUBJECTS, by_repeat, paired_difference
from fetalstudio.engine.evidence import Answer

MARGIN = 0.002
"""A difference in the mean Dice below this does not matter for measuring heads."""
SENSITIVE = 2 * MARGIN
"""Real frames must move the mean Dice by at least this, or the trial could not have shown a
difference."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The Dice of one mix minus that of another, on the same test frames."""

    against: str
    difference: Interval
    """With its 95 % interval over other subjects and seeds. The ends of both intervals are NaN if
    there are too few to tell."""
    equivalence: Interval
    """The same with the 90 % interval, which decides two one-sided tests at 5 %."""
    by_seed: tuple[float, ...]
    failures: tuple[float, float]
    """How many test frames have a Dice below 0.9 with this mix and with the other, mean over the
    seeds."""

    @property
    def fails_more(self) -> bool:
        """Whether at least one more test frame fails with this mix than with the other."""
        return self.failures[0] >= self.failures[1] + 1


def compare(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    subjects: Sequence[str],
    *,
    against: str,
) -> Comparison:
    """The Dice of the ``first`` mix minus that of the ``second``, each (seeds, frames).

    ``subjects`` are those of the test frames, and ``against`` is the name of the second mix. Raises
    ``ValueError`` if the shapes do not match.
    """
    difference = paired_difference(first, second, subjects)
    equivalence = paired_difference(first, second, subjects, level=0.9)
    if _too_few(len(set(subjects)), len(first)):
        difference = replace(difference, low=math.nan, high=math.nan)
        equivalence = difference
    failures = _failures(first), _failures(second)
    return Comparison(against, difference, equivalence, by_repeat(first, second), failures)


def _failures(dice: Sequence[Sequence[float]]) -> float:
    return sum(value < FAILURE for row in dice for value in row) / len(dice)


def _too_few(subjects: int, repeats: int) -> bool:
    return subjects < FEW_SUBJECTS or repeats < FEW_REPEATS


def answer(
    pairs: Comparison, control: Comparison | None, subjects: int, margin: float = MARGIN
) -> Answer:
    """The answer to: do the pairs help?

    ``pairs`` compares the mix with pairs with :data:`CONTROL`. Unless the positive control moved
    the Dice by twice the margin, the trial could not have shown a difference. Failures are looked
    at before the mean: if at least one more frame fails with pairs, they neither help nor make no
    difference. For ``no``, two one-sided tests must find the difference within the margin;
    otherwise the 95 % interval must lie on one side of zero.
    """
    if control is None or not _sensitive(control, margin):
        return "insensitive"
    if _too_few(subjects, len(pairs.by_seed)):
        return "too_few"
    equal = pairs.equivalence.low >= -margin and pairs.equivalence.high <= margin
    if equal and not pairs.fails_more:
        return "no"
    if pairs.difference.high < 0:
        return "harm"
    return "yes" if pairs.difference.low > 0 and not pairs.fails_more else "unknown"


def _sensitive(control: Comparison, margin: float) -> bool:
    """Whether real frames moved the Dice. If there are too few of them for an interval, the mean
    alone decides."""
    return control.difference.mean >= 2 * margin and not control.difference.low <= 0
