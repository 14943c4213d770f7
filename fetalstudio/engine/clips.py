"""Finds the frame of a clip that shows a head best, by the confidence of the built-in segmenter."""

from __future__ import annotations

from collections.abc import Iterable

from fetalstudio.core.errors import InputError
from fetalstudio.engine.models.loading import BUILT_IN, find_model, load_segmenter
from fetalstudio.engine.process.job import CancelCheck, Report
from fetalstudio.engine.process.progress import Steps
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.reading.frame_reading import read_shown
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.project.importing.planner import Sharpest

_SPREAD, _AROUND = 24, 8
"""Frames that are looked at: evenly among all, and then around the best of them."""


def sharpest_finder(report: Report, cancelled: CancelCheck) -> Sharpest:
    """The segmenter is loaded when the first clip comes. Each clip has progress of its own."""

    def find(clip: FrameRecord, redactor: Redactor) -> int | None:
        note = f"looking for the sharpest frame of {clip.path.name}"
        steps = Steps(steps_of(clip), report, cancelled, note)
        return sharpest(clip, redactor, steps)

    return find


def steps_of(clip: FrameRecord) -> int:
    """How many steps :func:`sharpest` makes for a clip."""
    assert clip.video is not None
    return min(clip.video.count, _SPREAD + _AROUND)


def sharpest(clip: FrameRecord, redactor: Redactor, steps: Steps) -> int | None:
    """The number, from 0, of the frame in which the built-in segmenter expects the best outline of
    a head. None where it sees none, or no frame can be read.

    The built-in segmenter is used because its confidence is always known. Of a long clip, 24 frames
    are looked at, and eight around the best of them. They are redacted first. Raises
    :class:`~fetalstudio.core.progress.Stopped` if asked to.
    """
    assert clip.video is not None
    count, seen = clip.video.count, dict[int, float]()
    segmenter = load_segmenter(find_model("segmenter", BUILT_IN))

    def look(numbers: Iterable[int]) -> None:
        for number in sorted(set(numbers) - seen.keys()):
            seen[number] = 0.0
            try:
                pixels = read_shown(clip.frames(str(number + 1))[0], redactor)
                found = segmenter.predict(pixels)
                seen[number] = 0.0 if found.ellipse is None else found.confidence or 0.0
            except InputError:  # a damaged frame is no reason against the others
                pass
            steps.advance()

    apart = max(count / _SPREAD, 1.0)
    look(int((i + 0.5) * apart) for i in range(min(count, _SPREAD)))
    best = max(seen, key=lambda number: seen[number])
    near = [round(best + apart * (i / _AROUND - 0.5)) for i in range(_AROUND + 1)]
    if seen[best] > 0:
        look(number for number in near if 0 <= number < count)
        best = max(seen, key=lambda number: seen[number])
    return best if seen[best] > 0 else None
