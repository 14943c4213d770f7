"""Importing frames into a project.

An import takes every frame that can be read. After an error or a cancel it takes none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.growth import AGE_LABEL
from fetalstudio.core.names import visible_key
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.frame_records import FrameRecord
from fetalstudio.formats.frame_tables import some
from fetalstudio.formats.outline_pictures import MASK_VALUE
from fetalstudio.formats.pictures import FRAME_NOTE
from fetalstudio.formats.sources import AUTO, read_source
from fetalstudio.formats.synthetic_notes import SyntheticNote
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.pairs import SameAsRealError
from fetalstudio.project.pixels import Staging
from fetalstudio.project.project import DATABASE, Project
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
    problems: tuple[str, ...]
    """A message for each file that was left out or looks wrong, naming it and the cure."""
    pairs: int = 0
    """New synthetic pairs, to be reviewed."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """A frame whose picture is staged."""

    record: FrameRecord
    frame_id: str
    size: Size
    ellipse: Ellipse | None
    certain: bool
    synthetic: SyntheticNote | None = None
    """How it was made, where it is a pair."""


def import_frames(
    project: Project,
    source: Path,
    *,
    format: str = AUTO,
    cohort: str | None = None,
    mask_value: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Import a folder (or one image) in a format of :mod:`fetalstudio.formats.sources`.

    ``cohort`` defaults to the folder's name. ``mask_value`` says which value (``2``) or colour
    (``#ff0000``) marks the head in mask pictures. Annotations count as final; a doubtful one is a
    proposal. A picture that the project already holds gets what it lacks (a calibration; an
    ellipse, where none was drawn). Synthetic pictures become pairs that are to be reviewed, with
    what the source says about how they were made. A file that cannot be used is named in
    ``problems`` and left out.

    Raises :class:`InputError` for a source without a usable image, or for the store of a project,
    :class:`UserError` where the project cannot be written, :class:`Stopped` if asked to; the
    project is then as it was.
    """
    if mask_value is not None and not MASK_VALUE.fullmatch(mask_value.lower()):
        raise InputError(
            f"{mask_value!r} is no value of a mask. Give a number such as 2, or a colour such as "
            "#ff0000."
        )
    _check_not_a_store(source)
    found = read_source(source, format)
    problems = list(found.problems)
    total = len(found.records)
    cohort = cohort or found.cohort
    with project.frames.staging() as staging:
        staged: list[_Staged] = []
        by_value: dict[str, list[int]] = defaultdict(list)
        unclear: set[str] = set()
        for done, record in enumerate(found.records):
            progress.advance(done, total)
            try:
                content = record.read(mask_value)
                made = content.synthetic
                frame_id = staging.put(content.pixels, FRAME_NOTE if made is None else made.text())
            except InputError as error:
                problems.append(str(error))
                continue
            problems += content.problems
            if content.ellipse is None:
                unclear.update(content.mask_values)
            else:
                for value in content.mask_values:
                    by_value[value].append(len(staged))
            found_here = (content.size, content.ellipse, content.certain, content.synthetic)
            staged.append(_Staged(record, frame_id, *found_here))
        if not staged:
            more = f" ({total} files like it)" if total > 1 else ""
            raise InputError(f"Nothing could be imported{more}. {problems[-1]}")
        if mask_value is None:
            for number in sorted(n for value in unclear for n in by_value[value]):
                item = staged[number]
                problems.append(
                    f"{item.record.annotation} shows one structure, but other masks show several "
                    "and which is the head was not stated. Its frame was imported without an "
                    "ellipse. State the value of the head with the option --mask-value of the "
                    "command import."
                )
                staged[number] = replace(item, ellipse=None)
        progress.advance(total, total)  # the last check: what follows is short, and all or nothing
        real = [item for item in staged if item.synthetic is None]
        with project.transaction():
            pairs = _store_pairs(project, staging, staged, problems)
            new, annotated = _store(project, staging, real, cohort, problems)
    return ImportReport(
        cohort=cohort,
        frames=new,
        annotated=annotated,
        duplicates=len(real) - new,
        subjects=len({_subject(item.record) for item in real}),
        problems=tuple(problems),
        pairs=pairs,
    )


def _check_not_a_store(source: Path) -> None:
    """Raise :class:`InputError` for the pictures of a project, synthetic ones among them."""
    source = Path(source).absolute()
    for folder in (source, *source.parents):
        if folder.name == "frames" and (folder.parent / DATABASE).is_file():
            raise InputError(
                f"{source} belongs to the store of the project {folder.parent}, whose frames would "
                "lose their subjects and ellipses. Export that project and import the export."
            )


def _store_pairs(
    project: Project, staging: Staging, staged: list[_Staged], problems: list[str]
) -> int:
    """Returns the number of new pairs. What the project knows of a pair that it holds stays."""
    new = 0
    held: list[str] = []
    for item in staged:
        if item.synthetic is None:
            continue
        name, path = item.record.name, item.record.path
        try:
            pair, added = project.pairs.add_staged(
                staging, item.frame_id, item.size, item.synthetic, name=name, reviewer=AUTHOR
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


def _store(
    project: Project, staging: Staging, staged: list[_Staged], cohort: str, problems: list[str]
) -> tuple[int, int]:
    """One short transaction for everything; returns the numbers of new frames and ellipses."""
    frames = annotated = 0
    with project.transaction():
        for item in staged:
            frame, new = project.frames.add_staged(
                staging,
                item.frame_id,
                item.size,
                name=item.record.name,
                cohort=cohort,
                subject=_subject(item.record),
                calibration=item.record.calibration,
            )
            frames += new
            if not new:
                _calibrate(project, frame, item.record.calibration)
                problems.extend(_not_as_before(frame, item.record))
            if frame.kind == "real":
                labels = dict(item.record.labels)
                if AGE_LABEL in frame.labels:
                    labels.pop(AGE_LABEL, None)  # a person may have corrected it
                project.frames.set_labels(frame.id, labels)
            if item.ellipse is not None and _wants_ellipse(project, frame, item.certain):
                state: AnnotationState = "final" if item.certain else "proposed"
                project.annotations.add(frame.id, item.ellipse, author=AUTHOR, state=state)
                annotated += 1
    return frames, annotated


def _subject(record: FrameRecord) -> str:
    """The subject's key; one that a file's name gives may have any characters."""
    return visible_key(record.subject) or visible_key(record.name) or "unnamed"


def _not_as_before(frame: Frame, record: FrameRecord) -> list[str]:
    if frame.kind != "real":
        return [
            f"{record.path} is the synthetic frame {frame.name} of this project and was not "
            "imported as a real one. Review it as a pair."
        ]
    if frame.subject == _subject(record):
        return []
    return [
        f"{record.path} is of subject {_subject(record)}, but the project holds this picture "
        f"as {frame.name} of cohort {frame.cohort}, subject {frame.subject}, and keeps that. "
        f"Correct the subject if it is wrong ({SET_SUBJECT})."
    ]


def _calibrate(project: Project, frame: Frame, calibration: Calibration | None) -> None:
    if calibration is not None and frame.calibration is None and frame.kind == "real":
        project.frames.set_calibration(frame.id, calibration)


def _wants_ellipse(project: Project, frame: Frame, certain: bool) -> bool:
    """Whether there is none yet: what a person drew or removed stays."""
    if frame.kind != "real":
        return False
    newest = project.annotations.newest(frame.id)
    return newest is None or (certain and newest.state == "proposed")
