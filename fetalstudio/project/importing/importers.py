"""Importing frames into a project.

An import takes every frame that can be read. After an error or a cancel it takes none.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.splits import Part
from fetalstudio.core.words import counted
from fetalstudio.formats.privacy.subjects import video_of
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.project.frames import REMOVE_FRAMES, Logged
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.comparisons import is_synthetic_frame
from fetalstudio.project.importing.deidentifying import is_public_name, stored_pair_names
from fetalstudio.project.importing.options import USUAL, ImportOptions
from fetalstudio.project.importing.plan import ImportPlan, PlannedFrame
from fetalstudio.project.importing.planner import Planner, Sharpest
from fetalstudio.project.pairs import SameAsRealError
from fetalstudio.project.patients import Keys
from fetalstudio.project.project import Project
from fetalstudio.project.staging import Staging
from fetalstudio.project.store.records import AnnotationState, Frame

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
    doubtful_labels: Mapping[str, str]
    """Of the labels that were left out, as they may say who a patient is: what each looks like, by
    name (``a person's name``, ``a number``, ``a date``)."""
    problems: tuple[str, ...]
    """A message for each file that was left out or looks wrong, naming it and the cure."""
    pairs: int = 0
    """New synthetic pairs, to be reviewed."""
    in_doubt: int = 0
    """Pictures with a doubt that nobody has answered."""
    amendment: int | None = None
    """The number by which the import can be taken back (:meth:`Frames.undo`); None where it added
    nothing."""
    resumed: int = 0
    """Pictures that an import of this source had read before it was stopped."""


def import_frames(
    project: Project,
    source: Path,
    choices: Choices = NO_CHOICES,
    options: ImportOptions = USUAL,
    *,
    cohort: str | None = None,
    seen: Mapping[str, str | None] | None = None,
    sharpest: Sharpest | None = None,
    author: str = AUTHOR,
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Plan the import of a folder (or one image) in a format of
    :mod:`fetalstudio.formats.sources`, and store what is planned: all, or nothing.

    Of what the ``choices`` leave in doubt, only the safe part is imported; ``cohort`` is short for
    a choice. It defaults to the folder's name, and to a neutral one where that may say who a
    patient is. A picture that is no longer what it was among the pictures of the plan that a person
    has ``seen`` is left out. ``sharpest`` looks for the best frame of a clip, where that is chosen.
    The import is an amendment by ``author``, and can be undone as one.

    What a scanner shows around the sector, and text in it, are blacked out as the options say, with
    what was confirmed of the scanner's layout; a frame of which that is in doubt is left out.
    Annotations count as final; a doubtful one is a proposal. A picture that the project already
    holds gets what it lacks (a calibration; an ellipse, where none was drawn). The parts that the
    source states are stored for subjects that have none. Synthetic pictures become pairs that are
    to be reviewed, with what the source says about how they were made. A file that cannot be used
    is named in ``problems`` and left out.

    Raises :class:`InputError` for a source without a usable image, for the store of a project, or
    where the secret of the patients' keys is on another computer, and
    :class:`UserError` where the project cannot be written, :class:`Stopped` if asked to; the
    project is then as it was. After :class:`Stopped`, the next import of this source goes on where
    this one stopped; see :class:`~fetalstudio.project.staging.Imports`.
    """
    planner = Planner(project, source, options, sharpest=sharpest, progress=progress)
    choices = choices.joined(Choices(cohort))
    with project.imports.staging(source) as staging:
        plan = planner.plan(choices, staging=staging, progress=progress)
        if seen is not None:
            plan = _as_seen(plan, seen)
        if not any(frame.frame_id for frame in plan.frames):
            raise InputError(_nothing(plan))
        staging.settle(progress)
        report = _store(project, staging, plan, options.keep_names, author)
        return replace(report, resumed=staging.resumed)


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
    keep_names: bool,
    amendment: Logged,
    problems: list[str],
) -> int:
    """Returns the number of new pairs. What the project knows of a pair that it holds stays."""
    new = 0
    held: list[str] = []
    made = [(item, item.synthetic) for item in staged if item.synthetic is not None]
    names = [item.record.name for item, _ in made]
    for (item, note), name in zip(
        made, names if keep_names else stored_pair_names(names), strict=True
    ):
        path = item.path
        assert item.frame_id is not None and item.size is not None
        try:
            pair, added = project.pairs.add_staged(
                staging,
                item.frame_id,
                item.size,
                note,
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


def _store(
    project: Project, staging: Staging, plan: ImportPlan, keep_names: bool, author: str
) -> ImportReport:
    """One short transaction for everything."""
    amendment = functools.cache(
        lambda: project.amendments.log_import(_description(plan), author=author)
    )
    staged = [frame for frame in plan.frames if frame.frame_id is not None]
    real = [frame for frame in staged if frame.synthetic is None]
    problems = list(plan.problems)
    frames = annotated = 0
    subjects: set[str] = set()
    came: set[str] = set()
    renamed: list[str] = []
    with project.transaction():
        pairs = _store_pairs(project, staging, staged, keep_names, amendment, problems)
        keys, names = project.patients.keys(), project.frames.neutral_names()
        _store_parts(project, keys, real, problems)
        neutral = next(names)
        for item in real:
            assert item.frame_id is not None and item.size is not None
            kept = keep_names or is_public_name(item.record.name)
            subject = keys.key(item.subject)
            subjects.add(subject)
            video = item.record.from_video or video_of(item.record.name)
            frame, new = project.frames.add_staged(
                staging,
                item.frame_id,
                item.size,
                video=None if video is None else keys.video(subject, video),
                name=item.record.name if kept else neutral,
                cohort=plan.cohort,
                subject=subject,
                calibration=item.calibration,
                amendment=amendment,
            )
            frames += new
            if new and not kept:
                neutral = next(names)
            elif new:
                if frame.name != item.record.name and item.record.name not in came:
                    renamed.append(f"{item.record.name} (now {frame.name})")
                came.add(item.record.name)
            if not new:
                _calibrate(project, frame, item.calibration, amendment)
                if frame.kind != "real" and item.held is None:  # a pair that came with it
                    problems.append(is_synthetic_frame(item.path, frame))
            if frame.kind == "real":
                labels = plan.labels(item)
                if AGE_LABEL in frame.labels:
                    labels.pop(AGE_LABEL, None)  # a person may have corrected it
                project.frames.set_labels(frame.id, labels, amendment=amendment)
            if item.ellipse is not None and _wants_ellipse(project, frame, item.certain):
                state: AnnotationState = "final" if item.certain else "proposed"
                project.annotations.add(
                    frame.id, item.ellipse, author=AUTHOR, state=state, amendment=amendment
                )
                annotated += 1
    if renamed:
        problems.append(
            f"Cohort {plan.cohort} had {counted(len(renamed), 'frame')} of the same name with "
            f"other pixels, so what came got a number: {some(renamed)}. Where a file was changed "
            f"and its frame replaces the former one, remove that ({REMOVE_FRAMES})."
        )
    return ImportReport(
        cohort=plan.cohort,
        frames=frames,
        annotated=annotated,
        duplicates=len(real) - frames,
        subjects=len(subjects),
        doubtful_labels=plan.doubtful_labels,
        problems=tuple(problems),
        pairs=pairs,
        in_doubt=plan.counts().in_doubt,
        amendment=amendment() if amendment.cache_info().currsize else None,
    )


def _store_parts(
    project: Project, keys: Keys, staged: Sequence[PlannedFrame], problems: list[str]
) -> None:
    """Store into which parts the source divides the subjects.

    One whose frames are all to be trained on is not divided: nothing could be tested.
    """
    stated: dict[str, set[Part]] = defaultdict(set)
    for item in staged:
        if item.record.part is not None:
            stated[keys.key(item.subject)].add(item.record.part)
    if several := sorted(subject for subject, parts in stated.items() if len(parts) > 1):
        problems.append(
            f"The source has frames of one subject in several parts ({some(several)}), so that a "
            "model would be tested on a subject that it was trained on. Their parts were not taken "
            "over: all frames of a subject will be in one part."
        )
    agreed = {subject: parts.pop() for subject, parts in stated.items() if len(parts) == 1}
    if set(agreed.values()) <= {"train"}:
        return
    kept = project.parts.adopt(agreed)
    if kept:
        several = [f"{subject} ({part})" for subject, part in sorted(kept.items())]
        problems.append(
            f"The source has {some(several)} in another part than the project, which keeps its "
            "own: models may have been trained on it. Import into a new project to take over the "
            "parts of the source."
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
