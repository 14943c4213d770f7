"""Writing files so that a crash, a kill or a full disk never leaves half of one."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from fetalstudio.core.errors import InputError, UserError


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it is fsynced and renamed over it.

    On any error the temporary file is removed and ``path`` is as it was. The temporary file exists,
    empty, and its name (``.part-*``) keeps the suffix, for writers that choose their format by it.
    Raises :class:`UserError` where the system refuses (unwritable folder, full disk).
    """
    path = Path(path)
    temporary = path.with_name(f".part-{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; on success its files are moved into ``path``.

    The files are moved one by one, and each replaces the file of its name at once.

    On any error the files of ``path`` are as they were. Raises :class:`UserError` as
    :func:`atomic_path`.
    """
    temporary = path.with_name(f".part-{secrets.token_hex(8)}")
    try:
        temporary.mkdir(parents=True)
        yield temporary
        for made in sorted(p for p in temporary.rglob("*") if p.is_file()):
            with atomic_path(path / made.relative_to(temporary)) as place:
                made.replace(place)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path``, a folder that is new or empty.

    On any error ``path`` is as it was. Raises :class:`InputError` where ``path`` is in use and
    :class:`UserError` where it cannot be written.
    """
    part = f".part-{secrets.token_hex(4)}"
    temporary = path / part
    try:
        there = path.exists()
        if there and not (path.is_dir() and not any(path.iterdir())):
            raise InputError(f"{path} is already there and not empty. Choose a new folder.")
        # An empty folder may be a mounted disk or a link, which cannot be replaced.
        if not there:
            temporary = path.with_name(f"{part}-{path.name}")
        temporary.mkdir(parents=True)
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


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The content of a file from outside, which may be anything.

    Raises :class:`InputError` for what is missing, cannot be read, is no regular file (a pipe would
    be waited for without end, a device has none) or is larger than ``max_bytes``.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} cannot be read: it is not a file. Check the path.")
        if status.st_size <= max_bytes:
            with path.open("rb") as stream:
                data = stream.read(max_bytes + 1)  # it may have grown
            if len(data) <= max_bytes:
                return data
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    raise InputError(
        f"{path} is larger than {max_bytes >> 20} MiB. Export less into one file, or leave it out."
    )


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically. Raises :class:`UserError` as :func:`atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


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
