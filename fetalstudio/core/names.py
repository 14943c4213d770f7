"""Which names a model can have, and which keys a subject or a cohort."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from fetalstudio.core.errors import InputError

MAX_LENGTH = 100
"""Characters."""
_OTHER_ALLOWED = " ._-"
_WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)


def checked_model_name(name: str, taken: Collection[str] = ()) -> str:
    """The name without spaces around it, fit to be a folder's name on every system.

    Raises :class:`InputError` that says what is wrong with it, or that it is among the names that
    are ``taken`` (in any case: ``Mine`` and ``mine`` are one folder on Windows and macOS).
    """
    checked = unicodedata.normalize("NFC", name.strip(" \t"))
    if not _fits(checked):
        raise InputError(
            f"{_shown(name)} cannot be a model's name. Use letters, digits, spaces, '.', '_' and "
            f"'-', at most {MAX_LENGTH} characters, and begin and end with a letter or digit."
        )
    if _WINDOWS_DEVICES.fullmatch(checked):
        raise InputError(
            f"{_shown(name)} cannot be a model's name: Windows reserves it. Choose another name."
        )
    if checked.casefold() in {other.casefold() for other in taken}:
        raise InputError(
            f"The name {checked!r} is taken by another model or by a training that can be resumed. "
            "Choose another name."
        )
    return checked


def visible_key(key: str) -> str:
    """``key`` without spaces around it and without characters that cannot be seen."""
    return "".join(filter(str.isprintable, unicodedata.normalize("NFC", key))).strip()


def checked_key(word: str, key: str) -> str:
    """The key of a subject or the name of a cohort, without spaces around it.

    Keys that look the same are the same: otherwise one patient would be two subjects, in two parts
    of a split. ``word`` says in messages what it is. Raises :class:`InputError` for one that is
    empty or has characters that cannot be seen, such as a line break.
    """
    checked = visible_key(key)
    if not checked:
        raise InputError(f"A frame needs a {word}; it is empty. Give one.")
    if checked != unicodedata.normalize("NFC", key).strip():
        raise InputError(
            f"{_shown(key)} cannot be a {word}: it has characters that cannot be seen, such as a "
            "line break. Leave them out."
        )
    return checked


def fitting_name(text: str) -> str:
    """``text`` with ``-`` in the place of what a model's name cannot have: a name to propose."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(c if _is_allowed(c) else "-" for c in normal).replace("..", "-")
    return kept[: MAX_LENGTH - 10].strip(_OTHER_ALLOWED) or "model"


def free_model_name(stem: str, taken: Collection[str]) -> str:
    """``<stem>-<number>`` with the first number that is not ``taken``."""
    lower = {other.casefold() for other in taken}
    numbered = (f"{fitting_name(stem)}-{number}" for number in range(1, len(lower) + 2))
    return next(name for name in numbered if name.casefold() not in lower)


def _fits(name: str) -> bool:
    return (
        0 < len(name) <= MAX_LENGTH
        and all(map(_is_allowed, name))
        and name[0] not in _OTHER_ALLOWED
        and name[-1] not in _OTHER_ALLOWED
        and ".." not in name
    )


def _is_allowed(character: str) -> bool:
    # Letters, their accents and vowel signs, and digits, of any script.
    return character in _OTHER_ALLOWED or unicodedata.category(character)[0] in "LMN"


def _shown(name: str) -> str:
    return repr(name if len(name) <= MAX_LENGTH else f"{name[:40]}...")
