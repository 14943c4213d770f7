"""The frames' pictures: ``frames/<2 hex>/<id>.png``, written once and never changed.

A picture is put in its place only inside a write transaction of the store, so the holder of the
write lock knows that a picture without a row is an orphan. An import first stages its pictures; see
:mod:`fetalstudio.project.staging`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.formats.pictures.picture_files import (
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    check_size,
    read_image,
    write_png,
)
from fetalstudio.project.store.rows import is_frame_id

Pixels = NDArray[np.uint8]
"""(H, W) grey, 0 to 255."""
Kind = Literal["real", "synthetic"]

NOTES: Mapping[Kind, str] = {"real": FRAME_NOTE, "synthetic": SYNTHETIC_NOTE}

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

    def remove_abandoned(self) -> int:
        """Delete what a crash left half-written; returns the number of files.

        Call inside a write transaction only: no picture is then on its way to its place.
        """
        files = 0
        for folder, name in self._files():
            if name.startswith(".part-"):
                (folder / name).unlink(missing_ok=True)
                files += 1
        return files
