"""The program is ended by a signal while a job runs: nobody is there to be asked."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fetalstudio.project.project import Project
from fetalstudio.ui import app

PROGRAM = textwrap.dedent(
    """
    import faulthandler, os, signal, sys
    from pathlib import Path
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtWidgets import QApplication
    from fetalstudio.ui import app, job_runner
    from fetalstudio.ui.window.main_window import MainWindow
    from tests.engine.jobs_for_tests import ask

    def look():
        windows = [w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow)]
        if windows and windows[0].session.project is not None:
            watch.stop()
            handle = windows[0].session.submit(ask("steps", 10_000_000))
            handle.cancelled.connect(lambda result: print("stopped", result > 0))
            once = Qt.ConnectionType.SingleShotConnection
            handle.progress.connect(lambda _: os.kill(os.getpid(), signal.SIGTERM), once)

    if __name__ == "__main__":
        faulthandler.dump_traceback_later(30, exit=True)  # where the window asks, and waits
        job_runner.Engine.warm_up = lambda *_: None
        app.make_application()
        watch = QTimer(interval=50)
        watch.timeout.connect(look)
        watch.start()
        sys.exit(app.run(Path(sys.argv[1])))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_a_signal_ends_the_program_while_a_job_runs(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(PROGRAM)
    Project.create(tmp_path / "project").close()
    environment = {**os.environ, "FETALSTUDIO_HOME": str(tmp_path / "home")}
    environment["PYTHONPATH"] = str(Path(app.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "project")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "stopped True\n"), done.stderr
