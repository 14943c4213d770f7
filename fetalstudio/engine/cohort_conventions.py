"""How each cohort of a project is drawn, as a built-in segmenter sees it: measured, and kept.

What is kept is in the project's cache folder, which may be deleted. It counts as long as the
annotated frames that it was measured on and their ellipses are the same. Imports no torch, so the
window may use it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from fetalstudio.core.convention import FEWEST, Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import Interval
from fetalstudio.engine.cohort_split import labelled_if_any, of_part, split
from fetalstudio.formats.files import write_bytes
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.project import Project
from fetalstudio.version import __version__

Item = TypeVar("Item", "DrawnFrame", LabelledFrame, "DrawnFrame | LabelledFrame")


class DrawnFrame(NamedTuple):
    """An annotated frame, without its picture."""

    id: str
    cohort: str
    subject: str
    ellipse: Ellipse


@dataclass(frozen=True, slots=True)
class CohortConvention:
    """How a cohort is drawn."""

    cohort: str
    convention: Convention | None
    """None for a cohort that the built-in segmenter learnt from: it draws like its annotators."""

    @property
    def sentence(self) -> str:
        """For a person."""
        if self.convention is None:
            return f"{self.cohort}: drawn along the skull as {BUILT_IN} learnt it from this cohort."
        return f"{self.cohort}: {self.convention.sentence}."

    def differs(self, other: CohortConvention) -> bool:
        """Whether the sizes are 1 % apart or more, and further than chance explains."""
        if self.convention is None:
            return other.convention is not None and other.convention.differs_from_none
        if other.convention is None:
            return self.convention.differs_from_none
        return self.convention.differs(other.convention)


def measurable(drawn: Iterable[DrawnFrame | LabelledFrame]) -> set[str]:
    """The cohorts whose annotated frames are of enough subjects to measure them."""
    subjects = {(item.cohort, item.subject) for item in drawn}
    counts = Counter(cohort for cohort, _ in subjects)
    return {cohort for cohort, count in counts.items() if count >= FEWEST}


def kept_conventions(
    project: Project, drawn: Iterable[DrawnFrame | LabelledFrame] | None = None
) -> dict[str, CohortConvention]:
    """By cohort, what was measured and still holds. Computes nothing.

    ``drawn`` are the annotated frames of the cohorts in question; by default they are read.
    """
    file = Kept.of_cohorts(project)
    if file.empty:  # to look at all annotated frames takes time
        return {}
    by_cohort = by_cohort_of(labelled_if_any(project) if drawn is None else drawn)
    return {c: CohortConvention(c, found) for c, found in file.holding(by_cohort).items()}


def drawn_for_pairs(project: Project, cohorts: Iterable[str]) -> dict[str, list[LabelledFrame]]:
    """The annotated frames of each cohort's training part, by which pairs for it are drawn.

    Segmenters learn from the pairs, so no other part may have a say in them.
    """
    drawn = {cohort: labelled_if_any(project, cohort) for cohort in sorted(set(cohorts))}
    return {c: of_part(items, split(project, items), "train") for c, items in drawn.items()}


def known_for_pairs(
    project: Project, drawn: Mapping[str, Sequence[LabelledFrame]]
) -> dict[str, Convention | None]:
    """By cohort, the convention that pairs for it follow, or None for one that has none; computes
    nothing. A cohort that still has to be measured is missing.

    ``drawn`` is what :func:`drawn_for_pairs` returns.
    """
    too_few = {cohort: None for cohort in drawn.keys() - measurable(chain(*drawn.values()))}
    return {**too_few, **Kept.for_pairs(project).holding(drawn)}


def apart(found: Mapping[str, CohortConvention]) -> list[str]:
    """A sentence for a person on each two cohorts that are drawn differently."""
    return [
        f"{one} and {other} are drawn differently ({one} {_size(found[one])}, {other} "
        f"{_size(found[other])}). A segmenter that learns from both draws in between: train and "
        "export them apart."
        for one, other in combinations(sorted(found), 2)
        if found[one].differs(found[other])
    ]


def _size(found: CohortConvention) -> str:
    size = None if found.convention is None else found.convention.size
    if size is None or size.low <= 0 <= size.high:
        return "along the skull"
    return f"{100 * abs(size.mean):.1f} % {'outside' if size.mean > 0 else 'inside'}"


def by_cohort_of(drawn: Iterable[Item]) -> dict[str, list[Item]]:
    """The annotated frames of each cohort."""
    by_cohort: dict[str, list[Item]] = {}
    for item in drawn:
        by_cohort.setdefault(item.cohort, []).append(item)
    return by_cohort


@dataclass(frozen=True, slots=True)
class Kept:
    """A file of conventions by cohort, with a digest of the frames that they were measured on."""

    path: Path

    @classmethod
    def of_cohorts(cls, project: Project) -> Kept:
        """Those that describe cohorts, by ``compact`` on all of their annotated frames."""
        return cls(project.path / "cache" / "conventions.json")

    @classmethod
    def for_pairs(cls, project: Project) -> Kept:
        """Those that pairs follow, by the judge on :func:`drawn_for_pairs`."""
        return cls(project.path / "cache" / "pair_conventions.json")

    @property
    def empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._read()

    def holding(
        self, drawn: Mapping[str, Sequence[DrawnFrame | LabelledFrame]]
    ) -> dict[str, Convention | None]:
        """What is kept of these cohorts and still holds; ``drawn`` are their annotated frames."""
        stored = self._read()
        return {
            cohort: _convention(stored[cohort]["convention"])
            for cohort, items in drawn.items()
            if cohort in stored and stored[cohort]["drawn"] == _digest(items)
        }

    def keep(
        self,
        found: Mapping[str, Convention | None],
        drawn: Mapping[str, Sequence[DrawnFrame | LabelledFrame]],
    ) -> None:
        """Keep what was found of cohorts, with the annotated frames that it holds for."""
        stored = self._read()
        for cohort, convention in found.items():
            values = None if convention is None else asdict(convention)
            stored[cohort] = {"drawn": _digest(drawn[cohort]), "convention": values}
        write_bytes(self.path, json.dumps(stored, indent=1).encode())

    def _read(self) -> dict[str, Any]:
        """What is kept; nothing where the file is missing or damaged, as it can be made again."""
        try:
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            for entry in stored.values():
                _convention(entry["convention"])
                entry["drawn"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return dict(stored)


def _digest(items: Sequence[DrawnFrame | LabelledFrame]) -> str:
    drawn = sorted(f"{item.id} {item.subject} {item.ellipse}" for item in items)
    # Another version may have other built-in segmenters.
    return hashlib.sha256("\n".join([__version__, *drawn]).encode()).hexdigest()


def _convention(values: Any) -> Convention | None:
    if values is None:
        return None
    return Convention(
        size=Interval(**values["size"]),
        long=Interval(**values["long"]),
        short=Interval(**values["short"]),
        right=Interval(**values["right"]),
        down=Interval(**values["down"]),
        subjects=int(values["subjects"]),
        segmenter=str(values["segmenter"]),
    )
