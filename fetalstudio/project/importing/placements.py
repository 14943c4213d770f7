"""Whether the ellipses of a plan lie on the heads, or would in another place.

A script that counts from 0 gives each picture the mask of the next one, and programs mirror or
transpose the masks that they write. Such a mask shows a good ellipse, and only the pictures show
that it lies elsewhere: a skull is a bright ring. The frames of a source vote together, so that one
odd frame decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from fetalstudio.core.bright_outline import fits_better, lies_on_skull
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.progress import Progress, followed
from fetalstudio.core.words import listed, natural_order
from fetalstudio.formats.reading.doubts import (
    NONE,
    PROPOSAL,
    Answers,
    Doubt,
    Question,
    place_answer,
    place_doubt,
)
from fetalstudio.formats.reading.frame_reading import FoundEllipse, read_ellipse
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.outline_pictures import SAME_DICE
from fetalstudio.formats.reading.placements import (
    ADJACENT,
    NEXT,
    PLACEMENTS,
    PREVIOUS,
    Placement,
    place_text,
)
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.odd_ellipses import odd_ellipses
from fetalstudio.project.importing.plan import PlannedFrame

_LOOKED_AT = 24
"""Frames of a source."""
_SEVERAL, _MANY, _MOST = 3, 5, 12
"""Frames that show what fewer do not."""
_CLEAR, _CLEAR_OF_FEW = 0.2, 0.5
"""From which on several frames show that the ellipses belong elsewhere, as :func:`fits_better`
counts it, on average, and fewer of them."""
_SURE, _DOUBTFUL = 0.45, 0.2
"""From which on :func:`lies_on_skull` says that the ellipses of several frames, and of fewer, are
where they belong, whatever fits better."""
_FITS = 0.25
"""From which on it says so of another place."""
_CLEAR_OF_ONE, _DOUBTFUL_OF_ONE, _SOME = 0.4, 0.3, 0.1
"""As the first two for a frame that counts by itself, and the share of such frames from which on
some ellipses of a source are in doubt."""
_HARDLY, _HARDLY_OF_MOST = 0.1, 0.2
"""Below which many frames, and still more, show that the ellipses lie on no skulls."""
_NAMED = 5
"""Pictures in a message."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the picture of a frame shows of its ellipse."""

    key: str
    on_skull: float
    """As :func:`lies_on_skull` has it."""
    votes: Mapping[str, float]
    """How much better it fits the picture than in each other place, as :func:`fits_better` has
    it."""
    asked: bool
    """Whether it comes of a table of which it was asked what the numbers mean: whoever said so has
    seen the ellipses."""


Beside = Mapping[str, Mapping[str, PlannedFrame]]
"""The pictures next to each one and before it in its folder or file, read or not, by the keys of
both and of :data:`~fetalstudio.formats.reading.placements.ADJACENT`."""
_Others = Mapping[str, Ellipse]
_Fits = Callable[[str, Sequence[_Seen]], bool]
"""Whether the ellipses of these frames would lie on skulls in this other place."""


class EllipsePlacements:
    """Compares the ellipses of one plan after another of a source with the pictures.

    A few pictures are decoded. What was seen in one is remembered.
    """

    def __init__(self, source: Path) -> None:
        self._source = source
        self._seen: dict[tuple[object, ...], _Seen | None] = {}

    def doubts(
        self, frames: Sequence[PlannedFrame], beside: Beside, progress: Progress
    ) -> Mapping[str, Doubt]:
        """The doubt about the ellipse of each frame, by key, if they do not lie on the heads.

        Raises :class:`Stopped` if asked to.
        """
        sure = {f.key: f for f in frames if _has_ellipse(f) and f.certain}
        looked_at = list(sure)[:: max(1, -(-len(sure) // _LOOKED_AT))]
        others = {key: _others(sure[key], beside.get(key, {})) for key in looked_at}
        looks = [
            self._look(sure[key], None, others[key], progress)
            for key in followed(looked_at, progress, "")
        ]
        if looks:
            progress.advance(len(looks), len(looks))

        def fits(place: str, seen: Sequence[_Seen]) -> bool:
            there = [self._look(sure[s.key], others[s.key][place], {}, progress) for s in seen]
            return _on_skulls([look for look in there if look is not None]) >= _FITS

        judged = _judged([look for look in looks if look is not None], fits)
        if judged is None:
            unsaid = [frame for frame in sure.values() if not _says_so_itself(frame)]
            return odd_ellipses(unsaid, beside, progress)
        said, likely = judged
        doubt = place_doubt(f"{self._source}: {said}", likely)
        return {
            frame.key: doubt
            for frame in frames
            if _has_ellipse(frame)
            or _may_get_one(frame, beside.get(frame.key, {}).get(likely or ""))
        }

    def _look(
        self, frame: PlannedFrame, elsewhere: Ellipse | None, others: _Others, progress: Progress
    ) -> _Seen | None:
        """What the picture shows of the ellipse, or of one elsewhere; None where it is nothing."""
        progress.check()
        ellipse = elsewhere or frame.ellipse
        known = (frame.key, frame.frame_id, ellipse, *others.items())
        if known not in self._seen:
            self._seen[known] = None if ellipse is None else _seen(frame, ellipse, others)
        return self._seen[known]


def pictures_beside(frames: Sequence[PlannedFrame]) -> Beside:
    """The pictures beside each one of a plan.

    One that is not read has its place in the order, too, as it had where the masks were made. What
    a source takes for no frame, such as a picture that shows another one again, has none.
    """
    found: dict[str, dict[str, PlannedFrame]] = defaultdict(dict)
    ordered = sorted(
        (
            frame
            for frame in frames
            if frame.frame_id is not None or not _may_be_no_frame(frame.record)
        ),
        key=lambda frame: (_sequence_of(frame.record), natural_order(frame.key)),
    )
    for one, other in pairwise(ordered):
        if _sequence_of(one.record) == _sequence_of(other.record) and (
            one.record.number is None or one.record.number + 1 == other.record.number
        ):
            found[one.key][NEXT] = other
            found[other.key][PREVIOUS] = one
    return found


def _may_be_no_frame(record: FrameRecord) -> bool:
    """Whether a picture may be no frame, as its name says."""
    return any(doubt.question is Question.ROLE for doubt in record.doubts)


def _sequence_of(record: FrameRecord) -> tuple[Path, str]:
    """The folder, or the file and the video in it, of which a picture is one of several."""
    if record.video is None and record.number is None:
        return record.path.parent, ""
    return record.path, record.from_video or ""


def _ellipse_of(frame: PlannedFrame, other: PlannedFrame | None) -> Ellipse | None:
    """The ellipse of the picture beside a frame, if it may be that of the frame."""
    if other is None or not _has_ellipse(other) or other.size != frame.size:
        return None
    return other.ellipse


def _has_ellipse(frame: PlannedFrame | None) -> bool:
    if frame is None or frame.frame_id is None or frame.synthetic is not None:
        return False
    return frame.ellipse is not None


def _may_get_one(frame: PlannedFrame, other: PlannedFrame | None) -> bool:
    """Whether a frame may get an ellipse of the picture beside it, perhaps once it is said which
    structure of its mask is the head."""
    if frame.frame_id is None or other is None:
        return False
    if frame.synthetic is not None or other.synthetic is not None:
        return False
    record = other.record
    shows = record.annotation or record.mask or record.outline or record.ellipse
    asked = any(doubt.question is Question.ANNOTATION for doubt in record.doubts)
    return other.size == frame.size and (bool(shows) or asked)


def _others(frame: PlannedFrame, beside: Mapping[str, PlannedFrame]) -> _Others:
    """Where the ellipse of a frame may belong, and those that may be the right ones."""
    ellipse, size = frame.ellipse, frame.size
    assert ellipse is not None and size is not None
    places = {name: placement.of(ellipse, size) for name, placement in PLACEMENTS.items()}
    places |= {name: _ellipse_of(frame, other) for name, other in beside.items()}
    return {name: other for name, other in places.items() if other is not None}


def _seen(frame: PlannedFrame, ellipse: Ellipse, others: _Others) -> _Seen | None:
    if _says_so_itself(frame):
        return None
    try:
        pixels = frame.record.pixels()
    except InputError:  # it has changed since it was read, which the import names
        return None
    on_skull = lies_on_skull(pixels, ellipse)
    if on_skull is None:
        return None
    votes = zip(others, fits_better(pixels, ellipse, list(others.values())), strict=True)
    return _Seen(
        frame.key,
        on_skull,
        {name: vote for name, vote in votes if vote is not None},
        any(doubt.question is Question.AXES for doubt in frame.doubts),
    )


def _says_so_itself(frame: PlannedFrame) -> bool:
    """Whether an export of ours states the ellipse."""
    drawn, ellipse = frame.record.drawn, frame.ellipse
    return drawn is not None and ellipse is not None and drawn.overlap(ellipse) >= SAME_DICE


def _on_skulls(seen: Sequence[_Seen]) -> float:
    """0, as where nothing is seen, without any frame."""
    return float(np.mean([look.on_skull for look in seen])) if seen else 0.0


def _judged(seen: Sequence[_Seen], fits: _Fits) -> tuple[str, str | None] | None:
    """What is wrong with the ellipses of a source, in sentences, and where all of them belong, if
    that is known."""
    better = _better(seen)
    for place, voting in better.items():
        if fits(place, voting):
            right = [look for look in voting if look.votes[place] >= _CLEAR_OF_ONE]
            if len(right) >= _SOME * len(voting):
                return _of_some(place, [look for look in voting if look.votes[place] < 0]), None
            return (
                "in the pictures, the skulls do not lie on the ellipses. They would if each "
                f"ellipse were {place_text(place)}.",
                place,
            )
    unasked = [look for look in seen if not look.asked]
    hardly = _HARDLY_OF_MOST if len(unasked) >= _MOST else _HARDLY
    nowhere = len(unasked) >= _MANY and _on_skulls(unasked) < hardly
    if nowhere or (better and len(unasked) >= _SEVERAL):
        return (
            "in the pictures, no skulls can be seen on the ellipses. They may have been drawn on "
            "pictures of another size, on a part of these, or on others.",
            None,
        )
    for place, voting in _better_for_some(seen).items():
        if fits(place, voting):
            return _of_some(place, voting), None
    return None


def _of_some(place: str, wrong: Sequence[_Seen]) -> str:
    return (
        "in some of the pictures, the skulls do not lie on the ellipses, as in "
        f"{listed([look.key for look in wrong], _NAMED)}. They would if each ellipse of these were "
        f"{place_text(place)}."
    )


def _better(seen: Sequence[_Seen]) -> Mapping[str, Sequence[_Seen]]:
    """The places where the ellipses fit the pictures clearly better, the best first, each with the
    frames in which it makes a difference."""
    found: list[tuple[float, str, Sequence[_Seen]]] = []
    for place in (*PLACEMENTS, *ADJACENT):
        voting = [look for look in seen if place in look.votes]
        if not voting:
            continue
        several = len(voting) >= _SEVERAL
        vote = float(np.mean([look.votes[place] for look in voting]))
        clear, doubtful = (_CLEAR, _SURE) if several else (_CLEAR_OF_FEW, _DOUBTFUL)
        if vote <= -clear and _on_skulls(voting) < doubtful:
            found.append((vote, place, voting))
    return {place: voting for _, place, voting in sorted(found, key=lambda item: item[0])}


def _better_for_some(seen: Sequence[_Seen]) -> Mapping[str, Sequence[_Seen]]:
    """The places where the ellipses of some frames fit clearly better, those of most frames first,
    each with these frames."""
    found = {
        place: [
            look
            for look in seen
            if look.votes.get(place, 0.0) <= -_CLEAR_OF_ONE and look.on_skull < _DOUBTFUL_OF_ONE
        ]
        for place in (*PLACEMENTS, *ADJACENT)
    }
    least = max(_SEVERAL, _SOME * len(seen))
    enough = [place for place, voting in found.items() if len(voting) >= least]
    return {place: found[place] for place in sorted(enough, key=lambda place: -len(found[place]))}


# -- what the answers make of the frames -----------------------------------------------------


_OF_ELLIPSE = (
    Question.ANNOTATION,
    Question.HEAD,
    Question.SHAPE,
    Question.AXES,
    Question.CALIBRATION,
)
"""What is asked about the ellipse that a frame has, and about what it says of the pixel size."""


@dataclass(frozen=True, slots=True)
class Move:
    """How the ellipse of a frame is found where a person says that it belongs elsewhere."""

    record: FrameRecord
    """That of the frame, with the annotation that counts."""
    answers: Answers
    placement: Placement | None
    without: str
    """What is said if the annotation has no ellipse."""
    named: Answers
    """Those of the answers that name the frame."""

    def find(self, size: Size) -> FoundEllipse:
        """Raises as :func:`~fetalstudio.formats.reading.frame_reading.read_ellipse`."""
        return read_ellipse(self.record, size, self.answers, self.placement)


def moves_of(
    frames: Sequence[PlannedFrame], beside: Beside, doubts: Mapping[str, Doubt], choices: Choices
) -> Mapping[str, Move]:
    """The ellipses that a person moves, by the key of the frame."""
    found: dict[str, Move] = {}
    for frame in frames:
        place = _held(frame, doubts, choices)
        if place in PLACEMENTS:
            record, placement = frame.record, PLACEMENTS[place]
            why = f"it has no ellipse that could be {placement.text}"
        elif place in ADJACENT:
            other, placement = beside.get(frame.key, {}).get(place), None
            record, why = _annotated_as(frame, other, "after" if place == NEXT else "before")
        else:
            continue
        said = f"{_named(frame)} was imported without an ellipse: {why}. Draw it in Annotate."
        answers = choices.answers(frame.key, frame.clip)
        named = choices.named(frame.key, frame.clip)
        found[frame.key] = Move(record, answers, placement, said, named)
    return found


def _annotated_as(
    frame: PlannedFrame, other: PlannedFrame | None, where: str
) -> tuple[FrameRecord, str]:
    """The record of a frame with the annotation of the picture beside it, and why it then has no
    ellipse, if it has none."""
    if other is None:
        return _with_annotation_of(frame.record, None), f"no picture comes right {where} it"
    name = f"{_named(other)}, the picture {where} it,"
    if other.frame_id is None or other.synthetic is not None:
        return _with_annotation_of(frame.record, None), f"{name} is not imported as a frame"
    if other.size != frame.size:
        return _with_annotation_of(frame.record, None), f"{name} has another size"
    return _with_annotation_of(frame.record, other.record), f"{name} has none"


def _named(frame: PlannedFrame) -> str:
    """The file of a picture, with its name there if it is one of several."""
    return str(frame.path) if frame.record.decode is None else f"{frame.path}#{frame.record.name}"


def _with_annotation_of(record: FrameRecord, other: FrameRecord | None) -> FrameRecord:
    """The record of a single frame with the annotation of another one, or with none."""
    source = other or FrameRecord(record.path, record.name, record.subject)
    asked = (doubt for doubt in source.doubts if doubt.question in _OF_ELLIPSE)
    return replace(
        record,
        annotation=source.annotation,
        coding=source.coding,
        mask=source.mask,
        drawn=source.drawn,
        outline=source.outline,
        outline_file=source.outline_file,
        ellipse=source.ellipse,
        axes=source.axes,
        ellipse_size=source.ellipse_size,
        doubts=(*_others_than_of_ellipse(record.doubts), *asked),
    )


def _others_than_of_ellipse(doubts: Sequence[Doubt]) -> tuple[Doubt, ...]:
    return tuple(doubt for doubt in doubts if doubt.question not in _OF_ELLIPSE)


def moved(frame: PlannedFrame, move: Move, found: FoundEllipse) -> PlannedFrame:
    """The frame with the ellipse that was found; what is asked and said of its former one goes."""
    asked = tuple(doubt for doubt in found.doubts if doubt.question in _OF_ELLIPSE)
    said = found.problems
    if found.ellipse is None and not said:
        unexplained = all(doubt.question is Question.CALIBRATION for doubt in asked)
        said = (move.without,) if unexplained else ()
    said += tuple(
        f"{_named(frame)}: the answer to {doubt.question} is now about another mask than before. "
        f"{doubt.message} Check it."
        for doubt in asked
        if doubt.question in move.named and _of_another(doubt, frame.doubts)
    )
    kept = (note for note in frame.notes if note not in frame.ellipse_notes)
    return replace(
        frame,
        record=move.record,
        ellipse=found.ellipse,
        certain=found.certain,
        calibration=found.calibration,
        doubts=(*_others_than_of_ellipse(frame.doubts), *asked),
        notes=(*kept, *said),
        ellipse_notes=said,
        mask_values=found.mask_values,
    )


def _of_another(doubt: Doubt, former: Sequence[Doubt]) -> bool:
    """Whether the same was asked about another annotation of a frame."""
    if doubt.question is Question.CALIBRATION:
        return False  # it is asked about the frame
    same = [other.message for other in former if other.question is doubt.question]
    return bool(same) and doubt.message not in same


def placed(frame: PlannedFrame, doubts: Mapping[str, Doubt], choices: Choices) -> PlannedFrame:
    """The frame, moved or not, with the doubt about where its ellipse lies, and without a final
    ellipse unless the answer says that there is one."""
    held, doubt = _held(frame, doubts, choices), doubts.get(frame.key)
    if doubt is not None:
        if held not in {answer.value for answer in doubt.answers}:
            doubt = replace(doubt, answers=(*doubt.answers, place_answer(held)))
        frame = replace(frame, doubts=(*frame.doubts, doubt))
    if held == NONE:
        return replace(frame, ellipse=None)
    return replace(frame, certain=False) if held == PROPOSAL else frame


def _held(frame: PlannedFrame, doubts: Mapping[str, Doubt], choices: Choices) -> str:
    """The answer that holds for a frame, empty if nothing is asked or answered. One that names the
    frame counts in any case, one for all alike where it is offered."""
    if frame.frame_id is None or frame.synthetic is not None:
        return ""
    named = choices.named(frame.key, frame.clip).get(Question.PLACE)
    if named is not None:
        return named
    doubt = doubts.get(frame.key)
    return "" if doubt is None else doubt.holds(choices.alike).value
