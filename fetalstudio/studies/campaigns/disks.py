"""Campaign ``disks``: jobs run on disks that become full or cannot be written.

Nothing that was saved may be lost, the message must say what could not be written, and once there
is room again the same command must do the work to its end.

How a disk is made full or read-only depends on what the system allows. As root on Linux it is a
file system in memory (tmpfs) with some room left, and a folder of it that is mounted read-only.
Elsewhere files may not grow beyond a size, which fails like a full disk (``RLIMIT_FSIZE``), and a
folder loses its permission to be written.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.commands import (
    COMMANDS,
    JOBS,
    Ended,
    Workplace,
    faults,
    leftovers,
)
from fetalstudio.studies.campaigns.kills import again

_JOBS = (*COMMANDS, "propose", "evaluate", "report")
_DISK_MB = 256
_READ_ONLY_SHARE = 0.25
_FOLDERS = (".", "frames", "models", "exports")
"""Those of a project that are made read-only."""


class Disks:
    """Starves a job of room, each time on a fresh copy of a project."""

    def __init__(self, folder: Path) -> None:
        self._place = Workplace.made(folder)
        self._disk: _MemoryDisk | _Folder = (
            _MemoryDisk(folder / "disk") if can_mount() else _Folder(folder / "disk")
        )
        self._written: dict[str, int] = {}

    def trial(self, seed: int) -> Outcome:
        chance = random.Random(seed)
        name = _JOBS[seed % len(_JOBS)]
        if name not in self._written:
            self._written[name] = self._bytes_written(name)
        with self._disk.ready() as folder, self._place.copy(into=folder) as (project, out):
            if chance.random() < _READ_ONLY_SHARE:
                which = chance.choice(_FOLDERS)
                text = f"{name}: {which if which != '.' else 'the project'} is read-only"
                starved = self._disk.read_only(project / which)
            else:
                text = f"{name}: full ({self._disk.how})"
                starved = self._disk.full(int(chance.random() ** 2 * self._written[name]))
            with starved as prepare:
                ended = self._place.ended(self._place.start(JOBS[name](project, out), prepare))
            found = [*_faults(ended), *leftovers(out), *faults(self._place, project, out)]
            if ended.status == 0:
                return Outcome(f"{text}, had room", tuple(found))
            if name in COMMANDS:
                found += again(self._place, name, project, out)
            return Outcome(text, tuple(found))

    def _bytes_written(self, name: str) -> int:
        """How many bytes the job leaves behind, about, where it has room."""
        with self._disk.ready() as folder, self._place.copy(into=folder) as (project, out):
            before = _bytes_in(folder)
            ended = self._place.run(JOBS[name](project, out))
            if ended.status != 0:
                raise RuntimeError(f"{name} fails undisturbed: {ended.errors}")
            # The log of the database was merged into it at the end, after it took as much again.
            return 2 * (_bytes_in(folder) - before) + 2 * (project / "project.db").stat().st_size


def _faults(ended: Ended) -> list[str]:
    """What is wrong with how a starved command ended."""
    found = []
    if ended.status not in (0, 1, 2):
        found.append(f"exit status {ended.status}")
    if not isinstance(ended.line, dict):
        found.append(f"no JSON line: {ended.errors[-200:]}")
    elif ended.status and "writ" not in str(ended.line.get("error")):
        found.append(f"nothing is said of writing: {ended.line}")
    if "Traceback" in ended.errors:
        found.append(ended.errors[-1500:])
    return found


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return False
    # A container may forbid what its root could do elsewhere.
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]
    with contextlib.suppress(OSError):
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return False


class _MemoryDisk:
    """A file system in memory."""

    how = "tmpfs"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def ready(self) -> Iterator[Path]:
        """The folder, empty."""
        self._folder.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs", self._folder)
        try:
            yield self._folder
        finally:
            _run("umount", self._folder)
            self._folder.rmdir()

    @contextlib.contextmanager
    def full(self, room: int) -> Iterator[Callable[[], object] | None]:
        """Leave ``room`` bytes."""
        filler = self._folder / "filler"
        status = os.statvfs(self._folder)
        with filler.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(status.f_bavail * status.f_frsize - room, 1))
        try:
            yield None
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def read_only(self, folder: Path) -> Iterator[Callable[[], object] | None]:
        """Mount ``folder`` read-only."""
        _run("mount", "--bind", folder, folder)
        _run("mount", "-o", "remount,bind,ro", folder)
        try:
            yield None
        finally:
            _run("umount", folder)


class _Folder:
    """A folder on the disk that is there."""

    how = "RLIMIT_FSIZE"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def ready(self) -> Iterator[Path]:
        """The folder, empty."""
        self._folder.mkdir()
        try:
            yield self._folder
        finally:
            self._folder.rmdir()

    @contextlib.contextmanager
    def full(self, room: int) -> Iterator[Callable[[], object] | None]:
        """Let no file grow beyond ``room`` bytes, 4 kB at least, which the logs need."""

        yield functools.partial(_limit_files, max(room, 4096))

    @contextlib.contextmanager
    def read_only(self, folder: Path) -> Iterator[Callable[[], object] | None]:
        """Take the permission to write from ``folder``."""
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield None
        finally:
            folder.chmod(mode)


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
