"""The conventions of a project's cohorts, measured with a segmenter on their annotated frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from fetalstudio.core.convention import FEWEST, Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.cohort_split import labelled_if_any
from fetalstudio.engine.jobs.propose.request import ProposeRequest
from fetalstudio.engine.models.catalogue import FoundModel
from fetalstudio.engine.models.loading import load_segmenter
from fetalstudio.engine.models.seen import Seen, seen_by
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame

if TYPE_CHECKING:
    from fetalstudio.segmentation.box_prompt import Box
    from fetalstudio.segmentation.segmenter import Segmenter

_MOST = 30
"""Frames of a cohort that are used: a prediction costs as much as a proposal, and with 30 subjects
the ratio of the axes is known to 0.4 %."""
_Answers = dict[tuple[str, "Box | None"], Ellipse | None]
_ANSWERS: WeakKeyDictionary[Segmenter, _Answers] = WeakKeyDictionary()
"""What each loaded segmenter found, by frame and box, so that the next proposal costs no more."""


def measured_conventions(
    project: Project,
    model: FoundModel,
    request: ProposeRequest,
    frames: Sequence[Frame],
    report: Report,
    cancelled: CancelCheck,
) -> dict[str, Convention]:
    """The conventions of these frames' cohorts, by cohort.

    They are measured on annotated frames of any part whose subject the segmenter did not see,
    except ``frames`` themselves. Proposals test nothing, so frames of the test part may serve. With
    prompt ``box``, the box is that of the person's ellipse, because the proposals to prompt with
    follow the convention already. A cohort has none if too few frames are left, or if the segmenter
    saw as many of its subjects: it then draws as they are drawn.

    Raises :class:`~fetalstudio.core.progress.Stopped` if the job was cancelled.
    """
    cohorts = sorted({frame.cohort for frame in frames})
    asked = {frame.id for frame in frames}
    seen = seen_by(project, model)
    chosen = {
        cohort: [i for i in _unseen(labelled_if_any(project, cohort), seen) if i.id not in asked]
        for cohort in cohorts
    }
    used = {cohort: _some(items) for cohort, items in chosen.items() if _subjects(items) >= FEWEST}
    if not used:
        return {}
    segmenter = load_segmenter(model)
    answers = _ANSWERS.setdefault(segmenter, {})
    steps = Steps(sum(map(len, used.values())), report, cancelled, "measuring how heads are drawn")
    measured = {}
    for cohort, items in used.items():
        pairs, subjects = [], []
        for item in items:
            box = item.ellipse.box() if request.prompt == "box" else None
            found = _found(segmenter, item, box, answers)
            if found is not None:
                pairs.append((item.ellipse, found))
                subjects.append(item.subject)
            steps.advance()
        convention = Convention.measure(model.name, pairs, subjects)
        if convention is not None:
            measured[cohort] = convention
    return measured


def _unseen(items: list[LabelledFrame], seen: Seen) -> list[LabelledFrame]:
    """The frames that are new to the segmenter; none if it learnt the cohort's convention."""
    known = seen.known(items)
    if _subjects(known) >= FEWEST:
        return []
    subjects = {item.subject for item in known}
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
    segmenter: Segmenter, item: LabelledFrame, box: Box | None, answers: _Answers
) -> Ellipse | None:
    if (item.id, box) not in answers:
        try:
            answers[item.id, box] = segmenter.predict(item.image, box=box).ellipse
        except UserError:  # a damaged picture is no reason against proposals on others
            return None
    return answers[item.id, box]
