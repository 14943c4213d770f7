"""Names of pictures by which several may show one patient, although none says so clearly.

``Anna_1`` and ``Anna_2``, or ``101_a`` and ``101_b``, are probably of one patient each; ``IMG_1``
and ``IMG_2`` say nothing. Nothing is grouped by such names, but they are pointed out.
"""

from __future__ import annotations

import glob
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.words import counted, listed, quoted
from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS
from fetalstudio.formats.folders.annotation_words import words_of
from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.privacy.identifiers import looks_like

_DATE = r"(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d(?:[-_ T]?\d{4,6})?"
_NUMBERED = re.compile(
    rf"(?P<a>.+?)(?P<s>[-_ .(]+)(?:{_DATE}|\d{{1,4}}|[A-Za-z])\)?"
    r"|(?P<b>.*[^\W\d_])\d{1,3}|(?P<c>.*\d)[A-Za-z]",
    re.DOTALL,
)
"""A name that ends in a number, a letter or a date: ``Anna_1``, ``Anna (1)``, ``Anna1``, ``7a``."""
_OF_MANY = frozenset(
    {"site", "center", "centre", "hospital", "clinic", "scanner", "machine", "device", "probe"}
    | {"batch", "fold", "part", "set", "split", "train", "val", "test", "plane", "view"}
    | {"trimester", "week", "ga", "day", "year", "grade", "quality", "reader", "group", "cla"}
)
"""Words of what has frames of several patients, without an s at their ends."""
_OF_PICTURES = frozenset(
    {"u", "usg", "img", "image", "pic", "picture", "scan", "frame", "hc", "head", "fetu", "case"}
)
"""Words of pictures, without an s at their ends."""
_LEAST = 1 / 3
"""The share of the pictures whose names have to recur."""
_NAMED, _SHOWN = 3, 2
"""Patients in a message, and pictures of each."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """What several pictures may have of a patient in their names."""

    text: str
    pattern: str
    """Which files these are, as the option ``--answer`` takes it."""


def shared_names(pictures: Sequence[Path], source: Path) -> str | None:
    """The message that some of these pictures of a source may show one patient, as their names or
    those of their folders say; None where none do.

    ``pictures`` are those that count as of a patient each.
    """
    by_name = _recurring({path: _of_name(path, source) for path in pictures})
    left = set(pictures).difference(*by_name.values())
    groups = {**by_name, **_recurring({path: _of_folder(path, source) for path in sorted(left)})}
    together = sum(map(len, groups.values()))
    several = len(groups) > 1 or together < len(pictures)
    if not groups or not several or together < _LEAST * len(pictures):
        return None
    said = [
        listed([path.relative_to(source).as_posix() for path in paths], _SHOWN)
        for paths in groups.values()
    ]
    first = next(iter(groups))
    more = f"; and {len(said) - _NAMED} more like it" if len(said) > _NAMED else ""
    return (
        f"The names of {counted(together, 'picture')} may say that several show one patient, but "
        f"each counts as a patient of its own: {'; '.join(said[:_NAMED])}{more}. If so, say it "
        "when you import them, as an import can be undone: enter the subject in the window, "
        f"use options such as --answer subject {quoted(first.text)} {quoted(first.pattern)}, or "
        "add a table with the columns filename and subject."
    )


def _recurring(shared: Mapping[Path, _Shared | None]) -> dict[_Shared, list[Path]]:
    """The pictures that have the same in their names."""
    found: dict[_Shared, list[Path]] = defaultdict(list)
    for path, text in shared.items():
        if text is not None:
            found[text].append(path)
    return {text: paths for text, paths in found.items() if len(paths) > 1}


def _of_name(path: Path, source: Path) -> _Shared | None:
    named = _NUMBERED.fullmatch(stem_of(path))
    if named is None:
        return None
    text = named["a"] or named["b"] or named["c"]
    if not _may_name(text):
        return None
    after = named["s"] or ("[0-9]" if named["b"] else "[A-Za-z]")
    beginning = path.parent.joinpath(text).relative_to(source).as_posix()
    return _Shared(text, f"{glob.escape(beginning)}{after}*")


def _of_folder(path: Path, source: Path) -> _Shared | None:
    folder = path.parent
    while folder != source and folder.name.lower() in IMAGE_FOLDERS:
        folder = folder.parent
    if folder == source or not _may_name(folder.name):
        return None
    return _Shared(folder.name, f"{glob.escape(folder.relative_to(source).as_posix())}/*")


def _may_name(text: str) -> bool:
    """Whether a text may stand for a patient: it names something, or numbers pictures otherwise
    than by itself (``US_101`` in ``US_101_2``)."""
    words = {word.removesuffix("s") for word in words_of(text) if len(word) > 1}
    likeness = looks_like(text)
    if likeness == "a date" or not words.isdisjoint(_OF_MANY):
        return False
    return likeness is not None or (words <= _OF_PICTURES and any(map(str.isdigit, text)))
