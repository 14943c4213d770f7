"""Synthetic pictures of a source: how each was made, and which ellipse it shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.fit import distances
from fetalstudio.core.geometry import Size
from fetalstudio.formats.pictures.picture_files import is_synthetic
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote, read_note
from fetalstudio.formats.reading.doubts import NO_ANSWERS
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.shown_ellipses import ellipse_of, showing_files

_SAME_PX, _SAME_SHARE = 1.5, 0.02
"""Two outlines of a pair are the same up to this distance in px, or of the semi-axis a."""


def synthetic_note(
    record: FrameRecord, size: Size, said: str | None
) -> tuple[SyntheticNote, tuple[str, ...]]:
    """How a synthetic picture of this size (width, height) was made, and a message for each thing
    that looks wrong with it. ``said`` is what its file says that it is.

    Raises :class:`InputError` where its ellipse is not known.
    """
    known, problems = _stated(record, said), record.problems
    shown, _, notes, errors = ellipse_of(record, size, NO_ANSWERS)
    problems += notes
    if shown is None:
        problems += tuple(f"{error} Its picture is synthetic." for error in errors)
    if known is None and shown is None:
        raise InputError(
            " ".join(problems)
            + f"{' ' if problems else ''}{record.place} is synthetic, as a note in the file "
            "says, but neither the file nor an annotation shows its ellipse. It was left out: "
            "it must not count as a real frame. Export the pairs of the project that it came "
            "from."
        )
    if known is None and shown is not None:
        known = SyntheticNote(shown.ellipse, shown.ellipse, False, None, {}, {})
    assert known is not None
    if not (known.ellipse.reaches(size) and known.requested.reaches(size)):
        raise InputError(
            f"{record.place} is synthetic, but the ellipse that is stated for it lies outside. "
            "It was left out. Export it again from the project that it came from."
        )
    if shown is not None and not _same_outline(shown.ellipse, known.ellipse):
        file = next(path for path, _ in showing_files(record, NO_ANSWERS))
        where = "a table" if record.ellipse is not None else file
        problems += (
            f"{record.place} states another ellipse than {where}, which was taken. Check it in "
            "Review.",
        )
        known = replace(known, ellipse=shown.ellipse, corrected=True)
    calibration = known.calibration or record.calibration
    provenance = {**known.provenance, "imported": True}
    known = replace(known, calibration=calibration, provenance=provenance)
    return known, problems


def _stated(record: FrameRecord, said: str | None) -> SyntheticNote | None:
    """What the file says about its synthetic picture, or else a table beside it."""
    if said is None or not is_synthetic(said):
        return record.synthetic
    try:
        own = read_note(said)
    except ValueError as error:
        raise InputError(
            f"{record.place} is synthetic, and the note in the file cannot be used: {error}. It "
            "was left out. Export it again from the project that it came from."
        ) from error
    beside = record.synthetic
    if own is None or beside is None:
        return own or beside
    marks: dict[str, Any] = {}  # a mark in either of them counts
    if beside.copy and not own.copy:
        marks["copy"] = True
    if beside.contains_real_pixels and not own.contains_real_pixels:
        marks["background"] = "frame"
    return replace(own, provenance={**own.provenance, **marks}) if marks else own


def _same_outline(one: Ellipse, other: Ellipse) -> bool:
    params = (other.cx, other.cy, other.a, other.b, other.angle_deg)
    apart = float(np.abs(distances(params, one.contour(60))).max())
    return apart <= max(_SAME_PX, _SAME_SHARE * other.a)
