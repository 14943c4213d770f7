"""Damages the bytes of a file at random, as disks, cables and editors do."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

_MOST_PLACES = 4


def damage_bytes(path: Path, chance: random.Random) -> str:
    """Damage a file that is not empty; returns what was done."""
    what, damaged = chance.choice(_DAMAGES)(path.read_bytes(), chance)
    path.write_bytes(damaged)
    return f"{what} of {path.name}"


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
    _foreign,
)
