"""Frames with masks in MetaImage, NRRD or NIfTI, written with their pixel size.

:mod:`~fetalstudio.formats.folders.mask_folders` reads them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.splits import Part
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE
from fetalstudio.formats.pictures.volumes import write_volume
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written


class VolumePairsWriter(PictureFolderWriter):
    """Writes ``images/NAME`` and ``masks/NAME`` with an ending such as ``.nii.gz``."""

    def __init__(
        self,
        folder: Path,
        suffix: str,
        *,
        images: str = "images",
        masks: str = "masks",
        head: int = 1,
    ) -> None:
        """``images`` and ``masks`` are the names of the two folders, ``head`` is the value of the
        head in a mask."""
        super().__init__(folder)
        self._suffix, self._images, self._masks, self._head = suffix, images, masks, head

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path(self._images, f"{stem}{self._suffix}")

    def write(self, picture: Written, pixels: NDArray[np.uint8], note: str) -> None:
        """With the pixel size in its header."""
        write_volume(picture.path, pixels, spacing_of(picture), note)

    def describe(self, picture: Written) -> None:
        """Write the mask."""
        if picture.ellipse is not None:
            mask = picture.ellipse.mask(picture.size) * np.uint8(self._head)
            path = self.folder / self._masks / f"{picture.stem}{self._suffix}"
            write_volume(path, mask, spacing_of(picture), ANNOTATION_NOTE)

    def complete(self) -> None:
        """Nothing is left to write."""


def spacing_of(picture: Written) -> tuple[float, float] | None:
    """Width and height of a pixel in mm, where they are known."""
    c = picture.calibration
    return None if c is None else (c.mm_per_px_x, c.mm_per_px_y)
