"""Job ``sharpest``: find the frame of each clip that shows a head best. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.engine.clips import sharpest, steps_of
from fetalstudio.engine.jobs.sharpest.request import SharpestRequest, SharpestResult
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.dicom import source as dicom
from fetalstudio.formats.privacy.redaction import Redactor, remembered
from fetalstudio.formats.reading.frame_records import FrameRecord


def run(request: SharpestRequest, report: Report, cancelled: CancelCheck) -> SharpestResult:
    """Look at frames of each clip; clips that can no longer be read are left out."""
    redactor, numbers = Redactor(layouts=remembered()), {}
    clips = list(_clips(request.clips))
    steps = Steps(sum(map(steps_of, clips)), report, cancelled, "looking at frames")
    done = 0
    for clip in clips:
        number = sharpest(clip, redactor, steps)
        if number is not None:
            numbers[clip.path] = number + 1
        done += steps_of(clip)
        steps.advance(done)  # fewer were needed
    return SharpestResult(numbers)


def _clips(paths: tuple[Path, ...]) -> Iterator[FrameRecord]:
    read: dict[Path, tuple[FrameRecord, ...]] = {}
    for path in paths:
        file = next((p for p in (path, *path.parents) if p.is_file()), path)  # of an archive
        if file not in read:
            try:
                read[file] = dicom.read(file).records
            except InputError:
                read[file] = ()
        yield from (record for record in read[file] if record.path == path and record.is_clip)
