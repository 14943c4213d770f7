"""The annotated frames of a project, and the parts in which they train, validate and test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.splits import Part, is_among, split_subjects
from fetalstudio.engine.models.seen import MakersSeen, Seen
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame, Pair

T = TypeVar("T")


def labelled_frames(project: Project, cohort: str | None = None) -> list[LabelledFrame]:
    """The real frames with an ellipse that a person drew or confirmed (state draft or final).

    Raises :class:`InputError` if there are none, or no such cohort.
    """
    check_cohort(project, cohort)
    result = labelled_if_any(project, cohort)
    if not result:
        where = f"Cohort {cohort!r} of {project.path}" if cohort else str(project.path)
        raise InputError(f"{where} has no annotated frame. Draw or confirm an ellipse first.")
    return result


def check_cohort(project: Project, cohort: str | None) -> None:
    """Raise :class:`InputError`, with the cohorts that exist, for a cohort that does not."""
    if cohort is None or cohort in (cohorts := project.frames.cohorts()):
        return
    cure = f"Choose one of these: {', '.join(cohorts)}." if cohorts else "Import frames first."
    raise InputError(f"{project.path} has no cohort {cohort!r}. {cure}")


def labelled_if_any(project: Project, cohort: str | None = None) -> list[LabelledFrame]:
    """Like :func:`labelled_frames`, but returns an empty list if there are none."""
    annotations = project.annotations.by_frame(cohort)
    return [
        labelled(project, frame, annotation.ellipse)
        for frame in project.frames.all(cohort=cohort)
        if (annotation := annotations.get(frame.id)) is not None
        and annotation.ellipse is not None
        and annotation.state != "proposed"
    ]


def labelled_cohorts(project: Project) -> list[str]:
    """The cohorts with a frame of :func:`labelled_frames`, sorted."""
    annotations = project.annotations.by_frame()
    cohorts: set[str] = set()
    for frame in project.frames.all():
        if frame.cohort not in cohorts:
            annotation = annotations.get(frame.id)
            if annotation is not None and annotation.state != "proposed":
                cohorts.add(frame.cohort)
    return sorted(cohorts)


def labelled(project: Project, frame: Frame, ellipse: Ellipse) -> LabelledFrame:
    """A frame of the project with its ellipse; the picture is read when it is needed."""
    return LabelledFrame(
        partial(project.frames.pixels, frame.id),
        ellipse,
        frame.size,
        frame.id,
        frame.name,
        frame.subject,
        frame.cohort,
        frame.calibration,
        frame.labels,
        frame.kind == "synthetic",
    )


def split(project: Project, frames: Sequence[LabelledFrame]) -> Mapping[str, Part]:
    """The part of each subject: the stored one, or the one that :func:`keep_parts` would store."""
    return project.parts.plan(frame.subject for frame in frames)


def keep_parts(project: Project, cohort: str | None) -> None:
    """Store the part of each subject of the annotated frames; a job calls it before it uses them.

    Raises :class:`~fetalstudio.core.errors.UserError` where the project cannot be written.
    """
    project.parts.divide(frame.subject for frame in labelled_if_any(project, cohort))


def bundled_parts(frames: Sequence[LabelledFrame]) -> Mapping[str, Part]:
    """The part of each subject when the bundled models were trained: 20 % test, 5 % validation."""
    return split_subjects((frame.subject for frame in frames), validation=0.05, test=0.2)


_JUDGES_SHARE = 0.25
_JUDGES_SEED = 1


def without_judges(
    frames: Sequence[LabelledFrame],
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The frames of the bundled models' training part that a synthesizer learns from, and those
    that the judge learns from: a quarter of the subjects, always the same ones."""
    judges = {f.subject for f in frames if is_among(f.subject, _JUDGES_SHARE, seed=_JUDGES_SEED)}
    return (
        [frame for frame in frames if frame.subject not in judges],
        [frame for frame in frames if frame.subject in judges],
    )


def of_part(
    frames: Sequence[LabelledFrame], parts: Mapping[str, Part], part: Part
) -> list[LabelledFrame]:
    """The frames whose subject is in ``part``. Raises ``ValueError`` for a synthetic frame that
    would be held out."""
    chosen = [frame for frame in frames if parts[frame.subject] == part]
    return chosen if part == "train" else checked_real(chosen)


def checked_real(frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The frames. Raises ``ValueError`` for a synthetic one, on which no model may be judged."""
    if synthetic := [frame.name for frame in frames if frame.synthetic]:
        raise ValueError(f"synthetic frames cannot be validated or tested on: {synthetic[:3]}")
    return list(frames)


def some_of(items: Sequence[T], count: int | None, rng: np.random.Generator) -> Sequence[T]:
    """``count`` items drawn at random, in their original order; all of them if that is ``None``
    or more than there are.

    Taking the first ``count`` instead would be biased, because frames are often sorted by what they
    show: those of HC18 by trimester.
    """
    if count is None or count >= len(items):
        return items
    return [items[i] for i in sorted(rng.permutation(len(items))[:count])]


def usable_pairs(
    project: Project, parts: Mapping[str, Part], segmenter: Seen, makers: MakersSeen | None = None
) -> list[Pair]:
    """The accepted pairs to train on, the oldest first.

    Copies of training frames are left out, and so are pairs through which a held-out subject would
    teach the segmenter: their sector is from a frame of such a subject, or their synthesizer saw
    one. A subject that the ``segmenter`` saw before is no reason: its figures are not those of a
    new subject, whichever pairs it learns from.
    """
    subjects = {frame.id: frame.subject for frame in project.frames.all()}
    held_out = {subject for subject, part in parts.items() if part != "train"}
    unseen = _new_held_out(parts, segmenter)
    makers = makers or MakersSeen(project)

    def leaks(pair: Pair) -> bool:
        lender = subjects.get(str(pair.provenance.get("source_frame")))
        return lender in held_out or makers.one_of(pair, unseen)

    accepted = reversed(project.pairs.all(state="accepted"))
    return [pair for pair in accepted if not pair.copy and not leaks(pair)]


def unknown_makers(
    pairs: Sequence[Pair], parts: Mapping[str, Part], segmenter: Seen, makers: MakersSeen
) -> Mapping[int, str]:
    """The synthesizer of each pair, by the pair's id, of which it is not known whether it saw a
    held-out subject that is new to the ``segmenter``."""
    return makers.unknown(pairs) if _new_held_out(parts, segmenter) else {}


def _new_held_out(parts: Mapping[str, Part], segmenter: Seen) -> set[str]:
    return {s for s, part in parts.items() if part != "train" and not segmenter.knows_subject(s)}
