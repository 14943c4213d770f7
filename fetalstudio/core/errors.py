"""Errors whose message is written for the person at the screen."""

from __future__ import annotations


class UserError(Exception):
    """Something failed and the message says what, where, and what to do about it."""


class BadInput(UserError):  # noqa: N818 (shorter than BadInputError, and read as often)
    """The input itself is at fault (file, table, parameter); the command line exits with 2."""
