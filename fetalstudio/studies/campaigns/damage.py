"""Damages the bytes of a file at random, as disks, cables and editors do."""

from __future__ import annotations

import gzip
import random
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

_MOST_PLACES = 4
_TEXT_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")
_MOST_SEARCHED = 1 << 16
_NUMBERS = (
    *(b"-1", b"0", b"", b"1e999", b"NaN", b"-Infinity", b"1e-300", b"1e300", b"0.0000001"),
    *(b"4294967296", b"9" * 30, b"9" * 5000, b"true", b"null", b"[]", b"{}", b'"x"'),
)


def damage_bytes(path: Path, chance: random.Random) -> str:
    """Damage a file that is not empty; returns what was done."""
    what, damaged = chance.choice(_DAMAGES)(path.read_bytes(), chance)
    path.write_bytes(damaged)
    return f"{what} of {path.name}"


def damage_inside(path: Path, chance: random.Random) -> str:
    """Damage what a packed file (gzip, ZIP) holds, and pack it again: its checksums are right."""
    if path.suffix == ".gz":
        what, damaged = chance.choice(_DAMAGES)(gzip.decompress(path.read_bytes()), chance)
        path.write_bytes(gzip.compress(damaged, 1))
        return f"{what} inside {path.name}"
    if path.suffix != ".xlsx":
        return damage_bytes(path, chance)
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    name = chance.choice(sorted(name for name, data in members.items() if data))
    what, members[name] = chance.choice(_DAMAGES)(members[name], chance)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for member, data in members.items():
            packed.writestr(member, data)
    return f"{what} of {name} in {path.name}"


Damaged = tuple[str, bytes]


def _flip_bits(data: bytes, chance: random.Random) -> Damaged:
    damaged = bytearray(data)
    places = [_place(data, chance) for _ in range(chance.randrange(1, _MOST_PLACES + 1))]
    for at in places:
        damaged[at] ^= 1 << chance.randrange(8)
    return f"flipped bits at {places}", bytes(damaged)


def _other_bytes(data: bytes, chance: random.Random) -> Damaged:
    damaged = bytearray(data)
    places = [_place(data, chance) for _ in range(chance.randrange(1, _MOST_PLACES + 1))]
    for at in places:
        damaged[at] = chance.randrange(256)
    return f"other bytes at {places}", bytes(damaged)


def _cut(data: bytes, chance: random.Random) -> Damaged:
    length = chance.randrange(len(data))
    return f"cut to {length} bytes", data[:length]


def _splice(data: bytes, chance: random.Random) -> Damaged:
    """A piece of the file over another place of it, as a disk does that mixes up its blocks."""
    size = chance.randrange(1, max(min(len(data), 4096), 2))
    source, target = _place(data, chance), _place(data, chance)
    piece = data[source : source + size]
    damaged = data[:target] + piece + data[target + len(piece) :]
    return f"{len(piece)} bytes from {source} at {target}", damaged


def _drop(data: bytes, chance: random.Random) -> Damaged:
    at, size = _place(data, chance), chance.randrange(1, max(len(data) // 4, 2))
    return f"{size} bytes at {at} left out", data[:at] + data[at + size :]


def _length(data: bytes, chance: random.Random) -> Damaged:
    """A number of two or four bytes that is far too large, where lengths and sizes may stand."""
    at = _place(data, chance)
    value = chance.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
    form = chance.choice(("<H", ">H", "<I", ">I"))
    number = struct.pack(form, value & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return f"{value:#x} at {at}", data[:at] + number + data[at + len(number) :]


def _number(data: bytes, chance: random.Random) -> Damaged:
    """Another number, where one is written as text."""
    found = [*_TEXT_NUMBER.finditer(data[:_MOST_SEARCHED])]
    if not found:
        return _other_bytes(data, chance)
    at = chance.choice(found)
    value = chance.choice(_NUMBERS)
    return f"{value[:20]!r} for {at[0]!r} at {at.start()}", data[: at.start()] + value + data[
        at.end() :
    ]


def _zeros(data: bytes, chance: random.Random) -> Damaged:
    """Zeros to the end, as a power cut leaves them, or in a block."""
    at = _place(data, chance)
    size = chance.choice((len(data) - at, min(512, len(data) - at)))
    return f"{size} zeros at {at}", data[:at] + bytes(size) + data[at + size :]


def _foreign(data: bytes, chance: random.Random) -> Damaged:
    return "something else instead", chance.choice(
        (b"", b"[" * 100_000, b"null", b"3", b"\xff\xfe\xfa", b"{}", b"\0" * 64, b"\x89PNG\r\n")
    )


def _place(data: bytes, chance: random.Random) -> int:
    """Half of the places are in the first 256 bytes, where headers are."""
    return chance.randrange(min(len(data), 256) if chance.random() < 0.5 else len(data))


_DAMAGES: tuple[Callable[[bytes, random.Random], Damaged], ...] = (
    *(_flip_bits, _flip_bits, _other_bytes, _cut, _splice, _drop, _length, _length, _zeros),
    *(_number, _number, _foreign),
)
