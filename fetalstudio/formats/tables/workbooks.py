"""Excel workbooks (XLSX), read as tables of text: the values that the cells show, not formulas."""

from __future__ import annotations

import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from fetalstudio.core.errors import InputError

SUFFIXES = frozenset({".xlsx", ".xlsm"})
"""File name endings, in lower case."""
_MAX_UNPACKED = 48 * 2**20
"""Bytes of the parts that are read: half a million cells take a few seconds."""
_MOST_CELLS = 500_000
_READ = ("xl/worksheets/", "xl/sharedstrings", "xl/styles", "xl/workbook")

_MERGED = re.compile(rb'<mergeCell\s+ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
_MOST_MERGED, _MOST_COLUMNS = 2_000, 1_000
"""Merged ranges of a sheet, and the columns of it, that are looked at."""
_Span = tuple[int, int, int, int]
"""The first and last column and row of merged cells, from 1: left, top, right, bottom."""

Rows = list[tuple[int, tuple[str, ...]]]
"""The number of each row in its sheet, from 1, and its cells."""


def read_workbook(
    path: Path, data: bytes, max_rows: int, max_cells: int, wanted: Callable[[Rows], bool]
) -> Rows:
    """The rows, without empty ones, of the one sheet that has any, or of the one among several that
    is ``wanted``.

    Raises :class:`InputError`, naming the file and the cure, for a damaged or too large workbook,
    for one with several filled sheets, and for formulas whose values are not stored.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = [i for i in packed.infolist() if i.filename.lower().startswith(_READ)]
        if not parts:
            raise InputError(
                f"{path} is a workbook of another program than Excel. Save it as XLSX or CSV."
            )
        if sum(part.file_size for part in parts) > _MAX_UNPACKED:
            raise _too_large(path)
        sheets = _sheets(path, data, max_rows, max_cells, values=True)
        filled = [title for title, rows in sheets.items() if rows]
        if len(filled) > 1:
            filled = [title for title in filled if wanted(sheets[title])] or filled
        if len(filled) > 1:
            raise InputError(
                f"{path} has several filled sheets: {', '.join(filled)}. Save the one about the "
                "frames as a workbook of its own."
            )
        if not filled:
            return []
        if _has_formulas(data):
            _check_formulas(path, data, filled[0], sheets[filled[0]], max_rows, max_cells)
        return [(line, cells) for line, cells in sheets[filled[0]] if any(cells)]
    except InputError:
        raise
    except Exception as error:  # openpyxl and zipfile raise errors of a dozen types
        raise InputError(
            f"{path} is damaged and cannot be read as a workbook. Save it again, or as CSV."
        ) from error


def _sheets(
    path: Path, data: bytes, max_rows: int, max_cells: int, *, values: bool
) -> dict[str, Rows]:
    """The rows of each visible sheet as text: of its values, or of its formulas."""
    import openpyxl  # slow: a fifth of what the window takes to start

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about extensions that openpyxl leaves out
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=values)
    merged = _merged_cells(data)
    count = 0
    found: dict[str, Rows] = {}
    try:
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            sheet.reset_dimensions()  # a program may have written them wrong
            rows: Rows = []
            spans = merged.get(sheet._worksheet_path, ())  # openpyxl has no public name for it
            held: dict[_Span, object] = {}
            for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
                cells = _with_merged(line, cells, spans, held)
                count += len(cells)
                if line > max_rows or len(cells) > max_cells or count > _MOST_CELLS:
                    raise _too_large(path)
                texts = tuple(map(_text, cells))
                while texts and not texts[-1]:
                    texts = texts[:-1]
                if texts:
                    rows.append((line, texts))
            found[sheet.title] = rows
    finally:
        book.close()
    return found


def _merged_cells(data: bytes) -> dict[str, tuple[_Span, ...]]:
    """Of each sheet, by its part of the workbook, the cells that are merged."""
    from openpyxl.utils import range_boundaries

    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        parts = [i for i in packed.namelist() if i.lower().startswith("xl/worksheets/")]
        return {
            part: tuple(
                range_boundaries(found.decode("ascii"))
                for found in _MERGED.findall(packed.read(part))[:_MOST_MERGED]
            )
            for part in parts
        }


def _with_merged(
    line: int, cells: Sequence[object], spans: Sequence[_Span], held: dict[_Span, object]
) -> Sequence[object]:
    """A row with the value of merged cells in each of these; a file has it in the first alone.
    ``held`` remembers the values from row to row."""
    filled = list(cells)
    for span in spans:
        left, top, right, bottom = span
        if not top <= line <= bottom or left > _MOST_COLUMNS:
            continue
        if line == top:
            held[span] = filled[left - 1] if left <= len(filled) else None
        filled += [None] * (min(right, _MOST_COLUMNS) - len(filled))
        filled[left - 1 : right] = [held.get(span)] * (min(right, _MOST_COLUMNS) - left + 1)
    return filled


def _has_formulas(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return any(
            b"<f" in packed.read(part)
            for part in packed.infolist()
            if part.filename.lower().startswith("xl/worksheets/")
        )


def _check_formulas(
    path: Path, data: bytes, title: str, rows: Rows, max_rows: int, max_cells: int
) -> None:
    """Raise :class:`InputError` for a formula whose value is not stored."""
    known = dict(rows)
    for line, cells in _sheets(path, data, max_rows, max_cells, values=False)[title]:
        for column, cell in enumerate(cells):
            has = known.get(line, ())
            if cell.startswith("=") and not (column < len(has) and has[column]):
                raise InputError(
                    f"{path}, line {line}: the value of the formula {cell[:40]} is not stored in "
                    "the file. Open it in Excel or LibreOffice and save it, or save it as CSV."
                )


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        text = repr(value)
        # A number in the cell itself is never 1,234 with a mark for thousands.
        return f"{text}0" if text.partition(".")[2].isdecimal() else text
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _too_large(path: Path) -> InputError:
    return InputError(
        f"{path} is too large for a list of frames. Keep the lines and columns about the frames."
    )
