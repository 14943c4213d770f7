"""Readings of an observer as a small JSON file, without pictures and names of patients."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.names import MAX_LENGTH, visible_key
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.version import __version__

FORMAT = "fetalstudio-readings-1"
SUFFIX = ".readings.json"
_MAX_BYTES = 64 << 20
_MAX_ROUND = 10_000
_FARTHEST = 1e6
"""px; the centre and the axes of an ellipse are below."""
_SMALLEST = 1.0
"""px, of a semi-axis."""
_EARLIEST, _LATEST = 1970, 9000
"""Years; no time zone carries such a time beyond what can be shown."""


@dataclass(frozen=True, slots=True)
class ReadingRecord:
    """One reading, as it is in the file."""

    id: str
    """32 hexadecimal digits."""
    frame: str
    """The content hash of the frame."""
    subject: str | None
    """The key of the patient; None where the project has no key but a text."""
    observer: str
    round: int
    blinded: bool
    ellipse: Ellipse | None
    seconds: float | None
    read_at: datetime


@dataclass(frozen=True, slots=True)
class ReadingsFile:
    """The content of a file."""

    project: str
    """The id of the project that wrote it."""
    readings: tuple[ReadingRecord, ...]


def write_readings(path: Path, content: ReadingsFile) -> None:
    """Write a file, atomically. Raises :class:`UserError` where that is not possible."""
    value = {
        "format": FORMAT,
        "program": f"FetalStudio {__version__}",
        "project": content.project,
        "readings": [_written(reading) for reading in content.readings],
    }
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_readings(path: Path) -> ReadingsFile:
    """Read a file. Raises :class:`InputError` that names it where it holds something else."""
    try:
        value = json.loads(read_bounded(path, _MAX_BYTES))
        if value["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        project = _matching("[0-9a-f]{32}", value["project"], "project")
        readings = tuple(_read(entry) for entry in value["readings"])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) and str(error) else "something is missing"
        raise InputError(
            f"{path} is not a file of readings, or is damaged ({why[:200]}). Export the readings "
            "again (Readings, Export readings; or fetalstudio readings PROJECT export)."
        ) from error
    if len({reading.id for reading in readings}) < len(readings):
        raise InputError(f"{path} holds a reading twice. Export the readings again.")
    return ReadingsFile(project, readings)


def _written(reading: ReadingRecord) -> dict[str, Any]:
    e = reading.ellipse
    names = ("cx", "cy", "a", "b", "angle_deg")
    return {
        "id": reading.id,
        "frame": reading.frame,
        "subject": reading.subject,
        "observer": reading.observer,
        "round": reading.round,
        "blinded": reading.blinded,
        "ellipse": None if e is None else {name: getattr(e, name) for name in names},
        "seconds": reading.seconds,
        "read_at": reading.read_at.isoformat(),
    }


def _read(entry: Mapping[str, Any]) -> ReadingRecord:
    observer = entry["observer"]
    if not isinstance(observer, str) or visible_key(observer) != observer or not observer:
        raise ValueError("an observer without a name that can be shown")
    if len(observer) > MAX_LENGTH:
        raise ValueError(f"a name of an observer is longer than {MAX_LENGTH} characters")
    number = entry["round"]
    if type(number) is not int or not 0 <= number <= _MAX_ROUND:
        raise ValueError("a round is not a whole number")
    if type(entry["blinded"]) is not bool:
        raise ValueError("blinded is neither true nor false")
    subject = entry["subject"]
    if not (subject is None or (isinstance(subject, str) and len(subject) <= MAX_LENGTH)):
        raise ValueError("a subject is not a text")
    read_at = datetime.fromisoformat(entry["read_at"])
    if read_at.tzinfo is None:
        raise ValueError("a time has no time zone")
    if not _EARLIEST <= read_at.year <= _LATEST:
        raise ValueError("a time is out of range")
    return ReadingRecord(
        id=_matching("[0-9a-f]{32}", entry["id"], "id of a reading"),
        frame=_matching("[0-9a-f]{64}", entry["frame"], "hash of a frame"),
        subject=subject,
        observer=observer,
        round=number,
        blinded=entry["blinded"],
        ellipse=_ellipse(entry["ellipse"]),
        seconds=None if entry["seconds"] is None else _number(entry["seconds"], 0, math.inf),
        read_at=read_at,
    )


def _ellipse(value: Mapping[str, Any] | None) -> Ellipse | None:
    if value is None:
        return None
    low = {"cx": -_FARTHEST, "cy": -_FARTHEST, "a": _SMALLEST, "b": _SMALLEST}
    names = ("cx", "cy", "a", "b", "angle_deg")
    return Ellipse(*(_number(value[name], low.get(name, 0.0), _FARTHEST) for name in names))


def _number(value: object, low: float, high: float) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"{value!r} is not a number"[:80])
    number = float(value)  # type: ignore[arg-type]  # checked above
    if not (math.isfinite(number) and low <= number <= high):
        raise ValueError(f"{number} is out of range")
    return number


def _matching(pattern: str, value: object, what: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise ValueError(f"the {what} is not what it should be")
    return value
