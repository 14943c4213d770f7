"""Errors whose message is written for the person at the screen."""

from __future__ import annotations

from collections.abc import Mapping


class UserError(Exception):
    """An error whose message says what happened and how to mend it."""


class InputError(UserError):
    """The input, such as a file or an argument, is at fault. The exit status is 2."""


def check_ranges(ranges: Mapping[str, tuple[float, float, float]]) -> None:
    """Raise :class:`InputError` that names the first value outside its (value, least, most)."""
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise InputError(f"{name} is {value}; it must be {low} to {high}.")
