"""The table of ellipses that a batch can be made from."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.engine.jobs.synthesize.request import NamedEllipse

COLUMNS = ("name", "cx", "cy", "a", "b", "angle_deg", "width", "height")


def read_ellipses(path: Path) -> tuple[NamedEllipse, ...]:
    """Read ``name,cx,cy,a,b,angle_deg,width,height`` (px, degrees), one ellipse a row.

    Raises :class:`InputError` that names the file, the line and the cure.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV table in UTF-8: {error}. Save it as CSV.") from error
    if not rows:
        raise InputError(f"{path} holds no ellipses. It needs the columns {','.join(COLUMNS)}.")
    missing = [c for c in COLUMNS if c not in rows[0]]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}. It needs {','.join(COLUMNS)}."
        )
    named = tuple(_row(path, number, row) for number, row in enumerate(rows, start=2))
    name, times = Counter(item.name for item in named).most_common(1)[0]
    if times > 1:
        raise InputError(f"{path} names {name} {times} times. Each row needs a name of its own.")
    return named


def _row(path: Path, number: int, row: dict[str, str]) -> NamedEllipse:
    name = (row["name"] or "").strip()
    if not re.fullmatch(r"[\w.-]+", name) or name.startswith("."):
        raise InputError(
            f"{path}, line {number}: the name {name!r} cannot be a file's name. "
            "Use letters, digits, '-', '_' and '.'."
        )
    try:
        values = [float(row[c]) for c in COLUMNS[1:6]]
        size = int(row["width"]), int(row["height"])
        return NamedEllipse(name, Ellipse.of(*values), size)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}, line {number}: {error}. Correct the row.") from error
