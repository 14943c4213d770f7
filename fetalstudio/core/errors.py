"""Errors whose message is written for the person at the screen."""

from __future__ import annotations

from collections.abc import Mapping


class UserError(Exception):
    """Something failed and the message says what, where, and what to do about it."""


class InputError(UserError):
    """The input itself is at fault (file, table, parameter); the command line exits with 2."""


def check_ranges(ranges: Mapping[str, tuple[float, float, float]]) -> None:
    """Raise :class:`InputError` for the first (value, least, most) that is outside, by its name."""
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise InputError(f"{name} is {value}; it must be {low} to {high}.")
