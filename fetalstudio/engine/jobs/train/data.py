"""The data of a training, and whether they are sufficient, for the job and for the window.

Importing this module imports no torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import Part
from fetalstudio.core.statistics import FEW_SUBJECTS
from fetalstudio.core.training_settings import RECOMMENDED, PairCount
from fetalstudio.core.words import counted, counted_are
from fetalstudio.engine.cohort_conventions import apart, kept_conventions
from fetalstudio.engine.cohort_split import (
    checked_real,
    keep_parts,
    labelled_frames,
    of_part,
    some_of,
    split,
    unknown_makers,
    usable_pairs,
)
from fetalstudio.engine.evidence import read_evidence
from fetalstudio.engine.jobs.train.advice import Advice, advise, knowledge, unlike_the_cohort
from fetalstudio.engine.jobs.train.duplicates import across_parts, descriptor
from fetalstudio.engine.models.not_known import not_known, unknown_pairs
from fetalstudio.engine.models.seen import (
    MakersSeen,
    Seen,
    cohorts_learnt,
    is_sam,
    named_segmenter,
    seen_by_named,
)
from fetalstudio.project.frames import REMOVE_FRAMES, SET_SUBJECT
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair

MIN_SUBJECTS = 3
"""One subject for each part."""
FEW_VALIDATION_FRAMES = 4

_SAME_SUBJECT = (
    f"Give both the same subject ({SET_SUBJECT}), or remove one of them ({REMOVE_FRAMES})."
)
_NOT_REAL = (
    "Reject the synthetic one in Review; or, if the other is a copy of it that was imported, "
    f"remove that frame ({REMOVE_FRAMES})."
)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The frames of each part, and the pairs to train on. No subject is in two parts.

    ``train``, ``validation`` and ``test`` hold real frames only; synthetic frames are in ``pairs``.
    Raises ``ValueError`` for synthetic frames to validate or test on.
    """

    train: Sequence[LabelledFrame]
    validation: Sequence[LabelledFrame]
    test: Sequence[LabelledFrame]
    pairs: Sequence[Pair]
    available: Sequence[LabelledFrame] = ()
    """All frames of the training part, of which ``train`` was drawn."""
    usable: int = 0
    """Number of accepted pairs that can be trained on."""
    copies: int = 0
    """Number of accepted pairs that were left out because they copy a training frame."""
    unknown_makers: Mapping[int, str] = field(default_factory=dict)
    """The synthesizer of each of ``pairs``, by the pair's id, of which it is not known whether it
    saw a held-out subject."""
    problems: tuple[str, ...] = ()
    """Why the training is impossible: sentences for a person, each with a cure."""
    warnings: tuple[str, ...] = ()
    """Sentences that a person should know before the training."""
    advice: Advice | None = None
    """What to expect of pairs; None without annotated frames, and where files are damaged."""

    def __post_init__(self) -> None:
        checked_real([*self.validation, *self.test])

    def summary(self) -> Mapping[str, Any]:
        """The data for the run's record: frame and pair ids by part, a digest of the ellipses."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        ids = {name: [item.id for item in items] for name, items in parts.items()}
        labels = [repr(i.ellipse) for items in parts.values() for i in items]
        labels += [repr(pair.ellipse) for pair in self.pairs]
        digest = hashlib.sha256("\n".join(labels).encode()).hexdigest()
        return {**ids, "pairs": [pair.id for pair in self.pairs], "ellipses": digest}


def select_training_data(
    project: Project,
    cohort: str | None,
    *,
    real: int | None,
    synthetic: PairCount,
    segmenter: str | None = None,
    seed: int = 0,
) -> TrainingData:
    """Split by subject and draw ``real`` frames and ``synthetic`` pairs with ``seed``.

    None takes all, and ``recommended`` as many pairs as the advice says. ``segmenter`` is the one
    to train; None is the one in use. Problems and warnings are in the result; nothing is raised.
    """
    try:
        labelled = labelled_frames(project, cohort)
    except InputError as error:
        return TrainingData((), (), (), (), problems=(str(error),))
    parts: Mapping[str, Part] = split(project, labelled)
    available, validation, test = (
        of_part(labelled, parts, part) for part in ("train", "validation", "test")
    )
    seen = seen_by_named(project, segmenter)
    makers = MakersSeen(project)
    usable = usable_pairs(project, parts, seen, makers)
    rng = np.random.default_rng(seed)
    train = some_of(available, real, rng)
    advice, of_model = None, []
    try:
        if (model := named_segmenter(project, segmenter)) is not None:
            of_model += not_known(model)
        knows = knowledge(labelled, seen, cohorts_learnt(project, segmenter))
        sam = is_sam(project, segmenter)
        advice = advise(len(train), len(usable), knows, read_evidence(), sam=sam)
    except InputError as error:  # damaged files of the model, or of the evidence
        of_model.append(str(error))
    if synthetic == RECOMMENDED:
        synthetic = None if advice is None else advice.pairs
    pairs = some_of(usable, synthetic, rng)
    data = TrainingData(
        train,
        validation,
        test,
        pairs,
        available,
        len(usable),
        sum(pair.copy for pair in project.pairs.all(state="accepted")),
        unknown_makers=unknown_makers(pairs, parts, seen, makers),
        advice=advice,
    )
    problems = [*_too_few(data, len(parts), real, synthetic), *_without_mask(data)]
    warnings = [*_warnings(data, project, cohort, synthetic), *_not_new(data, seen), *of_model]
    warnings += unknown_pairs(data.unknown_makers.values())
    # Measured by the job itself, so that before the first one the window knows of none.
    drawn = kept_conventions(project, labelled)
    learnt = {name: found for name, found in drawn.items() if name in {i.cohort for i in train}}
    warnings += [*apart(learnt), *unlike_the_cohort(data.pairs, learnt)]
    return replace(data, problems=tuple(problems), warnings=tuple(warnings))


def required_training_data(
    project: Project,
    cohort: str | None,
    *,
    real: int | None,
    synthetic: PairCount,
    segmenter: str | None,
    seed: int,
) -> TrainingData:
    """:func:`select_training_data` and :func:`with_duplicates` for a job: the part of each subject
    is stored. Raises :class:`InputError` that says what is missing or wrong."""
    keep_parts(project, cohort)
    data = select_training_data(
        project, cohort, real=real, synthetic=synthetic, segmenter=segmenter, seed=seed
    )
    if not data.problems:
        data = with_duplicates(data, project)
    if data.problems:
        raise InputError(" ".join(data.problems))
    return data


def with_duplicates(data: TrainingData, project: Project) -> TrainingData:
    """``data`` with a problem for each image that is in two parts. This reads every frame."""
    frames: Mapping[Part, Sequence[str]] = {
        "train": [i.id for i in data.train] + [p.frame.id for p in data.pairs],
        "validation": [i.id for i in data.validation],
        "test": [i.id for i in data.test],
    }
    real = (*data.train, *data.validation, *data.test)
    names = {i.id: f"{i.name} (subject {i.subject})" for i in real}
    synthetic = {pair.frame.id: f"{pair.frame.name} (synthetic)" for pair in data.pairs}
    names |= synthetic
    descriptors = {frame_id: descriptor(project.frames.pixels(frame_id)) for frame_id in names}
    found = across_parts(frames, descriptors)
    said = [
        f"{names[a]} and {names[b]} are the same image, but are in different parts of the split. "
        + (_NOT_REAL if a in synthetic or b in synthetic else _SAME_SUBJECT)
        for a, b in found[:3]
    ]
    if len(found) > 3:
        said.append(f"The same is true of {len(found) - 3} more images.")
    return replace(data, problems=(*data.problems, *said))


def _too_few(
    data: TrainingData, subjects: int, real: int | None, synthetic: int | None
) -> list[str]:
    said = []
    if subjects < MIN_SUBJECTS:
        said.append(
            "Training needs annotated frames of at least three subjects: to learn from, to choose "
            "the best epoch, and to test. The annotated frames are of "
            f"{counted(subjects, 'subject')}. "
            "Annotate frames of other subjects, or correct the subjects if they are wrong "
            f"({SET_SUBJECT})."
        )
    if real is not None and real > len(data.available):
        said.append(
            f"{counted(real, 'real frame')} were requested, but the training part has "
            f"{len(data.available)}; the others are held out to validate and to test. Request "
            "fewer, or annotate more frames."
        )
    if synthetic is not None and synthetic > data.usable:
        said.append(
            f"{counted(synthetic, 'synthetic pair')} were requested, but {data.usable} are accepted"
            + (f", besides {data.copies} copies of training frames. " if data.copies else ". ")
            + "Synthesise and accept more, or request fewer."
        )
    if not said and not data.train and not data.pairs:
        said.append("There is nothing to train on. Request real frames, pairs or both.")
    return said


def _without_mask(data: TrainingData) -> list[str]:
    """A problem for each frame whose ellipse gives no mask."""
    said = []
    for item in (*data.train, *data.validation, *data.test):
        e, (w, h) = item.ellipse, item.size
        if not (0 <= e.cx < w and 0 <= e.cy < h and e.b >= 1):
            said.append(
                f"The ellipse of {item.name} lies outside the frame or is empty, so it has no "
                "mask. Draw it again."
            )
    return said


def _warnings(
    data: TrainingData, project: Project, cohort: str | None, synthetic: int | None
) -> list[str]:
    said = []
    proposed = sum(a.state == "proposed" for a in project.annotations.by_frame(cohort).values())
    if proposed:
        them = "it" if proposed == 1 else "them"
        said.append(
            f"{counted_are(proposed, 'proposal')} left out, because no person has confirmed {them}."
        )
    tested = len({item.subject for item in data.test})
    if 0 < tested < FEW_SUBJECTS:
        said.append(
            f"Only {counted_are(tested, 'subject')} in the test part, too few to decide whether "
            f"the new model is better; {FEW_SUBJECTS} are needed."
        )
    if 0 < len(data.validation) < FEW_VALIDATION_FRAMES:
        said.append(
            f"Only {counted_are(len(data.validation), 'frame')} in the validation part, so the "
            "best epoch may be the best by chance."
        )
    taken_over = project.annotations.taken_over()
    judges = [item.id for item in (*data.validation, *data.test)]
    if own := sum(frame_id in taken_over for frame_id in judges):
        said.append(
            f"{own} of the {len(judges)} held-out ellipses are proposals of a segmenter that were "
            "confirmed without a change. They speak for the segmenter that proposed them, whatever "
            "a training achieves."
        )
    if data.copies:
        said.append(
            f"{counted_are(data.copies, 'accepted pair')} left out as too similar to a training "
            "frame of the synthesizer."
        )
    left_out = project.counts()["accepted"] - data.usable - data.copies
    if left_out:
        said.append(
            f"{counted_are(left_out, 'accepted pair')} left out, because their sectors are from "
            "frames of held-out subjects, or because their synthesizer saw such subjects."
        )
    if data.usable == 0 and synthetic != 0:
        said.append("There are no accepted pairs, so the training uses real frames alone.")
    return said


def _not_new(data: TrainingData, seen: Seen) -> list[str]:
    """Warnings about held-out frames of subjects that influenced the segmenter before."""
    said = []
    if known := len(seen.known(data.test)):
        said.append(
            f"{known} of the {len(data.test)} test frames are of subjects that this segmenter saw "
            "before. On new patients its Dice is lower than the one reported as before."
        )
    if known := len(seen.known(data.validation)):
        said.append(
            f"{known} of the {len(data.validation)} validation frames are of subjects that this "
            "segmenter saw before, so the best epoch may be chosen too early."
        )
    return said
