"""What the files of a source are taken for that are no frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fetalstudio.formats.annotations.unread_files import files_below
from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource
from fetalstudio.formats.tables.frame_tables import is_frame_table
from fetalstudio.formats.tables.table_files import TABLE_SUFFIXES


class Role(StrEnum):
    """What a file is taken for."""

    FRAME = "frame"
    ANNOTATION = "annotation"
    """A mask or a ring."""
    TABLE = "table"
    ANNOTATION_FILE = "annotation file"
    UNREAD = "not read"
    """It holds pictures or annotations, but in a format that is not read."""
    OTHER = "other"
    """Nothing that an import could use."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that is no frame."""

    path: Path
    role: Role
    note: str = ""
    """What cannot be used of it, and the cure."""


def other_files(source: Path, found: FrameSource) -> tuple[PlannedFile, ...]:
    """What all files are taken for that are no frames."""
    taken = {record.path for record in (*found.records, *found.unsure)}
    annotations = {path for record in found.records for path in _annotations(record)} - taken
    read, unread = found.files - taken, {file.path: file for file in found.unread}
    files = [path for path, _ in files_below(source)] if source.is_dir() else []
    planned = []
    for path in sorted({*files, *annotations, *read, *unread} - taken):
        if path in annotations:
            planned.append(PlannedFile(path, Role.ANNOTATION))
        elif path in read and path.suffix.lower() not in TABLE_SUFFIXES:
            planned.append(PlannedFile(path, Role.ANNOTATION_FILE))
        elif path in unread:
            file = unread[path]
            planned.append(PlannedFile(path, Role.UNREAD, f"{file.kind}. {file.cure}"))
        elif is_frame_table(path):
            notes = (note for note in found.problems if note.startswith(str(path)))
            planned.append(PlannedFile(path, Role.TABLE, " ".join(notes)))
        else:
            planned.append(PlannedFile(path, Role.OTHER))
    return tuple(planned)


def _annotations(record: FrameRecord) -> Iterator[Path]:
    if record.annotation is not None:
        yield record.annotation
    for doubt in record.doubts:
        for answer in doubt.answers:
            if answer.file is not None:
                yield answer.file
