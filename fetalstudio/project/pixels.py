"""The frames' pictures: ``frames/<2 hex>/<id>.png``, written once and never changed.

A picture is put in its place only inside a write transaction of the store, so the holder of the
write lock knows that a picture without a row is an orphan. An import may take minutes and must not
block the window meanwhile, so it first stages its pictures in a separate folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.pictures import (
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    check_size,
    read_image,
    write_png,
)
from fetalstudio.project.locks import Lock
from fetalstudio.project.rows import is_frame_id

Pixels = NDArray[np.uint8]
"""(H, W) grey, 0 to 255."""
Kind = Literal["real", "synthetic"]

NOTES: Mapping[Kind, str] = {"real": FRAME_NOTE, "synthetic": SYNTHETIC_NOTE}

_STAGING = ".staging-"
_PUT_BACK = "Import the same picture again, or put the file back from a copy of the project."


def picture_id(pixels: Pixels) -> str:
    """SHA-256 (hex) over the size and the pixels.

    Raises ``ValueError`` for anything but (H, W) uint8 and :class:`InputError` for a size that no
    frame may have.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"a frame is (H, W) uint8, not {pixels.shape} {pixels.dtype}")
    height, width = pixels.shape
    check_size((width, height), "The picture")
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class Pictures:
    """The ``frames`` folder of a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, frame_id: str) -> Path:
        """Where the picture is, or would be. Raises :class:`UserError` for what is no id."""
        if not is_frame_id(frame_id):
            raise UserError(f"{frame_id!r} is not the id of a frame. Choose a frame of the list.")
        return self.folder / frame_id[:2] / f"{frame_id}.png"

    def read(self, frame_id: str) -> Pixels:
        """Raises :class:`UserError` if the file is gone or no longer holds these pixels."""
        path = self.path(frame_id)
        try:
            pixels = read_image(path)
        except InputError as error:
            raise UserError(f"{path} is missing or damaged. {_PUT_BACK}") from error
        if picture_id(pixels) != frame_id:
            raise UserError(f"{path} was changed. {_PUT_BACK}")
        return pixels

    def holds(self, frame_id: str) -> bool:
        """Whether the picture is in its place, whole."""
        try:
            self.read(frame_id)
        except UserError:
            return False
        return True

    def write(self, frame_id: str, pixels: Pixels, note: str) -> None:
        """Call inside a write transaction only. ``note`` says in the file what the picture is."""
        write_png(self.path(frame_id), pixels, note)

    def remove(self, frame_id: str) -> None:
        """Call inside a write transaction only, for a picture without a row."""
        self.path(frame_id).unlink(missing_ok=True)

    def ids(self) -> Iterator[str]:
        """The id of every picture in its place."""
        for _, name in self._files():
            if name.endswith(".png") and not name.startswith("."):
                yield name.removesuffix(".png")

    def _files(self) -> Iterator[tuple[Path, str]]:
        """The folder and the name of each file in the place of pictures."""
        # Without a Path for each: there may be a hundred thousand.
        for folder in self.folder.glob("??/"):
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries]
            for name in names:
                yield folder, name

    @contextlib.contextmanager
    def staging(self, known: Callable[[str], bool]) -> Iterator[Staging]:
        """A folder for pictures that may become frames. It is deleted at the end of the block.

        ``known`` says whether the project has a row for the frame of an id.
        """
        folder = self.folder / f"{_STAGING}{secrets.token_hex(8)}"
        lock = Lock(folder.with_suffix(".lock"))
        # The lock comes first: a folder whose lock is free was left behind by a crash.
        if not lock.acquire(wait_s=5.0):
            raise UserError(f"{lock.path} is held by another program. Try again.")
        try:
            yield Staging(folder, self, known)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.remove()

    def remove_abandoned(self) -> int:
        """Delete what a crash left half-done; returns the number of files.

        Call inside a write transaction only: no picture is then on its way to its place.
        """
        files = 0
        for folder, name in self._files():
            if name.startswith(".part-"):
                (folder / name).unlink(missing_ok=True)
                files += 1
        for path in self.folder.glob(f"{_STAGING}*.lock"):
            lock = Lock(path)
            if lock.acquire():
                folder = path.with_suffix("")
                files += len(list(folder.iterdir())) if folder.is_dir() else 0
                shutil.rmtree(folder, ignore_errors=True)
                lock.remove()
        return files


class Staging:
    """Pictures on their way into a project."""

    def __init__(self, folder: Path, pictures: Pictures, known: Callable[[str], bool]) -> None:
        self._folder = folder
        self._pictures = pictures
        self._known = known

    def put(self, pixels: Pixels, note: str = FRAME_NOTE) -> str:
        """Write the picture here unless the project or this folder holds it; returns its id.

        ``note`` says in the file what the picture is. A synthetic picture stays one, though it may
        come a second time without its note.

        A picture whose file in the project is missing or damaged is written too, to replace it. So
        is one that a killed import left in its place: a window that opens may remove it meanwhile.
        """
        frame_id = picture_id(pixels)
        held = self._known(frame_id) and self._pictures.holds(frame_id)
        if not held and (note != FRAME_NOTE or not self._path(frame_id).exists()):
            try:
                write_png(self._path(frame_id), pixels, note)
            except UserError as error:
                raise self._unwritable(error.__cause__ or error) from error
        return frame_id

    def place(self, frame_id: str) -> None:
        """Move the picture to its place, if it is not there. Call inside a write transaction only.

        Raises :class:`UserError` if it is neither staged nor in its place.
        """
        target = self._pictures.path(frame_id)
        if target.exists() and not self._path(frame_id).exists():
            return
        try:
            target.parent.mkdir(exist_ok=True)
            self._path(frame_id).replace(target)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: BaseException) -> UserError:
        """Names the folder, as a hidden staging file means nothing to the user."""
        return UserError(
            f"{self._pictures.folder} could not be written: "
            f"{getattr(error, 'strerror', None) or error}. Nothing was imported. "
            "Check that the folder is writable and the disk has room, then try again."
        )

    def _path(self, frame_id: str) -> Path:
        return self._folder / f"{frame_id}.png"
