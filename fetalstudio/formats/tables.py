"""CSV tables: the one reader and the one writer of the program.

The reader takes what spreadsheets and programs write: commas, semicolons or tabs between cells, a
decimal point or comma, UTF-8 or UTF-16, any line end, quoted cells, blank lines and a first line
``sep=;``. It refuses what could be read in two ways.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import write_bytes

_USUAL_MARK = {",": ".", ";": ",", "\t": "."}
"""Cell delimiters, and the decimal mark that usually goes with each."""

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(\d+[.,]?\d*|[.,]\d+)(e[-+]?\d+)?", re.IGNORECASE | re.ASCII)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that spreadsheets run, or that would be read as a marked one."""
_MAYBE_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)


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

    def columns(
        self, spellings: Mapping[str, Collection[str]], once: Collection[str] = ()
    ) -> dict[str, int]:
        """The place of each column that the table has, by its name in ``spellings``.

        A spelling matches whatever its case, spaces and punctuation (``Pixel size (mm)`` is
        ``pixelsizemm``). The first column counts where several match, unless the name is in
        ``once``: then this raises :class:`InputError`.
        """
        plain = ["".join(c for c in cell.lower() if c.isalnum()) for cell in self.header]
        places = {
            name: [i for i, cell in enumerate(plain) if cell in known]
            for name, known in spellings.items()
        }
        for name in once:
            if len(places[name]) > 1:
                twice = " and ".join(repr(self.header[i]) for i in places[name])
                raise InputError(
                    f"{self.path} has several columns for {name!r}: {twice}. Remove all but one."
                )
        return {name: found[0] for name, found in places.items() if found}

    def numbers(self, columns: Collection[int]) -> list[dict[int, float]]:
        """The numbers in these columns: for each row a mapping by column, without empty cells.

        Raises :class:`InputError`, naming the file, the line and the cause, for a cell that is no
        finite number and for a comma or point that may mark thousands.
        """
        cells = [
            (row.line, column, row.cells[column])
            for row in self.rows
            for column in columns
            if row.cells[column]
        ]
        for line, _, text in cells:
            if "," in text and "." in text:
                raise self.error(
                    line,
                    f"{text!r} has both a comma and a point; leave out the one "
                    "that marks thousands",
                )
            if not _NUMBER.fullmatch(text) or not math.isfinite(_value(text)):
                raise self.error(line, f"{text!r} is not a number")
        self._check_mark([(line, text) for line, _, text in cells])
        values: dict[int, dict[int, float]] = {row.line: {} for row in self.rows}
        for line, column, text in cells:
            values[line][column] = _value(text)
        return list(values.values())

    def error(self, line: int, cause: object) -> InputError:
        """What to raise for this line."""
        return InputError(f"{self.path}, line {line}: {cause}. Correct the line and try again.")

    def _check_mark(self, cells: Sequence[tuple[int, str]]) -> None:
        """Refuse a number such as 1,234 unless the table shows that its mark is a decimal one.

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
        for line, text, mark in unclear:
            if decimal != {mark}:
                raise self.error(
                    line,
                    f"{text!r} could mean {text.replace(mark, '')} or {text.replace(mark, '.')}; "
                    "the other numbers do not show that its mark is a decimal one",
                )


def read_table(path: Path) -> Table:
    """Read a CSV file. Raises :class:`InputError`, naming the file, the line and the cure."""
    table = _parsed(path)
    for row in table.rows:
        if len(row.cells) < len(table.header):
            raise table.error(row.line, "cells are missing")
        if len(row.cells) > len(table.header):
            raise table.error(
                row.line,
                f"it has {len(row.cells)} cells but the header has {len(table.header)}; a decimal "
                "comma needs semicolons between the cells, or quotes",
            )
    return table


def read_header(path: Path) -> Table:
    """Read a CSV file without its rows, to see whether it is of use. Raises :class:`InputError`
    for a file that is no table."""
    return replace(_parsed(path), rows=())


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


def _parsed(path: Path) -> Table:
    """The table, with rows of any length."""
    try:
        text = _decode(path.read_bytes())
        lines = io.StringIO(text, newline="").readlines()
        delimiter, skipped = _delimiter(lines)
        reader = csv.reader(lines[skipped:], delimiter=delimiter, strict=True)
        found: list[TableRow] = []
        start = skipped + 1
        for cells in reader:
            found.append(TableRow(start, tuple(_plain(cell) for cell in cells)))
            start = skipped + reader.line_num + 1
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} is not a table in CSV (UTF-8 or UTF-16). Save it again as one."
        ) from error
    header, *rows = [row for row in found if any(row.cells)] or [TableRow(1, ())]
    if not header.cells:
        raise InputError(f"{path} is empty. Copy it again, or leave it out.")
    return Table(path, header.cells, tuple(rows), delimiter)


def _plain(cell: str) -> str:
    cell = cell.strip()
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16")
    else:
        text = data.decode("utf-8-sig")
    if "\0" in text:
        raise csv.Error("a NUL character")
    return text


def _delimiter(lines: Sequence[str]) -> tuple[str, int]:
    """What separates the cells, by a first line ``sep=;`` or by the header, and the number of lines
    before the header."""
    blank = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    if blank == len(lines):
        return ",", blank
    declared = _SEPARATOR_LINE.fullmatch(lines[blank].strip("\r\n"))
    if declared:
        if declared[1] not in _USUAL_MARK:
            raise csv.Error(f"{declared[1]!r} as separator")
        return declared[1], blank + 1
    unquoted = re.sub(r'"[^"]*"', "", lines[blank])
    return max(_USUAL_MARK, key=unquoted.count), blank
