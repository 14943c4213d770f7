"""What all tests share: Qt without a screen, a home of their own, the sample frames."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before anything imports Qt or reads a setting: no screen, no network, no file of the real user.
_HOME = tempfile.mkdtemp(prefix="fetalstudio-tests-")
# Processes that tests start would compile the program each time if they kept no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.update(
    QT_QPA_PLATFORM="offscreen",
    FETALSTUDIO_HOME=_HOME,
    HOME=_HOME,
    XDG_CONFIG_HOME=f"{_HOME}/xdg-config",
    XDG_DATA_HOME=f"{_HOME}/xdg-data",
    XDG_CACHE_HOME=f"{_HOME}/xdg-cache",
    HF_HUB_OFFLINE="1",
)

import pytest

try:
    from PySide6.QtCore import QSettings, QThread
    from PySide6.QtWidgets import QApplication  # noqa: F401  (proves that the Qt libraries load)
except ImportError as error:  # Tests of the window that are skipped would look like passed ones.
    raise pytest.UsageError(
        f"Qt does not load ({error}). `python3 run.py test` sets it up."
    ) from error

from fetalstudio.engine.process.threads import cores, settle_threads
from fetalstudio.resources import samples_dir, user_config_dir

# Before torch is imported: the workers of pytest-xdist share the cores. They inherit the number of
# threads that this file set in the process that started them, which would be too many.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_THREADS = max(1, cores() // _WORKERS)
_GIVEN = int(os.environ.get("OMP_NUM_THREADS", _THREADS))
os.environ["OMP_NUM_THREADS"] = str(min(_GIVEN, _THREADS))
settle_threads()

if TYPE_CHECKING:
    from fetalstudio.project.project import Project

QSettings.setDefaultFormat(QSettings.Format.IniFormat)
QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, f"{_HOME}/qt")
QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.SystemScope, f"{_HOME}/qt-system")


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of the window is marked ``ui``.

    Slow tests come first, or the last one would keep one worker busy while the others are done.
    """
    folder = Path(__file__).parent / "ui"
    for item in items:
        if folder in item.path.parents:
            item.add_marker("ui")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the models or the settings that another one left behind."""
    monkeypatch.setenv("FETALSTUDIO_HOME", tempfile.mkdtemp(dir=_HOME))


@pytest.fixture(autouse=True)
def _answers_are_remembered(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The built-in models compute each answer once; not where time is measured."""
    loaded = {"fetalstudio.segmentation.compact", "fetalstudio.synthesis.pipeline"}
    if loaded <= sys.modules.keys() and request.node.get_closest_marker("perf") is None:
        from tests.remembered import remember

        remember(monkeypatch)


@pytest.fixture
def samples() -> Path:
    """The folder of the 24 sample frames (read only)."""
    return samples_dir()


@pytest.fixture(scope="session")
def _imported_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from fetalstudio.project.importing.importers import import_frames
    from fetalstudio.project.project import Project

    path = tmp_path_factory.mktemp("samples") / "project"
    with pytest.MonkeyPatch.context() as patch, Project.create(path) as project:
        patch.setenv("FETALSTUDIO_HOME", _HOME)
        import_frames(project, samples_dir())
    return path


@pytest.fixture
def sample_project(_imported_samples: Path, tmp_path: Path) -> Iterator[Project]:
    """An open project of its own for each test, holding the sample frames."""
    from fetalstudio.project.project import Project

    path = tmp_path / "project"
    shutil.copytree(_imported_samples, path)
    secrets = user_config_dir() / "secrets"  # in the home of this test
    shutil.copytree(Path(_HOME) / "config" / "secrets", secrets, dirs_exist_ok=True)
    with Project.open(path) as project:
        yield project


@pytest.fixture(scope="session")
def forks() -> None:
    """Starts the process from which children are forked, with PyTorch loaded.

    A new interpreter for each child would spend five seconds of CPU on that.
    """
    from fetalstudio.studies.campaigns.child import in_child, preload
    from fetalstudio.studies.campaigns.commands import PRELOADED

    damaged = [f"damaged_{what}" for what in ("database", "models", "pictures")]
    preload([*PRELOADED, *(f"fetalstudio.studies.campaigns.{name}" for name in damaged)])
    in_child(int, patience_s=120.0)


@pytest.fixture(autouse=True)
def _no_thread_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a QThread running: Qt aborts when such an object dies."""
    if not {"qtbot", "qapp"} & set(request.fixturenames):
        yield
        return
    # Only the objects that the test makes are searched, not hundreds of thousands of others. The
    # project freezes and unfreezes too, which would hide some or bring back all; a test that
    # measures time needs that.
    with pytest.MonkeyPatch.context() as patch:
        gc.freeze()
        try:
            if request.node.get_closest_marker("perf") is None:
                patch.setattr(gc, "freeze", lambda: None)
                patch.setattr(gc, "unfreeze", lambda: None)
            yield
            left = _running_threads()
        finally:
            patch.undo()
            gc.unfreeze()
    assert not left, f"QThread left running: {[t.objectName() or type(t).__name__ for t in left]}"


def _running_threads() -> list[QThread]:
    """Those made since the garbage collector was frozen."""
    from shiboken6 import isValid

    # By type: isinstance would ask each object for its class, and torch's proxies then warn.
    threads = [o for o in gc.get_objects() if issubclass(type(o), QThread)]
    return [t for t in threads if isValid(t) and t != QThread.currentThread() and t.isRunning()]
