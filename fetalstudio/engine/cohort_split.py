"""Which frames a training, a batch or an evaluation uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import Head, HeadConstraints, HeadDistribution
from fetalstudio.core.splits import Part, split_subjects
from fetalstudio.engine.jobs.synthesize.request import NamedEllipse
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame, Pair

T = TypeVar("T")
VALIDATION, TEST = 0.15, 0.25
"""Shares of the annotated subjects that are held out."""
SYNTHETIC_COHORT = "synthetic"
"""Where all synthetic frames of a project are."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A real frame with the ellipse that a person stands for (state draft or final)."""

    frame: Frame
    ellipse: Ellipse


def labelled_frames(project: Project, cohort: str | None = None) -> list[Labelled]:
    """The frames to train or evaluate on. Raises :class:`InputError` where there are none."""
    result = labelled_if_any(project, cohort)
    if not result:
        where = f"Cohort {cohort!r} of {project.path}" if cohort else str(project.path)
        raise InputError(f"{where} has no annotated frame. Draw or confirm an ellipse first.")
    return result


def labelled_if_any(project: Project, cohort: str | None = None) -> list[Labelled]:
    """As :func:`labelled_frames`; empty where there are none."""
    annotations = project.annotations.by_frame(cohort)
    return [
        Labelled(frame, annotation.ellipse)
        for frame in project.frames.all(cohort=cohort)
        if (annotation := annotations.get(frame.id)) is not None
        and annotation.ellipse is not None
        and annotation.state != "proposed"
    ]


def split(labelled: list[Labelled]) -> Mapping[str, Part]:
    """Part of each subject; the same for the same subjects, whatever else is asked."""
    return split_subjects(
        (item.frame.subject for item in labelled), validation=VALIDATION, test=TEST
    )


def bundled_parts(labelled: list[Labelled]) -> Mapping[str, Part]:
    """Part of each subject in the training of the bundled models: 20 % test, 5 % validate."""
    return split_subjects((item.frame.subject for item in labelled), validation=0.05, test=0.2)


def of_part(labelled: list[Labelled], parts: Mapping[str, Part], part: Part) -> list[Labelled]:
    """The frames whose subject is in ``part``."""
    return [item for item in labelled if parts[item.frame.subject] == part]


def some_of(items: Sequence[T], count: int | None, rng: np.random.Generator) -> Sequence[T]:
    """``count`` of them drawn at random, in their order; all where that is ``None`` or too many.

    Not the first ones: frames are often sorted by what they show, HC18's by trimester.
    """
    if count is None or count >= len(items):
        return items
    return [items[i] for i in sorted(rng.permutation(len(items))[:count])]


def usable_pairs(project: Project, parts: Mapping[str, Part]) -> list[Pair]:
    """Accepted pairs; no copy, and none that took its sector from a held-out subject's frame."""
    subjects = {frame.id: frame.subject for frame in project.frames.all()}

    def held_out(pair: Pair) -> bool:
        subject = subjects.get(str(pair.provenance.get("source_frame")))
        return subject is not None and parts.get(subject, "train") != "train"

    accepted = reversed(project.pairs.all(state="accepted"))
    return [pair for pair in accepted if not pair.copy and not held_out(pair)]


def batch_sources(project: Project, cohort: str | None = None) -> list[Labelled]:
    """The frames that a batch may take after: annotated, and of the training part."""
    labelled = labelled_frames(project, cohort)
    return of_part(labelled, split(labelled), "train")


def head_distribution(
    sources: Sequence[Labelled], wish: HeadConstraints | None = None
) -> HeadDistribution:
    """What a batch draws its ellipses from."""
    heads = [Head(s.ellipse, s.frame.size, s.frame.calibration) for s in sources]
    return HeadDistribution(heads, wish)


def ellipses_like(
    project: Project,
    count: int,
    *,
    cohort: str | None = None,
    seed: int = 0,
    wish: HeadConstraints | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[NamedEllipse]:
    """``count`` ellipses like the annotated ones of the training part, each on its frame's sector.

    The first of many are those of a few with the same seed. ``check`` is called before each, and
    may raise to stop. Raises :class:`InputError` where the
    cohort has no annotated frame or cannot meet the wish.
    """
    sources = batch_sources(project, cohort)
    distribution = head_distribution(sources, wish)
    named = []
    for i in range(count):
        check()
        lender, ellipse = distribution.draw(i, seed)
        frame = sources[lender].frame
        named.append(NamedEllipse(f"synthetic_{seed}_{i:04d}", ellipse, frame.size, frame.id))
    return named


def style_of(ellipse: Ellipse, calibration: Calibration | None, style: str) -> str:
    """The style to ask for: ``auto`` is the trimester by HC, or ``any`` without a calibration."""
    if style != "auto":
        return style
    return "any" if calibration is None else trimester(measure(ellipse, calibration).hc_mm)
