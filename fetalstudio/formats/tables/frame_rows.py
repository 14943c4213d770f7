"""The rows of a table about frames: what it says of each, and what of it cannot be used."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.growth import AGE_LABEL, age_text, parse_age
from fetalstudio.core.words import counted
from fetalstudio.formats.privacy.subjects import (
    is_pseudonym,
    nearly_equal,
    subject_key,
    written_alike,
)
from fetalstudio.formats.tables.frame_columns import (
    ANGLE_RAD,
    ANGLES,
    ELLIPSE,
    FILENAME,
    HC,
    HC_CM,
    LABELS,
    NUMBERS,
    PIXEL_SIZE_X,
    PIXEL_SIZE_Y,
    PIXEL_SIZES,
    SIZE,
    SUBJECT,
    SUBMISSION,
    UNIT,
    Axes,
    Columns,
    Lengths,
    Unit,
    columns_of,
    known_columns,
    unit_in,
)
from fetalstudio.formats.tables.table_files import (
    Table,
    TableRow,
    is_missing,
    plain,
    read_table,
)
from fetalstudio.formats.tables.table_meanings import in_px

_PATIENT = re.compile(
    "patien|pacien|pazien|pacjen|subje|proband|mother|mutter|woman|fo?etus|person|hospital"
    "|accession|volunteer|pregnan|hasta|prontu|пациен|истори.*болезни|患者|病人|환자|ασθεν|מטופל|مريض",
    re.IGNORECASE,
)
"""What a column of patients may be called that is not among the usual ones."""
_GROUP = re.compile(
    "(?!.*(?:site|scanner|device|machine|probe|operator|reader|observer|annotator|class|label|image"
    "|frame|file|slice))(?:.*(?:id|no|nr|number|key|code|name|nombre|uid)|.*(?:case|exam|stud).*"
    "|(?:record|dossier|cartella|visit|series|video|clip|cine|loop|sequence).*"
    "|(?:individual|client|donor|ssn|cpr).*)"
)
"""What a column may be called, plainly, that says whose frame it is where its texts recur."""
_SCALE = re.compile(
    r"(?:mm|cm|[uµ]m).*(?:px|pix)|(?:px|pix).*(?:mm|cm|[uµ]m)|spacing|resolu|auflös|calib|kalib"
    "|scal[ei]|maßstab|échelle|escala|разреш|масштаб",
    re.IGNORECASE,
)
"""What a column of pixel sizes may be called that is not among the usual ones."""
_NOBODY = re.compile(r"anon(?:ym\w*)?|de-?identified|withheld|removed|x{3,}|-9+|-1", re.IGNORECASE)
_NO_VALUES = frozenset({0, -1, -9, -99, -999, -9999})
"""Numbers that mark a missing size."""
_MOST_RADIANS = 4 * math.pi
_BARE_ANGLES = frozenset(map(plain, ANGLES))
"""Columns whose names do not say in which unit they are."""
_MOST_HC = 500
"""mm: larger ones are no head circumferences, but numbers of patients (historia clínica)."""
_UNITS = {HC: ("mm",), HC_CM: ("cm",), "angle_deg": ("°", "deg", "degrees")} | dict.fromkeys(
    (*ELLIPSE[:4], *SIZE), ("px", "pix", "pixel", "pixels")
)
"""What may follow a number."""
_SIDE = r"['\"]?\s{{0,9}}(?P<{}>\d{{0,9}}[.,]?\d{{1,20}})\s{{0,9}}['\"]?"
_PAIR = re.compile(
    rf"(?P<list>[\[(])?{_SIDE.format('one')}\s{{0,9}}(?(list)[\\x,;\s]|[\\x])\s{{0,9}}"
    rf"{_SIDE.format('other')}(?(list)[\])])"
)
"""A pixel size as that of rows and columns, as DICOM and programs that read it write it."""
_MM = ("mm/px", "mm/pixel", "mm per px", "mm per pixel", "mm")


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
    axes: Axes | None = None
    """Where the table has the lengths of the ellipse."""
    name: str = field(default="", compare=False)
    """The file's name as the table writes it, for messages."""

    def in_px(self) -> Ellipse | None:
        """The ellipse in px of the frame, where it is known, if need be by the pixel size."""
        if self.ellipse is not None or self.ellipse_mm is None or self.calibration is None:
            return self.ellipse
        return in_px(self.ellipse_mm, self.calibration)


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
    notes: tuple[str, ...] = ()
    """What else of the table was not used."""


def read_rows(path: Path, required: Sequence[str]) -> Rows:
    """Read the rows that can be used.

    Raises :class:`InputError`, naming the file and the cure, for a file that is no table or lacks a
    required column.
    """
    return rows_in(read_table(path, known_columns), required)


def rows_in(table: Table, required: Sequence[str]) -> Rows:
    """As :func:`read_rows`, for a table that was read from another format."""
    columns = columns_of(table, once=(*PIXEL_SIZES, *NUMBERS))
    where = columns.where
    missing = [name for name in required if name not in columns.names]
    if missing:
        raise InputError(
            f"{table.path} lacks the column {' and '.join(map(repr, missing))}; its first "
            f"line is {', '.join(table.header)!r}. Add what is missing and try again."
        )
    for name in (*half_an_ellipse(where), *_half(where, SIZE), *_half(where, PIXEL_SIZES[1:])):
        del where[name]
    table, columns = _with_units(table, columns)
    table, unequal = _with_single_sizes(table, [where[n] for n in PIXEL_SIZES if n in where])
    units = {where[name]: known for name, known in _UNITS.items() if name in where}
    sizes = {name: unit for name, unit in columns.units.items() if name in where}
    units |= {where[name]: _MM for name, unit in sizes.items() if unit in (None, Unit(1))}
    used = [where[name] for name in (*PIXEL_SIZES, *NUMBERS) if name in where]
    numbers = [
        unequal.get(row.line, found)
        for row, found in zip(table.rows, table.numbers(used, units), strict=True)
    ]
    columns = _with_angles(table, numbers, columns)
    notes = _notes(table, where, numbers)
    if (no_hc := _no_hc(table, where, numbers)) is not None:
        notes += (no_hc,)
        for found in numbers:
            if not isinstance(found, InputError):
                found.pop(where[HC], None)
    rows: list[NamedRow] = []
    faults = list(table.faults)
    for row, values in zip(table.rows, numbers, strict=True):
        try:
            if isinstance(values, InputError):
                raise values
            name = row.cells[where[FILENAME]]
            rows.append(NamedRow(row.line, name, _row(table, row, values, columns)))
        except InputError as error:
            faults.append(error)
    return Rows(rows, faults, notes)


def _with_units(table: Table, columns: Columns) -> tuple[Table, Columns]:
    """The table without a line of units below the header, and the columns with these units.

    Raises :class:`InputError` where the line states another unit than the header.
    """
    where = columns.where
    sizes = [name for name in PIXEL_SIZES if name in where]
    if not table.rows or not sizes or not is_missing(table.rows[0].cells[where[FILENAME]]):
        return table, columns
    cells = table.rows[0].cells
    stated = {name: unit_in(cells[where[name]].strip("[]()")) for name in sizes}
    if None in stated.values():
        return table, columns
    for name, unit in stated.items():
        if columns.units[name] not in (None, unit):
            raise table.error(
                table.rows[0].line,
                f"the unit of {table.header[where[name]]!r} is {cells[where[name]]!r} here",
            )
    return replace(table, rows=table.rows[1:]), replace(columns, units=stated)


def _with_single_sizes(
    table: Table, columns: Sequence[int]
) -> tuple[Table, Mapping[int, InputError]]:
    """The table with one number for a pixel size that is written as that of rows and columns, such
    as ``[0.2, 0.2]``; and by line what is wrong with one whose numbers differ."""
    rows: list[TableRow] = []
    unequal: dict[int, InputError] = {}
    for row in table.rows:
        cells = list(row.cells)
        for i in columns:
            pair = _PAIR.fullmatch(cells[i].strip())
            if pair is None:
                continue
            if pair["one"] != pair["other"]:
                cause = (
                    f"{cells[i]!r} states two sides of a pixel; write them into columns of their "
                    f"own, {PIXEL_SIZE_X} and {PIXEL_SIZE_Y}"
                )
                unequal.setdefault(row.line, table.error(row.line, cause))
            cells[i] = pair["one"]
        rows.append(replace(row, cells=tuple(cells)))
    return replace(table, rows=tuple(rows)), unequal


def _notes(
    table: Table, where: Mapping[str, int], numbers: Sequence[Mapping[int, float] | InputError]
) -> tuple[str, ...]:
    """What a person should know about the columns."""
    notes: tuple[str, ...] = ()
    for i in (where[name] for name in PIXEL_SIZES if name in where):
        sizes = {row[i] for row in numbers if not isinstance(row, InputError) and i in row}
        if sizes == {0}:
            notes += (
                f"{table.path}: every number in the column {table.header[i]!r} is 0, and none was "
                "used. If the table has decimal commas, save it with semicolons between the cells.",
            )
    if AGE_LABEL in where and (no_ages := _no_ages(table, where[AGE_LABEL])) is not None:
        notes += (no_ages,)
    unused = [i for i in range(len(table.header)) if i not in where.values()]
    if where.keys().isdisjoint(PIXEL_SIZES):
        scales = [i for i in unused if _SCALE.search(table.header[i]) and _are_fractions(table, i)]
        notes += tuple(
            f"{table.path}: the column {table.header[i]!r} was not used. If it says how large a "
            "pixel is, name its unit in the header, as in pixel size(mm) or pixels per mm."
            for i in scales
        )
    if SUBJECT not in where:
        named = [i for i in unused if _PATIENT.search(table.header[i])]
        named += [i for i in unused if _GROUP.fullmatch(plain(table.header[i]))]
        for i in [i for i in named if _recurs(table, i) or _PATIENT.search(table.header[i])][:1]:
            notes += (
                f"{table.path}: the column {table.header[i]!r} was not used. If it says whose "
                "frame it is, call it subject.",
            )
        return notes
    at = where[SUBJECT]
    blank = [row.cells[where[FILENAME]] for row in table.rows if no_subject(row.cells[at])]
    if 0 < len(blank) < len(table.rows):
        notes += (
            f"{table.path}: the column {table.header[at]!r} says nothing about {some(blank)}. "
            "If a cell above counts for the cells below it, fill them in.",
        )
    line_of = {row.cells[at]: row.line for row in reversed(table.rows)}
    hashed = [t for t in line_of if not no_subject(t) and not is_pseudonym(t)]
    return notes + tuple(
        written_alike(f"lines {some([str(line_of[t]) for t in texts])} in {table.path}")
        for texts in nearly_equal(hashed)
    )


def _no_hc(
    table: Table, where: Mapping[str, int], numbers: Sequence[Mapping[int, float] | InputError]
) -> str | None:
    """What is said where a column that is called like the circumference holds no lengths."""
    found = [] if HC not in where else _in_column(numbers, where[HC])
    if not found or min(found) <= _MOST_HC:
        return None
    return (
        f"{table.path}: the numbers in the column {table.header[where[HC]]!r} are no head "
        "circumferences in mm, and were not used. If they say whose frame it is, call it subject."
    )


def _are_fractions(table: Table, column: int) -> bool:
    """Whether a column holds numbers above 0 that are not all whole, as sizes of pixels are."""
    texts = [row.cells[column] for row in table.rows if not is_missing(row.cells[column])]
    try:
        found = [float(text.replace(",", ".")) for text in texts]
    except ValueError:
        return False
    return any(value % 1 for value in found) and min(found) > 0


def _recurs(table: Table, column: int) -> bool:
    texts = [row.cells[column] for row in table.rows if not is_missing(row.cells[column])]
    return 1 < len(set(texts)) < len(texts)


def no_subject(text: str) -> bool:
    """Whether a cell names no patient: it is empty, a mark, or says that she is anonymous."""
    return is_missing(text) or _NOBODY.fullmatch(text.strip()) is not None


def some(names: Sequence[str]) -> str:
    """Up to three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def gives_ellipses(has: frozenset[str]) -> bool:
    """Whether a table with these columns gives whole ellipses."""
    return (has | {"angle_deg"} if ANGLE_RAD in has else has).issuperset(ELLIPSE)


def _half(has: Iterable[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Those of the wanted columns that a table has, where it lacks others of them."""
    columns = frozenset(has)
    return () if columns.issuperset(wanted) else tuple(n for n in wanted if n in columns)


def half_an_ellipse(has: Iterable[str]) -> tuple[str, ...]:
    """The ellipses' columns of a table that lacks others of them: an angle alone may be one of the
    probe, and costs no line its pixel size."""
    columns = frozenset(has)
    return () if gives_ellipses(columns) else tuple(n for n in ELLIPSE if n in columns)


def _row(table: Table, row: TableRow, values: Mapping[int, float], columns: Columns) -> Row:
    where = columns.where
    numbers = {name: values[i] for name, i in where.items() if i in values}
    texts = {name: row.cells[i] for name, i in where.items() if not is_missing(row.cells[i])}
    try:
        unit = texts.get(UNIT)
        sizes = [_pixel_size(name, numbers, columns, unit) for name in PIXEL_SIZES]
        x, y = sizes[0] or sizes[1], sizes[0] or sizes[2]
        if ANGLE_RAD in numbers and not numbers.keys().isdisjoint(ELLIPSE):
            numbers = {"angle_deg": math.degrees(numbers[ANGLE_RAD])} | numbers
        ellipse, size = _all_or_none(ELLIPSE, numbers), _all_or_none(SIZE, numbers)
        # An angle in radians may be that of an ellipse in px.
        lengths_in_mm = not numbers.keys().isdisjoint(SUBMISSION[:-1])
        in_mm = _all_or_none(SUBMISSION, numbers) if lengths_in_mm else None
        if ellipse and len(set(ellipse)) == 1 and ellipse[0] in _NO_VALUES:
            ellipse = None
        axes = columns.axes if ellipse else None
        if ellipse and axes is not None and axes.lengths is Lengths.DIAMETERS:
            ellipse[2:4] = ellipse[2] / 2, ellipse[3] / 2
        if in_mm and axes is None:
            headers = table.header[where[SUBMISSION[2]]], table.header[where[SUBMISSION[3]]]
            axes = Axes(table.path, headers, Lengths.SEMI_AXES)
        return Row(
            calibration=Calibration(x, y, "table") if x and y else None,
            hc_mm=_circumference(numbers),
            ellipse=Ellipse.of(*ellipse) if ellipse else None,
            size=(_whole(size[0]), _whole(size[1])) if size else None,
            labels=_labels(texts),
            subject=None if no_subject(texts.get(SUBJECT, "")) else subject_key(texts[SUBJECT]),
            ellipse_mm=_in_degrees(*in_mm) if in_mm else None,
            axes=axes,
        )
    except ValueError as error:
        raise table.error(row.line, error) from error


def _with_angles(
    table: Table, numbers: Sequence[Mapping[int, float] | InputError], columns: Columns
) -> Columns:
    """The columns, with what the angles say of their unit. Raises :class:`InputError` where they
    could be in degrees as well as in radians."""
    in_rad = columns.where.get(ANGLE_RAD)
    if in_rad is not None and max(_in_column(numbers, in_rad), default=0.0) > _MOST_RADIANS:
        raise InputError(
            f"{table.path}: the angles in {table.header[in_rad]!r} are too large to be in radians. "
            "If they are in degrees, call the column angle_deg."
        )
    column = columns.where.get("angle_deg")
    angles = [] if column is None else _in_column(numbers, column)
    if column is None or not any(angles) or max(angles) > 2 * math.pi:
        return columns
    if plain(table.header[column]) in _BARE_ANGLES:
        raise InputError(
            f"{table.path}: the angles may be in degrees or in radians. Call the column angle_deg "
            "or angle_rad."
        )
    axes = None if columns.axes is None else replace(columns.axes, small_angles=True)
    return replace(columns, axes=axes)


def _in_column(numbers: Sequence[Mapping[int, float] | InputError], column: int) -> list[float]:
    """The absolute values of the numbers in a column."""
    return [abs(r[column]) for r in numbers if not isinstance(r, InputError) and column in r]


def _labels(texts: Mapping[str, str]) -> Mapping[str, str]:
    """The labels of a row. An age that cannot be read is left out; see :func:`_no_ages`."""
    labels = {name: texts[name] for name in LABELS if name in texts}
    if (age := labels.pop(AGE_LABEL, None)) is not None:
        with suppress(ValueError):
            labels[AGE_LABEL] = age_text(parse_age(age))
    return labels


def _no_ages(table: Table, column: int) -> str | None:
    """What is said where gestational ages cannot be read. They cost no line its other cells."""
    unread: list[tuple[int, ValueError]] = []
    for row in table.rows:
        text = row.cells[column]
        try:
            if not is_missing(text):
                parse_age(text)
        except ValueError as error:
            unread.append((row.line, error))
    if not unread:
        return None
    line, why = unread[0]
    more = f", nor were those of {counted(len(unread) - 1, 'more line')}" if unread[1:] else ""
    return f"{table.path}, line {line}: {why}. The age was not used{more}."


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


def _circumference(numbers: Mapping[str, float]) -> float | None:
    """In mm, where the row gives it."""
    in_mm, in_cm = _above_zero(HC, numbers), _above_zero(HC_CM, numbers)
    return in_mm if in_mm is not None or in_cm is None else 10 * in_cm


def _pixel_size(
    name: str, numbers: Mapping[str, float], columns: Columns, stated: str | None
) -> float | None:
    """In mm, where the row gives it. ``stated`` is the unit in a cell of its own."""
    value = _above_zero(name, numbers)
    if value is None:
        return None
    unit = columns.units[name]
    if unit is None and stated is not None:
        unit = unit_in(stated)
        if unit is None:
            raise ValueError(f"the unit {stated!r} of the pixel size is not known; state it in mm")
    return value if unit is None else unit.in_mm(value)


def _whole(value: float) -> int:
    if value != int(value):
        raise ValueError(f"{value:g} is not a whole number of pixels")
    return int(value)
