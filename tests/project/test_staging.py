"""An import that was stopped goes on where it stopped, and shows nothing meanwhile."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.formats.dicom import file as dicom_file
from fetalstudio.formats.privacy.redaction import Layout, Redactor, remember
from fetalstudio.formats.reading import frame_records
from fetalstudio.formats.reading.frame_reading import FrameContent
from fetalstudio.project.importing.importers import ImportReport, import_frames
from fetalstudio.project.importing.planner import Planner, plan_import
from fetalstudio.project.project import Project
from fetalstudio.project.store.pixels import picture_id
from tests.formats.dicom_files import speckle, write
from tests.progress import Watched

COUNT = 8


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Screens of a scanner in DICOM files, named after patients; the last file is a clip."""
    folder = tmp_path / "DOE^JANE"
    for number in range(COUNT - 1):
        write(folder / f"MILLER{number}", screen(number), PatientID=f"MRN{number // 2}")
    clip = np.concatenate([screen(number) for number in range(50, 53)])
    write(folder / "ZOE", clip, PatientID="MRN9", NumberOfFrames=3)
    return folder


def screen(number: int) -> np.ndarray:
    """(1, H, W) grey: a sector of speckle, and a name above it."""
    grey = np.zeros((160, 200), np.uint8)
    tissue = cv2.resize(speckle(seed=number)[0], (160, 110))
    grey[40:150, 20:180] = np.clip(tissue, 20, 180)
    cv2.putText(grey, "DOE JANE", (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 235, 1, cv2.LINE_AA)
    return grey[None]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are decoded from now on, as often as they are."""
    files: list[Path] = []
    for module, name in ((dicom_file, "read_frame"), (frame_records, "read_image")):
        real = getattr(module, name)

        def counted(path: Path, *more: object, real: Callable[..., object] = real) -> object:
            files.append(path)
            return real(path, *more)

        monkeypatch.setattr(module, name, counted)
    return files


def stop_import(project: Project, source: Path, after: int = 5, passes: int = 2) -> None:
    """Import, and stop when that many pictures are read; headers are read in a pass before."""

    def stop() -> bool:
        return [done for done, _ in watched.steps].count(after) == passes

    watched = Watched(stop)
    with pytest.raises(Stopped):
        import_frames(project, source, progress=watched)
    assert project.frames.all(kind=None) == []
    assert [(u.pictures, u.total) for u in project.imports.unfinished()] == [(after, COUNT)]


def contents(project: Project, report: ImportReport) -> list[object]:
    """What an import has made of a source, but for the keys of its subjects."""
    drawn = project.annotations.by_frame()
    frames = project.frames.all()
    subjects = [frame.subject for frame in frames]
    said = tuple(text.replace(str(project.path), "") for text in report.problems)
    return [
        (said, report.frames, report.annotated, report.duplicates, report.subjects),
        *(
            (
                frame.id,
                frame.name,
                frame.cohort,
                subjects.index(frame.subject),
                frame.calibration,
                dict(frame.labels),
                drawn[frame.id].ellipse if frame.id in drawn else None,
                project.frames.path(frame.id).read_bytes(),
            )
            for frame in frames
        ),
    ]


def test_an_import_goes_on_where_it_was_stopped(
    project: Project, source: Path, tmp_path: Path, decoded: list[Path]
) -> None:
    stop_import(project, source)
    decoded.clear()
    report = import_frames(project, source)
    assert sorted(path.name for path in decoded) == ["MILLER5", "MILLER6", "ZOE"]
    assert report.resumed == 5
    assert not list((project.path / "frames").glob(".*"))
    with Project.create(tmp_path / "unbroken") as unbroken:
        whole = import_frames(unbroken, source)
        assert whole.resumed == 0
        assert contents(project, report) == contents(unbroken, whole)


def test_annotations_are_found_again(
    project: Project, hc18: Path, tmp_path: Path, decoded: list[Path]
) -> None:
    answers = iter([False] * 3)
    with pytest.raises(Stopped):
        import_frames(project, hc18, progress=Watched(lambda: next(answers, True)))
    decoded.clear()
    report = import_frames(project, hc18)
    # Two were left to read. Those with an ellipse are also decoded to compare it with the picture.
    times = Counter(path.stem for path in decoded)
    assert times == {"001_HC": 1, "001_2HC": 1, "002_HC": 1, "003_HC": 1, "004_HC": 2}
    with Project.create(tmp_path / "unbroken") as unbroken:
        assert contents(project, report) == contents(unbroken, import_frames(unbroken, hc18))


def test_what_has_changed_meanwhile_is_read_again(
    project: Project, source: Path, decoded: list[Path]
) -> None:
    stop_import(project, source)
    write(source / "A FIRST FILE", screen(90), PatientID="MRN0")
    write(source / "MILLER1", screen(91), PatientID="MRN0")
    os.utime(source / "MILLER2", ns=(0, 0))
    staging = next((project.path / "frames").glob(".staging-*/"))
    damaged = sorted(staging.glob("*.png"))[0]
    damaged.write_bytes(damaged.read_bytes()[:-20])
    decoded.clear()
    report = import_frames(project, source)
    new = {path.name for path in decoded}
    assert {"A FIRST FILE", "MILLER1", "MILLER2", "MILLER5", "MILLER6", "ZOE"} <= new
    assert report.frames == COUNT + 1
    assert report.resumed == 9 - len(new)
    for frame in project.frames.all():
        assert project.frames.pixels(frame.id).any()


def test_what_is_redacted_otherwise_now_is_read_again(
    project: Project, source: Path, decoded: list[Path]
) -> None:
    stop_import(project, source)
    plan = plan_import(project, source)
    remember({sample.layout: Layout("all", find_text=False) for sample in plan.screens})
    decoded.clear()
    report = import_frames(project, source)
    assert len(decoded) == COUNT
    assert report.resumed == 0
    assert all(project.frames.pixels(f.id)[:16].any() for f in project.frames.all())


def test_a_plan_uses_what_is_staged_but_for_layouts_that_nobody_has_confirmed(
    project: Project, source: Path, decoded: list[Path]
) -> None:
    plan = plan_import(project, source)
    (sample,) = plan.screens
    stop_import(project, source)
    decoded.clear()
    assert plan_import(project, source).screens
    assert len(decoded) == COUNT
    remember({sample.layout: Layout("sector")})
    project.imports.discard()
    stop_import(project, source)
    decoded.clear()
    again = Planner(project, source).plan()
    assert len(decoded) == 3
    assert [frame.frame_id for frame in again.frames] == [
        frame.frame_id for frame in Planner(project, source).plan().frames
    ]


def test_nothing_private_is_staged(project: Project, source: Path) -> None:
    stop_import(project, source)
    staged = [path for path in (project.path / "frames").rglob("*") if path.is_file()]
    assert len(staged) >= 5
    for path in staged:
        said = f"{path.relative_to(project.path)}".encode() + path.read_bytes()
        for name in (b"DOE", b"MILLER", b"MRN", b"ZOE", os.fsencode(source.parent)):
            assert name not in said, path


def test_an_unfinished_import_is_kept_for_a_week(project: Project, source: Path) -> None:
    stop_import(project, source)
    assert project.recover() == []
    assert len(project.imports.unfinished()) == 1
    (journal,) = (project.path / "frames").glob(".staging-*/journal")
    week = 7 * 24 * 3600
    os.utime(journal, (time.time() - week - 60,) * 2)
    assert len(project.recover()) == 1
    assert project.imports.unfinished() == []
    assert not list((project.path / "frames").glob(".*"))


def test_forgetting_a_patient_deletes_what_is_staged(project: Project, source: Path) -> None:
    stop_import(project, source)
    assert project.forget(["001"])
    assert project.imports.unfinished() == []
    assert not list((project.path / "frames").glob(".*"))


def test_two_imports_of_a_source_at_once_do_not_share_a_folder(
    project: Project, source: Path
) -> None:
    with project.imports.staging(source):
        assert import_frames(project, source).frames == COUNT
    assert not list((project.path / "frames").glob(".*"))


def test_what_the_second_of_two_imports_reads_is_not_offered(
    project: Project, source: Path
) -> None:
    """If it is killed, no import of the source would find it, however often it is chosen."""
    with project.imports.staging(source), project.imports.staging(source) as second:
        second.expect(3)
        assert not list((project.path / "frames").glob(".staging-*/journal"))


def test_a_picture_that_is_being_written_is_not_removed_as_a_damaged_one(
    source: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, redactor, key = screen(1)[0], Redactor(), "0" * 32
    content = FrameContent(pixels, None, ())
    with project.imports.staging(source) as staging:
        staging.note(key, picture_id(pixels), content, redactor.rules(None))

        def not_there(path: Path) -> None:
            """The writer puts the picture into its place just afterwards."""
            staging.put(pixels)
            staging.settle()
            raise InputError(f"{path} is missing.")

        with monkeypatch.context() as patch:
            patch.setattr("fetalstudio.project.staging.read_image", not_there)
            assert staging.find(key, redactor) is None
        staging.put(pixels)
        staging.settle()
        assert staging.find(key, redactor) is not None
