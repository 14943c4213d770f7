"""Frames, calibrations and annotations in the store."""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import BadInput, UserError
from fetalstudio.formats.images import write_png
from fetalstudio.project.records import BatchItem, Frame
from fetalstudio.project.schema import APPEND_ONLY
from fetalstudio.project.store import Project


def test_a_frame_comes_back_as_it_went_in(project: Project, picture) -> None:
    pixels = picture(1, (101, 67))
    frame, new = project.add_frame(
        pixels, name="x", cohort="c", subject="s", calibration=Calibration(0.1, 0.12, "manual")
    )
    assert new
    assert frame.size == (101, 67)
    assert frame.calibration == Calibration(0.1, 0.12, "manual")
    assert project.frame(frame.id) == frame
    assert project.frames() == [frame]
    assert np.array_equal(project.pixels(frame.id), pixels)
    assert project.frame_path(frame.id).relative_to(project.path / "frames").parts == (
        frame.id[:2],
        f"{frame.id}.png",
    )


def test_the_same_picture_is_one_frame(project: Project, frame: Frame, picture) -> None:
    again, new = project.add_frame(picture(0), name="other", cohort="d", subject="9")
    assert not new
    assert again == frame


def test_the_same_bytes_in_another_shape_are_another_frame(project: Project) -> None:
    flat = np.arange(64 * 32, dtype=np.uint8)
    one, _ = project.add_frame(flat.reshape(32, 64), name="a", cohort="c", subject="s")
    other, new = project.add_frame(flat.reshape(64, 32), name="b", cohort="c", subject="s")
    assert new
    assert one.id != other.id


def test_a_name_is_unique_in_its_cohort_only(project: Project, picture) -> None:
    def add(seed: int, cohort: str) -> str:
        return project.add_frame(picture(seed), name="n", cohort=cohort, subject="s")[0].name

    assert [add(1, "c"), add(2, "c"), add(3, "c"), add(4, "d")] == ["n", "n-2", "n-3", "n"]


@pytest.mark.parametrize("empty", ["name", "cohort", "subject"])
def test_an_empty_word_is_refused_and_leaves_no_file(
    project: Project, picture, pictures_in, empty: str
) -> None:
    words = {"name": "n", "cohort": "c", "subject": "s"} | {empty: " "}
    with pytest.raises(BadInput, match=empty):
        project.add_frame(picture(1), **words)
    assert pictures_in(project.path) == set()


def test_pixels_of_another_kind_are_refused(project: Project) -> None:
    with pytest.raises(ValueError, match="uint8"):
        project.add_frame(np.zeros((64, 64)), name="n", cohort="c", subject="s")
    with pytest.raises(BadInput, match="20x64"):
        project.add_frame(np.zeros((64, 20), np.uint8), name="n", cohort="c", subject="s")


def test_frames_are_found_by_cohort_kind_and_annotation(
    project: Project, picture, ellipse: Ellipse
) -> None:
    for i, (name, cohort) in enumerate([("b", "c"), ("a", "c"), ("z", "b")]):
        project.add_frame(picture(i), name=name, cohort=cohort, subject=name)
    with_ellipse, removed, _ = (project.frames()[i].id for i in (0, 1, 2))
    project.annotate(with_ellipse, ellipse, author="me", state="draft")
    project.annotate(removed, ellipse, author="me", state="draft")
    project.annotate(removed, None, author="me", state="draft")
    assert [f.name for f in project.frames()] == ["z", "a", "b"]
    assert [f.name for f in project.frames(cohort="c")] == ["a", "b"]
    assert [f.name for f in project.frames(annotated=True)] == ["z"]
    assert [f.name for f in project.frames(annotated=False)] == ["a", "b"]
    assert project.frames(kind="synthetic") == []
    assert project.cohorts() == ["b", "c"]


def test_a_real_frame_is_found_by_the_start_of_its_id(project: Project, frame: Frame) -> None:
    assert project.real_frame(frame.id[:16]) == frame
    assert project.real_frame("0" * 16) is None
    assert project.real_frame("") == frame  # The only one there is.


def test_calibration_is_replaced_and_removed(project: Project, frame: Frame) -> None:
    project.set_calibration(frame.id, Calibration(0.3, 0.4, "manual"))
    assert project.frame(frame.id).calibration == Calibration(0.3, 0.4, "manual")
    project.set_calibration(frame.id, None)
    assert project.frame(frame.id).calibration is None
    assert project.frames()[0].calibration is None


def test_revisions_are_appended(project: Project, frame: Frame, ellipse: Ellipse) -> None:
    moved = Ellipse(50, 40, 30, 22, 20)
    assert project.annotation(frame.id) is None
    project.annotate(frame.id, ellipse, author="compact", state="proposed", confidence=0.9)
    project.annotate(frame.id, moved, author="me", state="draft")
    last = project.annotate(frame.id, None, author="me", state="draft")
    assert [r.revision for r in project.revisions(frame.id)] == [1, 2, 3]
    assert [r.ellipse for r in project.revisions(frame.id)] == [ellipse, moved, None]
    assert [r.confidence for r in project.revisions(frame.id)] == [0.9, None, None]
    assert project.annotation(frame.id) == last
    assert project.annotations() == {}
    final = project.annotate(frame.id, ellipse, author="me", state="final")
    assert project.annotations() == {frame.id: final}
    assert project.annotations("c") == {frame.id: final}
    assert project.annotations("another") == {}


def test_the_counts_add_up(project: Project, picture, ellipse: Ellipse) -> None:
    for i, state in enumerate((None, "proposed", "draft", "draft", "final")):
        frame, _ = project.add_frame(picture(i), name=f"{i}", cohort="c", subject="s")
        if state:
            project.annotate(frame.id, ellipse, author="me", state=state)
    assert project.counts() == {
        **{"none": 1, "proposed": 1, "draft": 2, "final": 1},
        **{"pending": 0, "accepted": 0, "rejected": 0},
    }


@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "REPLACE"])
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_database_itself_refuses_to_change_what_was_done(
    project: Project, frame: Frame, picture, ellipse: Ellipse, table: str, verb: str
) -> None:
    project.annotate(frame.id, ellipse, author="me", state="final")
    project.set_labels(frame.id, {"quality": "clear"})
    pair = project.add_pair(
        picture(9),
        **{"name": "s", "ellipse": ellipse, "cohort": "c", "calibration": None},
        **{"quality": {}, "provenance": {}},
    )
    project.review_pair(pair.id, "accepted", reviewer="me")
    run = project.start_run("r", {}, {})
    project.update_run(run.id, state="finished", history_entry={"epoch": 1})
    project.add_model("m", "segmenter", "models/m", run_id=run.id)
    project.adopt("segmenter", "m")
    item = BatchItem(0, "s", ellipse, (96, 80), frame.id, None, 5, "any")
    batch = project.start_batch({}, [item])
    project.mark_made(batch.id, 0, pair.id)
    connection = project._database._connection
    assert connection.execute(f"SELECT * FROM {table}").fetchone() is not None
    column = connection.execute(f"PRAGMA table_info({table})").fetchone()[1]
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
        "REPLACE": f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
    }[verb]
    with pytest.raises(sqlite3.IntegrityError, match="only appended to"):
        connection.execute(statement)


def test_what_is_not_held_is_said_so(project: Project, ellipse: Ellipse) -> None:
    for call in (
        lambda: project.frame("0" * 64),
        lambda: project.annotate("0" * 64, ellipse, author="me", state="final"),
        lambda: project.set_calibration("0" * 64, None),
        lambda: project.pixels("0" * 64),
    ):
        with pytest.raises(UserError, match="0" * 64):
            call()


def test_a_frame_file_that_was_changed_or_lost_is_reported(
    project: Project, frame: Frame, picture
) -> None:
    path = project.frame_path(frame.id)
    write_png(path, picture(77))
    with pytest.raises(UserError, match="was changed"):
        project.pixels(frame.id)
    path.unlink()
    with pytest.raises(UserError, match="copy of the project"):
        project.pixels(frame.id)


def test_a_transaction_is_all_or_nothing(project: Project, picture, pictures_in) -> None:
    def fails() -> None:
        with project.transaction():
            project.add_frame(picture(1), name="a", cohort="c", subject="s")
            project.add_frame(picture(2), name="b", cohort="c", subject="s")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fails()
    assert project.frames() == []
    assert pictures_in(project.path) == set()


def test_an_inner_transaction_fails_alone(project: Project, picture, pictures_in) -> None:
    with project.transaction():
        kept, _ = project.add_frame(picture(1), name="a", cohort="c", subject="s")
        with pytest.raises(ZeroDivisionError), project.transaction():
            project.add_frame(picture(2), name="b", cohort="c", subject="s")
            raise ZeroDivisionError
    assert project.frames() == [kept]
    assert pictures_in(project.path) == {f"{kept.id}.png"}


def test_a_project_can_be_moved(
    project: Project, frame: Frame, ellipse: Ellipse, picture, tmp_path: Path
) -> None:
    project.annotate(frame.id, ellipse, author="me", state="final")
    project.close()
    elsewhere = tmp_path / "ünder a näme" / "p %20#?"
    elsewhere.parent.mkdir()
    shutil.move(project.path, elsewhere)
    with Project.open(elsewhere) as moved:
        assert moved.frames() == [frame]
        assert np.array_equal(moved.pixels(frame.id), picture(0))
        assert moved.annotations()[frame.id].ellipse == ellipse
        assert moved.frame_path(frame.id).is_relative_to(elsewhere)


def test_thousands_of_frames_are_listed_at_once(project: Project) -> None:
    with project.transaction():
        for i in range(5000):
            project._insert(
                *(f"{i:064x}", (800, 540), f"{i}", "c", f"{i // 2}"),
                *(Calibration(0.1, 0.1, "table"), "real"),
            )
            if i % 2:
                ellipse = Ellipse(400, 270, 200, 150, 10)
                project.annotate(f"{i:064x}", ellipse, author="me", state="final")
    start = time.perf_counter()
    assert len(project.frames()) == 5000
    assert len(project.frames(annotated=True)) == 2500
    assert len(project.annotations()) == 2500
    assert project.counts()["final"] == 2500
    # About 0.1 s on an idle machine; a table scan per frame would take minutes.
    assert time.perf_counter() - start < 2
