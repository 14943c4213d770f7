"""Pairs as files: ``NAME.png``, ``NAME_mask.png``, and a table of their figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE, SYNTHETIC_NOTE, write_png
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote, read_record
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables import ellipse_table
from fetalstudio.formats.tables.frame_columns import ELLIPSE
from fetalstudio.formats.tables.frame_tables import NOT_USED
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.tables.table_files import is_missing, read_table, table_text, write_table

TABLE = "pairs.csv"
_REAL_PIXELS = "contains_real_pixels"
_MEASURED = ("dice", "hc_difference", "hd95_px", "edge")
_TEXTURE = ("speckle_snr", "speckle_difference", "spectrum_db", "grey_difference")
COLUMNS = (
    *ellipse_table.COLUMNS,
    *("seed", "style", *_MEASURED),
    *("similarity", "nearest_frame", "copy", _REAL_PIXELS),
    *_TEXTURE,
)


@dataclass(frozen=True, slots=True)
class PairRecord:
    """A pair, without its picture."""

    name: str
    ellipse: Ellipse
    """In px; the mask is drawn from it."""
    size: Size
    """(width, height) in px."""
    seed: int
    style: str
    figures: Mapping[str, float]
    """Quality figures; those that are no column of the table are left out."""
    nearest_frame: str | None
    """Id of the training frame that the picture is most like, where it is known."""
    copy: bool
    contains_real_pixels: bool | None
    """Whether a part of the picture is from a real frame; None where that is not known."""


class PairFiles:
    """The pairs in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records: list[PairRecord] = []

    def check_room(self, names: Sequence[str]) -> None:
        """Raise :class:`InputError` where writing pairs of these names would replace a file."""
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder} is a file. Choose a folder for the pairs.")
        files = [TABLE, *(file for name in names for file in (_picture(name), _mask(name)))]
        twice = [file for file, count in Counter(map(str.lower, files)).items() if count > 1]
        if twice:
            raise InputError(
                f"Two of the pairs would be written as {twice[0]}. Rename one of them."
            )
        if there := [file for file in files if (self.folder / file).exists()]:
            raise InputError(
                f"{self.folder} already holds {there[0]}, which would be written over. Choose a "
                "new folder."
            )

    def claim(self) -> None:
        """Make the table, without a pair in it, so that no other batch takes the folder.

        Raises :class:`InputError` where another has taken it, and
        :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / TABLE).open("x", encoding="utf-8") as stream:
                stream.write(table_text(COLUMNS, ()))
        except FileExistsError as error:
            raise InputError(
                f"Another batch is being written into {self.folder}. Choose a new folder."
            ) from error
        except OSError as error:
            raise UserError(
                f"{self.folder} cannot be written: {error.strerror}. Choose another folder."
            ) from error

    @property
    def claimed(self) -> bool:
        """Whether a batch has taken the folder."""
        return (self.folder / TABLE).exists()

    def holds_only(self, names: Collection[str]) -> bool:
        """Whether the folder has a table that names no other pairs than these."""
        try:
            table = read_table(self.folder / TABLE)
        except InputError:
            return False
        return table.header == COLUMNS and all(row.cells[0] in names for row in table.rows)

    def give_up(self) -> None:
        """Remove the table of a batch that made no pair."""
        (self.folder / TABLE).unlink(missing_ok=True)

    def add(self, record: PairRecord) -> None:
        """Give a pair its row in the table, without writing a file."""
        self._records.append(record)

    def write(
        self, record: PairRecord, image: NDArray[np.uint8], note: str = SYNTHETIC_NOTE
    ) -> None:
        """Add a pair and write its picture (H, W) and mask; :meth:`write_table` is to follow.

        ``note`` says in the picture's file how it was made. Raises
        :class:`~fetalstudio.core.errors.UserError` where they cannot be written.
        """
        self.add(record)
        write_png(self.folder / _picture(record.name), image, note)
        self.write_mask(record)

    def write_mask(self, record: PairRecord) -> None:
        """Write the mask, in place of the former one."""
        mask = record.ellipse.mask(record.size) * np.uint8(255)
        write_png(self.folder / _mask(record.name), mask, ANNOTATION_NOTE)

    def write_table(self) -> None:
        """Write the table of all pairs so far, in place of the former one."""
        write_table(self.folder / TABLE, COLUMNS, map(_row, self._records))


def with_pairs(records: Iterable[FrameRecord]) -> tuple[tuple[FrameRecord, ...], tuple[str, ...]]:
    """The records, with what a table of pairs in the picture's folder says about it, and a message
    for each table that cannot be used.

    Thus pairs are known as synthetic where their pictures lost their notes.
    """
    tables: dict[Path, Mapping[str, SyntheticNote]] = {}
    problems: tuple[str, ...] = ()
    found = []
    for record in records:
        folder = record.path.parent
        if folder not in tables:
            tables[folder] = {}
            try:
                if (folder / TABLE).exists():
                    tables[folder] = _read_pairs(folder / TABLE)
            except InputError as error:
                problems += (f"{error}{NOT_USED}",)
        pair = tables[folder].get(key_of(record.path.stem))
        found.append(record if pair is None else replace(record, synthetic=pair))
    return tuple(found), problems


def _read_pairs(path: Path) -> Mapping[str, SyntheticNote]:
    """The rows of a table of pairs by their names; none for another table of this file name.

    Raises :class:`InputError`, naming the file and the line, for a row that cannot be used.
    """
    table = read_table(path)
    if not {"name", "seed", "style", "copy", *ELLIPSE} <= set(table.header):
        return {}
    numeric = [c for c in (*ELLIPSE, *_MEASURED, "similarity", *_TEXTURE) if c in table.header]
    columns = {name: table.header.index(name) for name in table.header}
    pairs = {}
    numbers = table.numbers([columns[name] for name in numeric])
    for row, values in zip(table.rows, numbers, strict=True):
        if isinstance(values, InputError):
            raise values
        cell = {name: row.cells[i] for name, i in columns.items() if not is_missing(row.cells[i])}
        number = {name: values.get(columns[name]) for name in numeric}
        provenance: dict[str, object] = {
            key: cell[key] for key in ("style", "nearest_frame") if key in cell
        }
        seed = cell.get("seed", "")
        if seed.isdecimal() and len(seed) < 20:
            provenance["seed"] = int(seed)
        record = {
            "synthetic": True,
            "ellipse": {name: number[name] for name in ELLIPSE},
            "copy": cell.get("copy") == "1",
            _REAL_PIXELS: cell.get(_REAL_PIXELS) == "1",
            "quality": {name: number[name] for name in numeric if name not in ELLIPSE},
            "provenance": provenance,
        }
        try:
            pairs[key_of(cell.get("name", ""))] = read_record(record)
        except ValueError as error:
            raise table.error(row.line, error) from error
    return pairs


def _picture(name: str) -> str:
    return f"{name}.png"


def _mask(name: str) -> str:
    return f"{name}_mask.png"


def _row(record: PairRecord) -> dict[str, object]:
    width, height = record.size
    return {
        "name": record.name,
        **asdict(record.ellipse),
        "width": width,
        "height": height,
        "seed": record.seed,
        "style": record.style,
        **record.figures,
        "nearest_frame": record.nearest_frame,
        "copy": int(record.copy),
        _REAL_PIXELS: None
        if record.contains_real_pixels is None
        else int(record.contains_real_pixels),
    }
