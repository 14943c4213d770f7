"""A frame of each scanner layout in a source that nobody has confirmed yet, to be shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.burned_in_text import Box, stroke_groups
from fetalstudio.formats.frame_records import FrameRecord
from fetalstudio.formats.pictures import note_in, read_image
from fetalstudio.formats.redaction import Layout, Screen, as_screen, propose, remembered, text_boxes
from fetalstudio.formats.sources import AUTO, read_source

_TRIED = 3
"""Frames of a layout of which the one with the most text is shown."""
_PICTURES = 24
"""Pictures without a header that are tried, evenly among all."""


@dataclass(frozen=True, slots=True)
class ScreenSample:
    """A frame of a layout, as the scanner showed it. It is kept in memory only."""

    layout: str
    """The fingerprint."""
    path: Path
    frames: int
    """How many frames of the source have the layout; 0 where that was not counted."""
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    proposal: Layout
    text: tuple[Box, ...]
    """The text that is found in this frame, wherever it stands."""


def find_screens(
    source: Path,
    format: str = AUTO,
    frames: str | None = None,
    files: Sequence[Path] = (),
    *,
    progress: Progress = NO_PROGRESS,
) -> tuple[ScreenSample, ...]:
    """The layouts in a source that nobody has confirmed and that show something to black out.

    Of pictures without a header, some are tried; an import looks at each. Raises as
    :func:`read_source` and :func:`remembered`, and :class:`Stopped` if asked to.
    """
    known = remembered()
    records = read_source(source, format, frames, files=files).records
    by_layout: dict[str, list[FrameRecord]] = defaultdict(list)
    for record in records:
        if record.screen is not None and record.screen.layout not in known:
            by_layout[record.screen.layout].append(record)
    plain = [record for record in records if record.screen is None and record.decode is None]
    tries = [
        *((record, len(alike)) for alike in by_layout.values() for record in _some(alike, _TRIED)),
        *((record, 0) for record in _some(plain, _PICTURES)),
    ]
    best: dict[str, tuple[int, ScreenSample]] = {}
    for done, (record, count) in enumerate(tries):
        progress.advance(done, len(tries))
        shown = _shown(record)
        if shown is None or shown[1].layout in known:
            continue
        pixels, screen, groups = shown
        if len(groups) > best.get(screen.layout, (0, None))[0]:
            sample = ScreenSample(
                screen.layout,
                record.path,
                count,
                pixels,
                propose(pixels, screen),
                text_boxes(pixels, groups),
            )
            best[screen.layout] = (len(groups), sample)
    progress.advance(len(tries), len(tries))
    return tuple(sample for _, sample in best.values())


def _some(records: Sequence[FrameRecord], most: int) -> list[FrameRecord]:
    """Up to this many of the records, evenly among all."""
    number = min(most, len(records))
    return [records[i * len(records) // number] for i in range(number)]


def _shown(record: FrameRecord) -> tuple[NDArray[np.uint8], Screen, list[Box]] | None:
    """The pixels, the layout and the groups of strokes; None for no screen."""
    try:
        if record.decode is None:
            if note_in(record.path) is not None:
                return None
            pixels = read_image(record.path)
        else:
            pixels = record.decode()
    except InputError:
        return None  # the import names it
    groups = list(stroke_groups(pixels))
    screen = record.screen or as_screen(pixels, groups)
    return None if screen is None else (pixels, screen, groups)
