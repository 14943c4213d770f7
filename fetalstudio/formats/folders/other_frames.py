"""What masks and tables in a folder say about frames of another format, such as DICOM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fetalstudio.formats.folders.picture_records import (
    about_subjects,
    alike_in_folders,
    coding_of,
    doubt_about,
    not_told,
    row_of,
)
from fetalstudio.formats.folders.stacks import with_table_size, without_table_ellipse
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.reading.doubts import Doubt
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables.frame_rows import Row
from fetalstudio.formats.tables.names import key_of


def takes_tables(record: FrameRecord) -> bool:
    """Whether a table may name the file: it lies in the folder, and does not say itself what it
    is."""
    return record.note is None and record.path.is_file()


def takes_masks(record: FrameRecord) -> bool:
    """Whether a mask may be named after the file: it is one frame, and has no other mask."""
    return takes_tables(record) and record.video is None and record.annotation is None


def with_folder(
    records: Sequence[FrameRecord],
    annotated: Mapping[Path, Path],
    rows: Mapping[Path, Mapping[str, Row]],
    doubts: Mapping[Path, Doubt],
) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """The records with what masks and tables in the folder say about them, and notes.

    ``annotated``, ``rows`` and ``doubts`` are as for
    :func:`~fetalstudio.formats.folders.picture_records.records_of`. All records take tables.
    """
    alike = alike_in_folders(record.path for record in records)
    found: list[FrameRecord] = []
    notes: tuple[str, ...] = ()
    untold: list[str] = []
    split: dict[str, dict[str, Path]] = defaultdict(dict)
    for record in records:
        path = record.path
        named = rows.get(path.parent, {})
        row, unclear = row_of(path, named, alone=alike[path.parent, key_of(stem_of(path))] == 1)
        notes += unclear
        if row.subject is None:
            if record.subject == record.name and not_told(path, named):
                untold.append(str(path))
        elif record.subject != record.name:
            split[record.subject].setdefault(row.subject, path)
        record = _with_row(record, row)
        if (mask := annotated.get(path)) is not None:
            doubt = doubt_about(mask, path)
            record = replace(
                record, annotation=mask, annotation_doubt=doubt, coding=coding_of(mask)
            )
        if path in doubts:
            record = replace(record, doubts=(*record.doubts, doubts[path]))
        found.append(record)
    return tuple(found), notes + about_subjects(untold, split)


def _with_row(record: FrameRecord, row: Row) -> FrameRecord:
    """The record with what a table says; a header that states another pixel size makes both
    doubtful."""
    if row.calibration is not None:
        sizes = [stated.calibration for stated in record.stated]
        sizes += [] if record.calibration is None else [record.calibration]
        record = with_table_size(record, row.calibration, sizes)
    record = replace(
        record,
        subject=row.subject or record.subject,
        ellipse=row.in_px(),
        axes=row.axes,
        ellipse_size=row.size,
        hc_mm=row.hc_mm,
        labels={**record.labels, **row.labels},
    )
    return record if record.video is None else without_table_ellipse(record, record.video.count)
