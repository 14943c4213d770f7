"""The action that makes the open project shareable."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLabel
from pytestqt.qtbot import QtBot

from fetalstudio.project.project import Project
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.sharing import ShareableDialog


@pytest.fixture
def named(open_session: Session) -> Session:
    """A cohort and a subject have names of people."""
    project = open_session.open
    (cohort,) = project.frames.cohorts()
    project.amendments.rename_cohort(cohort, "Meier", author="me")
    project.amendments.set_subject([project.frames.all()[0].id], "Quaresma", author="me")
    return open_session


def asked(window: MainWindow) -> ShareableDialog:
    window.sharing.ask()
    (dialog,) = window.findChildren(ShareableDialog)
    text = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert (
        "The cohort Meier is renamed to cohort-1" in text
        and "Keys instead of texts: 1 subject" in text
    )
    return dialog


def test_a_shareable_copy_is_written(
    named: Session,
    window: MainWindow,
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dialog = asked(window)
    dialog._cohorts["Meier"].setText("")
    assert not dialog.accept_button.isEnabled()
    dialog._cohorts["Meier"].setText("clinic")
    copy = tmp_path / "copy"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(copy), ""))
    with qtbot.waitSignal(named.message, timeout=60_000) as told:
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert told.args == [f"{copy} can be shared.", "info"]
    with Project.open(copy) as project:
        assert project.frames.cohorts() == ["clinic"] and len(project.frames.all()) == 24
    assert named.open.frames.cohorts() == ["Meier"]


def test_the_project_itself_is_changed_and_opened_again(
    named: Session, window: MainWindow, qtbot: QtBot
) -> None:
    path = named.open.path
    dialog = asked(window)
    dialog.in_place.setChecked(True)
    assert dialog.accept_button.text() == "Change this project"
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert named.project is None
    qtbot.waitUntil(lambda: named.project is not None, timeout=60_000)
    assert named.open.path == path and named.open.frames.cohorts() == ["cohort-1"]
    assert len(named.open.frames.all()) == 24
    assert "Quaresma" not in {frame.subject for frame in named.open.frames.all()}
