"""Errors whose message is written for the person at the screen."""

from __future__ import annotations

import errno
from collections.abc import Mapping

_NO_MEMORY = (
    "DefaultCPUAllocator",
    "could not create a primitive",
    "could not create a memory object",
    "out of memory",
    "Cannot allocate memory",
    "ALLOC_FAILED",
    "bad_alloc",
)
"""What the errors of torch, oneDNN, CUDA, MPS and safetensors say; they are of many types."""


class UserError(Exception):
    """An error whose message says what happened and how to mend it."""


class InputError(UserError):
    """The input, such as a file or an argument, is at fault. The exit status is 2."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the CPU or a graphics card: in ``error`` or in its cause."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    # A message of ours may quote anything; the errors of libraries are of no type of ours.
    said = not isinstance(error, UserError) and any(part in str(error) for part in _NO_MEMORY)
    return said or (error.__cause__ is not None and is_out_of_memory(error.__cause__))


def check_ranges(ranges: Mapping[str, tuple[float, float, float]]) -> None:
    """Raise :class:`InputError` that names the first value outside its (value, least, most)."""
    for name, (value, low, high) in ranges.items():
        if not low <= value <= high:
            raise InputError(f"{name} is {value}; it must be {low} to {high}.")
