"""A batch's pairs as files: ``NAME.png``, ``NAME_mask.png``, and a table of their figures."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.screening import is_copy
from fetalstudio.engine.quality import Measured
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.images import write_png
from fetalstudio.project.records import BatchItem, Pair

TABLE = "pairs.csv"
COLUMNS = (
    *("name", "cx", "cy", "a", "b", "angle_deg", "width", "height"),
    *("seed", "style", "dice", "hc_difference", "hd95_px", "edge"),
    *("similarity", "nearest_frame", "copy"),
    *("speckle_snr", "speckle_difference", "spectrum_db", "grey_difference"),
)


class PairFiles:
    """What is written into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: list[Mapping[str, Any]] = []

    def check_room(self, items: Sequence[BatchItem]) -> None:
        """Raise :class:`InputError` where a file would be written over."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file. Choose a folder for the pairs.")
        files = [TABLE, *(name for item in items for name in (_picture(item), _mask(item)))]
        twice = [name for name, count in Counter(map(str.lower, files)).items() if count > 1]
        if twice:
            raise InputError(
                f"Two of the pairs would be written as {twice[0]}. Rename one of them."
            )
        if there := [name for name in files if (self.folder / name).exists()]:
            raise InputError(
                f"{self.folder} already holds {there[0]}, which would be written over. Choose a "
                "new folder."
            )

    def know(self, item: BatchItem, pair: Pair) -> None:
        """A pair that was made, and written, before."""
        self._rows.append(_row(item, pair.ellipse, pair.quality, pair.provenance))
        # Corrected in review meanwhile: the mask must be that of its row in the table.
        if pair.ellipse != item.ellipse:
            self._write_mask(item, pair.ellipse)

    def write(
        self, item: BatchItem, image: NDArray[np.uint8], label: Ellipse, measured: Measured
    ) -> None:
        """A pair that is new; :meth:`write_table` is to follow."""
        self._rows.append(_row(item, label, measured.quality, measured.provenance))
        write_png(self.folder / _picture(item), image)
        self._write_mask(item, label)

    def write_table(self) -> None:
        """Of all pairs so far, in place of the former one."""
        table = io.StringIO()
        writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_bytes(self.folder / TABLE, table.getvalue().encode())

    def _write_mask(self, item: BatchItem, label: Ellipse) -> None:
        write_png(self.folder / _mask(item), label.mask(item.size) * np.uint8(255))


def _picture(item: BatchItem) -> str:
    return f"{item.name}.png"


def _mask(item: BatchItem) -> str:
    return f"{item.name}_mask.png"


def _row(
    item: BatchItem, label: Ellipse, quality: Mapping[str, float], provenance: Mapping[str, Any]
) -> dict[str, Any]:
    e, (width, height) = label, item.size
    ellipse = {"cx": e.cx, "cy": e.cy, "a": e.a, "b": e.b, "angle_deg": e.angle_deg}
    figures = {"seed": item.seed, "style": item.style, **quality}
    # A pair that was there before (the same picture again) may be of a version without these.
    copied = is_copy(quality, provenance.get("copy_threshold"))
    nearest = {"nearest_frame": provenance.get("nearest_frame"), "copy": int(copied)}
    return {"name": item.name, **ellipse, "width": width, "height": height, **figures, **nearest}
