"""Making and opening a project: what it refuses, how it comes up to date, who may have it open."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.project import Project
from fetalstudio.project.store import database, schema
from fetalstudio.project.store.backups import all_backups, restore
from fetalstudio.project.store.records import BatchItem, Frame
from tests.project.kinds import Contents, Picture

VERSION_1 = Path(__file__).parent / "data" / "version_1.sql"
VERSION_2 = VERSION_1.with_name("version_2.sql")
VERSION_4 = VERSION_1.with_name("version_4.sql")
VERSION_8 = VERSION_1.with_name("version_8.sql")
VERSION_7 = VERSION_1.with_name("version_7.sql")


def python(script: str, *args: object) -> subprocess.Popen[str]:
    """Another process running ``script`` with ``args``."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, args)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def database_of(path: Path) -> database.Database:
    """The database of the project in this folder, by a connection of its own."""
    return database.Database(path / "project.db")


def pragma(path: Path, name: str) -> object:
    """A setting of that database."""
    with contextlib.closing(database_of(path)) as opened:
        row = opened.one(f"PRAGMA {name}")
    assert row is not None
    return row[0]


def test_a_new_project_has_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep"
    with Project.create(path) as project:
        assert project.path == path
    assert sorted(p.name for p in path.iterdir()) == ["exports", "frames", "models", "project.db"]
    with Project.open(path) as project:
        assert project.frames.all() == []
        assert pragma(path, "journal_mode") == "wal"


def test_an_empty_folder_becomes_a_project_and_no_other(tmp_path: Path, contents: Contents) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    Project.create(empty).close()
    full.mkdir()
    (full / "thesis.txt").write_text("precious")
    for path, message in ((full, "not empty"), (empty, "already is a project")):
        before = contents(path)
        with pytest.raises(InputError, match=message):
            Project.create(path)
        assert contents(path) == before


def test_what_is_no_project_is_not_opened(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is not a project"):
            Project.open(path)
        assert not (path / "project.db").exists()


def test_a_folder_where_one_may_not_write(unwritable: Path) -> None:
    project = Project.create(unwritable / "project")
    project.close()
    unwritable.chmod(0o555)
    with pytest.raises(UserError, match="where you may write"):
        Project.create(unwritable / "another")
    assert not (unwritable / "another").exists()
    (unwritable / "project").chmod(0o555)
    (unwritable / "project" / "project.db").chmod(0o444)
    with (
        pytest.raises(UserError, match="where you may write"),
        Project.open(unwritable / "project") as opened,
    ):
        opened.runs.start("r", {}, {})


def test_a_project_that_cannot_be_made_leaves_nothing_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "touch", full)
        with pytest.raises(UserError, match=r"No space left on device.*disk with room"):
            Project.create(tmp_path / "p")
        assert not list((tmp_path / "p").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", (("CREATE TABLE runs (x)", "PRAGMA page_size"),) * 2)
        with pytest.raises(RuntimeError):
            Project.create(tmp_path / "p")
        assert not list((tmp_path / "p").iterdir())
    Project.create(tmp_path / "p").close()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "project"):
        with pytest.raises(UserError, match="where you may write"):
            Project.create(path)


# -- damaged, foreign, newer -----------------------------------------------------------------


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _overwritten(data: bytes) -> bytes:
    return data[:4096] + b"\xa5" * (len(data) - 4096)


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"", _half, _overwritten, lambda data: b"not a database\n" * 100],
    ids=["empty", "half", "overwritten", "text"],
)
def test_a_damaged_database_is_reported_and_left_alone(
    project: Project, frame: Frame, contents: Contents, damage: Callable[[bytes], bytes]
) -> None:
    project.recover()
    project.close()
    path = project.path / "project.db"
    path.write_bytes(damage(path.read_bytes()))
    before = contents(project.path)
    with pytest.raises(UserError, match=r"project\.db.*[Pp]ut back a backup.*fetalstudio restore"):
        Project.open(project.path)
    assert contents(project.path) == before
    (backup,) = all_backups(project.path)
    restore(project.path, backup)
    with Project.open(project.path) as restored:
        assert restored.frames.all() == [frame]


def test_no_copy_is_named_that_is_not_there(project: Project, frame: Frame) -> None:
    project.close()
    path = project.path / "project.db"
    path.write_bytes(_half(path.read_bytes()))
    with pytest.raises(UserError, match="from your own backup") as damaged:
        Project.open(project.path)
    assert "fetalstudio restore" not in str(damaged.value)


def test_a_database_of_another_program_is_refused(tmp_path: Path, contents: Contents) -> None:
    connection = sqlite3.connect(tmp_path / "project.db")
    connection.execute("CREATE TABLE frames (id)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    before = contents(tmp_path)
    with pytest.raises(UserError, match="another program"):
        Project.open(tmp_path)
    assert contents(tmp_path) == before


def test_a_newer_project_is_refused_untouched(
    project: Project, frame: Frame, contents: Contents
) -> None:
    project.close()
    with contextlib.closing(database_of(project.path)) as opened:
        opened.execute("PRAGMA user_version = 99")
    before = contents(project.path)
    with pytest.raises(UserError, match=r"newer FetalStudio \(project version 99"):
        Project.open(project.path)
    assert contents(project.path) == before


def test_what_a_crashed_newer_program_had_not_yet_merged_is_left_to_it(
    project: Project, frame: Frame, tmp_path: Path, contents: Contents
) -> None:
    """Opening a database merges its write-ahead log, so even that must not happen."""
    with contextlib.closing(database_of(project.path)) as opened:
        opened.execute("PRAGMA user_version = 99")
        opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    project.frames.set_calibration(frame.id, None)
    crashed = tmp_path / "crashed"
    shutil.copytree(project.path, crashed)
    before = contents(crashed)
    assert before["project.db-wal"]
    with pytest.raises(UserError, match="newer FetalStudio"):
        Project.open(crashed)
    assert contents(crashed) == before


# -- migrations ------------------------------------------------------------------------------


def _fixture(path: Path, dump: Path = VERSION_1) -> None:
    for folder in ("frames", "models", "exports"):
        (path / folder).mkdir(parents=True)
    connection = sqlite3.connect(path / "project.db")
    connection.executescript(dump.read_text())
    connection.close()


def test_a_project_of_version_1_opens_with_all_that_it_held(tmp_path: Path) -> None:
    """The fixture was written by the first version; it never changes."""
    _fixture(tmp_path)
    with Project.open(tmp_path) as project:
        real, synthetic = project.frames.all(kind=None)
        assert (real.name, real.subject, real.size) == ("001_HC", "001", (96, 80))
        assert real.calibration is not None
        assert real.calibration.mm_per_px_y == 0.25
        assert [r.state for r in project.annotations.revisions(real.id)] == [
            "proposed",
            "draft",
            "final",
        ]
        assert project.annotations.by_frame()[real.id].ellipse == Ellipse(
            48.0, 40.0, 30.0, 22.0, 20.0
        )
        (pair,) = project.pairs.all(state="accepted")
        assert pair.frame == synthetic
        assert (pair.reviewer, pair.quality["dice"]) == ("reader", 0.97)
        assert pair.ellipse != pair.requested
        (run,) = project.runs.all()
        assert (run.state, len(run.history)) == ("finished", 2)
        active = project.models.active("segmenter")
        assert active is not None
        assert (active.name, active.run_id) == ("c-1", run.id)
        assert project.batches.unfinished() == []
        item = BatchItem(
            0, "s", Ellipse(48.0, 40.0, 30.0, 22.0, 20.0), (96, 80), real.id, None, 1, "any"
        )
        batch = project.batches.start({}, [item])
        assert project.batches.items(batch.id) == [item]
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)


def test_a_project_of_version_2_opens_and_takes_labels(tmp_path: Path) -> None:
    """Like the one above; it has a batch, and knows no labels."""
    _fixture(tmp_path, VERSION_2)
    with Project.open(tmp_path) as project:
        (frame,) = project.frames.all()
        assert (frame.name, frame.labels) == ("001_HC", {})
        assert project.annotations.by_frame()[frame.id].ellipse == Ellipse(
            48.0, 40.0, 30.0, 22.0, 20.0
        )
        (batch,) = project.batches.unfinished()
        assert batch.wanted == 1
        project.frames.set_labels(frame.id, {"country": "EGY", "quality": "cut"})
        project.frames.set_labels(frame.id, {"quality": "clear"})
        assert project.frames.get(frame.id).labels == {"country": "EGY", "quality": "clear"}
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)
    assert list(tmp_path.glob("project.db.version-2*"))


def test_a_project_of_version_4_opens_and_divides_its_subjects(tmp_path: Path) -> None:
    """Like the ones above; it has an amendment, and knows no parts."""
    _fixture(tmp_path, VERSION_4)
    with Project.open(tmp_path) as project:
        assert {frame.subject for frame in project.frames.all()} == {"001"}
        assert len(project.amendments.all()) == 1
        assert project.parts.stored() == {}
        assert project.parts.divide(["001"]) == project.parts.stored() == {"001": "train"}
        assert project.check() == []
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)


def test_a_project_of_version_7_opens_and_is_read(tmp_path: Path) -> None:
    """Like the ones above; it has a confirmed proposal, and knows no readings."""
    _fixture(tmp_path, VERSION_7)
    with Project.open(tmp_path) as project:
        (frame,) = project.frames.all()
        assert project.readings.all() == []
        (drawn,) = project.readings.with_annotations()
        assert (drawn.observer, drawn.round) == ("reader", 0)
        session = project.readings.start([frame.id], observer="second")
        reading = project.readings.add(session, 0, drawn.ellipse, seconds=3)
        assert project.readings.all(frame.id) == [reading]
        assert project.check() == []
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)


def test_a_project_of_version_8_opens_and_can_forget(tmp_path: Path) -> None:
    """Like the ones above; it has a model and a corrected subject, and knows no videos."""
    _fixture(tmp_path, VERSION_8)
    with Project.open(tmp_path) as project:
        first, second = project.frames.all()
        assert (first.subject, second.subject) == ("001", "003")
        assert project.frames.videos() == {}
        project.amendments.remove([first.id], author="me")
        assert project.forget(["001", "002"])
        assert project.frames.all() == [second]
        assert {revision.subject for revision in project.frames.revisions()} == {"003"}
        project.models.remove("segmenter", "c-1")
        assert project.models.all() == [] and project.models.active("segmenter") is None
        assert project.check() == []
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)
    assert not list(tmp_path.glob("project.db.version-*")), "the copy from before has her frame"


def test_version_0_is_what_a_crash_while_creating_leaves(tmp_path: Path) -> None:
    (tmp_path / "project.db").touch()
    with Project.open(tmp_path) as project:
        assert project.frames.all() == []
        assert pragma(tmp_path, "user_version") == len(schema.MIGRATIONS)
    assert not list(tmp_path.glob("project.db.version-*"))


def test_a_migration_backs_up_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fixture(tmp_path)
    step = ("ALTER TABLE runs ADD COLUMN note TEXT", "CREATE TABLE more (id INTEGER PRIMARY KEY)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, step))
    version = len(schema.MIGRATIONS)
    with Project.open(tmp_path) as project:
        with contextlib.closing(database_of(tmp_path)) as opened:
            assert opened.query("SELECT note FROM runs")[0]["note"] is None
        assert pragma(tmp_path, "user_version") == version
        assert len(project.frames.all()) == 1
    (backup,) = tmp_path.glob("project.db.version-*")
    connection = sqlite3.connect(backup)
    assert connection.execute("PRAGMA user_version").fetchone()[0] < version
    assert connection.execute("SELECT count(*) FROM frames").fetchone()[0] == 2
    connection.close()


def test_a_failed_migration_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fixture(tmp_path)
    released = schema.MIGRATIONS
    step = ("CREATE TABLE more (id INTEGER PRIMARY KEY)", "INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(schema, "MIGRATIONS", (*released, step))
    with pytest.raises(RuntimeError, match="nowhere"):
        Project.open(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", released)
    with Project.open(tmp_path) as project:
        with contextlib.closing(database_of(tmp_path)) as opened:
            assert opened.one("SELECT 1 FROM sqlite_master WHERE name = 'more'") is None
        assert len(project.frames.all()) == 1


# -- several at once -------------------------------------------------------------------------


def test_a_second_window_is_turned_away(project: Project) -> None:
    with Project.open(project.path) as other:
        with project.lock():
            with pytest.raises(UserError, match="another window"), other.lock():
                pass
            other.runs.start("jobs do not need the lock", {}, {})
        with other.lock():
            pass


def test_the_lock_of_a_killed_window_is_free(project: Project) -> None:
    window = python(
        """
        import sys
        from pathlib import Path
        from fetalstudio.project.project import Project
        with Project.open(Path(sys.argv[1])) as project, project.lock():
            print("held", flush=True)
            sys.stdin.read()
        """,
        project.path,
    )
    assert window.stdout is not None
    assert window.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="another window"), project.lock():
        pass
    window.kill()
    window.communicate()
    with project.lock():
        pass


def test_two_processes_append_to_one_frame(project: Project, frame: Frame) -> None:
    script = """
        import sys
        from pathlib import Path
        from fetalstudio.core.ellipse import Ellipse
        from fetalstudio.project.project import Project
        path, frame_id, author = sys.argv[1:]
        with Project.open(Path(path)) as project:
            for i in range(40):
                ellipse = Ellipse(40 + i, 40, 30, 20, 10)
                project.annotations.add(frame_id, ellipse, author=author, state="draft")
        """
    writers = [python(script, project.path, frame.id, name) for name in ("one", "two")]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    revisions = project.annotations.revisions(frame.id)
    assert [r.revision for r in revisions] == list(range(1, 81))
    for author in ("one", "two"):
        own = [r.ellipse.cx for r in revisions if r.author == author and r.ellipse]
        assert own == list(range(40, 80))


def test_a_writer_does_not_hold_up_readers(
    project: Project,
    frame: Frame,
    picture: Picture,
    ellipse: Ellipse,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    with Project.open(project.path) as window, project.transaction():
        project.frames.add(picture(5), name="x", cohort="c", subject="s")
        # A reader that had to wait would be refused, as the writer below is.
        assert window.frames.all() == [frame]
        with pytest.raises(UserError, match="written by another"):
            window.annotations.add(frame.id, ellipse, author="me", state="draft")
    assert len(project.frames.all()) == 2
    assert project.annotations.revisions(frame.id) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the dot-file VFS is of Unix")
def test_where_nothing_can_be_written_ahead_the_default_journal_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Picture
) -> None:
    """SQLite's dot-file VFS has no shared memory, like some network drives."""
    connect = sqlite3.connect

    def without_shared_memory(name: str, **options: Any) -> sqlite3.Connection:
        return connect(f"{name}&vfs=unix-dotfile", **options)

    monkeypatch.setattr(sqlite3, "connect", without_shared_memory)
    with Project.create(tmp_path / "p") as project:
        assert pragma(project.path, "journal_mode") == "delete"
        frame, _ = project.frames.add(picture(1), name="x", cohort="c", subject="s")
    with Project.open(tmp_path / "p") as project:
        assert project.frames.all() == [frame]


def test_an_instance_is_of_one_thread(project: Project) -> None:
    seen: list[BaseException] = []

    def use() -> None:
        try:
            project.frames.all()
        except UserError as error:
            seen.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert "thread" in str(seen[0])
    assert project.frames.all() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
@pytest.mark.parametrize("fate", ["removed", "moved", "replaced"])
def test_a_folder_that_is_no_longer_there_takes_no_more_writes(
    project: Project, frame: Frame, ellipse: Ellipse, tmp_path: Path, fate: str
) -> None:
    project.annotations.add(frame.id, ellipse, author="me", state="final")
    assert not project.displaced
    if fate == "removed":
        shutil.rmtree(project.path)
    else:
        project.path.rename(tmp_path / "elsewhere")
    if fate == "replaced":
        Project.create(project.path).close()
    assert project.displaced
    with pytest.raises(UserError, match=r"removed, moved or replaced.*File, Save a copy"):
        project.annotations.add(frame.id, None, author="me", state="draft")
    assert project.save_copy(tmp_path / "copy") == 1  # the picture went with the folder
    with Project.open(tmp_path / "copy") as copy:
        assert copy.frames.all() == [frame]
        assert copy.annotations.by_frame()[frame.id].ellipse == ellipse


def test_a_copy_holds_pictures_and_models(project: Project, frame: Frame, tmp_path: Path) -> None:
    (project.path / "models" / "1").mkdir()
    (project.path / "models" / "1" / "model.json").write_text("{}")
    assert project.save_copy(tmp_path / "copy") == 0
    with Project.open(tmp_path / "copy") as copy:
        assert copy.frames.pixels(frame.id).shape == (80, 96)
    assert (tmp_path / "copy" / "models" / "1" / "model.json").read_text() == "{}"
    with pytest.raises(InputError, match="not empty"):
        project.save_copy(tmp_path / "copy")
