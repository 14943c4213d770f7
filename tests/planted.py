"""Identifiers that are planted in a source, and the search for them in all that was written."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pyarrow import parquet

from fetalstudio.formats.privacy.subjects import subject_key

IDENTIFIERS = (
    *("Meier", "Quaresma", "M\u00fcller", "90817263", "77120934"),
    *("1985-12-31", "19851231", "31.12.1985"),
)
"""Names, numbers and dates; none of them is a part of anything that the program writes itself."""
PATIENTS = tuple(f"Meier Anna {number}" for number in range(24))
"""What the tables call the patients."""

_PNG = b"\x89PNG\r\n\x1a\n"
_BASE64 = re.compile(rb"base64,([A-Za-z0-9+/=]+)")


def found_in(*folders: Path, more: tuple[str, ...] = ()) -> list[str]:
    """Which identifiers (and ``more`` texts) are where below the folders, in names and bytes.

    Also found are the plain hashes of identifiers, by which a list of patients finds them again.
    """
    needles = {**_spellings(*IDENTIFIERS, *more), **_hashes(*IDENTIFIERS, *PATIENTS)}
    said = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = str(path.relative_to(folder)).encode()
            contents = [inside, *(_unpacked(path.read_bytes()) if path.is_file() else ())]
            for content in contents:
                lower = content.lower()
                said += [f"{text} in {path}" for needle, text in needles.items() if needle in lower]
    return said


def _spellings(*texts: str) -> Mapping[bytes, str]:
    """How a text stands in files: in several encodings, in JSON and in addresses."""
    found = {
        unicodedata.normalize(form, text).encode(encoding, "ignore").lower(): text
        for text in texts
        for form in ("NFC", "NFD")
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "latin-1")
    }
    for text in texts:
        found[text.encode("ascii", "backslashreplace").replace(b"\\x", b"\\u00").lower()] = text
        found[quote(text).encode().lower()] = text
    return found


def _hashes(*texts: str) -> Mapping[bytes, str]:
    """The first digits of the usual hashes, and the keys of former versions."""
    found = {}
    for text in texts:
        for plain in {text, subject_key(text), f"subject {text}", f"subject {subject_key(text)}"}:
            for algorithm in ("md5", "sha1", "sha256"):
                digest = hashlib.new(algorithm, plain.encode()).hexdigest()
                found[digest[:12].encode()] = f"{algorithm} of {plain}"
    return found


def _unpacked(data: bytes) -> Iterator[bytes]:
    """The bytes themselves, and what is compressed or encoded in them: PNG chunks, archives, gzip,
    pictures in a page."""
    yield data
    if data.startswith(_PNG):
        yield from _chunks(data)
    elif data.startswith(b"\x1f\x8b"):
        yield from _unpacked(gzip.decompress(data))
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield from _unpacked(archive.read(name))
    elif data.startswith(b"PAR1"):
        table = parquet.read_table(io.BytesIO(data))
        yield str(table.schema).encode()
        for value in _values(table.to_pylist()):
            yield from _unpacked(value)
    else:
        for encoded in _BASE64.finditer(data):
            yield from _unpacked(base64.b64decode(encoded[1]))


def _values(value: Any) -> Iterator[bytes]:
    """All texts and bytes in nested lists and objects."""
    if isinstance(value, dict):
        yield from _values(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _values(one)
    elif value is not None:
        yield value if isinstance(value, bytes) else str(value).encode()


def _chunks(data: bytes) -> Iterator[bytes]:
    """What the chunks of a PNG file hold, with their texts unpacked."""
    place = len(_PNG)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        yield content
        if kind in (b"zTXt", b"iTXt", b"iCCP"):
            for start in range(len(content)):
                if content[start : start + 1] == b"\x78":
                    try:
                        yield zlib.decompress(content[start:])
                    except zlib.error:
                        continue
        place += 12 + length
