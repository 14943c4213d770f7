"""The tables beside frames: which there are, and what they say together about each frame."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import start_of
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.tables.frame_columns import (
    ELLIPSE,
    FILENAME,
    HC,
    LABELS,
    PIXEL_SIZE,
    SUBJECT,
    SUBMISSION,
    columns_of,
    known_columns,
)
from fetalstudio.formats.tables.frame_rows import (
    Row,
    gives_ellipses,
    half_an_ellipse,
    read_rows,
    some,
)
from fetalstudio.formats.tables.named_pictures import NamedPictures, Unclear
from fetalstudio.formats.tables.names import key_of, last_part
from fetalstudio.formats.tables.table_files import (
    TABLE_SUFFIXES,
    TEXT_SUFFIXES,
    is_table,
    read_header,
)

HC18_HEADER = (FILENAME, PIXEL_SIZE, HC)
"""The columns of HC18's table, as its authors spell them."""
HC18_TABLE = "training_set_pixel_size_and_HC.csv"
"""The name of that table, also in folders that are not in the rest of the layout."""
ELLIPSES_TABLE = "ellipses.csv"
"""Which of several tables of ellipses counts."""
NOT_USED = " The table was not used."
"""How the message about a table that cannot be read ends."""
VIA_CSV = b"region_shape_attributes"
"""A column of VGG Image Annotator's CSV, which is no table but an annotation file."""
_COMPARED = {"pixel size": "calibration", "head circumference": "hc_mm", "patient": "subject"}
"""What two tables may not say differently, and the attribute of :class:`Row` that holds it."""
_ROUNDED = 0.01
"""Relative difference up to which two numbers say the same."""
_MOST_FAULTS = 20
_SHOWN_COLUMNS = 8
_SNIFFED_BYTES = 1 << 12
"""Of a text file that may be a table."""


def read_frame_table(
    path: Path,
    required: Sequence[str] = (FILENAME, PIXEL_SIZE),
    pictures: NamedPictures | None = None,
) -> tuple[dict[str, Row], tuple[str, ...]]:
    """Read the rows by the key of the file's name, and a message for each that was left out.

    A name that is there twice with different values is left out. Of the ``pictures``, where these
    are given, a path in the table may mean one; its row is there by :func:`place_key`. Raises
    :class:`InputError` as :func:`read_rows`.
    """
    found = read_rows(path, required)
    rows: dict[str, Row] = {}
    twice: set[str] = set()
    unclear: dict[Unclear, list[str]] = defaultdict(list)
    faults = list(found.faults)
    names = [item.name for item in found.rows]
    meant = [None] * len(names) if pictures is None else pictures.meant(names)
    for item, picture in zip(found.rows, meant, strict=True):
        if isinstance(picture, Unclear):
            unclear[picture].append(item.name)
            continue
        written = last_part(item.name)
        name, row = key_of(written), replace(item.row, name=written)
        if picture is not None:
            name, row = place_key(picture), replace(item.row, name=item.name)
        elif pictures is not None and pictures.recurs(name):
            rows.setdefault(name, row)  # what it says will not be used
            continue
        if rows.setdefault(name, row) != row:
            twice.add(name)
            faults.append(
                InputError(
                    f"{path}, line {item.line}: {row.name} is there twice. Remove the wrong line."
                )
            )
    notes = tuple(f"{fault} The line was not used." for fault in faults[:_MOST_FAULTS])
    if len(faults) > _MOST_FAULTS:
        notes += (f"{path}: {len(faults) - _MOST_FAULTS} more lines were not used.",)
    notes += tuple(
        f"{path} names {some(named)}: {why.value}. What it says of "
        f"{'it' if len(named) == 1 else 'them'} was not used. Write the path of each picture from "
        "the folder on that is imported, such as P1/images/NAME.png."
        for why, named in unclear.items()
    )
    notes += found.notes
    return {name: row for name, row in rows.items() if name not in twice}, notes


def place_key(picture: Path) -> str:
    """The key of a row about this picture alone, which no file's name has."""
    return f"{picture.parent}/{picture.name}"


def read_folder_tables(
    folder: Path, named: str, pictures: NamedPictures | None = None
) -> tuple[dict[str, Row], tuple[str, ...]]:
    """What the tables of a folder say by the key of the file's name, and a note for each table or
    line that was not used. The ``pictures`` are as for :func:`read_frame_table`.

    One called ``named`` must have pixel sizes. Where several tables give the ellipses and none is
    called :data:`ELLIPSES_TABLE`, none of these is used.
    """
    rows: dict[str, Row] = {}
    notes: tuple[str, ...] = ()
    tables: dict[Path, frozenset[str]] = {}
    headers: dict[Path, Sequence[str]] = {}
    for path in sorted(folder.iterdir()):
        if not is_frame_table(path):
            continue
        try:
            table = read_header(path, known_columns)
            tables[path], headers[path] = columns_of(table).names, table.header
        except InputError as error:
            notes += (f"{error}{NOT_USED}",)
    of_ellipses = [path for path, has in tables.items() if gives_ellipses(has)]
    chosen = [p for p in of_ellipses if p.name.lower() == ELLIPSES_TABLE] or of_ellipses
    if len(chosen) > 1:
        notes += (
            f"{some([str(p) for p in chosen])} each give the ellipses, and none was used. "
            f"Keep one, or call it {ELLIPSES_TABLE}.",
        )
        tables = {path: has for path, has in tables.items() if path not in chosen}
    contradicted: dict[tuple[Path, str], list[str]] = defaultdict(list)
    for path, has in tables.items():
        if path in of_ellipses and path not in chosen:
            notes += (f"{path} was not used: {chosen[0].name} gives the ellipses.",)
        elif path in chosen or _describes_frames(has) or path.name == named:
            required = (FILENAME, PIXEL_SIZE) if path.name == named else (FILENAME,)
            try:
                found, faults = read_frame_table(path, required, pictures)
            except InputError as error:
                notes += (f"{error}{NOT_USED}",)
                continue
            notes += faults
            if half := half_an_ellipse(has):
                notes += (
                    f"{path}: of the ellipses' columns ({', '.join(ELLIPSE)}) it has only "
                    f"{', '.join(half)}, which {'was' if len(half) == 1 else 'were'} not used.",
                )
            for name, row in found.items():
                rows[name], unclear = agreed(rows.get(name, Row()), row)
                if unclear:
                    contradicted[path, unclear].append(row.name)
        else:
            notes += (_unknown(path, has, headers[path]),)
    notes += tuple(
        f"{path} gives another {what} for {some(names)} than a table beside it. It was not used. "
        "Correct one of the tables."
        for (path, what), names in contradicted.items()
    )
    return rows, notes


def _unknown(path: Path, has: frozenset[str], header: Sequence[str]) -> str:
    """What is said of a table that says nothing known about frames."""
    lacks = (
        f"neither a column {PIXEL_SIZE!r} nor the ellipses' columns ({', '.join(ELLIPSE)})"
        if FILENAME in has
        else f"no column that names the files, such as {FILENAME!r},"
    )
    shown = ", ".join(map(repr, header[:_SHOWN_COLUMNS]))
    more = f" and {len(header) - _SHOWN_COLUMNS} more" if len(header) > _SHOWN_COLUMNS else ""
    return (
        f"{path} has {lacks} and was not used. Its columns are {shown}{more}. If one says whose "
        "frame it is, call it subject."
    )


def unmatched(folder: Path, rows: Mapping[str, Row], frames: Iterable[Path]) -> tuple[str, ...]:
    """A note on the names in the tables of ``folder`` that none of the frames has."""
    names = {key for p in frames for key in (key_of(p.name), key_of(stem_of(p)), place_key(p))}
    absent = sorted(rows[name].name or name for name in rows.keys() - names - {""})
    if not absent:
        return ()
    none = ", and nothing else" if len(absent) == len(rows) else ""
    return (
        f"The table in {folder} names {some(absent)}{none}: no such frame is there. The name in a "
        "table must be that of the file, with or without its ending.",
    )


def submitted(folder: Path) -> tuple[dict[str, Row], tuple[str, ...], frozenset[Path]]:
    """What the submissions to the HC18 challenge in a folder say, as :func:`read_folder_tables`,
    and these."""
    rows: dict[str, Row] = {}
    notes: tuple[str, ...] = ()
    tables: set[Path] = set()
    for path in sorted(folder.iterdir()):
        if not is_frame_table(path):
            continue
        with contextlib.suppress(InputError):  # then it is no submission
            if columns_of(read_header(path, known_columns)).names >= {FILENAME, *SUBMISSION}:
                found, faults = read_frame_table(path, (FILENAME, *SUBMISSION))
                notes += faults
                tables.add(path)
                rows = {**rows, **{n: joined(rows.get(n, Row()), r) for n, r in found.items()}}
    return rows, notes, frozenset(tables)


def is_frame_table(path: Path) -> bool:
    """Whether a file is a table, by its ending, or a text file by what it begins with."""
    if path.name.startswith((".", "~$")):
        return False
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        return is_table(start_of(path, _SNIFFED_BYTES), known_columns)
    if suffix == ".csv" and VIA_CSV in start_of(path, _SNIFFED_BYTES):
        return False
    return suffix in TABLE_SUFFIXES


def _describes_frames(has: frozenset[str]) -> bool:
    if FILENAME in has and has.issuperset(SUBMISSION):
        return True
    return PIXEL_SIZE in has or (FILENAME in has and not has.isdisjoint({*LABELS, SUBJECT}))


def agreed(row: Row, more: Row) -> tuple[Row, str]:
    """What two tables say about a frame, without what they say differently, and what that is."""
    unclear = [
        what for what, name in _COMPARED.items() if _differ(getattr(row, name), getattr(more, name))
    ]
    taken: dict[str, Any] = {_COMPARED[what]: None for what in unclear}
    return replace(joined(row, more), **taken), " and ".join(unclear)


def _differ(one: Calibration | float | str | None, other: object) -> bool:
    """Whether two values contradict each other; a rounded number does not."""
    if one is None or other is None:
        return False
    if isinstance(one, Calibration) and isinstance(other, Calibration):
        return _differ(one.mm_per_px, other.mm_per_px)
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) > _ROUNDED * abs(one)
    return one != other


def joined(row: Row, more: Row) -> Row:
    """What two tables say about a frame; the second counts where both say it."""
    ellipse_of = next((r for r in (more, row) if r.ellipse), more if more.ellipse_mm else row)
    return Row(
        calibration=more.calibration or row.calibration,
        hc_mm=more.hc_mm or row.hc_mm,
        ellipse=ellipse_of.ellipse,
        size=more.size or row.size,
        labels={**row.labels, **more.labels},
        subject=more.subject or row.subject,
        ellipse_mm=more.ellipse_mm or row.ellipse_mm,
        axes=ellipse_of.axes,
        name=row.name or more.name,
    )
