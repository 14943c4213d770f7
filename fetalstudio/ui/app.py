"""Starting and ending the window."""

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

from fetalstudio.ui import icons, theme
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.version import __version__

log = logging.getLogger(__name__)


def run(project: Path | None = None) -> int:
    """Show the window on ``project`` (else the last one, else the samples) until it is closed.

    Returns the process' exit status.
    """
    app = make_application()
    engine = Engine()
    session = Session(engine, Settings())
    restore_hook = show_unexpected_errors(session)
    # Python handles a signal only between its own instructions, which an idle Qt never reaches.
    signal.signal(signal.SIGINT, lambda *_: app.quit())
    heartbeat = QTimer(interval=250)
    heartbeat.timeout.connect(lambda: None)
    heartbeat.start()
    try:
        window = MainWindow(session)
        window.show()
        # The window is painted before the project is read.
        QTimer.singleShot(0, lambda: window.start(project))
        # Importing torch and loading it takes seconds: done before the first sample asks for it.
        QTimer.singleShot(2000, lambda: engine.warm_up("sample"))
        return app.exec()
    finally:
        restore_hook()
        session.close_project()
        engine.shutdown()


def make_application() -> QApplication:
    """The dressed ``QApplication``, or the one that is there already."""
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
    """Show what no one caught as one notice, and go on: everything done is saved already.

    Returns what puts the former hook back.
    """
    former = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, Exception):
            session.report(error)
        else:
            former(kind, error, trace)

    sys.excepthook = hook

    def restore() -> None:
        sys.excepthook = former

    return restore
