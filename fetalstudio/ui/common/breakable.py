"""Words that are too long for a line, such as the name of a file that is a hash."""

from __future__ import annotations

import re

_LONGEST = 24
"""Characters of a word that is left in one piece; any panel has room for them."""
_BREAK = "\u200b"
"""A space of no width, at which Qt breaks a line."""


def breakable(text: str) -> str:
    """The text, looking the same, with words over 24 characters that a label can break.

    It is for labels whose text is not copied: what breaks the words would be copied as well.
    """
    return re.sub(rf"\S{{{_LONGEST + 1},}}", lambda word: _broken(word.group()), text)


def _broken(word: str) -> str:
    pieces = re.findall(rf"[^/\\_.-]{{1,{_LONGEST}}}[/\\_.-]*|[/\\_.-]+", word)
    return _BREAK.join(pieces)
