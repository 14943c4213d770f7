"""Importing frames into a project.

An import takes every frame that can be read. After an error or a cancel it takes none.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.growth import AGE_LABEL
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.splits import Part
from fetalstudio.core.words import counted
from fetalstudio.formats.frame_records import FrameContent, FrameRecord
from fetalstudio.formats.frame_tables import some
from fetalstudio.formats.outline_pictures import MASK_VALUE
from fetalstudio.formats.pictures import FRAME_NOTE
from fetalstudio.formats.redaction import Policy, Redactor, UnclearScreenError, remembered
from fetalstudio.formats.sources import AUTO, read_source
from fetalstudio.formats.synthetic_notes import SyntheticNote
from fetalstudio.project.deidentifying import (
    doubtful_labels,
    is_public_name,
    stored_cohort,
    stored_pair_names,
)
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.pairs import SameAsRealError
from fetalstudio.project.patients import Keys
from fetalstudio.project.pixels import Staging
from fetalstudio.project.project import DATABASE, Project
from fetalstudio.project.records import AnnotationState, Frame

_MOST_READERS = 4
"""Threads that decode frames; each may hold one of the largest size."""
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
    keep_names: bool = False,
    keep_labels: Collection[str] = (),
    frames: str | None = None,
    head_label: str | None = None,
    redact: Policy = "auto",
    files: Sequence[Path] = (),
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Import a folder (or one image) in a format of :mod:`fetalstudio.formats.sources`.

    The frames get neutral names; with ``keep_names`` those of their files, as the frames of HC18
    always do. ``cohort`` defaults to the folder's name, and to a neutral one where that may say who
    a patient is. Labels that may say it are left out, unless they are among ``keep_labels``.
    ``mask_value`` says which value (``2``) or colour (``#ff0000``) marks the head in mask pictures,
    and ``head_label`` how annotation files call it. ``frames`` says which frames of a file with
    several are taken (``first``, ``middle``, ``last``, ``all``, ``every N``). With ``files``, these
    DICOM files and archives alone are imported, of the folder ``source``.

    What a scanner shows around the sector, and text in it, are blacked out as ``redact`` says, with
    what was confirmed of the scanner's layout; a frame of which that is in doubt is left out.
    Annotations count as final; a doubtful one is a proposal. A picture that the project already
    holds gets what it lacks (a calibration; an ellipse, where none was drawn). The parts that the
    source states are stored for subjects that have none. Synthetic pictures become pairs that are
    to be reviewed, with what the source says about how they were made. A file that cannot be used
    is named in ``problems`` and left out.

    Raises :class:`InputError` for a source without a usable image, for the store of a project, or
    where the secret of the patients' keys is on another computer, and
    :class:`UserError` where the project cannot be written, :class:`Stopped` if asked to; the
    project is then as it was.
    """
    if mask_value is not None and not MASK_VALUE.fullmatch(mask_value.lower()):
        raise InputError(
            f"{mask_value!r} is no value of a mask. Give a number such as 2, or a colour such as "
            "#ff0000."
        )
    _check_not_a_store(source)
    found = read_source(source, format, frames, head_label, files)
    problems = list(found.problems)
    redactor = Redactor(redact, {} if redact == "none" else remembered())
    total = len(found.records)
    project.patients.check_secret()
    with project.frames.staging() as staging:
        staged: list[_Staged] = []
        by_value: dict[str, list[int]] = defaultdict(list)
        unclear: set[str] = set()
        redacted: list[Path] = []
        in_doubt: dict[str, list[Path]] = defaultdict(list)
        reading = _read_ahead(found.records, lambda record: record.read(mask_value, redactor))
        for done, (record, read) in enumerate(reading):
            progress.advance(done, total)
            try:
                content = read()
                made = content.synthetic
                frame_id = staging.put(content.pixels, FRAME_NOTE if made is None else made.text())
            except UnclearScreenError as error:
                in_doubt[str(error)].append(record.path)
                continue
            except InputError as error:
                problems.append(str(error))
                continue
            problems += content.problems
            redacted += [record.path] if content.redacted else []
            if content.ellipse is None:
                unclear.update(content.mask_values)
            else:
                for value in content.mask_values:
                    by_value[value].append(len(staged))
            found_here = (content.size, content.ellipse, content.certain, content.synthetic)
            staged.append(_Staged(record, frame_id, *found_here))
        for said, paths in in_doubt.items():
            problems.append(f"{_and_more(paths)} was left out. {said}")
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
        if redacted:
            problems.append(
                f"{_and_more(redacted)}: what a scanner shows around the sector was blacked out, "
                "and so was the text that was found in it. Text can be missed: check the frames "
                "in Annotate, and remove those that still show a name."
            )
        progress.advance(total, total)  # the last check: what follows is short, and all or nothing
        found_labels = {name for item in staged for name in item.record.labels}
        problems += [
            f"The source has no labels {name!r} that could be kept. It has: "
            f"{', '.join(sorted(found_labels)) or 'none'}."
            for name in keep_labels
            if name not in found_labels
        ]
        doubtful = _without_doubtful_labels(staged, keep_labels)
        real = [item for item in staged if item.synthetic is None]
        held = [project.frames.find(item.frame_id) for item in real]
        cohort, renamed = stored_cohort(
            project, cohort, found.cohort, [f for f in held if f is not None and f.kind == "real"]
        )
        problems += [renamed] if renamed is not None and None in held else []
        with project.transaction():
            pairs = _store_pairs(project, staging, staged, keep_names, problems)
            new, annotated, subjects = _store(project, staging, real, cohort, keep_names, problems)
    return ImportReport(
        cohort=cohort,
        frames=new,
        annotated=annotated,
        duplicates=len(real) - new,
        subjects=subjects,
        doubtful_labels=doubtful,
        problems=tuple(problems),
        pairs=pairs,
    )


def _read_ahead(
    records: Sequence[FrameRecord], read: Callable[[FrameRecord], FrameContent]
) -> Iterator[tuple[FrameRecord, Callable[[], FrameContent]]]:
    """Each record with what waits for its content, or raises what reading it raised.

    A few are read at a time, each in a thread: the decoders let others run meanwhile.
    """
    workers = min(os.cpu_count() or 1, _MOST_READERS)
    with ThreadPoolExecutor(workers, "reader") as pool:
        ahead = deque[tuple[FrameRecord, Future[FrameContent]]]()
        try:
            for record in records:
                ahead.append((record, pool.submit(read, record)))
                if len(ahead) > workers:
                    done, future = ahead.popleft()
                    yield done, future.result
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result
        finally:
            pool.shutdown(cancel_futures=True)


def _and_more(paths: list[Path]) -> str:
    return f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}"


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
    project: Project,
    staging: Staging,
    staged: list[_Staged],
    keep_names: bool,
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
        path = item.record.path
        try:
            pair, added = project.pairs.add_staged(
                staging, item.frame_id, item.size, note, name=name, reviewer=AUTHOR
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


def _without_doubtful_labels(staged: list[_Staged], keep: Collection[str]) -> Mapping[str, str]:
    """Take the labels that may say who a patient is; by their names, what they look like."""
    doubtful = doubtful_labels(
        {name: text for name, text in item.record.labels.items() if name not in keep}
        for item in staged
    )
    for number, item in enumerate(staged):
        labels = {k: text for k, text in item.record.labels.items() if k not in doubtful}
        staged[number] = replace(item, record=replace(item.record, labels=labels))
    return doubtful


def _store(
    project: Project,
    staging: Staging,
    staged: list[_Staged],
    cohort: str,
    keep_names: bool,
    problems: list[str],
) -> tuple[int, int, int]:
    """One short transaction for everything; returns the numbers of new frames, of ellipses, and of
    subjects."""
    frames = annotated = 0
    subjects: set[str] = set()
    with project.transaction():
        keys, names = project.patients.keys(), project.frames.neutral_names()
        _store_parts(project, keys, staged, problems)
        neutral = next(names)
        for item in staged:
            kept = keep_names or is_public_name(item.record.name)
            subject = keys.key(item.record.subject)
            subjects.add(subject)
            frame, new = project.frames.add_staged(
                staging,
                item.frame_id,
                item.size,
                name=item.record.name if kept else neutral,
                cohort=cohort,
                subject=subject,
                calibration=item.record.calibration,
            )
            frames += new
            if new and not kept:
                neutral = next(names)
            if not new:
                _calibrate(project, frame, item.record.calibration)
                problems.extend(_not_as_before(frame, item.record, subject))
            if frame.kind == "real":
                labels = dict(item.record.labels)
                if AGE_LABEL in frame.labels:
                    labels.pop(AGE_LABEL, None)  # a person may have corrected it
                project.frames.set_labels(frame.id, labels)
            if item.ellipse is not None and _wants_ellipse(project, frame, item.certain):
                state: AnnotationState = "final" if item.certain else "proposed"
                project.annotations.add(frame.id, item.ellipse, author=AUTHOR, state=state)
                annotated += 1
    return frames, annotated, len(subjects)


def _store_parts(project: Project, keys: Keys, staged: list[_Staged], problems: list[str]) -> None:
    """Store into which parts the source divides the subjects.

    One whose frames are all to be trained on is not divided: nothing could be tested.
    """
    stated: dict[str, set[Part]] = defaultdict(set)
    for item in staged:
        if item.record.part is not None:
            stated[keys.key(item.record.subject)].add(item.record.part)
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


def _not_as_before(frame: Frame, record: FrameRecord, subject: str) -> list[str]:
    if frame.kind != "real":
        return [
            f"{record.path} is the synthetic frame {frame.name} of this project and was not "
            "imported as a real one. Review it as a pair."
        ]
    if frame.subject == subject:
        return []
    return [
        f"{record.path} is of subject {subject}, but the project holds this picture "
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
