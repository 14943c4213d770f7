"""Counts in words."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """``1 pair``, ``8 pairs``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
