"""Ellipses for a batch that resemble those of a cohort. Imports no torch."""

from __future__ import annotations

from fetalstudio.core.heads import HeadConstraints, HeadDistribution
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.formats.ellipse_table import NamedEllipse
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
    each ellipse. Raises :class:`InputError` if the cohort has no annotated
    frame or cannot meet the constraints.
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
