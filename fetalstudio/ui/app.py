"""Starts and ends the window."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication

from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.process.signals import END_SIGNALS
from fetalstudio.ui import icons, theme
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.version import __version__

log = logging.getLogger(__name__)


def run(project: Path | None = None) -> int:
    """Show the window on ``project`` until it is closed, and return the exit status.

    The default is the last project, else the sample project.
    """
    app = make_application()
    engine = Engine()
    session = Session(engine, Settings())
    restore_hook = show_unexpected_errors(session)
    # Python handles signals between its own instructions, which an idle Qt loop never reaches.
    for number in END_SIGNALS:
        # Not quit(): it asks the window, which may ask a person, and nobody may be there.
        signal.signal(number, lambda *_: app.exit())
    heartbeat = QTimer(interval=250)
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start()
    try:
        window = MainWindow(session)
        window.show()
        # The window is painted before the project is read.
        QTimer.singleShot(0, lambda: window.start(project))
        # Importing torch takes seconds; start before the first sample needs it.
        QTimer.singleShot(2000, lambda: engine.warm_up(SampleRequest))
        return app.exec()
    finally:
        restore_hook()
        session.close_project()
        engine.shutdown()


def make_application() -> QApplication:
    """The ``QApplication`` with the look of the program; an existing one is used."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        QGuiApplication.setHighDpiScaleFactorRoundingPolicy(
            Qt.HighDpiScaleFactorRoundingPolicy.PassThrough
        )
        app = QApplication(sys.argv[:1])
    app.setApplicationName("FetalStudio")
    app.setApplicationVersion(__version__)
    app.setOrganizationName("FetalStudio")
    app.setDesktopFileName("fetalstudio")
    app.setWindowIcon(icons.application_icon())
    theme.apply(app)
    return app


def show_unexpected_errors(session: Session) -> Callable[[], None]:
    """Show uncaught exceptions as notices and continue: all work is saved already.

    Returns a function that restores the previous hook.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            session.report(error)
        else:
            previous(kind, error, trace)

    sys.excepthook = hook

    def restore() -> None:
        sys.excepthook = previous

    return restore
