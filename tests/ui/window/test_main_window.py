"""The window: places, menus, the running job, notices, errors, a second window."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QLabel, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import Progress
from fetalstudio.project.project import Project
from fetalstudio.ui import app
from fetalstudio.ui.annotate.page import AnnotatePage
from fetalstudio.ui.commands import SetEllipse
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.job_runner import Engine, JobHandle
from fetalstudio.ui.library.page import LibraryPage
from fetalstudio.ui.session import PLACES, Session, sample_project_path
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.window.dialogs import AboutDialog
from fetalstudio.ui.window.exporting import ExportDialog
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.shortcut_sheet import ShortcutSheet, keys_of
from fetalstudio.ui.window.status_job import StatusJob
from tests.engine.jobs_for_tests import Echo, ask
from tests.ui.loop import HandleFake


@pytest.mark.parametrize("way", ["rail", "keys"])
def test_every_place_is_shown_from_the_rail_and_by_keys(
    open_session: Session, window: MainWindow, qtbot: QtBot, way: str
) -> None:
    for number, place in enumerate(PLACES, 1):
        if way == "rail":
            qtbot.mouseClick(window.rail.buttons[place], Qt.MouseButton.LeftButton)
        else:
            key = Qt.Key(Qt.Key.Key_0 + number)
            qtbot.keyClick(window, key, Qt.KeyboardModifier.ControlModifier)
        assert window.stack.currentWidget() is window.page(place)
        assert window.rail.buttons[place].isChecked()
        assert open_session.place == place
        focus = window.focusWidget()
        assert focus is not None
        assert focus is window.page(place) or window.page(place).isAncestorOf(focus)


def test_every_place_can_be_shown_without_a_project(
    session: Session, window: MainWindow, sample_project: Project, qtbot: QtBot
) -> None:
    for place in PLACES:
        window.show_place(place)
        qtbot.wait(1)
    session.open_project(sample_project.path)
    assert window.rail.buttons["annotate"].waiting == 8


def test_without_a_project_an_import_asks_for_one_before_it_asks_for_a_folder(
    session: Session, window: MainWindow, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    asked: list[object] = []

    def ask_folder(*arguments: object) -> str:
        asked.append(arguments)
        return ""

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", ask_folder)
    with qtbot.waitSignal(session.message) as said:
        qtbot.mouseClick(window.library.import_button, Qt.MouseButton.LeftButton)
    assert "make a project first" in said.args[0] and not asked


def test_badges_say_what_waits(open_session: Session, window: MainWindow) -> None:
    badge = window.rail.buttons["annotate"]
    assert badge.waiting == 8
    frame = open_session.open.frames.all(annotated=False)[0]
    open_session.undo_stack.push(
        SetEllipse(open_session, frame.id, Ellipse(300, 200, 120, 90, 30), "final")
    )
    assert badge.waiting == 7


def test_undo_and_redo_by_keys(open_session: Session, window: MainWindow, qtbot: QtBot) -> None:
    frame = open_session.open.frames.all(annotated=False)[0]
    open_session.undo_stack.push(SetEllipse(open_session, frame.id, Ellipse(300, 200, 120, 90, 30)))
    control, shift = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert open_session.open.counts()["draft"] == 0
    qtbot.keyClick(window, Qt.Key.Key_Z, control | shift)
    assert open_session.open.counts()["draft"] == 1


def test_the_status_bar_follows_a_job_and_cancels_it(
    session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    status = window.status_job
    assert not status.isVisible()
    handle = session.submit(ask("steps", 3000))
    qtbot.waitUntil(status.isVisible, timeout=30_000)
    qtbot.waitUntil(lambda: status.bar.value() > 2)
    assert status.bar.maximum() == 3000
    assert "of 3000" in status.left.text()
    with qtbot.waitSignal(handle.cancelled, timeout=5_000):
        qtbot.mouseClick(status.cancel, Qt.MouseButton.LeftButton)
    assert not status.isVisible()
    handle = session.submit(ask("steps", 3000))
    qtbot.waitUntil(status.isVisible, timeout=30_000)
    assert status.cancel.isEnabled()
    with qtbot.waitSignal(handle.cancelled, timeout=5_000):
        qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)


def test_the_status_bar_moves_before_a_first_step_and_names_the_work_once(
    session: Session, window: MainWindow
) -> None:
    status, engine = window.status_job, session.engine
    handle = HandleFake(EngineClient(), MeasureConventionsRequest(Path("project")))
    engine.job_started.emit(handle)
    engine.job_progress.emit(handle, Progress(0, 8, None, "measuring how heads are drawn"))
    assert status.bar.maximum() == 0 and status.left.text() == "0 of 8"
    engine.job_progress.emit(handle, Progress(3, 8, 4.0, "measuring how heads are drawn"))
    assert status.bar.maximum() == 8 and status.left.text() == "3 of 8  ·  4 s left"
    engine.job_progress.emit(handle, Progress(3, 8, None, "reading"))
    assert status.left.text() == "3 of 8  ·  reading"
    engine.job_ended.emit(handle)


def test_a_short_job_does_not_flicker(session: Session, window: MainWindow, qtbot: QtBot) -> None:
    first = session.submit(ask("echo", 1))
    with qtbot.waitSignal(first.ended, timeout=30_000):
        pass
    second = session.submit(ask("echo", 1))
    with qtbot.waitSignal(second.ended, timeout=30_000):
        pass
    assert not window.status_job.isVisible()
    qtbot.wait(400)
    assert not window.status_job.isVisible()


@pytest.mark.perf
def test_the_window_answers_while_a_job_computes(
    session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    handle = session.submit(ask("spin", 2.0))
    with qtbot.waitSignal(handle.started, timeout=30_000):
        pass
    gaps: list[float] = []
    last = time.perf_counter()

    def tick() -> None:
        nonlocal last
        gaps.append(time.perf_counter() - last)
        last = time.perf_counter()

    timer = QTimer(interval=5)
    timer.timeout.connect(tick)
    timer.start()
    with qtbot.waitSignal(handle.ended, timeout=30_000):
        pass
    timer.stop()
    gaps.sort()
    assert gaps[int(len(gaps) * 0.99)] < 0.05, f"slowest: {gaps[-5:]}"


def test_an_engine_that_dies_is_told_and_the_next_job_works(
    session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    handle = session.submit(ask("steps", 3000))
    qtbot.waitUntil(lambda: window.status_job.bar.value() > 2, timeout=30_000)
    pid = session.engine.pid
    assert pid is not None
    with qtbot.waitSignal(handle.failed, timeout=30_000):
        os.kill(pid, signal.SIGKILL)
    assert not window.status_job.isVisible()
    assert window.notices.notices[-1].level == "error"
    assert "stopped unexpectedly" in window.notices.notices[-1].text
    again = session.submit(ask("echo", 7))
    with qtbot.waitSignal(again.finished, timeout=30_000) as done:
        pass
    assert done.args == [7]


def test_a_notice_covers_no_control_at_the_bottom_of_annotate(
    open_session: Session, window: MainWindow
) -> None:
    window.show_place("annotate")
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    open_session.message.emit("A notice", "info")
    lowest = window.notices.mapTo(window, window.notices.rect().bottomLeft()).y()
    assert lowest < page.view_bar.mapTo(window, page.view_bar.rect().topLeft()).y()


@pytest.mark.parametrize("place", ["annotate", "synthesise", "review"])
def test_a_notice_leaves_the_panel_at_the_right_free(
    open_session: Session, window: MainWindow, place: str
) -> None:
    """The next button is there, and a person who is in a hurry would click on the notice."""
    window.show_place(place)
    window.resize(1024, 640)
    open_session.message.emit("Kept as pair 1, ready for review.", "info")
    for part in window.page(place).findChildren(QPushButton):
        if part.isVisible() and not part.visibleRegion().isEmpty():
            at = part.mapTo(window, part.rect().center())
            assert window.childAt(at) in (part, *part.findChildren(QWidget)), part.text()


def test_a_notice_leaves_the_button_that_starts_a_training_free(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    window.resize(1024, 640)
    open_session.message.emit("Accepted 7 pairs. Press U to undo.", "step")
    window.show_place("train")
    page = window.page("train")
    assert isinstance(page, TrainPage)
    button = page.start_button

    def free() -> bool:
        return window.childAt(button.mapTo(window, button.rect().topLeft())) is button

    qtbot.waitUntil(free)
    assert window.notices.isVisible()
    page.tabs.setCurrentIndex(1)  # the evaluation has no such foot
    assert page.foot_height() == 0


def test_an_error_is_not_pushed_out_by_what_is_less_grave(window: MainWindow) -> None:
    board = window.notices
    board.add("The disk is full.", "error")
    board.add("Two pairs are copies.", "warning")
    for number in range(4):
        board.add(f"Kept as pair {number}.", "info")
    assert [n.text for n in board.notices] == [
        "The disk is full.",
        "Two pairs are copies.",
        "Kept as pair 3.",
    ]


def test_what_the_next_step_says_takes_the_place_of_the_last(window: MainWindow) -> None:
    board = window.notices
    for text, level in (
        ("Kept as pair 1.", "step"),
        ("5 frames imported.", "info"),
        ("Undone: keep pair 1.", "step"),
    ):
        board.add(text, level)
    assert [n.text for n in board.notices] == ["5 frames imported.", "Undone: keep pair 1."]


def test_notices_stack_repeat_once_and_close(window: MainWindow, qtbot: QtBot) -> None:
    session, board = window.session, window.notices
    for text in ("one", "two", "two", "three", "four"):
        session.message.emit(text, "info")
    assert [notice.text for notice in board.notices] == ["two", "three", "four"]
    assert board.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert [notice.text for notice in board.notices] == ["two", "three"]
    board.close_newest()
    board.close_newest()
    assert not board.isVisible()


def test_an_info_goes_by_itself_and_an_error_stays(window: MainWindow, qtbot: QtBot) -> None:
    board = window.notices
    board.add("brief", "info")
    board.add("grave", "error", "Traceback ...")
    board.notices[0]._timer.setInterval(10)
    qtbot.waitUntil(lambda: [n.text for n in board.notices] == ["grave"])
    qtbot.wait(50)
    assert [n.text for n in board.notices] == ["grave"]
    board.notices[0].show_details()
    dialog = window.findChildren(TextDialog)[0]
    assert dialog.text.toPlainText() == "Traceback ..."
    dialog.close()


def test_what_no_one_caught_is_one_notice_and_the_window_goes_on(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    restore = app.show_unexpected_errors(open_session)
    try:
        try:
            raise RuntimeError("a defect")
        except RuntimeError as error:
            for _ in range(3):
                sys.excepthook(type(error), error, error.__traceback__)
    finally:
        restore()
    assert len(window.notices.notices) == 1
    notice = window.notices.notices[0]
    assert "a defect" in notice.text
    assert "saved" in notice.text
    assert "RuntimeError" in notice.details
    qtbot.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert open_session.place == "annotate"


def test_the_sheet_lists_every_key(open_session: Session, window: MainWindow, qtbot: QtBot) -> None:
    qtbot.keyClick(window, "?")
    sheets = window.findChildren(ShortcutSheet)
    assert len(sheets) == 1
    texts = {label.text() for label in sheets[0].findChildren(QLabel)}
    assert {"Everywhere", "Library", "Annotate", "Ctrl+2", "Ctrl+Z", "Ctrl+.", "N"} <= texts
    sheets[0].close()
    stop = dict(keys_of(window.status_job))
    window.status_job._offer("Stop the job", "What is done is kept.")
    assert stop["Ctrl+."] == dict(keys_of(window.status_job))["Ctrl+."] == "Stop the job"
    library = dict(keys_of(window.library))
    assert library["F"] == "Confirm as final"
    assert library["Ctrl+P"]


def test_no_key_means_two_things_in_one_place(open_session: Session, window: MainWindow) -> None:
    pages = tuple(window.page(place) for place in PLACES)
    everywhere = [k for keys, _ in keys_of(window, without=pages) for k in keys.split(" or ")]
    assert len(everywhere) == len(set(everywhere))
    for place, page in zip(PLACES, pages, strict=True):
        clash = {k for keys, _ in keys_of(page) for k in keys.split(" or ")} & set(everywhere)
        assert not clash, f"{place} takes keys of the window"


def test_about_says_what_it_is_not_for(window: MainWindow) -> None:
    window.show_about()
    dialog = window.findChildren(AboutDialog)[0]
    text = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert "never use it for diagnosis" in text
    dialog.close()


def test_a_second_window_says_so_and_offers_another(
    open_session: Session,
    window: MainWindow,
    engine: Engine,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = Session(engine, Settings())
    second = MainWindow(other)
    qtbot.addWidget(second)
    second.show()
    assert not second.projects.open(open_session.open.path)
    box = second.findChildren(QMessageBox)[0]
    assert box.defaultButton() is box.button(QMessageBox.StandardButton.Close)
    assert "open in another window" in box.informativeText()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "fresh"), ""))
    button = next(b for b in box.buttons() if b.text().startswith("New project"))
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: other.project is not None)
    assert other.open.path == tmp_path / "fresh"
    assert second.windowTitle().startswith("fresh")
    other.close_project()


def test_a_new_project_is_not_offered_beside_the_sample_project(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its folder is one of the program's own, where nobody finds a project again."""
    asked: list[str] = []

    def ask(_parent: object, _title: str, path: str) -> tuple[str, str]:
        asked.append(path)
        return "", ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    settings = window.session.settings
    settings.remember_project(sample_project_path())
    window.projects.ask_new()
    settings.remember_project(tmp_path / "ward" / "heads")
    settings.remember_project(sample_project_path())
    window.projects.ask_new()
    assert asked == [str(Path.home() / "heads"), str(tmp_path / "ward" / "heads")]


def test_a_project_of_a_newer_version_is_refused_with_a_way_on(
    session: Session, window: MainWindow, sample_project: Project, tmp_path: Path
) -> None:
    path = sample_project.path
    sample_project.close()
    with sqlite3.connect(path / "project.db") as database:
        database.execute("PRAGMA user_version = 9999")
    window.start(path)
    box = window.findChildren(QMessageBox)[0]
    assert "newer" in box.informativeText()
    offers = {button.text() for button in box.buttons()}
    assert {"Open another ...", "New project ...", "Sample project"} <= offers
    box.close()


def test_the_sample_project_is_not_offered_where_it_could_not_be_opened(
    window: MainWindow,
) -> None:
    path = sample_project_path()
    with Project.create(path) as elsewhere, elsewhere.lock():
        window.start(None)
        (box,) = window.findChildren(QMessageBox)
    assert "another window" in box.informativeText()
    assert {button.text() for button in box.buttons()} == {
        "Open another ...",
        "New project ...",
        "Close",
    }
    box.close()


def test_recent_projects_are_offered(
    open_session: Session, window: MainWindow, tmp_path: Path
) -> None:
    first = open_session.open.path
    open_session.new_project(tmp_path / "other")
    window.projects.recent_menu.aboutToShow.emit()
    texts = [a.text() for a in window.projects.recent_menu.actions()]
    assert len(texts) == 1, "the open one is not offered"
    assert texts[0].startswith(first.name)
    window.projects.recent_menu.actions()[0].trigger()
    assert open_session.open.path == first


def test_start_opens_the_last_project(
    session: Session, window: MainWindow, sample_project: Project
) -> None:
    session.settings.remember_project(sample_project.path)
    window.start(None)
    assert session.open.path == sample_project.path
    assert str(sample_project.path) in window.project_label.text()


def test_a_sample_project_whose_import_was_cut_short_is_completed(
    session: Session,
    window: MainWindow,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FETALSTUDIO_HOME", str(tmp_path / "home"))
    handle = session.open_sample_project()
    assert handle is not None
    handle.cancel()
    with qtbot.waitSignal(handle.ended, timeout=30_000):
        pass
    assert session.open.frames.all() == []
    session.close_project()
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        window.start(None)
    qtbot.waitUntil(lambda: len(session.open.frames.all()) == 24 + 36, timeout=60_000)


def test_export_writes_what_the_dialog_says(
    open_session: Session, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    qtbot.keyClick(window, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    dialog = window.findChildren(ExportDialog)[0]
    out = tmp_path / "out"
    dialog.folder.setText(" ")
    assert not dialog.accept_button.isEnabled()
    dialog.folder.setText(str(out))
    with qtbot.waitSignal(open_session.message, timeout=60_000) as told:
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert told.args == [f"Exported 24 frames and 0 synthetic pairs to {out}.", "info"]
    assert len(list(out.rglob("*_Annotation.png"))) == 16


def test_leaving_while_a_job_runs_asks_first(
    session: Session, window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = session.submit(ask("steps", 3000))
    with qtbot.waitSignal(handle.started, timeout=30_000):
        pass
    monkeypatch.setattr(MainWindow, "_may_stop", lambda *_: False)
    assert not window.close()
    assert window.isVisible()
    monkeypatch.setattr(MainWindow, "_may_stop", lambda *_: True)
    assert window.close()


def test_leaving_with_unsaved_ellipses_asks_first(
    session: Session, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: asked.append(box.text()))
    session.unsaved["frame"] = None
    assert not window.close() and window.isVisible()
    assert asked == ["1 ellipse could not be saved. If you leave, what is not saved is lost."]
    session.unsaved.clear()
    assert window.close()


def test_the_window_keeps_its_size(
    session: Session, window: MainWindow, engine: Engine, qtbot: QtBot
) -> None:
    window.resize(960, 650)
    window.close()
    again = MainWindow(session)
    qtbot.addWidget(again)
    # The offscreen screen is narrower than the window may be; its height fits.
    assert again.height() == 650


def test_every_view_of_a_job_names_the_same_time_left(session: Session, qtbot: QtBot) -> None:
    bar, status = JobBar(), StatusJob(session)
    for widget in (bar, status):
        qtbot.addWidget(widget)
    handle = JobHandle(EngineClient(), 1, Echo.job)
    bar.follow(handle)
    progress = Progress(1, 20, 3700.0, "fine-tuning")
    handle.progress.emit(progress)
    session.engine.job_progress.emit(handle, progress)
    assert "1 h 2 min left" in bar.text()
    assert "1 h 2 min left" in status.left.text()


def test_a_narrow_bar_cuts_no_figure_short(qtbot: QtBot, dressed: None) -> None:
    bar = JobBar("Stop, keep results")
    qtbot.addWidget(bar)
    bar.setFixedWidth(296)
    handle = JobHandle(EngineClient(), 1, Echo.job)
    bar.follow(handle)
    qtbot.waitExposed(bar)
    assert bar.text() == "Waiting for the running job to end"
    assert "…" not in bar.shown()
    handle.progress.emit(Progress(36, 120, 240.0, "real, with varied copies, repeat 1 of 5"))
    assert bar.text() == "36 of 120 · 4 min left · real, with varied copies, repeat 1 of 5"
    assert bar.shown() == "36 of 120 · 4 min left"


def test_the_status_bar_names_the_jobs_that_wait(
    session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    title = window.status_job.title
    running = session.submit(ask("steps", 3000))
    with qtbot.waitSignal(running.started, timeout=30_000):
        pass
    waiting = [session.submit(ask(*job)) for job in (("steps", 1), ("echo", 1))]
    assert title.text() == "Testing steps (then testing steps, testing echo)"
    title.resize(title.fontMetrics().horizontalAdvance(title.text()) - 1, title.height())
    assert title.shown() == "Testing steps (2 waiting)"
    with qtbot.waitSignal(waiting[0].ended, timeout=30_000):
        waiting[0].cancel()
    assert title.text() == "Testing steps (then testing echo)"
    read: list[str] = []

    def stay() -> None:
        (box,) = window.findChildren(QMessageBox)
        read.append(box.informativeText())
        box.reject()

    QTimer.singleShot(0, stay)
    assert not window.close()
    assert read[0].endswith("What it has saved is kept. 1 waiting job will not be done.")
    running.cancel()
    with qtbot.waitSignal(waiting[1].ended, timeout=30_000):
        pass
    assert not session.engine.waiting


def test_a_job_that_completes_what_it_has_shows_its_progress_after_a_cancel(
    session: Session, qtbot: QtBot
) -> None:
    bar = JobBar()
    qtbot.addWidget(bar)
    handle = JobHandle(EngineClient(), 1, Echo.job)
    bar.follow(handle)
    qtbot.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    handle.progress.emit(Progress(5, 20, 9.0, "fine-tuning"))
    assert bar.text() == "Stopping"
    handle.progress.emit(Progress(2, 20, 9.0, "testing the best epoch", finishing=True))
    assert bar.text() == "2 of 20 · 9 s left · testing the best epoch"


def test_a_cold_start_is_lean_and_without_torch(tmp_path: Path) -> None:
    _, rss, heavy = _cold_start(tmp_path)
    assert heavy == "[]"
    assert rss < 300


@pytest.mark.perf
def test_a_cold_start_is_quick(tmp_path: Path) -> None:
    """Seconds of the processor until the window is painted, imports included."""
    seconds, _, _ = _cold_start(tmp_path)
    assert seconds < 2.0


def _cold_start(tmp_path: Path) -> tuple[float, float, str]:
    """The real ``run`` in a process of its own, on a first start with no project.

    Returns the seconds of the processor until the first paint, MiB of memory, and which of the
    heavy modules were imported.
    """
    program = textwrap.dedent(
        """
        import faulthandler, sys, time
        from PySide6.QtCore import QTimer
        from PySide6.QtWidgets import QApplication
        from fetalstudio.ui import app, job_runner
        from fetalstudio.ui.window import main_window

        shown = []
        class Watched(main_window.MainWindow):
            def paintEvent(self, event):
                shown.append(time.process_time())
                super().paintEvent(event)

        def look():
            windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, Watched)]
            if not shown or not windows or windows[0].session.project is None:
                return
            window = windows[0]
            frames, pages = len(window.session.project.frames.all()), len(window.pages)
            # The frames are there before the job that made them has ended, and a window that is
            # closed while a job runs asks a question, which nobody answers here.
            if (frames, pages, window.session.engine.running) != (60, 5, None):
                return
            watch.stop()
            import psutil
            heavy = {"torch", "diffusers", "openpyxl", "segment_anything"} & set(sys.modules)
            print(shown[0], psutil.Process().memory_info().rss / 2**20, sorted(heavy))
            window.close()

        if __name__ == "__main__":
            # Says what each thread was doing if this takes too long, and ends the process.
            faulthandler.dump_traceback_later(240, exit=True)
            app.MainWindow = Watched
            # It would load PyTorch after two seconds, and the end of the window would wait for it.
            job_runner.Engine.warm_up = lambda *_: None
            app.make_application()
            watch = QTimer(interval=100)
            watch.timeout.connect(look)
            watch.start()
            sys.exit(app.run())
        """
    )
    script = tmp_path / "start.py"
    script.write_text(program)
    environment = {**os.environ, "FETALSTUDIO_HOME": str(tmp_path / "home")}
    environment["PYTHONPATH"] = str(Path(app.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    seconds, rss, heavy = done.stdout.split(maxsplit=2)
    return float(seconds), float(rss), heavy.strip()


def test_a_notice_stays_in_front_when_the_place_changes(window: MainWindow) -> None:
    window.session.message.emit("The disk is full.", "error")
    for place in ("annotate", "train", "library"):
        window.show_place(place)
        above = window.stack.children()
        assert above.index(window.notices) > above.index(window.page(place)), place


def test_the_library_has_the_keyboard_from_the_start(
    session: Session, window: MainWindow, sample_project: Project
) -> None:
    library = window.page("library")
    assert isinstance(library, LibraryPage)
    assert not library.grid.isVisible(), "there is no project yet"
    session.open_project(sample_project.path)
    assert window.focusWidget() is library.grid
