"""The window on a project that is damaged, deleted or changed behind its back."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from PySide6.QtWidgets import QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from fetalstudio.project.backups import all_backups
from fetalstudio.project.project import Project
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.dialogs import BackupDialog
from fetalstudio.ui.window.main_window import MainWindow


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
    assert window.open_project(path)
    session.close_project()
    sample_project.close()
    damage_a_frame(path)
    assert window.open_project(path)
    assert len(session.open.frames.all()) == 23
    (notice,) = window.notices.notices
    assert "is damaged: 1 row" in notice.text and "Put back a backup" in notice.text
    assert "is damaged and left out" in notice.details
    window.ask_backup()
    put_back(window, qtbot)
    assert len(session.open.frames.all()) == 24
    assert session.open.damage == []


def test_a_project_that_cannot_be_opened_offers_its_backups(
    session: Session, window: MainWindow, sample_project: Project, qtbot: QtBot
) -> None:
    path = sample_project.path
    assert window.open_project(path)
    session.close_project()
    sample_project.close()
    (path / "project.db").write_bytes(b"nothing")
    assert all_backups(path)
    assert not window.open_project(path)
    box = window.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    offers = {button.text(): button for button in box.findChildren(QPushButton)}
    offers["Put back a backup ..."].click()
    put_back(window, qtbot)
    assert len(session.open.frames.all()) == 24
