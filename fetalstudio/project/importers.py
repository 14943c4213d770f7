"""Bringing frames into a project: all that can be read, or, after an error or a cancel, nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.metrics import dice
from fetalstudio.formats.images import read_image
from fetalstudio.formats.layouts import Candidate, Format, find_layout
from fetalstudio.formats.png_text import note_in
from fetalstudio.project.pixels import Staging
from fetalstudio.project.progress import (
    IsCancelled,
    OnProgress,
    OperationCancelledError,
    never,
    silent,
)
from fetalstudio.project.project import Project
from fetalstudio.project.records import Frame

AUTHOR = "import"
"""Who made the annotations that came with the frames."""

_LABEL_NUMBERS = 8
"""Up to so many a mask's values are the numbers of structures, not grey levels."""
_EXPLAINED = 0.9
_HC_TOLERANCE = 0.01
"""Relative difference between annotation and table beyond which the person is told."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did."""

    cohort: str
    frames: int
    """New ones."""
    annotated: int
    """Ellipses that were taken over, also onto frames that the project already held."""
    duplicates: int
    """Pictures that the project already held."""
    problems: tuple[str, ...]
    """A message for each file that was left out or looks wrong, naming it and the cure."""


@dataclass(frozen=True, slots=True)
class _Read:
    candidate: Candidate
    frame_id: str
    size: tuple[int, int]
    ellipse: Ellipse | None


def import_frames(
    project: Project,
    source: Path,
    *,
    format: Format = "auto",
    cohort: str | None = None,
    on_progress: OnProgress = silent,
    cancelled: IsCancelled = never,
) -> ImportReport:
    """Import a folder (or one image) in a layout of :mod:`fetalstudio.formats.layouts`.

    ``cohort`` defaults to the folder's name. Annotations count as final. A picture that the
    project already holds gets what it lacks (a calibration; an ellipse, where none was drawn).
    A file that cannot be used is named in ``problems`` and left out.

    Raises :class:`InputError` for a source without a usable image or with a bad table,
    :class:`UserError` where the project cannot be written, :class:`OperationCancelledError`; the
    project is then as it was.
    """
    layout = find_layout(source, format)
    problems = list(layout.problems)
    total = len(layout.candidates)
    with project.frames.staging() as staging:
        read: list[_Read] = []
        for done, candidate in enumerate(layout.candidates):
            _check(cancelled)
            on_progress(done, total)
            try:
                read.append(_read(candidate, staging, problems))
            except InputError as error:
                problems.append(str(error))
        if not read:
            more = f" ({total} files like it)" if total > 1 else ""
            raise InputError(f"Nothing could be imported{more}. {problems[-1]}")
        on_progress(total, total)
        _check(cancelled)  # the last time: what follows is short, and done as a whole
        new, annotated = _store(project, staging, read, cohort or layout.cohort, problems)
    return ImportReport(
        cohort=cohort or layout.cohort,
        frames=new,
        annotated=annotated,
        duplicates=len(read) - new,
        problems=tuple(problems),
    )


def ellipse_in(mask: NDArray[np.generic]) -> Ellipse:
    """The ellipse that an annotation picture (H x W) shows, as a filled head or as a thin ring.

    What is brighter than half of the maximum counts, so that smoothed edges and JPEG's noise do
    not; of a picture of label numbers, all of them. Raises ``ValueError`` if there is none, or if
    what is there has another shape.
    """
    top = float(mask.max())
    shown = np.greater(mask, 0 if top <= _LABEL_NUMBERS else top / 2).astype(np.uint8)
    # The largest disc that fits is about as large as a filled head, and far smaller than a ring's
    # area, whether the ring is closed, cut by the border or in pieces.
    thickness = float(cv2.distanceTransform(shown, cv2.DIST_L2, 3).max())
    filled = thickness > 0.4 * np.sqrt(shown.sum() / np.pi)
    ellipse = Ellipse.from_mask(shown) if filled else Ellipse.from_ring(shown)
    if _explained(shown > 0, ellipse, 3 + 2 * thickness if not filled else None) < _EXPLAINED:
        raise ValueError("it shows something else than one ellipse")
    return ellipse


def _explained(shown: NDArray[np.bool_], ellipse: Ellipse, near: float | None) -> float:
    """How well the ellipse tells what is shown: the Dice of a filled one, the share of a ring's
    pixels that lie within ``near`` px of it, measured towards its centre."""
    size = (shown.shape[1], shown.shape[0])
    if near is None:
        return dice(ellipse.mask(size) > 0, shown)
    u, v = ellipse.local(size)
    from_centre = np.hypot(u, v)
    scaled = np.hypot(u / ellipse.a, v / ellipse.b)
    outline = from_centre / np.maximum(scaled, 1e-9)
    return float((np.abs(from_centre - outline) <= near)[shown].mean())


def _check(cancelled: IsCancelled) -> None:
    if cancelled():
        raise OperationCancelledError("The import was cancelled; the project is as it was.")


def _read(candidate: Candidate, staging: Staging, problems: list[str]) -> _Read:
    pixels = read_image(candidate.path)
    if note_in(candidate.path) is not None:
        raise InputError(
            f"{candidate.path} is synthetic, as a note in the file says, and was left out: it must "
            "not count as a real frame. Open the project that it came from to use it."
        )
    height, width = pixels.shape
    ellipse = None
    try:
        ellipse = _ellipse(candidate, (width, height))
    except InputError as error:
        problems.append(f"{error} Its frame was imported without an ellipse.")
    note = ellipse and _disagreement(candidate, ellipse)
    if note:
        problems.append(note)
    return _Read(candidate, staging.put(pixels), (width, height), ellipse)


def _ellipse(candidate: Candidate, size: tuple[int, int]) -> Ellipse | None:
    """The table's, which is exact, or that of the annotation picture."""
    path, row = candidate.path, candidate.row
    if row.ellipse is None:
        return None if candidate.annotation is None else _annotation(candidate.annotation, size)
    if row.size not in (None, size):
        raise InputError(
            f"{path} is {size[0]}x{size[1]} px, which is not the width and height that the table "
            "of ellipses has. Correct the table."
        )
    if not row.ellipse.reaches(size):
        raise InputError(f"{path}: its ellipse lies outside. Correct the table.")
    return row.ellipse


def _annotation(path: Path, size: tuple[int, int]) -> Ellipse:
    mask = read_image(path)
    if mask.shape[::-1] != size:
        raise InputError(
            f"{path} is {mask.shape[1]}x{mask.shape[0]} px but its frame {size[0]}x{size[1]}. "
            "Export it at the frame's size."
        )
    try:
        return ellipse_in(mask)
    except ValueError as error:
        raise InputError(f"{path}: {error}. Draw it again or remove it.") from error


def _disagreement(candidate: Candidate, ellipse: Ellipse) -> str | None:
    calibration, stated = candidate.row.calibration, candidate.row.hc_mm
    if calibration is None or stated is None:
        return None
    measured = calibration.to_mm(ellipse).perimeter
    if abs(measured - stated) <= _HC_TOLERANCE * stated:
        return None
    return (
        f"{candidate.path}: the annotation's HC is {measured:.1f} mm, the table says {stated:.1f}. "
        "It was imported as annotated; check its pixel size."
    )


def _store(
    project: Project, staging: Staging, read: list[_Read], cohort: str, problems: list[str]
) -> tuple[int, int]:
    """One short transaction for everything; returns the numbers of new frames and ellipses."""
    frames = annotated = 0
    with project.transaction():
        for item in read:
            frame, new = project.frames.add_staged(
                staging,
                item.frame_id,
                item.size,
                name=item.candidate.name,
                cohort=cohort,
                subject=item.candidate.subject,
                calibration=item.candidate.row.calibration,
            )
            frames += new
            if not new:
                _calibrate(project, frame, item.candidate)
                problems.extend(_another_subject(frame, item.candidate))
            if frame.kind == "real":
                project.frames.set_labels(frame.id, item.candidate.row.labels)
            if item.ellipse is not None and _wants_ellipse(project, frame):
                project.annotations.add(frame.id, item.ellipse, author=AUTHOR, state="final")
                annotated += 1
    return frames, annotated


def _another_subject(frame: Frame, candidate: Candidate) -> list[str]:
    if frame.kind != "real" or frame.subject == candidate.subject:
        return []
    return [
        f"{candidate.path} is of subject {candidate.subject}, but the project holds this picture "
        f"as {frame.name} of cohort {frame.cohort}, subject {frame.subject}, and keeps that. If it "
        "is wrong, select the frame in the Library and choose Amend, Set subject; or run "
        "fetalstudio frames set-subject."
    ]


def _calibrate(project: Project, frame: Frame, candidate: Candidate) -> None:
    calibration = candidate.row.calibration
    if calibration is not None and frame.calibration is None and frame.kind == "real":
        project.frames.set_calibration(frame.id, calibration)


def _wants_ellipse(project: Project, frame: Frame) -> bool:
    """Whatever a person drew, or removed, stays."""
    if frame.kind != "real":
        return False
    newest = project.annotations.newest(frame.id)
    return newest is None or newest.state == "proposed"
