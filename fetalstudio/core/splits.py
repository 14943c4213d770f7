"""Dividing frames into parts by subject, in the same way on every machine."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

Part = Literal["train", "validation", "test"]


def split_subjects(
    subjects: Iterable[str],
    *,
    validation: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    known: Mapping[str, Part] = MappingProxyType({}),
) -> Mapping[str, Part]:
    """Assign each distinct subject to one part.

    ``validation`` and ``test`` are shares of the subjects in [0, 1), rounded, each at least one
    subject where its share is above zero and there are enough (two for one held-out part, three
    for both); one subject is always left to train on. Subjects are ordered by a seeded hash of
    their key. The result therefore does not depend on the order of the input, and the test part
    does not depend on ``validation``. Subjects in ``known`` keep their part there, whatever the
    shares then are; the others fill up what the held-out parts lack.

    Raises ``ValueError`` for shares outside these bounds.
    """
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ValueError(f"shares must lie in [0, 1) and sum below 1, not {validation} + {test}")
    ordered = sorted(set(subjects), key=lambda key: _rank(key, seed))
    n_test = _held_out(test * len(ordered), len(ordered))
    n_validation = _held_out(validation * len(ordered), len(ordered) - n_test)
    parts: dict[str, Part] = {subject: known[subject] for subject in ordered if subject in known}
    held = Counter(parts.values())
    for subject in ordered:
        if subject in parts:
            continue
        part: Part = "train"
        if held["test"] < n_test:
            part = "test"
        elif held["validation"] < n_validation:
            part = "validation"
        parts[subject] = part
        held[part] += 1
    return parts


def is_among(subject: str, share: float, *, seed: int) -> bool:
    """Whether a subject belongs to ``share`` (0 to 1) of all subjects.

    Only a seeded hash of its key decides, so that the answer is the same whichever other subjects
    there are.
    """
    return int.from_bytes(_rank(subject, seed)[:8], "big") < share * 2**64


def _held_out(wanted: float, available: int) -> int:
    """The number of ``available`` subjects that a part takes. One is always left to train on."""
    if wanted <= 0 or available <= 1:
        return 0
    return min(max(round(wanted), 1), available - 1)


def _rank(subject: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{subject}".encode()).digest()
