"""Files that hold several frames, with masks of as many pages, and what the header of a MetaImage,
NRRD or NIfTI file says about its frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.metaimage import META_SUFFIXES
from fetalstudio.formats.pictures.nrrd import NRRD_SUFFIXES
from fetalstudio.formats.pictures.picture_files import Samples, frames_in, read_image, read_samples
from fetalstudio.formats.pictures.volumes import (
    Turn,
    VolumeHeader,
    read_volume_header,
    volume_suffix,
)
from fetalstudio.formats.reading.frame_records import FrameRecord, StatedSize, Video

_COLOUR_FOLDERS = frozenset({"image_mha", "images_mha"})
"""Of PSFHS, whose pictures have their colours in three slices."""
_DEFAULTS = (Calibration(1, 1, "header"), Calibration(1, 1, "dicom"))
_SAME_SIZE = 0.01
"""Relative difference of two pixel sizes that say the same."""


def with_headers(records: Sequence[FrameRecord]) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """The records, with a video where a file holds several frames, and with the pixel size that its
    header states; and notes. Headers are read, no pixels.

    All frames of a file are of one subject. What cannot be read is left to the reading of the
    frame, which says why.
    """
    found: list[FrameRecord] = []
    turned: list[Path] = []
    for record in records:
        try:
            pages = frames_in(record.path)
            header = _volume(record.path)
        except InputError:
            found.append(record)
            continue
        if header is not None:
            if header.turn != Turn():
                turned.append(record.path)
            record = _calibrated(record, header)
        found.append(_divided(record, pages, header))
    known, notes = without_default_sizes(found)
    if turned:
        notes += (
            f"{_listed(turned)}: turned as a viewer shows it, by the directions in the file. Check "
            "the frames. If they are upside down, export them without directions, as PNG.",
        )
    return known, notes


def without_default_sizes(
    records: Sequence[FrameRecord],
) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """The records without pixel sizes that headers only seem to state, and a note about these."""
    unstated = [r for r in records if r.calibration in _DEFAULTS]
    if not unstated:
        return tuple(records), ()
    left = (replace(r, calibration=None) if r.calibration in _DEFAULTS else r for r in records)
    return tuple(left), (
        f"{_listed([r.path for r in unstated])}: a pixel of exactly 1 mm is what programs write "
        "where they know none, and was not used. State the pixel size in a table, or measure it in "
        "the window.",
    )


def _volume(path: Path) -> VolumeHeader | None:
    return None if volume_suffix(path.name) is None else read_volume_header(path)


def _listed(paths: Sequence[Path]) -> str:
    return f"{paths[0]} and {len(paths) - 1} more" if len(paths) > 1 else str(paths[0])


def _calibrated(record: FrameRecord, header: VolumeHeader) -> FrameRecord:
    spacing, other, stated = header.spacing, header.other_spacing, record.calibration
    if spacing is None or (spacing == (1, 1) and stated is not None):
        return record
    try:
        calibration = Calibration(*spacing, "header")
        sizes = (calibration,) if other is None else (calibration, Calibration(*other, "header"))
    except ValueError:
        return _with(record, f"{record.path} states a pixel of {spacing[0]:g} mm; it was not used.")
    if stated is None:
        if len(sizes) == 1:
            return replace(record, calibration=calibration)
        return replace(record, stated=tuple(map(StatedSize, sizes, _texts_of(sizes, record.path))))
    return with_table_size(replace(record, calibration=None), stated, sizes)


def with_table_size(
    record: FrameRecord, table: Calibration, sizes: Sequence[Calibration]
) -> FrameRecord:
    """The record with the pixel size of a table, if the file's header states that one too or none.
    Otherwise the record has no pixel size, which is said."""
    if not sizes or any(_alike(table, size) for size in sizes):
        return replace(record, calibration=table, stated=())
    x, y = sizes[0].mm_per_px_x, sizes[0].mm_per_px_y
    said = _with(
        record,
        f"{record.path} states a pixel of {x:g} x {y:g} mm, the table {table.mm_per_px_x:g} x "
        f"{table.mm_per_px_y:g} mm. Neither was used. Correct the table, or take the pixel size "
        "out of it.",
    )
    return replace(said, calibration=None, stated=())


def _alike(table: Calibration, file: Calibration) -> bool:
    both = ((table.mm_per_px_x, file.mm_per_px_x), (table.mm_per_px_y, file.mm_per_px_y))
    return all(abs(one - other) <= _SAME_SIZE * other for one, other in both)


def _texts_of(sizes: Sequence[Calibration], path: Path) -> list[str]:
    """What a person reads of the two pixel sizes that a header states."""
    suffix = volume_suffix(path.name)
    places = ("pixdim", "the affine (sform)")
    if suffix in META_SUFFIXES:
        places = ("ElementSpacing", "ElementSize")
    elif suffix in NRRD_SUFFIXES:
        places = ("space directions", "spacings")
    return [
        f"{size.mm_per_px_x:.4g} x {size.mm_per_px_y:.4g} mm by {place}"
        for size, place in zip(sizes, places, strict=True)
    ]


def _divided(record: FrameRecord, pages: int, header: VolumeHeader | None) -> FrameRecord:
    """With a video where the file holds several frames; with no annotation that does not fit."""
    annotation = record.annotation
    masks, turn = 1, Turn() if header is None else header.turn
    if annotation is not None:
        try:
            masks, mask_header = frames_in(annotation), _volume(annotation)
        except InputError:
            return record  # reading the annotation will say what is wrong with it
        if (Turn() if mask_header is None else mask_header.turn) != turn:
            record = _unused(
                record,
                f"{annotation} has other directions than its frame, so how it lies on the frame is "
                "not certain.",
                "Export it with the directions (affine) of the frame.",
            )
            annotation = None
    colours = header is not None and pages == 3
    if colours and (masks == 1 if annotation else record.path.parent.name in _COLOUR_FOLDERS):
        return replace(record, decode=partial(read_image, record.path))
    if pages == 1:
        return record
    record = without_table_ellipse(record, pages)
    if annotation is not None and masks != pages:
        record = _unused(
            record,
            f"{annotation} holds {masks} masks, but {record.path.name} {pages} frames.",
            "Export a mask for each frame, empty where there is no head.",
        )
        annotation = None
    video = Video(
        pages,
        partial(read_image, record.path),
        None if annotation is None else partial(_mask, annotation),
        usual="all",
    )
    return replace(record, video=video)


def without_table_ellipse(record: FrameRecord, pages: int) -> FrameRecord:
    """The record of a file with several frames without the ellipse that a table has for it."""
    if record.ellipse is None:
        return record
    said = (
        f"{record.path} holds {pages} frames, and the table does not say on which its ellipse is. "
        "It was not used."
    )
    return replace(_with(record, said), ellipse=None, ellipse_size=None)


def _mask(path: Path, page: int) -> Samples | None:
    found = read_samples(path, page)
    return found if found[0].any() else None


def _unused(record: FrameRecord, why: str, cure: str) -> FrameRecord:
    said = f"{why} Its frames were imported without an ellipse. {cure}"
    return replace(_with(record, said), annotation=None)


def _with(record: FrameRecord, problem: str) -> FrameRecord:
    return replace(record, problems=(*record.problems, problem))
