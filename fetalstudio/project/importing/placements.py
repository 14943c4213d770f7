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
from fetalstudio.core.progress import Progress
from fetalstudio.core.words import listed, natural_order
from fetalstudio.formats.reading.doubts import (
    FINAL,
    NONE,
    PROPOSAL,
    Answers,
    Doubt,
    Question,
    place_doubt,
)
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.outline_pictures import SAME_DICE, ShownEllipse
from fetalstudio.formats.reading.placements import NEIGHBOURS, NEXT, PLACEMENTS, PREVIOUS
from fetalstudio.project.importing.choices import Choices
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

    def doubts(self, frames: Sequence[PlannedFrame], progress: Progress) -> Mapping[str, Doubt]:
        """The doubt about the ellipse of each frame, by key, if they do not lie on the heads.

        Raises :class:`Stopped` if asked to.
        """
        sure = {f.key: f for f in frames if _has_ellipse(f) and f.certain}
        beside = _neighbours(frames)
        looked_at = list(sure)[:: max(1, -(-len(sure) // _LOOKED_AT))]
        others = {key: _others(sure[key], beside.get(key, {})) for key in looked_at}
        looks = [self._look(sure[key], None, others[key], progress) for key in looked_at]

        def fits(place: str, seen: Sequence[_Seen]) -> bool:
            there = [self._look(sure[s.key], others[s.key][place], {}, progress) for s in seen]
            return _on_skulls([look for look in there if look is not None]) >= _FITS

        judged = _judged([look for look in looks if look is not None], fits)
        if judged is None:
            return {}
        said, likely = judged
        doubt = place_doubt(f"{self._source}: {said}", likely)
        return {
            frame.key: doubt
            for frame in frames
            if _has_ellipse(frame) or _has_ellipse(beside.get(frame.key, {}).get(likely or ""))
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


def _neighbours(frames: Sequence[PlannedFrame]) -> Mapping[str, Mapping[str, PlannedFrame]]:
    """The frames next to each one and before it in its folder or file, by the keys of both and of
    :data:`~fetalstudio.formats.reading.placements.NEIGHBOURS`; none of another size."""
    found: dict[str, dict[str, PlannedFrame]] = defaultdict(dict)
    read = [f for f in frames if f.frame_id is not None and f.synthetic is None]
    for one, other in pairwise(sorted(read, key=lambda frame: natural_order(frame.key))):
        if (one.size, *_sequence_of(one)) == (other.size, *_sequence_of(other)):
            found[one.key][NEXT] = other
            found[other.key][PREVIOUS] = one
    return found


def _sequence_of(frame: PlannedFrame) -> tuple[Path, str | None]:
    return frame.path.parent, frame.record.from_video


def _has_ellipse(frame: PlannedFrame | None) -> bool:
    if frame is None or frame.frame_id is None or frame.synthetic is not None:
        return False
    return frame.ellipse is not None


def _others(frame: PlannedFrame, beside: Mapping[str, PlannedFrame]) -> _Others:
    """Where the ellipse of a frame may belong, and those that may be the right ones."""
    ellipse, size = frame.ellipse, frame.size
    assert ellipse is not None and size is not None
    places = {name: placement.of(ellipse, size) for name, placement in PLACEMENTS.items()}
    places |= {name: other.ellipse for name, other in beside.items()}
    return {name: other for name, other in places.items() if other is not None}


def _seen(frame: PlannedFrame, ellipse: Ellipse, others: _Others) -> _Seen | None:
    drawn = frame.record.drawn
    if drawn is not None and drawn.overlap(ellipse) >= SAME_DICE:
        return None  # an export of ours says so itself
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
                f"ellipse were {_text(place)}.",
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
        f"{_text(place)}."
    )


def _better(seen: Sequence[_Seen]) -> Mapping[str, Sequence[_Seen]]:
    """The places where the ellipses fit the pictures clearly better, the best first, each with the
    frames in which it makes a difference."""
    found: list[tuple[float, str, Sequence[_Seen]]] = []
    for place in (*PLACEMENTS, *NEIGHBOURS):
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
        for place in (*PLACEMENTS, *NEIGHBOURS)
    }
    least = max(_SEVERAL, _SOME * len(seen))
    enough = [place for place, voting in found.items() if len(voting) >= least]
    return {place: found[place] for place in sorted(enough, key=lambda place: -len(found[place]))}


def _text(place: str) -> str:
    return NEIGHBOURS[place] if place in NEIGHBOURS else PLACEMENTS[place].text


# -- what the answers make of the frames -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moved:
    """The ellipse that a frame has where a person says that it belongs."""

    ellipse: Ellipse
    certain: bool
    """Whether it is what the source shows, as :attr:`PlannedFrame.certain` has it."""


def moved_from(
    frames: Sequence[PlannedFrame], doubts: Mapping[str, Doubt], choices: Choices
) -> Mapping[str, Moved]:
    """The ellipses that a person moves, by the key of the frame; none for a frame that has none in
    the place that was chosen."""
    beside = _neighbours(frames)
    found: dict[str, Moved] = {}
    for frame in frames:
        place = _held(frame, doubts, choices)
        if place in NEIGHBOURS:
            other = beside.get(frame.key, {}).get(place)
            if other is not None and other.ellipse is not None:
                found[frame.key] = Moved(other.ellipse, other.certain)
        elif place in PLACEMENTS and frame.ellipse is not None and frame.size is not None:
            ellipse = PLACEMENTS[place].of(frame.ellipse, frame.size)
            if ellipse is not None:
                found[frame.key] = Moved(ellipse, frame.certain)
    return found


def with_outline(record: FrameRecord, ellipse: Ellipse, answers: Answers) -> FrameRecord:
    """The record of a single frame as if its annotation showed this ellipse, in px."""
    return replace(
        record,
        annotation=None,
        mask=None,
        drawn=None,
        ellipse=None,
        outline=lambda _size: ShownEllipse(ellipse),
        outline_file=record.annotation_for(answers) or record.outline_file,
        doubts=tuple(d for d in record.doubts if d.question is not Question.ANNOTATION),
    )


def placed(
    frame: PlannedFrame,
    doubts: Mapping[str, Doubt],
    choices: Choices,
    moved: PlannedFrame | None,
) -> PlannedFrame:
    """The frame with the doubt about its ellipse, and what the answer makes of it; ``moved`` is the
    frame with the ellipse where it belongs."""
    if frame.key not in doubts:
        return frame
    doubt, held = doubts[frame.key], _held(frame, doubts, choices)
    doubted = replace(frame, doubts=(*frame.doubts, doubt))
    if held == PROPOSAL:
        return replace(doubted, certain=False)
    if held == FINAL:
        return doubted
    if held == NONE or moved is None:  # the last picture has no next one
        return replace(doubted, ellipse=None)
    sizes = (d for d in moved.doubts if d.question is Question.CALIBRATION)
    others = (d for d in frame.doubts if d.question is not Question.CALIBRATION)
    return replace(
        frame,
        ellipse=moved.ellipse,
        certain=moved.certain,
        calibration=moved.calibration,
        doubts=(*others, *sizes, doubt),
    )


def _held(frame: PlannedFrame, doubts: Mapping[str, Doubt], choices: Choices) -> str:
    doubt = doubts.get(frame.key)
    return "" if doubt is None else doubt.holds(choices.answers(frame.key, frame.clip)).value
