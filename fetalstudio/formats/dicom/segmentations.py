"""DICOM segmentations: which pixels of the frames in other files belong to a segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from fetalstudio.core.errors import InputError
from fetalstudio.formats.dicom.dataset import (
    MOST_FRAMES,
    Opener,
    check_pixels,
    frame_count,
    opened,
)
from fetalstudio.formats.dicom.pixels import decoded


@dataclass(frozen=True, slots=True)
class SegmentFrame:
    """A frame of a segmentation: which pixels of another frame belong to a segment."""

    index: int
    """Its number among the frames of the segmentation, from 0."""
    segment: int
    """The number of the segment; 0 where the pixels are such numbers themselves."""
    uid: str
    """The UID of the instance that it is about. Never stored."""
    number: int
    """The frame of that instance, from 1."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a file says about parts of the pictures in other files."""

    labels: Mapping[int, str]
    """What each segment is called, by its number."""
    frames: tuple[SegmentFrame, ...]
    least: float
    """The value from which on a pixel belongs to the segment."""


def segmentation_of(dataset: Dataset) -> Segmentation:
    """Which frames of which instances it is about, as each frame or the whole says."""
    labels = {
        int(segment.SegmentNumber): str(segment.get("SegmentLabel") or "").strip()
        for segment in dataset.SegmentSequence
    }
    kind = str(dataset.get("SegmentationType") or "BINARY")
    whole = [
        reference
        for series in dataset.get("ReferencedSeriesSequence") or ()
        for reference in series.get("ReferencedInstanceSequence") or ()
    ]
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())[:MOST_FRAMES]
    frames = []
    for index in range(frame_count(dataset)):
        group = groups[index] if index < len(groups) else Dataset()
        which = _within(group, shared, "SegmentIdentificationSequence")
        number = 1 if which is None else int(which.get("ReferencedSegmentNumber") or 1)
        derivation = _within(group, shared, "DerivationImageSequence")
        sources = list((derivation and derivation.get("SourceImageSequence")) or ())
        for source in sources or (whole if len(whole) == 1 else ()):
            numbers = source.get("ReferencedFrameNumber") or 1
            for about in [numbers] if isinstance(numbers, int) else numbers:
                uid = str(source.get("ReferencedSOPInstanceUID") or "")
                segment = 0 if kind == "LABELMAP" else number
                frames.append(SegmentFrame(index, segment, uid, int(about)))
    most = float(dataset.get("MaximumFractionalValue") or 255)
    return Segmentation(labels, tuple(frames), most / 2 if kind == "FRACTIONAL" else 1)


def _within(group: Dataset, shared: Dataset, keyword: str) -> Dataset | None:
    """The item of a functional group: the frame's own, or else the one of all frames."""
    sequence = group.get(keyword) or shared.get(keyword)
    return sequence[0] if sequence else None


def read_segments(
    path: Path, open_file: Opener, segmentation: Segmentation, uid: str, number: int
) -> NDArray[np.uint8] | None:
    """The segments of a frame of an instance as (H, W) numbers, 0 for none; None where there are
    no pixels of any. ``number`` is that of the frame, from 1.

    Raises :class:`InputError` as
    :func:`~fetalstudio.formats.dicom.file.read_frame`, and where segments overlap.
    """
    wanted = [f for f in segmentation.frames if (f.uid, f.number) == (uid, number)]
    labels: NDArray[np.uint8] | None = None
    for frame in wanted:
        with opened(path, open_file) as (dataset, body):
            check_pixels(path, dataset)
            samples = decoded(dataset, body, frame.index)
        if labels is None:
            labels = np.zeros(samples.shape, np.uint8)
        if frame.segment == 0:
            return samples.astype(np.uint8) if samples.any() else None
        region = samples >= segmentation.least
        if (labels[region] > 0).any():
            raise InputError(
                f"{path} has segments that overlap. Export the head as a segmentation of its own."
            )
        labels[region] = min(frame.segment, 255)
    return labels if labels is not None and labels.any() else None
