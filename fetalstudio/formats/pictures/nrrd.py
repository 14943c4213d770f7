"""The text of NRRD's header, and files that SimpleITK refuses because of it.

The format forbids ``spacings`` and ``units`` beside ``space directions``. Programs write both
nevertheless, and SimpleITK takes such a file for a damaged one.
"""

from __future__ import annotations

import contextlib
import math
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.metaimage import named_file

NRRD_SUFFIXES = frozenset({".nrrd", ".nhdr"})
"""File name endings (lower case) of the format."""

_MAX_TEXT = 1 << 16
"""Bytes of a header that are looked at."""
_END = re.compile(rb"\r?\n\r?\n")
_MM = {"um": 1e-3, "µm": 1e-3, "micron": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3}
_SPACINGS, _DIRECTIONS = "spacings", "spacedirections"
_UNITS, _SPACE_UNITS = "units", "spaceunits"
_BARRED = frozenset({_SPACINGS, _UNITS, "axismins", "axismaxs"})
"""What must not be there beside directions."""
_FILE = "datafile"


def nrrd_lines(path: Path) -> Mapping[str, str]:
    """The fields of the header by their names in lower case and without spaces, after a check of
    the file that has the pixels.

    Raises as :func:`~fetalstudio.formats.pictures.metaimage.named_file`, and ``OSError``.
    """
    lines: dict[str, str] = {}
    for line in _header(path)[0]:
        name, value = _field(line)
        if name == _FILE:
            named_file(path, value, own=":")
        lines.setdefault(name, value)
    return lines


def mm_in(lines: Mapping[str, str]) -> float | None:
    """Mm in a unit of the spacing that SimpleITK gives: that of the directions, where there are
    any. None where the header states no spacing, or one in another unit."""
    if _DIRECTIONS in lines:
        return _mm(lines, _SPACE_UNITS, _UNITS)
    return _mm(lines, _UNITS, _SPACE_UNITS) if _SPACINGS in lines else None


def other_spacing(lines: Mapping[str, str], axes: int) -> tuple[float, ...] | None:
    """The ``spacings`` in mm of each of the ``axes`` that SimpleITK gives, where the header states
    directions, too; None where it does not state both. Raises ``ValueError`` where the numbers of
    axes differ."""
    mm = _mm(lines, _UNITS, _SPACE_UNITS)
    if mm is None or not {_SPACINGS, _DIRECTIONS} <= lines.keys():
        return None
    directions = re.findall(r"none|\([^)]*\)", lines[_DIRECTIONS].lower())
    steps = [abs(float(text)) for text in lines[_SPACINGS].split()]
    both = list(zip(steps, directions, strict=True))
    if len(both) != axes:  # colours have no direction, and are no axis there
        both = [(step, direction) for step, direction in both if direction != "none"]
    if len(both) != axes:
        raise ValueError(lines[_DIRECTIONS])
    sides = [1.0 if direction == "none" else step * mm for step, direction in both]
    return tuple(sides) if all(math.isfinite(side) and side > 0 for side in sides) else None


@contextlib.contextmanager
def as_itk_reads(path: Path, lines: Mapping[str, str], *, pixels: bool) -> Iterator[Path]:
    """A file that SimpleITK reads: this one, or a copy of it, as long as it is needed, without the
    spacings beside the directions; of its ``pixels`` only where they are asked for.

    Raises :class:`InputError` where it cannot be copied.
    """
    if _DIRECTIONS not in lines or _BARRED.isdisjoint(lines):
        yield path
        return
    texts, offset = _header(path)
    kept = (line for line in texts if line and _field(line)[0] not in _BARRED | {_FILE})
    source = path
    if _FILE in lines:
        source, offset = named_file(path, lines[_FILE], own=":"), 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "x.nrrd")
        try:
            with copy.open("wb") as stream, source.open("rb") as stored:
                stream.write("".join(f"{line}\n" for line in (*kept, "")).encode("latin-1"))
                if pixels:
                    stored.seek(offset)
                    shutil.copyfileobj(stored, stream)
        except OSError as error:
            raise InputError(
                f"{path} could not be read: the folder for temporary files ({folder}) is full or "
                "not writable. Make room there, then try again."
            ) from error
        yield copy


def _header(path: Path) -> tuple[list[str], int]:
    """The lines of the header, and where in the file the pixels begin."""
    with path.open("rb") as stream:
        start = stream.read(_MAX_TEXT)
    end = _END.search(start)
    head = start if end is None else start[: end.start()]
    return re.split(r"\r?\n", head.decode("latin-1")), len(start) if end is None else end.end()


def _field(line: str) -> tuple[str, str]:
    """The name and the value of a field; a key of the user's (``key:=value``) is none."""
    name, _, value = line.partition(":")
    return ("", "") if value.startswith("=") else ("".join(name.split()).lower(), value.strip())


def _mm(lines: Mapping[str, str], *where: str) -> float | None:
    """Mm in the unit that the first of these fields states; without any, everyone means mm."""
    units = (unit for key in where for unit in re.findall(r'"([^"]*)"', lines.get(key, "")))
    unit = next((unit.strip().lower() for unit in units if unit.strip()), "mm")
    return _MM.get(unit, _MM.get(unit.encode("latin-1").decode("utf-8", "replace")))
