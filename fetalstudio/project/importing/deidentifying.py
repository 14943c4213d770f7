"""What an import stores in the place of texts that may say who a patient is.

Subjects become keys and names of frames neutral. The name of a folder, and the texts of a table's
columns, are stored only if they are harmless or a person asked for them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame

RENAME_COHORT = "Library, Amend, Rename cohort; or fetalstudio frames PROJECT rename-cohort"
"""Where a person names a cohort, for messages that name that cure."""

_PUBLIC = re.compile(r"\d{1,3}_\d?HC")
"""The names in the HC18 data set: public, and too short for the number of a patient."""
_GRADE = re.compile(r"\d{1,3}")
_COUNTED = re.compile(
    r"(?:synthetic|pair|head|ellipse|frame|picture|image|img)(?:[-_]?\d{1,6}){1,2}(?:-\d+)?"
)


def is_public_name(name: str) -> bool:
    """Whether a frame has its name from a public data set, so that it may be kept."""
    return _PUBLIC.fullmatch(name) is not None


def is_counted(name: str) -> bool:
    """Whether a pair or an ellipse is called by its number, as in ``synthetic_4_0001``."""
    return _COUNTED.fullmatch(name) is not None


def stored_pair_names(names: Sequence[str]) -> list[str]:
    """Under which names pairs of these names are stored: what may name a patient is numbered."""
    return [
        name if is_counted(name) or not looks_like(name) else f"pair_{number:05d}"
        for number, name in enumerate(names, 1)
    ]


def stored_cohort(
    project: Project, chosen: str | None, folder: str, held: Iterable[Frame]
) -> tuple[str, str | None]:
    """The cohort of an import, and a message where it is not called after the ``folder``.

    ``chosen`` is a person's choice. ``held`` are the frames of the source that the project already
    has: the others join them.
    """
    known = project.frames.cohorts()
    if chosen is not None or folder in known or (likeness := looks_like(folder)) is None:
        return chosen or folder, None
    there = Counter(frame.cohort for frame in held).most_common(1)
    cohort = there[0][0] if there else free_cohort(known)
    return cohort, (
        f"The name of the folder looks like {likeness} and was not stored; the cohort is called "
        f"{cohort}. Choose its name with the option --cohort, or rename it ({RENAME_COHORT})."
    )


def free_cohort(taken: Collection[str]) -> str:
    """The first of ``cohort-1``, ``cohort-2``, ... that is not taken."""
    numbered = (f"cohort-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in numbered if name not in taken)


def doubtful_labels(labels: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """By label, what the first of its :func:`doubtful_texts` looks like."""
    return {name: next(iter(found.values())) for name, found in doubtful_texts(labels).items()}


def doubtful_texts(labels: Iterable[Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """By label, its texts that may say who a patient is, each with what it looks like.

    A number of up to three digits is a grade or a count of days.
    """
    found: dict[str, dict[str, str]] = {}
    for name, text in dict.fromkeys(item for one in labels for item in one.items()):
        likeness = None if _GRADE.fullmatch(text.strip()) else looks_like(text)
        if likeness is not None:
            found.setdefault(name, {})[text] = likeness
    return found
