"""How the names of files in tables and folders are compared."""

from __future__ import annotations

import re
import unicodedata


def key_of(name: str) -> str:
    """What two spellings of a file's name share: neither case nor normal form counts, nor do spaces
    at its ends or invisible characters."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in plain if unicodedata.category(c) != "Cf")
    return re.sub(r"\s+", " ", re.sub(r"\s+(?=\.[^.\s]*$)", "", seen)).strip()


def last_part(name: str) -> str:
    """The file's name in a path of any system."""
    return re.split(r"[/\\]", name)[-1]
