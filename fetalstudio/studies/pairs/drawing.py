"""Which real frames the designs draw from, at the level of subjects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.cohort_split import bundled_parts, of_part

HC18, SPAIN, AFRICA = "HC18", "Spain", "Africa"
"""The cohorts of the project."""
LEFT_OUT = "cut"
"""The label ``quality`` of frames that are neither learnt from nor tested on: a part of the head is
off the frame, so that most of its reference is a guess."""


def of_cohort(frames: Sequence[LabelledFrame], cohort: str) -> list[LabelledFrame]:
    """The cohort's frames, without those that are left out.

    Raises ``InputError`` if none is left.
    """
    chosen = [f for f in frames if f.cohort == cohort and f.labels.get("quality") != LEFT_OUT]
    if not chosen:
        raise InputError(f"The project has no annotated frame of {cohort}. Import this cohort.")
    return chosen


def hc18_parts(
    frames: Sequence[LabelledFrame],
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The training and the test part of HC18, as the built-in models know them."""
    own = of_cohort(frames, HC18)
    parts = bundled_parts(own)
    return of_part(own, parts, "train"), of_part(own, parts, "test")


def one_of_each(
    frames: Sequence[LabelledFrame], count: int, rng: np.random.Generator
) -> list[LabelledFrame]:
    """One frame of each of ``count`` subjects, both drawn at random.

    With the same generator, those of a smaller count are the first ones of a larger count. Raises
    ``InputError`` if there are fewer subjects.
    """
    by_subject: dict[str, list[LabelledFrame]] = {}
    for frame in frames:
        by_subject.setdefault(frame.subject, []).append(frame)
    subjects = sorted(by_subject)
    if len(subjects) < count:
        raise InputError(
            f"{count} frames of different subjects were requested, but there are {len(subjects)}."
        )
    order = rng.permutation(len(subjects))
    which = rng.random(len(subjects))
    drawn = []
    for i in order[:count]:
        own = by_subject[subjects[i]]
        drawn.append(own[int(which[i] * len(own))])
    return drawn
