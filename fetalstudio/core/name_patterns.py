"""Patterns by which a person says where in a frame's name its subject stands.

In ``{subject}_*`` the braces stand for the subject, ``*`` for anything, ``?`` for one character and
``#`` for a number. Everything else stands for itself. Each stands for as little as possible: in
``P01_a_003`` the pattern ``{subject}_*`` finds ``P01``, and ``{subject}_#`` finds ``P01_a``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fetalstudio.core.errors import InputError

SUBJECT = "{subject}"
_PARTS = {SUBJECT: "(?P<subject>.+?)", "*": ".*?", "?": ".", "#": r"\d+"}
_SPECIAL = re.compile("|".join(map(re.escape, _PARTS)))
_SEPARATORS = "_- ."
_TEMPLATES = (
    f"{SUBJECT}%s*",
    f"{SUBJECT}%s#",
    f"{SUBJECT}%s#%s#",
    f"*%s{SUBJECT}%s*",
)
"""Patterns that may fit, the likeliest first; ``%s`` is a separator."""
_MOST_PROPOSED = 4
_FITS = 0.8
"""The least share of the names that a pattern has to match to be proposed."""
_ENDLESS = re.compile(r"(?<!\\)(?:\\\\)*\)[*+{]")
"""A group that is repeated: the time to match it may grow beyond all measure. No name of a frame
needs one."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """Reads the subject in names; see :meth:`parse`."""

    text: str
    _expression: re.Pattern[str]
    _group: str | int

    @classmethod
    def parse(cls, text: str, *, regular_expression: bool = False) -> NamePattern:
        """A pattern as this module explains, or a regular expression that has to match the whole
        name and whose group ``subject``, or else the first, is the subject.

        Raises :class:`InputError` for one that names no subject or cannot be read.
        """
        if regular_expression:
            return cls._of_expression(text)
        if text.count(SUBJECT) != 1:
            raise InputError(
                f"The pattern {text!r} has to say once where the subject stands, as "
                f"{SUBJECT}_* does."
            )
        parts, at = [], 0
        for found in _SPECIAL.finditer(text):
            parts += [re.escape(text[at : found.start()]), _PARTS[found[0]]]
            at = found.end()
        parts.append(re.escape(text[at:]))
        return cls(text, re.compile("".join(parts), re.DOTALL), "subject")

    @classmethod
    def _of_expression(cls, text: str) -> NamePattern:
        if _ENDLESS.search(text):
            raise InputError(
                f"The regular expression {text!r} repeats a group, which may take for ever. Repeat "
                "single characters instead, as in [a-z_]+."
            )
        try:
            expression = re.compile(text)
        except (re.error, OverflowError, RecursionError) as error:
            raise InputError(f"{text!r} is no regular expression: {error}.") from error
        if not expression.groups:
            raise InputError(
                f"The regular expression {text!r} has no group. Put what names the subject in "
                "parentheses, as in (\\d+)_.*"
            )
        return cls(text, expression, "subject" if "subject" in expression.groupindex else 1)

    def read(self, name: str) -> str | None:
        """What stands for the subject in a name, or None where the pattern does not match."""
        found = self._expression.fullmatch(name)
        return (found[self._group] or "").strip() or None if found else None


def proposed_patterns(names: Sequence[str]) -> list[str]:
    """Patterns that match nearly all of these names and put some of them together, into more than
    one subject: those that match most names first."""
    found: dict[tuple[str | None, ...], str] = {}
    for template in _TEMPLATES:
        for separator in _SEPARATORS:
            text = template.replace("%s", separator)
            pattern = NamePattern.parse(text)
            read = tuple(map(pattern.read, names))
            matched = [subject for subject in read if subject is not None]
            if len(matched) >= _FITS * len(names) and 1 < len(set(matched)) < len(matched):
                found.setdefault(read, text)
    by_matched = sorted(found.items(), key=lambda item: item[0].count(None))
    return [text for _, text in by_matched][:_MOST_PROPOSED]
