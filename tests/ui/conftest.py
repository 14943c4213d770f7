"""The real window on a project of its own, with a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from fetalstudio.project.project import Project
from fetalstudio.ui import theme
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.window.main_window import MainWindow


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings in a file of the test's own."""
    return Settings(QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat))


@pytest.fixture
def engine(qapp: object) -> Iterator[Engine]:
    """A real engine; its process starts with the first job."""
    engine = Engine(grace_s=1.0)
    yield engine
    engine.shutdown()


@pytest.fixture
def session(engine: Engine, settings: Settings) -> Iterator[Session]:
    """A session without a project."""
    session = Session(engine, settings)
    yield session
    session.close_project()


@pytest.fixture
def open_session(session: Session, sample_project: Project) -> Session:
    """A session on the 24 sample frames, 16 of them with a final ellipse."""
    session.open_project(sample_project.path)
    return session


@pytest.fixture(scope="session")
def dressed(qapp: QApplication) -> None:
    """The application looks as the program's. Once, as every widget that lives is styled anew."""
    theme.apply(qapp)


@pytest.fixture
def window(qtbot: QtBot, dressed: None, session: Session) -> MainWindow:
    """The window, shown and dressed, on what the session has open."""
    window = MainWindow(session)
    # While a failed test's job runs the window would ask whether to leave, and wait for an answer.
    qtbot.addWidget(window, before_close_func=lambda _window: session.engine.shutdown())
    window.resize(1280, 800)
    window.show()
    qtbot.waitExposed(window)
    return window
