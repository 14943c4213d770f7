"""Tables: whatever a spreadsheet or a program writes is read alike, wherever a table is read."""

# ruff: noqa: RUF001  (other scripts are the point)

from __future__ import annotations

import datetime
import time
import zipfile
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import openpyxl
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.tables.ellipse_table import (
    COLUMNS,
    NamedEllipse,
    read_ellipses,
    write_ellipses,
)
from fetalstudio.formats.tables.frame_columns import Lengths
from fetalstudio.formats.tables.frame_rows import Row, read_rows
from fetalstudio.formats.tables.frame_tables import read_folder_tables, unmatched
from fetalstudio.formats.tables.table_files import read_table, table_text, write_table

FOUND = {
    "one": (Ellipse(48.5, 40.25, 30.125, 22.0, 10.0), (96, 80)),
    "two": (Ellipse(1234.5, 40.0, 30.0, 22.0, 0.5), (2096, 80)),
}
HEADER = ",".join(COLUMNS)
PLAIN = f"{HEADER}\none,48.5,40.25,30.125,22,10,96,80\ntwo,1234.5,40.,+30,2.2e1,.5,2096,80\n"
SEMICOLONS = PLAIN.replace(",", ";").replace(".", ",")

Reader = Callable[[Path], dict[str, tuple[Ellipse, tuple[int, int]]]]


def by_synthesis(path: Path) -> dict[str, tuple[Ellipse, tuple[int, int]]]:
    """As ``synthesize --ellipses`` reads a table."""
    table = read_ellipses(path)
    if table.faults:  # pairs are made for the other rows
        raise InputError(" ".join(table.faults))
    return {item.name: (item.ellipse, item.size) for item in table.ellipses}


def by_import(path: Path) -> dict[str, tuple[Ellipse, tuple[int, int]]]:
    """As an import reads the tables beside frames."""
    rows, notes = read_folder_tables(path.parent, "another.csv")
    if notes:  # the import goes on, and says what it did not use
        raise InputError(" ".join(notes))
    found = {}
    for name, row in rows.items():
        assert row.ellipse is not None and row.size is not None
        found[name] = (row.ellipse, row.size)
    return found


both_ways = pytest.mark.parametrize("read", [by_synthesis, by_import])


def saved(folder: Path, data: str | bytes) -> Path:
    path = folder / "ellipses.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


KINDS: dict[str, str | bytes] = {
    "commas": PLAIN,
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons, decimal commas": SEMICOLONS,
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "tabs, decimal commas": PLAIN.replace(",", "\t").replace(".", ","),
    "quoted": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(",")) for line in PLAIN.splitlines()
    ),
    "quoted decimal commas": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(";")) for line in SEMICOLONS.splitlines()
    ),
    "BOM": b"\xef\xbb\xbf" + SEMICOLONS.encode(),
    "UTF-16 little-endian": b"\xff\xfe" + SEMICOLONS.encode("utf-16-le"),
    "UTF-16 big-endian": b"\xfe\xff" + PLAIN.replace(",", "\t").encode("utf-16-be"),
    "UTF-16 without its mark": PLAIN.encode("utf-16-le"),
    "Windows-1252": SEMICOLONS.replace("\n", ";\n").replace(";\n", ";früh\n").encode("cp1252"),
    "CRLF": SEMICOLONS.replace("\n", "\r\n"),
    "CR": PLAIN.replace("\n", "\r"),
    "no line end at the end": PLAIN.rstrip("\n"),
    "blank lines": "\n\n" + PLAIN.replace("\n", "\n \n,,,,,,,\n\n"),
    "sep=;": "sep=;\n" + SEMICOLONS,
    "sep=; after a BOM": b"\xef\xbb\xbfSEP=;\r\n" + SEMICOLONS.replace("\n", "\r\n").encode(),
    "sep=tab": '"sep=\t"\n' + PLAIN.replace(",", "\t"),
    "spaces around cells": PLAIN.replace(",", " , "),
    "other columns": SEMICOLONS.replace("\n", ";1.234;v1.5\n").replace("1.234", "remark", 1),
    "other spellings": PLAIN.replace("name", "File").replace("angle_deg", "Angle (deg)"),
    "another order": "angle_deg,name,cx,cy,a,b,height,width\n"
    "10,one,48.5,40.25,30.125,22,80,96\n.5,two,1234.5,40,30,22,80,2096\n",
}


@both_ways
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_table_is_read_both_ways(tmp_path: Path, kind: str, read: Reader) -> None:
    assert read(saved(tmp_path, KINDS[kind])) == FOUND


def line_of(*cells: str, delimiter: str = ";") -> str:
    """A table of ``one`` with these numbers from ``cx`` on."""
    rest = ("40", "30", "22", "10", "196", "80")
    row = delimiter.join(("one", *cells, *rest[len(cells) - 1 :]))
    return f"{HEADER.replace(',', delimiter)}\n\n{row}\n"


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a decimal comma between commas": (
        f"{HEADER}\none,48,5,40,30,22,10,96,80\n",
        "line 2: it has 9 cells but the header has 8",
    ),
    "an empty cell too many": (f"{HEADER}\none,48,40,30,22,10,96,80,\n", "line 2: it has 9 cells"),
    "cells missing": (f"{HEADER}\n\none,48,40,30,22,10,96\n", "line 3: cells are missing"),
    "thousands point, decimal comma": (line_of("1.234", "40,5"), "line 3: '1.234' could mean 1234"),
    "thousands comma, decimal point": (line_of("1,234", "40.5"), "line 3: '1,234' could mean 1234"),
    "thousands point, nothing else": (line_of("1.234"), "line 3: '1.234' could mean 1234 or 1.234"),
    "quoted thousands comma": (
        line_of('"1,234"', delimiter=","),
        "line 3: '1,234' could mean 1234 or 1.234",
    ),
    "thousands comma between tabs": (line_of("1,234", delimiter="\t"), "'1,234' could mean"),
    "thousands and decimals": (line_of("1.234,5"), "line 3: '1.234,5' has both"),
    "several thousands": (line_of("1.234.567"), "line 3: '1.234.567' is not a number"),
    "a space": (line_of("1 234"), "line 3: '1 234' is not a number"),
    "an underscore": (line_of("1_234"), "line 3: '1_234' is not a number"),
    "infinity": (line_of("1e999"), "line 3: '1e999' is not a number"),
    "missing": (line_of("nan"), "line 3: it has cy, a, b, angle_deg but not cx"),
    "half a pixel": (line_of("48", "40", "30", "22", "10", "96,5"), "line 3: 96.5 is not a whole"),
    "half an ellipse": (line_of("48", ""), "line 3: it has cx, a, b, angle_deg but not cy"),
    "half a size": (line_of("48", "40", "30", "22", "10", ""), "line 3: it has height but not wid"),
    "no ellipse": (line_of("48", "40", "30", "0"), "line 3: "),
    "two columns of one name": (
        f"{HEADER},CX\none,48,40,30,22,10,96,80,50\n",
        "several columns for 'cx': 'cx' and 'CX'",
    ),
    "two spellings of one column": (
        f"{HEADER},angle\none,48,40,30,22,10,96,80,50\n",
        "several columns for 'angle_deg'",
    ),
    "after a quoted line end": (
        f'{HEADER},remark\n"one",48,40,30,22,10,96,80,"a\nb"\ntwo,x,40,30,22,10,96,80,\n',
        "line 4: 'x' is not a number",
    ),
    "after sep=": (f"sep=,\n{HEADER}\none,x,40,30,22,10,96,80\n", "line 3: 'x' is not a number"),
    "an unknown separator": (f"sep=^\n{HEADER}\n", "is not a table in CSV"),
    "broken quotes": (f'{HEADER}\n"one,48\n', "is not a table in CSV"),
    "a workbook": (b"PK\x03\x04" + bytes(99), "is damaged and cannot be read as a workbook"),
    "too many columns": (f"{HEADER}{',' * 2000}\n", "more than 500,000 lines or 1,000 columns"),
    "half of UTF-16": (b"\xff\xfe" + SEMICOLONS.encode("utf-16-le")[:-1], "is not a table in CSV"),
    "nothing": ("", "is empty"),
    "blank lines only": ("\r\n \n;;\n", "is empty"),
}


@both_ways
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_unclear_or_wrong_is_refused_both_ways(
    tmp_path: Path, kind: str, read: Reader
) -> None:
    data, message = REFUSED[kind]
    path = saved(tmp_path, data)
    with pytest.raises(InputError) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


@both_ways
@pytest.mark.parametrize(
    "table",
    [line_of("12,456"), line_of("12.456", delimiter=","), line_of("12.456", delimiter="\t")],
    ids=["semicolons", "commas", "tabs"],
)
def test_three_decimals_are_read_where_the_delimiter_tells_the_mark(
    tmp_path: Path, table: str, read: Reader
) -> None:
    assert read(saved(tmp_path, table))["one"][0].cx == 12.456


@both_ways
def test_three_decimals_are_read_where_another_number_shows_the_mark(
    tmp_path: Path, read: Reader
) -> None:
    table = line_of("12.456", "40.5")
    assert read(saved(tmp_path, table))["one"][0].cx == 12.456


def test_unused_columns_may_hold_anything(tmp_path: Path) -> None:
    path = saved(tmp_path, "name;remark\nx;1.234,5\n")
    assert [row.cells for row in read_table(path).rows] == [("x", "1.234,5")]


def test_a_written_table_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    rows: list[dict[str, object]] = [
        {"name": 'a "b", c', "remark": "two\nlines", "left out": 1},
        {"name": "grüße"},
    ]
    write_table(path, ("name", "remark"), rows)
    table = read_table(path)
    assert table.header == ("name", "remark")
    assert [(r.line, r.cells) for r in table.rows] == [
        (2, ('a "b", c', "two\nlines")),
        (4, ("grüße", "")),
    ]
    assert table_text(("a", "b"), [{"a": None, "b": 0.1}]) == "a,b\n,0.1\n"
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="could not be written"):
        write_table(tmp_path / "file" / "table.csv", ("a",), [])


# -- ellipses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\n", "holds no ellipses"),
        ("name,cx,cy,a,b\nx,1,2,3,4\n", "lacks the column 'angle_deg' and 'width' and 'height'"),
        (f"{HEADER}\nx,,,,,,100,100\n", "line 2: the ellipse is missing"),
        (f"{HEADER}\nx,50,50,20,10,0,,\n", "line 2: the picture's size is missing"),
        (f"{HEADER}\n../x,50,50,20,10,0,100,100\n", "line 2: the name '../x' cannot be a file's"),
        (f"{HEADER}\n,50,50,20,10,0,100,100\n", "line 2: the name '' cannot be a file's"),
        (f"{HEADER}\nx,50,50,20,10,0,100,100\nx,50,50,20,10,0,100,100\n", "names x 2 times"),
    ],
)
def test_a_bad_table_of_ellipses_names_the_file_and_the_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = saved(tmp_path, text)
    with pytest.raises(InputError) as refused:
        read_ellipses(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ("50,40,0.001,0.001,0,100,80", "a semi-axis of 0.001 px is shorter than 4 px"),
        ("50,40,20,0.5,0,100,80", "a semi-axis of 0.5 px is shorter"),
        ("50,40,5000,4000,0,100,80", "a semi-axis of 5000 px is longer than the picture, 100 px"),
        ("250,40,20,10,0,100,80", "the centre (250, 40) px lies outside the picture of 100x80 px"),
        ("50,-3,20,10,0,100,80", "the centre (50, -3) px lies outside"),
        ("50,40,nan,10,0,100,80", "it has cx, cy, b, angle_deg but not a"),
        ("50,40,inf,10,0,100,80", "'inf' is not a number"),
        ("50,40,20,-10,0,100,80", "a >= b > 0"),
        ("50,40,,,,100,80", "it has cx, cy but not a, b, angle_deg"),
        ("50,40,20,10,0,100", "cells are missing"),
        ("10,10,8,6,0,20,20", "the picture is 20x20 px; a frame has"),
    ],
)
def test_a_row_that_cannot_be_a_head_is_left_out_by_its_line(
    tmp_path: Path, row: str, cause: str
) -> None:
    good = "50,40,20,10,0,100,80"
    path = saved(tmp_path, f"{HEADER}\na,{good}\nodd,{row}\nb,{good}\n")
    table = read_ellipses(path)
    assert [item.name for item in table.ellipses] == ["a", "b"]
    (fault,) = table.faults
    assert fault.startswith(f"{path}, line 3: ")
    assert cause in fault
    alone = saved(tmp_path, f"{HEADER}\nodd,{row}\nodd2,{row}\n")
    with pytest.raises(InputError, match=r"line 2: .* 1 more row cannot be used either"):
        read_ellipses(alone)


def test_the_axes_of_a_row_may_stand_in_either_order(tmp_path: Path) -> None:
    table = read_ellipses(saved(tmp_path, f"{HEADER}\nx,50,40,10,20,15,100,80\n"))
    assert table.ellipses[0].ellipse == Ellipse(50, 40, 20, 10, 105) and not table.faults


def test_a_head_that_the_picture_cuts_is_made(tmp_path: Path) -> None:
    table = read_ellipses(saved(tmp_path, f"{HEADER}\nx,0,79,100,60,170,100,80\n"))
    assert table.faults == ()
    assert table.ellipses == (NamedEllipse("x", Ellipse(0, 79, 100, 60, 170), (100, 80)),)


def test_written_ellipses_read_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "ellipses.csv"
    ellipses = (
        NamedEllipse("a", Ellipse(1 / 3, 40.1, 30.123456789, 22.0, 179.9), (96, 80)),
        NamedEllipse("b", Ellipse(123.456, 234.567, 99.001, 88.002, 10.0), (800, 540)),
    )
    write_ellipses(path, ellipses)
    assert read_ellipses(path).ellipses == ellipses


def test_text_that_a_spreadsheet_would_run_is_marked_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    cells = ["=HYPERLINK(A1)", "+cmd", "-x", "@SUM(1)", "'=quoted", "'plain", "a=b", "-1.5", "+2"]
    write_table(path, ("name", "=label"), [{"name": cell, "=label": -3.5} for cell in cells])
    written = [line.split(",")[0] for line in path.read_text().splitlines()]
    assert written == [
        *("name", "'=HYPERLINK(A1)", "'+cmd", "'-x", "'@SUM(1)", "''=quoted", "'plain", "a=b"),
        *("-1.5", "+2"),
    ]
    table = read_table(path)
    assert table.header == ("name", "=label")
    assert [row.cells for row in table.rows] == [(cell, "-3.5") for cell in cells]


# -- workbooks -------------------------------------------------------------------------------


def workbook(path: Path, *rows: list[object], more: str | None = None) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if more is not None:
        book.create_sheet("more").append([more])
    book.save(path)
    return path


@both_ways
def test_a_workbook_is_read_as_any_table(tmp_path: Path, read: Reader) -> None:
    path = workbook(
        tmp_path / "t.xlsx",
        [],
        ["Name", *COLUMNS[1:], "when", "remark"],
        ["one", 48.5, "40,25", 30.125, 22, 10.0, 96, 80, datetime.date(2026, 1, 2), None],
        [],
        ["two", 1234.5, 40, 30, 22, 0.5, 2096, 80],
    )
    assert read(path) == FOUND
    assert [row.line for row in read_table(path).rows] == [3, 5]


def test_merged_cells_have_the_value_of_the_first(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["name", "subject", "x"], ["a", "P7", 1], ["b", None, 2], ["c", "P8", 3]):
        book.active.append(row)
    book.active.merge_cells("B2:B3")
    book.save(tmp_path / "t.xlsx")
    cells = [row.cells[:2] for row in read_table(tmp_path / "t.xlsx").rows]
    assert cells == [("a", "P7"), ("b", "P7"), ("c", "P8")]


def test_numbers_of_a_workbook_are_no_thousands(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["name", "x"], ["a", 1.234], ["b", 12000.0])
    assert read_table(path).numbers([1]) == [{1: 1.234}, {1: 12000.0}]


def test_the_values_of_formulas_are_read_where_they_are_stored(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["name", "x"], ["a", "=1/8"])
    with pytest.raises(InputError, match=r"t.xlsx, line 2: the value of the formula =1/8 is not"):
        read_table(path)
    packed = {}
    with zipfile.ZipFile(path) as book:
        packed = {name: book.read(name) for name in book.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    packed[sheet] = packed[sheet].replace(b"<f>1/8</f><v></v>", b"<f>1/8</f><v>0.125</v>")
    packed[sheet] = packed[sheet].replace(b"<f>1/8</f><v />", b"<f>1/8</f><v>0.125</v>")
    with zipfile.ZipFile(path, "w") as book:
        for name, data in packed.items():
            book.writestr(name, data)
    assert read_table(path).numbers([1]) == [{1: 0.125}]


def test_which_of_several_sheets_counts_is_not_guessed(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["name", "x"], ["a", 1], more="notes")
    with pytest.raises(InputError, match="several filled sheets: Sheet, more"):
        read_table(path)


@pytest.mark.parametrize("damage", ["cut", "other", "bomb", "old"])
def test_a_workbook_that_cannot_be_read_is_named(tmp_path: Path, damage: str) -> None:
    path = workbook(tmp_path / "t.xlsx", ["name", "x"], *([f"r{i}", i] for i in range(50)))
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "old":
        path.write_bytes(b"\xd0\xcf\x11\xe0" + bytes(512))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            name = "xl/worksheets/sheet1.xml" if damage == "bomb" else "content.xml"
            packed.writestr(name, bytes(64 * 2**20))
    with pytest.raises(InputError, match=r"t\.xlsx (is|cannot)"):
        read_table(path)


def test_a_workbook_of_many_lines_is_read_soon_enough(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", ["name", "x"], *([f"r{i}", i / 7] for i in range(5000)))
    start = time.monotonic()
    assert len(read_table(path).rows) == 5000
    assert time.monotonic() - start < 5


def test_an_angle_alone_costs_no_line_its_pixel_size(tmp_path: Path) -> None:
    """It may be an angle of the probe; and lacking columns are named once, not by line."""
    text = "filename,pixel size(mm),angle\nx.png,0.1,2\ny.png,0.2,3\n"
    (tmp_path / "sizes.csv").write_text(text)
    rows, (note,) = read_folder_tables(tmp_path, "other.csv")
    sizes = [row.calibration and row.calibration.mm_per_px for row in rows.values()]
    assert sizes == [0.1, 0.2]
    assert "it has only angle_deg, which was not used" in note


SIZES = {
    "mm/px": 0.1,
    "PixelSize (mm/pixel)": 0.1,
    "Pixel spacing [mm]": 0.1,
    "pixel_size_cm": 0.01,
    "pixel size (µm)": 100,
    "px per mm": 10,
    "Scale (px/cm)": 100,
    "Pixelgröße (mm)": 0.1,
    "tamaño de píxel (mm)": 0.1,
    "размер пикселя (мм)": 0.1,
    "像素大小(mm)": 0.1,
    "Resolución (mm/píxel)": 0.1,
    "Échelle (mm par pixel)": 0.1,
    "Espaçamento do pixel (mm)": 0.1,
    "Auflösung (Pixel pro cm)": 100,
}
"""Headers of a pixel size of 0.1 mm, and its number in their unit."""


def one_row(folder: Path, text: str | bytes, name: str = "table.csv") -> Row:
    """What a table says about ``one.png``, without a word of complaint."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    rows, notes = read_folder_tables(folder, "another.csv")
    assert not notes
    return rows["one.png"]


def complaint(folder: Path, text: str) -> str:
    """What is said about a table, of which no pixel size and no ellipse is used."""
    rows, notes = read_folder_tables(saved(folder, text).parent, "another.csv")
    assert not any(row.calibration or row.ellipse for row in rows.values())
    return " ".join(notes)


@pytest.mark.parametrize("header", SIZES)
def test_a_pixel_size_is_read_in_the_unit_of_its_column(tmp_path: Path, header: str) -> None:
    row = one_row(tmp_path, f"image;{header}\none.png;{SIZES[header]}\n")
    assert row.calibration is not None
    assert row.calibration.mm_per_px == pytest.approx(0.1)


@pytest.mark.parametrize(
    "cell", ["[0.1, 0.1]", "0.1\\0.1", "['0.1', '0.1']", "(0,1; 0,1)", "0.1 x 0.1", "[0.1 0.1]"]
)
def test_a_pixel_size_may_be_that_of_rows_and_columns(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f'filename,PixelSpacing\none.png,"{cell}"\n')
    (found,) = read_rows(path, ["filename"]).rows
    assert found.row.calibration is not None and found.row.calibration.mm_per_px == 0.1


@pytest.mark.parametrize(
    "header", ["px_mm", "mm_px", "resolution", "Kalibrierfaktor [mm/Pixel]", "spacing_mm_x_y"]
)
def test_a_column_that_may_be_a_pixel_size_is_named(tmp_path: Path, header: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"filename;subject;{header}\none.png;A;0,12\ntwo.png;B;0,25\n")
    (note,) = read_rows(path, ["filename"]).notes
    assert repr(header) in note and "name its unit" in note


@pytest.mark.parametrize(
    ("header", "cell"), [("resolution", "800x600"), ("scale", "3"), ("a_px", "0.5")]
)
def test_other_columns_are_not(tmp_path: Path, header: str, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"filename,subject,{header}\none.png,A,{cell}\n")
    assert read_rows(path, ["filename"]).notes == ()


def test_two_different_sides_in_one_cell_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('filename,PixelSpacing\none.png,"[0.1, 0.2]"\ntwo.png,0.3\n')
    found = read_rows(path, ["filename"])
    assert [named.name for named in found.rows] == ["two.png"]
    (fault,) = found.faults
    assert "line 2: '[0.1, 0.2]' states two sides of a pixel" in str(fault)
    assert "pixel width(mm) and pixel height(mm)" in str(fault)


def test_the_sides_of_a_pixel_have_several_names(tmp_path: Path) -> None:
    for header in (
        "pixel_spacing_col,pixel_spacing_row",
        "Pixelbreite (mm),Pixelhöhe (mm)",
        "column spacing,row spacing",
        "ancho de píxel (mm),alto de píxel (mm)",
    ):
        known = one_row(tmp_path, f"image,{header}\none.png,0.1,0.2\n").calibration
        assert known is not None and (known.mm_per_px_x, known.mm_per_px_y) == (0.1, 0.2)


@pytest.mark.parametrize(
    "header",
    [
        *("Nombre del archivo", "fichero de imagen", "Fichier image", "Nom de l'image"),
        *("Nome da imagem", "Nome dell'immagine", "Bestandsnaam", "Bildname"),
    ],
)
def test_names_of_files_are_known_in_other_languages(tmp_path: Path, header: str) -> None:
    assert one_row(tmp_path, f"{header};mm/px\none.png;0,1\n").calibration is not None


def test_a_column_that_says_that_it_holds_names_counts(tmp_path: Path) -> None:
    for header in ("imagen;nombre del archivo", "image;Bildname", "frame;image_name"):
        row = one_row(tmp_path, f"{header};mm/px\n7;one.png;0,1\n")
        assert row.calibration is not None


@pytest.mark.parametrize(
    "header",
    [
        "centro_x;centro_y;semieje mayor;semieje menor;ángulo",
        "Mittelpunkt x;Mittelpunkt y;Große Halbachse;Kleine Halbachse;Winkel (Grad)",
        "centre x;centre y;demi-grand axe;demi-petit axe;angle (degrés)",
        "x centro;y centro;semieixo maior;semieixo menor;ângulo (graus)",
    ],
)
def test_ellipses_are_known_in_other_languages(tmp_path: Path, header: str) -> None:
    row = one_row(tmp_path, f"image;{header}\none.png;40,5;41;30,25;20;89,5\n")
    assert row.ellipse is not None
    assert astuple(row.ellipse) == pytest.approx((40.5, 41, 30.25, 20, 89.5))
    assert row.axes is not None and row.axes.lengths is Lengths.SEMI_AXES


def test_an_angle_is_bare_in_any_language(tmp_path: Path) -> None:
    text = "image;cx;cy;a;b;Winkel\none.png;40;41;30;20;1,5\n"
    assert "may be in degrees or in radians" in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("header", "number"),
    [
        ("Kopfumfang (mm)", "71,9"),
        ("perímetro cefálico", "71,9"),
        ("Périmètre crânien [cm]", "7,19"),
        ("HC (cm)", "7,19 cm"),
    ],
)
def test_circumferences_are_known_in_other_languages_and_in_cm(
    tmp_path: Path, header: str, number: str
) -> None:
    row = one_row(tmp_path, f"image;mm/px;{header}\none.png;0,1;{number}\n")
    assert row.hc_mm == pytest.approx(71.9)


def test_numbers_of_patients_are_no_circumferences(tmp_path: Path) -> None:
    table = "imagen;mm/px;HC\none.png;0,1;{}\ntwo.png;0,1;123457\n"
    (tmp_path / "t.csv").write_text(table.format(123456))
    rows, (note,) = read_folder_tables(tmp_path, "another.csv")
    assert rows["one.png"].hc_mm is None and rows["one.png"].calibration is not None
    assert "'HC' are no head circumferences in mm" in note and "call it subject" in note
    (tmp_path / "t.csv").write_text(table.format(250))  # one number may be wrong
    rows, notes = read_folder_tables(tmp_path, "another.csv")
    assert rows["one.png"].hc_mm == 250 and not notes


def test_a_table_that_says_nothing_known_is_named_with_its_columns(tmp_path: Path) -> None:
    said = complaint(tmp_path, "image,ID,plane\none.png,7,axial\n")
    assert "neither a column 'pixel size(mm)'" in said
    assert "Its columns are 'image', 'ID', 'plane'. If one says whose frame it is" in said
    said = complaint(tmp_path, "scan no,patient\n1,7\n")
    assert "has no column that names the files, such as 'filename', and was not used" in said


def test_a_unit_may_stand_in_a_column_a_line_or_a_cell(tmp_path: Path) -> None:
    for text in (
        "image,pixel size,unit\none.png,0.01,cm\n",
        "image,pixel size\n,cm\none.png,0.01\n",
        "image,pixel size\none.png,0.1 mm\n",
        "image,spacing_x,spacing_y\none.png,0.1,0.1\n",
        "image,pixel width (um),pixel height (um)\none.png,100,100\n",
    ):
        row = one_row(tmp_path, text)
        assert row.calibration is not None, text
        assert row.calibration.mm_per_px == pytest.approx(0.1), text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,pixel size,unit\none.png,0.01,feet\n", "the unit 'feet'"),
        ("image,pixel size(mm)\n,cm\none.png,0.01\n", "is 'cm' here"),
        ("image,pixel size\none.png,0.01 cm\n", "'0.01 cm' is not a number"),
        ("image,pixel size(mm),px/mm\none.png,0.1,10\n", "several columns"),
        # Decimal commas that the cells of a comma table tear apart, as many as the header has.
        ("image,pixel size(mm),hc,note\none.png,0,1,90\n", "every number"),
        ("image,pixel size(mm),note,,\none.png,0,1,,\n", "every number"),
        ("image,pixel size(mm)\none.png,0,12,\n", "it has 4 cells"),
        ("name,cx,cy,a,b,angle_rad\none,40,40,30,20,89.5\n", "too large to be in radians"),
    ],
)
def test_a_number_in_another_unit_is_not_taken_for_mm(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("cp1251", "Файл"),
        ("cp932", "画像名"),
        ("gb18030", "图像"),
        ("mac-roman", "fichier;Numéro de dossier"),
        ("utf-32", "image"),
        ("cp850", "fichier;Numéro de dossier"),
    ],
)
def test_old_encodings_are_known_by_the_headers(tmp_path: Path, encoding: str, header: str) -> None:
    more = header.count(";")
    text = f"{header};pixel size(mm)\none.png;{'7;' * more}0,1\n"
    row = one_row(tmp_path, text.encode(encoding))
    assert row.calibration is not None
    assert (row.subject is not None) == bool(more)


@pytest.mark.parametrize(
    "text",
    [
        "Exported 2024-01-03\n\nimage,pixel size(mm)\none.png,0.1\n",
        "# by a program\n# 2,3\nimage,pixel size(mm)\none.png,0.1\n",
        "frame,,\n,,\nimage,pixel size(mm),\none.png,0.1\n",
        "image,pixel size(mm)\none.png,0.1,,\n",
        "image,pixel size(mm)\none.png,0.1\n\x1a",
        "| image | pixel size(mm) |\n|---|:-:|\n| one.png | 0.1 |\n",
        "'image','pixel size(mm)'\n'one.png','0.1'\n",
        'image, pixel size(mm)\n="one.png", "0.1"\n',
        "image,pixel size(mm)\none.png,０.１\u200b\n",
        'image,pixel size(mm),width\none.png,0.1,"1,024"\n',
    ],
)
def test_what_is_around_a_table_does_not_matter(tmp_path: Path, text: str) -> None:
    row = one_row(tmp_path, text)
    assert row.calibration is not None and row.calibration.mm_per_px == 0.1


def test_a_text_file_is_a_table_where_its_headers_are_known(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("The frames, made in 2024\n")
    (tmp_path / "label.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert one_row(tmp_path, "image\tpatient\none.png\t7\n", "list.txt").subject == "7"


@pytest.mark.parametrize(
    "header",
    [
        *(
            "Patient #",
            "N° patient",
            "ID paciente",
            "Nr. pacjenta",
            "Probanden-ID",
            "hasta no",
        ),
        *(
            "№ карты",
            "ID пациента",
        ),
        *(
            "患者编号",
            "病历号",
            "Ασθενής",
        ),
        *("HN", "pt", "CRN", "Medical record number"),
    ],
)
def test_a_column_of_patients_is_known(tmp_path: Path, header: str) -> None:
    assert one_row(tmp_path, f"image,{header}\none.png,7\n").subject == "7"


def test_a_column_that_may_group_frames_is_named(tmp_path: Path) -> None:
    table = "image,quality,{}\none.png,good,7\ntwo.png,good,7\nthree.png,good,8\n"
    for header in ("exam_id", "video", "ID", "Case", "screening no"):
        assert f"the column '{header}' was not used" in complaint(tmp_path, table.format(header))
    for header in ("site_id", "scanner", "operator no", "plane"):
        assert not complaint(tmp_path, table.format(header))
    # Where no text recurs, it says nothing about patients.
    assert not complaint(tmp_path, table.format("ID").replace("7\ntwo", "6\ntwo"))


def test_a_frame_without_a_patient_is_named(tmp_path: Path) -> None:
    assert "says nothing about two.png" in complaint(
        tmp_path, "patient,image\n7,one.png\n,two.png\n8,three.png\n"
    )
    rows, _ = read_folder_tables(
        saved(tmp_path, "patient,image\nanonymous,one.png\n-999,two.png\n").parent, "another.csv"
    )
    assert [row.subject for row in rows.values()] == [None, None]


def test_patients_that_are_written_nearly_alike_are_named_by_their_lines(tmp_path: Path) -> None:
    said = complaint(
        tmp_path,
        "image,subject\none.png,Mar\u00eda L\u00f3pez\ntwo.png,Ana\nthree.png,maria lopez\n",
    )
    assert f"lines 2, 4 in {tmp_path / 'ellipses.csv'} are written nearly alike" in said
    assert "lopez" not in said.lower()
    assert not complaint(tmp_path, "image,subject\none.png,Ana\ntwo.png,Anna\nthree.png,Ana\n")


def test_of_several_sheets_the_one_about_frames_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["Term", "Meaning"])
    sheet = book.create_sheet("Frames")
    for cells in (["Frames of the study"], ["image", "mm/px"], ["one.png", 0.1]):
        sheet.append(cells)
    book.save(tmp_path / "t.xlsx")
    rows, notes = read_folder_tables(tmp_path, "another.csv")
    assert not notes and rows["one.png"].calibration is not None


def test_messages_write_names_as_the_table_does(tmp_path: Path) -> None:
    first = "filename,pixel size(mm)\nScan_A.PNG,0.1\nGone_B.PNG,0.1\n"
    (tmp_path / "first.csv").write_text(first + "Twice_C.PNG,0.1\nTwice_C.PNG,0.2\n")
    (tmp_path / "second.csv").write_text("filename,pixel size(mm)\nScan_A.PNG,0.2\n")
    rows, notes = read_folder_tables(tmp_path, "another.csv")
    said = " ".join((*notes, *unmatched(tmp_path, rows, [tmp_path / "scan_a.png"])))
    assert "line 5: Twice_C.PNG is there twice" in said
    assert "gives another pixel size for Scan_A.PNG than" in said
    assert "names Gone_B.PNG: no such frame is there" in said
