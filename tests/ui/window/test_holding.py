"""The window on a project that is damaged, deleted or changed behind its back."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QFileDialog, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.project import Project
from fetalstudio.project.store.backups import all_backups
from fetalstudio.ui.commands import SetEllipse
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.projects import BackupDialog


def damage_a_frame(path: Path) -> None:
    """One byte of the time at which a frame was added."""
    data = (path / "project.db").read_bytes()
    with contextlib.closing(sqlite3.connect(path / "project.db")) as connection:
        (added_at,) = connection.execute("SELECT added_at FROM frames").fetchone()
    assert data.count(added_at.encode()) == 1
    bad = added_at.replace("-", "q", 1)
    (path / "project.db").write_bytes(data.replace(added_at.encode(), bad.encode()))


def put_back(window: MainWindow, qtbot: QtBot) -> None:
    """Choose the newest backup in the dialog."""
    qtbot.waitUntil(lambda: window.findChild(BackupDialog) is not None)
    dialog = window.findChild(BackupDialog)
    assert isinstance(dialog, BackupDialog)
    dialog.accept_button.click()


def test_one_bad_byte_costs_one_frame_and_the_backup_brings_it_back(
    session: Session, window: MainWindow, sample_project: Project, qtbot: QtBot
) -> None:
    path = sample_project.path
    assert window.projects.open(path)
    session.close_project()
    sample_project.close()
    damage_a_frame(path)
    assert window.projects.open(path)
    assert len(session.open.frames.all()) == 23
    (notice,) = window.notices.notices
    assert "is damaged: 1 row" in notice.text and "Put back a backup" in notice.text
    assert "is damaged and left out" in notice.details
    window.projects.ask_backup()
    put_back(window, qtbot)
    assert len(session.open.frames.all()) == 24
    assert session.open.damage == []


def test_a_project_that_cannot_be_opened_offers_its_backups(
    session: Session, window: MainWindow, sample_project: Project, qtbot: QtBot
) -> None:
    path = sample_project.path
    assert window.projects.open(path)
    session.close_project()
    sample_project.close()
    (path / "project.db").write_bytes(b"nothing")
    assert all_backups(path)
    assert not window.projects.open(path)
    box = window.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    offers = {button.text(): button for button in box.findChildren(QPushButton)}
    offers["Put back a backup ..."].click()
    put_back(window, qtbot)
    assert len(session.open.frames.all()) == 24


@pytest.mark.skipif(sys.platform == "win32", reason="Windows removes no file that is open")
def test_the_work_on_a_deleted_project_is_saved_elsewhere(
    session: Session,
    window: MainWindow,
    sample_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: QtBot,
) -> None:
    path = sample_project.path
    sample_project.close()
    assert window.projects.open(path)
    first, second = session.open.frames.all(annotated=False)[:2]
    ellipse = Ellipse(300, 200, 120, 90, 30)
    session.undo_stack.push(SetEllipse(session, first.id, ellipse, "final"))
    (path / "frames" / first.id[:2] / f"{first.id}.png").unlink()
    path.rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved" / "frames", path / "frames")
    session.undo_stack.push(SetEllipse(session, second.id, ellipse, "final"))
    assert "File, Save a copy" in window.notices.notices[-1].text
    assert session.undo_stack.count() == 1
    session.look_around()
    (box,) = window.findChildren(QMessageBox)
    assert str(path) in box.text()
    copy = tmp_path / "copy"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(copy), ""))
    save = next(b for b in box.findChildren(QPushButton) if b.text() == "Save a copy ...")
    save.click()
    qtbot.waitUntil(lambda: session.is_open(copy))
    assert "1 picture could not be copied" in window.notices.notices[-1].text
    assert len(session.open.frames.all()) == 24
    assert session.open.annotations.by_frame()[first.id].ellipse == ellipse
    assert second.id not in session.open.annotations.by_frame()
    assert session.open.frames.pixels(second.id).shape == second.size[::-1]
    session.undo_stack.push(SetEllipse(session, second.id, ellipse, "final"))
    assert session.open.counts()["final"] == 18


def test_what_a_command_imports_meanwhile_is_shown(
    open_session: Session, window: MainWindow, sample_project: Project
) -> None:
    open_session.look_around()
    pixels = np.full((80, 96), 7, np.uint8)
    sample_project.frames.add(pixels, name="new", cohort="other", subject="s")
    assert window.rail.buttons["annotate"].waiting == 8
    open_session.look_around()
    assert window.rail.buttons["annotate"].waiting == 9
    assert window.library.model.rowCount() == 25


@pytest.mark.parametrize("way", ["undo", "redo"])
def test_an_undo_or_redo_that_fails_can_be_tried_again(
    open_session: Session, window: MainWindow, way: str
) -> None:
    project, stack = open_session.open, open_session.undo_stack
    frame = project.frames.all(annotated=False)[0]
    ellipse = Ellipse(300, 200, 120, 90, 30)
    stack.push(SetEllipse(open_session, frame.id, ellipse, "final"))
    if way == "redo":
        stack.undo()
    before = project.counts(), stack.index()
    with contextlib.closing(sqlite3.connect(project.path / "project.db")) as other:
        # The disk is not full, but SQLite refuses the write just the same.
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON annotations"
            " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        getattr(stack, way)()
        assert "the disk is full" in window.notices.notices[-1].text
        assert (project.counts(), stack.index()) == before
        other.execute("DROP TRIGGER full")
    getattr(stack, way)()
    assert stack.index() == (0 if way == "undo" else 1)
    assert project.counts()["final"] == (16 if way == "undo" else 17)
    assert (frame.id in project.annotations.by_frame()) == (way == "redo")
