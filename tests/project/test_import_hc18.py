"""The official HC18 layout."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.project import Project
from tests.named import keys
from tests.progress import Watched
from tests.project.kinds import Picture

TABLE = "training_set_pixel_size_and_HC.csv"


def test_the_samples_reproduce_the_published_circumference(
    sample_project: Project, samples: Path
) -> None:
    with (samples / TABLE).open(newline="") as stream:
        rows = {row["filename"]: row for row in csv.DictReader(stream)}
    frames = sample_project.frames.all()
    annotations = sample_project.annotations.by_frame()
    assert {f"{frame.name}.png" for frame in frames} == set(rows)
    assert 0 < len(annotations) < len(frames)
    for frame in frames:
        row = rows[f"{frame.name}.png"]
        assert frame.calibration is not None
        assert frame.calibration.mm_per_px_x == float(row["pixel size(mm)"])
        assert frame.calibration.source == "table"
        assert [frame.subject] == keys(sample_project, frame.name.split("_")[0])
        if frame.id in annotations:
            annotation = annotations[frame.id]
            assert (annotation.state, annotation.author) == ("final", "import")
            assert annotation.ellipse is not None
            hc = frame.calibration.to_mm(annotation.ellipse).perimeter
            assert hc == pytest.approx(float(row["head circumference (mm)"]), rel=1e-3)


def test_the_pixels_are_those_of_the_file(sample_project: Project, samples: Path) -> None:
    frame = sample_project.frames.all()[0]
    original = read_image(samples / f"{frame.name}.png")
    assert np.array_equal(sample_project.frames.pixels(frame.id), original)


def test_what_is_reported(project: Project, hc18: Path) -> None:
    watched = Watched()
    report = import_frames(project, hc18, progress=watched)
    assert (report.cohort, report.frames, report.annotated) == ("clinic", 5, 4)
    assert (report.duplicates, report.problems) == (0, ())
    read, compared = [(i, 5) for i in range(6)], [(i, 4) for i in range(5)]
    assert watched.steps == [*read, *compared]
    assert [f.subject for f in project.frames.all()] == keys(
        project, "001", "001", "002", "003", "004"
    )
    assert [f.name for f in project.frames.all(annotated=False)] == ["003_HC"]


@pytest.mark.parametrize("inner", [False, True])
def test_the_images_may_be_the_source_or_beside_the_table(
    project: Project, hc18: Path, inner: bool
) -> None:
    source = hc18 / "training_set"
    if not inner:
        for path in source.iterdir():
            shutil.move(path, hc18 / path.name)
        source.rmdir()
        source = hc18
    report = import_frames(project, source, options=ImportOptions(format="hc18"))
    assert (report.cohort, report.frames, report.annotated) == ("clinic", 5, 4)
    assert all(frame.calibration for frame in project.frames.all())


def test_one_image_of_the_layout(project: Project, hc18: Path) -> None:
    report = import_frames(project, hc18 / "training_set" / "002_HC.png")
    assert (report.cohort, report.frames, report.annotated) == ("clinic", 1, 1)
    assert project.frames.all()[0].calibration is not None


def test_importing_again_adds_nothing(project: Project, hc18: Path) -> None:
    import_frames(project, hc18)
    again = import_frames(project, hc18, Choices("other"))
    assert (again.frames, again.annotated, again.duplicates) == (0, 0, 5)
    assert project.frames.cohorts() == ["clinic"]


def test_a_frame_that_is_held_gets_what_it_lacks_and_keeps_what_a_person_did(
    project: Project, hc18: Path, ellipse: Ellipse
) -> None:
    import_frames(project, hc18, options=ImportOptions(format="folder"))
    bare = project.frames.all(cohort="clinic", annotated=True)
    for frame in bare:
        project.frames.set_calibration(frame.id, None)
    drawn, removed, proposed = (frame.id for frame in bare[:3])
    project.annotations.add(drawn, ellipse, author="me", state="draft")
    project.annotations.add(removed, None, author="me", state="draft")
    project.annotations.add(proposed, ellipse, author="compact", state="proposed")
    again = import_frames(project, hc18)
    assert (again.frames, again.duplicates, again.annotated) == (0, 5, 1)
    newest = project.annotations.by_frame()
    assert newest[drawn].author == "me"
    assert removed not in newest
    assert newest[proposed].author == "import"
    assert all(project.frames.get(frame.id).calibration for frame in bare)


def test_the_same_picture_twice_in_a_source_is_one_frame(project: Project, hc18: Path) -> None:
    images = hc18 / "training_set"
    shutil.copy(images / "001_HC.png", images / "009_HC.png")
    report = import_frames(project, hc18)
    assert (report.frames, report.duplicates) == (5, 1)


def test_an_open_ring_at_the_border(sample_project: Project, samples: Path) -> None:
    """346_HC's head is cut by the frame; its ellipse is whole all the same."""
    (frame,) = (f for f in sample_project.frames.all() if f.name == "346_HC")
    ellipse = sample_project.annotations.by_frame()[frame.id].ellipse
    assert ellipse is not None
    x0, y0, x1, y1 = ellipse.box()
    assert x0 < 0 or y0 < 0 or x1 > frame.width - 1 or y1 > frame.height - 1


# -- what is wrong is named ------------------------------------------------------------------


def test_bad_files_are_left_out_and_named(project: Project, hc18: Path, picture: Picture) -> None:
    images = hc18 / "training_set"
    truncated, text = images / "001_HC.png", images / "002_HC.png"
    truncated.write_bytes(truncated.read_bytes()[:-100])
    text.write_text("Dear colleague, please find the frame attached.")
    write_png(images / "004_HC_Annotation.png", picture(0, (60, 60)))
    write_png(images / "001_2HC_Annotation.png", np.zeros((80, 96), np.uint8))
    report = import_frames(project, hc18)
    assert [f.name for f in project.frames.all()] == ["001_2HC", "003_HC", "004_HC"]
    assert (report.frames, report.annotated) == (3, 0)
    problems = "\n".join(report.problems)
    assert len(report.problems) == 4
    assert f"{truncated} is truncated" in problems
    assert f"{text} is not a PNG" in problems
    assert "004_HC_Annotation.png is 60x60 px but its frame 96x80" in problems
    assert "001_2HC_Annotation.png: " in problems


def test_a_table_and_a_folder_that_differ(project: Project, hc18: Path) -> None:
    images = hc18 / "training_set"
    (images / "001_HC.png").rename(images / "008_HC.png")
    report = import_frames(project, hc18)
    assert report.frames == 5
    assert [f.calibration is None for f in project.frames.all()] == [
        False,
        False,
        False,
        False,
        True,
    ]
    annotation, absent, unlisted = report.problems
    assert "001_HC_Annotation.png annotates a frame that is not there" in annotation
    assert "names 001_HC.png, which is not in" in absent
    assert "lacks 008_hc.png: imported without a pixel size" in unlisted


def test_an_annotation_that_contradicts_the_table_is_pointed_out(
    project: Project, hc18: Path
) -> None:
    table = hc18 / TABLE
    table.write_text(table.read_text().replace("002_HC.png,0.2,", "002_HC.png,0.3,"))
    report = import_frames(project, hc18)
    assert report.annotated == 4
    assert len(report.problems) == 1
    assert "002_HC.png" in report.problems[0]
    assert "check its pixel size" in report.problems[0]


TABLES: dict[str, tuple[str | bytes, str]] = {
    "no pixel size": ("filename,head circumference (mm)\n001_HC.png,5\n", "'pixel size"),
    "no circumference": ("filename,pixel size(mm)\n001_HC.png,0.2\n", "'head circumference"),
    "no file name": ("pixel size(mm),head circumference (mm)\n0.2,5\n", "'filename'"),
    "empty": ("", "is empty"),
    "cells missing": ("filename,pixel size(mm),head circumference (mm)\nx.png,0.2\n", "line 2"),
    "no number": ("filename,pixel size(mm),head circumference (mm)\nx.png,wide,5\n", "'wide'"),
    "negative": ("filename,pixel size(mm),head circumference (mm)\nx.png,-3,5\n", "above 0"),
    "metres": (
        "filename,pixel size(mm),head circumference (mm)\nx.png,200,5\n",
        "0.001 to 10 mm wide",
    ),
    "contradiction": (
        "filename,pixel size(mm),head circumference (mm)\nx.png,.1,5\nx.png,.2,5\n",
        "twice",
    ),
    "not text": (b"\xff\xfe\x00\x01\x80", "not a table"),
    "broken quotes": ('filename,pixel size(mm),head circumference (mm)\n"x.png,1', "not a table"),
}


@pytest.mark.parametrize("format", ["auto", "hc18"])
@pytest.mark.parametrize("table", TABLES)
def test_a_bad_table_is_named_and_the_frames_are_imported(
    project: Project, hc18: Path, table: str, format: Literal["auto", "hc18"]
) -> None:
    text, message = TABLES[table]
    path = hc18 / TABLE
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    report = import_frames(project, hc18, options=ImportOptions(format=format))
    assert (report.frames, report.annotated) == (5, 4)
    (told,) = (p for p in report.problems if "not used" in p)
    assert message in told and str(path) in told
    assert not any(frame.calibration for frame in project.frames.all())


def test_the_layout_without_its_table(project: Project, hc18: Path) -> None:
    (hc18 / TABLE).unlink()
    with pytest.raises(InputError, match=f"{TABLE} is missing"):
        import_frames(project, hc18, options=ImportOptions(format="hc18"))
    report = import_frames(project, hc18)
    assert (report.frames, report.annotated) == (5, 4)
    assert [f.subject for f in project.frames.all()] == keys(
        project, "001", "001", "002", "003", "004"
    )


def test_tables_as_spreadsheets_write_them(project: Project, hc18: Path) -> None:
    table = hc18 / TABLE
    spreadsheet = table.read_text().replace(",", ";").replace(".2;", ",2;").replace("\n", "\r\n")
    table.write_bytes(b"\xef\xbb\xbf" + spreadsheet.encode() + b";;\r\n")
    report = import_frames(project, hc18)
    assert report.problems == ()
    assert {f.calibration.mm_per_px_x for f in project.frames.all() if f.calibration} == {0.2}
