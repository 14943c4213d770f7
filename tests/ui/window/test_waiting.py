"""Long work that the window waits for: it is painted, can cancel, and takes nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import Progress
from fetalstudio.engine.forgetting import forget, plan_forgetting
from fetalstudio.project.amendments import Amendments
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Amendment
from fetalstudio.ui.commands import AmendFrames
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from tests.engine.jobs_for_tests import ask

MANY = 10_000
"""About how many frames a task is said to concern; it then runs on a thread of its own."""


class Slow:
    """Follows work as another progress does, and holds up each step."""

    def __init__(self, progress: Progress, seconds: float) -> None:
        self._progress, self._seconds = progress, seconds

    def advance(self, done: int, total: int, note: str = "") -> None:
        time.sleep(self._seconds)
        self._progress.advance(done, total, note)

    def check(self) -> None:
        self._progress.check()


@pytest.fixture
def session(open_session: Session, window: MainWindow) -> Session:
    return open_session


def labels(project: Project) -> set[str | None]:
    return {frame.labels.get("site") for frame in project.frames.all()}


def labelling(session: Session, seconds: float) -> AmendFrames:
    """A step that gives all frames a label, so slowly."""
    ids = [frame.id for frame in session.frames()]

    def amend(held: Amendments, /, **how: Any) -> Amendment:
        slow = Slow(how["progress"], seconds)
        return held.set_label(ids, "site", "north", author=how["author"], progress=slow)

    return AmendFrames(session, "set the label site of 10,000 frames", MANY, amend)


def when(shown: Callable[[], bool], act: Callable[[], None], after: QTimer) -> None:
    """Act once, as soon as something is shown."""

    def look() -> None:
        if shown():
            after.stop()
            act()

    after.timeout.connect(look)
    after.start(10)


def cancel_shown() -> QPushButton | None:
    dialog = QApplication.activeModalWidget()
    buttons = [] if dialog is None else dialog.findChildren(QPushButton)
    return next((button for button in buttons if button.text() == "Cancel"), None)


def cancelling() -> QTimer:
    """Click Cancel as soon as it is there."""
    timer = QTimer()
    when(lambda: cancel_shown() is not None, lambda: cancel_shown().click(), timer)  # type: ignore[union-attr]
    return timer


def test_the_window_goes_on_meanwhile_and_has_the_result_at_once(session: Session) -> None:
    went_on = threading.Event()
    QTimer.singleShot(50, went_on.set)  # by the window's own events

    def task(project: Project, progress: Progress) -> str:
        assert went_on.wait(10), "the window stands still"
        assert threading.current_thread() is not threading.main_thread()
        project.frames.set_labels(project.frames.all()[0].id, {"site": "north"})
        return "done"

    assert session.wait_for("Working", task, frames=MANY) == "done"
    assert "north" in labels(session.open)
    caught: list[Session] = []
    session.frames_changed.connect(lambda: caught.append(session))
    session.look_around()
    assert not caught, "what the window itself has changed is no news"


def test_the_events_of_jobs_wait(session: Session, qtbot: QtBot) -> None:
    warm = session.submit(ask("echo", 1))
    qtbot.waitUntil(lambda: warm.over, timeout=60_000)
    ended = threading.Event()
    session.submit(ask("echo", 2)).ended.connect(ended.set)

    def task(_project: Project, _progress: Progress) -> bool:
        return ended.wait(0.6)  # the job itself goes on

    assert session.wait_for("Working", task, frames=MANY) is False
    qtbot.waitUntil(ended.is_set, timeout=60_000)


def test_an_error_of_the_work_is_raised_in_the_window(session: Session) -> None:
    def fails(_project: Project, _progress: Progress) -> None:
        raise UserError("The disk is full. Make room.")

    with pytest.raises(UserError, match="The disk is full"):
        session.wait_for("Working", fails, frames=MANY)


def test_a_cancelled_amendment_changes_nothing_and_is_no_step(session: Session) -> None:
    said: list[str] = []
    session.message.connect(lambda text, _level: said.append(text))
    logged = session.open.amendments.all()
    timer = cancelling()
    session.undo_stack.push(labelling(session, 0.03))
    assert not timer.isActive()
    assert labels(session.open) == {None}
    assert session.undo_stack.count() == 0
    assert said == ["Cancelled: set the label site of 10,000 frames. Nothing was changed."]
    assert session.open.amendments.all() == logged


def test_an_amendment_is_undone_and_done_again_as_before(session: Session, qtbot: QtBot) -> None:
    before = session.open.frames.all()
    session.undo_stack.push(labelling(session, 0.0))
    assert labels(session.open) == {"north"}
    changed = session.open.frames.all()
    session.undo_stack.undo()
    assert session.open.frames.all() == before
    session.undo_stack.redo()
    assert session.open.frames.all() == changed
    made = [a.undone for a in session.open.amendments.all() if a.undoes is None]
    assert made == [False, True, False], "redo, the first time, the import"


def test_a_patient_is_forgotten_while_the_window_has_the_project_open(session: Session) -> None:
    project = session.open
    frame = project.frames.all()[0]

    def plan(held: Project, progress: Progress) -> list[str]:
        found = plan_forgetting(held, [frame.subject], progress)
        return forget(held, found, author="me", remove_models=False, progress=progress)

    assert session.wait_for("Forget", plan, frames=MANY) == []
    assert project.frames.find(frame.id) is None
    files = [path for path in project.path.rglob("*") if path.is_file()]
    assert not any(frame.id.encode() in path.read_bytes() for path in files)


ENDED = """
import sys, time
from pathlib import Path
from PySide6.QtCore import QTimer
from fetalstudio.core.progress import Stopped
from fetalstudio.project.project import Project
from fetalstudio.ui.app import make_application
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.waiting import wait_for

app, engine = make_application(), Engine()
project = Project.create(Path(sys.argv[1]))

def endless(_project, progress):
    while True:
        time.sleep(0.01)
        progress.check()

def work():
    try:
        wait_for(project, engine, "Working", endless, None)
    except Stopped:
        print("stopped")

QTimer.singleShot(0, work)
QTimer.singleShot(int(sys.argv[2]), app.quit)
app.exec()
engine.shutdown()
"""


@pytest.mark.parametrize("after_ms", [100, 800])
def test_the_end_of_the_program_ends_the_work(tmp_path: Path, after_ms: int) -> None:
    """Before its dialog is shown, and after."""
    command = [sys.executable, "-c", ENDED, str(tmp_path / "p"), str(after_ms)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "stopped\n"
