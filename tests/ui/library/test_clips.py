"""Choosing the frames of a clip in the real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from fetalstudio.engine.jobs.sharpest.request import SharpestRequest, SharpestResult
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.clip_dialog import ClipDialog
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from tests.formats.dicom_files import speckle, write
from tests.ui.library.test_library import dialog_of

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def dialog(session: Session, window: MainWindow, tmp_path: Path, qtbot: QtBot) -> ImportDialog:
    session.new_project(tmp_path / "new")
    write(tmp_path / "in" / "cine", speckle(12))
    window.library.importing.ask([tmp_path / "in"])
    dialog = dialog_of(window.library, ImportDialog)
    planned(qtbot, dialog)
    return dialog


def planned(qtbot: QtBot, dialog: ImportDialog) -> None:
    qtbot.waitUntil(lambda: dialog.plan is not None and dialog.plan.choices == dialog.choices)
    qtbot.waitUntil(lambda: bool(dialog.details.buttons))


def numbers(dialog: ImportDialog) -> list[int]:
    return sorted(int(row.key[-4:]) for row in dialog.model.rows)


def click(qtbot: QtBot, dialog: ImportDialog, text: str) -> None:
    def found() -> list[QPushButton]:
        buttons = dialog.details.findChildren(QPushButton)
        return [b for b in buttons if b.isVisible() and text in b.text()]

    qtbot.waitUntil(lambda: len(found()) == 1)
    qtbot.mouseClick(found()[0], LEFT)


def test_frames_are_chosen_by_a_button_or_by_hand(
    dialog: ImportDialog, session: Session, qtbot: QtBot
) -> None:
    assert numbers(dialog) == [7] and dialog.accept_button.text() == "Import the safe part"
    click(qtbot, dialog, "Every 10th frame: 2 frames")
    planned(qtbot, dialog)
    assert numbers(dialog) == [1, 11] and dialog.accept_button.text() == "Import"
    click(qtbot, dialog, "Choose by hand")
    (asked,) = dialog.findChildren(ClipDialog)
    assert asked.choice == "1,11" and asked.accept_button.text() == "Take 2 frames"
    qtbot.waitUntil(lambda: asked.view.model().index(3, 0).data(1) is not None)
    for number in (3, 10):
        at = asked.view.visualRect(asked.view.model().index(number, 0)).center()
        qtbot.mouseClick(asked.view.viewport(), LEFT, pos=at)
    assert asked.choice == "1,4"
    qtbot.keyClick(asked.view, Qt.Key.Key_Right)
    qtbot.keyClick(asked.view, Qt.Key.Key_Space)
    assert asked.choice == "1,4,12"
    qtbot.mouseClick(asked.accept_button, LEFT)
    planned(qtbot, dialog)
    assert numbers(dialog) == [1, 4, 12]
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        dialog.accept()
    frames = session.open.frames.all()
    assert len(frames) == 3 and len({frame.subject for frame in frames}) == 1


def test_the_sharpest_frame_is_found_by_a_job(
    dialog: ImportDialog, session: Session, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[SharpestRequest] = []
    handles: list[JobHandle[SharpestResult]] = []

    def submit(request: SharpestRequest) -> JobHandle[SharpestResult]:
        asked.append(request)
        engine: Any = None  # the handle is told by hand what the job says
        handle = JobHandle(engine, 10_000 + len(handles), SharpestRequest.job)
        monkeypatch.setattr(handle, "cancel", handle.ended.emit)
        handles.append(handle)
        return handle

    monkeypatch.setattr(session, "submit", submit)
    click(qtbot, dialog, "as the segmenter sees it")
    assert [path.name for path in asked[0].clips] == ["cine"]
    assert not dialog.accept_button.isEnabled()
    qtbot.mouseClick(dialog.bar.cancel_button, LEFT)
    assert dialog.accept_button.isEnabled() and numbers(dialog) == [7]
    click(qtbot, dialog, "as the segmenter sees it")
    handles[1].finished.emit(SharpestResult({asked[1].clips[0]: 5}))
    handles[1].ended.emit()
    planned(qtbot, dialog)
    assert numbers(dialog) == [5]
    assert dialog.choices.by_file == {"cine": {Question.FRAMES: "5"}}
    dialog.undo()
    planned(qtbot, dialog)
    assert numbers(dialog) == [7]
    dialog.reject()
    qtbot.waitUntil(dialog.worker.isFinished)
