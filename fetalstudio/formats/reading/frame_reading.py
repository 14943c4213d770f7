"""A frame of a source, read: its pixels as they would be stored, its ellipse, and every doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration, Source
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.pictures.marked_regions import is_annotation
from fetalstudio.formats.pictures.picture_files import (
    ANNOTATION_NOTE,
    FIGURE_NOTE,
    FRAME_NOTE,
    is_synthetic,
    pages_in,
    read_image,
)
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.formats.privacy.redaction import NOTHING, Redaction, Redactor
from fetalstudio.formats.reading.doubts import (
    FINAL,
    FRAME,
    FROM_HC,
    KEEP,
    NO_ANSWERS,
    NONE,
    PROPOSAL,
    Answers,
    Doubt,
    InDoubtError,
    Question,
    calibration_doubt,
    head_doubt,
    role_doubt,
    shape_doubt,
    size_doubt,
    stated_doubt,
    stated_mm,
)
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.reading.placements import Placement
from fetalstudio.formats.reading.repeated_pictures import may_be_reencoded, shows_again
from fetalstudio.formats.reading.shown_ellipses import (
    SeveralStructuresInFileError,
    ellipse_of,
    settled_doubts,
)
from fetalstudio.formats.reading.synthetic_frames import synthetic_note

DEFAULT_REDACTOR = Redactor()

_HC_TOLERANCE = 0.01
"""Relative difference between annotation and table beyond which the import warns."""
_LEAST_HC, _MOST_HC = 20, 500
"""mm around a head, from its first weeks to one that is far too large."""
_LEAST_SIDE, _WHOLE_SIDE, _MOST_SIDE = 15, 60, 750
"""mm of a frame's longer side: of none, of one that shows a whole field, and of a large screen."""
STATED_BY: Mapping[Source, str] = {"table": "table", "dicom": "file", "header": "file"}
"""What states the pixel sizes that may be in another unit than it says."""
_FINE = 0.045
"""mm: scanners for fetal heads have no finer pixels; the finest of HC18 are 0.052 mm."""


@dataclass(frozen=True, slots=True)
class FrameContent:
    """What the files of a :class:`FrameRecord` hold."""

    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse | None
    problems: tuple[str, ...]
    """A message for each thing that was left out or looks wrong, naming the file and the cure."""
    doubts: tuple[Doubt, ...] = ()
    """What is, or without the answers would be, in doubt."""
    calibration: Calibration | None = None
    certain: bool = True
    """Whether the ellipse is what the source shows; else it is a proposal."""
    mask_values: tuple[str, ...] = ()
    """The values of the structures in the annotation picture, where they were not told apart."""
    redacted: bool = False
    """Whether something was blacked out that nobody confirmed: text, or what a scanner shows around
    the sector."""
    layout: str | None = None
    """The fingerprint of its layout, where it is a scanner's screen, or shows text."""
    text_kept: bool = False
    """Whether text was found in it that nobody has decided on, and is kept."""
    synthetic: SyntheticNote | None = None
    """How the picture was made, where it is synthetic. The ellipse is then this one's."""
    ellipse_problems: tuple[str, ...] = ()
    """Those of the problems that :attr:`FoundEllipse.problems` has."""

    @property
    def size(self) -> Size:
        """(width, height) in px."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True, slots=True)
class FoundEllipse:
    """What the files of a :class:`FrameRecord` say of the ellipse in a picture and its pixel size.

    The fields are as those of :class:`FrameContent`.
    """

    ellipse: Ellipse | None
    problems: tuple[str, ...]
    """A message for each thing that is wrong with the ellipse."""
    doubts: tuple[Doubt, ...]
    calibration: Calibration | None
    certain: bool = True
    mask_values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CleanPicture:
    """The picture of a frame as it may be stored."""

    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    redacted: bool = False
    """As :attr:`FrameContent.redacted`."""
    layout: str | None = None
    """As :attr:`FrameContent.layout`."""
    text_kept: bool = False
    """As :attr:`FrameContent.text_kept`."""


def read_content(
    record: FrameRecord,
    answers: Answers = NO_ANSWERS,
    redactor: Redactor = DEFAULT_REDACTOR,
    clean: CleanPicture | None = None,
) -> FrameContent:
    """Decode and redact the picture, and find the ellipse, where in doubt as the ``answers``
    say. A picture that says that it is synthetic, or of which a table says so, is a pair. What
    FetalStudio wrote itself is not redacted.

    Raises :class:`InputError`, naming the file and the cure, for a picture that cannot be used;
    :class:`~fetalstudio.formats.reading.doubts.InDoubtError` where that is in doubt, and
    :class:`UnclearScreenError` for one that may show what must not be stored. An ellipse that
    cannot be used is a problem of the content.

    ``clean`` is what an earlier call made of the same file with the same ``redactor``; the picture
    is then not decoded again. It must be no pair, and no picture that is a frame only because a
    person said so.
    """
    for doubt in record.doubts:
        if doubt.question is Question.ROLE and doubt.holds(answers).value != FRAME:
            raise InDoubtError(doubt)
    if clean is None or record.synthetic is not None:
        before, said = record.pixels(), record.said()
        _check_frame(record, before, said, answers)
        if is_synthetic(said) or record.synthetic is not None:
            known, problems = synthetic_note(record, (before.shape[1], before.shape[0]), said)
            return FrameContent(before, known.ellipse, problems, synthetic=known)
        redaction = _redaction(record, before, said, redactor)
        pixels = redaction.apply(before)
        redacted = pixels is not before and not redaction.confirmed
        clean = CleanPicture(pixels, redacted, redaction.layout, redaction.text_kept)
    size = (clean.pixels.shape[1], clean.pixels.shape[0])
    pages = pages_in(record.path) if record.decode is None else 1
    problems = record.problems
    if pages > 1:
        problems += (
            f"{record.place} holds {pages} pages, of which the first alone was imported. Export "
            "each page as a file of its own to import them all.",
        )
    found = read_ellipse(record, size, answers)
    return FrameContent(
        clean.pixels,
        found.ellipse,
        problems + found.problems,
        found.doubts,
        found.calibration,
        found.certain,
        found.mask_values,
        redacted=clean.redacted,
        layout=clean.layout,
        text_kept=clean.text_kept,
        ellipse_problems=found.problems,
    )


def read_ellipse(
    record: FrameRecord,
    size: Size,
    answers: Answers = NO_ANSWERS,
    placement: Placement | None = None,
) -> FoundEllipse:
    """Find the ellipse in a picture of this size (width, height), in px, without the picture, and
    compare it with the pixel size. With a ``placement``, it belongs where that says.

    Raises :class:`InputError`, naming the file and the cure, for a pixel size that cannot be used.
    """
    doubts, mm = record.doubts, stated_mm(answers)
    shown, path, problems, errors = ellipse_of(record, size, answers)
    for error in errors if shown is None else ():
        if isinstance(error, SeveralStructuresInFileError):
            doubts += (head_doubt(str(error), error.values),)
        else:
            problems += (f"{error} Its frame was imported without an ellipse.",)
    if shown is not None and Question.HEAD in answers:
        doubts += settled_doubts(record, answers)
    if shown is not None and placement is not None:
        there = placement.of(shown.ellipse, size)
        shown = None if there is None else replace(shown, ellipse=there)
        if there is None:
            problems += (
                f"{record.place} is {size[0]}x{size[1]} px and no square, so that its ellipse "
                f"cannot be {placement.text}. It was imported without an ellipse. Draw it in "
                "Annotate, or give another answer.",
            )
    calibration = record.calibration if mm is None else _by_hand(record, mm)
    if record.stated and mm is None:
        head = None if shown is None else shown.ellipse
        calibration, unclear = _of_stated(record, head, answers)
        doubts += () if unclear is None else (unclear,)
    found = FoundEllipse(None, problems, doubts, calibration)
    if shown is not None:
        found = _judged(record, found, shown, path, answers)
    return found if mm is not None else _with_usual_size(record, found, size, answers)


def read_shown(record: FrameRecord, redactor: Redactor = DEFAULT_REDACTOR) -> NDArray[np.uint8]:
    """The picture as an import would store it, (H, W) grey, frame or not.

    Raises :class:`InputError`, naming the file and the cure, for a picture that cannot be
    decoded, and :class:`UnclearScreenError` for one that may show what must not be stored.
    """
    pixels = record.pixels()
    return _redaction(record, pixels, record.said(), redactor).apply(pixels)


def _of_stated(
    record: FrameRecord, head: Ellipse | None, answers: Answers
) -> tuple[Calibration | None, Doubt | None]:
    """The pixel size at the head, and the doubt about it where no part alone holds it."""
    if head is not None:
        holding = [s for s in record.stated if s.area is not None and s.area.contains(head)]
        if len(holding) == 1 and all(s.area is not None for s in record.stated):
            return holding[0].calibration, None
    texts, of_parts = tuple(s.text for s in record.stated), any(s.area for s in record.stated)
    doubt = stated_doubt(record.path, texts, of_parts=of_parts)
    chosen = doubt.answers.index(doubt.holds(answers))
    return (record.stated[chosen - 1].calibration if chosen else None), doubt


def _redaction(
    record: FrameRecord, pixels: NDArray[np.uint8], said: str | None, redactor: Redactor
) -> Redaction:
    """What FetalStudio wrote itself is not redacted."""
    if said == FRAME_NOTE or is_synthetic(said) or record.synthetic is not None:
        return NOTHING
    return redactor.redaction(pixels, record.screen, record.path)


def _judged(
    record: FrameRecord, found: FoundEllipse, shown: ShownEllipse, path: Path, answers: Answers
) -> FoundEllipse:
    """What was found with the ellipse that the file at ``path`` shows, and the doubts about it."""
    doubts, certain, calibration = found.doubts, True, found.calibration
    if shown.of_table:
        for doubt in record.doubts:
            if doubt.question is Question.AXES:
                held = doubt.holds(answers).value
                if held == NONE:
                    return found
                certain = held != PROPOSAL
    if shown.doubt:
        doubt = shape_doubt(f"{path}: {shown.doubt}.")
        doubts, held = (*doubts, doubt), doubt.holds(answers).value
        if held == NONE:
            return replace(found, doubts=doubts)
        certain = certain and held == FINAL
    disagreement = _disagreement(record, shown.ellipse)
    if disagreement is not None:
        doubts += (disagreement[0],)
        held = disagreement[0].holds(answers).value
        if held == FROM_HC:
            calibration = disagreement[1]
        elif held == NONE:
            calibration = None
    return replace(
        found,
        ellipse=shown.ellipse,
        doubts=doubts,
        calibration=calibration,
        certain=certain,
        mask_values=() if shown.value is None else (shown.value,),
    )


def _with_usual_size(
    record: FrameRecord, found: FoundEllipse, size: Size, answers: Answers
) -> FoundEllipse:
    """What was found without a pixel size of a table or a header with which nothing has its usual
    size: it may be in another unit. An ellipse of a table may be what is wrong; it becomes a
    proposal."""
    calibration = found.calibration
    whose = None if calibration is None else STATED_BY.get(calibration.source)
    if calibration is None or whose is None:
        return found
    unusual = _unusual(calibration, size, found.ellipse)
    if unusual is None:
        return found
    doubt = size_doubt(
        f"{record.place}: with the {whose}'s pixel size of {calibration.mm_per_px:.4g} mm, "
        f"{unusual}.",
        whose,
    )
    others = tuple(d for d in found.doubts if d.question is not Question.CALIBRATION)
    found = replace(found, doubts=(*others, doubt))
    if doubt.holds(answers).value == KEEP:
        return found
    certain = found.certain and record.ellipse is None
    return replace(found, calibration=None, certain=certain)


def _unusual(calibration: Calibration, size: Size, head: Ellipse | None) -> str | None:
    """What speaks against a pixel size. A small crop of a frame is usual, a fine one is not."""
    side = max(size[0] * calibration.mm_per_px_x, size[1] * calibration.mm_per_px_y)
    around = None if head is None else calibration.to_mm(head).perimeter
    fine = side < _LEAST_SIDE and calibration.mm_per_px < _FINE
    if fine or side > _MOST_SIDE:
        return f"the frame would be {side:.0f} mm long"
    if around is not None and (around > _MOST_HC or (around < _LEAST_HC and side > _WHOLE_SIDE)):
        return f"the head would measure {around:.0f} mm around"
    return None


def _check_frame(
    record: FrameRecord, pixels: NDArray[np.uint8], note: str | None, answers: Answers
) -> None:
    """Raise :class:`InputError` for a picture that is no frame."""
    if note == ANNOTATION_NOTE:
        raise InputError(
            f"{record.place} is an annotation, as a note in the file says, and was left out. "
            "Name it after its frame (NAME_mask.png) to use it."
        )
    if note == FIGURE_NOTE:
        raise InputError(
            f"{record.place} is a figure that FetalStudio made, as a note in the file says, and "
            "was left out. Import the frames themselves."
        )
    if note == FRAME_NOTE and record.synthetic is not None:
        raise InputError(
            f"{record.place} is a real frame, as a note in the file says, but a table beside it "
            "says that it is synthetic. It was left out. Correct the table."
        )
    if answers.get(Question.ROLE) == FRAME:
        return
    for other in record.may_show if note is None else ():
        if _shows(other, record.path, pixels):
            raise InDoubtError(
                role_doubt(
                    f"{record.place} shows {other} again, perhaps with something drawn on it.",
                    "If it is a frame of its own, import it by itself.",
                )
            )
    if is_annotation(pixels, named_after=note is None and bool(record.may_show)):
        where, cure = record.place, "Name it after its frame (NAME_mask.png) to use it as one."
        if record.number is not None:
            where = f"{record.place}, frame {record.number},"
            cure = "To use it as one, save it as a file of its own that is named after its frame."
        raise InDoubtError(
            role_doubt(
                f"{where} looks like an annotation and not like an ultrasound (few grey levels in "
                "flat regions).",
                cure,
            )
        )


def _shows(other: Path, path: Path, pixels: NDArray[np.uint8]) -> bool:
    try:
        reencoded = may_be_reencoded(path, other)
        return shows_again(pixels, read_image(other), reencoded=reencoded)
    except InputError:  # of the other picture, which is read by itself
        return False


def _by_hand(record: FrameRecord, mm: float) -> Calibration:
    try:
        return Calibration(mm, mm, "manual")
    except ValueError as error:
        raise InputError(f"{record.path}: {error}. State another pixel size.") from error


def _disagreement(record: FrameRecord, ellipse: Ellipse) -> tuple[Doubt, Calibration | None] | None:
    """The doubt about a pixel size that the stated HC contradicts, and the one that this HC
    gives."""
    if record.calibration is None or record.hc_mm is None:
        return None
    measured = record.calibration.to_mm(ellipse).perimeter
    if abs(measured - record.hc_mm) <= _HC_TOLERANCE * record.hc_mm:
        return None
    scale = record.hc_mm / measured
    x, y = record.calibration.mm_per_px_x * scale, record.calibration.mm_per_px_y * scale
    other = Calibration(x, y, record.calibration.source) if max(x, y) <= 10 else None
    doubt = calibration_doubt(
        f"{record.place}: the annotation's HC is {measured:.1f} mm, the table says "
        f"{record.hc_mm:.1f}.",
        record.calibration.mm_per_px * scale,
    )
    return doubt, other
