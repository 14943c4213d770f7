"""Tables that name frames of a source and are not read: the import says so."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.folders.annotation_names import is_mask_folder
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables.frame_columns import FILENAME, columns_of, known_columns
from fetalstudio.formats.tables.frame_tables import is_frame_table
from fetalstudio.formats.tables.names import key_of, last_part
from fetalstudio.formats.tables.table_files import read_header, read_table

_MOST_TABLES, _MOST_BYTES = 20, 8 * 2**20
"""Of the tables above a source, or apart from its frames, that are opened."""
_LINES = 50
"""Of a text file that are looked at."""
_BETWEEN = re.compile(r"[\s,;|^\"']+")
_NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?")


def names_in(pictures: Iterable[Path]) -> frozenset[str]:
    """How a table may call these pictures."""
    return frozenset(key_of(name) for p in pictures for name in (p.name, stem_of(p)))


def is_list_of_frames(start: bytes, names: Collection[str]) -> bool:
    """Whether a line of a text file that begins with these bytes has the name of a picture and a
    number."""
    for line in start.decode("utf-8", "replace").splitlines()[:_LINES]:
        cells = [cell for cell in _BETWEEN.split(line) if cell]
        if not cells:
            continue
        first, *others = cells
        if key_of(last_part(first)) in names and any(map(_NUMBER.fullmatch, others)):
            return True
    return False


def tables_above(
    source: Path, records: Iterable[FrameRecord], read: Collection[Path]
) -> tuple[str, ...]:
    """A message for each table in the folder above the source that names frames of it and is not
    among the files that are ``read``."""
    names = names_in(record.path for record in records)
    try:
        beside = sorted(p for p in set(source.parent.iterdir()) - set(read) if is_frame_table(p))
    except OSError:
        return ()
    return tuple(
        f"{path} names frames of {source}, but lies above that folder and was not used. To use it, "
        f"import {source.parent}, or move the table into {source}."
        for path in beside[:_MOST_TABLES]
        if _names_some(path, names)
    )


def tables_apart(
    source: Path,
    records: Sequence[FrameRecord],
    files: Iterable[tuple[Path, int]],
    read: Collection[Path],
) -> tuple[str, ...]:
    """A message for each table among the ``files`` below the source, given with how many folders
    down they lie, that names frames but lies more than one folder down without frames beside it, or
    among masks. Those that are ``read`` are no such tables."""
    names = names_in(record.path for record in records)
    inhabited = {record.path.parent for record in records}
    apart = (
        path
        for path, depth in files
        if (depth > 1 or (depth and is_mask_folder(path.parent)))
        and path.parent not in inhabited
        and path not in read
        and is_frame_table(path)
    )
    return tuple(
        f"{path} names frames of {source}, but does not lie beside them and was not used. To use "
        f"it, move it into {source}."
        for path in islice(apart, _MOST_TABLES)
        if _names_some(path, names)
    )


def _names_some(table: Path, names: Collection[str]) -> bool:
    with contextlib.suppress(OSError, InputError):  # then it says nothing about frames
        if table.stat().st_size > _MOST_BYTES:
            return False
        column = columns_of(read_header(table, known_columns)).where.get(FILENAME)
        if column is not None:
            rows = read_table(table, known_columns).rows
            return any(key_of(last_part(row.cells[column])) in names for row in rows)
    return False
