"""Kills, full disks and cancels in the middle: afterwards all of it is there, or nothing."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.records import Frame
from tests.progress import Watched
from tests.project.kinds import Picture, PicturesIn

PREAMBLE = """
    import os, signal, sys
    from pathlib import Path
    from fetalstudio.core.errors import UserError
    from fetalstudio.project.importing.importers import import_frames
    from fetalstudio.project.project import Project
    die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    project = Project.open(Path(sys.argv[1]))
    project.patients.keys()
"""


def run(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    """``script`` in another process, after the preamble."""
    source = textwrap.dedent(PREAMBLE) + textwrap.dedent(script)
    command = [sys.executable, "-c", source, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def assert_as_before(
    project: Project, frame: Frame, pictures_in: Callable[[Path], set[str]]
) -> None:
    """The project holds its one frame and nothing else, in the database and in the folder."""
    assert project.frames.all() == [frame]
    assert project.annotations.by_frame() == {}
    assert pictures_in(project.path) == {f"{frame.id}.png"}
    assert not list((project.path / "frames").glob(".*"))


# -- kill -9 ---------------------------------------------------------------------------------

KILLS = {
    "while reading": """
        class Dying:
            def advance(self, done, total, note=""):
                done == 3 and die()
        import_frames(project, Path(sys.argv[2]), progress=Dying())
        """,
    "while placing": """
        real, calls = project.frames.add_staged, []
        def add_staged(*args, **values):
            calls.append(1)
            return die() if len(calls) == 4 else real(*args, **values)
        project.frames.add_staged = add_staged
        import_frames(project, Path(sys.argv[2]))
        """,
    "before the commit": """
        from fetalstudio.project.store.database import Database
        execute = Database.execute
        Database.execute = lambda db, sql, *v: die() if sql == "COMMIT" else execute(db, sql, *v)
        import_frames(project, Path(sys.argv[2]))
        """,
    "while writing a file": """
        fsync, calls = os.fsync, []
        os.fsync = lambda handle: die() if calls else calls.append(1) or fsync(handle)
        import_frames(project, Path(sys.argv[2]))
        """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moment", KILLS)
def test_a_killed_import_shows_nothing_and_can_go_on_or_be_discarded(
    project: Project, frame: Frame, hc18: Path, pictures_in: PicturesIn, moment: str
) -> None:
    killed = run(KILLS[moment], project.path, hc18)
    assert killed.returncode == -9, killed.stderr
    with Project.open(project.path) as opened:
        assert opened.frames.all() == [frame]
        assert opened.annotations.by_frame() == {}
        assert len(pictures_in(project.path)) > 1, "the kill came too early to prove anything"
        notes, unfinished = opened.recover(), opened.imports.unfinished()
        assert all("unfinished files" in note for note in notes)
        assert unfinished or (notes and moment != "while reading")
        assert opened.frames.all() == [frame]
        opened.imports.discard()
        assert_as_before(opened, frame, pictures_in)
        assert opened.recover() == []
        assert import_frames(opened, hc18).frames == 5


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_window_that_opens_does_not_disturb_an_import_that_was_started_again(
    project: Project, hc18: Path
) -> None:
    """The killed import left pictures in their places, and nothing that says whose they are."""
    assert run(KILLS["before the commit"], project.path, hc18).returncode == -9

    def open_a_window() -> bool:
        if watched.steps[-1][0] == 5:
            with Project.open(project.path) as window:
                window.recover()
        return False

    watched = Watched(open_a_window)
    assert import_frames(project, hc18, progress=watched).frames == 5
    for frame in project.frames.all():
        assert project.frames.pixels(frame.id).shape == frame.size[::-1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_is_marked_as_failed(project: Project) -> None:
    script = """
        run = project.runs.start("fine", {}, {})
        project.runs.update(run.id, history_entry={"epoch": 1})
        die()
        """
    assert run(script, project.path).returncode == -9
    assert project.runs.all()[0].state == "running"
    assert project.recover() == ["The run fine was interrupted and is marked as failed."]
    failed = project.runs.all()[0]
    assert (failed.state, len(failed.history)) == ("failed", 1)
    assert failed.ended_at is not None
    assert project.recover() == []


def test_recovery_leaves_alone_what_others_are_busy_with(
    project: Project, frame: Frame, picture: Picture, pictures_in: PicturesIn
) -> None:
    with Project.open(project.path) as busy, busy.imports.staging() as staging:
        frame_id = staging.put(picture(8))
        going_on = busy.runs.start("r", {}, {})
        assert project.recover() == []
        assert project.runs.get(going_on.id).state == "running"
        added, new = busy.frames.add_staged(
            staging, frame_id, (96, 80), name="x", cohort="c", subject="s"
        )
        assert new
        assert project.recover() == []
    assert project.frames.pixels(added.id).shape == (80, 96)
    assert project.recover() == ["The run r was interrupted and is marked as failed."]


def test_recovery_removes_what_was_abandoned_long_ago(project: Project) -> None:
    old, young = (project.path / "models" / "7" / name for name in (".part-a", ".part-b"))
    old.parent.mkdir()
    old.touch()
    young.touch()
    os.utime(old, (0, 0))
    assert project.recover() == ["Removed 1 unfinished files of an interrupted job."]
    assert young.exists()


# -- full disk -------------------------------------------------------------------------------


def _no_space(*args: Any, **values: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _after(calls: int, real: Callable[..., Any]) -> Callable[..., Any]:
    """``real`` for that many calls, then a full disk."""
    count = iter(range(calls))

    def call(*args: Any, **values: Any) -> Any:
        return real(*args, **values) if next(count, None) is not None else _no_space()

    return call


@pytest.mark.parametrize("calls", [0, 1, 4])
@pytest.mark.parametrize(
    "place", ["os.fsync", "pathlib.Path.mkdir", "pathlib.Path.replace", "pathlib.Path.write_bytes"]
)
def test_a_disk_that_is_full_imports_nothing(
    project: Project,
    frame: Frame,
    hc18: Path,
    pictures_in: PicturesIn,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    calls: int,
) -> None:
    target = {"os": os, "pathlib": Path}[place.split(".")[0]]
    name = place.split(".")[-1]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, _after(calls, getattr(target, name)))
        with pytest.raises(UserError, match="No space left on device"):
            import_frames(project, hc18)
    assert_as_before(project, frame, pictures_in)
    assert import_frames(project, hc18).frames == 5


def _noise_folder(path: Path, count: int) -> Path:
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 40), dtype=np.uint8)
        write_png(path / f"{i:0200}.png", pixels)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on file sizes")
@pytest.mark.parametrize(
    ("limit", "what"),
    [(1000, r"frames could not be written"), (34_000, r"project\.db")],
    ids=["picture", "database"],
)
def test_the_system_refuses_to_write(
    project: Project, frame: Frame, tmp_path: Path, pictures_in: PicturesIn, limit: int, what: str
) -> None:
    """No mock here: beyond the limit the kernel fails the write, as on a full disk."""
    source = _noise_folder(tmp_path / "noise", 60)
    project.close()  # or the log that it keeps open would take what does not fit
    script = """
        import resource
        limit = int(sys.argv[3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            import_frames(project, Path(sys.argv[2]))
        except UserError as error:
            print(error)
            sys.exit(3)
        """
    refused = run(script, project.path, source, limit)
    assert refused.returncode == 3, refused.stderr
    assert "Make room" in refused.stdout or "has room" in refused.stdout
    assert re.search(what, refused.stdout)
    with Project.open(project.path) as opened:
        assert_as_before(opened, frame, pictures_in)
        assert import_frames(opened, source).frames == 60


def test_a_full_disk_loses_no_earlier_stroke(
    project: Project, frame: Frame, ellipse: Ellipse
) -> None:
    connection = Database(project.path / "project.db")
    project.close()
    project = Project(project.path, connection)
    project.annotations.add(frame.id, ellipse, author="me", state="draft")
    (pages,) = connection.one("PRAGMA page_count") or (0,)
    # SQLite itself now answers that the disk is full as soon as the file would have to grow.
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UserError, match=r"full.*Nothing of this step was saved"):
        project.runs.start("x" * 100_000, {}, {})
    assert project.annotations.by_frame()[frame.id].ellipse == ellipse
    assert project.runs.all() == []
    connection.execute("PRAGMA max_page_count = 100000")
    project.runs.start("room again", {}, {})
    assert project.recover() == []
    project.close()


# -- cancel ----------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 3, 5])
def test_a_cancelled_import_shows_nothing_and_can_go_on_or_be_discarded(
    project: Project, frame: Frame, hc18: Path, pictures_in: PicturesIn, after: int
) -> None:
    answers = iter([False] * after)
    with pytest.raises(Stopped):
        import_frames(project, hc18, progress=Watched(lambda: next(answers, True)))
    assert [u.pictures for u in project.imports.unfinished()] == ([after] if after else [])
    assert project.frames.all() == [frame]
    assert project.annotations.by_frame() == {}
    project.imports.discard()
    assert_as_before(project, frame, pictures_in)


@pytest.mark.parametrize("at", [0, 2, 5])
def test_an_interrupted_import_shows_nothing(
    project: Project, frame: Frame, hc18: Path, pictures_in: PicturesIn, at: int
) -> None:
    def interrupt() -> bool:
        if watched.steps[-1][0] == at:
            raise KeyboardInterrupt
        return False

    watched = Watched(interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_frames(project, hc18, progress=watched)
    project.imports.discard()
    assert_as_before(project, frame, pictures_in)
