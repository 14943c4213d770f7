"""Importing frames into a project.

An import takes every frame that can be read. After an error or a cancel it takes none.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.frame_tables import some
from fetalstudio.formats.sources import AUTO
from fetalstudio.project.frames import Logged
from fetalstudio.project.import_plan import (
    NO_CHOICES,
    Choices,
    ImportPlan,
    PlannedFrame,
    Planner,
    is_synthetic_frame,
)
from fetalstudio.project.pairs import SameAsRealError
from fetalstudio.project.pixels import Staging
from fetalstudio.project.project import Project
from fetalstudio.project.records import AnnotationState, Frame

AUTHOR = "import"
"""Who made the annotations that came with the frames."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    cohort: str
    frames: int
    """New ones."""
    annotated: int
    """Ellipses that were imported, also for frames that the project already held."""
    duplicates: int
    """Pictures that the project already held."""
    subjects: int
    """Of the frames in the source that could be read."""
    in_doubt: int
    """Pictures with a doubt that nobody has answered."""
    problems: tuple[str, ...]
    """A message for each file that was left out or looks wrong, naming it and the cure."""
    pairs: int = 0
    """New synthetic pairs, to be reviewed."""
    amendment: int | None = None
    """The number by which the import can be taken back (:meth:`Frames.undo`); None where it added
    nothing."""


def import_frames(
    project: Project,
    source: Path,
    choices: Choices = NO_CHOICES,
    *,
    format: str = AUTO,
    seen: Mapping[str, str | None] | None = None,
    author: str = AUTHOR,
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Plan the import of a folder (or one image) and store what is planned: all, or nothing.

    Of what the ``choices`` leave in doubt, only the safe part is imported. Annotations count as
    final; a doubtful one is a proposal. A picture that the project already holds gets what it lacks
    (a calibration; an ellipse, where none was drawn). Synthetic pictures become pairs that are to
    be reviewed, with what the source says about how they were made. A file that cannot be used is
    named in ``problems`` and left out; so is one that is no longer what it was among the pictures
    of the plan that a person has ``seen``. The import is an amendment by ``author``, and can be
    undone as one.

    Raises :class:`InputError` for a source without a usable image, or for the store of a project,
    :class:`UserError` where the project cannot be written, :class:`Stopped` if asked to; the
    project is then as it was.
    """
    planner = Planner(project, source, format=format)
    with project.frames.staging() as staging:
        plan = planner.plan(choices, keep=staging.put, progress=progress)
        if seen is not None:
            plan = _as_seen(plan, seen)
        if not any(frame.frame_id for frame in plan.frames):
            raise InputError(_nothing(plan))
        return _store(project, staging, plan, author)


def _nothing(plan: ImportPlan) -> str:
    """Why a plan imports nothing, in one sentence."""
    total = len(plan.frames)
    more = f" ({total} files like it)" if total > 1 else ""
    why = plan.problems[-1] if plan.problems else "All of it was left out by choice."
    return f"Nothing could be imported{more}. {why}"


def _as_seen(plan: ImportPlan, seen: Mapping[str, str | None]) -> ImportPlan:
    """The plan without the pictures that have changed since."""
    frames = []
    for frame in plan.frames:
        if frame.frame_id is not None and seen.get(frame.key) not in (None, frame.frame_id):
            note = f"{frame.path} has changed since the import was planned, and was left out. "
            frame = replace(frame, frame_id=None, notes=(f"{note}Import it again.",))
        frames.append(frame)
    return replace(plan, frames=tuple(frames))


def _store_pairs(
    project: Project,
    staging: Staging,
    staged: Sequence[PlannedFrame],
    amendment: Logged,
    problems: list[str],
) -> int:
    """Returns the number of new pairs. What the project knows of a pair that it holds stays."""
    new = 0
    held: list[str] = []
    for item in staged:
        if item.synthetic is None:
            continue
        assert item.frame_id is not None and item.size is not None
        name, path = item.record.name, item.path
        try:
            pair, added = project.pairs.add_staged(
                staging,
                item.frame_id,
                item.size,
                item.synthetic,
                name=name,
                reviewer=AUTHOR,
                amendment=amendment,
            )
        except SameAsRealError as error:
            problems.append(f"{path} was left out. {error}")
            continue
        new += added
        if not added:
            held.append(f"{path.name} ({pair.frame.name}, {pair.state})")
    if held:
        problems.append(
            f"{counted(len(held), 'picture')} of pairs that the project already holds: "
            f"{some(held)}. Their ellipses and decisions stay as they are."
        )
    return new


def _description(plan: ImportPlan) -> str:
    """What the log says of an import; like all of it without names of frames."""
    counts = plan.counts()
    if not counts.frames and not counts.pairs:
        return "imported what frames of the project lacked"
    new = [counted(counts.frames, "frame")] if counts.frames else []
    new += [counted(counts.pairs, "pair")] if counts.pairs else []
    return f"imported {' and '.join(new)}"


def _store(project: Project, staging: Staging, plan: ImportPlan, author: str) -> ImportReport:
    """One short transaction for everything."""
    amendment = functools.cache(
        lambda: project.frames.log_import(_description(plan), author=author)
    )
    staged = [frame for frame in plan.frames if frame.frame_id is not None]
    real = [frame for frame in staged if frame.synthetic is None]
    problems = list(plan.problems)
    frames = annotated = 0
    with project.transaction():
        pairs = _store_pairs(project, staging, staged, amendment, problems)
        for item in real:
            assert item.frame_id is not None and item.size is not None
            frame, new = project.frames.add_staged(
                staging,
                item.frame_id,
                item.size,
                name=item.record.name,
                cohort=plan.cohort,
                subject=item.subject,
                calibration=item.calibration,
                amendment=amendment,
            )
            frames += new
            if not new:
                _calibrate(project, frame, item.calibration, amendment)
                if frame.kind != "real" and item.held is None:  # a pair that came with it
                    problems.append(is_synthetic_frame(item.path, frame))
            if frame.kind == "real":
                project.frames.set_labels(frame.id, item.record.labels, amendment=amendment)
            if item.ellipse is not None and _wants_ellipse(project, frame, item.certain):
                state: AnnotationState = "final" if item.certain else "proposed"
                project.annotations.add(
                    frame.id, item.ellipse, author=AUTHOR, state=state, amendment=amendment
                )
                annotated += 1
    return ImportReport(
        cohort=plan.cohort,
        frames=frames,
        annotated=annotated,
        duplicates=len(real) - frames,
        subjects=len({item.subject for item in real}),
        in_doubt=plan.counts().in_doubt,
        problems=tuple(problems),
        pairs=pairs,
        amendment=amendment() if amendment.cache_info().currsize else None,
    )


def _calibrate(
    project: Project, frame: Frame, calibration: Calibration | None, amendment: Logged
) -> None:
    if calibration is not None and frame.calibration is None and frame.kind == "real":
        project.frames.set_calibration(frame.id, calibration, amendment=amendment)


def _wants_ellipse(project: Project, frame: Frame, certain: bool) -> bool:
    """Whether there is none yet: what a person drew or removed stays. One that was removed with an
    import that was taken back is none."""
    if frame.kind != "real":
        return False
    newest = project.annotations.newest(frame.id)
    if newest is None or (newest.ellipse is None and newest.author == AUTHOR):
        return True
    return certain and newest.state == "proposed"
