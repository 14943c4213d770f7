"""Ellipses for a batch that resemble those of a cohort, and their lenders. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fetalstudio.core.heads import HeadConstraints, HeadDistribution, nearest_head
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.cohort_split import (
    check_cohort,
    labelled_frames,
    labelled_if_any,
    of_part,
    split,
)
from fetalstudio.formats.tables.ellipse_table import NamedEllipse
from fetalstudio.project.project import Project


def batch_sources(project: Project, cohort: str | None = None) -> list[LabelledFrame]:
    """The frames that a batch may resemble: the annotated ones of the training part."""
    frames = labelled_frames(project, cohort)
    return of_part(frames, split(project, frames), "train")


def ellipses_like(
    project: Project,
    count: int,
    *,
    cohort: str | None = None,
    seed: int = 0,
    constraints: HeadConstraints | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[NamedEllipse]:
    """``count`` ellipses that resemble those of :func:`batch_sources`, each on a frame's sector.

    A larger count with the same seed begins with the same ellipses. ``progress`` is checked before
    each ellipse. Raises :class:`InputError` if the cohort has no annotated frame or cannot meet the
    constraints.
    """
    sources = batch_sources(project, cohort)
    distribution = HeadDistribution(sources, constraints)
    named = []
    for i in range(count):
        progress.check()
        lender, ellipse = distribution.draw(i, seed)
        frame = sources[lender]
        named.append(NamedEllipse(f"synthetic_{seed}_{i:04d}", ellipse, frame.size, frame.id))
    return named


def with_lenders(
    project: Project,
    ellipses: Sequence[NamedEllipse],
    cohort: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> list[NamedEllipse]:
    """The ellipses, each with the frame of the training part whose head is nearest as its lender.

    A frame of another size cannot lend its sector. An ellipse without such a frame stays as it is,
    and so does one that names its lender. ``progress`` is checked before each ellipse. Raises
    :class:`InputError` for a cohort that does not exist.
    """
    check_cohort(project, cohort)
    frames = labelled_if_any(project, cohort)
    sources = of_part(frames, split(project, frames), "train")
    named = []
    for one in ellipses:
        progress.check()
        if one.source_frame is None:
            lender = nearest_head(sources, one.ellipse, one.size)
            one = one if lender is None else replace(one, source_frame=sources[lender].id)
        named.append(one)
    return named
