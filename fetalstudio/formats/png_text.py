"""A note inside a PNG file: what makes a synthetic frame say so wherever it is copied to."""

from __future__ import annotations

import zlib
from pathlib import Path

_KEYWORD = b"fetalstudio"
_HEADER_END = 8 + 25  # the signature and the IHDR chunk, which must come first
_SEARCHED = 2**20


def with_note(png: bytes, note: str) -> bytes:
    """The PNG file's bytes with the note (an iTXt chunk, UTF-8) before the pixels."""
    # keyword, uncompressed, no language, no translated keyword
    body = b"iTXt" + _KEYWORD + b"\0\0\0\0\0" + note.encode()
    length, check = len(body) - 4, zlib.crc32(body)
    chunk = length.to_bytes(4, "big") + body + check.to_bytes(4, "big")
    return png[:_HEADER_END] + chunk + png[_HEADER_END:]


def note_in(path: Path) -> str | None:
    """The note that :func:`with_note` put into this file; None in any other file."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_SEARCHED)
    except OSError:
        return None
    at = _HEADER_END
    while data.startswith(b"\x89PNG") and at + 8 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"iTXt" and body.startswith(_KEYWORD + b"\0"):
            return body[len(_KEYWORD) + 5 :].decode(errors="replace")
        if kind == b"IDAT":
            return None
        at += 12 + length
    return None
