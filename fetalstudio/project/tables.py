"""Tables of pixel sizes: a CSV file beside the frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import BadInput

FILENAME, PIXEL_SIZE, HC = "filename", "pixel size(mm)", "head circumference (mm)"
HC18_HEADER = (FILENAME, PIXEL_SIZE, HC)
"""The columns of HC18's table, as its authors spell them."""

_SPELLINGS = {
    FILENAME: ("filename", "file", "image", "imagename"),
    PIXEL_SIZE: ("pixelsizemm", "pixelsize", "mmperpx", "mmperpixel", "pixelspacingmm"),
    HC: ("headcircumferencemm", "headcircumference", "hcmm", "hc"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says about one frame."""

    calibration: Calibration | None
    hc_mm: float | None


def columns(path: Path) -> frozenset[str]:
    """Which of :data:`HC18_HEADER` the table has, under whatever spelling."""
    return frozenset(_columns(_lines(path)[0]))


def read_table(path: Path, *, required: tuple[str, ...] = (FILENAME, PIXEL_SIZE)) -> dict[str, Row]:
    """The rows by file name in lower case. Comma or semicolon, decimal point or comma.

    Raises :class:`BadInput`, naming the file, the line and the cure, for a table that cannot be
    read, lacks a required column, holds something else than numbers, or contradicts itself.
    """
    lines = _lines(path)
    where = _columns(lines[0])
    missing = [name for name in required if name not in where]
    if missing:
        raise BadInput(
            f"{path} lacks the column {' and '.join(repr(name) for name in missing)}; "
            f"its first line is {', '.join(lines[0])!r}. Add what is missing and import again."
        )
    rows: dict[str, Row] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(lines[0]):
            raise BadInput(f"{path}, line {number}: cells are missing. Correct it, import again.")
        name = cells[where[FILENAME]].strip().lower()
        row = _row(path, number, cells, where)
        if rows.setdefault(name, row) != row:
            raise BadInput(f"{path}, line {number}: {name} is there twice. Remove the wrong line.")
    return rows


def _row(path: Path, number: int, cells: list[str], where: Mapping[str, int]) -> Row:
    pixel_size = _number(path, number, cells, where.get(PIXEL_SIZE))
    hc_mm = _number(path, number, cells, where.get(HC))
    try:
        calibration = pixel_size and Calibration(pixel_size, pixel_size, "table")
    except ValueError as error:
        raise BadInput(f"{path}, line {number}: {error}. Correct it, import again.") from error
    return Row(calibration or None, hc_mm)


def _number(path: Path, number: int, cells: list[str], index: int | None) -> float | None:
    text = "" if index is None else cells[index].strip()
    if not text:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError as error:
        raise BadInput(
            f"{path}, line {number}: {text!r} is not a number. Correct it, import again."
        ) from error
    if not value > 0:
        raise BadInput(f"{path}, line {number}: {text} is not above 0. Correct it, import again.")
    return value


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} is not a table in CSV, UTF-8. Save it again as one.") from error
    if not lines:
        raise BadInput(f"{path} is empty. Copy it again, or remove it to import without it.")
    return lines


def _columns(header: list[str]) -> dict[str, int]:
    plain = ["".join(c for c in cell.lower() if c.isalnum()) for cell in header]
    found = {}
    for name, spellings in _SPELLINGS.items():
        places = [i for i, cell in enumerate(plain) if cell in spellings]
        if places:
            found[name] = places[0]
    return found
