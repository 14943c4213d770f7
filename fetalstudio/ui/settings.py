"""The settings that the window remembers."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QByteArray, QSettings

from fetalstudio.engine.jobs.propose.request import SNAP
from fetalstudio.resources import user_config_dir

RECENT = 8
"""The number of recent projects that are offered."""

T = TypeVar("T", bool, int, float, str)


class Settings:
    """A typed view of ``QSettings``.

    The window's own settings are properties. Pages keep plain values by key, such as
    ``"synthesise/steps"``, with :meth:`get` and :meth:`set`. ``store`` defaults to the user's
    settings file.
    """

    def __init__(self, store: QSettings | None = None) -> None:
        file = str(user_config_dir() / "settings.ini")
        self._store = store or QSettings(file, QSettings.Format.IniFormat)

    def get(self, key: str, default: T) -> T:
        """The value under ``key``, or ``default`` if there is none of the same type."""
        value = self._store.value(key)
        if value is None:
            return default
        # A settings file returns every value as text, so the type of the default decides.
        if isinstance(default, bool):
            return str(value).lower() in {"1", "true"}
        try:
            return type(default)(str(value))
        except (TypeError, ValueError):
            return default

    def set(self, key: str, value: bool | int | float | str) -> None:
        """Keep a plain value under ``key``."""
        self._store.setValue(key, value)

    @property
    def author(self) -> str:
        """The author of annotations and reviews; by default the system's user name."""
        return self.get("author", "") or _user_name()

    @author.setter
    def author(self, name: str) -> None:
        self.set("author", name.strip())

    @property
    def last_project(self) -> Path | None:
        """The project that was open last."""
        path = self.get("last_project", "")
        return Path(path) if path else None

    @property
    def recent_projects(self) -> list[Path]:
        """The projects opened last, newest first, at most :data:`RECENT`."""
        return [Path(line) for line in self.get("recent_projects", "").splitlines() if line]

    def remember_project(self, path: Path) -> None:
        """Make ``path`` the last project and the first recent one."""
        self.set("last_project", str(path))
        paths = [path, *(p for p in self.recent_projects if p != path)]
        self.set("recent_projects", "\n".join(str(p) for p in paths[:RECENT]))

    def forget_project(self, path: Path) -> None:
        """Stop offering ``path``, which was removed or moved."""
        kept = [p for p in self.recent_projects if p != path]
        self.set("recent_projects", "\n".join(str(p) for p in kept))
        if self.last_project == path:
            self.set("last_project", "")

    @property
    def follow_convention(self) -> bool:
        """Whether proposals are drawn as the annotators of the cohort draw."""
        return self.get("follow_convention", True)

    @follow_convention.setter
    def follow_convention(self, on: bool) -> None:
        self.set("follow_convention", on)

    @property
    def snap_proposals(self) -> bool:
        """Whether a second look moves proposed ellipses onto the skull."""
        return self.get("snap_proposals", SNAP)

    @snap_proposals.setter
    def snap_proposals(self, on: bool) -> None:
        self.set("snap_proposals", on)

    @property
    def geometry(self) -> QByteArray | None:
        """Size and position of the window."""
        value = self._store.value("window/geometry")
        return value if isinstance(value, QByteArray) else None

    @geometry.setter
    def geometry(self, value: QByteArray) -> None:
        self._store.setValue("window/geometry", value)

    @property
    def window_level(self) -> tuple[float, float]:
        """Width and level of the grey window, in grey values; (255, 127.5) shows all."""
        return self.get("canvas/window", 255.0), self.get("canvas/level", 127.5)

    @window_level.setter
    def window_level(self, value: tuple[float, float]) -> None:
        self.set("canvas/window", value[0])
        self.set("canvas/level", value[1])


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "annotator"
