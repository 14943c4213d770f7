"""Columns of a row, checked.

The file may be damaged, or come from a stranger. Each function returns the value of a column, or
raises one of :data:`DAMAGE` where the column does not hold what the schema promises.

Where nothing but the check is wanted, SQLite makes it faster: :func:`suspicious` selects the rows
that have to be read.
"""

from __future__ import annotations

import functools
import json
import re
import sqlite3
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import PureWindowsPath
from typing import Any, TypeVar

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.files import is_inside

Value = TypeVar("Value")

DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, RecursionError)
"""What reading a damaged row raises."""

_FRAME_ID = re.compile("[0-9a-f]{64}")


def text(row: sqlite3.Row, column: str) -> str:
    """A text that can be shown and encoded."""
    value = row[column]
    if not isinstance(value, str):
        raise ValueError(f"{column} is not a text")
    if not value.isascii():
        value.encode()  # bytes that are no UTF-8 were read as lone surrogates
    return value


def word(row: sqlite3.Row, column: str, words: Collection[Value]) -> Value:
    """One of ``words``."""
    for one in words:
        if one == row[column]:
            return one
    raise ValueError(f"{column} is not one of {', '.join(map(str, words))}")


def whole(row: sqlite3.Row, column: str) -> int:
    """A whole number."""
    value = row[column]
    if not isinstance(value, int):
        raise ValueError(f"{column} is not a whole number")
    return value


def share(row: sqlite3.Row, column: str) -> float:
    """A number from 0 to 1."""
    value = float(row[column])
    if not 0 <= value <= 1:
        raise ValueError(f"{column} is not a number from 0 to 1")
    return value


def moment(row: sqlite3.Row, column: str) -> datetime:
    """A time with its time zone."""
    value = datetime.fromisoformat(row[column])
    if value.tzinfo is None:
        raise ValueError(f"{column} has no time zone")
    return value


def mapping(row: sqlite3.Row, column: str) -> dict[str, Any]:
    """A JSON object."""
    value = json.loads(text(row, column))
    if not isinstance(value, dict):
        raise ValueError(f"{column} is not a JSON object")
    return value


def figures(row: sqlite3.Row, column: str) -> dict[str, Any]:
    """A JSON object whose values are numbers, or null where there is none."""
    values = mapping(row, column)
    for name, value in values.items():
        if not isinstance(value, int | float | None):
            raise ValueError(f"{name} in {column} is not a number")
    return values


def optional(
    read: Callable[[sqlite3.Row, str], Value], row: sqlite3.Row, column: str
) -> Value | None:
    """What ``read`` returns, or None where the column is NULL."""
    return None if row[column] is None else read(row, column)


def frame_id_of(row: sqlite3.Row, column: str) -> str:
    """The id of a frame, which is part of a file's name."""
    value = text(row, column)
    if not is_frame_id(value):
        raise ValueError(f"{column} is not the id of a frame")
    return value


def is_frame_id(value: str) -> bool:
    """Whether ``value`` is a SHA-256 in hexadecimal digits."""
    return _FRAME_ID.fullmatch(value) is not None


def file_name(row: sqlite3.Row, column: str) -> str:
    """A name that stays in the folder that it is put into."""
    value = text(row, column)
    if set(value) & set("/\\\0") or value in ("", ".", "..") or PureWindowsPath(value).drive:
        raise ValueError(f"{column} is not the name of a file")
    return value


def path_inside(row: sqlite3.Row, column: str) -> str:
    """A relative path that does not leave the project's folder."""
    value = text(row, column)
    if not is_inside(value):
        raise ValueError(f"{column} leaves the project")
    return value


@functools.cache
def ellipse_names(prefix: str = "") -> tuple[str, ...]:
    """The names of the columns of an ellipse."""
    return tuple(f"{prefix}{name}" for name in ("cx", "cy", "a", "b", "angle_deg"))


def ellipse_of(row: sqlite3.Row, prefix: str = "") -> Ellipse | None:
    """The ellipse in a row's columns, or None."""
    cx, cy, a, b, angle = ellipse_names(prefix)
    if row[cx] is None:
        return None
    return Ellipse(row[cx], row[cy], row[a], row[b], row[angle])


def drawn_ellipse(row: sqlite3.Row) -> Ellipse:
    """The ellipse in the columns of a row that has one."""
    ellipse = ellipse_of(row)
    if ellipse is None:
        raise ValueError("the ellipse is missing")
    return ellipse


def calibration_of(row: sqlite3.Row, source: Any) -> Calibration | None:
    """The calibration in a row's columns, or None."""
    if row["mm_per_px_x"] is None:
        return None
    return Calibration(row["mm_per_px_x"], row["mm_per_px_y"], source)


def suspicious(sound: Mapping[str, str]) -> str:
    """An SQL condition that is true for every row with a damaged value, and for few others.

    ``sound`` holds the SQL condition of each column, such as :data:`SOUND_TEXT`, with ``{0}`` for
    the column's name.
    """
    conditions = (f"({condition.format(name)})" for name, condition in sound.items())
    return f"NOT coalesce({' AND '.join(conditions)}, 0)"


_BYTES = "length(CAST({0} AS BLOB))"
"""Of a text. SQLite's other functions see nothing behind a zero byte."""
_DIGITS = "[0-9][0-9]"
SOUND_TEXT = f"typeof({{0}}) = 'text' AND {{0}} NOT GLOB '*[^ -~]*' AND length({{0}}) = {_BYTES}"
"""Plain ASCII."""
SOUND_WHOLE = "typeof({0}) = 'integer'"
SOUND_SHARE = "{0} IS NULL OR typeof({0}) = 'real' AND {0} BETWEEN 0 AND 1"
SOUND_MOMENT = f"""typeof({{0}}) = 'text' AND {_BYTES} = 32
    AND {{0}} GLOB '2[0-9]{_DIGITS}-{_DIGITS}-{_DIGITS}T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].*+00:00'
    AND substr({{0}}, 21, 6) NOT GLOB '*[^0-9]*' AND substr({{0}}, 12, 2) < '24'
    AND substr({{0}}, 6, 2) BETWEEN '01' AND '12'
    AND substr({{0}}, 9, 2) BETWEEN '01' AND iif(substr({{0}}, 6, 2) = '02', '28', '30')"""
"""As :func:`~fetalstudio.project.store.storage.now` writes it, on nearly every day."""
SOUND_LENGTH = "typeof({0}) = 'real' AND abs({0}) < 1e300"
"""A number in px. Whether an ellipse is one is checked by its columns together."""


def sound_word(words: Collection[str]) -> str:
    """The SQL condition for one of ``words``."""
    return f"{{0}} IN ({', '.join(map(repr, words))})"
