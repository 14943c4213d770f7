"""Paths in tables, where the names of files recur in several folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.frame_records import FrameSource
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.tables.named_pictures import NamedPictures, Unclear

HEADER = "filename,pixel size(mm)\n"
PATIENTS = [f"P{patient}/images/{number}.png" for patient in (1, 2) for number in (0, 1)]


def pictures_in(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        grey = np.random.default_rng(number).integers(0, 256, (40, 50), dtype=np.uint8)
        write_png(folder / name, grey)
    return folder


def table(path: Path, names: list[str]) -> list[float]:
    """Write a table with another pixel size for each of the names; returns these."""
    sizes = [round(0.1 + 0.01 * number, 2) for number in range(len(names))]
    rows = (f"{name},{size}\n" for name, size in zip(names, sizes, strict=True))
    path.write_text(HEADER + "".join(rows))
    return sizes


def sizes_in(found: FrameSource, source: Path) -> dict[str, float]:
    """The pixel sizes in mm of the frames that have any, by their paths in the source."""
    return {
        record.path.relative_to(source).as_posix(): record.calibration.mm_per_px
        for record in found.records
        if record.calibration is not None
    }


@pytest.mark.parametrize(
    "write",
    [
        str,
        str.upper,
        lambda name: name.replace("/", "\\"),
        lambda name: "C:\\Users\\me\\study\\" + name.replace("/", "\\"),
        lambda name: f"/home/me/study/{name}",
        lambda name: f"./{name}",
        lambda name: f"../data/{name}",
        lambda name: f"https://example.org/v2/{name}",
        lambda name: name.removesuffix(".png"),
    ],
)
def test_a_path_that_ends_at_one_picture_is_used(
    tmp_path: Path, write: Callable[[str], str]
) -> None:
    source = pictures_in(tmp_path / "data", PATIENTS)
    sizes = table(source / "t.csv", [write(name) for name in PATIENTS])
    found = read_source(source)
    assert sizes_in(found, source) == dict(zip(PATIENTS, sizes, strict=True))
    assert found.problems == ()


@pytest.mark.parametrize(
    "names",
    [
        [name.replace("images/", "") for name in PATIENTS],
        [name.split("/", 1)[1] for name in PATIENTS],
        [name.replace("images", "masks") for name in PATIENTS],
        ["/a/x/P1/images/0.png", "/b/y/P2/images/0.png"],
    ],
)
def test_paths_that_end_at_no_or_several_pictures_are_named_once(
    tmp_path: Path, names: list[str]
) -> None:
    source = pictures_in(tmp_path / "data", PATIENTS)
    table(source / "t.csv", names)
    found = read_source(source)
    assert sizes_in(found, source) == {}
    (problem,) = found.problems
    assert names[0] in problem and "each of several pictures may be meant" in problem
    assert "Write the path of each picture from the folder on that is imported" in problem


def test_names_that_several_folders_have_are_named_once(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", PATIENTS)
    table(source / "t.csv", ["0.png", "1.png", "0.png", "1.png"])
    found = read_source(source)
    assert sizes_in(found, source) == {}
    (problem,) = found.problems
    assert "Several folders have 0.png, 1.png" in problem and "Write the path" in problem


@pytest.mark.parametrize("rest", [[], PATIENTS])
@pytest.mark.parametrize("there", [PATIENTS, PATIENTS[:2], ["P1/images/0.png"]])
def test_the_path_of_another_patient_is_not_used_for_a_picture_of_the_same_name(
    tmp_path: Path, there: list[str], rest: list[str]
) -> None:
    source = pictures_in(tmp_path / "data", there)
    names = ["P9/images/0.png", *rest]
    sizes = table(source / "t.csv", names)
    found = read_source(source)
    expected = {name: size for name, size in zip(names, sizes, strict=True) if name in there}
    assert sizes_in(found, source) == expected
    assert any("P9/images/0.png" in problem and ".csv" in problem for problem in found.problems)


def test_a_folder_that_is_there_does_not_lend_its_rows_to_another(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", ["train/a.png", "test/b.png"])
    sizes = table(source / "t.csv", ["train/a.png", "train/b.png"])
    found = read_source(source)
    assert sizes_in(found, source) == {"train/a.png": sizes[0]}
    assert "train/b.png: pictures of that name lie in other folders only" in found.problems[0]


@pytest.mark.parametrize("folders", [("P1", "P2"), ("training_set", "training_set")])
def test_pictures_may_have_been_put_into_another_folder(
    tmp_path: Path, folders: tuple[str, str]
) -> None:
    source = pictures_in(tmp_path / "data", ["all/a.png", "all/b.png"])
    sizes = table(source / "t.csv", [f"{folders[0]}/a.png", f"{folders[1]}/b.png"])
    found = read_source(source)
    assert sizes_in(found, source) == {"all/a.png": sizes[0], "all/b.png": sizes[1]}
    assert found.problems == ()
    table(source / "t.csv", ["P1/a.png", "P2/a.png"])
    found = read_source(source)
    assert sizes_in(found, source) == {} and "a.png is there twice" in found.problems[0]


def test_a_table_in_the_folder_of_a_patient_is_about_her(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", [*PATIENTS, "P2/images/5.png"])
    sizes = table(source / "P1" / "t.csv", ["0.png", "images/1.png", "5.png"])
    found = read_source(source)
    assert sizes_in(found, source) == {"P1/images/0.png": sizes[0], "P1/images/1.png": sizes[1]}
    assert "5.png: pictures of that name lie in other folders only" in found.problems[0]


def test_names_that_differ_in_capitals_alone() -> None:
    """Not on a disk, which may hold one of them only."""
    upper, lower = Path("data/a/X.png"), Path("data/a/x.png")
    pictures = NamedPictures([upper, lower, Path("data/b/y.png")])
    assert pictures.meant(["a/X.png", "a/x.png", "a/x.PNG"]) == [upper, lower, Unclear.SEVERAL]


def test_a_table_beside_frames_counts_before_one_above_whichever_has_paths(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", PATIENTS)
    above = dict(zip(PATIENTS, table(source / "t.csv", PATIENTS), strict=True))
    for name in ("0.png", "P1/images/0.png", "0"):
        (source / "P1" / "images" / "s.csv").write_text(f"{HEADER}{name},0.7\n")
        found = read_source(source)
        assert sizes_in(found, source) == above | {"P1/images/0.png": 0.7}
        assert found.problems == ()


def test_paths_that_two_tables_write_otherwise_are_compared(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", PATIENTS)
    sizes = table(source / "t.csv", PATIENTS)
    rows = f"D:\\x\\P1\\images\\0.png,0.7\nD:\\x\\P2\\images\\0.png,{sizes[2]}\n"
    (source / "u.csv").write_text(HEADER + rows)
    found = read_source(source)
    expected = dict(zip(PATIENTS, sizes, strict=True))
    del expected["P1/images/0.png"]
    assert sizes_in(found, source) == expected
    assert "another pixel size for D:\\x\\P1\\images\\0.png" in found.problems[0]


def test_ellipses_and_patients_go_to_the_picture_of_the_path(tmp_path: Path) -> None:
    source = pictures_in(tmp_path / "data", ["a/img/0.png", "b/img/0.png"])
    (source / "t.csv").write_text(
        "image,subject,cx,cy,a,b,angle_deg\nb\\img\\0.png,P77,25,20,10,8,0\n"
    )
    first, second = sorted(read_source(source).records, key=lambda record: record.path)
    assert (first.ellipse, second.subject) == (None, "P77")
    assert second.ellipse is not None and second.ellipse.cx == 25
