"""Which picture of a source a table means by a path, where names recur in several folders.

A table is often written on another computer, so that its paths begin otherwise than those of the
pictures; what follows is the same. So as much of the beginning that all paths of a table share is
left out of account as is needed for one of them to be the end of a picture's path. What is left of
the others has to be so, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from pathlib import Path

from fetalstudio.formats.pictures.picture_files import stem_of
from fetalstudio.formats.privacy.subjects import says_patient
from fetalstudio.formats.tables.names import key_of

Parts = tuple[str, ...]


class Unclear(Enum):
    """Why no picture is meant for certain."""

    SEVERAL = "each of several pictures may be meant"
    ELSEWHERE = "pictures of that name lie in other folders only"


@dataclass(frozen=True, slots=True)
class _Written:
    """A path in a table, of any system. It is only compared: nothing is opened by it."""

    parts: Parts
    folders: Parts
    """The keys of all parts but the last."""
    name: str
    """The key of the last."""
    patients: frozenset[str]
    """The keys of those folders that are a patient's by their names."""


class NamedPictures:
    """The pictures that a table can be about."""

    def __init__(self, pictures: Sequence[Path], within: Path | None = None) -> None:
        """A table that lies ``within`` a folder of the source, and not in the source itself, means
        rather those that lie there, too."""
        self._within = within
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._folders: dict[Path, Parts] = {}
        self._patients: dict[Path, frozenset[str]] = {}
        self._by_end: dict[int, dict[Parts, list[Path]]] = {}
        for path in pictures:
            self._by_name[key_of(path.name)].append(path)
            self._by_stem[key_of(stem_of(path))].append(path)
            if path.parent not in self._folders:
                self._folders[path.parent] = tuple(map(key_of, path.parent.parts))
                self._patients[path.parent] = _patients(path.parent.parts)

    def recurs(self, key: str) -> bool:
        """Whether pictures of several folders have the name with this key."""
        return len({path.parent for path in self._called(key)}) > 1

    def meant(self, written: Sequence[str]) -> list[Path | Unclear | None]:
        """The picture that each of these names in one table means, or why that is unclear; None
        where the name of the file alone says as much as there is to know."""
        several = {text: self._parsed(text) for text in dict.fromkeys(written)}
        shared = _equal_ones(zip(*(w.folders for w in several.values() if w.folders), strict=False))
        found: dict[str, Path | Unclear | None] = {}
        for start in range(shared + 1):
            found = {text: self._meant(one, start) for text, one in several.items()}
            known = (text for text, meant in found.items() if isinstance(meant, Path))
            if any(len(several[text].folders) > start for text in known):
                break
        else:  # the pictures were put into other folders: their names may say which is meant
            away = (text for text, meant in found.items() if meant is Unclear.ELSEWHERE)
            found |= {text: self._by_file_name(several[text]) for text in away}
        return [found[text] for text in written]

    def _parsed(self, text: str) -> _Written:
        parts = tuple(p for p in re.split(r"[/\\]+", text.strip()) if p not in ("", ".", ".."))
        *folders, name = parts or (text,)
        above = () if self._within is None else (self._within.name,)
        return _Written(
            (*folders, name),
            tuple(map(key_of, folders)),
            key_of(name),
            _patients((*above, *folders)),
        )

    def _called(self, key: str) -> list[Path]:
        return self._by_name.get(key) or self._by_stem.get(key) or []

    def _ending(self, tail: Parts) -> list[Path]:
        """The pictures whose paths end so, with or without their endings."""
        length = len(tail) - 1
        if length not in self._by_end:
            by_end = self._by_end[length] = defaultdict(list)
            for by_name in (self._by_name, self._by_stem):
                for name, pictures in by_name.items():
                    for path in pictures:
                        by_end[*self._folders[path.parent][-length:], name].append(path)
        return list(dict.fromkeys(self._by_end[length].get(tail, ())))

    def _meant(self, written: _Written, start: int) -> Path | Unclear | None:
        """The picture, if the first ``start`` folders are left out of account."""
        pictures = self._called(written.name)
        if not pictures:
            return None
        if not written.folders:
            return self._by_file_name(written)
        tail = written.folders[start:]
        ends = self._ending((*tail, written.name)) if tail else pictures
        if not ends or self._is_of_another(written, ends):
            return Unclear.ELSEWHERE
        if len(ends) > 1:
            ends = self._inside(ends)
            shared = {p: _shared(self._folders[p.parent], written.folders) for p in ends}
            most = max(shared.values())
            ends = [p for p in ends if shared[p] == most]
            ends = [p for p in ends if p.parts[-len(tail) - 1 :] == written.parts[start:]] or ends
        return ends[0] if len(ends) == 1 else Unclear.SEVERAL

    def _by_file_name(self, written: _Written) -> Path | Unclear | None:
        pictures = self._called(written.name)
        if self._is_of_another(written, pictures):
            return Unclear.ELSEWHERE
        if len(pictures) < 2:
            return None
        left = self._inside(pictures)
        left = [p for p in left if p.name == written.parts[-1]] or left
        if len(left) == 1:
            return left[0]
        alike = len({p.parent for p in left}) < len(left) and written.name in self._by_name
        return Unclear.SEVERAL if alike or written.folders else None

    def _inside(self, pictures: list[Path]) -> list[Path]:
        """Those that lie in the table's folder, if some do."""
        within = self._within
        return [p for p in pictures if within is not None and p.is_relative_to(within)] or pictures

    def _is_of_another(self, written: _Written, pictures: Sequence[Path]) -> bool:
        """Whether the folders in a path are those of another patient than all these pictures'."""
        theirs = [self._patients[p.parent] for p in pictures] if written.patients else []
        return bool(theirs) and all(
            names and written.patients.isdisjoint(names) for names in theirs
        )


def _patients(folders: Iterable[str]) -> frozenset[str]:
    return frozenset(map(key_of, filter(says_patient, folders)))


def _shared(folders: Parts, written: Parts) -> int:
    """How many folders at the end of both are the same."""
    return _equal_ones(zip(reversed(folders), reversed(written), strict=False))


def _equal_ones(names: Iterable[Sequence[str]]) -> int:
    """How many of these begin the row that have one name alone."""
    return sum(1 for _ in takewhile(lambda some: len(set(some)) == 1, names))
