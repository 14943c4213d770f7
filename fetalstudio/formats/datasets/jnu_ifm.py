"""The layout of JNU-IFM: for each video a folder with ``image/VIDEO_N.png``,
``mask/VIDEO_N_mask.png`` (7 is the pubic symphysis, 8 the head) and ``mask_enhance/`` with the same
masks in colours. The folders of all videos may also be joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from fetalstudio.formats.folders import mask_folders
from fetalstudio.formats.folders.picture_records import cohort_of
from fetalstudio.formats.reading.frame_records import FrameSource

_VIDEO = re.compile(r"\d{8}T\d{6}(?:[-_ ].*)?")
_ENHANCED = frozenset({"mask_enhance", "enhance_mask", "enhanced_mask", "mask_enhanced"})


def recognise(source: Path) -> bool:
    """Whether the source is such a video, the folders of all, or holds some."""
    return next(_videos(source), None) is not None


def read(source: Path) -> FrameSource:
    """Find the frames of all videos; the frames of one video are of one subject. No picture is
    opened. Raises ``OSError`` where a folder cannot be listed.

    The values of the masks are known from their names:
    :func:`~fetalstudio.formats.folders.picture_records.coding_of`.
    """
    found = [
        mask_folders.read(video, with_tables=False, without=_ENHANCED) for video in _videos(source)
    ]
    records = tuple(record for part in found for record in part.records)
    return FrameSource(
        cohort_of(source),
        records,
        tuple(problem for part in found for problem in part.problems),
        frozenset(path for video in _videos(source) for path in video.glob("*/*.png")),
        whole_heads=False,
    )


def _videos(source: Path) -> Iterator[Path]:
    if _is_layout(source):
        yield source
        return
    for folder in sorted(source.iterdir()):
        if _VIDEO.fullmatch(folder.name) and _is_layout(folder):
            yield folder


def _is_layout(folder: Path) -> bool:
    """Whether the folder has masks whose names are a video's, with pictures beside them."""
    images, masks = folder / "image", folder / "mask"
    try:
        if not (images.is_dir() and masks.is_dir()):
            return False
        return any(_VIDEO.match(path.name) for path in masks.glob("*_mask.png"))
    except OSError:  # it may not be entered
        return False
