"""A table of ellipses to make pairs from, as ``synthesize --ellipses`` reads it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.words import counted
from fetalstudio.formats.pictures.picture_files import check_size
from fetalstudio.formats.tables.frame_columns import ELLIPSE, FILENAME, SIZE
from fetalstudio.formats.tables.frame_rows import NamedRow, read_rows
from fetalstudio.formats.tables.table_files import write_table

COLUMNS = ("name", *ELLIPSE, *SIZE)
"""Centre and semi-axes in px, the angle in degrees, the size of the picture in px."""
_SHORTEST = 4.0
"""px of a semi-axis: a picture shows nothing of a shorter one that could be measured."""


@dataclass(frozen=True, slots=True)
class NamedEllipse:
    """An ellipse on a picture that is to be made, and what the picture is called."""

    name: str
    ellipse: Ellipse
    size: Size
    """(width, height) in px."""
    source_frame: str | None = None
    """Id of the frame whose sector and calibration the picture takes over; no table names one."""


@dataclass(frozen=True, slots=True)
class EllipseTable:
    """The ellipses of a table, and what is wrong with the rows that were left out."""

    ellipses: tuple[NamedEllipse, ...]
    """At least one, in the order of the file."""
    faults: tuple[str, ...] = ()
    """A message for each row that was left out, in the order of the file, which names the file, the
    line, the cause and the cure."""


def read_ellipses(path: Path) -> EllipseTable:
    """Read a table with the columns :data:`COLUMNS`, one ellipse a row.

    A row is left out where it is incomplete, where its name cannot be a file's, and where its
    ellipse cannot be a head in its picture: with a centre outside the picture, a semi-axis below
    4 px or longer than the picture. Raises :class:`InputError` that names the file and the cure
    for a file that is no such table, has the same name twice or no usable row.
    """
    found = read_rows(path, (FILENAME, *ELLIPSE, *SIZE))
    ellipses = list[NamedEllipse]()
    faults = list(found.faults)
    for row in found.rows:
        try:
            ellipses.append(_named(path, row))
        except InputError as fault:
            faults.append(fault)
    if not ellipses and not faults:
        raise InputError(f"{path} holds no ellipses. Add a line for each, below the header.")
    if not ellipses:
        others = len(faults) - 1
        more = f" {counted(others, 'more row')} cannot be used either." if others else ""
        raise InputError(f"{faults[0]}{more}")
    name, times = Counter(item.name for item in ellipses).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} names {name} {times} times. Each row needs a name of its own.")
    return EllipseTable(tuple(ellipses), tuple(map(str, faults)))


def write_ellipses(path: Path, ellipses: Sequence[NamedEllipse]) -> None:
    """Write the table that :func:`read_ellipses` reads, atomically."""
    rows = [
        {"name": e.name, **asdict(e.ellipse), "width": e.size[0], "height": e.size[1]}
        for e in ellipses
    ]
    write_table(path, COLUMNS, rows)


def _named(path: Path, item: NamedRow) -> NamedEllipse:
    name, row = item.name, item.row
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise InputError(
            f"{path}, line {item.line}: the name {name!r} cannot be a file's name. "
            "Use letters, digits, '-', '_' and '.'."
        )
    if row.ellipse is None or row.size is None:
        what = "the ellipse" if row.ellipse is None else "the picture's size"
        raise InputError(
            f"{path}, line {item.line}: {what} is missing. Fill the cells or remove the line."
        )
    if cause := cannot_be_a_head(row.ellipse, row.size):
        raise InputError(f"{path}, line {item.line}: {cause}. Correct the line or remove it.")
    check_size(row.size, f"{path}, line {item.line}: the picture", "Correct its width and height.")
    return NamedEllipse(name, row.ellipse, row.size)


def cannot_be_a_head(ellipse: Ellipse, size: Size) -> str | None:
    """Why the ellipse cannot be a head in a picture of this size, (width, height) in px; None
    where it can."""
    e, longest = ellipse, max(size)
    if e.b < _SHORTEST:
        return f"a semi-axis of {e.b:g} px is shorter than {_SHORTEST:g} px"
    if e.a > longest:
        return f"a semi-axis of {e.a:g} px is longer than the picture, {longest} px"
    if not all(-0.5 <= at <= side - 0.5 for at, side in zip((e.cx, e.cy), size, strict=True)):
        return (
            f"the centre ({e.cx:g}, {e.cy:g}) px lies outside the picture of {size[0]}x{size[1]} px"
        )
    return None
