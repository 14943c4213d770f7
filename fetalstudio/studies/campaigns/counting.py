"""What the trials of a campaign came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counts:
    """How often each outcome was seen, and each failure in words."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    """What must not happen, with the seed of the trial."""

    def __str__(self) -> str:
        rows = [f"{number:8}  {outcome}" for outcome, number in self.outcomes.most_common()]
        return "\n".join([f"{self.outcomes.total()} trials", *rows, *self.failures])
