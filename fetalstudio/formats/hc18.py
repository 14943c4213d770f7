"""The layout of the HC18 challenge, read and written.

``training_set_pixel_size_and_HC.csv`` lies beside ``training_set/``, which holds ``NNN_HC.png`` and
the ring ``NNN_HC_Annotation.png``; the pictures may also lie beside the table. An export of ours
has a ``provenance.json`` too: subjects and pixel sizes that the layout cannot hold, and how
synthetic pictures were made.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.frame_records import (
    ExportedFrame,
    ExportedPair,
    FrameRecord,
    FrameSource,
)
from fetalstudio.formats.frame_tables import (
    FILENAME,
    HC18_HEADER,
    HC18_TABLE,
    NOT_USED,
    PIXEL_SIZE,
    Row,
    key_of,
    read_frame_table,
    some,
)
from fetalstudio.formats.mask_folders import (
    IMAGE_FOLDERS,
    chosen_annotations,
    cohort_of,
    names_of,
    orphans,
    pictures_in,
    records_of,
    split,
    unsure_records,
)
from fetalstudio.formats.outline_pictures import ring
from fetalstudio.formats.pictures import ANNOTATION_NOTE, FRAME_NOTE, write_png
from fetalstudio.formats.synthetic_notes import read_record, strict_json
from fetalstudio.formats.tables import write_table

PROVENANCE = "provenance.json"
_PROVENANCE_FORMAT = "fetalstudio-export-1"
_ANY_PROVENANCE_FORMAT = re.compile(r"fetalstudio-export-\d+")
_MAX_PROVENANCE = 256 * 2**20
_LONGEST_STEM = 200
"""Bytes. A file's name has at most 255, and ``_Annotation.png`` follows."""
_FOLDER = "training_set"
_TEST_TABLE, _TEST_FOLDER = "test_set_pixel_size.csv", "test_set"


# -- reading ---------------------------------------------------------------------------------


def recognise(source: Path) -> bool:
    """Whether the table is in the source, or beside it where the source is ``training_set``."""
    return _table_of(source) is not None


def read(source: Path) -> FrameSource:
    """Find the frames of the layout; no picture is opened.

    Raises :class:`InputError` for a table that is missing, ``OSError`` for a folder that cannot be
    listed.
    """
    table = _table_of(source)
    if table is None:
        raise InputError(
            f"{source} is not in the HC18 layout: {HC18_TABLE} is missing. "
            "Put it there, or import as a folder of images."
        )
    official = table.name == HC18_TABLE
    rows: dict[str, Row] = {}
    try:
        rows, problems = read_frame_table(
            table, HC18_HEADER if official else (FILENAME, PIXEL_SIZE)
        )
    except InputError as error:
        problems = (f"{error}{NOT_USED}",)
    inner = source / (_FOLDER if official else _TEST_FOLDER)
    folder = inner if inner.is_dir() else source
    found = split(pictures_in(folder))
    annotated, doubts = chosen_annotations(found.frames, found.annotations)
    records, more = records_of(found.frames, annotated, {folder: rows}, doubts)
    records = _with_provenance(records, table.with_name(PROVENANCE))
    listed = {key_of(record.path.name) for record in records}
    absent = sorted(rows.keys() - listed)
    unlisted = sorted(listed - rows.keys())
    problems += more
    unsure = found.unsure | orphans(names_of(found.frames), found.annotations)
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        problems += (f"{table} names {some(absent)}, which {verb} not in {folder}.",)
    if unlisted and rows:
        problems += (f"{table} lacks {some(unlisted)}: imported without a pixel size.",)
    return FrameSource(cohort_of(source), records, problems, unsure=unsure_records(unsure))


def _table_of(source: Path) -> Path | None:
    folders = [source, source.parent] if source.name.lower() in IMAGE_FOLDERS else [source]
    for folder in folders:
        for name in (HC18_TABLE, _TEST_TABLE):
            if (folder / name).is_file():
                return folder / name
    return None


def _with_provenance(records: tuple[FrameRecord, ...], path: Path) -> tuple[FrameRecord, ...]:
    """Add the subjects, pixel sizes and labels of an export of ours, if this is one."""
    if not path.is_file():
        return records
    try:
        found = json.loads(read_bounded(path, _MAX_PROVENANCE))
        format = found.get("format")
        if format == _PROVENANCE_FORMAT:
            pairs = {name: read_record(entry) for name, entry in found.get("pairs", {}).items()}
            named = (replace(r, synthetic=pairs.get(r.path.name)) for r in records)
            return tuple(_recorded(r, found["frames"].get(r.path.name)) for r in named)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path} is damaged. Copy it again, or remove it to take the subjects from file names."
        ) from error
    if isinstance(format, str) and _ANY_PROVENANCE_FORMAT.fullmatch(format):
        raise InputError(
            f"{path} was written by a newer FetalStudio. Update FetalStudio, or remove the file to "
            "take the subjects from file names."
        )
    return records


def _recorded(record: FrameRecord, entry: Mapping[str, Any] | None) -> FrameRecord:
    if entry is None:
        return record
    calibration, mm_per_px = record.calibration, entry["mm_per_px"]
    if calibration is None and mm_per_px is not None:
        x, y = mm_per_px
        calibration = Calibration(x, y, "table")
    labels = {**record.labels, **entry.get("labels", {})}
    return replace(record, subject=str(entry["subject"]), calibration=calibration, labels=labels)


# -- writing ---------------------------------------------------------------------------------


class Hc18Writer:
    """Writes frames and pairs into a folder in this layout; :meth:`finish` writes the tables."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[dict[str, str]] = []
        self._frames: dict[str, Any] = {}
        self._pairs: dict[str, Any] = {}
        self._taken: set[str] = set()
        self.problems: list[str] = []
        """What the layout cannot hold and was left out, a message each."""

    def add_frame(self, frame: ExportedFrame) -> None:
        """Write the picture, and its ring where it has an ellipse.

        Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """
        stem = self._stem(frame.name)
        self._write(stem, frame, frame.ellipse)
        self._frames[f"{stem}.png"] = {
            "subject": frame.subject,
            "cohort": frame.cohort,
            "id": frame.id,
            "mm_per_px": _mm_per_px(frame.calibration),
            "labels": dict(frame.labels),
            "ellipse": None if frame.ellipse is None else asdict(frame.ellipse),
        }

    def add_pair(self, pair: ExportedPair) -> None:
        """Write the picture, with a note of how it was made, and its ring.

        Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """
        stem = self._stem(pair.name)
        self._write(stem, pair, pair.ellipse, note=pair.note.text())
        self._pairs[f"{stem}.png"] = pair.note.record()

    def finish(self) -> None:
        """Write the table and ``provenance.json``."""
        write_table(self._folder / HC18_TABLE, HC18_HEADER, self._rows)
        record = {"format": _PROVENANCE_FORMAT, "frames": self._frames, "pairs": self._pairs}
        write_bytes(self._folder / PROVENANCE, _json(record).encode())

    def _write(
        self,
        stem: str,
        item: ExportedFrame | ExportedPair,
        ellipse: Ellipse | None,
        note: str = FRAME_NOTE,
    ) -> None:
        images = self._folder / _FOLDER
        write_png(images / f"{stem}.png", item.pixels, note)
        if ellipse is not None:
            line = ring(ellipse, _size(item.pixels))
            if line.any():
                write_png(images / f"{stem}_Annotation.png", line, ANNOTATION_NOTE)
            else:
                self.problems.append(f"{item.name}: the ellipse lies outside; left out.")
        pixel_size, hc = self._cells(item, ellipse)
        self._rows.append(dict(zip(HC18_HEADER, (f"{stem}.png", pixel_size, hc), strict=True)))

    def _cells(
        self, item: ExportedFrame | ExportedPair, ellipse: Ellipse | None
    ) -> tuple[str, str]:
        """Pixel size and HC, in mm; empty where they are not known."""
        calibration = item.calibration
        if calibration is None:
            return "", ""
        if calibration.mm_per_px_x != calibration.mm_per_px_y:
            self.problems.append(
                f"{item.name}: its pixels are not square, which the table cannot say; "
                f"its pixel size is in {PROVENANCE} only."
            )
            return "", ""
        hc = "" if ellipse is None else f"{calibration.to_mm(ellipse).perimeter:.2f}"
        return f"{calibration.mm_per_px_x:.13g}", hc

    def _stem(self, name: str) -> str:
        """A file name that every system takes, and that is not taken in this export."""
        plain = re.sub(r"[^\w\-. ]", "_", name).strip(". ") or "frame"
        if len(plain.encode()) > _LONGEST_STEM:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            room = _LONGEST_STEM - len(digest) - 1
            plain = f"{plain.encode()[:room].decode(errors='ignore')}-{digest}"
            self.problems.append(
                f"{name[:40]}...: its name is too long for a file; written as {plain}.png."
            )
        stem, number = plain, 1
        while stem.lower() in self._taken:
            number += 1
            stem = f"{plain}-{number}"
        self._taken.add(stem.lower())
        return stem


def _size(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    return pixels.shape[1], pixels.shape[0]


def _mm_per_px(calibration: Calibration | None) -> tuple[float, float] | None:
    if calibration is None:
        return None
    return calibration.mm_per_px_x, calibration.mm_per_px_y


def _json(record: dict[str, Any]) -> str:
    """Strict JSON, which knows neither NaN nor infinity: null in their place."""
    return json.dumps(strict_json(record), indent=1, allow_nan=False)
