"""Damaged rows, backups that survive them, and what a database may not say."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.project import Project
from fetalstudio.project.removal import removal_effect
from fetalstudio.project.store import backups, rows
from fetalstudio.project.store.backups import (
    DAYS,
    FOLDER,
    OPENINGS,
    all_backups,
    choose,
    restore,
    write_backup,
)
from fetalstudio.project.store.records import BatchItem, Frame
from tests.project.kinds import Picture, PicturesIn


def change(project: Path, sql: str, values: Sequence[object] = ()) -> None:
    """Change rows behind the triggers and checks, as damage or a stranger would."""
    with contextlib.closing(sqlite3.connect(project / "project.db")) as connection:
        made = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = made.fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(sql, values).rowcount > 0
        for _, text in triggers:
            connection.execute(text)
        connection.commit()


@pytest.fixture
def three(project: Project, picture: Picture) -> list[Frame]:
    """Three frames of a project that a window has opened, and so backed up."""
    frames = [
        project.frames.add(picture(i), name=f"{i}", cohort="c", subject=f"{i}")[0] for i in range(3)
    ]
    project.recover()
    return frames


def test_a_damaged_schema_format_is_damage_with_its_cure(
    project: Project, three: list[Frame]
) -> None:
    project.close()
    database = project.path / "project.db"
    data = bytearray(database.read_bytes())
    data[47] = 0xC8  # the last byte of the schema format number, which SQLite knows up to 4
    database.write_bytes(data)
    with pytest.raises(UserError, match=r"project\.db is damaged.*fetalstudio restore"):
        Project.open(project.path)
    restore(project.path, all_backups(project.path)[0])
    with Project.open(project.path) as again:
        assert {frame.name for frame in again.frames.all()} == {"0", "1", "2"}


def test_a_damaged_row_costs_that_row_and_never_the_backup(
    project: Project, three: list[Frame], pictures_in: PicturesIn
) -> None:
    project.close()
    (backup,) = all_backups(project.path)
    kept, pictures = backup.path.read_bytes(), pictures_in(project.path)
    sql = "UPDATE frames SET added_at = replace(added_at, '-', '-q') WHERE id = ?"
    change(project.path, sql, (three[1].id,))
    with Project.open(project.path) as damaged:
        assert damaged.frames.all() == [three[0], three[2]]
        damaged.recover()
        (sentence,) = damaged.damage
        assert "the frame 1, " in sentence and f"restore {project.path}" in sentence
        with pytest.raises(UserError, match="the frame 1, "):
            damaged.frames.get(three[1].id)
        damaged.amendments.remove([three[0].id], author="me")
        with pytest.raises(UserError, match="nothing is deleted for good"):
            damaged.purge()
    assert [b.path for b in all_backups(project.path)] == [backup.path]
    assert backup.path.read_bytes() == kept
    assert pictures_in(project.path) == pictures
    aside = restore(project.path, backup)
    with Project.open(project.path) as restored:
        assert restored.check() == []
        assert restored.frames.all() == three
    assert aside is not None and aside in all_backups(project.path)


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("UPDATE labels SET value = CAST(x'fffe' AS TEXT)", "the label quality"),
        ("UPDATE calibrations SET mm_per_px_x = 1e300", "the calibration of frame 0"),
        ("UPDATE pairs SET provenance = '{\"found\": 3}'", "the pair 1"),
        ("UPDATE pairs SET quality = '[1'", "the pair 1"),
        ("UPDATE reviews SET created_at = 'yesterday'", "the review of pair 1"),
        ("UPDATE runs SET settings = '[]'", "the run r"),
        ("UPDATE run_history SET figures = x'00'", "the history of run 1"),
        ("UPDATE models SET metrics = '{'", "the model m"),
        ("UPDATE annotations SET a = -1", "the ellipse on frame"),
        ("UPDATE annotations SET state = 'done'", "the ellipse on frame"),
        ("UPDATE frame_revisions SET removed = 2", "the amendment of frame 0"),
        ("UPDATE frame_revisions SET removed = 1", "removed, but by no amendment"),
        ("UPDATE frame_revisions SET frame_id = 'f' || substr(frame_id, 2)", "lost what they"),
    ],
)
def test_every_kind_of_damaged_row_is_named(
    project: Project, three: list[Frame], picture: Picture, ellipse: Ellipse, sql: str, what: str
) -> None:
    project.frames.set_labels(three[0].id, {"quality": "clear"})
    project.frames.set_calibration(three[0].id, Calibration(0.2, 0.2, "table"))
    project.annotations.add(three[0].id, ellipse, author="me", state="draft")
    pair = project.pairs.add(
        picture(9),
        name="p",
        ellipse=ellipse,
        cohort="s",
        calibration=None,
        quality={"dice": 0.9},
        provenance={},
    )
    project.pairs.review(pair.id, "accepted", reviewer="me")
    run = project.runs.start("r", {}, {})
    project.runs.update(run.id, history_entry={"epoch": 1})
    project.models.add("m", "segmenter", "models/m")
    project.close()
    change(project.path, sql)
    with Project.open(project.path) as damaged:
        assert any(what in sentence for sentence in damaged.check())


_TEXTS = (
    *("é", "", "a\0b", "\x7f", "final", "finale", "2026-11-29"),
    *("x" * 64, "f" * 64, "F" * 64),
)
_MOMENTS = (
    *("2026-11-29T00:00:00.123456+00:00", "2026-11-29T23:59:59.000000+00:00"),
    *("2026-13-29T00:00:00.123456+00:00", "2026-02-30T00:00:00.123456+00:00"),
    *("2026-11-31T00:00:00.123456+00:00", "2026-11-29T24:00:00.123456+00:00"),
    *("2026-11-29T00:61:00.123456+00:00", "2026-11-29T00:00:00.12345q+00:00"),
    *("2026-11-29 00:00:00.123456+00:00", "2026-00-29T00:00:00.123456+00:00"),
    *("2026-11-00T00:00:00.123456+00:00", "2026-11-29T00:00:00.123456+00:00\0"),
)
_VALUES = (None, 0, 1, -1, 0.5, 1.5, float("inf"), b"", b"a", b"\xff\xfe", *_TEXTS, *_MOMENTS)


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("sound", "read", "passes"),
    [
        (rows.SOUND_TEXT, rows.text, "final"),
        (rows.SOUND_WHOLE, rows.whole, 1),
        (rows.SOUND_SHARE, lambda row, name: rows.optional(rows.share, row, name), 0.5),
        (rows.SOUND_MOMENT, rows.moment, _MOMENTS[0]),
        (
            rows.sound_word(("final", "draft")),
            lambda row, name: rows.word(row, name, ("final", "draft")),
            "final",
        ),
    ],
)
def test_what_sqlite_finds_sound_can_be_read(
    sound: str, read: Callable[[sqlite3.Row, str], object], passes: object, as_text: bool
) -> None:
    """Rows are checked in SQL when a project opens; it must let no damage pass."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        found = []
        for value in _VALUES:
            sql = "SELECT CAST(? AS TEXT) AS v" if as_text else "SELECT ? AS v"
            row = connection.execute(sql, (value,)).fetchone()
            condition = rows.suspicious({"v": sound})
            if not connection.execute(f"SELECT {condition} FROM ({sql})", (value,)).fetchone()[0]:
                read(row, "v")
                found.append(value)
        assert as_text or passes in found


@pytest.mark.parametrize(
    ("at", "value"),
    [
        pytest.param(63, b"\x00", id="the version of the project: its tables are there already"),
        pytest.param(b"PRIMARY KEY (kind, name)", b"PRIMARY KEY (kind, path)", id="a key"),
        pytest.param(b"REFERENCES runs (id)", b"REFERENCES rans (id)", id="a reference"),
        pytest.param(b"'accepted', 'rejected'", b"'accepted', 'rujected'", id="a check"),
        pytest.param(b"CHECK (removed IN", b"CHECK (removed0IN", id="a check without sense"),
        pytest.param(b"frame_revisions (cohort", b"frame_revisions (subject", id="an index"),
    ],
)
def test_a_file_that_the_program_does_not_make_is_damaged(
    project: Project, three: list[Frame], at: int | bytes, value: bytes
) -> None:
    project.close()
    path = project.path / "project.db"
    data = path.read_bytes()
    start = at if isinstance(at, int) else data.index(at)
    path.write_bytes(data[:start] + value + data[start + len(value) :])
    with pytest.raises(UserError, match=f"damaged.*restore {project.path}"):
        Project.open(project.path)


def test_numbers_of_revisions_that_are_damaged_are_said_to_be(
    project: Project, three: list[Frame]
) -> None:
    project.frames.set_labels(three[0].id, {"quality": "clear"})
    project.close()
    change(project.path, "UPDATE labels SET revision = -1")
    with (
        Project.open(project.path) as damaged,
        pytest.raises(UserError, match="numbers of the rows of labels are damaged"),
    ):
        damaged.frames.set_labels(three[0].id, {"quality": "cut"})


def test_backups_are_kept_by_opening_and_by_day(
    project: Project, three: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    times = [start + timedelta(days=day, hours=hour) for day in range(8) for hour in range(4)]
    moments = iter(times)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromisoformat(next(moments).isoformat())

    for path in (project.path / FOLDER).iterdir():
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(backups, "datetime", Clock)
        for _ in times:
            write_backup(project.path, lambda target: target.touch())
    kept = sorted(path.name[:11] for path in (project.path / FOLDER).iterdir())
    assert kept == [
        *("20260305T12", "20260306T12", "20260307T12", "20260308T12"),
        *("20260309T10", "20260309T11", "20260309T12"),
    ]
    assert len(kept) == DAYS + OPENINGS - 1


def test_the_one_backup_of_earlier_versions_is_taken_over(
    project: Project, three: list[Frame]
) -> None:
    (backup,) = all_backups(project.path)
    backup.path.rename(project.path / "project.db.backup")
    assert [b.path.name for b in all_backups(project.path)] == ["project.db.backup"]
    project.recover()
    assert not (project.path / "project.db.backup").exists()
    assert [b.path.parent.name for b in all_backups(project.path)] == [FOLDER] * 2


def test_what_cannot_be_put_back_is_left(project: Project, three: list[Frame]) -> None:
    (backup,) = all_backups(project.path)
    with project.lock(), pytest.raises(UserError, match="open in a window"):
        restore(project.path, backup)
    with pytest.raises(InputError, match="has no backup 2; there are: 1 to 1"):
        choose(project.path, 2)
    backup.path.write_bytes(backup.path.read_bytes()[:5000])
    with pytest.raises(UserError, match="damaged"):
        restore(project.path, backup)
    assert project.frames.all() == three


def test_a_picture_that_a_backup_needs_is_no_orphan(
    project: Project, three: list[Frame], picture: Picture
) -> None:
    (old,) = all_backups(project.path)
    added, _ = project.frames.add(picture(7), name="new", cohort="c", subject="n")
    project.close()
    aside = restore(project.path, old)
    assert aside is not None
    with Project.open(project.path) as opened:
        assert opened.frames.all() == three
        opened.recover()
    restore(project.path, aside)
    with Project.open(project.path) as back:
        assert back.frames.pixels(added.id).shape == (80, 96)


def test_data_of_a_run_that_mean_nothing_are_no_use_of_a_frame(
    project: Project, three: list[Frame]
) -> None:
    for data in ('{"pairs": 3}', '{"pairs": [{}], "train": [[], {}, null]}'):
        run = project.runs.start("r", {}, {})
        change(project.path, "UPDATE runs SET data = ? WHERE id = ?", (data, run.id))
    assert removal_effect(project, [three[0].id]).runs == ()


def test_a_foreign_trigger_is_refused(project: Project, three: list[Frame]) -> None:
    project.close()
    with contextlib.closing(sqlite3.connect(project.path / "project.db")) as connection:
        connection.execute(
            "CREATE TRIGGER x AFTER INSERT ON runs BEGIN INSERT INTO purged_pairs VALUES (1); END"
        )
    with pytest.raises(UserError, match="is damaged"):
        Project.open(project.path)


# -- what a stranger's database says -----------------------------------------------------------


@pytest.mark.parametrize("name", ["../precious", "/tmp/precious", "a\\b", "..", "C:x"])
def test_an_item_whose_name_leaves_the_folder_is_not_made(
    project: Project, ellipse: Ellipse, name: str
) -> None:
    items = [BatchItem(i, f"i{i}", ellipse, (96, 80), None, None, i, "any") for i in range(2)]
    batch = project.batches.start({}, items)
    change(project.path, "UPDATE batch_items SET name = ? WHERE number = 1", (name,))
    assert project.batches.items(batch.id) == items[:1]
    assert "name is not the name of a file" in project.damage[0]


@pytest.mark.parametrize("path", ["../elsewhere", "/elsewhere", "models/../../x", "C:\\x", ""])
def test_a_model_outside_the_project_is_not_loaded(project: Project, path: str) -> None:
    project.models.add("m", "segmenter", "models/m")
    change(project.path, "UPDATE models SET path = ?", (path,))
    assert project.models.all() == []
    with pytest.raises(UserError, match="path leaves the project"):
        project.models.get("segmenter", "m")


def test_an_id_that_is_a_path_deletes_nothing(project: Project, three: list[Frame]) -> None:
    precious = project.path / "precious.png"
    precious.touch()
    with pytest.raises(UserError, match="is not the id of a frame"):
        project.frames.path("../precious")
    project.amendments.remove([three[0].id], author="me")
    project.close()
    for table, column in (("frame_revisions", "frame_id"), ("frames", "id")):
        sql = f"UPDATE {table} SET {column} = '/../../precious' WHERE {column} = ?"
        change(project.path, sql, (three[0].id,))
    with Project.open(project.path) as opened, contextlib.suppress(UserError):
        opened.purge()
    assert precious.exists()
