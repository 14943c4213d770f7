"""The layout of PSFHS and FH-PS-AOP: ``image_mha/NNNNN.mha`` with ``label_mha/NNNNN.mha``, in which
1 is the pubic symphysis and 2 the head. A picture has its colours in three slices."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from fetalstudio.formats.folders import mask_folders
from fetalstudio.formats.reading.frame_records import FrameSource
from fetalstudio.formats.writing.volume_pairs import VolumePairsWriter

_IMAGES, _LABELS = "image_mha", "label_mha"


def recognise(source: Path) -> bool:
    """Whether both folders are there."""
    return (source / _IMAGES).is_dir() and (source / _LABELS).is_dir()


def read(source: Path) -> FrameSource:
    """Find the frames; no picture is decoded. Raises ``OSError`` where a folder cannot be listed.

    The values of the masks are known from the layout:
    :func:`~fetalstudio.formats.folders.picture_records.coding_of`.
    """
    return replace(mask_folders.read(source), whole_heads=False)


PsfhsWriter = partial(VolumePairsWriter, suffix=".mha", images=_IMAGES, masks=_LABELS, head=2)
"""Writes frames and pairs in this layout, under their own names."""
