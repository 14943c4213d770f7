"""Measures the window on a large project: ``python -m tests.ui.growth FOLDER --frames N``.

The project is made in FOLDER if that is not there yet. Each frame has a calibration, two labels,
two revisions of its ellipse and a picture of 800 x 540 px. The window runs in a process of its own,
without a screen, and is driven through its widgets.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

_SEARCHES = ("0", "00", "001", "0012", "00123", "0012", "hc", "egy", "nothing", "")
_SCROLLS = 60
_STROKES = 5
_SETTLED_S = 1.5

Seconds = tuple[float, float]
"""Of the processor, and of the clock."""


def make(path: Path, frames: int) -> Path:
    """A project with so many frames; returns its folder."""
    from fetalstudio.project.project import Project
    from fetalstudio.resources import samples_dir
    from tests.project.test_growth import fill

    with Project.create(path) as project:
        fill(path, frames)
        samples = sorted(samples_dir().glob("*_HC.png"))
        for number, frame in enumerate(project.frames.all()):
            # One file per few frames: file systems limit how many names a file can have.
            sample = samples[number % len(samples)]
            shared = path / "exports" / f"{number // 20_000}-{sample.name}"
            if not shared.exists():
                shutil.copyfile(sample, shared)
            picture = project.frames.path(frame.id)
            picture.parent.mkdir(exist_ok=True)
            os.link(shared, picture)
    return path


def measured(project: Path) -> Mapping[str, Any]:
    """Open the window on ``project``, search, scroll and draw, in a child.

    Of the searches, of the scrolling, of the strokes and of what the window does while it is left
    alone, the longest step counts, in seconds of the processor and of the clock. Memory is the most
    that the process had held until then, in MiB.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "FETALSTUDIO_HOME": home, "QT_QPA_PLATFORM": "offscreen"}
        command = [sys.executable, "-m", "tests.ui.growth", "--child", str(project)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: Mapping[str, Any] = json.loads(ended.stdout)
    return found


def _measure(path: Path) -> Mapping[str, Any]:
    import resource

    from PySide6.QtCore import QSettings

    from fetalstudio.core.ellipse import Ellipse
    from fetalstudio.ui.app import make_application
    from fetalstudio.ui.job_runner import Engine
    from fetalstudio.ui.library.page import LibraryPage
    from fetalstudio.ui.session import Session
    from fetalstudio.ui.settings import Settings
    from fetalstudio.ui.window.main_window import MainWindow

    app = make_application()
    settings = Path(os.environ["FETALSTUDIO_HOME"], "settings.ini")
    engine = Engine()
    session = Session(engine, Settings(QSettings(str(settings), QSettings.Format.IniFormat)))
    window = MainWindow(session)
    window.resize(1280, 800)
    window.show()
    app.processEvents()

    def memory() -> int:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)

    def timed(step: Callable[[], object] = lambda: None) -> Seconds:
        processor, clock = time.process_time(), time.perf_counter()
        step()
        app.processEvents()
        return time.process_time() - processor, time.perf_counter() - clock

    found: dict[str, Any] = {"memory_empty": memory()}
    found["open_s"] = timed(lambda: window.start(path))
    found["memory_open"] = memory()
    library = window.page("library")
    assert isinstance(library, LibraryPage)
    found["frames"] = library.model.rowCount()
    alone, until = [timed()], time.perf_counter() + _SETTLED_S
    while time.perf_counter() < until or len(window.pages) < 5:  # pages are made meanwhile
        alone.append(timed())
    found["alone_s"] = max(alone)
    search = library.filters.search
    found["search_s"] = max(timed(partial(search.setText, text)) for text in _SEARCHES)
    bar, scrolled = library.grid.verticalScrollBar(), []
    for number in range(_SCROLLS):
        scrolled.append(timed(partial(bar.setValue, bar.maximum() * number // _SCROLLS)))
        for _ in range(5):  # thumbnails come in from their threads meanwhile
            time.sleep(0.01)
            scrolled.append(timed())
    found["scroll_s"] = max(scrolled)

    def draw(row: int) -> None:
        frame_id = library.model.frame(row).id
        ellipse = Ellipse(400, 270, 200, 150 - row, 20)
        session.open.annotations.add(frame_id, ellipse, author="me", state="draft")
        session.annotation_changed.emit(frame_id)

    found["draw_s"] = max(timed(partial(draw, row)) for row in range(_STROKES))
    found["memory"] = memory()
    window.close()
    session.close_project()
    engine.shutdown()
    app.processEvents()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--child", action="store_true")
    options = parser.parse_args()
    if options.child:
        print(json.dumps(_measure(options.folder)))
    else:
        if not options.folder.exists():
            make(options.folder, options.frames)
        print(json.dumps(measured(options.folder), indent=1))
