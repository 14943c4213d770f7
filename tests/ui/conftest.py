"""The real window on a project of its own, with a real engine."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QSettings, QTimer
from PySide6.QtWidgets import QApplication, QMenu
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from fetalstudio.engine.process import client, worker
from fetalstudio.project.project import Project
from fetalstudio.ui import theme
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.window.main_window import MainWindow
from tests.engine.support import ForkedWorker

PATIENCE_MS = 60_000


@pytest.fixture(autouse=True)
def _nothing_of_qt_left(qapp: QApplication) -> Iterator[None]:
    """Fail a test that leaves a top-level widget or a running timer behind.

    They would slow down all later tests, and act in the middle of them. Threads are checked for
    every test of Qt, in the fixtures that all tests share.
    """
    before = set(map(id, QApplication.topLevelWidgets()))
    yield
    # A widget that only a cycle of references keeps is gone after this.
    gc.collect()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    # The menus of pyqtgraph's plots have no parent and outlive their plots.
    widgets = [
        w
        for w in QApplication.topLevelWidgets()
        if id(w) not in before and not isinstance(w, QMenu)
    ]
    # By type, as isinstance would ask each object for its class.
    timers = [o for o in gc.get_objects() if issubclass(type(o), QTimer)]
    # A single-shot timer ends by itself.
    running = [t for t in timers if isValid(t) and t.isActive() and not t.isSingleShot()]
    assert not widgets, f"left open: {widgets}"
    assert not running, f"timers left running: {[(t, t.parent()) for t in running]}"


class PatientBot(QtBot):
    """Waits for what must come as long as a busy machine may need, where a test says nothing."""

    def waitUntil(self, callback: Callable[[], bool | None], *, timeout: int = PATIENCE_MS) -> None:
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignal(signal, timeout=timeout, **options)

    def waitSignals(self, signals: Any, *, timeout: int = PATIENCE_MS, **options: Any) -> Any:
        return super().waitSignals(signals, timeout=timeout, **options)


@pytest.fixture
def qtbot(qapp: QApplication, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


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
def forked_engine(forks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's process is forked from one that has loaded PyTorch; see :func:`forks`."""
    if sys.platform != "win32":
        monkeypatch.setattr(client, "START_METHOD", "forkserver")
        monkeypatch.setattr(worker, "main", ForkedWorker())


@pytest.fixture
def session(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A session without a project.

    Its engine is not warmed up where a page asks for it: that loads PyTorch, which few jobs of
    these tests need.
    """
    monkeypatch.setattr(engine, "warm_up", lambda *_: None)
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
