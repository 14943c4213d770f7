"""Calibrating many frames at once, from a number or a table, and what that would replace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.calibration import SOURCES, Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.formats.tables.frame_tables import read_frame_table
from fetalstudio.formats.tables.names import key_of
from fetalstudio.project.store.records import Frame


@dataclass(frozen=True, slots=True)
class Calibrating:
    """The calibrations that frames would get."""

    wanted: tuple[tuple[Frame, Calibration | None], ...]
    """Only those that change something."""
    notes: tuple[str, ...] = ()
    """What the table does not say, or says wrongly."""

    @property
    def replaced(self) -> tuple[Frame, ...]:
        """The frames whose own calibration would be replaced by another one, or removed."""
        return tuple(frame for frame, _ in self.wanted if frame.calibration is not None)

    def chosen(self, *, replace: bool) -> Mapping[str, Calibration | None]:
        """What is set, by frame id; without ``replace`` only where there is no calibration."""
        return {
            frame.id: calibration
            for frame, calibration in self.wanted
            if replace or frame.calibration is None
        }

    def sources(self) -> str:
        """Where the calibrations come from that would be replaced: ``8 DICOM, 4 by hand``."""
        sources = Counter(f.calibration.source for f in self.replaced if f.calibration is not None)
        return ", ".join(f"{number} {SOURCES[source]}" for source, number in sources.most_common())


def from_number(frames: Sequence[Frame], mm_per_px: float) -> Calibrating:
    """A pixel of this width and height in mm for all. Raises :class:`InputError` for a width that
    is not possible."""
    try:
        calibration = Calibration(mm_per_px, mm_per_px, "manual")
    except ValueError as error:
        raise InputError(f"{mm_per_px:g} mm per pixel is not possible: {error}.") from error
    return _changes((frame, calibration) for frame in frames)


def from_table(frames: Sequence[Frame], path: Path) -> Calibrating:
    """The pixel sizes of a table with the columns ``filename`` and ``pixel size(mm)``.

    A frame is found by its name in the project. Raises :class:`InputError`, naming the file and the
    cure, for what is no such table.
    """
    rows, notes = read_frame_table(path)
    by_stem = {key_of(stem_of(Path(name))): row for name, row in rows.items()}
    found = []
    absent = []
    for frame in frames:
        row = rows.get(key_of(frame.name)) or by_stem.get(key_of(frame.name))
        if row is None or row.calibration is None:
            absent.append(frame.name)
        else:
            found.append((frame, row.calibration))
    if absent:
        notes += (
            f"{path} has no pixel size for {some(absent)}. The name in the table must be that of "
            "the frame in the project.",
        )
    return _changes(found, notes)


def removal(frames: Sequence[Frame]) -> Calibrating:
    """No calibration for any of them."""
    return _changes((frame, None) for frame in frames)


def _changes(
    wanted: Iterable[tuple[Frame, Calibration | None]], notes: tuple[str, ...] = ()
) -> Calibrating:
    return Calibrating(
        tuple(
            (frame, calibration)
            for frame, calibration in wanted
            if _size(frame.calibration) != _size(calibration)
        ),
        notes,
    )


def _size(calibration: Calibration | None) -> tuple[float, float] | None:
    """The same pixel size from another source changes nothing."""
    if calibration is None:
        return None
    return calibration.mm_per_px_x, calibration.mm_per_px_y
