"""Identifiers that are planted in a source, and the search for them in all that was written."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

IDENTIFIERS = (
    *("Meier", "Quaresma", "M\u00fcller", "90817263", "77120934"),
    *("1985-12-31", "19851231", "31.12.1985"),
)
"""Names, numbers and dates; none of them is a part of anything that the program writes itself."""

_PNG = b"\x89PNG\r\n\x1a\n"


def found_in(*folders: Path, more: tuple[str, ...] = ()) -> list[str]:
    """Which identifiers (and ``more`` texts) are where below the folders, in names and bytes."""
    needles = {
        text.encode(encoding).lower(): text
        for text in (*IDENTIFIERS, *more)
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
    }
    needles |= {
        text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00").lower(): text
        for text in (*IDENTIFIERS, *more)
    }
    said = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = str(path.relative_to(folder)).encode()
            contents = [inside, *(_unpacked(path.read_bytes()) if path.is_file() else ())]
            for content in contents:
                lower = content.lower()
                said += [f"{text} in {path}" for needle, text in needles.items() if needle in lower]
    return said


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what is compressed in them: PNG chunks, archives, gzip."""
    yield data
    if data.startswith(_PNG):
        place = len(_PNG)
        while place + 8 <= len(data):
            length = int.from_bytes(data[place : place + 4], "big")
            kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
            yield content
            if kind in (b"zTXt", b"iTXt"):
                for start in range(len(content)):
                    if content[start : start + 1] == b"\x78":
                        try:
                            yield zlib.decompress(content[start:])
                        except zlib.error:
                            continue
            place += 12 + length
    elif data.startswith(b"\x1f\x8b"):
        yield from _unpacked(gzip.decompress(data))
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _unpacked(archive.read(name))
