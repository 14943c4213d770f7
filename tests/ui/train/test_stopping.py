"""Stopping a training while its best epoch is tested: by the button, by the key, by leaving."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from fetalstudio.engine.resumable import can_resume
from fetalstudio.project.store.records import Run
from fetalstudio.ui import job_runner
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import use_small_jobs
from tests.ui.loop_jobs import TESTED_SLOWLY

KEPT = "The model of the best epoch is kept, without a verdict. Resume the run to get one."


@pytest.fixture
def page(
    open_session: Session, window: MainWindow, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> TrainPage:
    """Train, with a training that tests its best epoch."""
    use_small_jobs(monkeypatch, open_session)
    window.show_place("train")
    page = window.page("train")
    assert isinstance(page, TrainPage)
    page.form.fields["epochs"].show(2)
    page.form.name_box.setText(TESTED_SLOWLY)
    qtbot.mouseClick(page.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "testing the best epoch" in page.job_bar.text())
    return page


def the_run(page: TrainPage) -> Run:
    (run,) = page.session.open.runs.all()
    return run


def check_untested(page: TrainPage) -> None:
    """The run was stopped without a verdict, keeps its model, and says how it goes on."""
    run = the_run(page)
    assert (run.state, run.verdict) == ("cancelled", None)
    assert can_resume(page.session.open, run)
    assert [m.run_id for m in page.session.open.models.all("segmenter")] == [run.id]
    assert page.verdict.text() == (
        "Stopped before its verdict. tested-slowly, the model of its best epoch so far, is kept "
        "but not tested. Resume the run to continue after its last epoch, up to the verdict."
    )
    assert page.resume_button.isVisible() and page.adopt_button.isEnabled()


def test_the_test_of_the_best_epoch_is_ended_by_the_button(qtbot: QtBot, page: TrainPage) -> None:
    said: list[str] = []
    page.session.message.connect(lambda text, _level: said.append(text))
    button = page.job_bar.cancel_button
    assert button.text() == "Stop now"
    assert page.job_bar.kept() == f"Stop now: {KEPT}"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    check_untested(page)
    assert said == [f"{page.session.open.path.name}: {KEPT}"]


def test_the_test_of_the_best_epoch_is_ended_by_the_key(
    qtbot: QtBot, page: TrainPage, window: MainWindow
) -> None:
    qtbot.waitUntil(window.status_job.isVisible)
    assert KEPT in window.status_job.cancel.toolTip()
    window.show_place("annotate")
    QTest.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: page.session.engine.running is None)
    window.show_place("train")
    check_untested(page)


def test_a_double_click_does_not_end_the_test(
    qtbot: QtBot, page: TrainPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first click asked for the best epoch, which is worth little without its test."""
    handle = page.job_bar.handle
    assert handle is not None
    monkeypatch.setattr(job_runner, "_ONE_CLICK_S", 3600.0)
    monkeypatch.setattr(handle, "_asked_at", job_runner.time.monotonic())
    qtbot.mouseClick(page.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    assert not page.job_bar.cancel_button.isEnabled()
    qtbot.waitUntil(page.job_bar.cancel_button.isEnabled)  # it is tested further
    monkeypatch.setattr(job_runner, "_ONE_CLICK_S", 0.0)
    qtbot.mouseClick(page.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    check_untested(page)


def test_leaving_says_what_is_kept_and_the_run_can_be_resumed(
    qtbot: QtBot, page: TrainPage, window: MainWindow
) -> None:
    read: list[str] = []

    def leave() -> None:
        (box,) = window.findChildren(QMessageBox)
        read.append(box.informativeText())
        next(b for b in box.buttons() if b.text() == "Stop it and leave").click()

    QTimer.singleShot(0, leave)
    assert window.close()
    assert read == [f"If you leave, the job is stopped. {KEPT}"]
    page.session.engine.shutdown()
    run = the_run(page)
    assert (run.state, run.verdict) == ("cancelled", None)
    assert can_resume(page.session.open, run)


def test_a_process_that_had_to_be_ended_leaves_a_cancelled_run(
    qtbot: QtBot, page: TrainPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = page.session.open
    run = project.runs.start("stuck", {"job": "train"}, {})
    project.runs.close()  # as when its process ended, which did not answer
    handle = page.job_bar.handle
    assert isinstance(handle, job_runner.JobHandle)
    handle.run = job_runner.RunKey(project.path, run.id)
    handle.cancelled.emit(None)
    assert project.runs.get(run.id).state == "cancelled"


def test_a_verdict_does_not_stand_for_a_later_best_epoch(page: TrainPage, qtbot: QtBot) -> None:
    qtbot.mouseClick(page.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    project, run = page.session.open, the_run(page)
    verdict = {"dice_before": 0.95, "dice_after": 0.96, "best_epoch": 2, "answer": "better"}
    project.runs.update(run.id, verdict=verdict, history_entry={"epoch": 2, "best": True})
    page.session.project_changed.emit()
    assert "0.960" in page.verdict.text() and "0.960" in page.runs.item(0).text()
    project.runs.update(run.id, state="running")  # it is resumed
    page.session.project_changed.emit()
    assert page.verdict.text() == "The verdict follows when the training ends."
    assert page.runs.item(0).text() == "tested-slowly\nrunning"
    project.runs.update(run.id, state="cancelled", history_entry={"epoch": 3, "best": False})
    page.session.project_changed.emit()
    assert "0.960" in page.verdict.text()
    project.runs.update(run.id, history_entry={"epoch": 4, "best": True})
    page.session.project_changed.emit()
    assert page.verdict.text().startswith("Stopped before its verdict. tested-slowly")
    assert page.runs.item(0).text() == "tested-slowly\ncancelled"
