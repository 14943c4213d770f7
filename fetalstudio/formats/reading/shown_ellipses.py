"""Which ellipse the files of a frame show: a table, an annotation file or an annotation picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.words import percent
from fetalstudio.formats.pictures.marked_regions import SeveralStructuresError, structures_in
from fetalstudio.formats.pictures.picture_files import (
    orientation_in,
    pages_in,
    read_image,
    read_samples,
    turned,
)
from fetalstudio.formats.reading.doubts import NONE, Answers, Doubt, Question, head_doubt
from fetalstudio.formats.reading.frame_records import Coding, FrameRecord
from fetalstudio.formats.reading.outline_pictures import (
    SAME_DICE,
    ShownEllipse,
    ellipse_in,
    is_tiny,
    ring,
)
from fetalstudio.formats.tables.ellipse_table import cannot_be_a_head
from fetalstudio.formats.tables.table_meanings import AS_READ, MEANINGS

_BACK = {6: 8, 8: 6}
"""Orientations of EXIF that another one takes back; each of the rest takes itself back."""
_LOOKED_AT, _GRAIN_PX = 720, 2.0
"""Points of an outline, and px by which the grain under them is smoothed."""

_LEAST_INSIDE = 0.6
"""The share of a table's ellipse that lies in the frame; of a head that is cut off, more does."""


class SeveralStructuresInFileError(InputError):
    """An annotation picture shows several structures, and which is the head was not stated."""

    def __init__(self, path: Path, values: tuple[str, ...]) -> None:
        super().__init__(_several(path, values))
        self.values = values


def ellipse_of(
    record: FrameRecord, size: Size, answers: Answers
) -> tuple[ShownEllipse | None, Path, tuple[str, ...], Sequence[InputError]]:
    """The ellipse and the file that shows it, a message for each thing that is wrong with it,
    and where there is none, the reasons.

    The table's counts first, which is exact, then that of the annotation file, then that of
    the picture; but one without a doubt counts before all others.
    """
    found: list[tuple[Path, ShownEllipse]] = []
    errors: list[InputError] = []
    for path, show in showing_files(record, answers):
        try:
            if (seen := show(size)) is not None:
                found.append((path, seen))
        except InputError as error:
            if not found:
                errors.append(error)
    if not found:
        return None, record.path, (), errors
    certain = [item for item in found if not item[1].doubt]
    path, shown = (certain or found)[0]
    notes = tuple(f"{error} Another outline of it was taken." for error in errors)
    if shown.note:
        notes += (shown.note,)
    for other, also in certain[1:]:
        if shown.ellipse.overlap(also.ellipse) < SAME_DICE:
            one = "it" if record.ellipse is None else "the table"
            doubt = f"{one} and {other} show different ellipses; the more exact one was taken"
            return replace(shown, doubt=doubt), path, notes, ()
    return shown, path, notes, ()


def showing_files(
    record: FrameRecord, answers: Answers
) -> Iterator[tuple[Path, Callable[[Size], ShownEllipse | None]]]:
    """The files that show the ellipse, and how each is read, the most exact first."""
    if record.ellipse is not None:
        yield record.path, lambda size: _of_table(record, size, answers)
    if record.outline is not None:
        yield record.outline_file or record.path, record.outline
    path, head = record.annotation_for(answers), answers.get(Question.HEAD)
    if path is not None:
        value = None if head == NONE else head
        yield path, lambda size: _annotated(record, path, size, value)


def settled_doubts(record: FrameRecord, answers: Answers) -> tuple[Doubt, ...]:
    """The doubt that there would be had nobody stated which value is the head."""
    annotation = record.annotation_for(answers)
    if annotation is None or record.ellipse is not None or record.outline is not None:
        return ()
    found = read_samples(annotation) if record.mask is None else record.mask()
    values = () if found is None else tuple(name for name, _ in structures_in(found[0]))
    if len(values) < 2 or (record.coding is not None and record.coding.knows(values)):
        return ()
    return (head_doubt(_several(annotation, values), values),)


def _of_table(record: FrameRecord, size: Size, answers: Answers) -> ShownEllipse:
    ellipse = record.ellipse
    assert ellipse is not None
    for doubt in record.doubts:
        if doubt.question is Question.AXES:
            meaning = MEANINGS.get(doubt.holds(answers).value, MEANINGS[AS_READ])
            try:
                ellipse = meaning.of(ellipse, record.calibration)
            except ValueError as error:
                raise InputError(
                    f"{record.place}: {error}. Add a table with the pixel size."
                ) from error
    if record.ellipse_size not in (None, size):
        raise InputError(
            f"{record.place} is {size[0]}x{size[1]} px, which is not the width and height that "
            "the table of ellipses has. Correct the table."
        )
    if not ellipse.reaches(size):
        raise InputError(f"{record.place}: its ellipse lies outside. Correct the table.")
    if cause := cannot_be_a_head(ellipse, size):
        raise InputError(f"{record.place}: in the table, {cause}. Correct the table.")
    return ShownEllipse(ellipse, doubt=_of_wrong_size(ellipse, size), of_table=True)


def _of_wrong_size(ellipse: Ellipse, size: Size) -> str | None:
    """What speaks against an ellipse of a table: its numbers may be diameters, mm or torn apart."""
    if is_tiny(ellipse, size):
        return "the ellipse in the table is far smaller than a head; it may be in mm"
    if 2 * ellipse.a > max(size):
        return "the ellipse in the table is longer than the frame; its axes may be diameters"
    left, top, right, bottom = ellipse.box()
    if left >= 0 and top >= 0 and right < size[0] and bottom < size[1]:
        return None
    inside = float(np.count_nonzero(ellipse.mask(size))) / ellipse.area
    if inside < _LEAST_INSIDE:
        return f"only {percent(inside)} of the ellipse in the table lies in the frame"
    return None


def _annotated(
    record: FrameRecord, path: Path, size: Size, value: str | None
) -> ShownEllipse | None:
    """The ellipse that the annotation shows, None where nothing is marked in it."""
    found = read_samples(path) if record.mask is None else record.mask()
    if found is None:
        return None
    samples, alpha = found
    if samples.shape[1::-1] != size:
        raise InputError(
            f"{path} is {samples.shape[1]}x{samples.shape[0]} px but its frame "
            f"{size[0]}x{size[1]}. Export it at the frame's size."
        )
    if record.mask is None and pages_in(path) > 1:
        raise InputError(f"{path} holds {pages_in(path)} pages. Export the mask as one picture.")
    coding = record.coding
    if coding is not None and coding.head is None and value is None:
        raise InputError(
            f"{path} does not mark the head, as the data set says of it. If it does, state its "
            "value with the option --mask-value of the command import."
        )
    try:
        shown = _head_in(samples, alpha, value, coding)
    except SeveralStructuresError as error:
        raise SeveralStructuresInFileError(path, error.values) from error
    except ValueError as error:
        raise InputError(
            f"{path}: {error}. Export it again, the head in white on black, or remove it."
        ) from error
    if record.drawn is not None and _is_drawing(samples, record.drawn, size):
        return ShownEllipse(record.drawn, value=shown.value)
    if shown.doubt is None and path == record.annotation and record.annotation_doubt:
        return replace(shown, doubt=record.annotation_doubt)
    if shown.doubt is None and _fits_unturned(record, path, shown.ellipse, size):
        return replace(
            shown,
            doubt=f"{record.place} is turned by its orientation tag, and the mask seems to have "
            "been drawn on it before that",
        )
    return shown


def _is_drawing(samples: NDArray[Any], ellipse: Ellipse, size: Size) -> bool:
    """Whether an annotation picture is the mask or the ring that an export draws of the ellipse."""
    marked = samples == samples.max()
    return any(np.array_equal(marked, draw(ellipse, size) > 0) for draw in (Ellipse.mask, ring))


def _fits_unturned(record: FrameRecord, path: Path, ellipse: Ellipse, size: Size) -> bool:
    """Whether the mask fits the frame better as that is stored than as a viewer shows it: there,
    the outline lies on brighter pixels, as a skull does. Of 154 frames that were turned by 180
    degrees or mirrored, this is wrong for 3 % of the masks that were drawn before, and as many of
    the others, where the turn moves the ellipse; for 6 % where it hardly does so, too."""
    if record.decode is not None or record.mask is not None or orientation_in(path) != 1:
        return False
    turn = orientation_in(record.path)
    if turn == 1 or (turn > 4 and size[0] != size[1]):
        return False
    shown = read_image(record.path)
    stored = turned(shown, _BACK.get(turn, turn))
    points = ellipse.contour(_LOOKED_AT).round().astype(int)
    x, y = points[((points >= 0) & (points < np.array(size))).all(axis=1)].T
    bright = [
        float(cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), _GRAIN_PX)[y, x].mean())
        for pixels in (shown, stored)
    ]
    return bright[0] < bright[1]


def _head_in(
    samples: NDArray[Any], alpha: NDArray[Any] | None, value: str | None, coding: Coding | None
) -> ShownEllipse:
    """Raises as :func:`~fetalstudio.formats.reading.outline_pictures.ellipse_in`."""
    try:
        shown = ellipse_in(samples, alpha, value)
        values: tuple[str | None, ...] = (shown.value,)
    except SeveralStructuresError as error:
        values = error.values
        if coding is None or not coding.knows(values):
            raise
    if value is None and coding and coding.knows(values):
        shown = ellipse_in(samples, alpha, coding.head)
    return shown


def _several(path: Path, values: Sequence[str]) -> str:
    return f"{path} shows several structures, with the values {', '.join(values)}."
