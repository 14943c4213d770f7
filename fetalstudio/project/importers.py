"""Importing frames into a project.

An import takes every frame that can be read. After an error or a cancel it takes none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.names import visible_key
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.frame_records import FrameRecord
from fetalstudio.formats.sources import AUTO, read_source
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.pixels import Staging
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame

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
    problems: tuple[str, ...]
    """A message for each file that was left out or looks wrong, naming it and the cure."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """A frame whose picture is staged."""

    record: FrameRecord
    frame_id: str
    size: Size
    ellipse: Ellipse | None


def import_frames(
    project: Project,
    source: Path,
    *,
    format: str = AUTO,
    cohort: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportReport:
    """Import a folder (or one image) in a format of :mod:`fetalstudio.formats.sources`.

    ``cohort`` defaults to the folder's name. Annotations count as final. A picture that the
    project already holds gets what it lacks (a calibration; an ellipse, where none was drawn).
    A file that cannot be used is named in ``problems`` and left out.

    Raises :class:`InputError` for a source without a usable image or with a bad table,
    :class:`UserError` where the project cannot be written, :class:`Stopped` if asked to; the
    project is then as it was.
    """
    found = read_source(source, format)
    problems = list(found.problems)
    total = len(found.records)
    cohort = cohort or found.cohort
    with project.frames.staging() as staging:
        staged: list[_Staged] = []
        for done, record in enumerate(found.records):
            progress.advance(done, total)
            try:
                content = record.read()
                height, width = content.pixels.shape
                frame_id = staging.put(content.pixels)
            except InputError as error:
                problems.append(str(error))
            else:
                problems += content.problems
                staged.append(_Staged(record, frame_id, (width, height), content.ellipse))
        if not staged:
            more = f" ({total} files like it)" if total > 1 else ""
            raise InputError(f"Nothing could be imported{more}. {problems[-1]}")
        progress.advance(total, total)  # the last check: what follows is short, and all or nothing
        new, annotated = _store(project, staging, staged, cohort, problems)
    return ImportReport(
        cohort=cohort,
        frames=new,
        annotated=annotated,
        duplicates=len(staged) - new,
        problems=tuple(problems),
    )


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
                problems.extend(_another_subject(frame, item.record))
            if frame.kind == "real":
                project.frames.set_labels(frame.id, item.record.labels)
            if item.ellipse is not None and _wants_ellipse(project, frame):
                project.annotations.add(frame.id, item.ellipse, author=AUTHOR, state="final")
                annotated += 1
    return frames, annotated


def _subject(record: FrameRecord) -> str:
    """The subject's key; one that a file's name gives may have any characters."""
    return visible_key(record.subject) or visible_key(record.name) or "unnamed"


def _another_subject(frame: Frame, record: FrameRecord) -> list[str]:
    if frame.kind != "real" or frame.subject == _subject(record):
        return []
    return [
        f"{record.path} is of subject {_subject(record)}, but the project holds this picture "
        f"as {frame.name} of cohort {frame.cohort}, subject {frame.subject}, and keeps that. "
        f"Correct the subject if it is wrong ({SET_SUBJECT})."
    ]


def _calibrate(project: Project, frame: Frame, calibration: Calibration | None) -> None:
    if calibration is not None and frame.calibration is None and frame.kind == "real":
        project.frames.set_calibration(frame.id, calibration)


def _wants_ellipse(project: Project, frame: Frame) -> bool:
    """Whether there is none yet: what a person drew or removed stays."""
    if frame.kind != "real":
        return False
    newest = project.annotations.newest(frame.id)
    return newest is None or newest.state == "proposed"
