"""Measures the conventions of a project's cohorts with a segmenter, on their annotated frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from fetalstudio.core.convention import FEWEST, Convention
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
    find_model,
    judge_model,
    load_segmenter,
)
from fetalstudio.engine.models.seen import Seen, seen_by, seen_by_outline
from fetalstudio.engine.process.events import Warned
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame

if TYPE_CHECKING:
    from fetalstudio.segmentation.box_prompt import Box
    from fetalstudio.segmentation.outline import SecondLook
    from fetalstudio.segmentation.segmenter import Segmenter

_MOST = 30
"""Frames of a cohort that are used: a prediction costs as much as a proposal, and with 30 subjects
the ratio of the axes is known to 0.4 %."""
_Answers = dict[tuple[str, "Box | None", bool], Ellipse | None]
_ANSWERS: WeakKeyDictionary[Segmenter, _Answers] = WeakKeyDictionary()
"""What each loaded segmenter found, by frame, box and whether it was moved onto the skull, so that
the next proposal costs no more."""


def proposal_conventions(
    project: Project,
    model: FoundModel,
    prompt: Prompt,
    frames: Sequence[Frame],
    report: Report,
    cancelled: CancelCheck,
    outline: SecondLook | None = None,
) -> dict[str, Convention]:
    """The conventions that proposals for these frames follow, by cohort.

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
        _keep(Kept.for_pairs(project), made, drawn, report)
        known |= made
    return {c: convention for c, convention in sorted(known.items()) if convention is not None}


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
        _keep(Kept.of_cohorts(project), made, by_cohort, report)
        kept |= {c: CohortConvention(c, convention) for c, convention in made.items()}
    return kept


def _keep(
    file: Kept,
    found: Mapping[str, Convention | None],
    drawn: Mapping[str, Sequence[LabelledFrame]],
    report: Report,
) -> None:
    """Keep what was found. Where that is impossible, such as on a full disk, it is measured again
    the next time, and what it was measured for goes on."""
    try:
        file.keep(found, drawn)
    except UserError as error:
        report(Warned(f"How heads are drawn was measured, but not kept: {error}"))


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
            found = _found(segmenter, item, item.prompt_box(prompt), outline, answers)
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
