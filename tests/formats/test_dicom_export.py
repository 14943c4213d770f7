"""Secondary Captures and segmentations, by highdicom's and pydicom's readers and our own."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.uid import UltrasoundImageStorage, UltrasoundMultiFrameImageStorage

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.pictures.picture_files import FRAME_NOTE
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.reading.frame_reading import read_content
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair
from tests.formats.chosen import frames_of
from tests.formats.dicom_files import speckle, write

SIZE = (61, 47)
"""Odd, so that the bits of a mask end within a byte."""
HEAD = Ellipse(30.0, 23.0, 17.5, 12.25, 30.0)
PIXEL = Calibration(0.11, 0.17, "manual")


def pixels(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(20, 220, SIZE[::-1]).astype(np.uint8)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of two frames of one subject, one of them without an ellipse, and of a pair."""
    writer = EXPORTS["dicom"].writer(tmp_path)
    for number, head in enumerate((HEAD, None)):
        writer.add_frame(
            ExportedFrame(f"{number}", f"f{number}", "c", "P1", pixels(number), head, PIXEL, {})
        )
    writer.add_pair(ExportedPair("p", "s", "c", pixels(9), HEAD, HEAD, None, {}, {"seed": 1}))
    writer.finish()
    assert list(writer.problems) == []
    return tmp_path


def test_highdicom_reads_the_masks_of_the_captures(out: Path) -> None:
    for name, number, synthetic in (("f0", 0, False), ("s", 9, True)):
        image = highdicom.imread(out / "images" / f"{name}.dcm")
        assert np.array_equal(image.pixel_array, pixels(number))
        found = highdicom.seg.segread(out / "segmentations" / f"{name}.dcm")
        (mask,) = found.get_pixels_by_source_instance([image.SOPInstanceUID])
        assert np.array_equal(mask[..., 0], HEAD.mask(SIZE))
        description = found.get_segment_description(1)
        assert description.segment_label == "Fetal head"
        assert description.segmented_property_type.meaning == "Head"
        assert (description.algorithm_type.value == "SEMIAUTOMATIC") == synthetic
        assert found.StudyInstanceUID == image.StudyInstanceUID
    assert not (out / "segmentations" / "f1.dcm").exists()


def test_what_the_headers_say(out: Path) -> None:
    read = {path.stem: pydicom.dcmread(path) for path in (out / "images").iterdir()}
    for made in read.values():
        assert made.SOPClassUID.name == "Secondary Capture Image Storage"
        assert made.BurnedInAnnotation == "NO" and made.PatientIdentityRemoved == "YES"
        assert [c.CodeValue for c in made.DeidentificationMethodCodeSequence] == [
            "113100",
            "113101",
        ]
        for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            assert made[keyword].value.startswith("2.25.")
        for keyword in ("PatientBirthDate", "StudyDate", "AccessionNumber"):
            assert made[keyword].value == ""
    assert read["f0"].PatientID == read["f1"].PatientID == "P1"
    assert read["f0"].StudyInstanceUID == read["f1"].StudyInstanceUID
    assert len({made.SOPInstanceUID for made in read.values()}) == 3
    assert list(read["f0"].PixelSpacing) == [0.17, 0.11], "the distance of rows first"
    assert "PixelSpacing" not in read["s"]
    assert (read["f0"].ConversionType, read["s"].ConversionType) == ("WSD", "SYN")
    assert "Synthetic" in read["s"].DerivationDescription
    assert read["s"].PatientID == "SYNTHETIC"
    mask = pydicom.dcmread(out / "segmentations" / "s.dcm")
    assert "Synthetic" in mask.DerivationDescription


def test_our_own_files_say_what_they_are(out: Path) -> None:
    (out / "provenance.json").unlink()
    records = {record.name: record for record in read_source(out).records}
    frame = read_content(records["f0"])
    assert np.array_equal(frame.pixels, pixels(0)), "it is not redacted again"
    assert records["f0"].note is not None and records["f0"].note() == FRAME_NOTE
    assert frame.calibration == Calibration(0.11, 0.17, "dicom")
    assert records["f0"].subject == records["f1"].subject == "P1"
    pair = read_content(records["s"])
    assert pair.synthetic is not None and pair.synthetic.provenance["seed"] == 1
    assert pair.ellipse == HEAD


def test_a_segmentation_without_its_picture_is_named(out: Path) -> None:
    (out / "images" / "f0.dcm").unlink()
    found = read_source(out)
    (problem,) = found.problems
    assert "f0.dcm is a segmentation of a picture that is not there" in problem


# -- segmentations by others ------------------------------------------------------------------


def source_images(folder: Path, count: int = 1, frames: int = 1) -> list[Dataset]:
    """Ultrasound instances of one series."""
    series = highdicom.UID()
    made = []
    for number in range(count):
        several = frames > 1
        path = write(
            folder / f"IM{number}",
            speckle(frames, seed=number),
            SeriesInstanceUID=series,
            StudyInstanceUID=f"{series}.1"[:60],
            SOPClassUID=UltrasoundMultiFrameImageStorage if several else UltrasoundImageStorage,
            PatientName="X^",
            PatientBirthDate="",
            PatientSex="",
            StudyDate="",
            StudyTime="",
            StudyID="",
            AccessionNumber="",
            ReferringPhysicianName="",
            SeriesNumber=1,
            InstanceNumber=number + 1,
            Manufacturer="M",
        )
        made.append(pydicom.dcmread(path))
    return made


def by_highdicom(
    path: Path, images: list[Dataset], masks: NDArray[Any], *labels: str, kind: str = "BINARY"
) -> None:
    """Write the masks, (frames, H, W[, segments]), as highdicom does."""
    code = highdicom.sr.CodedConcept("69536005", "SCT", "Head")
    descriptions = [
        highdicom.seg.SegmentDescription(
            number,
            label,
            highdicom.sr.CodedConcept("123037004", "SCT", "Body structure"),
            code,
            highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(labels, 1)
    ]
    made = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=highdicom.UID(),
        series_number=9,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="M",
        manufacturer_model_name="M",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(path)


HEAD_HERE = Ellipse(30.0, 24.0, 17.5, 12.25, 30.0)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_the_head_of_another_programs_segmentation_is_taken(tmp_path: Path, kind: str) -> None:
    (image, _) = source_images(tmp_path, 2)
    head = HEAD_HERE.mask((64, 48))
    spine = np.zeros_like(head)
    spine[44:48, 2:30] = 1
    masks = np.stack([spine, head], axis=-1)[None]
    by_highdicom(tmp_path / "seg.dcm", [image], masks, "Spine", "Fetal head", kind=kind)
    drawn, other = (read_content(record) for record in read_source(tmp_path).records)
    assert drawn.ellipse is not None and drawn.ellipse.overlap(HEAD_HERE) > 0.97
    assert drawn.doubts == () and other.ellipse is None and other.problems == ()


def test_segments_that_are_not_named_are_asked_about(tmp_path: Path) -> None:
    images = source_images(tmp_path)
    head = HEAD_HERE.mask((64, 48))
    other = np.zeros_like(head)
    other[44:48, 2:30] = 1
    by_highdicom(tmp_path / "seg.dcm", images, np.stack([other, head], axis=-1)[None], "1", "2")
    (record,) = read_source(tmp_path).records
    content = read_content(record)
    assert content.ellipse is None
    assert [doubt.question for doubt in content.doubts] == [Question.HEAD]
    chosen = read_content(record, {Question.HEAD: "2"})
    assert chosen.ellipse is not None and chosen.ellipse.overlap(HEAD_HERE) > 0.97


def test_a_segmentation_of_something_else_is_no_head(tmp_path: Path) -> None:
    by_highdicom(tmp_path / "seg.dcm", source_images(tmp_path), HEAD_HERE.mask((64, 48))[None],
                 "Placenta")  # fmt: skip
    (record,) = read_source(tmp_path).records
    content = read_content(record)
    assert content.ellipse is None and "does not mark the head" in content.problems[0]


def test_of_several_segmentations_only_one_of_a_head_is_taken(tmp_path: Path) -> None:
    images, head = source_images(tmp_path), HEAD_HERE.mask((64, 48))[None]
    by_highdicom(tmp_path / "a.dcm", images, 1 - head, "Placenta")
    by_highdicom(tmp_path / "b.dcm", images, head, "Fetal head")
    (record,) = read_source(tmp_path).records
    content = read_content(record)
    assert content.problems == ()
    assert content.ellipse is not None and content.ellipse.overlap(HEAD_HERE) > 0.97
    by_highdicom(tmp_path / "c.dcm", images, head[:, :, ::-1], "Head")
    _uses_none(tmp_path)
    (tmp_path / "b.dcm").unlink()
    by_highdicom(tmp_path / "c.dcm", images, head, "Segment 1")
    _uses_none(tmp_path)


def _uses_none(folder: Path) -> None:
    (record,) = read_source(folder).records
    content = read_content(record)
    assert content.ellipse is None
    assert "IM0 has several segmentations" in content.problems[0]
    assert all(path.name in content.problems[0] for path in folder.glob("?.dcm"))


def test_each_frame_of_a_clip_has_its_own_mask(tmp_path: Path) -> None:
    (clip,) = source_images(tmp_path, frames=3)
    path = tmp_path / "seg.dcm"
    masks = [HEAD_HERE.mask((64, 48)), Ellipse(30, 24, 12, 9, 0).mask((64, 48))]
    (still,) = source_images(tmp_path / "still")
    by_highdicom(path, [still], masks[0][None], "Fetal head")
    shutil.rmtree(tmp_path / "still")
    made = pydicom.dcmread(path)  # highdicom itself needs planes in space for several frames
    made.NumberOfFrames, made.PixelData = 2, pack_bits(np.stack(masks))
    (group,) = made.PerFrameFunctionalGroupsSequence
    groups = [copy.deepcopy(group) for _ in masks]
    for number, one in zip((2, 3), groups, strict=True):
        (source,) = one.DerivationImageSequence[0].SourceImageSequence
        source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber = clip.SOPInstanceUID, number
    made.PerFrameFunctionalGroupsSequence = groups
    made.save_as(path)
    contents = [read_content(record) for record in frames_of(read_source(tmp_path), "all")]
    found = [content.ellipse for content in contents]
    assert found[0] is None and found[1] is not None and found[2] is not None
    assert found[1].a == pytest.approx(17.5, abs=0.5) and found[2].a == pytest.approx(12, abs=0.5)


def test_overlapping_segments_are_refused(tmp_path: Path) -> None:
    head = HEAD_HERE.mask((64, 48))
    both = np.stack([head, Ellipse(30, 24, 5, 4, 0).mask((64, 48))], axis=-1)[None]
    by_highdicom(tmp_path / "seg.dcm", source_images(tmp_path), both, "Fetal head", "Midline")
    (record,) = read_source(tmp_path).records
    assert record.mask is not None
    with pytest.raises(InputError, match=r"seg\.dcm has segments that overlap"):
        record.mask()
