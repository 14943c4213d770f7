"""Exports for nnU-Net, Hugging Face and in the formats of volumes, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.splits import Part
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.reading.frame_reading import read_content
from fetalstudio.formats.sources import read_source, recognise
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair

SIZE = (200, 150)
HEADS = (
    Ellipse(96.3, 71.6, 60.4, 45.2, 31.0),
    Ellipse(100.0, 12.0, 62.0, 44.0, 75.0),  # the border cuts it
    Ellipse(95.5, 70.0, 50.0, 40.0, 179.5),
    None,
)
PARTS: tuple[Part | None, ...] = ("train", "validation", "test", "train")
OBLONG = Calibration(0.11, 0.17, "manual")
VOLUMES = ("metaimage", "nrrd", "nifti", "psfhs")
FORMATS = ("nnunet", "nnunet-nifti", "huggingface", "parquet", "dicom", *VOLUMES)
IMPORTED_AS = {
    **dict.fromkeys(("nnunet", "nnunet-nifti"), "nnunet"),
    **dict.fromkeys(("metaimage", "nrrd", "nifti"), "folder"),
    "dicom": "dicom",
}


def speckle(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(20, 220, (SIZE[1], SIZE[0])).astype(np.uint8)


def export(
    folder: Path, format: str, *, divided: bool = True, calibration: Calibration | None = OBLONG
) -> None:
    writer = EXPORTS[format].writer(folder)
    for i, (head, part) in enumerate(zip(HEADS, PARTS, strict=True)):
        writer.add_frame(
            ExportedFrame(
                id=f"{i}",
                name=f"frame {i}",
                cohort="c",
                subject=f"subject-{i // 2}",
                pixels=speckle(i),
                ellipse=head,
                calibration=calibration,
                labels={"scanner": "X"},
                part=part if divided else None,
            )
        )
    head = HEADS[0]
    assert head is not None
    writer.add_pair(
        ExportedPair("p", "synthetic_1", "c", speckle(9), head, head, calibration, {}, {"seed": 1})
    )
    writer.finish()
    assert list(writer.problems) == []


@pytest.mark.parametrize("divided", [True, False])
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_is_read_again(tmp_path: Path, format: str, divided: bool) -> None:
    export(tmp_path, format, divided=divided)
    assert recognise(tmp_path) == IMPORTED_AS.get(format, format)
    found = read_source(tmp_path)
    assert found.problems == ()
    records = {record.name: record for record in found.records}
    assert len(records) == len(HEADS) + 1
    for i, (head, part) in enumerate(zip(HEADS, PARTS, strict=True)):
        record = records[f"frame {i}"]
        assert record.subject == f"subject-{i // 2}"
        assert record.part == (part if divided else None)
        assert record.calibration is not None
        assert record.calibration.mm_per_px_x == 0.11
        assert record.calibration.mm_per_px_y == 0.17
        content = read_content(record)
        assert content.problems == () and content.certain
        assert np.array_equal(content.pixels, speckle(i))
        assert content.ellipse == head
        assert record.labels == {"scanner": "X"}
    content = read_content(records["synthetic_1"])
    assert content.problems == () and content.synthetic is not None
    assert content.ellipse == HEADS[0]
    assert content.synthetic.calibration is not None
    assert content.synthetic.provenance == {"seed": 1, "imported": True}


@pytest.mark.parametrize("format", FORMATS)
def test_what_comes_back_without_our_own_file(tmp_path: Path, format: str) -> None:
    export(tmp_path, format)
    (tmp_path / "provenance.json").unlink()
    found = read_source(tmp_path)
    records = {record.name: record for record in found.records}
    carries = EXPORTS[format].carries
    for i, head in enumerate(HEADS[:3]):
        assert head is not None
        record, content = records[f"frame {i}"], read_content(records[f"frame {i}"])
        assert (record.part == PARTS[i]) == (carries.part == "yes")
        assert (record.calibration is not None) == (carries.calibration == "yes")
        assert content.ellipse is not None
        off = 1.0 if i == 1 else 0.5
        assert content.ellipse.cx == pytest.approx(head.cx, abs=off)
        assert content.ellipse.cy == pytest.approx(head.cy, abs=off)
        assert content.ellipse.a == pytest.approx(head.a, abs=off)
        assert content.ellipse.b == pytest.approx(head.b, abs=off)
        assert ("exact" in carries.ellipse) == (content.ellipse == head)


@pytest.mark.parametrize("format", ["nnunet-nifti", *VOLUMES])
def test_a_mask_that_was_changed_after_the_export_counts(tmp_path: Path, format: str) -> None:
    export(tmp_path, format)
    found = {record.name: record for record in read_source(tmp_path).records}
    path = found["frame 0"].annotation
    assert path is not None
    moved = Ellipse(80.0, 60.0, 40.0, 30.0, 0.0)
    image = SimpleITK.GetImageFromArray(moved.mask(SIZE))
    image.SetSpacing((0.11, 0.17))
    SimpleITK.WriteImage(image, str(path))
    content = read_content(found["frame 0"])
    assert content.ellipse is not None
    assert content.ellipse.cx == pytest.approx(80, abs=0.1)


@pytest.mark.parametrize("format", VOLUMES)
def test_frames_without_a_pixel_size_come_back_without_one(tmp_path: Path, format: str) -> None:
    export(tmp_path, format, calibration=None)
    found = read_source(tmp_path)
    assert [record.calibration for record in found.records] == [None] * 5
    (problem,) = found.problems
    assert "a pixel of exactly 1 mm is what programs write" in problem


# -- by the rules and readers of others ------------------------------------------------------


@pytest.mark.parametrize(("format", "suffix"), [("nnunet", ".png"), ("nnunet-nifti", ".nii.gz")])
def test_nnunet_by_its_rules(tmp_path: Path, format: str, suffix: str) -> None:
    """Every training case has a picture of each channel and a mask of the same size, with the
    values that dataset.json names, from 0 without a gap."""
    export(tmp_path, format)
    description = json.loads((tmp_path / "dataset.json").read_text())
    assert set(description) >= {"channel_names", "labels", "numTraining", "file_ending"}
    assert description["channel_names"] == {"0": "ultrasound"}
    assert description["file_ending"] == suffix
    assert description["labels"]["background"] == 0
    assert sorted(description["labels"].values()) == [0, 1]
    images, masks = tmp_path / "imagesTr", tmp_path / "labelsTr"
    cases = sorted(path.name.removesuffix(suffix) for path in masks.iterdir())
    assert cases == ["frame 0", "frame 1", "synthetic_1"]
    assert sorted(path.name for path in images.iterdir()) == [f"{c}_0000{suffix}" for c in cases]
    assert description["numTraining"] == len(cases)
    for case in cases:
        picture = SimpleITK.ReadImage(str(images / f"{case}_0000{suffix}"))
        mask = SimpleITK.ReadImage(str(masks / f"{case}{suffix}"))
        assert picture.GetSize() == mask.GetSize() == SIZE
        assert picture.GetSpacing() == mask.GetSpacing()
        assert set(np.unique(SimpleITK.GetArrayFromImage(mask))) == {0, 1}
        if suffix == ".nii.gz":
            assert picture.GetSpacing() == pytest.approx((0.11, 0.17))
    (fold,) = json.loads((tmp_path / "splits_final.json").read_text())
    assert fold == {"train": ["frame 0", "synthetic_1"], "val": ["frame 1"]}
    tests = sorted(path.name for path in (tmp_path / "imagesTs").iterdir())
    assert tests == [f"frame 2_0000{suffix}", f"frame 3_0000{suffix}"]
    assert [path.name for path in (tmp_path / "labelsTs").iterdir()] == [f"frame 2{suffix}"]


@pytest.mark.parametrize("format", ["huggingface", "parquet"])
def test_datasets_loads_it(
    tmp_path: Path, format: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    export(tmp_path, format)
    cache = str(tmp_path_factory.mktemp("cache"))
    if format == "huggingface":
        loaded = datasets.load_dataset("imagefolder", data_dir=str(tmp_path), cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(tmp_path), cache_dir=cache)
    assert {part: len(rows) for part, rows in loaded.items()} == {
        "train": 3,
        "validation": 1,
        "test": 1,
    }
    assert isinstance(loaded["train"].features["image"], datasets.Image)
    assert isinstance(loaded["train"].features["mask"], datasets.Image)
    row = loaded["validation"][0]
    assert np.array_equal(np.asarray(row["image"]), speckle(1))
    head = HEADS[1]
    assert head is not None
    assert np.array_equal(np.asarray(row["mask"]) > 0, head.mask(SIZE) > 0)
    assert (row["cx"], row["angle_deg"], row["subject"]) == (head.cx, head.angle_deg, "subject-0")
    assert (row["mm_per_px_x"], row["mm_per_px_y"], row["synthetic"]) == (0.11, 0.17, False)
    bare = [r for r in loaded["train"] if r["mask"] is None]
    assert [r["cx"] for r in bare] == [None]


@pytest.mark.parametrize(
    ("format", "images", "masks", "suffix", "head"),
    [
        ("metaimage", "images", "masks", ".mha", 1),
        ("nrrd", "images", "masks", ".nrrd", 1),
        ("nifti", "images", "masks", ".nii.gz", 1),
        ("psfhs", "image_mha", "label_mha", ".mha", 2),
    ],
)
def test_simpleitk_reads_volumes(
    tmp_path: Path, format: str, images: str, masks: str, suffix: str, head: int
) -> None:
    export(tmp_path, format)
    picture = SimpleITK.ReadImage(str(tmp_path / images / f"frame 0{suffix}"))
    mask = SimpleITK.ReadImage(str(tmp_path / masks / f"frame 0{suffix}"))
    assert picture.GetSpacing() == mask.GetSpacing() == pytest.approx((0.11, 0.17))
    assert picture.GetDirection() == (1, 0, 0, 1)
    assert np.array_equal(SimpleITK.GetArrayFromImage(picture), speckle(0))
    assert HEADS[0] is not None
    assert np.array_equal(SimpleITK.GetArrayFromImage(mask), HEADS[0].mask(SIZE) * head)
    assert not (tmp_path / masks / f"frame 3{suffix}").exists()
