"""The part of each subject: training, validation or test.

A part is stored when the subject is first used, and stays. Otherwise a subject that one model
learned from would test the next one, as the project grows and shares are computed again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import get_args

from fetalstudio.core.splits import Part, split_subjects
from fetalstudio.project.store.rows import text, word
from fetalstudio.project.store.storage import Storage, now

VALIDATION, TEST = 0.15, 0.25
"""The shares of the annotated subjects in the validation and in the test part."""

_PARTS: tuple[Part, ...] = get_args(Part)


class Parts:
    """The parts of the subjects of a project."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def stored(self) -> Mapping[str, Part]:
        """The part of each subject that was used, by subject."""
        rows = self._storage.database.query("SELECT subject, part FROM parts")
        return dict(self._storage.read("parts", rows, _part))

    def plan(self, subjects: Iterable[str]) -> Mapping[str, Part]:
        """The part of each of these subjects: the stored one, or the one that it would get.

        :data:`VALIDATION` and :data:`TEST` are shares of these subjects. Nothing is stored.
        """
        return split_subjects(subjects, validation=VALIDATION, test=TEST, known=self.stored())

    def divide(self, subjects: Iterable[str]) -> Mapping[str, Part]:
        """As :meth:`plan`, and stores the parts: call it where the subjects are used.

        Raises :class:`~fetalstudio.core.errors.UserError` where the project cannot be written.
        """
        with self._storage.transaction():
            stored = self.stored()
            parts = self.plan(subjects)
            for subject, part in parts.items():
                if subject not in stored:
                    self._store(subject, part)
        return parts

    def adopt(self, parts: Mapping[str, Part]) -> Mapping[str, Part]:
        """Store the parts that a source of frames states. A subject that has a part keeps it: those
        are returned whose part is another one, with the part that they keep.

        Raises :class:`~fetalstudio.core.errors.UserError` where the project cannot be written.
        """
        with self._storage.transaction():
            stored = self.stored()
            for subject in sorted(parts.keys() - stored.keys()):
                self._store(subject, parts[subject])
        return {
            subject: stored[subject]
            for subject, part in parts.items()
            if stored.get(subject, part) != part
        }

    def inherit(self, subject: str, former: Iterable[str]) -> None:
        """Give a subject that was never used the part of its ``former`` keys, when a person
        corrects the key; see :func:`joined_part`."""
        stored = self.stored()
        part = joined_part(stored[key] for key in former if key in stored)
        if subject not in stored and part is not None:
            self._store(subject, part)

    def _store(self, subject: str, part: Part) -> None:
        self._storage.database.insert("parts", subject=subject, part=part, created_at=now())


def joined_part(parts: Iterable[Part]) -> Part | None:
    """The part of a subject that is made of others with these parts.

    Where one of them is in the training part, so is the joined one: a model may have learned from
    it, and would be tested on what it knows.
    """
    return min(parts, key=_PARTS.index, default=None)


def _part(row: sqlite3.Row) -> tuple[str, Part]:
    return text(row, "subject"), word(row, "part", _PARTS)
