"""Dividing frames into parts by subject, in the same way on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

Part = Literal["train", "validation", "test"]


def split_subjects(
    subjects: Iterable[str], *, validation: float = 0.1, test: float = 0.2, seed: int = 0
) -> Mapping[str, Part]:
    """Assign each distinct subject to one part.

    ``validation`` and ``test`` are shares of the subjects in [0, 1), rounded, each at least one
    subject where its share is above zero and there are enough (two for one held-out part, three
    for both); one subject is always left to train on. Subjects are ordered by a seeded hash of
    their key. The result therefore does not depend on the order of the input, an added subject
    moves few others, and the test part does not depend on ``validation``.

    Raises ``ValueError`` for shares outside these bounds.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(f"shares must lie in [0, 1) and sum below 1, not {validation} + {test}")
    ordered = sorted(set(subjects), key=lambda key: _rank(key, seed))
    n_test = _held_out(test * len(ordered), len(ordered))
    n_validation = _held_out(validation * len(ordered), len(ordered) - n_test)
    parts: dict[str, Part] = {}
    for i, subject in enumerate(ordered):
        held_out: Part = "test" if i < n_test else "validation"
        parts[subject] = held_out if i < n_test + n_validation else "train"
    return parts


def _held_out(wanted: float, available: int) -> int:
    """The number of ``available`` subjects that a part takes. One is always left to train on."""
    if wanted <= 0 or available <= 1:
        return 0
    return min(max(round(wanted), 1), available - 1)


def _rank(subject: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{subject}".encode()).digest()
