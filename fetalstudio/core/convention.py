"""Where a cohort's annotators draw the ellipse: on the skull, or around the soft tissue.

A segmenter draws as the annotators did from whom it learnt. The difference between its ellipses and
those of a cohort, over a few frames, is what proposals for that cohort have to be changed by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import mean_interval
from fetalstudio.core.words import counted

FEWEST = 3
"""Frames, each of another subject, from which on a convention is measured."""
_NONE = 2
"""The weight, in subjects, of the expectation that there is no convention. The axes of single
subjects differ from the segmenter's by some 2 to 3 %, conventions by some 2 %."""
_NO_SHIFT = 8
"""The same for the centre: known conventions shift it by less than single subjects do."""
_FAILED = 0.8
"""The Dice below which the segmenter's ellipse shows another thing than the person's."""


@dataclass(frozen=True, slots=True)
class Offset:
    """What is between an ellipse that is drawn and the skull as a segmenter sees it."""

    long: float = 0.0
    """How much longer the long axis is drawn, as a share of the segmenter's."""
    short: float = 0.0
    """The same for the short axis."""
    right: float = 0.0
    """Shift of the centre to the right, as a share of the head's mean semi-axis."""
    down: float = 0.0
    """The same, downwards."""

    def apply(self, skull: Ellipse) -> Ellipse:
        """The ellipse that is drawn for a skull."""
        radius = float(np.sqrt(skull.a * skull.b))
        return Ellipse.of(
            skull.cx + radius * self.right,
            skull.cy + radius * self.down,
            skull.a * (1 + self.long),
            skull.b * (1 + self.short),
            skull.angle_deg,
        )

    @property
    def words(self) -> str:
        """For a person: ``drawn 1.7 % outside the skull``, by the mean of the axes."""
        percent = round(50 * (self.long + self.short), 1)
        if percent == 0:
            return "drawn along the skull"
        return f"drawn {abs(percent):.1f} % {'outside' if percent > 0 else 'inside'} the skull"

    def remove(self, drawn: Ellipse) -> Ellipse:
        """The skull for which an ellipse is drawn; undoes :meth:`apply`."""
        a, b = drawn.a / (1 + self.long), drawn.b / (1 + self.short)
        radius = float(np.sqrt(a * b))
        return Ellipse.of(
            drawn.cx - radius * self.right, drawn.cy - radius * self.down, a, b, drawn.angle_deg
        )


NO_OFFSET = Offset()
_MATTERS = 0.01
"""A difference in size between two conventions that a person is told."""


@dataclass(frozen=True, slots=True)
class Convention:
    """How the ellipses of a cohort's annotators differ from a segmenter's, as measured.

    Each interval has the mean over frames and its 95 % limits over subjects. :meth:`apply` uses
    less than the means: the fewer the subjects, the less.
    """

    size: Interval
    """Both axes together, as a share of the segmenter's: 0.02 is 2 % outside of it."""
    long: Interval
    """The long axis alone."""
    short: Interval
    """The short axis alone."""
    right: Interval
    """Shift of the centre to the right, as a share of the head's mean semi-axis."""
    down: Interval
    """The same, downwards."""
    subjects: int
    segmenter: str
    """Name of the segmenter that it was measured with; for another one it does not hold."""

    @classmethod
    def measure(
        cls, segmenter: str, pairs: Sequence[tuple[Ellipse, Ellipse]], subjects: Sequence[str]
    ) -> Convention | None:
        """The convention by frames that have a person's ellipse and a segmenter's, in this order.

        ``subjects`` are those of the frames. Frames where the segmenter failed (Dice below 0.8) are
        left out. None if fewer than :data:`FEWEST` subjects are left.
        """
        sound = [
            (_difference(*pair), subject)
            for pair, subject in zip(pairs, subjects, strict=True)
            if pair[0].overlap(pair[1]) >= _FAILED
        ]
        left = [subject for _, subject in sound]
        if len(set(left)) < FEWEST:
            return None
        long, short, right, down = np.array([found for found, _ in sound]).T.tolist()
        return cls(
            size=mean_interval(np.mean([long, short], axis=0).tolist(), left),
            long=mean_interval(long, left),
            short=mean_interval(short, left),
            right=mean_interval(right, left),
            down=mean_interval(down, left),
            subjects=len(set(left)),
            segmenter=segmenter,
        )

    @property
    def offset(self) -> Offset:
        """The means, shrunk towards none: what is followed."""
        axes, shift = (self.subjects / (self.subjects + w) for w in (_NONE, _NO_SHIFT))
        return Offset(
            axes * self.long.mean,
            axes * self.short.mean,
            shift * self.right.mean,
            shift * self.down.mean,
        )

    def apply(self, found: Ellipse) -> Ellipse:
        """The segmenter's ellipse as this cohort's annotators would draw it."""
        return self.offset.apply(found)

    def differs(self, other: Convention) -> bool:
        """Whether the means of the size are 1 % apart or more, and the interval of the difference
        leaves out none."""
        larger, smaller = sorted((self.size, other.size), key=lambda size: -size.mean)
        apart = larger.mean - smaller.mean
        chance = math.hypot(larger.mean - larger.low, smaller.high - smaller.mean)
        return apart >= _MATTERS and apart > chance

    @property
    def differs_from_none(self) -> bool:
        """Whether the mean of the size is 1 % or more, and its interval leaves out none."""
        return abs(self.size.mean) >= _MATTERS and not self.size.low <= 0 <= self.size.high

    @property
    def sentence(self) -> str:
        """For a person, with the cohort as its subject: ``drawn 1.7 % outside the skull as compact
        sees it (95 % interval +0.9 to +2.5 %; 15 frames)``."""
        mean, low, high = (100 * v for v in (self.size.mean, self.size.low, self.size.high))
        frames = counted(self.size.n, "frame")
        measured = f"95 % interval {low:+.1f} to {high:+.1f} %; {frames}"
        if low <= 0 <= high:
            return (
                f"drawn along the skull as {self.segmenter} sees it, as far as can be said "
                f"({mean:+.1f} %, {measured})"
            )
        side = "outside" if mean > 0 else "inside"
        return f"drawn {abs(mean):.1f} % {side} the skull as {self.segmenter} sees it ({measured})"


def _difference(person: Ellipse, found: Ellipse) -> tuple[float, float, float, float]:
    radius = float(np.sqrt(found.a * found.b))
    return (
        person.a / found.a - 1,
        person.b / found.b - 1,
        (person.cx - found.cx) / radius,
        (person.cy - found.cy) / radius,
    )
