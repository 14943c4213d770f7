"""Published data sets in the layout of their publishers, made of simulated frames."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow
import pyarrow.parquet
import pytest
import SimpleITK
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import SYNTHETIC_NOTE, encode_png, write_png
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.reading.frame_reading import FrameContent, read_content
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.sources import read_source, recognise
from tests.doubtful import said_of
from tests.formats.chosen import frames_of
from tests.simulated import labelled

Frames = list[tuple[NDArray[np.uint8], Ellipse]]
Labels = Callable[[Ellipse, int, int], NDArray[np.uint8]]
SIZE = (192, 128)


@pytest.fixture(scope="module")
def frames() -> Frames:
    return labelled(4, size=SIZE)


@pytest.fixture
def labels() -> Labels:
    """Makes a mask with the head and, at a corner, another structure."""

    def make(head: Ellipse, value: int, other: int) -> NDArray[np.uint8]:
        made = head.mask(SIZE) * np.uint8(value)
        made[2:20, 2:30] = other
        return made

    return make


def read(source: Path) -> tuple[list[FrameRecord], list[FrameContent], tuple[str, ...]]:
    found = read_source(source)
    records = frames_of(found)
    contents = [read_content(record) for record in records]
    return (
        list(records),
        contents,
        found.problems + tuple(said for content in contents for said in said_of(content)),
    )


def save(path: Path, array: NDArray[Any], spacing: tuple[float, ...] = ()) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array)
    if spacing:
        image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def close(found: Ellipse | None, head: Ellipse) -> bool:
    """Whether an ellipse is that of a mask."""
    assert found is not None
    away = (found.cx - head.cx, found.cy - head.cy, found.a - head.a, found.b - head.b)
    return max(map(abs, away)) < 0.5


# -- nnU-Net ---------------------------------------------------------------------------------


@pytest.fixture
def nnunet(tmp_path: Path, frames: Frames, labels: Labels) -> Callable[..., Path]:
    """Makes a data set in the raw layout: two training cases, one of another channel, one test."""

    def make(suffix: str, named: dict[str, Any], *, other: int = 1, head: int = 2) -> Path:
        root = tmp_path / "nnUNet_raw" / "Dataset042_Heads"
        for number, (pixels, ellipse) in enumerate(frames[:3]):
            case = f"P{number:02d}_1"
            images, masks = ("imagesTr", "labelsTr") if number < 2 else ("imagesTs", "")
            mask = labels(ellipse, head, other)
            for folder, name, array in (
                (images, f"{case}_0000{suffix}", pixels),
                (masks, f"{case}{suffix}", mask),
            ):
                if folder and suffix == ".png":
                    write_png(root / folder / name, array)
                elif folder:
                    save(root / folder / name, array[None], (0.2, 0.3, 1.0))
        description = {
            "channel_names": {"0": "US"},
            "labels": {"background": 0, **named},
            "numTraining": 2,
            "file_ending": suffix,
        }
        (root / "dataset.json").write_text(json.dumps(description))
        return root

    return make


@pytest.mark.parametrize("suffix", [".png", ".nii.gz"])
def test_nnunet(nnunet: Callable[..., Path], frames: Frames, suffix: str) -> None:
    root = nnunet(suffix, {"pubic symphysis": 1, "fetal head": 2})
    splits = [{"train": ["P00_1"], "val": ["P01_1"]}, {"train": ["P01_1"], "val": ["P00_1"]}]
    preprocessed = root.parents[1] / "nnUNet_preprocessed" / root.name
    preprocessed.mkdir(parents=True)
    (preprocessed / "splits_final.json").write_text(json.dumps(splits))
    assert recognise(root) == "nnunet"
    records, contents, problems = read(root)
    assert problems == ()
    assert [record.subject for record in records] == ["P00", "P01", "P02"]
    assert [record.part for record in records] == ["train", "validation", "test"]
    assert [c is not None for c in (record.calibration for record in records)] == [
        suffix == ".nii.gz"
    ] * 3
    for content, (pixels, head) in zip(contents[:2], frames, strict=False):
        assert np.array_equal(content.pixels, pixels)
        assert close(content.ellipse, head)
    assert contents[2].ellipse is None


@pytest.mark.parametrize(
    ("named", "head", "other", "used", "said"),
    [
        ({"head": 1}, 1, 0, True, None),
        ({"foreground": 1}, 1, 0, True, None),
        ({"cabeza": 1, "abdomen": 2}, 1, 2, True, None),
        ({"abdomen": 1}, 1, 0, False, "does not mark the head, as the data set says of it"),
        ({"abdomen": 1, "femur": 2}, 2, 1, False, "does not mark the head"),
        ({"class1": 1, "class2": 2}, 2, 1, False, "does not mark the head"),
        ({"skull": 1, "head": 2}, 2, 1, False, "shows several structures, with the values 1, 2"),
        ({"whole": [1, 2], "head": 2}, 2, 1, False, "shows several structures"),
    ],
)
def test_which_label_of_nnunet_is_the_head(
    nnunet: Callable[..., Path],
    named: dict[str, Any],
    head: int,
    other: int,
    used: bool,
    said: str | None,
) -> None:
    root = nnunet(".png", named, head=head, other=other)
    records, contents, problems = read(root)
    assert [content.ellipse is not None for content in contents] == [used, used, False]
    assert all(said is not None and said in problem for problem in problems)
    assert len(problems) == (0 if used else 2)
    if not used:
        assert read_content(records[0], {Question.HEAD: str(head)}).ellipse is not None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"labels": 3}', "[" * 9999])
def test_damaged_descriptions_are_named_and_lose_no_frame(
    nnunet: Callable[..., Path], damage: str
) -> None:
    root = nnunet(".png", {"head": 1}, head=1, other=0)
    (root / "dataset.json").write_text(damage)
    (root / "splits_final.json").write_text(damage)
    found = read_source(root)
    assert len(found.records) == 3
    first, second = found.problems
    assert "dataset.json" in first and "What the values of the masks mean is not known" in first
    assert "splits_final.json" in second and "The parts in it were not used" in second


# -- PSFHS and JNU-IFM -----------------------------------------------------------------------


def test_psfhs(tmp_path: Path, frames: Frames, labels: Labels) -> None:
    for number, (pixels, head) in enumerate(frames, 1):
        save(tmp_path / "image_mha" / f"{number:05d}.mha", np.stack([pixels] * 3))
        save(tmp_path / "label_mha" / f"{number:05d}.mha", labels(head, 2, 1))
    for source in (tmp_path, tmp_path / "image_mha"):
        _, contents, (problem,) = read(source)
        assert "a pixel of exactly 1 mm" in problem
        for content, (pixels, head) in zip(contents, frames, strict=True):
            assert np.array_equal(content.pixels, pixels)
            assert close(content.ellipse, head)
    assert recognise(tmp_path) == "psfhs"


@pytest.mark.parametrize("by_video", [True, False])
def test_jnu_ifm(tmp_path: Path, frames: Frames, labels: Labels, by_video: bool) -> None:
    videos = ["20190830T115515", "20190909T155747"]
    for number, (pixels, head) in enumerate(frames):
        video = videos[number // 2]
        root = tmp_path / video if by_video else tmp_path
        name = f"{video}_{number}"
        write_png(root / "image" / f"{name}.png", pixels)
        mask = labels(head, 8, 7)
        write_png(root / "mask" / f"{name}_mask.png", mask)
        colours = np.stack([mask == 7, mask == 8, mask < 0], axis=-1) * np.uint8(255)
        write_png(root / "mask_enhance" / f"{name}_mask.png", colours)
    (tmp_path / "frame_label.csv").write_text("video_name,frame_id,frame_label\n,1,6\n")
    assert recognise(tmp_path) == "jnu-ifm"
    records, contents, problems = read(tmp_path)
    assert problems == ()
    assert [record.subject for record in records] == [videos[0]] * 2 + [videos[1]] * 2
    assert all(close(c.ellipse, head) for c, (_, head) in zip(contents, frames, strict=True))


# -- FETAL_PLANES_DB -------------------------------------------------------------------------

PLANES = [
    ("Image_name", "Patient_num", "Plane", "Brain_plane", "Operator", "US_Machine", "Train "),
    ("Patient00001_Plane1_1_of_2", "1", "Fetal brain", "Trans-thalamic", "Op. 1", "Aloka", "1"),
    ("Patient00001_Plane1_2_of_2", "1", "Fetal brain", "Trans-ventricular", "Op. 1", "Aloka", "1"),
    ("Patient00002_Plane2_1_of_1", "2", "Fetal femur", "Not A Brain", "Op. 2", "Voluson E6", "0"),
]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_fetal_planes(tmp_path: Path, frames: Frames, kind: str) -> None:
    table = tmp_path / f"FETAL_PLANES_DB_data.{kind}"
    if kind == "csv":
        table.write_text("".join(";".join(row) + "\n" for row in PLANES))
    else:
        book = openpyxl.Workbook()
        for row in PLANES:
            book.worksheets[0].append([int(v) if v.isdigit() else v for v in row])
        book.save(table)
    for (pixels, _), row in zip(frames, PLANES[1:], strict=False):
        write_png(tmp_path / "Images" / f"{row[0]}.png", pixels)
    write_png(tmp_path / "Images" / "Patient00003_Plane6_1_of_1.png", frames[3][0])
    assert recognise(tmp_path) == "fetal-planes"
    records, contents, (problem,) = read(tmp_path)
    assert "lacks Patient00003_Plane6_1_of_1.png: imported without labels" in problem
    assert [r.subject for r in records] == [f"Patient0000{n}" for n in (1, 1, 2, 3)]
    assert [r.part for r in records] == ["train", "train", "test", None]
    assert records[0].labels == {
        "plane": "Fetal brain",
        "brain_plane": "Trans-thalamic",
        "scanner": "Aloka",
    }
    assert records[2].labels == {"plane": "Fetal femur", "scanner": "Voluson E6"}
    assert [content.ellipse for content in contents] == [None] * 4


def test_the_patients_of_fetal_planes_come_from_the_table(tmp_path: Path, frames: Frames) -> None:
    write_png(tmp_path / "Images" / "Patient00001_Plane1_1_of_2.png", frames[0][0])
    rows = [PLANES[0], (PLANES[1][0], "77", *PLANES[1][2:])]
    (tmp_path / "FETAL_PLANES_DB_data.csv").write_text(
        "".join(";".join(row) + "\n" for row in rows)
    )
    (record,) = read_source(tmp_path).records
    assert record.subject == "77"


# -- ACOUSLIC-AI -----------------------------------------------------------------------------


def test_acouslic_gives_frames_without_ellipses(tmp_path: Path, frames: Frames) -> None:
    sweep = np.stack([pixels for pixels, _ in frames])
    masks = np.stack([head.mask(SIZE) for _, head in frames])
    for name in ("0a1b", "2c3d", "4e5f"):
        save(tmp_path / "images/stacked_fetal_ultrasound" / f"{name}.mha", sweep, (0.28, 0.28, 1))
        save(tmp_path / "masks/stacked_fetal_abdomen" / f"{name}.mha", masks, (0.28, 0.28, 1))
    table = tmp_path / "circumferences" / "fetal_abdominal_circumferences_per_sweep.csv"
    table.parent.mkdir()
    table.write_text("uuid,subject_id,sweep_1_ac_mm\n0a1b,11,210.5\n2c3d,11,\n")
    assert recognise(tmp_path) == "acouslic"
    records, contents, (problem,) = read(tmp_path)
    assert "its masks show the abdomen and not the head" in problem
    assert [content.ellipse for content in contents] == [None] * 12
    assert [record.subject for record in records] == ["11"] * 8 + ["4e5f"] * 4
    assert {r.calibration.mm_per_px_x for r in records if r.calibration} == {0.28}
    assert np.array_equal(contents[5].pixels, frames[1][0])


# -- Hugging Face ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl", "root", "data"])
def test_an_image_folder(tmp_path: Path, frames: Frames, kind: str) -> None:
    root = tmp_path / "data" if kind == "data" else tmp_path
    rows: dict[Path, list[dict[str, Any]]] = {}
    for number, (pixels, head) in enumerate(frames):
        part = "validation" if number == 3 else "train"
        write_png(root / part / f"{number}.png", pixels)
        write_png(root / part / "masks" / f"{number}.png", head.mask(SIZE))
        prefix = f"{part}/" if kind == "root" else ""
        row = {
            "file_name": f"{prefix}{number}.png",
            "mask_file_name": f"{prefix}masks/{number}.png",
            "patient_id": f"P{number // 2}",
            "pixel_size": 0.2,
        }
        rows.setdefault(root if kind == "root" else root / part, []).append(row)
    for folder, found in rows.items():
        if kind == "csv":
            lines = [",".join(found[0]), *(",".join(map(str, row.values())) for row in found)]
            (folder / "metadata.csv").write_text("\n".join(lines))
        else:
            lines = [json.dumps(row) for row in found]
            (folder / "metadata.jsonl").write_text("\n".join(lines))
    assert recognise(tmp_path) == "huggingface"
    records, contents, problems = read(tmp_path)
    assert problems == ()
    assert [record.part for record in records] == ["train"] * 3 + ["validation"]
    assert [record.subject for record in records] == ["P0", "P0", "P1", "P1"]
    assert all(r.calibration and r.calibration.mm_per_px_x == 0.2 for r in records)
    assert all(close(c.ellipse, head) for c, (_, head) in zip(contents, frames, strict=True))


@pytest.mark.parametrize("name", ["../b.png", "/etc/b.png", "..\\b.png", "b.txt", "no.png", "."])
def test_metadata_name_pictures_below_their_folder_only(
    tmp_path: Path, frames: Frames, name: str
) -> None:
    folder = tmp_path / "in"
    for path in (folder / "a.png", tmp_path / "b.png"):
        write_png(path, frames[0][0])
    (folder / "b.txt").write_text("")
    write_png(folder / "c.png", frames[1][0])
    lines = [json.dumps({"file_name": "a.png"}), json.dumps({"file_name": name})]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    ((record,), _, (absent, unnamed)) = read(folder)
    assert record.name == "a"
    assert f"names {name}, which is no picture below its folder" in absent
    assert "metadata.jsonl does not name c.png" in unnamed


@pytest.mark.parametrize(
    "lines", ['{"file_name": ', '["file_name"]', '"file_name"', '{"x": "file_name"}']
)
def test_damaged_metadata_are_named(tmp_path: Path, frames: Frames, lines: str) -> None:
    write_png(tmp_path / "a.png", frames[0][0])
    (tmp_path / "metadata.jsonl").write_text(lines)
    ((record,), _, (problem, *_)) = read(tmp_path)
    assert record.name == "a"
    assert "metadata.jsonl" in problem and problem.endswith("The table was not used.")


@pytest.mark.parametrize("wrong", ["mm_per_px_y,-3", "hc,x"])
def test_a_line_that_cannot_be_used_costs_no_picture(
    tmp_path: Path, frames: Frames, wrong: str
) -> None:
    column, value = wrong.split(",")
    write_png(tmp_path / "a.png", frames[0][0])
    (tmp_path / "metadata.csv").write_text(
        f"file_name,mm_per_px_x,patient,{column}\na.png,0.1,7,{value}\n"
    )
    ((record,), _, problems) = read(tmp_path)
    assert record.name == "a" and record.calibration is None
    assert "metadata.csv, line 2" in problems[0]


def parquet(path: Path, rows: list[dict[str, Any]], *, group: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)


def test_parquet(tmp_path: Path, frames: Frames, labels: Labels) -> None:
    rows = [
        {
            "image": {"bytes": encode_png(pixels), "path": f"{number}.png"},
            "label_map": {"bytes": encode_png(labels(head, 2, 1)), "path": None},
            "patient": f"P{number // 2}",
            "pixel size (mm)": 0.2 if number else None,
            "embedding": [0.5] * 8,
            "label": number,
        }
        for number, (pixels, head) in enumerate(frames)
    ]
    parquet(tmp_path / "data" / "train-00000-of-00002.parquet", rows[:3])
    parquet(tmp_path / "data" / "test-00000-of-00001.parquet", rows[3:])
    assert recognise(tmp_path) == "parquet"
    found = read_source(tmp_path)
    assert found.problems == ()
    assert [r.name for r in found.records] == ["3", "0", "1", "2"]
    assert [r.subject for r in found.records] == ["P1", "P0", "P0", "P1"]
    assert [r.part for r in found.records] == ["test", "train", "train", "train"]
    assert [r.calibration is None for r in found.records] == [False, True, False, False]
    for record in found.records:
        pixels, head = frames[int(record.name)]
        asked = read_content(record)
        assert np.array_equal(asked.pixels, pixels)
        (doubt,) = asked.doubts
        assert asked.ellipse is None and [a.value for a in doubt.answers] == ["none", "1", "2"]
        assert close(read_content(record, {Question.HEAD: "2"}).ellipse, head)


def test_parquet_without_names_or_masks(tmp_path: Path, frames: Frames) -> None:
    parquet(tmp_path / "shard.parquet", [{"img": {"bytes": encode_png(p)}} for p, _ in frames])
    records, contents, problems = read(tmp_path)
    assert problems == ()
    assert [record.name for record in records] == [f"shard_0000{n}" for n in (1, 2, 3, 4)]
    assert [content.ellipse for content in contents] == [None] * 4


def test_what_a_parquet_file_holds_is_checked_as_in_a_folder(
    tmp_path: Path, frames: Frames
) -> None:
    pictures = [encode_png(frames[0][0], SYNTHETIC_NOTE), b"no picture", None]
    parquet(tmp_path / "a.parquet", [{"image": {"bytes": p, "path": "x"}} for p in pictures])
    synthetic, foreign, absent = read_source(tmp_path).records
    for record, said in (
        (synthetic, r"a.parquet \(x\) is synthetic"),
        (foreign, "is not a PNG"),
        (absent, "has no picture in it"),
    ):
        with pytest.raises(InputError, match=said):
            read_content(record)
    whole = (tmp_path / "a.parquet").read_bytes()
    write_png(tmp_path / "b.png", frames[0][0])
    shutil.copy(tmp_path / "a.parquet", tmp_path / "c.parquet")
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    assert any(
        "a.parquet holds no pictures, or is damaged" in p for p in read_source(tmp_path).problems
    )
