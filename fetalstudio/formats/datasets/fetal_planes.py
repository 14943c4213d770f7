"""The layout of FETAL_PLANES_DB: ``Images/`` and a table of the patient, the plane, the scanner and
the part of each picture. No head is outlined in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.splits import Part
from fetalstudio.formats.folders.picture_records import cohort_of, records_of
from fetalstudio.formats.pictures.picture_files import pictures_in, stem_of
from fetalstudio.formats.privacy.subjects import subject_key, subject_of
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.tables.frame_rows import Row, some
from fetalstudio.formats.tables.frame_tables import NOT_USED
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.tables.table_files import TABLE_SUFFIXES, is_missing, read_table

_FOLDER = "Images"
_TABLE = "FETAL_PLANES_DB_data"
_NAME, _PATIENT, _TRAIN = "Image_name", "Patient_num", "Train"
_LABELS = {"plane": "Plane", "brain_plane": "Brain_plane", "scanner": "US_Machine"}
"""By their names here. The column Operator is left out: it says who scanned."""
_SPELLINGS = {
    column: ("".join(filter(str.isalnum, column.lower())),)
    for column in (_NAME, _PATIENT, _TRAIN, *_LABELS.values())
}
_PARTS: dict[str, Part] = {"1": "train", "0": "test"}


def recognise(source: Path) -> bool:
    """Whether the table and the pictures are there."""
    return bool(_tables(source)) and (source / _FOLDER).is_dir()


def read(source: Path) -> FrameSource:
    """Find the frames; no picture is opened.

    Raises :class:`InputError` where there is no table of them, ``OSError`` for a folder that cannot
    be listed.
    """
    tables = _tables(source)
    if not tables:
        raise InputError(
            f"{source} is not in the layout of FETAL_PLANES_DB: {_TABLE}.csv is missing. Put it "
            "there, or import as a folder of images."
        )
    folder = source / _FOLDER
    frames = pictures_in(folder)
    problems: tuple[str, ...] = ()
    rows: dict[str, tuple[Row, Part | None]] = {}
    try:
        rows, problems = _rows(tables[0])
    except InputError as error:
        problems = (f"{error}{NOT_USED}",)
    by_name = {name: row for name, (row, _) in rows.items()}
    records, notes = records_of(frames, {}, {folder: by_name})
    unlisted = sorted(r.path.name for r in records if key_of(stem_of(r.path)) not in rows)
    if unlisted and rows:
        problems += (f"{tables[0]} lacks {some(unlisted)}: imported without labels.",)
    return FrameSource(
        cohort_of(source), tuple(_completed(r, rows) for r in records), problems + notes
    )


def _tables(source: Path) -> list[Path]:
    """The tables that can be read, CSV first: the publisher has the same as XLSX beside it."""
    found = [path for path in source.glob(f"{_TABLE}.*") if path.suffix.lower() in TABLE_SUFFIXES]
    return sorted(found, key=lambda path: (path.suffix.lower() != ".csv", path.name))


def _rows(path: Path) -> tuple[dict[str, tuple[Row, Part | None]], tuple[str, ...]]:
    table = read_table(path)
    where = table.columns(_SPELLINGS)
    if _NAME not in where:
        raise InputError(f"{path} lacks the column {_NAME!r}. Copy it again.")
    rows: dict[str, tuple[Row, Part | None]] = {}
    for row in table.rows:
        cells = {name: row.cells[i] for name, i in where.items() if not is_missing(row.cells[i])}
        labels = {name: cells[column] for name, column in _LABELS.items() if column in cells}
        # "Not A Brain" is where another program would leave the cell empty.
        labels = {k: v for k, v in labels.items() if not v.lower().startswith("not a ")}
        subject = subject_key(cells[_PATIENT]) if _PATIENT in cells else None
        part = _PARTS.get(cells.get(_TRAIN, ""))
        rows[key_of(cells.get(_NAME, ""))] = Row(labels=labels, subject=subject), part
    return rows, tuple(f"{fault} The line was not used." for fault in table.faults[:20])


def _completed(record: FrameRecord, rows: dict[str, tuple[Row, Part | None]]) -> FrameRecord:
    """With its part, and with the subject of its name where that is the table's: a picture that is
    imported without the table must come out as of the same subject."""
    named = subject_of(stem_of(record.path))
    digits = "".join(filter(str.isdigit, named))
    same = digits.isdigit() and record.subject.isdigit() and int(digits) == int(record.subject)
    _, part = rows.get(key_of(stem_of(record.path)), (None, None))
    return replace(record, part=part, subject=named if same else record.subject)
