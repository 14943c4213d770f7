"""Single ellipses of a plan that do not lie on the skulls, among others that do.

A script that loses count for a few pictures, or a mask that was saved under a wrong name, gives a
frame a good ellipse of another one. Such a frame has no skull on its ellipse, as a few right ones
have whose skulls are faint; but in these the ellipse of another frame fits no better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fetalstudio.core.bright_outline import fits_better, lies_on_skull, reduced
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Progress, followed
from fetalstudio.formats.reading.doubts import Doubt, odd_doubt
from fetalstudio.formats.reading.placements import PLACEMENTS, place_text
from fetalstudio.project.importing.plan import PlannedFrame

_FEWEST = 3
"""Ellipses that lie on skulls, among which others are odd."""
_ODD, _SEEN = 0.3, 0.5
"""Below which :attr:`PlannedFrame.on_skull` makes an ellipse odd, and from which on it lies on a
skull."""
_CLEAR, _FITS = 0.4, 0.55
"""From which on another ellipse fits better, as :func:`fits_better` counts it, and from which on it
then lies on a skull, as :func:`lies_on_skull` does."""
_COMPARED, _LOOKED_AT = 24, 4
"""Ellipses of other frames that an odd one is compared with, and of those that fit better how many
are looked at more closely, the best ones."""
_SAME = 0.01
"""px up to which two ellipses are equal."""


def odd_ellipses(
    sure: Sequence[PlannedFrame],
    beside: Mapping[str, Mapping[str, PlannedFrame]],
    progress: Progress,
) -> dict[str, Doubt]:
    """The doubt about each ellipse that does not lie on the skull of its frame, by key.

    ``sure`` are the frames with an ellipse that is no proposal, and ``beside`` has the pictures
    next to each and before it, by the keys of both and of
    :data:`~fetalstudio.formats.reading.placements.ADJACENT`. Only the pictures of odd frames are
    decoded. Raises :class:`Stopped` if asked to.
    """
    odd = {f.key: f for f in sure if f.on_skull is not None and f.on_skull < _ODD}
    seen = [frame for frame in sure if (frame.on_skull or 0.0) >= _SEEN]
    if len(seen) < _FEWEST:
        return {}
    found: dict[str, Doubt] = {}
    for frame in followed(list(odd.values()), progress, ""):
        near = beside.get(frame.key, {})
        said = _said(frame, {place: odd.get(other.key) for place, other in near.items()}, seen)
        if said is not None:
            message, place = said
            found[frame.key] = odd_doubt(f"{frame.path}: {message}", frame.key, place)
    if odd:
        progress.advance(len(odd), len(odd))
    return found


def _said(
    frame: PlannedFrame, odd_beside: Mapping[str, PlannedFrame | None], seen: Sequence[PlannedFrame]
) -> tuple[str, str | None] | None:
    """What is wrong with an odd ellipse, and where it belongs, if that is known; None where its
    skull may be faint."""
    ellipse, size = frame.ellipse, frame.size
    assert ellipse is not None and size is not None
    nowhere = "in the picture, no skull lies on the ellipse."
    others = [f for f in seen if f.size == size and f.frame_id != frame.frame_id]
    spread = others[:: max(1, len(others) // _COMPARED)]
    candidates = [(place, f.ellipse) for place, f in odd_beside.items() if f and f.size == size]
    candidates += [("", placement.of(ellipse, size)) for placement in PLACEMENTS.values()]
    candidates += [("", other.ellipse) for other in spread]
    place = _better(frame, ellipse, [(place, other) for place, other in candidates if other])
    if place:
        return f"{nowhere} One would if it were {place_text(place)}.", place
    for other in others:
        if other.subject != frame.subject and _equal(other.ellipse, ellipse):
            return f"{nowhere} {other.path} has the same ellipse, where one does.", None
    if place is None:
        return None
    return f"{nowhere} One can be seen elsewhere in it, so it may be that of another.", None


def _better(
    frame: PlannedFrame, ellipse: Ellipse, others: Sequence[tuple[str, Ellipse]]
) -> str | None:
    """The place of the other ellipse that lies on a skull, one with a name first; None if none
    does."""
    try:
        pixels, scaled = reduced(frame.record.pixels())
    except InputError:  # it has changed since it was read, which the import names
        return None
    there = [other.transformed(scaled) for _, other in others]
    votes = fits_better(pixels, ellipse.transformed(scaled), there)
    clear = [
        (not place, vote, place, other)
        for (place, _), vote, other in zip(others, votes, there, strict=True)
        if vote is not None and vote <= -_CLEAR
    ]
    for _, _, place, other in sorted(clear, key=lambda item: item[:2])[:_LOOKED_AT]:
        if (lies_on_skull(pixels, other) or 0.0) >= _FITS:
            return place
    return None


def _equal(one: Ellipse | None, other: Ellipse) -> bool:
    if one is None:
        return False
    pairs = ((one.cx, other.cx), (one.cy, other.cy), (one.a, other.a), (one.b, other.b))
    return all(abs(a - b) <= _SAME for a, b in pairs)
