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
from fetalstudio.formats.frame_tables import ELLIPSE, FILENAME, SIZE, NamedRow, read_rows
from fetalstudio.formats.tables import write_table

COLUMNS = ("name", *ELLIPSE, *SIZE)
"""Centre and semi-axes in px, the angle in degrees, the size of the picture in px."""


@dataclass(frozen=True, slots=True)
class NamedEllipse:
    """An ellipse on a picture that is to be made, and what the picture is called."""

    name: str
    ellipse: Ellipse
    size: Size
    """(width, height) in px."""
    source_frame: str | None = None
    """Id of the frame whose sector and calibration the picture takes over; no table names one."""


def read_ellipses(path: Path) -> tuple[NamedEllipse, ...]:
    """Read a table with the columns :data:`COLUMNS`, one ellipse a row.

    Raises :class:`InputError` that names the file, the line and the cure.
    """
    found = read_rows(path, (FILENAME, *ELLIPSE, *SIZE))
    if found.faults:
        raise found.faults[0]
    if not found.rows:
        raise InputError(f"{path} holds no ellipses. Add a line for each, below the header.")
    named = tuple(_named(path, row) for row in found.rows)
    name, times = Counter(item.name for item in named).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} names {name} {times} times. Each row needs a name of its own.")
    return named


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
    return NamedEllipse(name, row.ellipse, row.size)
