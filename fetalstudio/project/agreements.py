"""The agreement of a project's readings: of each observer with herself, and of each two."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fetalstudio.core.agreement import (
    SIZES,
    Agreement,
    Correlation,
    TwoReadings,
    compare,
    intraclass_correlation,
    size_mm,
    technical_error,
)
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.statistics import FEW_SUBJECTS
from fetalstudio.core.words import counted
from fetalstudio.formats.tables.table_files import write_table
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame, Reading


@dataclass(frozen=True, slots=True)
class ReadTwice:
    """Frames that two observers read, or one of them twice, before their readings are compared."""

    first: str
    second: str
    """The same as ``first`` for one observer."""
    readings: Mapping[str, tuple[Reading, Reading]]
    """By frame id."""
    frames: Mapping[str, Frame]

    @property
    def title(self) -> str:
        """``anna, twice`` or ``anna and ben``."""
        return _title(self.first, self.second)

    def compare(self, progress: Progress = NO_PROGRESS) -> ObserverAgreement | None:
        """The agreement; None if no frame could be read by both. Needs no project: it may be
        called on another thread. It takes some 10 ms a frame. Raises :class:`Stopped`."""
        both, pairs = [], []
        for frame_id, (one, other) in self.readings.items():
            if one.ellipse is not None and other.ellipse is not None:
                frame = self.frames[frame_id]
                pairs.append(
                    TwoReadings(
                        frame_id, frame.subject, frame.calibration, one.ellipse, other.ellipse
                    )
                )
                both.append((one, other))
        if not pairs:
            return None
        unread = [(a.ellipse is None) != (b.ellipse is None) for a, b in self.readings.values()]
        return ObserverAgreement(
            first=self.first,
            second=self.second,
            readings=tuple(both),
            agreement=compare(pairs, progress),
            not_blinded=sum(not (one.blinded and other.blinded) for one, other in both),
            unread=sum(unread),
        )


@dataclass(frozen=True, slots=True)
class ObserverAgreement:
    """The agreement of two observers on the frames that both read, or of one with herself."""

    first: str
    second: str
    """The same as ``first`` for one observer who read frames twice."""
    readings: tuple[tuple[Reading, Reading], ...]
    """In the order of ``agreement.pairs``."""
    agreement: Agreement
    not_blinded: int
    """Frames of which at least one of the two readings was not blinded."""
    unread: int
    """Further frames that one of the two could not read."""

    @property
    def intra(self) -> bool:
        """Whether it is one observer with herself."""
        return self.first == self.second

    @property
    def title(self) -> str:
        """``anna, twice`` or ``anna and ben``."""
        return _title(self.first, self.second)

    def sentences(self) -> list[str]:
        """What limits the figures, for a person."""
        found = self.agreement
        said = []
        if found.too_few:
            said.append(_too_few(found.subjects))
        if self.not_blinded:
            said.append(
                f"In {self.not_blinded} of {counted(len(found.pairs), 'frame')}, one of the two "
                "is an annotation of the usual work, which was not drawn blind."
            )
        if self.unread:
            said.append(f"One of the two could not read {counted(self.unread, 'further frame')}.")
        missing = len(found.pairs) - (found.sizes["HC"].n if found.sizes else 0)
        if missing:
            said.append(
                f"HC, BPD and OFD leave out {counted(missing, 'frame')} without a calibration."
            )
        return said


@dataclass(frozen=True, slots=True)
class ReadTogether:
    """The HC of three or more observers on the frames that all read, before it is compared."""

    observers: tuple[str, ...]
    hc_mm: tuple[tuple[float, ...], ...]
    """By frame, in the order of the observers; of at least one frame."""
    subjects: tuple[str, ...]
    """Of the frames."""

    def compare(self) -> GroupAgreement:
        """The agreement. Needs no project: it may be called on another thread."""
        values = np.array(self.hc_mm)
        return GroupAgreement(
            observers=self.observers,
            frames=len(values),
            subjects=len(set(self.subjects)),
            hc=intraclass_correlation(values, self.subjects),
            technical_error_mm=technical_error(values),
        )


@dataclass(frozen=True, slots=True)
class GroupAgreement:
    """The HC of three or more observers, on the calibrated frames that all of them read."""

    observers: tuple[str, ...]
    frames: int
    subjects: int
    hc: Correlation
    technical_error_mm: float

    @property
    def title(self) -> str:
        """``anna, ben and eva together``."""
        return f"{', '.join(self.observers[:-1])} and {self.observers[-1]} together"

    def about(self) -> str:
        """``12 frames of 6 subjects``."""
        return f"{counted(self.frames, 'frame')} of {counted(self.subjects, 'subject')}"

    def figures(self) -> str:
        """The correlations and the technical error of the HC, for a person."""
        return (
            f"ICC(A,1) {self.hc.agreement.text(3)}, ICC(C,1) {self.hc.consistency.text(3)}, "
            f"technical error {self.technical_error_mm:.2f} mm"
        )

    def sentences(self) -> list[str]:
        """What limits the figures, for a person."""
        return [_too_few(self.subjects)] if self.subjects < FEW_SUBJECTS else []


def read_twice(
    project: Project, *, cohort: str | None = None, annotations: bool = True
) -> list[ReadTwice]:
    """What can be compared: of each observer with herself, then of each two observers.

    ``annotations``: the final annotations count as readings that were not blinded. An observer is
    compared with herself by her first two readings of a frame, and with others by her first blinded
    one, or by her annotation where there is none.
    """
    frames, by_observer = _held(project, cohort, annotations)
    found = []
    for observer, held in by_observer.items():
        twice = {
            frame_id: (readings[0], readings[1])
            for frame_id, readings in held.items()
            if len(readings) > 1
        }
        found.append(ReadTwice(observer, observer, twice, frames))
    first = {observer: _first(held) for observer, held in by_observer.items()}
    for one, other in itertools.combinations(by_observer, 2):
        both = {f: (first[one][f], first[other][f]) for f in first[one] if f in first[other]}
        found.append(ReadTwice(one, other, both, frames))
    return [one for one in found if one.readings]


def agreements(
    project: Project, *, cohort: str | None = None, annotations: bool = True
) -> list[ObserverAgreement]:
    """The agreement of all that :func:`read_twice` finds."""
    found = read_twice(project, cohort=cohort, annotations=annotations)
    return [one for one in (twice.compare() for twice in found) if one is not None]


def read_together(
    project: Project, *, cohort: str | None = None, annotations: bool = True
) -> ReadTogether | None:
    """The HC of all observers on their common calibrated frames, by the readings that
    :func:`read_twice` compares with those of others. None for fewer than three observers, or
    without common frames."""
    frames, by_observer = _held(project, cohort, annotations)
    if len(by_observer) < 3:
        return None
    values: list[tuple[float, ...]] = []
    subjects: list[str] = []
    first = [_first(held) for held in by_observer.values()]
    for frame_id in first[0]:
        calibration = frames[frame_id].calibration
        ellipses = [held[frame_id].ellipse for held in first if frame_id in held]
        if calibration is None or len(ellipses) < len(first):
            continue
        row = tuple(size_mm(e, calibration, "HC") for e in ellipses if e is not None)
        if len(row) == len(first):
            values.append(row)
            subjects.append(frames[frame_id].subject)
    if not values:
        return None
    return ReadTogether(tuple(by_observer), tuple(values), tuple(subjects))


def group_agreement(
    project: Project, *, cohort: str | None = None, annotations: bool = True
) -> GroupAgreement | None:
    """The agreement of what :func:`read_together` finds."""
    found = read_together(project, cohort=cohort, annotations=annotations)
    return None if found is None else found.compare()


def write_disagreements(path: Path, found: Sequence[ObserverAgreement], project: Project) -> None:
    """Write a table of all compared frames as CSV. Raises :class:`UserError` where it cannot be
    written."""
    table: list[dict[str, object]] = []
    sizes = [f"{size.lower()}_{which}_mm" for size in SIZES for which in ("first", "second")]
    columns = (
        *("first_observer", "second_observer", "frame", "cohort", "subject"),
        *("first_round", "second_round", "first_blinded", "second_blinded", "dice", *sizes),
    )
    for one in found:
        rows = zip(one.readings, one.agreement.pairs, one.agreement.dices, strict=True)
        for (first, second), pair, dice in rows:
            frame = project.frames.get(pair.frame_id)
            measured = [pair.sizes_mm(size) or ("", "") for size in SIZES]
            row = (
                *(one.first, one.second, frame.name, frame.cohort, frame.subject),
                *(first.round, second.round, int(first.blinded), int(second.blinded)),
                *(f"{dice:.5f}", *(_cell(v) for values in measured for v in values)),
            )
            table.append(dict(zip(columns, row, strict=True)))
    write_table(path, columns, table)


def _cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _held(
    project: Project, cohort: str | None, annotations: bool
) -> tuple[Mapping[str, Frame], Mapping[str, Mapping[str, list[Reading]]]]:
    """The frames by id, and by observer and frame the readings in the order of their rounds."""
    frames = {frame.id: frame for frame in project.frames.all(cohort=cohort)}
    readings = project.readings.with_annotations() if annotations else project.readings.all()

    by_observer: dict[str, dict[str, list[Reading]]] = {}
    for reading in sorted(readings, key=lambda r: (r.observer, r.round, r.read_at)):
        if reading.frame_id in frames:
            by_frame = by_observer.setdefault(reading.observer, {})
            by_frame.setdefault(reading.frame_id, []).append(reading)
    return frames, by_observer


def _first(held: Mapping[str, list[Reading]]) -> Mapping[str, Reading]:
    """Of each frame the first blinded reading, or the annotation where there is none."""
    return {
        frame_id: next((reading for reading in readings if reading.blinded), readings[0])
        for frame_id, readings in held.items()
    }


def _too_few(subjects: int) -> str:
    return f"Too few to tell: {counted(subjects, 'subject')}, and {FEW_SUBJECTS} are needed."


def _title(first: str, second: str) -> str:
    return f"{first}, twice" if first == second else f"{first} and {second}"
