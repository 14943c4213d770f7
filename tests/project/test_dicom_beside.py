"""Masks and tables that are named after DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from tests.formats.dicom_files import write
from tests.skulls import skull

SIZE = (320, 240)
HEAD = Ellipse.of(150, 120, 80, 60, 20)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A DICOM file of a patient, in which a head can be seen."""
    write(tmp_path / "in" / "IM_1.dcm", skull(HEAD, 1, SIZE)[None], PatientID="P07")
    return tmp_path / "in"


def mask(path: Path) -> None:
    write_png(path, HEAD.mask(SIZE) * np.uint8(255))


def newest(project: Project) -> tuple[str, Ellipse | None]:
    """The state and the ellipse of the only annotation."""
    (found,) = project.annotations.by_frame().values()
    return found.state, found.ellipse


@pytest.mark.parametrize("place", ["IM_1_mask.png", "masks/IM_1.png"])
def test_a_mask_is_that_of_the_dicom_file_of_its_name(
    project: Project, source: Path, place: str
) -> None:
    mask(source / place)
    report = import_frames(project, source)
    assert report.frames == 1 and not any("annotates" in said for said in report.problems)
    state, ellipse = newest(project)
    assert state == "final" and ellipse is not None and ellipse.overlap(HEAD) > 0.99


def test_two_masks_of_a_dicom_file_are_named(project: Project, source: Path) -> None:
    mask(source / "IM_1_mask.png")
    write_png(source / "IM_1_seg.png", HEAD.mask(SIZE)[:, ::-1] * np.uint8(255))
    report = import_frames(project, source)
    assert any("IM_1.dcm has several annotations" in said for said in report.problems)
    assert not project.annotations.by_frame()


def test_a_table_is_about_the_dicom_file_that_it_names(project: Project, source: Path) -> None:
    write(source / "IM_2.dcm", skull(HEAD, 2, SIZE)[None], PatientID="P08")
    (source / "heads.csv").write_text(
        "filename,cx,cy,semi_axis_a,semi_axis_b,angle_deg,mm/px,subject\n"
        "IM_1.dcm,150,120,80,60,20,0.3,A\nIM_2,150,120,80,60,20,0.3,A\n"
    )
    report = import_frames(project, source)
    assert not any("heads.csv" in said or "no such frame" in said for said in report.problems)
    one, two = project.frames.all()
    assert one.calibration is not None and one.calibration.mm_per_px == 0.3
    assert one.subject == two.subject, "the column says whose frames they are"
    assert {a.state for a in project.annotations.by_frame().values()} == {"final"}


def test_a_table_with_another_pixel_size_than_the_header_is_named(
    project: Project, source: Path
) -> None:
    write(source / "IM_2.dcm", skull(HEAD, 2, SIZE)[None], PatientID="P08", PixelSpacing=[0.2, 0.2])
    (source / "sizes.csv").write_text("filename,mm/px\nIM_1.dcm,0.3\nIM_2.dcm,0.3\n")
    report = import_frames(project, source)
    (said,) = (p for p in report.problems if "the table" in p)
    assert "IM_2.dcm states a pixel of 0.2 x 0.2 mm" in said and "Neither was used" in said
    one, two = project.frames.all()
    assert one.calibration is not None and two.calibration is None


def test_an_ellipse_of_a_table_is_not_given_to_a_clip(project: Project, source: Path) -> None:
    frames = np.stack([skull(HEAD, seed, SIZE) for seed in (3, 4, 5)])
    write(source / "clip.dcm", frames, PatientID="P08")
    (source / "heads.csv").write_text(
        "filename,cx,cy,semi_axis_a,semi_axis_b,angle_deg,mm/px\nclip.dcm,150,120,80,60,20,0.3\n"
    )
    report = import_frames(project, source)
    assert any("clip.dcm holds 3 frames, and the table does not" in p for p in report.problems)
    assert not project.annotations.by_frame()
    assert [f.calibration is None for f in project.frames.all()] == [True, False]


def test_a_picture_of_the_same_name_comes_first(project: Project, source: Path) -> None:
    write_png(source / "IM_1.png", skull(HEAD, 9, SIZE))
    mask(source / "IM_1_mask.png")
    (source / "sizes.csv").write_text("filename,mm/px\nIM_1,0.3\n")
    report = import_frames(project, source, options=ImportOptions(keep_names=True))
    assert not any("IM_1_mask" in said or "sizes.csv" in said for said in report.problems)
    by_name = {frame.name: frame for frame in project.frames.all()}
    assert set(project.annotations.by_frame()) == {by_name["IM_1"].id}
    assert [f.calibration is None for f in by_name.values()] == [False, True]


@pytest.mark.parametrize("place", ["clip_mask.png", "masks/clip.png"])
def test_a_mask_that_is_named_after_a_clip_is_said_to_be(
    project: Project, source: Path, place: str
) -> None:
    write(source / "clip.dcm", np.stack([skull(HEAD, seed, SIZE) for seed in (3, 4, 5)]))
    mask(source / place)
    report = import_frames(project, source)
    (said,) = (p for p in report.problems if str(source / place) in p)
    assert f"is named after {source / 'clip.dcm'}, which holds several frames" in said
    assert not project.annotations.by_frame()
