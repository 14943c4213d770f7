"""Single pixel sizes that are ten times those of the other pictures of a source, or a tenth.

A line of a table in cm among others in mm gives a head circumference that a fetus may have, if the
head is small: so it is not seen in the frame alone. Pictures of one size differ less: by a factor
of 8 in HC18, from the first trimester to the third. A factor of two says nothing, as scanners have
depths of 8 and of 16 cm.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fetalstudio.core.geometry import Size
from fetalstudio.formats.reading.doubts import KEEP, Question, size_doubt
from fetalstudio.formats.reading.frame_reading import STATED_BY
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import PlannedFrame

_FEWEST = 4
"""Other files that have the usual pixel size."""
_SAME = 0.01
"""Relative difference up to which two pixel sizes are the same."""
_FACTORS = {10.0: "ten times", 0.1: "a tenth of"}


def with_odd_sizes(frames: Sequence[PlannedFrame], choices: Choices) -> list[PlannedFrame]:
    """Doubt each pixel size that is ten times that of half of the files with pictures of the same
    size or more, or a tenth, unless a stated circumference or a person confirms it. The frame is
    then without one."""
    by_file: dict[Size, dict[Path, float]] = defaultdict(dict)
    for frame in frames:
        if frame.size is not None and frame.frame_id is not None and _whose(frame) is not None:
            by_file[frame.size][frame.path] = _mm(frame)
    sizes = {size: sorted(files.values()) for size, files in by_file.items()}
    return [_doubted(f, sizes[f.size], choices) if f.size in sizes else f for f in frames]


def _doubted(frame: PlannedFrame, sizes: Sequence[float], choices: Choices) -> PlannedFrame:
    """``sizes`` are those of the files with pictures of its size, in order."""
    whose = _whose(frame)
    if whose is None or frame.frame_id is None or _is_settled(frame):
        return frame
    for factor, text in _FACTORS.items():
        usual = _mm(frame) / factor
        first, end = (
            bisect_left(sizes, usual * (1 - _SAME)),
            bisect_right(sizes, usual * (1 + _SAME)),
        )
        if end - first < _FEWEST or 2 * (end - first) < len(sizes):
            continue
        doubt = size_doubt(
            f"{frame.record.place}: the {whose}'s pixel size of {_mm(frame):.4g} mm is {text} the "
            f"{sizes[first]:.4g} mm of {end - first} other files with pictures of this size.",
            whose,
        )
        kept = doubt.holds(choices.answers(frame.key, frame.clip)).value == KEEP
        calibration = frame.calibration if kept else None
        return replace(frame, calibration=calibration, doubts=(*frame.doubts, doubt))
    return frame


def _is_settled(frame: PlannedFrame) -> bool:
    """Whether the pixel size is asked about already, or a stated circumference confirms it."""
    asked = any(doubt.question is Question.CALIBRATION for doubt in frame.doubts)
    return asked or (frame.ellipse is not None and frame.record.hc_mm is not None)


def _whose(frame: PlannedFrame) -> str | None:
    """What states the pixel size; None for one that a person states."""
    return None if frame.calibration is None else STATED_BY.get(frame.calibration.source)


def _mm(frame: PlannedFrame) -> float:
    assert frame.calibration is not None
    return frame.calibration.mm_per_px
