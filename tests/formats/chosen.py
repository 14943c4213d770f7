"""The frames that are chosen of the files of a source."""

from __future__ import annotations

from fetalstudio.formats.reading.frame_records import FrameRecord, FrameSource


def frames_of(source: FrameSource, choice: str | None = None) -> tuple[FrameRecord, ...]:
    """A record for each frame, by default those that are usual for each file."""
    return tuple(frame for record in source.records for frame in record.frames(choice))
