"""Tables: the one reader and the one writer of the program.

The reader takes workbooks (XLSX), and what spreadsheets and programs write as CSV: commas,
semicolons, tabs or bars between cells, a decimal point or comma, UTF or an older encoding, any
line end, quoted cells, blank lines, lines above the header, a first line ``sep=;`` and marks for
missing values. It refuses a row that could be read in two ways.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.tables import workbooks

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".tab"}) | workbooks.SUFFIXES
"""File name endings (lower case) that are taken for tables."""
TEXT_SUFFIXES = frozenset({".txt", ".dat"})
"""Those of text files, which may be tables too."""

MAX_BYTES = 32 * 2**20
MAX_ROWS, MAX_CELLS = 500_000, 1_000
"""Of a table, and of a row of it: what is larger takes gigabytes, and is no list of frames."""

_MISSING = frozenset(
    {"", "na", "n/a", "#n/a", "n.a.", "n.a", "<na>", "nan", "null", "(null)", "\\n", "none", "nil"}
    | {"missing", "unknown", "unk", "undefined", "nd", "n.d.", "n.d", "n/d", "s/d", "k.a.", "k. a."}
    | {"not available", "not applicable", "not measured", "not done", "no data", "tbd"}
    | {"not recorded", "not known", "uncalibrated", "unbekannt", "nicht bekannt", "keine angabe"}
    | {"desconocido", "desconocida", "no disponible", "sin dato", "sin datos", "no aplica"}
    | {"inconnu", "inconnue", "non disponible", "sconosciuto", "desconhecido", "onbekend"}
    | {"nieznany", "brak", "bilinmiyor", "неизвестно", "не известно", "неизв.", "не изв."}
    | {"нет данных", "нет", "н/д", "未知", "无", "無", "不明", "なし", "없음"}
    | {"#value!", "#div/0!", "#ref!", "#name?", "#num!", "#null!"}
    | {"-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", "?", "."}
)
"""What a cell without a value may hold, in lower case."""

_USUAL_MARK = {",": ".", ";": ",", "\t": ".", "|": "."}
"""Cell delimiters, and the decimal mark that usually goes with each."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that spreadsheets run, or that would be read as a marked one."""
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
"""How Excel is made to leave a text as it is."""
_RULE = re.compile(r":?-+:?")
"""A cell of the line below the header in Markdown."""
_OLD_ENCODINGS = (
    "cp1252",
    "cp1251",
    "cp932",
    "gb18030",
    "euc-kr",
    "mac-roman",
    "cp866",
    "cp850",
    "latin-1",
)
"""Tried where a table is not in UTF, the likeliest first; the last takes any bytes."""
_HAS_WORDS = re.compile(rb"[^\d\s.,;|eE+-]")
_MOST_ABOVE = 30
"""Lines among which the header is looked for."""
_MAYBE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)


Known = Callable[[Sequence[str]], int]
"""How many of the cells of a line are headers that the caller knows; from :data:`_HEADERS` of them
the line is the header."""
_HEADERS = 2


def none_known(cells: Sequence[str]) -> int:
    """For a table whose header is its first line, whatever it says."""
    return 0


@dataclass(frozen=True, slots=True)
class TableRow:
    """The cells below the header, without the spaces around them: as many as the header has."""

    line: int
    """Where the row begins in the file, from 1."""
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as text; :meth:`numbers` gives the numbers in it."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    delimiter: str
    faults: tuple[InputError, ...] = ()
    """What is wrong with the rows that were left out."""

    def columns(
        self, spellings: Mapping[str, Sequence[str]], once: Collection[str] = ()
    ) -> dict[str, int]:
        """The place of each column that the table has, by its name in ``spellings``.

        A spelling, as :func:`plain` has it, matches whatever its case, accents, spaces and
        punctuation (``Pixel size (mm)`` is ``pixelsizemm``). Where several columns match, the one
        counts whose spelling comes first, unless the name is in ``once``: then this raises
        :class:`InputError`.
        """
        at: dict[str, list[int]] = {}
        for i, cell in enumerate(self.header):
            at.setdefault(plain(cell), []).append(i)
        places = {
            name: [i for spelling in known for i in at.get(spelling, ())]
            for name, known in spellings.items()
        }
        for name in once:
            if len(places[name]) > 1:
                twice = " and ".join(repr(self.header[i]) for i in places[name])
                raise InputError(
                    f"{self.path} has several columns for {name!r}: {twice}. Remove all but one."
                )
        return {name: found[0] for name, found in places.items() if found}

    def numbers(
        self, columns: Collection[int], units: Mapping[int, Sequence[str]] | None = None
    ) -> list[dict[int, float] | InputError]:
        """The numbers in these columns: for each row a mapping by column, without missing values.
        One of the column's ``units`` may follow a number.

        In the place of a row's numbers is the error, which names the file, the line and the cause,
        where a cell is no finite number or has a comma or point that may mark thousands.
        """
        cells = [
            (row.line, column, _number_text(row.cells[column], (units or {}).get(column, ())))
            for row in self.rows
            for column in columns
            if not is_missing(row.cells[column])
        ]
        wrong: dict[int, InputError] = {}
        for line, _, text in cells:
            if "," in text and "." in text:
                cause = (
                    f"{text!r} has both a comma and a point; leave out the one that marks thousands"
                )
            elif not _NUMBER.fullmatch(text) or not math.isfinite(_value(text)):
                cause = f"{text!r} is not a number"
            else:
                continue
            wrong.setdefault(line, self.error(line, cause))
        cells = [cell for cell in cells if cell[0] not in wrong]
        wrong |= self._unclear_marks([(line, text) for line, _, text in cells])
        values: dict[int, dict[int, float]] = {row.line: {} for row in self.rows}
        for line, column, text in cells:
            values[line][column] = _value(text)
        return [wrong.get(line, found) for line, found in values.items()]

    def error(self, line: int, cause: object) -> InputError:
        """What to raise for this line."""
        return InputError(f"{self.path}, line {line}: {cause}. Correct the line and try again.")

    def _unclear_marks(self, cells: Sequence[tuple[int, str]]) -> dict[int, InputError]:
        """By line, a number such as 1,234 whose mark the table does not show to be a decimal one.

        Numbers that cannot mean thousands show it. Where there are none, the mark that usually
        goes with the delimiter counts.
        """
        marked = [
            (line, text, "," if "," in text else ".")
            for line, text in cells
            if "," in text or "." in text
        ]
        unclear = [item for item in marked if _MAYBE_THOUSANDS.fullmatch(item[1])]
        shown = {mark for _, text, mark in marked if not _MAYBE_THOUSANDS.fullmatch(text)}
        decimal = shown or {_USUAL_MARK[self.delimiter]}
        return {
            line: self.error(
                line,
                f"{text!r} could mean {text.replace(mark, '')} or {text.replace(mark, '.')}; "
                "the other numbers do not show that its mark is a decimal one",
            )
            for line, text, mark in reversed(unclear)
            if decimal != {mark}
        }


def is_missing(text: str) -> bool:
    """Whether a cell says that it has no value."""
    return text.lower() in _MISSING


def plain(text: str) -> str:
    """The letters and digits of a text, without case and accents."""
    compatible = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(c for c in compatible if c.isalnum())


def read_table(path: Path, known: Known = none_known) -> Table:
    """Read a table; rows of another length than the header are among its faults.

    ``known`` finds the header below a title, in the sheet of a workbook, and in an encoding.
    Raises :class:`InputError`, naming the file, the line and the cure, for a file that is no table.
    """
    table = _parsed(path, known)
    rows: list[TableRow] = []
    faults: list[InputError] = []
    for row in table.rows:
        row = _fitting(row, table)
        if len(row.cells) < len(table.header):
            faults.append(table.error(row.line, "cells are missing"))
        elif len(row.cells) > len(table.header):
            cause = (
                f"it has {len(row.cells)} cells but the header has {len(table.header)}; a decimal "
                "comma needs semicolons between the cells, or quotes"
            )
            faults.append(table.error(row.line, cause))
        else:
            rows.append(row)
    return replace(table, rows=tuple(rows), faults=tuple(faults))


def read_header(path: Path, known: Known = none_known) -> Table:
    """As :func:`read_table`, without the rows, to see whether the table is of use."""
    return replace(_parsed(path, known), rows=())


def is_table(start: bytes, known: Known) -> bool:
    """Whether a text file that begins with these bytes is a table with a known header."""
    if not _HAS_WORDS.search(start):
        return False  # labels of YOLO, of which there are thousands
    try:
        return _header_at(_decode(start, known), known).headers >= _HEADERS
    except (UnicodeDecodeError, csv.Error):
        return False


def table_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """CSV with commas and ``\\n`` line ends: a header, then a line for each row.

    A cell is empty where the row has no value. A key that is not among ``columns`` is left out.
    Text that a spreadsheet would run as a formula gets a ``'`` before it, as spreadsheets mark
    text; :func:`read_table` takes it away again.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_harmless(column) for column in columns])
    for row in rows:
        writer.writerow([_harmless(row.get(column)) for column in columns])
    return text.getvalue()


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write :func:`table_text` to a file, atomically, in UTF-8.

    Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
    """
    write_bytes(path, table_text(columns, rows).encode())


def _harmless(cell: object) -> object:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _value(text: str) -> float:
    return float(text.replace(",", "."))


def _number_text(text: str, units: Sequence[str]) -> str:
    """A cell with a number as plain digits: without its unit, wide digits and invisible signs."""
    number = text
    if not text.isascii():
        shown = unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-")
        number = "".join(c for c in shown if unicodedata.category(c) != "Cf").strip()
    for unit in units:
        if number.casefold().endswith(unit):
            return number[: -len(unit)].rstrip()
    return number


def _fitting(row: TableRow, table: Table) -> TableRow:
    """A row without empty cells beyond the header, and with those that a header without a name
    lacks. Where commas separate the cells, decimal points show that no number is torn apart."""
    cells, width = row.cells, len(table.header)
    if len(cells) < width and not any(table.header[len(cells) :]):
        return replace(row, cells=cells + ("",) * (width - len(cells)))
    whole = table.delimiter != "," or any("." in c and _NUMBER.fullmatch(c) for c in cells)
    return replace(row, cells=cells[:width]) if whole and not any(cells[width:]) else row


def _parsed(path: Path, known: Known) -> Table:
    """The table, with rows of any length."""
    data = read_bounded(path, MAX_BYTES)
    if data.startswith(b"PK"):
        return _of_workbook(path, data, known)
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise InputError(
            f"{path} is a workbook of an old Excel, or one with a password. Save it as XLSX or CSV."
        )
    found: list[TableRow] = []
    try:
        text = _decode(data, known)
        start = _header_at(text, known)
        lines = io.StringIO(text, newline="")
        for _ in range(start.line):
            lines.readline()
        reader = _reader(lines, start.delimiter)
        line = start.line + 1
        for cells in reader:
            if any(cells):
                if len(found) > MAX_ROWS or len(cells) > MAX_CELLS:
                    raise InputError(
                        f"{path} has more than {MAX_ROWS:,} lines or {MAX_CELLS:,} columns. Keep "
                        "those about the frames."
                    )
                found.append(TableRow(line, tuple(_plain(cell) for cell in cells)))
            line = start.line + reader.line_num + 1
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not a table in CSV (UTF-8, UTF-16 or Windows-1252). Save it again as one."
        ) from error
    return _table(path, found, start.delimiter)


def _reader(lines: Iterable[str], delimiter: str) -> Any:
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _cells(line: str, delimiter: str) -> list[str]:
    """The cells of one line; none where it is no line of a table by itself."""
    try:
        return next(_reader([line], delimiter), [])
    except csv.Error:
        return []


def _of_workbook(path: Path, data: bytes, known: Known) -> Table:
    def header_in(rows: workbooks.Rows) -> int | None:
        above = enumerate(rows[:_MOST_ABOVE])
        return next((i for i, (_, cells) in above if known(cells) >= _HEADERS), None)

    rows = workbooks.read_workbook(
        path, data, MAX_ROWS, MAX_CELLS, lambda rows: header_in(rows) is not None
    )
    rows = rows[header_in(rows) or 0 :]
    width = len(rows[0][1]) if rows else 0
    # A workbook does not store the empty cells at the end of a row.
    padded = [
        TableRow(line, tuple(_plain(c) for c in cells) + ("",) * (width - len(cells)))
        for line, cells in rows
    ]
    return _table(path, padded, "\t")


def _table(path: Path, found: Sequence[TableRow], delimiter: str) -> Table:
    header, *rows = [row for row in found if any(row.cells)] or [TableRow(1, ())]
    if not header.cells:
        raise InputError(f"{path} is empty. Copy it again, or leave it out.")
    if rows and all(_RULE.fullmatch(cell) for cell in rows[0].cells if cell):
        rows = rows[1:]
    return Table(path, header.cells, tuple(rows), delimiter)


def _plain(cell: str) -> str:
    cell = cell.strip()
    if text := _TEXT_FORMULA.fullmatch(cell):
        return text[1].strip()
    if cell.startswith("'") and _FORMULA.match(cell):
        return cell[1:]
    quoted = len(cell) > 1 and cell.startswith("'") and cell.endswith("'")
    return cell[1:-1].strip() if quoted else cell


def _decode(data: bytes, known: Known) -> str:
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        text = data.decode("utf-32")
    elif data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16")
    elif data[1:2] == b"\0" or data[:1] == b"\0":  # UTF-16 without its mark
        text = data.decode("utf-16-le" if data[1:2] == b"\0" else "utf-16-be")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = _decode_old(data, known)
    text = text.rstrip("\0\x1a")
    if "\0" in text:
        raise csv.Error("a NUL character")
    return text


def _decode_old(data: bytes, known: Known) -> str:
    """In the encoding in which most headers are known: others turn them into other letters."""
    texts = []
    for encoding in _OLD_ENCODINGS:
        try:
            texts.append(data.decode(encoding))
        except UnicodeDecodeError:
            continue
    return max(texts, key=lambda text: _header_at(text, known).headers)


@dataclass(frozen=True, slots=True)
class _Start:
    """Where a table begins in a text."""

    line: int
    """The number of lines above it."""
    delimiter: str
    headers: int = 0
    """How many of its headers are known."""


def _header_at(text: str, known: Known) -> _Start:
    """Where the header is, and what separates the cells: by a first line ``sep=;``, by the headers
    that are known, or else by the first line."""
    lines = list(itertools.islice(io.StringIO(text, newline=""), _MOST_ABOVE))
    filled = [i for i, line in enumerate(lines) if line.strip()]
    if not filled:
        return _Start(0, ",")
    first = filled[0]
    delimiters = list(_USUAL_MARK)
    declared = _SEPARATOR_LINE.fullmatch(lines[first].strip("\r\n"))
    if declared:
        if declared[1] not in _USUAL_MARK:
            raise csv.Error(f"{declared[1]!r} as separator")
        delimiters, first = [declared[1]], first + 1
    for i in range(first, len(lines)):
        for delimiter in delimiters:
            headers = known(_cells(lines[i], delimiter))
            if headers >= _HEADERS:
                return _Start(i, delimiter, headers)
    unquoted = re.sub(r'"[^"]*"', "", lines[first] if first < len(lines) else "")
    return _Start(first, max(delimiters, key=unquoted.count))
