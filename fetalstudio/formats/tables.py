"""Tables beside the frames (CSV): pixel sizes, ellipses, labels."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError

FILENAME, PIXEL_SIZE, HC = "filename", "pixel size(mm)", "head circumference (mm)"
HC18_HEADER = (FILENAME, PIXEL_SIZE, HC)
"""The columns of HC18's table, as its authors spell them."""
ELLIPSE = ("cx", "cy", "a", "b", "angle_deg")
"""In px of the frame, the angle in degrees."""
SIZE = ("width", "height")
"""In px: of the frame that an ellipse was drawn on."""
SUBJECT = "subject"
"""Who the patient is: hashed, as it may be a name or a hospital's number."""
ELLIPSES_TABLE = "ellipses.csv"
"""Which of several tables of ellipses counts."""
LABELS = ("country", "quality", "scanner", "site")
"""Columns whose text becomes a label of the frame. No others: they may say who the patient is."""

_SPELLINGS = {
    FILENAME: ("filename", "file", "image", "imagename", "name"),
    PIXEL_SIZE: ("pixelsizemm", "pixelsize", "mmperpx", "mmperpixel", "pixelspacingmm"),
    HC: ("headcircumferencemm", "headcircumference", "hcmm", "hc"),
    "angle_deg": ("angledeg", "angle"),
    SUBJECT: ("subject", "subjectid", "patient", "patientid"),
    **{name: (name,) for name in (*ELLIPSE[:4], *SIZE, *LABELS)},
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says about one frame."""

    calibration: Calibration | None = None
    hc_mm: float | None = None
    ellipse: Ellipse | None = None
    size: tuple[int, int] | None = None
    """(width, height) of the frame that the ellipse was drawn on, if it is told."""
    labels: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None


def columns(path: Path) -> frozenset[str]:
    """Which of the columns named above the table has, under whatever spelling."""
    return frozenset(_columns(_lines(path)[0]))


def read_table(path: Path, *, required: tuple[str, ...] = (FILENAME, PIXEL_SIZE)) -> dict[str, Row]:
    """The rows by file name in lower case. Comma or semicolon, decimal point or comma.

    Raises :class:`InputError`, naming the file, the line and the cure, for a table that cannot be
    read, lacks a required column, holds something else than numbers, or contradicts itself.
    """
    lines = _lines(path)
    where = _columns(lines[0])
    missing = [name for name in required if name not in where]
    if missing:
        raise InputError(
            f"{path} lacks the column {' and '.join(repr(name) for name in missing)}; "
            f"its first line is {', '.join(lines[0])!r}. Add what is missing and import again."
        )
    rows: dict[str, Row] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) < len(lines[0]):
            raise InputError(f"{path}, line {number}: cells are missing. Correct it, import again.")
        name = cells[where[FILENAME]].strip().lower()
        row = _row(path, number, cells, where)
        if rows.setdefault(name, row) != row:
            raise InputError(
                f"{path}, line {number}: {name} is there twice. Remove the wrong line."
            )
    return rows


def read_tables(folder: Path, named: str) -> tuple[dict[str, Row], tuple[str, ...]]:
    """What the tables of a folder say, and a note for each table that was not used.

    One called ``named`` must have pixel sizes. Raises :class:`InputError` as :func:`read_table`,
    and where several tables give the ellipses.
    """
    rows: dict[str, Row] = {}
    notes: tuple[str, ...] = ()
    tables = {path: columns(path) for path in sorted(folder.glob("*.[cC][sS][vV]"))}
    of_ellipses = [path for path, has in tables.items() if has.issuperset(ELLIPSE)]
    chosen = [p for p in of_ellipses if p.name.lower() == ELLIPSES_TABLE] or of_ellipses
    if len(chosen) > 1:
        raise InputError(
            f"{some([str(p) for p in chosen])} each give the ellipses. "
            f"Keep one, or call it {ELLIPSES_TABLE}."
        )
    for path, has in tables.items():
        if path in of_ellipses and path not in chosen:
            notes += (f"{path} was not used: {chosen[0].name} gives the ellipses.",)
        elif path in chosen or _tells(has) or path.name == named:
            required = (FILENAME, PIXEL_SIZE) if path.name == named else (FILENAME,)
            for name, row in read_table(path, required=required).items():
                rows[name] = _joined(rows.get(name, Row()), row)
        else:
            notes += (
                f"{path} has neither a column {PIXEL_SIZE!r} nor the ellipses' columns "
                f"({', '.join(ELLIPSE)}) and was not used.",
            )
    return rows, notes


def unmatched(folder: Path, rows: Mapping[str, Row], frames: Iterable[Path]) -> tuple[str, ...]:
    """A note on the names in the tables of ``folder`` that none of the frames has."""
    names = {name for path in frames for name in (path.name.lower(), path.stem.lower())}
    absent = sorted(rows.keys() - names - {""})
    if not absent:
        return ()
    none = ", and nothing else" if len(absent) == len(rows) else ""
    return (
        f"The table in {folder} names {some(absent)}{none}: no such frame is there. A name is that "
        "of the file, with or without its ending.",
    )


def _tells(has: frozenset[str]) -> bool:
    return PIXEL_SIZE in has or (FILENAME in has and not has.isdisjoint({*LABELS, SUBJECT}))


def _joined(row: Row, more: Row) -> Row:
    """What two tables say about a frame; the second counts where both say it."""
    return Row(
        calibration=more.calibration or row.calibration,
        hc_mm=more.hc_mm or row.hc_mm,
        ellipse=more.ellipse or row.ellipse,
        size=more.size or row.size,
        labels={**row.labels, **more.labels},
        subject=more.subject or row.subject,
    )


def some(names: list[str]) -> str:
    """Up to three names, and how many more."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _row(path: Path, number: int, cells: list[str], where: Mapping[str, int]) -> Row:
    texts = {name: cells[index].strip() for name, index in where.items()}
    try:
        pixel_size = _above_zero(texts.get(PIXEL_SIZE, ""))
        return Row(
            calibration=Calibration(pixel_size, pixel_size, "table") if pixel_size else None,
            hc_mm=_above_zero(texts.get(HC, "")),
            ellipse=_ellipse([texts.get(name, "") for name in ELLIPSE]),
            size=_size([texts.get(name, "") for name in SIZE]),
            labels={name: texts[name] for name in LABELS if texts.get(name)},
            subject=_hashed(texts[SUBJECT]) if texts.get(SUBJECT) else None,
        )
    except ValueError as error:
        raise InputError(f"{path}, line {number}: {error}. Correct it, import again.") from error


def _ellipse(texts: list[str]) -> Ellipse | None:
    return Ellipse.of(*map(_number, texts)) if all(texts) else None


def _size(texts: list[str]) -> tuple[int, int] | None:
    return (int(_number(texts[0])), int(_number(texts[1]))) if all(texts) else None


def _hashed(subject: str) -> str:
    return f"subject-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"


def _above_zero(text: str) -> float | None:
    if not text:
        return None
    value = _number(text)
    if not value > 0:
        raise ValueError(f"{text} is not above 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        first = text.split("\n", 1)[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a table in CSV, UTF-8. Save it again as one.") from error
    if not lines:
        raise InputError(f"{path} is empty. Copy it again, or remove it to import without it.")
    return lines


def _columns(header: list[str]) -> dict[str, int]:
    plain = ["".join(c for c in cell.lower() if c.isalnum()) for cell in header]
    found = {}
    for name, spellings in _SPELLINGS.items():
        places = [i for i, cell in enumerate(plain) if cell in spellings]
        if places:
            found[name] = places[0]
    return found
