"""Tables about frames: pixel sizes, ellipses, patients, labels. One row describes one frame."""

from __future__ import annotations

import contextlib
import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Affine, Size
from fetalstudio.core.growth import AGE_LABEL, age_text, parse_age
from fetalstudio.formats.pictures import stem_of
from fetalstudio.formats.subjects import subject_key
from fetalstudio.formats.tables import (
    TABLE_SUFFIXES,
    Table,
    TableRow,
    is_missing,
    read_header,
    read_table,
)

FILENAME, PIXEL_SIZE, HC = "filename", "pixel size(mm)", "head circumference (mm)"
HC18_HEADER = (FILENAME, PIXEL_SIZE, HC)
"""The columns of HC18's table, as its authors spell them."""
HC18_TABLE = "training_set_pixel_size_and_HC.csv"
"""The name of that table, also in folders that are not in the rest of the layout."""
ELLIPSE = ("cx", "cy", "a", "b", "angle_deg")
"""In px of the frame, the angle in degrees."""
SUBMISSION = ("center_x_mm", "center_y_mm", "semi_axes_a_mm", "semi_axes_b_mm", "angle_rad")
"""The ellipse's columns in a submission to the HC18 challenge: in mm from the first pixel, with
the angle in radians."""
SIZE = ("width", "height")
"""In px: of the frame that an ellipse was drawn on."""
SUBJECT = "subject"
"""Who the patient is: see :func:`~fetalstudio.formats.subjects.subject_key`."""
ELLIPSES_TABLE = "ellipses.csv"
"""Which of several tables of ellipses counts."""
LABELS = ("country", "quality", "scanner", "site", AGE_LABEL)
"""Columns whose text becomes a label of the frame. No others: they may say who the patient is."""

NOT_USED = " The table was not used."
"""How the message about a table that cannot be read ends."""
_COMPARED = {"pixel size": "calibration", "head circumference": "hc_mm", "patient": "subject"}
"""What two tables may not say differently, and the attribute of :class:`Row` that holds it."""
_ROUNDED = 0.01
"""Relative difference up to which two numbers say the same."""
_PATIENT = re.compile(
    "patien|pacien|pazien|subje|proband|mother|mutter|woman|fo?etus|person|hospital|accession",
    re.IGNORECASE,
)
"""What a column of patients may be called that is not among the usual ones."""
_MOST_FAULTS = 20
_NO_VALUES = frozenset({0, -1, -9, -99, -999, -9999})
"""Numbers that mark a missing size."""
_RADIANS = "angle_radians"
"""The angle of an ellipse in px, in place of ``angle_deg``."""
_BARE_ANGLE = "angle"
"""A column whose name does not say in which unit it is."""
_NUMBERS = (PIXEL_SIZE, HC, *ELLIPSE, _RADIANS, *SUBMISSION, *SIZE)
_SPELLINGS = {
    FILENAME: ("filename", "file", "image", "imagename", "imagefile", "name"),
    PIXEL_SIZE: ("pixelsizemm", "pixelsize", "mmperpx", "mmperpixel", "pixelspacingmm"),
    HC: ("headcircumferencemm", "headcircumference", "hcmm", "hc"),
    "angle_deg": ("angledeg", "angledegrees", "angledegree", "angle"),
    _RADIANS: ("anglerad", "angleradians", "angleradian"),
    SUBJECT: (
        *(
            who + what
            for who in ("subject", "subj", "patient", "pat", "participant", "case")
            for what in ("", "id", "no", "nr", "num", "number", "key", "code", "name", "identifier")
            if who + what not in ("case", "pat")
        ),
        *("pid", "ptid", "sid", "mrn", "studyid", "sub", "idpatient", "patientidentifier"),
        *(who + "id" for who in ("woman", "mother", "fetus", "foetus", "volunteer", "proband")),
        *("patientennummer", "patientennr", "patientenid", "patientin", "proband", "recordid"),
        *("paciente", "idpaciente", "pacienteid", "paziente", "idpaziente", "hospitalnumber"),
    ),
    AGE_LABEL: ("gestationalage", "gestage", "ga"),
    **{name: (name,) for name in (*ELLIPSE[:4], *SIZE, *LABELS[:-1])},
    **{name: (name.replace("_", ""),) for name in SUBMISSION},
}


@dataclass(frozen=True, slots=True)
class Row:
    """What a table says about one frame."""

    calibration: Calibration | None = None
    hc_mm: float | None = None
    ellipse: Ellipse | None = None
    size: Size | None = None
    """(width, height) of the frame that the ellipse was drawn on, where the table says it."""
    labels: Mapping[str, str] = field(default_factory=dict)
    subject: str | None = None
    ellipse_mm: Ellipse | None = None
    """As a submission to the HC18 challenge has it; :meth:`in_px` turns it into px."""

    def in_px(self) -> Ellipse | None:
        """The ellipse in px of the frame, where it is known, if need be by the pixel size."""
        if self.ellipse is not None or self.ellipse_mm is None or self.calibration is None:
            return self.ellipse
        calibration = self.calibration
        return self.ellipse_mm.transformed(
            Affine.scaling(1 / calibration.mm_per_px_x, 1 / calibration.mm_per_px_y)
        )


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row with its place in the file and the name as it is written there."""

    line: int
    name: str
    row: Row


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table, and what is wrong with those that were left out."""

    rows: list[NamedRow]
    """In the order of the file."""
    faults: list[InputError]
    """Each names the file, the line and the cause."""


def key_of(name: str) -> str:
    """What two spellings of a file's name share: neither case nor normal form counts, nor do spaces
    at its ends or invisible characters."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    return re.sub(r"\s+", " ", re.sub(r"\s+(?=\.[^.\s]*$)", "", seen)).strip()


def read_rows(path: Path, required: Sequence[str]) -> Rows:
    """Read the rows that can be used.

    Raises :class:`InputError`, naming the file and the cure, for a file that is no table or lacks a
    required column.
    """
    return rows_in(read_table(path), required)


def rows_in(table: Table, required: Sequence[str]) -> Rows:
    """As :func:`read_rows`, for a table that was read from another format."""
    where = table.columns(_SPELLINGS, once=_NUMBERS)
    missing = [name for name in required if name not in where]
    if missing:
        raise InputError(
            f"{table.path} lacks the column {' and '.join(map(repr, missing))}; its first "
            f"line is {', '.join(table.header)!r}. Add what is missing and try again."
        )
    for name in _half_an_ellipse(where):
        del where[name]
    numbers = table.numbers([where[name] for name in _NUMBERS if name in where])
    _check_angles(table, numbers, where)
    rows: list[NamedRow] = []
    faults = list(table.faults)
    for row, values in zip(table.rows, numbers, strict=True):
        try:
            if isinstance(values, InputError):
                raise values
            name = row.cells[where[FILENAME]]
            rows.append(NamedRow(row.line, name, _row(table, row, values, where)))
        except InputError as error:
            faults.append(error)
    return Rows(rows, faults)


def read_frame_table(
    path: Path, required: Sequence[str] = (FILENAME, PIXEL_SIZE)
) -> tuple[dict[str, Row], tuple[str, ...]]:
    """Read the rows by the key of the file's name, and a message for each that was left out.

    A name that is there twice with different values is left out. Raises :class:`InputError` as
    :func:`read_rows`.
    """
    found = read_rows(path, required)
    rows: dict[str, Row] = {}
    twice: set[str] = set()
    faults = list(found.faults)
    for item in found.rows:
        name = key_of(_last_part(item.name))
        if rows.setdefault(name, item.row) != item.row:
            twice.add(name)
            faults.append(
                InputError(
                    f"{path}, line {item.line}: {name} is there twice. Remove the wrong line."
                )
            )
    notes = tuple(f"{fault} The line was not used." for fault in faults[:_MOST_FAULTS])
    if len(faults) > _MOST_FAULTS:
        notes += (f"{path}: {len(faults) - _MOST_FAULTS} more lines were not used.",)
    return {name: row for name, row in rows.items() if name not in twice}, notes


def read_folder_tables(folder: Path, named: str) -> tuple[dict[str, Row], tuple[str, ...]]:
    """What the tables of a folder say by the key of the file's name, and a note for each table or
    line that was not used.

    One called ``named`` must have pixel sizes. Where several tables give the ellipses and none is
    called :data:`ELLIPSES_TABLE`, none of these is used.
    """
    rows: dict[str, Row] = {}
    notes: tuple[str, ...] = ()
    tables: dict[Path, frozenset[str]] = {}
    patients: dict[Path, str | None] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in TABLE_SUFFIXES or path.name.startswith((".", "~$")):
            continue
        try:
            header = read_header(path)
            tables[path] = frozenset(header.columns(_SPELLINGS))
            patients[path] = next((c for c in header.header if _PATIENT.search(c)), None)
        except InputError as error:
            notes += (f"{error}{NOT_USED}",)
    of_ellipses = [path for path, has in tables.items() if _gives_ellipses(has)]
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
                found, faults = read_frame_table(path, required)
            except InputError as error:
                notes += (f"{error}{NOT_USED}",)
                continue
            notes += faults
            if SUBJECT not in has and patients[path] is not None:
                notes += (
                    f"{path}: the column {patients[path]!r} was not used. If it says whose frame "
                    "it is, call it subject.",
                )
            if half := _half_an_ellipse(has):
                notes += (
                    f"{path}: of the ellipses' columns ({', '.join(ELLIPSE)}) it has only "
                    f"{', '.join(half)}, which {'was' if len(half) == 1 else 'were'} not used.",
                )
            for name, row in found.items():
                rows[name], unclear = agreed(rows.get(name, Row()), row)
                if unclear:
                    contradicted[path, unclear].append(name)
        else:
            notes += (
                f"{path} has neither a column {PIXEL_SIZE!r} nor the ellipses' columns "
                f"({', '.join(ELLIPSE)}) and was not used.",
            )
    notes += tuple(
        f"{path} gives another {what} for {some(names)} than a table beside it. It was not used. "
        "Correct one of the tables."
        for (path, what), names in contradicted.items()
    )
    return rows, notes


def unmatched(folder: Path, rows: Mapping[str, Row], frames: Iterable[Path]) -> tuple[str, ...]:
    """A note on the names in the tables of ``folder`` that none of the frames has."""
    names = {key_of(name) for path in frames for name in (path.name, stem_of(path))}
    absent = sorted(rows.keys() - names - {""})
    if not absent:
        return ()
    none = ", and nothing else" if len(absent) == len(rows) else ""
    return (
        f"The table in {folder} names {some(absent)}{none}: no such frame is there. The name in a "
        "table must be that of the file, with or without its ending.",
    )


def submitted(folder: Path) -> tuple[dict[str, Row], tuple[str, ...]]:
    """What the submissions to the HC18 challenge in a folder say, as :func:`read_folder_tables`."""
    rows: dict[str, Row] = {}
    notes: tuple[str, ...] = ()
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in TABLE_SUFFIXES or path.name.startswith("."):
            continue
        with contextlib.suppress(InputError):  # then it is no submission
            if read_header(path).columns(_SPELLINGS).keys() >= {FILENAME, *SUBMISSION}:
                found, faults = read_frame_table(path, (FILENAME, *SUBMISSION))
                notes += faults
                rows = {**rows, **{n: joined(rows.get(n, Row()), r) for n, r in found.items()}}
    return rows, notes


def some(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _gives_ellipses(has: frozenset[str]) -> bool:
    return (has | {"angle_deg"} if _RADIANS in has else has).issuperset(ELLIPSE)


def _half_an_ellipse(has: Iterable[str]) -> tuple[str, ...]:
    """The ellipses' columns of a table that lacks others of them: an angle alone may be one of the
    probe, and costs no line its pixel size."""
    columns = frozenset(has)
    return () if _gives_ellipses(columns) else tuple(n for n in ELLIPSE if n in columns)


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
    return Row(
        calibration=more.calibration or row.calibration,
        hc_mm=more.hc_mm or row.hc_mm,
        ellipse=more.ellipse or row.ellipse,
        size=more.size or row.size,
        labels={**row.labels, **more.labels},
        subject=more.subject or row.subject,
        ellipse_mm=more.ellipse_mm or row.ellipse_mm,
    )


def _row(table: Table, row: TableRow, values: Mapping[int, float], where: Mapping[str, int]) -> Row:
    numbers = {name: values[i] for name, i in where.items() if i in values}
    texts = {name: row.cells[i] for name, i in where.items() if not is_missing(row.cells[i])}
    try:
        pixel_size = _above_zero(PIXEL_SIZE, numbers)
        if _RADIANS in numbers and not numbers.keys().isdisjoint(ELLIPSE):
            numbers = {"angle_deg": math.degrees(numbers[_RADIANS])} | numbers
        ellipse, size = _all_or_none(ELLIPSE, numbers), _all_or_none(SIZE, numbers)
        # An angle in radians may be that of an ellipse in px.
        lengths_in_mm = not numbers.keys().isdisjoint(SUBMISSION[:-1])
        in_mm = _all_or_none(SUBMISSION, numbers) if lengths_in_mm else None
        if ellipse and len(set(ellipse)) == 1 and ellipse[0] in _NO_VALUES:
            ellipse = None
        return Row(
            calibration=Calibration(pixel_size, pixel_size, "table") if pixel_size else None,
            hc_mm=_above_zero(HC, numbers),
            ellipse=Ellipse.of(*ellipse) if ellipse else None,
            size=(_whole(size[0]), _whole(size[1])) if size else None,
            labels={name: _label(name, texts[name]) for name in LABELS if name in texts},
            subject=subject_key(texts[SUBJECT]) if SUBJECT in texts else None,
            ellipse_mm=_in_degrees(*in_mm) if in_mm else None,
        )
    except ValueError as error:
        raise table.error(row.line, error) from error


def _check_angles(
    table: Table, numbers: Sequence[Mapping[int, float] | InputError], where: Mapping[str, int]
) -> None:
    """Raise :class:`InputError` where angles could be in degrees as well as in radians."""
    column = where.get("angle_deg")
    if column is None or table.header[column].strip().lower() != _BARE_ANGLE:
        return
    angles = [row[column] for row in numbers if not isinstance(row, InputError) and column in row]
    if angles and any(angles) and max(map(abs, angles)) <= 2 * math.pi:
        raise InputError(
            f"{table.path}: the angles may be in degrees or in radians. Call the column angle_deg "
            "or angle_rad."
        )


def _last_part(name: str) -> str:
    """The file's name in a path of any system."""
    return re.split(r"[/\\]", name)[-1]


def _label(name: str, text: str) -> str:
    return age_text(parse_age(text)) if name == AGE_LABEL else text


def _in_degrees(cx: float, cy: float, a: float, b: float, angle_rad: float) -> Ellipse:
    return Ellipse.of(cx, cy, a, b, math.degrees(angle_rad))


def _all_or_none(names: Sequence[str], numbers: Mapping[str, float]) -> list[float] | None:
    given = [name for name in names if name in numbers]
    if given and len(given) < len(names):
        lacking = ", ".join(name for name in names if name not in given)
        raise ValueError(f"it has {', '.join(given)} but not {lacking}")
    return [numbers[name] for name in names] if given else None


def _above_zero(name: str, numbers: Mapping[str, float]) -> float | None:
    value = numbers.get(name)
    if value in _NO_VALUES:
        return None
    if value is not None and not value > 0:
        raise ValueError(f"{name} is {value:g}, which is not above 0")
    return value


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value:g} is not a whole number of pixels")
    return int(value)
