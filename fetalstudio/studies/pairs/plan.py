"""The arms of the trial, the order of its trainings, and what was decided before the first one.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Design = Literal["carrier", "confirmation", "paper", "unlabelled"]

REAL, PAIRS, MORE_REAL = "real", "pairs", "more-real"
MANY_REAL = "many-real"
ADAPTED, NO_GRAIN, SIMULATED, PSEUDO = "adapted", "no-grain", "simulated", "pseudo-labels"
AS_IT_IS, CONVENTION = "built-in", "built-in-convention"
SIMULATED_CONVENTION = "simulated-convention"
SELF_TRAINING, UNLABELLED = "self-training", "unlabelled"

ARMS: Mapping[str, str] = {
    REAL: "N real frames",
    PAIRS: "N real + pairs",
    MORE_REAL: "N real + other real",
    MANY_REAL: "N real + as many other real as there are pairs",
    ADAPTED: "N real + pairs, synthesizer adapted on the N",
    NO_GRAIN: "N real + pairs without the grain",
    SIMULATED: "simulator's pairs alone",
    PSEUDO: "N real + pairs + pseudo-labels",
    AS_IT_IS: "built-in segmenter, as it is",
    CONVENTION: "built-in segmenter, convention of the N",
    SIMULATED_CONVENTION: "simulator's pairs alone, convention of the N",
    SELF_TRAINING: "N real + pseudo-labels",
    UNLABELLED: "N real + pairs of a synthesizer that saw the unlabelled frames",
}
"""What each arm of the trial learns from."""

RANDOM, SHAPES, FULL = "random", "shapes", "full"
BASES: Mapping[str, str] = {
    RANDOM: "random weights",
    SHAPES: "pretrained on simulated shapes that are no heads",
    FULL: "random weights, full size",
}
"""What a training starts from."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training, or one use of a segmenter without a training."""

    arm: str
    real: int
    """N, the number of annotated real frames that the arm is given."""
    draw: int
    """The number of the draw of the real frames; also the seed of everything else."""
    base: str = RANDOM

    @property
    def key(self) -> str:
        """The name of the run in files."""
        return f"{self.base}-{self.arm}-{self.real}-{self.draw}"


@dataclass(frozen=True, slots=True)
class Primary:
    """The primary comparison of a design: the Dice of ``first`` minus that of ``second``."""

    first: str
    second: str
    real: int
    draws: int
    control: str
    """The arm that must be better than ``second`` by twice the margin, or else the trial could not
    have shown a difference."""
    margin: float
    """A difference in the mean Dice below this does not matter."""
    claim: str
    """What may be claimed if the first is better."""
    group: str | None = None
    """The group of test frames; None for all."""


PRIMARY: Mapping[Design, Primary] = {
    "carrier": Primary(
        PAIRS,
        REAL,
        5,
        10,
        MORE_REAL,
        0.01,
        "a generator that may be shared stands in for frames that may not",
    ),
    "confirmation": Primary(
        PAIRS,
        REAL,
        5,
        10,
        MANY_REAL,
        0.01,
        "a generator that may be shared stands in for frames that may not",
    ),
    "paper": Primary(
        PAIRS,
        REAL,
        5,
        5,
        MORE_REAL,
        0.01,
        "pairs of a generator that learnt from 60 frames help a segmenter with 5 others",
        group="HC18",
    ),
    "unlabelled": Primary(
        UNLABELLED,
        REAL,
        20,
        5,
        MORE_REAL,
        0.01,
        "frames without ellipses help through the synthesizer, at equal labels",
    ),
}
"""Decided before the first run of each design (decision 36), and never changed after it."""

SECONDARY: Mapping[Design, tuple[tuple[str, str], ...]] = {
    "carrier": ((MANY_REAL, REAL), (PAIRS, MANY_REAL)),
    "confirmation": ((PAIRS, MANY_REAL),),
    "paper": (),
    "unlabelled": (),
}
"""Comparisons of two arms, with as many real frames as the primary one, that are reported beside it
and decide nothing."""

ADDED_LATER = frozenset[Design]({"carrier"})
"""The designs whose secondary comparisons were added after the first draws were seen (decision
36)."""

TARGETS: Mapping[Design, str] = {
    "carrier": "African frames",
    "confirmation": "African frames",
    "paper": "HC18 frames",
    "unlabelled": "HC18 frames",
}
"""The frames that are tested in the primary comparison, in words."""


def runs_of(design: Design) -> list[Run]:
    """The runs of a design, in the order in which they are made.

    The primary comparison comes first, draw by draw, so that every arm has as many draws wherever
    the trial stops.
    """
    return {
        "carrier": _carrier,
        "confirmation": _confirmation,
        "paper": _paper,
        "unlabelled": _unlabelled,
    }[design]()


def _carrier() -> list[Run]:
    compared = (REAL, PAIRS, MORE_REAL)
    others = (ADAPTED, NO_GRAIN, SIMULATED, SIMULATED_CONVENTION, PSEUDO)
    return [
        *(Run(arm, 5, draw) for draw in range(10) for arm in compared),
        *(Run(MANY_REAL, 5, draw) for draw in range(10)),
        *(Run(arm, 10, draw) for draw in range(5) for arm in compared),
        *(Run(arm, 5, draw) for draw in range(3) for arm in others),
        *(Run(arm, 5, draw) for draw in range(10) for arm in (AS_IT_IS, CONVENTION)),
        *(Run(arm, 5, draw, SHAPES) for draw in range(3) for arm in compared),
        *(Run(arm, 5, 0, FULL) for arm in compared),
    ]


def _confirmation() -> list[Run]:
    """Draws that the design ``carrier`` did not have."""
    return [Run(arm, 5, draw) for draw in range(10, 20) for arm in (REAL, PAIRS, MANY_REAL)]


def _paper() -> list[Run]:
    arms = (REAL, PAIRS, MORE_REAL)
    return [
        *(Run(arm, 5, draw) for draw in range(5) for arm in arms),
        *(
            Run(arm, real, draw)
            for draw in range(2)
            for real in (10, 20, 50, 100, 300)
            for arm in arms
        ),
    ]


def _unlabelled() -> list[Run]:
    arms = (REAL, SELF_TRAINING, UNLABELLED, MORE_REAL)
    return [Run(arm, 20, draw) for draw in range(5) for arm in arms]
