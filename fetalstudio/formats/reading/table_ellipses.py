"""Whether the ellipses of a table lie on the heads, or would if its numbers meant something else.

A table may hold diameters under the names of semi-axes, and angles that count from another axis or
the other way round. The ellipse of one frame does not show it, but those of several do: a skull is
a bright ring.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fetalstudio.core.bright_outline import fits_better
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.progress import NO_PROGRESS, Progress, followed
from fetalstudio.formats.reading.doubts import NO_ANSWERS, Doubt, axes_doubt
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.outline_pictures import SAME_DICE, is_tiny
from fetalstudio.formats.reading.shown_ellipses import showing_files
from fetalstudio.formats.tables.ellipse_table import cannot_be_a_head
from fetalstudio.formats.tables.frame_columns import Axes, Lengths
from fetalstudio.formats.tables.table_meanings import AS_READ, IN_MM, IN_RADIANS, MEANINGS

_LOOKED_AT = 12
"""Frames of a table."""
_SEVERAL, _MANY = 3, 5
"""Frames that show what a few do not."""
_CLEAR, _CLEAR_OF_FEW = 0.2, 0.3
"""From which on several frames show that another meaning fits better, as :func:`fits_better` counts
it, on average, and fewer of them."""
_SURE, _HARDLY = 0.25, 0.1
"""From which on several show that the ellipses are right; mere speckle may reach 0.2. And below
which many show that they lie on nothing."""
_SMALL_TURNS = ("mirrored", IN_RADIANS)
"""Meanings that change little where heads lie level."""
_CLEAR_OF_SMALL = 0.12
"""From which on many frames, looked at finely, show that such another meaning fits better, or that
it does not."""
_TINY, _TINY_SHARE = 2, 0.25
"""Ellipses far smaller than a head, and the share of them, from which on all of a table are in
doubt."""
_OTHER = 0.99
"""Dice below which two ellipses are different heads."""
_CORRECT = "Or correct the table."
_SAME_HC = 0.01
"""Relative difference between the circumference of an ellipse and the stated one."""


def with_axes_doubts(
    records: Sequence[FrameRecord], progress: Progress = NO_PROGRESS
) -> tuple[FrameRecord, ...]:
    """Doubt the ellipses of each table that do not lie on the heads, and those about which neither
    the header nor the pictures say whether its lengths are semi-axes.

    A few pictures of each table are decoded. Raises :class:`Stopped` if asked to.
    """
    tables: dict[Path, list[FrameRecord]] = defaultdict(list)
    for record in records:
        if record.axes is not None and record.ellipse is not None:
            tables[record.axes.table].append(record)
    looked_at = [
        (path, record)
        for path, of_table in tables.items()
        for record in of_table[:: -(-len(of_table) // _LOOKED_AT)]
    ]
    votes = {path: _Votes() for path in tables}
    for path, record in followed(looked_at, progress, ""):
        votes[path].add(record)
    doubts = {path: _doubt(tables[path][0].axes, found) for path, found in votes.items()}
    return tuple(_doubted(record, doubts) for record in records)


def _doubted(record: FrameRecord, doubts: Mapping[Path, Doubt | None]) -> FrameRecord:
    if record.axes is None or record.ellipse is None:
        return record
    doubt = doubts[record.axes.table]
    return record if doubt is None else replace(record, doubts=(*record.doubts, doubt))


def _doubt(axes: Axes | None, votes: _Votes) -> Doubt | None:
    """The doubt about the ellipses of one table."""
    # Without votes, there is no picture, or no ellipse that could be a head: the import names it.
    if axes is None or not votes.of_all:
        return None
    return _judged(axes, votes.of_all) or _of_tiny(axes, votes) or _of_angles(axes, votes)


def _judged(axes: Axes, votes: Mapping[str, Sequence[float]]) -> Doubt | None:
    """The doubt that comes of the votes of some frames against each other meaning."""
    size = "double" if axes.lengths is Lengths.DIAMETERS else "half"
    means = {name: float(np.mean(found)) for name, found in votes.items() if found}
    several = {name for name in means if len(votes[name]) >= _SEVERAL}
    others = [n for n in means if n == size or (n in several and _may_be(n, size))]
    likely = min(others, key=lambda name: means[name], default=size)
    if means.get(likely, 0.0) <= -(_CLEAR if likely in several else _CLEAR_OF_FEW):
        return axes_doubt(
            f"{axes.table}: in the pictures, the skulls do not lie on the ellipses, but they would "
            f"if {MEANINGS[likely].text}.",
            _cure(axes) if likely == size else _CORRECT,
            list(dict.fromkeys((likely, size))),
        )
    fits = means.get("half", 0.0)
    if axes.lengths is Lengths.UNSAID:
        if fits >= (_SURE if "half" in several else _CLEAR_OF_FEW):
            return None
        one, other = map(repr, axes.headers)
        return axes_doubt(
            f"{axes.table} does not say whether {one} and {other} are semi-axes or diameters, and "
            "the pictures do not show it either.",
            _cure(axes),
            [size],
        )
    if fits >= _HARDLY or len(votes["half"]) < _MANY:
        return None
    return axes_doubt(
        f"{axes.table}: in the pictures, no skulls can be seen on the ellipses. They may have been "
        "drawn on pictures of another size, or on others than these.",
        _cure(axes),
        [size],
    )


def _of_tiny(axes: Axes, votes: _Votes) -> Doubt | None:
    """The doubt about lengths of which so many are too small that all may be in another unit."""
    if votes.tiny < max(_TINY, _TINY_SHARE * votes.frames):
        return None
    return axes_doubt(
        f"{axes.table}: {votes.tiny} of {votes.frames} ellipses are far smaller than a head. The "
        "numbers may be in mm, or those of smaller pictures.",
        _CORRECT,
        [IN_MM],
    )


def _of_angles(axes: Axes, votes: _Votes) -> Doubt | None:
    """The doubt about the angles where other ones change little, or may be meant as well."""
    for name, found in votes.of_small_turns.items():
        clear = _CLEAR_OF_SMALL if len(found) >= _MANY else _CLEAR
        if len(found) >= _SEVERAL and float(np.mean(found)) <= -clear:
            return axes_doubt(
                f"{axes.table}: in the pictures, the skulls lie nearer to the ellipses if "
                f"{MEANINGS[name].text}.",
                _CORRECT,
                [name],
            )
    for found, sure in (
        (votes.of_all[IN_RADIANS], _SURE),
        (votes.of_small_turns[IN_RADIANS], _CLEAR_OF_SMALL),
    ):
        if found and float(np.mean(found)) >= sure:
            return None
    if not axes.small_angles or votes.other_in_radians < _SEVERAL:
        return None
    return axes_doubt(
        f"{axes.table}: the angles are so small that they may be in radians, whatever the header "
        "says, and the pictures do not show it.",
        "Or call the column angle_rad.",
        [IN_RADIANS],
    )


def _may_be(name: str, size: str) -> bool:
    return MEANINGS[name].scale in (1.0, MEANINGS[size].scale)


def _cure(axes: Axes) -> str:
    """What may be changed in the table instead."""
    if axes.lengths is not Lengths.UNSAID:
        return _CORRECT
    return (
        "Or call the columns semi_axis_a and semi_axis_b, or diameter_a and diameter_b, as they "
        "are meant."
    )


class _Votes:
    """How much better the ellipses of a table fit its frames than with each other meaning, as
    :func:`fits_better` has it."""

    def __init__(self) -> None:
        self.of_all: dict[str, list[float]] = defaultdict(list)
        """By meaning; empty where no ellipse can be used."""
        self.of_small_turns: dict[str, list[float]] = defaultdict(list)
        """Of other angles, where these change little."""
        self.other_in_radians = 0
        """Frames whose head is another one if its angle is in radians."""
        self.frames = self.tiny = 0
        """All frames that were looked at, and those whose ellipse is far smaller than a head."""

    def add(self, record: FrameRecord) -> None:
        """Count the votes of a frame. Its picture is decoded."""
        ellipse, axes = record.ellipse, record.axes
        assert ellipse is not None and axes is not None
        try:
            pixels = record.pixels()
        except InputError:  # the import names it
            return
        size = pixels.shape[1], pixels.shape[0]
        if record.ellipse_size not in (None, size) or cannot_be_a_head(ellipse, size):
            return
        self.frames += 1
        self.tiny += is_tiny(ellipse, size)
        not_meant: tuple[str, ...] = (AS_READ,) if axes.small_angles else (AS_READ, IN_RADIANS)
        if record.calibration is None:
            not_meant = (*not_meant, IN_MM)
        others = {
            name: meant.of(ellipse, record.calibration)
            for name, meant in MEANINGS.items()
            if name not in not_meant
        }
        turns = {name: others[name] for name in _SMALL_TURNS if name in others}
        outlines = list(_other_outlines(record, size))
        own = _agrees(record, outlines, ellipse)
        stated = {n: int(own) - int(_agrees(record, outlines, e)) for n, e in others.items()}
        for votes, compared, finely in (
            (self.of_all, others, False),
            (self.of_small_turns, turns, True),
        ):
            seen = fits_better(pixels, ellipse, list(compared.values()), finely=finely)
            for name, vote in zip(compared, seen, strict=True):
                known = float(stated[name]) if stated[name] else vote
                votes[name] += [] if known is None else [known]
        if axes.small_angles and ellipse.overlap(others[IN_RADIANS]) < _OTHER:
            self.other_in_radians += 1


def _agrees(record: FrameRecord, outlines: Sequence[Ellipse], ellipse: Ellipse) -> bool:
    """Whether an ellipse is what else the source says of the head."""
    if record.hc_mm is not None and record.calibration is not None:
        around = record.calibration.to_mm(ellipse).perimeter
        if abs(around - record.hc_mm) <= _SAME_HC * record.hc_mm:
            return True
    return any(ellipse.overlap(outline) >= SAME_DICE for outline in outlines)


def _other_outlines(record: FrameRecord, size: Size) -> Iterator[Ellipse]:
    """What other files than the table show."""
    if record.drawn is not None:
        yield record.drawn
    for _, show in showing_files(replace(record, ellipse=None), NO_ANSWERS):
        with contextlib.suppress(InputError):  # the import names it
            if (shown := show(size)) is not None:
                yield shown.ellipse
