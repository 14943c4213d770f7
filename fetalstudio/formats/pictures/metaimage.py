"""MetaImage files: ``.mha`` holds its pixels itself, ``.mhd`` names the file that has them.

SimpleITK reads them too, but its process dies of some damaged headers. So this reads the header and
the pixels itself, and nothing but what the header of a single picture or a stack can say.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.formats.files import check_regular

META_SUFFIXES = frozenset({".mha", ".mhd"})

_MAX_HEADER = 1 << 16
_FED = 1 << 20
"""Bytes that are unpacked at a time."""
_END = re.compile(rb"(?:\A|\n)[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*)\r?(?:\n|\Z)")
_TYPES = {
    **{"UCHAR": "u1", "CHAR": "i1", "USHORT": "u2", "SHORT": "i2", "UINT": "u4", "INT": "i4"},
    **{"ULONG": "u4", "LONG": "i4", "ULONG_LONG": "u8", "LONG_LONG": "i8"},
    **{"FLOAT": "f4", "DOUBLE": "f8"},
}


@dataclass(frozen=True, slots=True)
class MetaHeader:
    """The header of a MetaImage file."""

    size: tuple[int, ...]
    """Pixels along each axis, the fastest first."""
    channels: int
    dtype: np.dtype[Any]
    spacing: tuple[float, ...] | None
    """Along each axis, in mm; None where it is not stated."""
    element_size: tuple[float, ...] | None
    """As :attr:`spacing`: how large a pixel is, however far it is from the next one."""
    directions: NDArray[np.float64]
    """(axes, axes): column k is the direction of axis k."""
    texts: Mapping[str, str]
    """All lines by their key, in lower case."""
    file: Path
    """The file that has the pixels."""
    offset: int
    """Where they begin in it."""
    packed: bool

    @property
    def nbytes(self) -> int:
        """How long the pixels are, unpacked."""
        return math.prod(self.size) * self.channels * self.dtype.itemsize


def read_meta_header(path: Path) -> MetaHeader:
    """Read a header.

    Raises :class:`InputError` for one that is damaged, or that names a file outside its folder, and
    ``OSError`` for what cannot be opened.
    """
    check_regular(path)
    with path.open("rb") as stream:
        data = stream.read(_MAX_HEADER)
    end = _END.search(data)
    if end is None:
        raise damaged(path)
    lines = (line.partition("=") for line in data[: end.start()].decode("latin-1").splitlines())
    texts = {key.strip().lower(): value.strip() for key, _, value in lines}
    try:
        axes = _whole(texts["ndims"], 2, 5)
        size = tuple(_whole(word, 1, 1 << 30) for word in texts["dimsize"].split())
        channels = _whole(texts.get("elementnumberofchannels", "1"), 1, 1 << 10)
        kind = texts["elementtype"].removeprefix("MET_").removesuffix("_ARRAY")
        order = "<>"[any(_is_true(texts, key) for key in _BIG_ENDIAN)]
        dtype = np.dtype(order + _TYPES[kind])
        numbers = next((texts[key] for key in _SPACINGS if key in texts), None)
        spacing = None if numbers is None else _numbers(numbers, axes)
        sides = texts.get("elementsize")
        element_size = None if sides is None else _numbers(sides, axes)
        matrix = next((texts[key] for key in _MATRICES if key in texts), None)
        rows = (
            np.eye(axes) if matrix is None else np.reshape(_numbers(matrix, axes**2), (axes,) * 2)
        )
        skipped = _whole(texts.get("headersize", "0"), -1, 1 << 40)
        if len(size) != axes or not _is_true(texts, "binarydata", missing=True):
            raise ValueError
    except (KeyError, ValueError) as error:
        raise damaged(path) from error
    file = named_file(path, end[1].decode("latin-1").strip(), own="LOCAL")
    header = MetaHeader(
        size,
        channels,
        dtype,
        spacing,
        element_size,
        rows.T,
        texts,
        file,
        (end.end() if file == path else 0) + max(skipped, 0),
        _is_true(texts, "compresseddata"),
    )
    if skipped < 0:  # the pixels are the end of the file
        offset = max(file.stat().st_size - header.nbytes, 0)
        return replace(header, offset=offset, packed=False)
    return header


def read_meta_pixels(path: Path, header: MetaHeader) -> NDArray[Any]:
    """All samples, one after the other. Raises :class:`InputError` for a damaged file."""
    data = bytearray(header.nbytes)  # at once: one that grows takes twice as much meanwhile
    view, place = memoryview(data), 0
    unpack = zlib.decompressobj()
    try:
        with header.file.open("rb") as stream:
            stream.seek(header.offset)
            if not header.packed:
                place = stream.readinto(view)
            while header.packed and not unpack.eof and place < len(view):
                fed = unpack.unconsumed_tail or stream.read(_FED)
                if not fed:
                    break
                more = unpack.decompress(fed, min(len(view) - place, _FED))
                view[place : place + len(more)] = more
                place += len(more)
    except (OSError, zlib.error) as error:
        raise damaged(path) from error
    if place < len(view):
        raise InputError(f"{path} is truncated: the end of the picture is missing. Copy it again.")
    return np.frombuffer(data, header.dtype)


def named_file(path: Path, name: str, own: str) -> Path:
    """The file with the pixels that a header calls so; the header's itself where ``name`` is
    ``own``.

    Raises :class:`InputError` for several files, for one outside the folder, and for what is no
    file: a pipe would be waited for without end.
    """
    if name.upper() == own:
        return path
    if name.upper().startswith("LIST") or "%" in name:
        raise InputError(
            f"{path} has its pixels in several files, which are not read. Export it as one file "
            "(.mha or .nrrd)."
        )
    if name in ("", ".", "..") or re.search(r"[/\\:\0]", name):
        raise InputError(
            f"{path} says that its pixels are in {name!r}, which is not a file of its folder. Put "
            "that file beside it and correct the name, or leave it out."
        )
    file = path.with_name(name)
    try:
        check_regular(file)
    except OSError as error:
        raise InputError(
            f"{file}, which has the pixels of {path.name}, cannot be read: {error.strerror}. Check "
            "the path."
        ) from error
    return file


def damaged(path: Path) -> InputError:
    """What to raise for a file that contradicts itself."""
    return InputError(f"{path} is damaged and cannot be decoded. Copy or export it again.")


_BIG_ENDIAN = ("binarydatabyteordermsb", "elementbyteordermsb")
_SPACINGS = ("elementspacing", "elementsize")
_MATRICES = ("transformmatrix", "rotation", "orientation")


def _is_true(texts: Mapping[str, str], key: str, *, missing: bool = False) -> bool:
    return texts[key].lower() in ("true", "1") if key in texts else missing


def _whole(text: str, least: int, most: int) -> int:
    if not re.fullmatch(r"-?\d{1,15}", text, re.ASCII) or not least <= int(text) <= most:
        raise ValueError
    return int(text)


def _numbers(text: str, count: int) -> tuple[float, ...]:
    found = tuple(float(word) for word in text.split())
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError
    return found
