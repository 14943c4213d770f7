"""Counts, durations and paths as text for a person."""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
from collections.abc import Collection
from itertools import islice
from pathlib import Path

_NUMBERS = re.compile(r"(\d+)")


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``8 pairs``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def counted_are(n: int, noun: str) -> str:
    """``1 pair is``, ``8 pairs are``."""
    return f"{counted(n, noun)} {'is' if n == 1 else 'are'}"


def percent(share: float, decimals: int = 0, *, signed: bool = False) -> str:
    """``98 %``, or with a sign and decimals ``+1.2 %``; 1 is 100 %. Nothing is never negative."""
    return f"{100 * share:{'+' if signed else ''}z.{decimals}f} %"


def listed(names: Collection[str], most: int) -> str:
    """``a, b, c and 4 more``: the first ``most`` names, and how many there are besides."""
    shown = ", ".join(islice(names, most))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key that puts ``9_HC`` before ``10_HC``, whatever the case."""
    parts = _NUMBERS.split(text.lower())
    return [(int(p), "") if p.isdigit() and p.isascii() else (-1, p) for p in parts]


def quoted(word: str | Path) -> str:
    """A path or name as one word of a command that a person can copy into a terminal."""
    return subprocess.list2cmdline([str(word)]) if os.name == "nt" else shlex.quote(str(word))


def format_duration(seconds: float) -> str:
    """``8 s``, ``3 min``, ``1 h 5 min``: rounded up, and as exact as an estimate deserves."""
    if seconds < 90:
        return f"{max(1, math.ceil(seconds))} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
