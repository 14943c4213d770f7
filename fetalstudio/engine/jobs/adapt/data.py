"""Which frames a synthesizer is adapted to, and which it is measured on. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import split_subjects
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.project import Project

MIN_FRAMES, MAX_FRAMES, MIN_SUBJECTS = 5, 200, 4
HELD_OUT = 8
"""At most this many held-out frames are used; each costs an image at every measurement."""
_SHARE = 0.15
"""The share of the training part's subjects that are held out, but no more than are used."""


@dataclass(frozen=True, slots=True)
class AdaptData:
    """The frames of an adaptation. No subject is in both.

    All are of the project's training part: a segmenter may learn from the pairs of a synthesizer
    only if no subject that validates or tests the segmenter had a part in the synthesizer.
    """

    train: Sequence[LabelledFrame]
    held_out: Sequence[LabelledFrame]
    """What the adaptation is measured on, and by which it ends."""
    notes: tuple[str, ...]
    """Sentences for a person about what was left out."""

    @property
    def cohorts(self) -> Mapping[str, int]:
        """The number of training frames of each cohort."""
        return dict(sorted(Counter(item.cohort for item in self.train).items()))

    def summary(self) -> Mapping[str, Any]:
        """Frame ids by part, for the run's record."""
        return {
            "train": [item.id for item in self.train],
            "validation": [item.id for item in self.held_out],
        }


def choose_adapt_data(project: Project, cohort: str | None, seed: int) -> AdaptData:
    """At most 200 frames of whole subjects, and the frames that are held out from the adaptation.

    Raises :class:`InputError` with the reason and the cure for a cohort that is not there or not
    annotated, fewer than five annotated frames, or fewer than four subjects or two in the training
    part.
    """
    labelled = labelled_frames(project, cohort)
    where = f"cohort {cohort!r}" if cohort else "the project"
    if len(labelled) < MIN_FRAMES:
        raise InputError(
            f"Adapting needs at least {MIN_FRAMES} annotated frames; {where} has {len(labelled)}. "
            "Annotate more frames, or choose another cohort."
        )
    parts = split(project, labelled)
    train = of_part(labelled, parts, "train")
    if len(parts) < MIN_SUBJECTS or _subjects(train) < 2:
        raise InputError(
            "Adapting needs annotated frames of at least four subjects: to learn from, to decide "
            "when to stop, and two to validate and to test segmenters. The annotated frames of "
            f"{where} are of {len(parts)}, {_subjects(train)} of them in the training part. "
            "Annotate frames of other subjects, or correct the subjects if they are wrong "
            f"({SET_SUBJECT})."
        )
    learnt, watched = _divided(train)
    chosen = _whole_subjects(learnt, seed)
    notes = []
    if len(chosen) < len(learnt):
        cure = "" if cohort else " Choose a cohort to learn from its frames alone."
        notes.append(
            f"{len(learnt)} frames are more than adapting takes: it learns from {len(chosen)} of "
            f"{_subjects(chosen)} subjects, drawn by the seed.{cure}"
        )
    return AdaptData(chosen, _spread(watched, seed), tuple(notes))


def _divided(items: list[LabelledFrame]) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The frames to learn from, and those that are held out, by subject."""
    subjects = {item.subject for item in items}
    share = min(_SHARE, HELD_OUT / len(subjects))
    parts = split_subjects(subjects, validation=share, test=0)
    return of_part(items, parts, "train"), of_part(items, parts, "validation")


def _whole_subjects(items: list[LabelledFrame], seed: int) -> list[LabelledFrame]:
    """All frames; or, if these are too many, those of subjects that are drawn with the seed."""
    if len(items) <= MAX_FRAMES:
        return items
    frames = Counter(item.subject for item in items)
    order = np.random.default_rng(seed).permutation(sorted(frames))
    taken, room = set(), MAX_FRAMES
    for subject in order:
        if frames[subject] <= room:
            taken.add(subject)
            room -= frames[subject]
    # A single subject may have too many frames: some of them are taken.
    return [i for i in items if i.subject in taken] or items[:MAX_FRAMES]


def _spread(items: list[LabelledFrame], seed: int) -> list[LabelledFrame]:
    """At most :data:`HELD_OUT` frames, of as many subjects as there are."""
    rng = np.random.default_rng(seed)
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, LabelledFrame]] = []
    for i in rng.permutation(len(items)):
        subject = items[i].subject
        ranked.append((seen[subject], len(ranked), items[i]))
        seen[subject] += 1
    return [item for _, _, item in sorted(ranked, key=lambda r: r[:2])[:HELD_OUT]]


def _subjects(items: Sequence[LabelledFrame]) -> int:
    return len({item.subject for item in items})
