"""Writing files so that a crash, a kill or a full disk never leaves half of one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from fetalstudio.core.errors import InputError, UserError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is fsynced and renamed over it.

    On any error the temporary file is removed and ``path`` is as it was. The temporary file exists,
    empty, and its name (``.part-*``) keeps the suffix, for writers that choose their format by it.
    Raises :class:`UserError` where the system refuses (unwritable folder, full disk).
    """
    path = Path(path)
    temporary = path.with_name(_part_name() + path.suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(path.parent)
        temporary.touch(exist_ok=False)
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        _ours.discard(_marker(temporary.name))


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success its files are moved into ``path``.

    The files are moved one by one, and each replaces the file of its name at once.

    On any error the files of ``path`` are as they were. Raises :class:`UserError` as
    :func:`atomic_path`.
    """
    temporary = path.with_name(_part_name())
    try:
        temporary.mkdir(parents=True)
        _sweep_once(path.parent)
        with _naming(path, temporary):
            yield temporary
        for made in sorted(p for p in temporary.rglob("*") if p.is_file()):
            with atomic_path(path / made.relative_to(temporary)) as place:
                made.replace(place)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _ours.discard(_marker(temporary.name))


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path``, a folder that is new or empty.

    What a killed process left in it or beside it is removed. On any error ``path`` is as it was.
    Raises :class:`InputError` where ``path`` is in use and :class:`UserError` where it cannot be
    written.
    """
    part = _part_name()
    temporary = path / part
    try:
        for folder in (path, path.parent):
            _sweep(folder)
        there = path.exists()
        if there and not (path.is_dir() and not any(path.iterdir())):
            raise InputError(f"{path} is already there and not empty. Choose a new folder.")
        # An empty folder may be a mounted disk or a link, which cannot be replaced.
        if not there:
            temporary = path.with_name(part)
        temporary.mkdir(parents=True)
        with _naming(path, temporary):
            yield temporary
        if there:
            for made in sorted(temporary.iterdir()):
                made.replace(path / made.name)
        else:
            temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _ours.discard(_marker(part))


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The content of a file from outside, which may be anything.

    Raises :class:`InputError` for what is missing, cannot be read, is no regular file (a pipe would
    be waited for without end, a device has none) or is larger than ``max_bytes``.
    """
    try:
        if check_regular(path) <= max_bytes:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)  # it may have grown
            if len(data) <= max_bytes:
                return data
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    raise InputError(
        f"{path} is larger than {max_bytes >> 20} MiB. Export less into one file, or leave it out."
    )


def check_regular(path: Path) -> int:
    """The size in bytes of a file. Raises :class:`InputError` for what is none, such as a pipe, and
    ``OSError`` for what cannot be looked at."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} cannot be read: it is not a file. Check the path.")
    return status.st_size


def is_inside(path: str | PurePosixPath) -> bool:
    """Whether a path is relative and stays in the folder that it is relative to."""
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    return not (
        posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts
    ) and bool(posix.parts)


def start_of(path: Path, size: int) -> bytes:
    """The first bytes of a file; none where it cannot be read, or is a pipe or a device."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(size)
    except OSError:
        return b""


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises :class:`UserError` as :func:`atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_PART = re.compile(r"\.part-([0-9a-f]{8})-(\d+)-([0-9a-f]{16})")
"""The name of what is being written: the machine, the process and a number of its own."""
_ANY_PART = re.compile(r"\.part-[0-9a-f-]+(\.\w+|-.*)?")
"""Names of earlier versions too."""
_ABANDONED_AFTER_S = 24 * 3600
"""For leftovers whose process cannot be looked for, since the newest change in them."""
_ours: set[str] = set()
"""What this process is writing, by the beginning of its name. A process of a container often has
the number of its dead predecessor."""
_swept: set[Path] = set()


def _part_name() -> str:
    name = f".part-{_MACHINE}-{os.getpid()}-{secrets.token_hex(8)}"
    _ours.add(name)
    return name


def _marker(name: str) -> str:
    """The name without the suffix of its file."""
    found = _PART.match(name)
    return found[0] if found else name


def _sweep_once(folder: Path) -> None:
    """:func:`_sweep` a folder that this process has not yet written to."""
    if folder not in _swept:
        _swept.add(folder)
        _sweep(folder)


def _sweep(folder: Path) -> None:
    """Remove what dead processes left half-written in a folder; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".part-*"):
            if not _is_abandoned(path):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_abandoned(path: Path) -> bool:
    found = _PART.match(path.name)
    if found is not None and found[1] == _MACHINE:
        number = int(found[2])
        if number == os.getpid():
            return found[0] not in _ours
        return not _is_running(number)
    old = time.time() - path.lstat().st_mtime > _ABANDONED_AFTER_S
    return old and _ANY_PART.fullmatch(path.name) is not None


def _is_running(process: int) -> bool:
    """Whether there is a process of this number on this machine."""
    if sys.platform == "win32":
        import ctypes

        synchronize, timeout = 0x100000, 0x102
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(synchronize, False, process)
        if not handle:
            return bool(kernel.GetLastError() == 5)  # access denied: it exists
        try:
            return bool(kernel.WaitForSingleObject(handle, 0) == timeout)
        finally:
            kernel.CloseHandle(handle)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """Let the block's errors name ``path``, where a person looks, and not the hidden folder."""
    try:
        yield
    except UserError as error:
        said = str(error)
        if str(temporary) not in said:
            raise
        raise type(error)(said.replace(str(temporary), str(path))) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path} could not be written: {error.strerror or error}. "
        "Check that the folder is writable and the disk has room, then try again."
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut. Only POSIX lets a folder be synced, and not everywhere."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal digits.

    Raises :class:`InputError` where it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(2**20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the disk.") from error
    return digest.hexdigest()
