"""Pictures of what an import would take, with the structures that are in doubt laid over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.marked_regions import is_annotation, structures_in
from fetalstudio.formats.pictures.picture_files import read_samples
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.reading.doubts import NONE, Answers, Doubt, Question
from fetalstudio.formats.reading.frame_reading import read_shown
from fetalstudio.project.importing.plan import PlannedFrame
from fetalstudio.ui import theme
from fetalstudio.ui.common.pixmaps import shrunk
from fetalstudio.ui.library.thumbnails import Read

_WIDTH, _HEIGHT = 1024, 768
"""Px: no picture is shown larger."""
_OPACITY = 0.45

Regions = list[tuple[str, NDArray[np.bool_]]]


def colours_of(doubt: Doubt) -> Mapping[str, str]:
    """The colour of each answer that stands for something in the picture."""
    if doubt.question not in (Question.HEAD, Question.ANNOTATION):
        return {}
    values = (answer.value for answer in doubt.answers if answer.value != NONE)
    return {v: theme.SERIES[i % len(theme.SERIES)] for i, v in enumerate(values)}


def picture_of(frame: PlannedFrame, answers: Answers, redactor: Redactor) -> Read | None:
    """Reads a frame as it would be stored, with what its open doubts are about in the colours of
    the answers; None where it is in doubt what of it may be shown."""
    if frame.unclear:
        return None
    overlays: list[tuple[Path, Mapping[str, str] | str]] = []
    for doubt in frame.doubts:
        if doubt.answered(answers):
            continue
        colours = colours_of(doubt)
        path = frame.record.annotation_for(answers)
        if doubt.question is Question.HEAD and path is not None:
            overlays.append((path, colours))
        elif doubt.question is Question.ANNOTATION:
            overlays += [(a.file, colours[a.value]) for a in doubt.answers if a.file is not None]
    record = frame.record
    shown = partial(read_shown, record, redactor)
    if frame.frame_id is None and record.decode is None and record.video is None:
        return partial(_left_out, shown, record.path)
    return partial(_laid_over, shown, tuple(overlays))


def annotation_picture(path: Path) -> Read:
    """Reads an annotation picture, each structure in a colour of its own."""
    return partial(_structures, path)


def _laid_over(
    read: Read, overlays: tuple[tuple[Path, Mapping[str, str] | str], ...]
) -> NDArray[np.uint8]:
    grey = read()
    size = grey.shape[:2]
    small = shrunk(grey, _WIDTH, _HEIGHT)
    if not overlays:
        return small
    shown = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB).astype(np.float32)
    for path, colours in overlays:
        for name, region in _regions(path):
            colour = colours if isinstance(colours, str) else colours.get(name)
            if colour is not None and region.shape == size:
                _tint(shown, region, colour)
    return shown.astype(np.uint8)


def _left_out(read: Read, path: Path) -> NDArray[np.uint8]:
    """A picture that may be an annotation, whose numbers would be too dark to see."""
    grey = read()
    return _structures(path) if is_annotation(grey) else shrunk(grey, _WIDTH, _HEIGHT)


def _structures(path: Path) -> NDArray[np.uint8]:
    samples, _ = read_samples(path)
    step = max(1, max(samples.shape[:2]) // _WIDTH)
    samples = samples[::step, ::step]
    shown = np.zeros((*samples.shape[:2], 3), np.float32)
    for number, (_, region) in enumerate(structures_in(samples)):
        _tint(shown, region, theme.SERIES[number % len(theme.SERIES)], 1.0)
    return shown.astype(np.uint8)


def _regions(path: Path) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    try:
        samples, _ = read_samples(path)
    except InputError:
        return
    yield from structures_in(samples)


def _tint(
    shown: NDArray[np.float32], region: NDArray[np.bool_], colour: str, opacity: float = _OPACITY
) -> None:
    height, width = shown.shape[:2]
    where = cv2.resize(region.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    shown[where > 0] += opacity * (rgb - shown[where > 0])
