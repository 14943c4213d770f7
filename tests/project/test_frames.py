"""Frames, calibrations and annotations in the store."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.records import AnnotationState, BatchItem, Frame, FrameRevision
from fetalstudio.project.store.schema import APPEND_ONLY
from tests.project.kinds import Picture, PicturesIn


def test_a_frame_comes_back_as_it_went_in(project: Project, picture: Picture) -> None:
    pixels = picture(1, (101, 67))
    frame, new = project.frames.add(
        pixels, name="x", cohort="c", subject="s", calibration=Calibration(0.1, 0.12, "manual")
    )
    assert new
    assert frame.size == (101, 67)
    assert frame.calibration == Calibration(0.1, 0.12, "manual")
    assert project.frames.get(frame.id) == frame
    assert project.frames.all() == [frame]
    assert np.array_equal(project.frames.pixels(frame.id), pixels)
    assert project.frames.path(frame.id).relative_to(project.path / "frames").parts == (
        frame.id[:2],
        f"{frame.id}.png",
    )


def test_the_same_picture_is_one_frame(project: Project, frame: Frame, picture: Picture) -> None:
    again, new = project.frames.add(picture(0), name="other", cohort="d", subject="9")
    assert not new
    assert again == frame


def test_the_same_bytes_in_another_shape_are_another_frame(project: Project) -> None:
    flat = np.arange(64 * 32, dtype=np.uint8)
    one, _ = project.frames.add(flat.reshape(32, 64), name="a", cohort="c", subject="s")
    other, new = project.frames.add(flat.reshape(64, 32), name="b", cohort="c", subject="s")
    assert new
    assert one.id != other.id


def test_a_name_is_unique_in_its_cohort_only(project: Project, picture: Picture) -> None:
    def add(seed: int, cohort: str) -> str:
        return project.frames.add(picture(seed), name="n", cohort=cohort, subject="s")[0].name

    assert [add(1, "c"), add(2, "c"), add(3, "c"), add(4, "d")] == ["n", "n-2", "n-3", "n"]


@pytest.mark.parametrize("empty", ["name", "cohort", "subject"])
def test_an_empty_word_is_refused_and_leaves_no_file(
    project: Project, picture: Picture, pictures_in: PicturesIn, empty: str
) -> None:
    words = {"name": "n", "cohort": "c", "subject": "s"} | {empty: " "}
    with pytest.raises(InputError, match=empty):
        project.frames.add(
            picture(1), name=words["name"], cohort=words["cohort"], subject=words["subject"]
        )
    assert pictures_in(project.path) == set()


def test_pixels_of_another_kind_are_refused(project: Project) -> None:
    with pytest.raises(ValueError, match="uint8"):
        project.frames.add(
            np.zeros((64, 64)),  # type: ignore[arg-type]  # the fault
            name="n",
            cohort="c",
            subject="s",
        )
    with pytest.raises(InputError, match="20x64"):
        project.frames.add(np.zeros((64, 20), np.uint8), name="n", cohort="c", subject="s")


def test_frames_are_found_by_cohort_kind_and_annotation(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    for i, (name, cohort) in enumerate([("b", "c"), ("a", "c"), ("z", "b")]):
        project.frames.add(picture(i), name=name, cohort=cohort, subject=name)
    with_ellipse, removed, _ = (project.frames.all()[i].id for i in (0, 1, 2))
    project.annotations.add(with_ellipse, ellipse, author="me", state="draft")
    project.annotations.add(removed, ellipse, author="me", state="draft")
    project.annotations.add(removed, None, author="me", state="draft")
    assert [f.name for f in project.frames.all()] == ["z", "a", "b"]
    assert [f.name for f in project.frames.all(cohort="c")] == ["a", "b"]
    assert [f.name for f in project.frames.all(annotated=True)] == ["z"]
    assert [f.name for f in project.frames.all(annotated=False)] == ["a", "b"]
    assert project.frames.all(kind="synthetic") == []
    assert project.frames.cohorts() == ["b", "c"]


def test_a_real_frame_is_found_by_the_start_of_its_id(project: Project, frame: Frame) -> None:
    assert project.frames.find_real(frame.id[:16]) == frame
    assert project.frames.find_real("0" * 16) is None
    assert project.frames.find_real("") == frame  # The only one there is.


def test_calibration_is_replaced_and_removed(project: Project, frame: Frame) -> None:
    project.frames.set_calibration(frame.id, Calibration(0.3, 0.4, "manual"))
    assert project.frames.get(frame.id).calibration == Calibration(0.3, 0.4, "manual")
    project.frames.set_calibration(frame.id, None)
    assert project.frames.get(frame.id).calibration is None
    assert project.frames.all()[0].calibration is None


def test_revisions_are_appended(project: Project, frame: Frame, ellipse: Ellipse) -> None:
    moved = Ellipse(50, 40, 30, 22, 20)
    assert project.annotations.newest(frame.id) is None
    project.annotations.add(frame.id, ellipse, author="compact", state="proposed", confidence=0.9)
    project.annotations.add(frame.id, moved, author="me", state="draft")
    last = project.annotations.add(frame.id, None, author="me", state="draft")
    assert [r.revision for r in project.annotations.revisions(frame.id)] == [1, 2, 3]
    assert [r.ellipse for r in project.annotations.revisions(frame.id)] == [ellipse, moved, None]
    assert [r.confidence for r in project.annotations.revisions(frame.id)] == [0.9, None, None]
    assert project.annotations.newest(frame.id) == last
    assert project.annotations.by_frame() == {}
    final = project.annotations.add(frame.id, ellipse, author="me", state="final")
    assert project.annotations.by_frame() == {frame.id: final}
    assert project.annotations.by_frame("c") == {frame.id: final}
    assert project.annotations.by_frame("another") == {}


def test_the_counts_add_up(project: Project, picture: Picture, ellipse: Ellipse) -> None:
    states: tuple[AnnotationState | None, ...] = (None, "proposed", "draft", "draft", "final")
    for i, state in enumerate(states):
        frame, _ = project.frames.add(picture(i), name=f"{i}", cohort="c", subject="s")
        if state:
            project.annotations.add(frame.id, ellipse, author="me", state=state)
    assert project.counts() == {
        **{"none": 1, "proposed": 1, "draft": 2, "final": 1},
        **{"pending": 0, "accepted": 0, "rejected": 0},
    }


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "REPLACE"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_database_itself_refuses_to_change_what_was_done(
    project: Project, frame: Frame, picture: Picture, ellipse: Ellipse, table: str, verb: str
) -> None:
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    project.frames.set_labels(frame.id, {"quality": "clear"})
    pair = project.pairs.add(
        picture(9),
        name="s",
        ellipse=ellipse,
        cohort="c",
        calibration=None,
        quality={},
        provenance={},
    )
    project.pairs.review(pair.id, "accepted", reviewer="me")
    run = project.runs.start("r", {}, {})
    project.runs.update(run.id, state="finished", history_entry={"epoch": 1})
    project.models.add("m", "segmenter", "models/m", run_id=run.id)
    project.models.adopt("segmenter", "m")
    project.models.add("old", "segmenter", "models/old")
    project.models.remove("segmenter", "old")
    item = BatchItem(0, "s", ellipse, (96, 80), frame.id, None, 5, "any")
    batch = project.batches.start({}, [item])
    project.batches.mark_made(batch.id, 0, pair.id)
    session = project.readings.start([frame.id], observer="me")
    reading = project.readings.add(session, 0, ellipse, seconds=1)
    project.readings.adjudicate(frame.id, ellipse, [reading.id], author="me")
    removed, _ = project.frames.add(picture(3), name="gone", cohort="c", subject="s")
    project.pairs.add(
        picture(4),
        name="g",
        ellipse=ellipse,
        cohort="c",
        calibration=None,
        quality={},
        provenance={"source_frame": removed.id},
    )
    project.amendments.remove([removed.id], author="me")
    project.purge()
    connection = Database(project.path / "project.db")
    assert connection.one(f"SELECT * FROM {table}") is not None
    _, column, *_ = tuple(connection.query(f"PRAGMA table_info({table})")[0])
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
        "REPLACE": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
    }[verb]
    with pytest.raises(RuntimeError, match="only appended to"):
        connection.execute(statement)
    connection.close()


def test_what_is_not_held_is_said_so(project: Project, ellipse: Ellipse) -> None:
    for call in (
        lambda: project.frames.get("0" * 64),
        lambda: project.annotations.add("0" * 64, ellipse, author="me", state="final"),
        lambda: project.frames.set_calibration("0" * 64, None),
        lambda: project.frames.pixels("0" * 64),
    ):
        with pytest.raises(UserError, match="0" * 64):
            call()


def test_a_frame_file_that_was_changed_or_lost_is_reported(
    project: Project, frame: Frame, picture: Picture
) -> None:
    path = project.frames.path(frame.id)
    write_png(path, picture(77))
    with pytest.raises(UserError, match="was changed"):
        project.frames.pixels(frame.id)
    path.unlink()
    with pytest.raises(UserError, match=r"Import the same picture again.*copy of the project"):
        project.frames.pixels(frame.id)


@pytest.mark.parametrize("damage", ["changed", "lost", "truncated"])
@pytest.mark.parametrize("removed", [False, True])
def test_importing_a_picture_again_mends_its_file(
    project: Project, frame: Frame, picture: Picture, tmp_path: Path, damage: str, removed: bool
) -> None:
    if removed:
        project.amendments.remove([frame.id], author="me")
    path = project.frames.path(frame.id)
    if damage == "changed":
        write_png(path, picture(77))
    elif damage == "lost":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100])
    write_png(tmp_path / "source" / "001_HC.png", picture(0))
    assert import_frames(project, tmp_path / "source").frames == removed
    assert np.array_equal(project.frames.pixels(frame.id), picture(0))
    path.unlink()
    project.frames.add(picture(0), name="x", cohort="c", subject="001")
    assert np.array_equal(project.frames.pixels(frame.id), picture(0))


def test_a_transaction_is_all_or_nothing(
    project: Project, picture: Picture, pictures_in: PicturesIn
) -> None:
    def fails() -> None:
        with project.transaction():
            project.frames.add(picture(1), name="a", cohort="c", subject="s")
            project.frames.add(picture(2), name="b", cohort="c", subject="s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert project.frames.all() == []
    assert pictures_in(project.path) == set()


def test_an_inner_transaction_fails_alone(
    project: Project, picture: Picture, pictures_in: PicturesIn
) -> None:
    with project.transaction():
        kept, _ = project.frames.add(picture(1), name="a", cohort="c", subject="s")
        with pytest.raises(ZeroDivisionError), project.transaction():
            project.frames.add(picture(2), name="b", cohort="c", subject="s")
            raise ZeroDivisionError
    assert project.frames.all() == [kept]
    assert pictures_in(project.path) == {f"{kept.id}.png"}


def test_a_project_can_be_moved(
    project: Project, frame: Frame, ellipse: Ellipse, picture: Picture, tmp_path: Path
) -> None:
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    project.close()
    elsewhere = tmp_path / "ünder a näme" / "p %20#?"
    elsewhere.parent.mkdir()
    shutil.move(project.path, elsewhere)
    with Project.open(elsewhere) as moved:
        assert moved.frames.all() == [frame]
        assert np.array_equal(moved.frames.pixels(frame.id), picture(0))
        assert moved.annotations.by_frame()[frame.id].ellipse == ellipse
        assert moved.frames.path(frame.id).is_relative_to(elsewhere)


@pytest.mark.perf
def test_thousands_of_frames_are_listed_at_once(project: Project) -> None:
    with project.transaction():
        for i in range(5000):
            new = FrameRevision(f"{i:064x}", f"{i}", "c", f"{i // 2}", removed=False)
            calibration = Calibration(0.1, 0.1, "table")
            project.frames._insert(new, (800, 540), calibration, "real", None)
            if i % 2:
                ellipse = Ellipse(400, 270, 200, 150, 10)
                project.annotations.add(f"{i:064x}", ellipse, author="me", state="final")
    start = time.perf_counter()
    assert len(project.frames.all()) == 5000
    assert len(project.frames.all(annotated=True)) == 2500
    assert len(project.annotations.by_frame()) == 2500
    assert project.counts()["final"] == 2500
    # About 0.1 s on an idle machine; a table scan per frame would take minutes.
    assert time.perf_counter() - start < 2
