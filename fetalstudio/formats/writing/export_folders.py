"""What the exports that are folders of pictures share: names, pictures and ``provenance.json``.

``provenance.json`` has what the format itself cannot hold: subjects, pixel sizes, parts and labels,
and how synthetic pictures were made. An import reads it again.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.pictures.picture_files import FRAME_NOTE, write_png
from fetalstudio.formats.pictures.synthetic_notes import read_record, strict_json
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.writing.exported_frames import ExportedFrame, ExportedPair

PROVENANCE = "provenance.json"
_FORMAT = "fetalstudio-export-1"
_ANY_FORMAT = re.compile(r"fetalstudio-export-\d+")
_MAX_PROVENANCE = 256 * 2**20
_LONGEST_STEM = 200
"""Bytes. A file's name has at most 255, and ``_Annotation.png`` follows."""
_CURE = "remove it to take the subjects from file names"


# -- reading ---------------------------------------------------------------------------------


def with_provenance(records: tuple[FrameRecord, ...], folder: Path) -> tuple[FrameRecord, ...]:
    """Add the subjects, pixel sizes, parts and labels of an export of ours, if ``folder`` is one.

    Raises :class:`InputError` for a damaged ``provenance.json`` and for that of a newer version.
    """
    path = folder / PROVENANCE
    if not path.is_file():
        return records
    try:
        found = json.loads(read_bounded(path, _MAX_PROVENANCE))
        format = found.get("format")
        if format == _FORMAT:
            pairs = {name: read_record(entry) for name, entry in found.get("pairs", {}).items()}
            named = [(record.file_name or record.path.name, record) for record in records]
            return tuple(
                _recorded(
                    replace(record, synthetic=pairs.get(name, record.synthetic)),
                    found["frames"].get(name),
                )
                for name, record in named
            )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged. Copy it again, or {_CURE}.") from error
    if isinstance(format, str) and _ANY_FORMAT.fullmatch(format):
        raise InputError(
            f"{path} was written by a newer FetalStudio. Update FetalStudio, or {_CURE}."
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
    part = entry.get("part", record.part)
    if part not in ("train", "validation", "test", None):
        raise ValueError(f"no part {part!r}")
    ellipse = entry.get("ellipse")
    return replace(
        record,
        subject=str(entry["subject"]),
        calibration=calibration,
        labels=labels,
        part=part,
        drawn=None if ellipse is None else Ellipse(**ellipse),
    )


# -- writing ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """A picture of an export, for the files that describe it."""

    path: Path
    """Where it is."""
    stem: str
    """Its name, which no other picture of the export has."""
    name: str
    """What the frame or pair is called."""
    size: Size
    """(width, height) in px."""
    ellipse: Ellipse | None
    calibration: Calibration | None
    part: Part | None
    synthetic: bool
    cohort: str
    subject: str | None
    """None for a synthetic picture."""


class PictureFolderWriter(ABC):
    """Writes frames and pairs as picture files, and what describes them as its format has it.

    A format says where a picture lies (:meth:`place`) and what is written about it
    (:meth:`describe`, :meth:`complete`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        """What the format cannot hold and was left out, a message each."""
        self._frames: dict[str, Any] = {}
        self._pairs: dict[str, Any] = {}
        self._taken: set[str] = set()
        self._divided = False

    @abstractmethod
    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """The path of a picture's file below the folder. ``part`` is None where the frames are not
        divided into parts, and ``annotated`` says whether it has an ellipse."""

    @abstractmethod
    def describe(self, picture: Written) -> None:
        """Write or remember what the format says about a picture, which is there already."""

    @abstractmethod
    def complete(self) -> None:
        """Write the files that describe all pictures together."""

    def write(self, picture: Written, pixels: NDArray[np.uint8], note: str) -> None:
        """Write the file of a picture, (H, W); PNG unless the format has another."""
        write_png(picture.path, pixels, note)

    def add_frame(self, frame: ExportedFrame) -> None:
        """Write the picture, and its ellipse where it has one.

        Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """
        self._divided |= frame.part is not None
        written = self._written(frame, frame.ellipse, frame.part, synthetic=False)
        self.write(written, frame.pixels, FRAME_NOTE)
        self.describe(written)
        self._frames[written.path.name] = {
            "subject": frame.subject,
            "cohort": frame.cohort,
            "id": frame.id,
            "mm_per_px": _mm_per_px(frame.calibration),
            "part": frame.part,
            "labels": dict(frame.labels),
            "ellipse": None if frame.ellipse is None else asdict(frame.ellipse),
        }

    def add_pair(self, pair: ExportedPair) -> None:
        """Write the picture, with a note of how it was made, and its ellipse. Where the frames are
        divided into parts, pairs are to be trained on.

        Raises :class:`~fetalstudio.core.errors.UserError` where it cannot be written.
        """
        part: Part | None = pair.part if self._divided else None
        written = self._written(pair, pair.ellipse, part, synthetic=True)
        self.write(written, pair.pixels, pair.note.text())
        self.describe(written)
        self._pairs[written.path.name] = pair.note.record()

    def finish(self) -> None:
        """Write the files about the whole, and ``provenance.json``.

        Raises :class:`~fetalstudio.core.errors.UserError` where they cannot be written.
        """
        self.complete()
        record = {"format": _FORMAT, "frames": self._frames, "pairs": self._pairs}
        write_bytes(self.folder / PROVENANCE, _json(record).encode())

    def _written(
        self,
        item: ExportedFrame | ExportedPair,
        ellipse: Ellipse | None,
        part: Part | None,
        *,
        synthetic: bool,
    ) -> Written:
        size = (item.pixels.shape[1], item.pixels.shape[0])
        if ellipse is not None and not ellipse.reaches(size):
            self.problems.append(ellipse_outside(item.name))
            ellipse = None
        stem = self._stem(item.name)
        path = self.folder / self.place(stem, part, annotated=ellipse is not None)
        return Written(
            path,
            stem,
            item.name,
            size,
            ellipse,
            item.calibration,
            part,
            synthetic,
            item.cohort,
            item.subject if isinstance(item, ExportedFrame) else None,
        )

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
        while not self._taken.isdisjoint(_files_of(stem)):
            number += 1
            stem = f"{plain}-{number}"
        self._taken |= _files_of(stem)
        return stem


def _files_of(stem: str) -> set[str]:
    """The names, without ending, of a picture and of what some formats write beside it. Case does
    not count on every system."""
    return {f"{stem}{more}".lower() for more in ("", "_mask", "_Annotation")}


def _mm_per_px(calibration: Calibration | None) -> tuple[float, float] | None:
    if calibration is None:
        return None
    return calibration.mm_per_px_x, calibration.mm_per_px_y


def _json(record: dict[str, Any]) -> str:
    """Strict JSON, which knows neither NaN nor infinity: null in their place."""
    return json.dumps(strict_json(record), indent=1, allow_nan=False)


def ellipse_outside(name: str) -> str:
    """What the writer of a format says of a frame whose ellipse does not reach the picture."""
    return (
        f"{name}: its ellipse lies outside the picture, so the frame was exported without one. "
        "Correct the ellipse (Annotate, or Review for a pair) and export again."
    )
