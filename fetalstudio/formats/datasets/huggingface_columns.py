"""The columns with which data sets of Hugging Face describe a picture.

They hold the ellipse in px, the pixel size in mm and the subject: in the metadata of an image
folder, and beside the pictures themselves in Parquet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.splits import Part
from fetalstudio.formats.privacy.subjects import subject_of
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables.frame_columns import ELLIPSE, FILENAME, SPELLINGS
from fetalstudio.formats.tables.frame_rows import Row, rows_in
from fetalstudio.formats.tables.table_files import Table, TableRow, is_missing
from fetalstudio.formats.writing.export_folders import Written

NAME, MASK_NAME = "file_name", "mask_file_name"
MM = ("mm_per_px_x", "mm_per_px_y")
PARTS: Mapping[str, Part] = {
    **{name: "train" for name in ("train", "training")},
    **{name: "validation" for name in ("validation", "valid", "val", "dev")},
    **{name: "test" for name in ("test", "testing", "eval", "evaluation")},
}
"""What ``datasets`` takes for the parts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the metadata say about a picture."""

    line: int
    name: str
    row: Row
    mask: str | None


def table_of(path: Path, objects: Sequence[Mapping[str, Any]]) -> Table:
    """Objects as rows of text. An ellipse may be an object of its own; lists are left out."""
    flat = [
        {
            key: value
            for name, outer in found.items()
            for key, value in (outer.items() if isinstance(outer, dict) else ((name, outer),))
            if value is None or isinstance(value, str | int | float)
        }
        for found in objects
    ]
    header = tuple(dict.fromkeys(key for found in flat for key in found))
    rows = tuple(
        TableRow(number, tuple(_text(found.get(key)) for key in header))
        for number, found in enumerate(flat, 1)
    )
    return Table(path, header, rows, ",")


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def entries_of(table: Table) -> tuple[list[Entry], tuple[str, ...]]:
    """What a table says about each picture, and a message for each line that is not used in full.

    Raises :class:`InputError` where the table does not name the pictures.
    """
    found = rows_in(table, (FILENAME,))
    rows = {item.line: item.row for item in found.rows}
    name_at = table.columns(SPELLINGS)[FILENAME]
    mask_at = table.columns({MASK_NAME: ("maskfilename", "maskname")}).get(MASK_NAME)
    entries = []
    for line in table.rows:
        name, mask = line.cells[name_at], "" if mask_at is None else line.cells[mask_at]
        if name:
            row = rows.get(line.line, Row())  # the picture is there, whatever is wrong with its row
            entries.append(Entry(line.line, name, row, None if is_missing(mask) else mask))
    return entries, tuple(f"{fault} The line was not used in full." for fault in found.faults[:20])


def record_of(
    path: Path, name: str, row: Row, part: Part | None, annotation: Path | None
) -> FrameRecord:
    """The frame at ``path``, with what its row says; ``annotation`` is the file of its mask."""
    return FrameRecord(
        path=path,
        name=name,
        subject=row.subject or subject_of(name),
        annotation=annotation,
        ellipse=row.in_px(),
        axes=row.axes,
        ellipse_size=row.size,
        calibration=row.calibration,
        hc_mm=row.hc_mm,
        labels=row.labels,
        part=part,
    )


def mask_of(picture: Written) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 within the ellipse of an annotated picture."""
    assert picture.ellipse is not None
    return picture.ellipse.mask(picture.size) * np.uint8(255)


def columns_of(picture: Written) -> dict[str, Any]:
    """What is said about a picture, besides the picture and its mask."""
    c, e = picture.calibration, picture.ellipse
    return {
        **{name: None if e is None else float(getattr(e, name)) for name in ELLIPSE},
        "width": picture.size[0],
        "height": picture.size[1],
        **{name: None if c is None else float(getattr(c, name)) for name in MM},
        "subject": picture.subject,
        "cohort": picture.cohort,
        "synthetic": picture.synthetic,
    }
