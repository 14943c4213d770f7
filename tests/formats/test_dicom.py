"""DICOM: every syntax and kind of colour, calibration, sources, privacy and bad input."""

from __future__ import annotations

import io
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import examples
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.formats.dicom.file import read_frame, read_header
from fetalstudio.formats.reading.doubts import Question, checked_answer
from fetalstudio.formats.reading.frame_reading import read_content
from fetalstudio.formats.sources import read_source
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from tests.formats.chosen import frames_of
from tests.formats.dicom_files import dataset, region, save, speckle, write

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
LOSSLESS = (RLELossless, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless)
WAVELETS = (JPEG2000Lossless, HTJ2KLossless)
LOSSY = (JPEGBaseline8Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
NOT_GDCM = (HTJ2KLossless, HTJ2K)
"""What SimpleITK does not read."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as made:
        yield made


def frame(path: Path, index: int = 0) -> NDArray[np.uint8]:
    return read_frame(path, lambda: path.open("rb"), index)


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)


def second_decoder(path: Path) -> NDArray[Any]:
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "IM_0001"


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *WAVELETS], ids=lambda uid: uid.keyword)
def test_lossless_syntaxes_are_exact(path: Path, syntax: UID) -> None:
    pixels = speckle(frames=3)
    write(path, pixels, syntax=syntax)
    for index in range(3):
        assert np.array_equal(frame(path, index), pixels[index])
    if syntax not in NOT_GDCM:
        assert np.array_equal(second_decoder(path), pixels)


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *WAVELETS], ids=lambda uid: uid.keyword)
def test_colours_are_exact(path: Path, syntax: UID) -> None:
    pixels = speckle(frames=2, samples=3)
    kind = "YBR_RCT" if syntax == JPEG2000Lossless else "RGB"
    write(path, pixels, kind, syntax)
    assert np.array_equal(frame(path, 1), grey(pixels[1]))
    if syntax not in NOT_GDCM:
        assert np.array_equal(second_decoder(path)[1], pixels[1])


@pytest.mark.parametrize("syntax", LOSSY, ids=lambda uid: uid.keyword)
@pytest.mark.parametrize("samples", [1, 3])
def test_lossy_syntaxes_are_as_a_second_decoder_reads_them(
    path: Path, syntax: UID, samples: int
) -> None:
    pixels = speckle(samples=samples)
    kinds = {JPEGBaseline8Bit: "YBR_FULL_422", JPEG2000: "YBR_ICT"}
    write(path, pixels, kinds.get(syntax, "RGB") if samples == 3 else "MONOCHROME2", syntax)
    shown, plain = frame(path), pixels[0] if samples == 1 else grey(pixels[0])
    assert np.abs(shown.astype(int) - plain).max() <= 12
    if syntax not in NOT_GDCM:
        other = second_decoder(path)[0]
        other = other if samples == 1 else grey(other)
        assert np.abs(shown.astype(int) - other).max() <= 1


@pytest.mark.parametrize(
    "syntax", [ExplicitVRBigEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless, *WAVELETS]
)
def test_sixteen_bits_go_through_the_window(path: Path, syntax: UID) -> None:
    pixels = speckle(bits=12)
    write(path, pixels, syntax=syntax, BitsStored=12, HighBit=11, WindowCenter=2048,
          WindowWidth=4096)  # fmt: skip
    assert np.abs(frame(path).astype(float) - pixels[0] / 4095 * 255).max() <= 0.51


def test_jpeg_extended_has_twelve_bits(path: Path) -> None:
    pixels = speckle(bits=12)
    write(path, pixels, syntax=JPEGExtended12Bit, BitsStored=12, HighBit=11)
    low, high = int(pixels.min()), int(pixels.max())
    expected = (pixels[0].astype(float) - low) / (high - low) * 255
    assert np.abs(frame(path) - expected).max() < 6


def test_the_kinds_of_samples(path: Path) -> None:
    pixels = speckle(samples=3)
    rgb = pixels[0]
    planar = write(path.with_name("planar"), pixels, "RGB", PlanarConfiguration=1)
    assert np.array_equal(frame(planar), grey(rgb))

    inverse = write(path.with_name("inverse"), speckle(), "MONOCHROME1")
    assert np.array_equal(frame(inverse), 255 - speckle()[0])

    ycc = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    full = write(path.with_name("full"), ycc[None], "YBR_FULL")
    assert np.abs(frame(full).astype(int) - grey(rgb)).max() <= 1
    assert np.abs(frame(full).astype(int) - grey(pixel_array(full))).max() <= 1

    # Two pixels share their colours: Y Y Cb Cr.
    shared = ycc.copy()
    shared[:, 1::2, 1:] = shared[:, ::2, 1:]
    data = np.stack(
        [shared[:, ::2, 0], shared[:, 1::2, 0], shared[:, ::2, 1], shared[:, ::2, 2]], axis=-1
    ).tobytes()
    half = save(path.with_name("half"), dataset(pixels, "YBR_FULL_422"), data)
    assert np.abs(frame(half).astype(int) - grey(pixel_array(half))).max() <= 1

    table = np.random.default_rng(1).integers(0, 256, (3, 256), dtype=np.uint16)
    tags: dict[str, Any] = {}
    for name, values in zip(("Red", "Green", "Blue"), table, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{name}PaletteColorLookupTableData"] = (values * 257).tobytes()
    palette = write(path.with_name("palette"), speckle(), "PALETTE COLOR", **tags)
    expected = table.T[speckle()[0]].astype(np.uint8)
    assert np.array_equal(frame(palette), grey(expected))
    assert np.array_equal(second_decoder(palette)[0], expected)


def test_colour_jpegs_follow_what_the_stream_says(path: Path) -> None:
    """RGB in a stream without any marker of colours is not taken for YCbCr."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    for name in (
        "SC_rgb_jpeg_app14_dcmd.dcm",
        "SC_jpeg_no_color_transform.dcm",
        "SC_jpeg_no_color_transform_2.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_dcmtk_+eb+cr.dcm",
        "SC_rgb_dcmtk_+eb+cy+s2.dcm",
        "examples_ybr_color.dcm",
    ):
        known = grey(pixel_array(folder / name, index=0, decoding_plugin="pillow"))
        assert np.abs(frame(folder / name).astype(int) - known).max() <= 2, name


PACKAGED = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))


@pytest.mark.parametrize("packaged", PACKAGED, ids=lambda p: p.name)
def test_pydicoms_own_files_are_read_or_refused_with_one_message(packaged: Path) -> None:
    try:
        header = read_header(packaged, lambda: packaged.open("rb"))
        shown = frame(packaged, header.frames - 1)
    except InputError as error:
        assert str(error).startswith(str(packaged)) and str(error).count("\n") == 0
        return
    assert shown.dtype == np.uint8 and shown.ndim == 2
    raw = np.atleast_3d(second_decoder(packaged)[header.frames - 1].astype(float))
    if raw.shape[2] == 1 and header.modality in ("CT", "MR", "NM", "OT"):
        order = np.corrcoef(raw[..., 0].ravel(), shown.ravel())[0, 1]
        assert order > 0.3  # a window may cut, but light stays light


def test_the_packaged_ultrasound_is_read_whole() -> None:
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    frames = frames_of(read_source(folder / "examples_ybr_color.dcm"), "all")
    assert [record.name for record in frames] == [f"dicom-0001_{n:04d}" for n in range(1, 31)]
    palette = folder / "examples_palette.dcm"
    assert np.array_equal(frame(palette), grey(second_decoder(palette)[0]))
    assert np.array_equal(frame(folder / "examples_rgb_color.dcm"), grey(second_decoder(
        folder / "examples_rgb_color.dcm")[0]))  # fmt: skip
    assert examples.rgb_color.Modality == "US"


# -- windows --------------------------------------------------------------------------------------


def test_windows_and_tables_are_applied_as_dicom_defines_them(path: Path) -> None:
    pixels = speckle(bits=12)
    stored: dict[str, Any] = {"BitsStored": 12, "HighBit": 11}

    def shown(**tags: Any) -> NDArray[np.uint8]:
        return frame(write(path, pixels, **stored, **tags))

    x = pixels[0].astype(float)
    exact = shown(WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT")
    assert np.abs(exact - np.clip((x - 1000) / 500 + 0.5, 0, 1) * 255).max() <= 0.51
    sigmoid = shown(WindowCenter=1000, WindowWidth=500, VOILUTFunction="SIGMOID")
    assert np.abs(sigmoid - 255 / (1 + np.exp(-4 * (x - 1000) / 500))).max() <= 0.51
    rescaled = shown(
        WindowCenter=[100, 7], WindowWidth=[501, 9], RescaleSlope=0.5, RescaleIntercept=-200
    )
    assert np.abs(rescaled - np.clip((x / 2 - 200 - 99.5) / 500 + 0.5, 0, 1) * 255).max() <= 0.51

    item = Dataset()
    item.LUTDescriptor, item.ModalityLUTType = [4096, 0, 16], "US"
    table = np.arange(4096)[::-1] // 16
    item.LUTData = (table * 257).astype("<u2").tobytes()
    assert np.array_equal(shown(VOILUTSequence=Sequence([item])), table[pixels[0]])


# -- the header -----------------------------------------------------------------------------------


def header(path: Path, **tags: Any) -> Any:
    write(path, **tags)
    return read_header(path, lambda: path.open("rb"))


def size_of(found: Any) -> tuple[float, float] | None:
    known = found.calibration
    return None if known is None else (known.mm_per_px_x, known.mm_per_px_y)


def test_calibration_comes_from_the_region_of_tissue(path: Path) -> None:
    anisotropic = region(size_cm=(0.01, -0.02))
    doppler = region(RegionDataType=2, size_cm=(0.5, 0.5))
    spectrum = region(RegionSpatialFormat=3, size_cm=(0.3, 0.3))
    seconds = region(PhysicalUnitsXDirection=4)
    found = header(
        path, SequenceOfUltrasoundRegions=Sequence([spectrum, doppler, seconds, anisotropic])
    )
    assert size_of(found) == pytest.approx((0.1, 0.2))
    assert header(path, SequenceOfUltrasoundRegions=Sequence([seconds])).calibration is None


def test_spacing_counts_where_no_region_does(path: Path) -> None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        assert size_of(header(path, **{keyword: [0.3, 0.2]})) == (0.2, 0.3)
    assert size_of(header(path, PixelSpacing=[0, 0])) is None


def test_a_size_that_programs_write_by_default_is_none(tmp_path: Path) -> None:
    for number, keyword in enumerate(("PixelSpacing", "ImagerPixelSpacing")):
        tags: dict[str, Any] = {keyword: [1, 1]}
        write(tmp_path / f"{number}.dcm", **tags)
    regions = Sequence([region()])
    write(tmp_path / "2.dcm", SequenceOfUltrasoundRegions=regions, PixelSpacing=[1, 1])
    found = read_source(tmp_path)
    (note,) = found.problems
    assert note.startswith(f"{tmp_path / '0.dcm'} and 1 more: a pixel of exactly 1 mm")
    sizes = [r.calibration and r.calibration.mm_per_px for r in found.records]
    assert sizes == [None, None, pytest.approx(0.1)]


def test_a_size_with_which_no_frame_is_usual_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=Sequence([region(size_cm=(0.99, 0.99))]))
    write(tmp_path / "b.dcm", np.resize(speckle(), (1, 400, 1000)), PixelSpacing=[8, 8])
    usual, huge = map(read_content, read_source(tmp_path).records)
    assert size_of(usual) == pytest.approx((9.9, 9.9)) and usual.doubts == ()
    (doubt,) = huge.doubts
    assert huge.calibration is None and doubt.question is Question.CALIBRATION
    assert "with the file's pixel size of 8 mm, the frame would be 8000 mm long" in doubt.report
    assert "table" not in doubt.report
    kept = read_content(read_source(tmp_path).records[1], {Question.CALIBRATION: "keep"})
    assert size_of(kept) == (8, 8)


def test_patients_without_a_name_are_those_of_their_studies(tmp_path: Path) -> None:
    for number, patient in enumerate(("ANONYMOUS", "ANONYMOUS", "", "unknown", "unknown")):
        write(tmp_path / f"{number}.dcm", PatientID=patient)
    found = read_source(tmp_path)
    assert len({record.subject for record in found.records}) == 5
    assert found.problems == ()


def test_patients_that_are_written_nearly_alike_are_named(tmp_path: Path) -> None:
    for number, patient in enumerate(("AB/12", "ab12", "XY 3", "XY 4")):
        write(tmp_path / f"{number}.dcm", PatientID=patient)
    (problem,) = read_source(tmp_path).problems
    assert f"{tmp_path / '0.dcm'}, {tmp_path / '1.dcm'} are written nearly alike" in problem
    assert "AB/12" not in problem and "ab12" not in problem


def test_disagreement_is_asked_about(tmp_path: Path) -> None:
    two = [region((0, 0, 31, 47)), region((32, 0, 63, 47), size_cm=(0.02, 0.03))]
    write(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=Sequence(two))
    write(tmp_path / "b.dcm", SequenceOfUltrasoundRegions=Sequence([region()]),
          PixelSpacing=[0.3, 0.3])  # fmt: skip
    a, b = read_source(tmp_path).records
    for record, texts in (
        (
            a,
            [
                "0.1 mm per px: the region at the left",
                "0.2 x 0.3 mm per px: the region at",
            ],
        ),
        (b, ["0.1 mm per px: the region at the middle", "0.3 mm per px: the pixel spacing"]),
    ):
        content = read_content(record)
        (doubt,) = content.doubts
        assert content.calibration is None and "different pixel sizes" in doubt.message
        assert doubt.question is Question.CALIBRATION and doubt.answers[0].value == "none"
        for answer, text in zip(doubt.answers[1:], texts, strict=True):
            assert text in answer.text
    _, value = checked_answer("calibration", "stated-2")
    chosen = read_content(a, {Question.CALIBRATION: value})
    assert size_of(chosen) == pytest.approx((0.2, 0.3))
    assert chosen.calibration is not None and chosen.calibration.source == "dicom"
    assert chosen.doubts and chosen.doubts[0].answered({Question.CALIBRATION: value})
    by_hand = read_content(a, {Question.CALIBRATION: "0.15"})
    assert by_hand.calibration == Calibration(0.15, 0.15, "manual") and by_hand.doubts == ()


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (Ellipse(14, 24, 11, 9, 20), (0.1, 0.1)),
        (Ellipse(47, 24, 12, 9, 160), (0.2, 0.3)),
        (Ellipse(32, 24, 12, 9, 0), None),  # it lies in both
    ],
)
def test_the_region_that_holds_the_ellipse_decides(
    tmp_path: Path, head: Ellipse, expected: tuple[float, float] | None
) -> None:
    two = [region((0, 0, 31, 47)), region((32, 0, 63, 47), size_cm=(0.02, 0.03))]
    write(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=Sequence(two))
    (record,) = read_source(tmp_path).records
    content = read_content(replace(record, ellipse=head))
    assert content.ellipse == head
    if expected is None:
        assert content.calibration is None and len(content.doubts) == 1
    else:
        assert size_of(content) == pytest.approx(expected) and content.doubts == ()


def test_dates_become_an_age_or_an_offset(tmp_path: Path) -> None:
    write(tmp_path / "a", AcquisitionDate="20240301", LastMenstrualDate="20231001")
    write(tmp_path / "b", StudyDate="20240301", PatientID="P08")
    write(tmp_path / "c", StudyDate="20240311", PatientID="P08")
    labels = [dict(record.labels) for record in read_source(tmp_path).records]
    assert labels == [{"gestational age": "21w5d"}, {"day": "0"}, {"day": "10"}]


# -- sources --------------------------------------------------------------------------------------


def test_folders_files_and_pictures_are_read_together(tmp_path: Path) -> None:
    write(tmp_path / "DICOM" / "S0001" / "1.2.840.3.1", speckle(seed=1))
    write(tmp_path / "deep" / "er" / "x.dcm", speckle(frames=7), PatientID="P09")
    write(tmp_path / "ct.dcm", Modality="CT")
    cv2.imwrite(str(tmp_path / "P01_001.png"), speckle()[0])
    source = read_source(tmp_path)
    assert [(record.name, record.subject) for record in frames_of(source)] == [
        ("P01_001", "P01"),
        ("dicom-0001", "P07"),
        ("dicom-0002_0004", "P09"),
    ]
    assert [record.is_clip for record in source.records] == [False, False, True]
    assert any("ct.dcm is a DICOM image, but no ultrasound" in said for said in source.problems)
    assert not any("Not read" in said for said in source.problems)


@pytest.mark.parametrize(
    ("choice", "numbers"),
    [
        *[("first", [1]), ("last", [7]), ("every 3", [1, 4, 7]), ("all", list(range(1, 8)))],
        *[("none", []), ("2,5-6", [2, 5, 6]), ("6-9", [6, 7]), ("5,5,1-2", [1, 2, 5]), ("9", [])],
    ],
)
def test_frames_of_a_video_are_chosen(tmp_path: Path, choice: str, numbers: list[int]) -> None:
    pixels = speckle(frames=7)
    write(tmp_path / "cine", pixels, syntax=JPEGLSLossless)
    source = read_source(tmp_path)
    assert source.problems == ()
    frames = frames_of(source, choice)
    assert [record.name[-4:] for record in frames] == [f"{n:04d}" for n in numbers]
    for record, number in zip(frames, numbers, strict=True):
        assert np.array_equal(read_content(record).pixels, pixels[number - 1])
    for wrong in ("every 0", "0", "1-", "1, 2", "last 2"):
        with pytest.raises(InputError, match="no answer to frames"):
            checked_answer("frames", wrong)


@pytest.mark.parametrize(
    "syntax",
    [
        *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
        *(DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless),
    ],
)
def test_frames_that_are_stated_and_held_are_counted(path: Path, syntax: UID) -> None:
    pixels = speckle(5)
    for stated, counts in ((9, (9, 5)), (3, (3, 5)), (5, None)):
        write(path, pixels, syntax=syntax, NumberOfFrames=stated)
        header = read_header(path, partial(path.open, "rb"))
        assert (header.frames, header.counts) == (min(stated, 5), counts)
        last = read_frame(path, partial(path.open, "rb"), header.frames - 1)
        assert np.array_equal(last, pixels[header.frames - 1])


def test_a_clip_that_was_cut_short_keeps_its_whole_frames(path: Path) -> None:
    for syntax in (ExplicitVRLittleEndian, RLELossless):
        data = write(path, speckle(5), syntax=syntax).read_bytes()
        path.write_bytes(data[:-200])
        (record,) = read_source(path).records
        assert record.video is not None and record.video.count == 4
        (said,) = record.problems
        assert "states 5 frames, but its pixels hold 4. Only these 4 can be imported" in said


def test_a_dicomdir_gives_the_files_that_it_lists(tmp_path: Path) -> None:
    medium = FileSet()
    for number in range(2):
        made = pydicom.dcmread(write(tmp_path / f"in{number}", speckle(seed=number)))
        made.StudyDate, made.StudyTime, made.StudyID = "20240101", "1200", "1"
        made.PatientName, made.SeriesNumber, made.InstanceNumber = "X", 1, number + 1
        medium.add(made)
    medium.write(tmp_path / "cd")
    write(tmp_path / "cd" / "UNLISTED")
    assert len(read_source(tmp_path / "cd" / "DICOMDIR").records) == 2
    assert len(read_source(tmp_path / "cd").records) == 3
    listed = next(p for p in (tmp_path / "cd").rglob("*") if p.is_file() and p.name != "DICOMDIR"
                  and p.name != "UNLISTED")  # fmt: skip
    listed.unlink()
    assert any(
        "is not there" in said for said in read_source(tmp_path / "cd" / "DICOMDIR").problems
    )


def test_archives_are_read_in_memory(tmp_path: Path) -> None:
    pixels = speckle(frames=3)
    one = write(tmp_path / "made" / "x", pixels)
    outside = tmp_path / "outside.dcm"
    with zipfile.ZipFile(tmp_path / "clinic.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(one, "../../outside.dcm")
        archive.write(one, "/etc/study/IM1")
        archive.writestr("notes.txt", "nothing")
    frames = frames_of(read_source(tmp_path / "clinic.zip"), "last")
    assert [record.path.relative_to(tmp_path / "clinic.zip") for record in frames] == [
        Path("outside.dcm"),
        Path("etc/study/IM1"),
    ]
    assert all(np.array_equal(read_content(record).pixels, pixels[2]) for record in frames)
    assert not outside.exists()


def test_what_an_archive_does_not_give_is_named(tmp_path: Path) -> None:
    one = write(tmp_path / "made" / "x", speckle())
    path = tmp_path / "clinic.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(one, "IM1")
        archive.write(one, "locked/IM2")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1  # the second file is encrypted
    path.write_bytes(data)
    source = read_source(path)
    assert len(source.records) == 1
    assert any("could not be unpacked" in said and "IM2" in said for said in source.problems)


def test_reading_thousands_of_headers_can_be_followed_and_stopped(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"IM{number}")
    told: list[tuple[int, int]] = []

    class Progress:
        def advance(self, done: int, total: int, note: str = "") -> None:
            told.append((done, total))
            if done == 2:
                raise Stopped

        def check(self) -> None:
            pass

    with pytest.raises(Stopped):
        read_source(tmp_path, progress=Progress())
    assert told == [(0, 4), (1, 4), (2, 4)]


# -- privacy --------------------------------------------------------------------------------------

SECRET = "ZZQ"


def with_identifiers(made: Dataset) -> Dataset:
    """The instance with a planted name in every kind of tag that may have one."""
    for keyword in (
        *("PatientName", "PatientBirthName", "OtherPatientNames", "ReferringPhysicianName"),
        *("InstitutionName", "StationName", "Manufacturer", "ManufacturerModelName", "StudyID"),
        *("StudyDescription", "SeriesDescription", "ProtocolName", "AccessionNumber"),
        *("ImageComments", "PatientComments", "OperatorsName", "DeviceSerialNumber"),
    ):
        setattr(made, keyword, f"{SECRET}{keyword}"[:16])
    made.PatientID = f"{SECRET}-445566"
    block = made.private_block(0x0019, f"{SECRET} CREATOR", create=True)
    block.add_new(1, "LO", f"{SECRET}private")
    inner = Dataset()
    inner.PatientName = f"{SECRET}inner"
    made.ReferencedPatientSequence = Sequence([inner])
    planted = region(size_cm=(0.01, 0.01))
    planted.private_block(0x0021, "P", create=True).add_new(1, "LO", f"{SECRET}region")
    made.SequenceOfUltrasoundRegions = Sequence([planted])
    made.VOILUTFunction = f"{SECRET}F"
    made.Modality = "US"
    return made


def test_no_value_of_a_tag_is_stored(project: Project, tmp_path: Path) -> None:
    pixels = speckle(frames=3)
    made = with_identifiers(dataset(pixels, "MONOCHROME2"))
    save(tmp_path / "in" / "IM1", made, pixels.tobytes())
    report = import_frames(project, tmp_path / "in", options=ImportOptions(frames="all"))
    assert report.frames == 3 and report.problems == ()
    written = [p for p in project.path.rglob("*") if p.is_file()]
    assert written and not any(SECRET.encode() in p.read_bytes() for p in written)
    sizes = [frame.calibration.mm_per_px for frame in project.frames.all() if frame.calibration]
    assert sizes == pytest.approx([0.1] * 3)


def test_no_name_of_a_file_a_folder_or_a_medium_is_stored(project: Project, tmp_path: Path) -> None:
    pixels = speckle()
    made = with_identifiers(dataset(pixels, "MONOCHROME2"))
    one = save(tmp_path / "in" / f"{SECRET}^JANE" / f"{SECRET}_1.dcm", made, pixels.tobytes())
    with zipfile.ZipFile(tmp_path / "in" / f"{SECRET}.zip", "w") as archive:
        archive.write(one, f"{SECRET}/{SECRET}2.dcm")
    medium = FileSet()
    listed = pydicom.dcmread(one)
    listed.SeriesNumber, listed.InstanceNumber = 1, 1
    listed.StudyDate, listed.StudyTime = "20240101", "101010"
    medium.add(listed)
    medium.write(tmp_path / "in" / "cd")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert SECRET.encode() in (tmp_path / "in" / "cd" / "DICOMDIR").read_bytes()
    for source in (tmp_path / "in", tmp_path / "in" / "cd" / "DICOMDIR"):
        assert import_frames(project, source, cohort="A").subjects == 1
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    for folder in (project.path, Path(os.environ["FETALSTUDIO_HOME"])):
        written |= {path for path in folder.rglob("*") if path.is_file()}
    assert project.path / "project.db" in written
    for path in written:
        assert SECRET not in str(path.relative_to(path.anchor)).replace(str(tmp_path)[1:], "")
        assert SECRET.encode() not in path.read_bytes()


def test_no_value_of_a_tag_is_in_a_message_or_a_traceback(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import traceback

    pixels = speckle()
    whole = with_identifiers(dataset(pixels, "MONOCHROME2"))
    path = save(tmp_path / "in" / "x.dcm", whole, pixels.tobytes())
    data = path.read_bytes()
    said = ""
    for damaged in (
        data[: len(data) // 2],
        data.replace(b"MONOCHROME2 ", b"ZZQ_COLOUR  "),
        data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
        data.replace(b"US\x02\x00\x30\x00", b"US\x02\x00\xff\x7f"),
    ):
        path.write_bytes(damaged)
        try:
            frame(path)
        except InputError:
            said += traceback.format_exc()
    assert said.count("InputError") >= 4
    out, err = capfd.readouterr()
    assert SECRET not in said + out + err + caplog.text


# -- bad input ------------------------------------------------------------------------------------


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(InputError) as error:
        read_header(path, lambda: path.open("rb"))
        read_frame(path, lambda: path.open("rb"))
    assert time.perf_counter() - start < 5
    assert str(error.value).startswith(str(path))
    return str(error.value)


def sequences(depth: int) -> bytes:
    """Sequences in sequences, none of which is ever closed."""
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return (b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + item) * depth


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d[:-100],
        lambda d: d[:200],
        lambda d: d[:140],
        lambda d: d.replace(b"US\x02\x00\x30\x00", b"US\x02\x00\xff\xff", 1),
        lambda d: d[:132] + b"\x08\x00\x05\x00CS\xff\xff" * 10,
        lambda d: d[: d.index(b"\x08\x00\x16\x00")] + sequences(3000),
        lambda d: d[: d.index(b"\x08\x00\x16\x00")] + b"\x08\x00\x16\x00UI\x00\x00" * 2_000_000,
    ],
    ids=["truncated", "header", "meta", "size", "lengths", "deep", "many"],
)
def test_damaged_files_are_refused_at_once(
    path: Path, damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    data = write(tmp_path / "whole", syntax=ExplicitVRLittleEndian).read_bytes()
    refused(path, damage(data)) if damage(data) != data else pytest.fail("nothing was damaged")


def test_bombs_are_refused_before_they_are_unpacked(path: Path, tmp_path: Path) -> None:
    deflated = write(tmp_path / "d", syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    meta = 132 + 12 + int.from_bytes(deflated[140:144], "little")
    squeezer = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(squeezer.compress(bytes(1 << 20)) for _ in range(300)) + squeezer.flush()
    assert "MiB when it is inflated" in refused(path, deflated[:meta] + bomb)

    # A stream that claims to be larger than its header says.
    for syntax, where in ((JPEGBaseline8Bit, b"\xff\xc0"), (JPEG2000Lossless, b"\xff\x4f\xff\x51")):
        data = write(tmp_path / "j", syntax=syntax).read_bytes()
        at = data.index(where)
        gap = 5 if syntax == JPEGBaseline8Bit else 8
        refused(path, data[: at + gap] + b"\x7f\xff\x7f\xff" + data[at + gap + 4 :])

    claimed = write(tmp_path / "n", NumberOfFrames=2_000_000_000).read_bytes()
    assert "claims more than" in refused(path, claimed)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    start = write(tmp_path / "x").read_bytes()
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("IM1", "w", force_zip64=True) as stream,
    ):
        stream.write(start)
        for _ in range(300):
            stream.write(bytes(1 << 20))
    (tmp_path / "bomb.zip").write_bytes(packed.getvalue())
    with pytest.raises(InputError, match=r"bomb\.zip holds a file that takes more than 256 MiB"):
        read_source(tmp_path / "bomb.zip")


def test_a_damaged_archive_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    write(tmp_path / "good.dcm")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    source = read_source(tmp_path)
    assert len(source.records) == 1 and any("bad.zip" in said for said in source.problems)
