"""The conventions of a project's cohorts, measured with a segmenter on their annotated frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from fetalstudio.core.convention import FEWEST, NO_OFFSET, Convention, Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.cohort_conventions import (
    CohortConvention,
    Kept,
    by_cohort_of,
    drawn_for_pairs,
    kept_conventions,
    known_for_pairs,
    measurable,
)
from fetalstudio.engine.cohort_split import labelled_if_any
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import (
    BUILT_IN,
    JUDGE,
    find_model,
    judge_model,
    load_segmenter,
)
from fetalstudio.engine.models.seen import Seen, seen_by, seen_by_outline
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame

if TYPE_CHECKING:
    from fetalstudio.segmentation.box_prompt import Box
    from fetalstudio.segmentation.outline import SecondLook
    from fetalstudio.segmentation.segmenter import Segmenter
    from fetalstudio.synthesis.interface import Drawn
    from fetalstudio.synthesis.scene import Scene

_MOST = 30
"""Frames of a cohort that are used: a prediction costs as much as a proposal, and with 30 subjects
the ratio of the axes is known to 0.4 %."""
_Answers = dict[tuple[str, "Box | None", bool], Ellipse | None]
_ANSWERS: WeakKeyDictionary[Segmenter, _Answers] = WeakKeyDictionary()
"""What each loaded segmenter found, by frame, box and whether it was moved onto the skull, so that
the next proposal costs no more."""


def measured_conventions(
    project: Project,
    model: FoundModel,
    prompt: Prompt,
    frames: Sequence[Frame],
    report: Report,
    cancelled: CancelCheck,
    outline: SecondLook | None = None,
) -> dict[str, Convention]:
    """The conventions of these frames' cohorts, by cohort.

    They are measured on annotated frames of any part whose subject the segmenter did not see,
    except ``frames`` themselves. Proposals test nothing, so frames of the test part may serve. With
    prompt ``box``, the box is that of the person's ellipse, because the proposals to prompt with
    follow the convention already. With ``outline``, the convention is that of ellipses which were
    moved onto the skull, on frames that the second look did not see either. A cohort has none if
    too few frames are left, or if the segmenter saw as many of its subjects: it then draws as they
    are drawn.

    Raises :class:`~fetalstudio.core.progress.Stopped` if the job was cancelled.
    """
    cohorts = sorted({frame.cohort for frame in frames})
    asked = {frame.id for frame in frames}
    seen = seen_by(project, model)
    if outline is not None:
        seen |= seen_by_outline()
    chosen = {
        cohort: [i for i in _unseen(labelled_if_any(project, cohort), seen) if i.id not in asked]
        for cohort in cohorts
    }
    used = {cohort: _some(items) for cohort, items in chosen.items() if _subjects(items) >= FEWEST}
    if not used:
        return {}
    return _measured(model, used, prompt, report, cancelled, outline)


def pair_conventions(
    project: Project, cohorts: Iterable[str], report: Report, cancelled: CancelCheck
) -> dict[str, Convention]:
    """The conventions of these cohorts as the judge sees them, by cohort, for synthetic pairs.

    They are measured on annotated frames of the training part alone, because segmenters learn from
    the pairs; what is not kept yet is measured and kept. A cohort has none if these are of too few
    subjects, or if the judge saw as many of them: it and the synthesizer then draw as they are
    drawn. The parts of the subjects have to be stored before.

    Raises :class:`~fetalstudio.core.progress.Stopped` if the job was cancelled.
    """
    drawn = drawn_for_pairs(project, cohorts)
    known = known_for_pairs(project, drawn)
    if missing := {cohort: drawn[cohort] for cohort in drawn.keys() - known.keys()}:
        model = judge_model()
        seen = seen_by(project, model)
        found = convention_of_each(model, missing, seen, report, cancelled)
        made = {cohort: found.get(cohort) for cohort in missing}
        Kept.for_pairs(project).keep(made, drawn)
        known |= made
    return {c: convention for c, convention in sorted(known.items()) if convention is not None}


def own_offset(synthesizer: ModelCard) -> Offset:
    """From the skull that the judge finds in a synthesizer's images to the ellipse that was asked
    for, as its card says; none where it does not.

    An adapted synthesizer has learnt how its cohort is drawn, as far as its training went.
    """
    values = synthesizer.metrics.get("convention")
    return Offset(**values) if isinstance(values, Mapping) else NO_OFFSET


def offset_of_synthesizer(wanted: Sequence[Ellipse], found: Sequence[Ellipse | None]) -> Offset:
    """What :func:`own_offset` says in the card: by the ellipses that were asked for in several
    images, and what the judge found in each."""
    seen = [(one, head) for one, head in zip(wanted, found, strict=True) if head is not None]
    names = [str(number) for number in range(len(seen))]
    convention = Convention.measure(JUDGE, seen, names)
    return NO_OFFSET if convention is None else convention.offset


def has_learnt(synthesizer: ModelCard, cohort: str) -> bool:
    """Whether a synthesizer draws as this cohort's annotators do: it was adapted to the cohort, and
    its card does not say by how much that changed it."""
    adapted = "started_from" in synthesizer.training_data
    learnt = synthesizer.training_data.get("cohorts", ())
    return adapted and cohort in learnt and "convention" not in synthesizer.metrics


def asked_for(drawn: Ellipse, convention: Offset, synthesizer: Offset) -> Ellipse:
    """The ellipse to ask a synthesizer for, so that ``drawn`` is around its skull as a convention
    has it. ``synthesizer`` is its own offset."""
    return drawn if convention == NO_OFFSET else synthesizer.apply(convention.remove(drawn))


def labelled_as(
    made: Drawn, scene: Scene, drawn: Ellipse, convention: Offset
) -> tuple[Drawn, Offset]:
    """An image with the ellipse ``drawn`` as its label, and the convention that it follows.

    An image whose label was found in it instead keeps that, and follows no convention.
    """
    if made.ellipse != scene.ellipse:
        return made, NO_OFFSET
    return replace(made, ellipse=drawn), convention


def followed(conventions: Mapping[str, Convention]) -> str:
    """For a person, which conventions pairs follow; "" for none."""
    return " ".join(
        f"Pairs for {cohort} show the skull where its annotators draw such an ellipse around it; "
        f"its frames are {found.sentence}."
        for cohort, found in conventions.items()
    )


def convention_of_each(
    model: FoundModel,
    cohorts: Mapping[str, list[LabelledFrame]],
    seen: Seen,
    report: Report,
    cancelled: CancelCheck,
) -> dict[str, Convention]:
    """The conventions of cohorts by their annotated frames, where enough of these are new to the
    segmenter, which has ``seen`` others.

    Raises :class:`~fetalstudio.core.progress.Stopped` if the job was cancelled.
    """
    new = {cohort: _unseen(items, seen) for cohort, items in cohorts.items()}
    chosen = {cohort: _some(items) for cohort, items in new.items() if _subjects(items) >= FEWEST}
    return _measured(model, chosen, "auto", report, cancelled) if chosen else {}


def measure_conventions(
    project: Project, cohorts: Iterable[str], report: Report, cancelled: CancelCheck
) -> dict[str, CohortConvention]:
    """By cohort, how it is drawn, where the annotated frames are of enough subjects.

    What is not kept yet is measured and kept. Raises
    :class:`~fetalstudio.core.progress.Stopped` if the job was cancelled.
    """
    items = labelled_if_any(project)
    wanted = set(cohorts) & measurable(items)
    by_cohort = {c: of for c, of in by_cohort_of(items).items() if c in wanted}
    kept = {c: k for c, k in kept_conventions(project, items).items() if c in by_cohort}
    if missing := sorted(by_cohort.keys() - kept.keys()):
        model = find_model("segmenter", BUILT_IN)  # whatever a project calls by that name
        seen = seen_by(project, model)
        new = {c: by_cohort[c] for c in missing if not seen.knows_cohort(by_cohort[c])}
        found = convention_of_each(model, new, seen, report, cancelled)
        # A cohort in which the segmenter fails on most frames has none, and is measured again.
        made = {c: found.get(c) for c in missing if c in found or c not in new}
        Kept.of_cohorts(project).keep(made, by_cohort)
        kept |= {c: CohortConvention(c, convention) for c, convention in made.items()}
    return kept


def _measured(
    model: FoundModel,
    chosen: Mapping[str, Sequence[LabelledFrame]],
    prompt: Prompt,
    report: Report,
    cancelled: CancelCheck,
    outline: SecondLook | None = None,
) -> dict[str, Convention]:
    segmenter = load_segmenter(model)
    answers = _ANSWERS.setdefault(segmenter, {})
    total = sum(map(len, chosen.values()))
    steps = Steps(total, report, cancelled, "measuring how heads are drawn")
    measured = {}
    for cohort, items in chosen.items():
        pairs, subjects = [], []
        for item in items:
            box = item.ellipse.box() if prompt == "box" else None
            found = _found(segmenter, item, box, outline, answers)
            if found is not None:
                pairs.append((item.ellipse, found))
                subjects.append(item.subject)
            steps.advance()
        sees = model.name if outline is None else f"{model.name}, with a second look,"
        convention = Convention.measure(sees, pairs, subjects)
        if convention is not None:
            measured[cohort] = convention
    return measured


def _unseen(items: list[LabelledFrame], seen: Seen) -> list[LabelledFrame]:
    """The frames that are new to the segmenter; none if it learnt the cohort's convention."""
    if seen.knows_cohort(items):
        return []
    subjects = {item.subject for item in seen.known(items)}
    return [item for item in items if item.subject not in subjects]


def _subjects(items: Iterable[LabelledFrame]) -> int:
    return len({item.subject for item in items})


def _some(items: list[LabelledFrame]) -> list[LabelledFrame]:
    """At most :data:`_MOST` frames, of as many subjects as possible.

    The order of the ids, which are hashes, is one by chance that stays when frames are added.
    """
    turns = Counter[str]()
    ranked = []
    for item in sorted(items, key=attrgetter("id")):
        ranked.append((turns[item.subject], item))
        turns[item.subject] += 1
    return [item for _, item in sorted(ranked, key=itemgetter(0))[:_MOST]]


def _found(
    segmenter: Segmenter,
    item: LabelledFrame,
    box: Box | None,
    outline: SecondLook | None,
    answers: _Answers,
) -> Ellipse | None:
    key = item.id, box, outline is not None
    if key not in answers:
        try:
            found = segmenter.predict(item.image, box=box).ellipse
        except UserError:  # a damaged picture is no reason against proposals on others
            return None
        if found is not None and outline is not None:
            found = outline.snap(item.image, found).ellipse or found
        answers[key] = found
    return answers[key]
