"""MetaImage, NRRD and NIfTI as pictures and as masks, and files of several frames."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import (
    ANNOTATION_NOTE,
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    note_in,
    pages_in,
    read_image,
    write_png,
)
from fetalstudio.formats.pictures.volumes import read_volume, read_volume_header, write_volume
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.reading.frame_reading import FrameContent, read_content
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.sources import read_source
from tests.doubtful import said_of
from tests.formats.chosen import frames_of

SUFFIXES = ["mha", "mhd", "nrrd", "nhdr", "nii", "nii.gz"]
SIZE = (60, 40)
HEAD = Ellipse(28.0, 19.0, 15.0, 11.0, 30.0)


def picture(seed: int = 0) -> NDArray[np.uint8]:
    """With a mark at the top left, so that a turn shows."""
    made = np.random.default_rng(seed).integers(0, 120, SIZE[::-1], dtype=np.uint8)
    made[3:9, 5:20] = 250
    return made


def save(
    path: Path, array: NDArray[Any], spacing: tuple[float, ...] = (), *, colours: bool = False
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = SimpleITK.GetImageFromArray(array, isVector=colours)
    if spacing:
        image.SetSpacing(spacing)
    SimpleITK.WriteImage(image, str(path), useCompression=True)
    return path


def contents(folder: Path) -> tuple[list[FrameRecord], list[FrameContent], tuple[str, ...]]:
    found = read_source(folder)
    records = frames_of(found)
    read = [read_content(record) for record in records]
    return (
        list(records),
        read,
        found.problems + tuple(said for content in read for said in said_of(content)),
    )


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_image(path)
    assert str(refused.value).startswith(str(path))
    return str(refused.value)


# -- pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_counts_in_each_format_with_its_pixel_size(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"a.{suffix}", picture(), (0.2, 0.3))
    save(tmp_path / "masks" / f"a.{suffix}", HEAD.mask(SIZE), (0.2, 0.3))
    ((record,), (content,), problems) = contents(tmp_path)
    assert problems == ()
    assert (record.name, record.subject) == ("a", "a")
    assert np.array_equal(content.pixels, picture())
    calibration = record.calibration
    assert calibration is not None and calibration.source == "header"
    assert (calibration.mm_per_px_x, calibration.mm_per_px_y) == (0.2, 0.3)
    assert content.ellipse is not None and content.certain
    assert content.ellipse.cx == pytest.approx(HEAD.cx, abs=0.5)
    assert content.ellipse.a == pytest.approx(HEAD.a, abs=0.5)


@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii.gz"])
def test_one_slice_of_a_volume_is_a_picture(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(read_image(save(tmp_path / f"a.{suffix}", picture()[None])), picture())


@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii.gz"])
def test_colours_are_luminance(tmp_path: Path, suffix: str) -> None:
    colour = np.stack([picture(), picture(1), picture(2)], axis=-1)
    write_png(tmp_path / "a.png", colour)
    as_png = read_image(tmp_path / "a.png")
    read = read_image(save(tmp_path / f"a.{suffix}", colour, colours=True))
    assert np.array_equal(read, as_png)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64]
)
def test_other_samples_are_scaled_by_their_range(tmp_path: Path, dtype: Any) -> None:
    low = 0 if np.dtype(dtype).kind == "u" else -40
    values = picture().astype(np.float64) / 250 * 100 + low
    read = read_image(save(tmp_path / "a.mha", values.astype(dtype)))
    assert (read.min(), read.max()) == (0, 255)
    assert np.abs(read - picture() * (255 / 250)).max() < 4


@pytest.mark.parametrize(
    ("affine", "turned"),
    [
        (np.diag([-0.2, -0.3, 1, 1]), lambda p: p),
        (np.diag([0.2, -0.3, 1, 1]), lambda p: p[:, ::-1]),
        (np.diag([-0.2, 0.3, 1, 1]), lambda p: p[::-1]),
        (np.diag([0.2, 0.3, 1, 1]), lambda p: p[::-1, ::-1]),
        # The first axis runs from front to back, the second from right to left.
        ([[0, -0.2, 0, 0], [-0.3, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], lambda p: p.T),
        # A sagittal slice: from front to back, and from foot to head.
        ([[0, 0, 1, 0], [-0.2, 0, 0, 0], [0, 0.3, 0, 0], [0, 0, 0, 1]], lambda p: p[::-1]),
    ],
)
def test_a_nifti_is_turned_as_its_affine_says(tmp_path: Path, affine: Any, turned: Any) -> None:
    """``turned`` makes what is stored from what shall be shown, and is its own inverse."""
    stored = np.ascontiguousarray(turned(picture()).T)[..., None]
    nibabel.save(nibabel.Nifti1Image(stored, np.array(affine, float)), tmp_path / "a.nii.gz")
    ((record,), (content,), problems) = contents(tmp_path)
    assert np.array_equal(content.pixels, picture())
    assert record.calibration is not None
    assert record.calibration.mm_per_px_x == 0.2
    assert record.calibration.mm_per_px_y == 0.3
    assert [("turned as a viewer shows it" in p) for p in problems] == (
        [] if np.array_equal(turned(picture()), picture()) else [True]
    )


@pytest.mark.parametrize("affine", [[[0.2, 0.1], [0, 0.2]], [[0, 0], [0, 0]]])
def test_a_file_with_oblique_axes_is_not_called_damaged(tmp_path: Path, affine: Any) -> None:
    matrix = np.eye(4)
    matrix[:2, :2] = affine
    made = nibabel.Nifti1Image(picture().T[:, :, None], np.eye(4))
    made.set_sform(matrix, code=1)
    nibabel.save(made, tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz states directions of its axes"):
        read_image(tmp_path / "a.nii.gz")


def test_a_mask_with_other_directions_than_its_frame_is_not_used(tmp_path: Path) -> None:
    flipped = np.diag([0.2, 0.3, 1, 1])
    nibabel.save(nibabel.Nifti1Image(picture().T.copy(), flipped), tmp_path / "a.nii")
    save(tmp_path / "a_mask.nii", HEAD.mask(SIZE))
    (_, (content,), problems) = contents(tmp_path)
    assert content.ellipse is None
    assert "a_mask.nii has other directions than its frame" in problems[-1]
    nibabel.save(nibabel.Nifti1Image(HEAD.mask(SIZE).T.copy(), flipped), tmp_path / "a_mask.nii")
    (_, (content,), _) = contents(tmp_path)
    assert content.ellipse is not None
    assert content.ellipse.cx == pytest.approx(SIZE[0] - 1 - HEAD.cx, abs=0.5)


@pytest.mark.parametrize(
    ("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)]
)
def test_units_of_nifti(tmp_path: Path, unit: str, factor: float) -> None:
    image = nibabel.Nifti1Image(picture().T.copy(), np.diag([-0.2 / factor, -0.3 / factor, 1, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_volume_header(tmp_path / "a.nii").spacing == (0.2, 0.3)


IN_CM = 'space units: "cm" "cm"\n'


@pytest.mark.parametrize(
    ("lines", "spacing"),
    [
        ('spacings: 0.02 0.03\nunits: "cm" "cm"\n', (0.2, 0.3)),
        (f"space dimension: 2\nspace directions: (0.02,0) (0,0.03)\n{IN_CM}", (0.2, 0.3)),
        ("spacings: 0.2 0.3\n", (0.2, 0.3)),
        ('spacings: 0.2 0.3\nunits: "furlong" "furlong"\n', None),
        ("", None),
    ],
)
def test_units_of_nrrd(tmp_path: Path, lines: str, spacing: tuple[float, float] | None) -> None:
    head = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 60 40\n{lines}encoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head.encode() + picture().tobytes())
    assert read_volume_header(tmp_path / "a.nrrd").spacing == spacing
    assert np.array_equal(read_image(tmp_path / "a.nrrd"), picture())


def test_a_spacing_of_exactly_1_is_not_taken_and_said_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.mha", picture(ord(name)))
    records, _, (problem,) = contents(tmp_path)
    assert [record.calibration for record in records] == [None] * 3
    assert "a.mha and 2 more: a pixel of exactly 1 mm is what programs write" in problem


def nifti(path: Path, affine: float, pixdim: float) -> Path:
    """A picture with these two pixel sizes in its header, in mm."""
    image = nibabel.Nifti1Image(picture().T.copy(), np.diag([-affine, -affine, 1, 1]))
    nibabel.save(image, path)
    data = bytearray(path.read_bytes())
    data[80:88] = np.array([pixdim, pixdim], "<f4").tobytes()
    path.write_bytes(data)
    return path


def meta(path: Path, size: float, spacing: float) -> Path:
    """The same as a MetaImage."""
    head = (
        "ObjectType = Image\nNDims = 2\nBinaryData = True\nDimSize = 60 40\n"
        f"ElementSpacing = {spacing} {spacing}\nElementSize = {size} {size}\n"
        "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(head.encode() + picture().tobytes())
    return path


def nrrd(path: Path, spacings: float, directions: float) -> Path:
    """The same as an NRRD file, which must not have both, so that SimpleITK refuses it."""
    head = (
        "NRRD0004\ntype: uint8\ndimension: 2\nspace dimension: 2\nsizes: 60 40\n"
        f"spacings: {spacings} {spacings}\n"
        f"space directions: ({directions},0) (0,{directions})\nencoding: raw\n\n"
    )
    path.write_bytes(head.encode() + picture().tobytes())
    return path


@pytest.mark.parametrize(
    ("write", "name", "places"),
    [
        (nifti, "a.nii", ("pixdim", "affine")),
        (meta, "a.mha", ("ElementSpacing", "ElementSize")),
        (nrrd, "a.nrrd", ("space directions", "spacings")),
    ],
)
def test_pixel_sizes_of_a_header_that_contradict_each_other_are_asked_about(
    tmp_path: Path, write: Callable[[Path, float, float], Path], name: str, places: tuple[str, str]
) -> None:
    write(tmp_path / name, 0.2, 0.35)
    (record,), (content,), (problem,) = contents(tmp_path)
    assert content.calibration is None and all(place in problem for place in places)
    assert "0.35 x 0.35 mm" in problem and "0.2 x 0.2 mm" in problem
    for number, expected in ((1, 0.35), (2, 0.2)):
        answered = read_content(record, {Question.CALIBRATION: f"stated-{number}"})
        assert answered.calibration is not None
        assert answered.calibration.mm_per_px == pytest.approx(expected)
    (tmp_path / "t.csv").write_text(f"filename,pixel size(mm)\n{name},0.2\n")
    _, (content,), problems = contents(tmp_path)
    assert problems == () and content.calibration is not None
    assert (content.calibration.mm_per_px, content.calibration.source) == (0.2, "table")
    (tmp_path / "t.csv").unlink()
    for size, spacing in ((0.2, 0.2), (0.2, 1.0), (1.0, 0.2)):  # 1 is what is written for none
        write(tmp_path / name, size, spacing)
        _, (content,), problems = contents(tmp_path)
        assert problems == () and content.calibration is not None
        assert content.calibration.mm_per_px == pytest.approx(0.2)


DIRECTIONS = "space dimension: 2\nspace directions: (0.3,0) (0,0.2)\n"


@pytest.mark.parametrize("suffix", ["nrrd", "nhdr"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("lines", "other"),
    [
        (f"{DIRECTIONS}spacings: 0.3 0.2\n", None),
        (f'spacings: 0.03 -0.02\nunits: "cm" "cm"\n{DIRECTIONS}space units: "mm" "mm"\n', None),
        (f"Spacings: 0.03 0.02\n{DIRECTIONS}", (0.03, 0.02)),
        (f"spacings: nan nan\n{DIRECTIONS}", None),
        (f"spacings:=0.1 0.1\n{DIRECTIONS}", None),
        (f'axis mins: 0 0\nunits: "mm" "mm"\n{DIRECTIONS}', None),
    ],
)
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_spacings_beside_the_directions_of_nrrd(
    tmp_path: Path, suffix: str, end: str, lines: str, other: Any, encoding: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    head = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 60 40\n{lines}encoding: {encoding}\n"
    stored = picture().tobytes()
    stored = gzip.compress(stored) if encoding == "gzip" else stored
    if suffix == "nhdr":
        (tmp_path / "a.pixels").write_bytes(stored)
        path.write_bytes((head + "data file: a.pixels\n").replace("\n", end).encode())
    else:
        path.write_bytes((head + "\n").replace("\n", end).encode() + stored)
    header = read_volume_header(path)
    assert (header.spacing, header.other_spacing) == ((0.3, 0.2), other)
    assert np.array_equal(read_image(path), picture())


@pytest.mark.parametrize("spacings", ["0.2", "0.2 0.2 0.2", "wide wide"])
def test_spacings_that_fit_no_axes_are_called_damaged(tmp_path: Path, spacings: str) -> None:
    head = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 60 40\nspacings: {spacings}\n{DIRECTIONS}"
    (tmp_path / "a.nrrd").write_bytes(f"{head}encoding: raw\n\n".encode() + picture().tobytes())
    with pytest.raises(InputError, match="damaged"):
        read_volume_header(tmp_path / "a.nrrd")


def test_spacings_of_a_turned_nrrd_go_with_their_axes(tmp_path: Path) -> None:
    head = (
        "NRRD0004\ntype: uint8\ndimension: 3\nspace: left-posterior-superior\nsizes: 60 40 1\n"
        "spacings: 0.3 0.2 1\nspace directions: (0,0.3,0) (0.2,0,0) (0,0,1)\nencoding: raw\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(head.encode() + picture().tobytes())
    header = read_volume_header(tmp_path / "a.nrrd")
    assert (header.spacing, header.other_spacing) == ((0.2, 0.3), None)


def test_a_header_with_which_no_frame_is_usual_is_asked_about(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 120, (64, 400), dtype=np.uint8)
    save(tmp_path / "a.mha", wide, (2, 2))
    _, (content,), _ = contents(tmp_path)
    (doubt,) = content.doubts
    assert content.calibration is None and doubt.question is Question.CALIBRATION
    assert "with the file's pixel size of 2 mm, the frame would be 800 mm long" in doubt.report


def test_a_table_that_contradicts_the_header_leaves_the_frame_without(tmp_path: Path) -> None:
    save(tmp_path / "a.mha", picture(), (0.2, 0.2))
    (tmp_path / "t.csv").write_text("filename,pixel size(mm)\na.mha,0.2001\n")
    ((record,), _, problems) = contents(tmp_path)
    assert record.calibration is not None and problems == ()
    (tmp_path / "t.csv").write_text("filename,pixel size(mm)\na.mha,0.4\n")
    ((record,), _, (problem,)) = contents(tmp_path)
    assert record.calibration is None
    assert "a.mha states a pixel of 0.2 x 0.2 mm, the table 0.4 x 0.4 mm" in problem


def test_which_structure_is_the_head_is_asked(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", picture())
    mask = HEAD.mask(SIZE) * np.int16(2)
    mask[0:8, 40:50] = 1
    save(tmp_path / "a_mask.nii.gz", mask)
    (record,) = read_source(tmp_path).records
    content = read_content(record)
    (doubt,) = content.doubts
    assert content.ellipse is None and [a.value for a in doubt.answers] == ["none", "1", "2"]
    assert read_content(record, {Question.HEAD: "2"}).ellipse is not None


# -- files of several frames -----------------------------------------------------------------


def save_stack(path: Path, pages: list[NDArray[np.uint8]]) -> None:
    if path.suffix == ".tif":
        first, *others = (Image.fromarray(page) for page in pages)
        first.save(path, save_all=True, append_images=others, compression="tiff_lzw")
    else:
        save(path, np.stack(pages), (0.2, 0.2, 1.0))


@pytest.mark.parametrize("suffix", ["tif", "mha", "nrrd", "nii.gz"])
def test_frames_of_one_file_are_of_one_subject_with_masks_page_by_page(
    tmp_path: Path, suffix: str
) -> None:
    frames = [picture(i) for i in range(4)]
    heads = [Ellipse(25.0 + i, 18.0, 14.0, 10.0, 0.0) for i in range(4)]
    masks = [head.mask(SIZE) * np.uint8(255) for head in heads]
    masks[2][:] = 0
    save_stack(tmp_path / f"sweep.{suffix}", frames)
    save_stack(tmp_path / f"sweep_mask.{suffix}", masks)
    records, read, problems = contents(tmp_path)
    assert problems == ()
    assert [record.name for record in records] == [f"sweep_000{i}" for i in (1, 2, 3, 4)]
    assert {record.subject for record in records} == {"sweep"}
    for i, content in enumerate(read):
        assert np.array_equal(content.pixels, frames[i])
        if i == 2:
            assert content.ellipse is None
        else:
            assert content.ellipse is not None
            assert content.ellipse.cx == pytest.approx(heads[i].cx, abs=0.5)
    middle = frames_of(read_source(tmp_path), "middle")
    assert [record.name for record in middle] == ["sweep_0003"]


def test_a_stack_of_masks_of_another_length_is_not_used(tmp_path: Path) -> None:
    save_stack(tmp_path / "a.tif", [picture(i) for i in range(4)])
    save_stack(tmp_path / "a_mask.tif", [HEAD.mask(SIZE)] * 3)
    _, read, (problem,) = contents(tmp_path)
    assert [content.ellipse for content in read] == [None] * 4
    assert "a_mask.tif holds 3 masks, but a.tif 4 frames" in problem


def test_one_line_of_a_table_of_ellipses_does_not_name_one_of_several_frames(
    tmp_path: Path,
) -> None:
    save_stack(tmp_path / "a.tif", [picture(i) for i in range(4)])
    (tmp_path / "t.csv").write_text("name,cx,cy,a,b,angle_deg,subject\na.tif,28,19,15,11,30,7\n")
    records, read, (problem,) = contents(tmp_path)
    assert [content.ellipse for content in read] == [None] * 4
    assert {record.subject for record in records} == {"7"}
    assert "the table does not say on which its ellipse is" in problem


def test_three_slices_with_one_mask_are_the_colours_of_one_frame(tmp_path: Path) -> None:
    colour = np.stack([picture(), picture(1), picture(2)])
    save(tmp_path / "a.mha", colour, (0.2, 0.2, 1.0))
    save(tmp_path / "a_mask.mha", HEAD.mask(SIZE))
    _, (content,), problems = contents(tmp_path)
    assert problems == () and content.ellipse is not None
    write_png(tmp_path / "b.png", np.moveaxis(colour, 0, -1))
    assert np.array_equal(content.pixels, read_image(tmp_path / "b.png"))
    (tmp_path / "a_mask.mha").unlink()
    (tmp_path / "b.png").unlink()
    assert len(frames_of(read_source(tmp_path))) == 3


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii", "nii.gz"])
def test_truncated_and_foreign_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"a.{suffix}", picture())
    whole = path.read_bytes()
    for part in (0, 20, len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:part])
        assert "damaged" in (said := refusal(path)) or "truncated" in said
    path.write_bytes(b"no image at all\n" * 40)
    assert "damaged" in refusal(path)


META = "ObjectType = Image\nNDims = {n}\nDimSize = {size}\nElementType = MET_UCHAR\n"


@pytest.mark.parametrize(
    ("name", "head", "why"),
    [
        ("a.mha", META.format(n=2, size="90000 90000"), "90000x90000 px"),
        ("a.mha", META.format(n=3, size="8000 8000 9000"), "when it is decoded"),
        ("a.mha", META.format(n="1e300", size="60 40"), "damaged"),
        ("a.mha", META.format(n=2, size="60"), "damaged"),
    ],
)
def test_what_a_small_file_claims_is_known_before_it_is_decoded(
    tmp_path: Path, name: str, head: str, why: str
) -> None:
    (tmp_path / name).write_bytes(f"{head}ElementDataFile = LOCAL\n".encode() + bytes(2400))
    assert why in refusal(tmp_path / name)


@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii.gz"])
def test_what_is_neither_a_picture_nor_frames_is_refused_with_a_cure(
    tmp_path: Path, suffix: str
) -> None:
    image = SimpleITK.Image([*SIZE, 4, 3], SimpleITK.sitkUInt8)
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{suffix}"))
    assert "holds several volumes. Export each" in refusal(tmp_path / f"a.{suffix}")
    flow = save(tmp_path / f"b.{suffix}", np.zeros((*SIZE[::-1], 2), np.float32), colours=True)
    assert "holds no picture of grey levels or colours. Export it" in refusal(flow)
    video = SimpleITK.Image([*SIZE, 1, 3], SimpleITK.sitkUInt8)
    SimpleITK.WriteImage(video, str(tmp_path / f"c.{suffix}"))
    assert pages_in(tmp_path / f"c.{suffix}") == 3


def test_a_packed_file_that_unpacks_to_more_than_its_picture_stops_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", picture())
    plain = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(plain + bytes(400 << 20), 1))
    assert np.array_equal(read_image(path), picture())


@pytest.mark.parametrize(
    "file", ["../x.raw", "/etc/passwd", "..\\x.raw", "C:x.raw", "..", "", "%d"]
)
def test_pixels_are_in_the_files_own_folder(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "x.raw").write_bytes(bytes(2400))
    head = META.format(n=2, size="60 40") + f"ElementDataFile = {file}\n"
    (folder / "a.mhd").write_text(head)
    assert "not a file of its folder" in (said := refusal(folder / "a.mhd")) or "several" in said
    nrrd = f"NRRD0004\ntype: uint8\ndimension: 2\nsizes: 60 40\nencoding: raw\ndata file: {file}\n"
    (folder / "a.nhdr").write_text(nrrd)
    assert "not a file of its folder" in (said := refusal(folder / "a.nhdr")) or "several" in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.raw")
    (tmp_path / "a.mhd").write_text(META.format(n=2, size="60 40") + "ElementDataFile = x.raw\n")
    with pytest.raises(InputError, match=r"x\.raw cannot be read: it is not a file"):
        read_image(tmp_path / "a.mhd")
    os.mkfifo(tmp_path / "b.nii")
    assert "it is not a file" in refusal(tmp_path / "b.nii")
    (tmp_path / "c.mhd").write_text(META.format(n=2, size="60 40") + "ElementDataFile = y.raw\n")
    with pytest.raises(InputError, match=r"y\.raw, which has the pixels of c\.mhd, cannot be read"):
        read_image(tmp_path / "c.mhd")


# -- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mha", "nrrd", "nii", "nii.gz"])
def test_what_was_written_is_read_by_others_and_says_what_it_is(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    write_volume(path, picture(), (0.2, 0.3), FRAME_NOTE)
    image = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), picture())
    assert image.GetSpacing() == pytest.approx((0.2, 0.3))
    if "nii" in suffix:
        loaded = nibabel.load(path)
        assert np.array_equal(np.asarray(loaded.dataobj).T, picture())
        assert loaded.header.get_zooms() == pytest.approx((0.2, 0.3))
    assert (pages_in(path), note_in(path)) == (1, FRAME_NOTE)
    assert np.array_equal(read_image(path), picture())
    for note, said in ((SYNTHETIC_NOTE, "is synthetic"), (ANNOTATION_NOTE, "is an annotation")):
        write_volume(path, picture(), None, note)
        (record,) = read_source(path).records
        with pytest.raises(InputError, match=said):
            read_content(record)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_what_was_read_outlives_the_file(tmp_path: Path, suffix: str) -> None:
    """The memory of a decoded file is freed when the next ones are read."""
    path = tmp_path / f"x{suffix}"
    write_volume(path, np.full((40, 50), 7, np.uint8), (0.2, 0.2), "frame")
    assert read_volume(read_volume_header(path)).flags.owndata
