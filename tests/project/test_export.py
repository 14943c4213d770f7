"""Export to the HC18 layout, and the way back."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.splits import Part
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.pictures.picture_files import note_in
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.writing.exported_frames import ExportedFrame
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import AnnotationState, ReviewState
from tests.progress import Watched
from tests.project.kinds import Contents, Picture

TABLE = "training_set_pixel_size_and_HC.csv"


@pytest.fixture
def full(project: Project, picture: Picture, ellipse: Ellipse) -> Project:
    """Frames in two cohorts and every state, and three pairs of which one is accepted."""
    calibration = Calibration(0.2, 0.2, "table")
    frames: list[tuple[str, str, AnnotationState | None]] = [
        ("001_HC", "c", "final"),
        ("001_2HC", "c", "draft"),
        ("002_HC", "c", "proposed"),
        ("003_HC", "c", None),
        ("001_HC", "d", "final"),
        ("what: a/name?", "d", "final"),
    ]
    for i, (name, cohort, state) in enumerate(frames):
        frame, _ = project.frames.add(
            picture(i),
            name=name,
            cohort=cohort,
            subject=f"{cohort}-{name[:3]}",
            calibration=None if i == 5 else calibration,
        )
        if state:
            project.annotations.add(frame.id, ellipse, author="A. Person", state=state)
    reviews: tuple[ReviewState, ...] = ("accepted", "rejected", "pending")
    for i, review in enumerate(reviews):
        pair = project.pairs.add(
            picture(50 + i),
            name=f"s{i}",
            ellipse=ellipse,
            cohort="c",
            calibration=calibration,
            quality={"dice": 0.9, "hd95_px": math.inf},
            provenance={"synthesizer": "compact", "seed": i},
        )
        project.pairs.review(pair.id, review, reviewer="A. Person")
    return project


def rows_of(out: Path) -> dict[str, tuple[str, str]]:
    with (out / TABLE).open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["filename", "pixel size(mm)", "head circumference (mm)"]
    return {name: (pixel, hc) for name, pixel, hc in rows}


def test_the_layout_is_the_official_one(full: Project, tmp_path: Path, ellipse: Ellipse) -> None:
    out = tmp_path / "out"
    report = export_frames(full, out, cohort="c")
    assert (report.out, report.frames, report.pairs, report.problems) == (out, 4, 1, ())
    hc = f"{ellipse.perimeter * 0.2:.2f}"
    assert rows_of(out) == {
        "001_2HC.png": ("0.2", hc),
        "001_HC.png": ("0.2", hc),
        "002_HC.png": ("0.2", ""),
        "003_HC.png": ("0.2", ""),
        "synthetic_1.png": ("0.2", hc),
    }
    annotated = {p.name for p in (out / "training_set").glob("*_Annotation.png")}
    assert annotated == {f"{name}_Annotation.png" for name in ("001_HC", "001_2HC", "synthetic_1")}
    frame = next(f for f in full.frames.all(cohort="c") if f.name == "001_HC")
    written = cv2.imread(str(out / "training_set" / "001_HC.png"), cv2.IMREAD_UNCHANGED)
    assert written is not None and np.array_equal(written, full.frames.pixels(frame.id))


def test_names_that_collide_or_that_no_disk_takes(full: Project, tmp_path: Path) -> None:
    export_frames(full, tmp_path / "out", synthetic=False)
    rows = rows_of(tmp_path / "out")
    assert {"001_HC.png", "001_HC-2.png", "what_ a_name_.png"} <= set(rows)
    assert rows["what_ a_name_.png"] == ("", "")
    for name in rows:
        assert (tmp_path / "out" / "training_set" / name).is_file()


def test_provenance_goes_with_the_files_and_no_persons_name(
    full: Project, tmp_path: Path, contents: Contents
) -> None:
    out = tmp_path / "out"
    export_frames(full, out)
    record = json.loads((out / "provenance.json").read_text())
    pair = record["pairs"]["synthetic_1.png"]
    assert pair["provenance"] == {"synthesizer": "compact", "seed": 0}
    assert pair["quality"] == {"dice": 0.9, "hd95_px": None}
    assert record["frames"]["001_HC-2.png"]["subject"] == "d-001"
    note = note_in(out / "training_set" / "synthetic_1.png")
    assert note is not None
    assert json.loads(note) == pair
    assert note_in(out / "training_set" / "001_HC.png") == "frame"
    assert note_in(out / "training_set" / "001_HC_Annotation.png") in (None, "annotation")
    assert not any(b"Person" in data for data in contents(out).values())


def test_there_and_back(full: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_frames(full, out)
    with Project.create(tmp_path / "back") as back:
        report = import_frames(back, out)
        assert (report.frames, report.annotated) == (6, 4)
        assert (report.pairs, report.problems) == (1, ())
        subjects = {frame.id: frame.subject for frame in back.frames.all()}
        assert subjects == {
            frame.id: back.patients.key(frame.subject) for frame in full.frames.all()
        }
        before, after = full.annotations.by_frame(), back.annotations.by_frame()
        for frame_id, annotation in after.items():
            found, drawn = annotation.ellipse, before[frame_id].ellipse
            assert found is not None
            assert drawn is not None
            assert found.perimeter == pytest.approx(drawn.perimeter, rel=1e-3)
            assert found.overlap(drawn) > 0.995


def test_the_samples_there_and_back(sample_project: Project, tmp_path: Path) -> None:
    export_frames(sample_project, tmp_path / "out")
    with Project.create(tmp_path / "back") as back:
        assert import_frames(back, tmp_path / "out").problems == ()
        assert [f.id for f in back.frames.all()] == [f.id for f in sample_project.frames.all()]
        before, after = sample_project.annotations.by_frame(), back.annotations.by_frame()
        assert before.keys() == after.keys()
        for frame in sample_project.frames.all(annotated=True):
            found, drawn = after[frame.id].ellipse, before[frame.id].ellipse
            assert found is not None
            assert drawn is not None
            assert found.perimeter == pytest.approx(drawn.perimeter, rel=1e-3)
            assert back.frames.get(frame.id).calibration == frame.calibration


def test_pixels_that_are_not_square(
    project: Project, picture: Picture, ellipse: Ellipse, tmp_path: Path
) -> None:
    calibration = Calibration(0.2, 0.25, "table")
    frame, _ = project.frames.add(
        picture(1), name="x", cohort="c", subject="s", calibration=calibration
    )
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    report = export_frames(project, tmp_path / "out")
    assert rows_of(tmp_path / "out") == {"x.png": ("", "")}
    assert "not square" in report.problems[0]
    with Project.create(tmp_path / "back") as back:
        import_frames(back, tmp_path / "out")
        assert back.frames.get(frame.id).calibration == calibration


def test_an_ellipse_outside_of_its_frame(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    frame, _ = project.frames.add(picture(1), name="x", cohort="c", subject="s")
    project.annotations.add(frame.id, Ellipse(900, 900, 20, 10, 0), author="me", state="final")
    report = export_frames(project, tmp_path / "out")
    assert "x: its ellipse lies outside the picture" in report.problems[0]
    assert not list((tmp_path / "out").rglob("*_Annotation.png"))


def test_parts_are_written_beside_and_read_again(project: Project, tmp_path: Path) -> None:
    writer = EXPORTS["hc18"].writer(tmp_path)
    parts: tuple[Part | None, ...] = ("train", "validation", "test", None)
    for i, part in enumerate(parts):
        pixels = np.full((40, 50), 90 + i, np.uint8)
        writer.add_frame(ExportedFrame(f"{i}", f"f{i}", "c", f"s{i}", pixels, None, None, {}, part))
    writer.finish()
    assert tuple(record.part for record in read_source(tmp_path).records) == parts


def test_an_export_of_a_newer_version_says_so(full: Project, tmp_path: Path) -> None:
    """Without its subjects two cohorts' frames of patient 001 would count as one patient's."""
    out = tmp_path / "out"
    export_frames(full, out)
    path = out / "provenance.json"
    record = json.loads(path.read_text())
    with Project.create(tmp_path / "back") as back:
        path.write_text(json.dumps(record | {"format": "fetalstudio-export-2"}))
        with pytest.raises(InputError, match=r"provenance\.json was written by a newer"):
            import_frames(back, out)
        path.write_text(json.dumps(record | {"frames": None}))
        with pytest.raises(InputError, match=r"provenance\.json is damaged"):
            import_frames(back, out)
        assert back.frames.all() == []
        path.write_text(json.dumps({"format": "another program's"}))
        assert import_frames(back, out).frames == 6


# -- nothing or all --------------------------------------------------------------------------


def test_a_folder_in_use_is_not_touched(full: Project, tmp_path: Path, contents: Contents) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        export_frames(full, out)
    assert contents(out) == {"thesis.txt": b"precious"}
    with pytest.raises(InputError, match="not empty"):
        export_frames(full, out / "thesis.txt")
    (out / "thesis.txt").unlink()
    assert export_frames(full, out).frames == 6


def test_a_cohort_is_of_real_frames_and_the_pairs_go_along(full: Project, tmp_path: Path) -> None:
    report = export_frames(full, tmp_path / "out", cohort="d")
    assert (report.frames, report.pairs) == (2, 1)
    assert export_frames(full, tmp_path / "bare", cohort="d", synthetic=False).pairs == 0


def test_nothing_to_export(full: Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"in nowhere\. The cohorts are: c, d"):
        export_frames(full, tmp_path / "out", cohort="nowhere")
    assert not (tmp_path / "out").exists()


def test_a_cancelled_export_leaves_nothing(full: Project, tmp_path: Path) -> None:
    answers = iter([False] * 3)
    with pytest.raises(Stopped):
        export_frames(full, tmp_path / "a" / "out", progress=Watched(lambda: next(answers, True)))
    assert not list((tmp_path / "a").glob("*"))


def test_a_folder_where_one_may_not_write(full: Project, unwritable: Path) -> None:
    unwritable.chmod(0o555)
    with pytest.raises(UserError, match="could not be written: Permission denied"):
        export_frames(full, unwritable / "out")


def test_an_empty_folder_that_cannot_be_replaced_is_filled(full: Project, tmp_path: Path) -> None:
    """Like a mounted disk: here a link."""
    disk = tmp_path / "disk"
    disk.mkdir()
    out = tmp_path / "out"
    out.symlink_to(disk, target_is_directory=True)
    export_frames(full, out)
    assert (disk / TABLE).is_file() and not list(disk.glob(".part*"))
    with pytest.raises(InputError, match="already there"):
        export_frames(full, Path("/"))


def test_a_name_too_long_for_a_file_is_shortened(
    project: Project, picture: Picture, ellipse: Ellipse, tmp_path: Path
) -> None:
    names = ["x" * 250, "x" * 251, "ü" * 150]
    for i, name in enumerate(names):
        frame, _ = project.frames.add(picture(i), name=name, cohort="c", subject=f"s{i}")
        project.annotations.add(frame.id, ellipse, author="A. Person", state="final")
    report = export_frames(project, tmp_path / "out")
    assert report.frames == 3 and len(report.problems) == 3
    assert all("too long for a file" in problem for problem in report.problems)
    with Project.create(tmp_path / "back") as back:
        assert import_frames(back, tmp_path / "out").annotated == 3
