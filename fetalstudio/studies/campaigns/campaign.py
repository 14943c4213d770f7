"""What a campaign is: trials at random, each of which has an outcome, and their counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one trial came to."""

    text: str
    """What is counted; trials with the same text came to the same."""
    faults: tuple[str, ...] = ()
    """A sentence for each thing that must not happen, and did."""


class Campaign(Protocol):
    """Makes what its trials need when it is made, in an empty folder."""

    def trial(self, seed: int) -> Outcome:
        """Run one trial. The same seed gives the same trial."""
        ...


@dataclass(slots=True)
class Counts:
    """How often each outcome was seen, and each fault in words."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """The faults, with the seed of the trial."""

    def __str__(self) -> str:
        rows = [f"{number:8}  {outcome}" for outcome, number in self.outcomes.most_common()]
        found = f"{len(self.failures)} faults"
        return "\n".join([f"{self.outcomes.total()} trials", *rows, found, *self.failures])


def run(
    campaign: Campaign,
    trials: int,
    seed: int = 0,
    report: Callable[[Counts], object] = lambda counts: None,
) -> Counts:
    """Run the trials ``seed``, ``seed + 1``, ... and count; ``report`` is called after each."""
    counts = Counts()
    for number in range(seed, seed + trials):
        outcome = campaign.trial(number)
        counts.outcomes[outcome.text] += 1
        counts.failures += [f"seed {number}, {outcome.text}: {fault}" for fault in outcome.faults]
        report(counts)
    return counts
