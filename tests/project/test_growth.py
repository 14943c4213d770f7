"""What grows with the project, and what must not."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import time
from pathlib import Path

import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.schema import CURRENT_PAIRS
from tests.project.kinds import Picture

ADDED = "2026-11-29T00:00:00.123456+00:00"


def fill(path: Path, frames: int) -> None:
    """Give a project so many frames with a calibration, two labels and two revisions each."""
    ids = [secrets.token_hex(32) for _ in range(frames)]
    with contextlib.closing(sqlite3.connect(path / "project.db")) as connection:
        for sql, rows in (
            (
                "INSERT INTO frames VALUES (?, 800, 540, 'real', ?, NULL)",
                [(frame_id, ADDED) for frame_id in ids],
            ),
            (
                "INSERT INTO frame_revisions (frame_id, revision, name, cohort, subject)"
                " VALUES (?, 1, ?, 'c', ?)",
                [(frame_id, f"{n:06}_HC", f"{n // 2}") for n, frame_id in enumerate(ids)],
            ),
            (
                "INSERT INTO calibrations VALUES (?, 1, 0.1, 0.1, 'table', ?, NULL)",
                [(frame_id, ADDED) for frame_id in ids],
            ),
            (
                "INSERT INTO labels VALUES (?, ?, 1, 'EGY', ?, NULL)",
                [(frame_id, name, ADDED) for frame_id in ids for name in ("country", "site")],
            ),
            (
                "INSERT INTO annotations"
                " VALUES (?, ?, 400, 270, 200, 150, 20, 'me', 'final', NULL, ?, NULL)",
                [(frame_id, number, ADDED) for frame_id in ids for number in (1, 2)],
            ),
        ):
            connection.executemany(sql, rows)
        connection.commit()


@pytest.mark.perf
def test_ten_thousand_frames_open_within_a_second(project: Project) -> None:
    project.close()
    fill(project.path, 10_000)
    start = time.process_time()
    with Project.open(project.path) as opened:
        assert opened.recover() == []
        assert len(opened.frames.all()) == len(opened.annotations.by_frame()) == 10_000
        opened.counts()
        assert time.process_time() - start <= 1.0


@pytest.mark.perf
def test_a_hundred_thousand_frames_open_within_five_seconds(project: Project) -> None:
    project.close()
    fill(project.path, 100_000)
    start = time.process_time()
    with Project.open(project.path) as opened:
        assert opened.recover() == []
        assert len(opened.frames.all()) == len(opened.annotations.by_frame()) == 100_000
        opened.counts()
        assert time.process_time() - start <= 5.0


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statement of each row that Python has read from a database."""
    read: list[str] = []
    query = Database.query

    def counting(database: Database, sql: str, *values: object) -> list[sqlite3.Row]:
        rows = query(database, sql, *values)  # type: ignore[arg-type]
        read.extend([sql] * len(rows))
        return rows

    monkeypatch.setattr(Database, "query", counting)
    return read


def test_a_new_ellipse_or_subject_makes_no_other_frame_be_read_again(
    project: Project, ellipse: Ellipse, rows_read: list[str]
) -> None:
    project.close()
    fill(project.path, 200)
    with Project.open(project.path) as opened:
        first, *others = opened.frames.all()
        opened.annotations.by_frame()
        rows_read.clear()
        drawn = opened.annotations.add(first.id, ellipse, author="me", state="draft")
        opened.amendments.set_subject([first.id], "another", author="me")
        opened.frames.set_labels(first.id, {"site": "KEN"})
        assert opened.annotations.by_frame()[first.id] == drawn
        assert opened.frames.all()[0].labels == {"country": "EGY", "site": "KEN"}
        assert opened.frames.all()[0].subject == "another"
        assert opened.frames.all()[1:] == others
        assert opened.counts()["draft"] == 1
        assert len(rows_read) < 50
        opened.amendments.remove([first.id], author="me")
        assert opened.frames.all() == others
        assert first.id not in opened.annotations.by_frame()
        assert len(rows_read) < 100


def test_many_changes_of_ones_own_are_all_seen(project: Project, ellipse: Ellipse) -> None:
    """More than the connection remembers one by one."""
    project.close()
    fill(project.path, 600)
    with Project.open(project.path) as opened:
        frames = opened.frames.all()
        opened.annotations.by_frame()
        with opened.transaction():
            for frame in frames:
                opened.annotations.add(frame.id, ellipse, author="me", state="draft")
                opened.frames.set_labels(frame.id, {"site": "KEN"})
        assert opened.counts()["draft"] == 600
        assert {frame.labels["site"] for frame in opened.frames.all()} == {"KEN"}


def test_opening_reads_no_row_of_which_only_the_check_is_wanted(
    project: Project, rows_read: list[str]
) -> None:
    project.close()
    fill(project.path, 50)
    with Project.open(project.path) as opened:
        opened.frames.all()
        opened.annotations.by_frame()
        rows_read.clear()
        assert opened.check() == []
        about_the_file = ("PRAGMA", "sqlite_master")
        assert [sql for sql in rows_read if not any(w in sql for w in about_the_file)] == []


def test_opening_reads_one_row_for_all_labels_of_a_frame(
    project: Project, rows_read: list[str]
) -> None:
    project.close()
    fill(project.path, 50)
    with Project.open(project.path) as opened:
        rows_read.clear()
        assert {tuple(frame.labels.items()) for frame in opened.frames.all()} == {
            (("country", "EGY"), ("site", "EGY"))
        }
    assert sum("labels" in sql for sql in rows_read) == 50


def test_a_damaged_label_costs_that_label_alone(project: Project) -> None:
    """Also one that JSON cannot hold, which stops the query for all labels at once."""
    project.close()
    fill(project.path, 3)
    with contextlib.closing(sqlite3.connect(project.path / "project.db")) as connection:
        connection.execute("DROP TRIGGER labels_no_update")
        for number, value in enumerate((b"\xff", "CAST(x'ff' AS TEXT)")):
            shown = "?" if isinstance(value, bytes) else value
            connection.execute(
                f"UPDATE labels SET value = {shown} WHERE name = 'site' AND frame_id ="
                f" (SELECT id FROM frames ORDER BY id LIMIT 1 OFFSET {number})",
                (value,) if isinstance(value, bytes) else (),
            )
        connection.commit()
        connection.execute(
            "CREATE TRIGGER labels_no_update BEFORE UPDATE ON labels"
            " BEGIN SELECT RAISE(ABORT, 'labels are only appended to'); END"
        )
    with Project.open(project.path) as opened:
        frames = sorted(opened.frames.all(), key=lambda frame: frame.id)
        assert [dict(frame.labels) for frame in frames] == [
            {"country": "EGY"},
            {"country": "EGY"},
            {"country": "EGY", "site": "EGY"},
        ]
        assert len(opened.check()) == 2


def test_pairs_are_counted_without_going_through_all_frames(project: Project) -> None:
    """The window counts them after every stroke."""
    with contextlib.closing(sqlite3.connect(project.path / "project.db")) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {CURRENT_PAIRS}").fetchall()
    assert [step for *_, step in plan if step.startswith("SCAN")] == ["SCAN pairs"]


def test_what_nobody_changed_is_not_read_again(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    """And what anybody changed is: this connection, another one, a transaction that failed."""
    frame, _ = project.frames.add(picture(0), name="a", cohort="c", subject="s")
    assert project.frames.all()[0] is project.frames.all()[0]
    with Project.open(project.path) as other:
        second, _ = other.frames.add(picture(1), name="b", cohort="d", subject="s")
        assert project.frames.all() == [frame, second]
        other.annotations.add(second.id, ellipse, author="me", state="draft")
    assert project.annotations.by_frame("d").keys() == {second.id}
    assert project.annotations.by_frame("c") == {}
    with contextlib.suppress(ZeroDivisionError), project.transaction():
        project.frames.set_labels(frame.id, {"quality": "cut"})
        assert project.frames.all()[0].labels == {"quality": "cut"}
        _ = 1 / 0
    assert project.frames.all() == [frame, second]


def test_the_number_of_queries_does_not_grow_with_the_rows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    query = Database.query

    def counting(database: Database, sql: str, *values: object) -> list[sqlite3.Row]:
        asked.append(sql)
        return query(database, sql, *values)  # type: ignore[arg-type]

    def count() -> int:
        asked.clear()
        project.runs.all()
        project.models.all()
        return len(asked)

    monkeypatch.setattr(Database, "query", counting)
    numbers = []
    for n in range(4):
        run = project.runs.start(f"r{n}", {}, {})
        project.runs.update(run.id, history_entry={"epoch": 1})
        project.models.add(f"m{n}", "segmenter", f"models/{n}", run_id=run.id)
        numbers.append(count())
    assert len(set(numbers)) == 1
