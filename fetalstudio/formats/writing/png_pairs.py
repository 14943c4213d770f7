"""Pictures with masks beside them, as scripts and other programs like them.

``NAME.png`` and ``NAME_mask.png``, with a table of the ellipses; and the layout in which the code
of the paper reads its data (arXiv 2506.23664): ``image/NAME.png``, ``mask/NAME_Annotation.png`` and
lists of the parts. :mod:`fetalstudio.formats.folders.mask_folders` reads both.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from fetalstudio.core.splits import Part
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE, write_png
from fetalstudio.formats.tables.frame_columns import ELLIPSE, FILENAME, PIXEL_SIZE, SIZE
from fetalstudio.formats.tables.frame_tables import ELLIPSES_TABLE
from fetalstudio.formats.tables.table_files import write_table
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_COLUMNS = (FILENAME, *ELLIPSE, *SIZE, PIXEL_SIZE)


class PngPairsWriter(PictureFolderWriter):
    """Writes each picture with its mask beside it, and a table of the ellipses and pixel sizes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows: list[dict[str, object]] = []

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """A folder for each part; none where they are not divided."""
        return Path(part or "", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the mask, and remember the row of the table."""
        width, height = picture.size
        row: dict[str, object] = {FILENAME: picture.path.name, "width": width, "height": height}
        calibration = picture.calibration
        if calibration is not None and calibration.mm_per_px_x == calibration.mm_per_px_y:
            row[PIXEL_SIZE] = f"{calibration.mm_per_px_x:.13g}"
        if picture.ellipse is not None:
            row |= asdict(picture.ellipse)
            _write_mask(picture.path.with_name(f"{picture.stem}_mask.png"), picture)
        self._rows.append(row)

    def complete(self) -> None:
        """Write the table."""
        write_table(self.folder / ELLIPSES_TABLE, _COLUMNS, self._rows)


class PaperWriter(PictureFolderWriter):
    """Writes the pictures, their masks and the lists as the paper's code reads them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lists: dict[Part | None, list[str]] = defaultdict(list)

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("image", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the mask, and remember the part."""
        if picture.ellipse is not None:
            _write_mask(self.folder / "mask" / f"{picture.stem}_Annotation.png", picture)
            self._lists[picture.part].append(picture.stem)

    def complete(self) -> None:
        """Write the lists. The code has the number of pictures in the name of the first."""
        folder = self.folder / "fewshot_sam"
        for part, stems in self._lists.items():
            places: dict[Part | None, Path] = {
                "train": Path("train", f"data_{len(stems)}.list"),
                "validation": Path("val", "data.list"),
                "test": Path("test", "data.list"),
                None: Path("all", "data.list"),
            }
            write_bytes(folder / places[part], "\n".join(stems).encode())


def _write_mask(path: Path, picture: Written) -> None:
    assert picture.ellipse is not None
    write_png(path, picture.ellipse.mask(picture.size) * 255, ANNOTATION_NOTE)
