"""Image folders for Hugging Face's ``datasets``.

A part is a folder with ``metadata.jsonl`` or ``metadata.csv`` beside its pictures, with the column
``file_name`` and those of :mod:`~fetalstudio.formats.datasets.huggingface_columns`;
``mask_file_name`` is the picture of the mask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fetalstudio.core.errors import InputError
from fetalstudio.core.splits import Part
from fetalstudio.formats.datasets.huggingface_columns import (
    MASK_NAME,
    NAME,
    PARTS,
    columns_of,
    entries_of,
    mask_of,
    record_of,
    table_of,
)
from fetalstudio.formats.documents import parse_json
from fetalstudio.formats.files import read_bounded, start_of, write_bytes
from fetalstudio.formats.folders import mask_folders
from fetalstudio.formats.folders.picture_records import cohort_of
from fetalstudio.formats.pictures.picture_files import (
    ANNOTATION_NOTE,
    is_picture,
    pictures_in,
    stem_of,
    write_png,
)
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.formats.tables.frame_tables import NOT_USED
from fetalstudio.formats.tables.table_files import MAX_ROWS, Table, read_table
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_METADATA = ("metadata.jsonl", "metadata.csv")
_MAX_METADATA = 64 * 2**20


def recognise(source: Path) -> bool:
    """Whether there are metadata in the folder, or in the folders of its parts."""
    return next(_metadata(source), None) is not None


def read(source: Path) -> FrameSource:
    """Find the frames of a folder; no picture is opened.

    Metadata that cannot be read, and what they name and is not there, are among the problems. If
    none can be read, the frames are found as in any folder. Raises ``OSError`` for a folder that
    cannot be listed.
    """
    records: list[FrameRecord] = []
    problems: tuple[str, ...] = ()
    files: set[Path] = set()
    for path in _metadata(source):
        files.add(path)
        try:
            table = _metadata_table(path)
            entries, notes = entries_of(table)
        except InputError as error:
            problems += (f"{error}{NOT_USED}",)
            continue
        problems += notes
        absent: list[str] = []
        for entry in entries:
            picture, mask = _below(path.parent, entry.name), _below(path.parent, entry.mask)
            if picture is None:
                absent.append(entry.name)
                continue
            if mask is None and entry.mask is not None:
                absent.append(entry.mask)
            part = PARTS.get(PurePosixPath(entry.name).parts[0].lower())
            part = part or PARTS.get(path.parent.name.lower())
            records.append(record_of(picture, stem_of(picture), entry.row, part, mask))
            files |= {picture} | ({mask} if mask else set())
        if absent:
            problems += (
                f"{path} names {some(absent)}, which is no picture below its folder. It was left "
                "out. Copy the data set again.",
            )
        unnamed = [p.name for p in pictures_in(path.parent) if p not in files]
        if entries and unnamed:
            problems += (
                f"{path} does not name {some(unnamed)}. It was left out. Import it by itself.",
            )
    if not records:
        found = mask_folders.read(source)
        return replace(found, problems=problems + found.problems)
    return FrameSource(cohort_of(source), tuple(records), problems, frozenset(files))


def _metadata(source: Path) -> Iterator[Path]:
    """The metadata in the source and one or two folders down (``train/``, ``data/train/``)."""
    for folder in (source, *_folders(source), *_folders(source / "data")):
        paths = (folder / name for name in _METADATA)
        found = next((path for path in paths if b"file_name" in start_of(path, 1 << 16)), None)
        if found is not None:
            yield found


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
    except OSError:  # there is none, or it may not be listed
        return []


def _below(folder: Path, name: str | None) -> Path | None:
    """The picture of this name in or below the folder; None where there is none."""
    if name is None or re.search(r"[\\:\0]", name):
        return None
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        return None
    path = folder / parts
    return path if is_picture(path) and path.is_file() else None


def _metadata_table(path: Path) -> Table:
    """The metadata as a table. Raises :class:`InputError` for what is none."""
    if path.suffix == ".csv":
        return read_table(path)
    objects: list[dict[str, Any]] = []
    lines = read_bounded(path, _MAX_METADATA).splitlines()
    if len(lines) > MAX_ROWS:
        raise InputError(f"{path} has more than {MAX_ROWS:,} lines. Keep those about the frames.")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = parse_json(line)
            if not isinstance(found, dict):
                raise ValueError("it is no object")
        except ValueError as error:
            raise InputError(f"{path}, line {number}, is damaged: {error}.") from error
        objects.append(found)
    return table_of(path, objects)


class ImageFolderWriter(PictureFolderWriter):
    """Writes ``train/NAME.png``, ``train/masks/NAME.png`` and ``train/metadata.jsonl``, and the
    same for the other parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows: dict[Path, list[dict[str, Any]]] = {}

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """By part."""
        return Path(part or "train", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the mask and remember the line of the metadata."""
        mask = picture.path.parent / "masks" / picture.path.name
        if picture.ellipse is not None:
            write_png(mask, mask_of(picture), ANNOTATION_NOTE)
        row = {
            NAME: picture.path.name,
            MASK_NAME: None if picture.ellipse is None else f"masks/{mask.name}",
            **columns_of(picture),
        }
        self._rows.setdefault(picture.path.parent, []).append(row)

    def complete(self) -> None:
        """Write the metadata of each part."""
        for folder, rows in self._rows.items():
            lines = "".join(f"{json.dumps(row)}\n" for row in rows)
            write_bytes(folder / _METADATA[0], lines.encode())
