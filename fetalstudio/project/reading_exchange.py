"""Exporting readings as a small file, and merging a colleague's.

Frames are recognised by their pixels. A reading has an id, so that merging a file twice changes
nothing. What contradicts a reading of this project is listed and left out unless a person keeps
both; nothing is ever overwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fetalstudio.core.errors import InputError
from fetalstudio.core.words import counted, counted_are
from fetalstudio.formats.readings_file import (
    SUFFIX,
    ReadingRecord,
    ReadingsFile,
    read_readings,
    write_readings,
)
from fetalstudio.project.patients import is_key
from fetalstudio.project.project import Project
from fetalstudio.project.readings import checked_observer
from fetalstudio.project.store.records import Frame, Reading

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Conflict:
    """A reading of a file that contradicts one of the project."""

    record: ReadingRecord
    held: Reading
    frame: Frame
    kind: Literal["another", "changed"]
    """``another``: the same observer read the frame in the same round and drew something else.
    ``changed``: it is the same reading by its id, but the file says something else of it."""
    differences: tuple[str, ...] = ()
    """Of a changed reading, what the file says and what holds here, for a person."""

    def sentence(self) -> str:
        """What is wrong, for a person."""
        who, name = self.record.observer, self.frame.name
        if self.kind == "changed":
            what = "; ".join(self.differences)
            return f"{name}: the reading of {self.held.observer} was changed: {what}."
        which = f"reading {self.record.round}" if self.record.round else "annotation"
        dice = ""
        if self.record.ellipse is not None and self.held.ellipse is not None:
            dice = f"; their Dice is {self.record.ellipse.overlap(self.held.ellipse):.3f}"
        return f"{name}: another {which} of {who} is here already{dice}."


@dataclass(frozen=True, slots=True)
class MergePlan:
    """What merging a file would do; nothing is stored yet."""

    path: Path
    observers: tuple[str, ...]
    """Of all readings of the file, as they would be called here."""
    new: tuple[ReadingRecord, ...]
    known: int
    """Readings that are here already."""
    unknown: tuple[ReadingRecord, ...]
    """Readings of frames that the project does not hold."""
    conflicts: tuple[Conflict, ...]
    other_subjects: tuple[Frame, ...]
    """Frames that have the key of another subject here. Each project makes keys of its own, so that
    this is usual; the subject here counts."""

    def sentences(self) -> list[str]:
        """What would happen, for a person."""
        said = [f"{counted(len(self.new), 'new reading')} by {', '.join(self.observers)}."]
        if self.known:
            said.append(f"{counted_are(self.known, 'reading')} here already, and nothing changes.")
        if self.unknown:
            frames = list(dict.fromkeys(record.frame for record in self.unknown))
            shown = ", ".join(frame[:16] for frame in frames[:_NAMED])
            more = f" and {len(frames) - _NAMED} more" if len(frames) > _NAMED else ""
            said.append(
                f"{counted_are(len(self.unknown), 'reading')} left out, because this project does "
                f"not hold their frames: {shown}{more}. Import these frames first to merge the "
                "readings too."
            )
        kinds = Counter(conflict.kind for conflict in self.conflicts)
        if kinds["another"]:
            said.append(
                f"{counted_are(kinds['another'], 'reading')} in conflict, and left out unless you "
                "keep both."
            )
        if kinds["changed"]:
            said.append(
                f"{counted_are(kinds['changed'], 'reading')} in conflict, and left out: the file "
                "holds the same reading with something changed. What is here stays. If an observer "
                "has another name here, enter it."
            )
        return said


def export_readings(
    project: Project,
    path: Path,
    *,
    observers: Collection[str] | None = None,
    rename: Mapping[str, str] | None = None,
    annotations: bool = False,
) -> int:
    """Write readings into a file, and return their number.

    ``observers``: only theirs; ``rename``: what observers are called in the file, such as by
    initials; ``annotations``: also the final annotations, which count as readings that were not
    blinded. The file holds no picture, no name of a frame and no subject that is not a key.

    Raises :class:`InputError` where there is nothing to write, :class:`UserError` where the file
    cannot be written.
    """
    called = rename or {}
    frames = {frame.id: frame for frame in project.frames.all()}
    held = project.readings.with_annotations() if annotations else project.readings.all()
    records = [
        ReadingRecord(
            id=reading.id,
            frame=reading.frame_id,
            subject=_shown_subject(frames[reading.frame_id].subject),
            observer=checked_observer(called.get(reading.observer, reading.observer)),
            round=reading.round,
            blinded=reading.blinded,
            ellipse=reading.ellipse,
            seconds=reading.seconds,
            read_at=reading.read_at,
        )
        for reading in held
        if observers is None or reading.observer in observers
    ]
    if len({(r.frame, r.observer, r.round) for r in records}) < len(records):
        raise InputError("Two observers would have the same name. Give them different ones.")
    if not records:
        known = ", ".join(sorted({reading.observer for reading in held})) or "nobody"
        raise InputError(
            f"There are no readings to export. This project has readings by: {known}. Read frames "
            "first (Readings, Read again without seeing)."
        )
    path = path if path.suffix else path.with_name(path.name + SUFFIX)
    write_readings(path, ReadingsFile(project.patients.project_id, tuple(records)))
    return len(records)


def plan_merge(
    project: Project, path: Path, *, rename: Mapping[str, str] | None = None
) -> MergePlan:
    """What merging a file would do. ``rename``: what its observers are called here, where two
    people have the same initials.

    Raises :class:`InputError` for a file that holds no readings or is damaged.
    """
    called = {old: checked_observer(new) for old, new in (rename or {}).items()}
    readings = [
        replace(record, observer=called.get(record.observer, record.observer))
        for record in read_readings(path).readings
    ]
    if len({(r.frame, r.observer, r.round) for r in readings}) < len(readings):
        raise InputError(
            f"{path} has two readings of one frame by the same observer in the same round. Give "
            "its observers different names, or export the readings again."
        )
    frames = {frame.id: frame for frame in project.frames.all()}
    held = {reading.id: reading for reading in project.readings.with_annotations()}
    taken = {(r.frame_id, r.observer, r.round): r for r in held.values()}
    new: list[ReadingRecord] = []
    unknown: list[ReadingRecord] = []
    conflicts: list[Conflict] = []
    for record in readings:
        frame = frames.get(record.frame)
        if frame is None:
            unknown.append(record)
        elif (same := held.get(record.id)) is not None:
            # Where both were kept, the reading of the file had to take another round here.
            moved = taken.get((record.frame, record.observer, record.round), same) is not same
            if found := _differences(record, same, frames, round_moved=moved):
                conflicts.append(Conflict(record, same, frame, "changed", found))
        elif other := taken.get((record.frame, record.observer, record.round)):
            conflicts.append(Conflict(record, other, frame, "another"))
        else:
            new.append(record)
    return MergePlan(
        path=path,
        observers=tuple(sorted({record.observer for record in readings})),
        new=tuple(new),
        known=len(readings) - len(new) - len(unknown) - len(conflicts),
        unknown=tuple(unknown),
        conflicts=tuple(conflicts),
        other_subjects=tuple(
            frames[record.frame]
            for record in {record.frame: record for record in readings}.values()
            if record.frame in frames and record.subject not in (None, frames[record.frame].subject)
        ),
    )


def merge_readings(
    project: Project,
    plan: MergePlan,
    *,
    author: str,
    keep_both: bool = False,
    rename: Mapping[str, str] | None = None,
) -> int:
    """Store the new readings of a plan, as one amendment, and return their number.

    ``keep_both`` also stores those of conflicts where the same observer drew something else, as a
    further reading. ``rename`` as for the plan. The plan is made again, so that what has been
    merged meanwhile is not stored twice. Raises as :func:`plan_merge`, and :class:`InputError`
    where there is nothing to store.
    """
    with project.transaction():
        plan = plan_merge(project, plan.path, rename=rename)
        both = [c.record for c in plan.conflicts if keep_both and c.kind == "another"]
        if not plan.new and not both:
            left_out = ""
            if plan.conflicts:
                what = counted_are(len(plan.conflicts), "reading")
                left_out = f" {what} in conflict, and left out: {plan.conflicts[0].sentence()}"
            raise InputError(f"{plan.path} holds nothing new. Nothing was stored.{left_out}")
        rounds: dict[tuple[str, str], int] = {}
        for reading in project.readings.all():
            key = reading.frame_id, reading.observer
            rounds[key] = max(rounds.get(key, 0), reading.round)
        for record in plan.new:
            key = record.frame, record.observer
            rounds[key] = max(rounds.get(key, 0), record.round)
        number = len(plan.new) + len(both)
        people = ", ".join(sorted({record.observer for record in (*plan.new, *both)}))
        amendment = project.amendments.log_import(
            f"merged {counted(number, 'reading')} by {people}", author=author
        )
        for record in plan.new:
            project.readings.store(
                record, observer=record.observer, number=record.round, merge=lambda: amendment
            )
        for record in both:
            key = record.frame, record.observer
            rounds[key] = rounds.get(key, 0) + 1
            project.readings.store(
                record, observer=record.observer, number=rounds[key], merge=lambda: amendment
            )
    return amendment


def _differences(
    record: ReadingRecord, held: Reading, frames: Mapping[str, Frame], *, round_moved: bool
) -> tuple[str, ...]:
    """What the file says of a reading, where something else holds here, for a person.

    ``round_moved``: the round counts as the same, because it was given away here.
    """
    said = []

    def compare(what: str, file: object, here: object, shown: Callable[[Any], str]) -> None:
        if file != here:
            said.append(f"{what} {shown(file)} in the file, {shown(here)} here")

    compare("frame", record.frame, held.frame_id, lambda frame_id: frames[frame_id].name)
    compare("observer", record.observer, held.observer, str)
    if not round_moved:
        compare("round", record.round, held.round, str)
    compare("blinded", record.blinded, held.blinded, lambda value: "yes" if value else "no")
    compare("read at", record.read_at, held.read_at, str)
    compare("seconds", record.seconds, held.seconds, lambda s: "not known" if s is None else str(s))
    if record.ellipse != held.ellipse:
        said.append("another ellipse")
    return tuple(said)


def _shown_subject(subject: str) -> str | None:
    """A subject that says nothing about who the patient is; projects of former versions hold
    texts."""
    return subject if is_key(subject) else None
