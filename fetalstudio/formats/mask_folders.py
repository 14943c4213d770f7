"""A folder of frames with masks or rings beside them, and perhaps tables.

Frames lie at the top and one folder down. An annotation lies beside its frame (``NAME_mask.png``)
or in a folder of its own (``masks/NAME.png``). A table gives pixel sizes, ellipses
(``name,cx,cy,a,b,angle_deg``), patients or labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fetalstudio.formats.frame_records import (
    FrameRecord,
    FrameSource,
    country_of,
    subject_of,
    subject_of_folder,
)
from fetalstudio.formats.frame_tables import HC18_TABLE, Row, read_folder_tables, some, unmatched
from fetalstudio.formats.pictures import SUFFIXES

IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "frames", "training_set", "test_set"})
"""Names (lower case) of folders that say nothing about what is in them."""

_MASK_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "seg", "segs", "gt"}
    | {"segmentation", "segmentations", "ground_truth", "groundtruth"}
)
_ANNOTATES = "annotation|mask|seg|segmentation|gt|label"
_ANNOTATION = re.compile(rf"(.+)[-_ .](?:{_ANNOTATES})", re.IGNORECASE)

_NOT_READ = frozenset(
    {".webp", ".gif", ".heic", ".jp2", ".dcm", ".dicom", ".nrrd", ".mha", ".mp4", ".avi"}
    | {".nii", ".nii.gz"}
)
"""Endings of other files that hold pictures."""

_NO_ROW = Row()


def recognise(source: Path) -> bool:
    """Whether the source can be read as such a folder."""
    return source.is_dir()


def read(source: Path, *, with_tables: bool = True) -> FrameSource:
    """Find the frames in a folder; no picture is opened.

    Raises :class:`~fetalstudio.core.errors.InputError` for a table that cannot be used, ``OSError``
    for a folder that cannot be listed.
    """
    inner = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    generic = source.name.lower() in IMAGE_FOLDERS
    beside = [p for p in _neighbours(source) if generic and _is_mask_folder(p)]
    mask_folders = [p for p in inner if _is_mask_folder(p)]
    image_folders = [source, *(p for p in inner if p not in mask_folders)]
    elsewhere: dict[str, Path] = {}
    # Masks inside the source win over those in a folder beside it.
    for folder in (*beside, *mask_folders):
        elsewhere |= {_base(p) or p.stem.lower(): p for p in pictures_in(folder)}
    frames: list[Path] = []
    annotations: dict[Path, Mapping[str, Path]] = {}
    problems: tuple[str, ...] = ()
    for folder in image_folders:
        own, found = split(pictures_in(folder))
        frames += found
        problems += orphans(found, own)
        annotations[folder] = elsewhere | own
    inside = {key: p for key, p in elsewhere.items() if p.parent in mask_folders}
    problems += orphans(frames, inside)
    rows, notes = _tables(source, image_folders, frames) if with_tables else ({}, ())
    repeated = _repeated(frames)
    for key in sorted(repeated & elsewhere.keys()):
        problems += (f"{elsewhere[key]}: several folders have such a frame, so it was not used.",)
        for folder in image_folders:
            if annotations[folder].get(key) == elsewhere[key]:
                annotations[folder] = {k: p for k, p in annotations[folder].items() if k != key}
    return FrameSource(
        cohort_of(source),
        records_of(frames, annotations, rows),
        problems + notes + unread(image_folders),
    )


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def split(pictures: Iterable[Path]) -> tuple[dict[str, Path], list[Path]]:
    """Of one folder: the annotations by their frame's lower-case name, and the frames."""
    annotations: dict[str, Path] = {}
    frames: list[Path] = []
    pictures = list(pictures)
    if len(pictures) == 2:  # image.png and mask.png: a folder for each frame
        masks = [p for p in pictures if re.fullmatch(_ANNOTATES, p.stem, re.IGNORECASE)]
        if len(masks) == 1:
            frames = [p for p in pictures if p != masks[0]]
            return {frames[0].stem.lower(): masks[0]}, frames
    for path in pictures:
        base = _base(path)
        if base is None:
            frames.append(path)
        else:
            annotations[base] = path
    return annotations, frames


def records_of(
    frames: list[Path],
    annotations: Mapping[Path, Mapping[str, Path]],
    rows: Mapping[Path, Mapping[str, Row]],
) -> tuple[FrameRecord, ...]:
    """A record for each frame, with the annotations and table rows of its folder."""
    repeated = _repeated(frames)
    records = []
    for path in frames:
        stem, folder = _text(path.stem), _text(path.parent.name)
        name = f"{folder}_{stem}" if path.stem.lower() in repeated else stem
        subject = subject_of(stem)
        if subject == stem:
            subject = subject_of_folder(folder) or name
        named = rows.get(path.parent, {})
        row = named.get(path.name.lower()) or named.get(path.stem.lower()) or _NO_ROW
        records.append(
            FrameRecord(
                path=path,
                name=name,
                subject=row.subject or subject,
                annotation=annotations[path.parent].get(path.stem.lower()),
                ellipse=row.ellipse,
                ellipse_size=row.size,
                calibration=row.calibration,
                hc_mm=row.hc_mm,
                labels={**country_of(stem), **row.labels},
            )
        )
    return tuple(records)


def orphans(frames: Iterable[Path], annotations: Mapping[str, Path]) -> tuple[str, ...]:
    """A message for each annotation, by its frame's lower-case name, that has no frame."""
    names = {path.stem.lower() for path in frames}
    return tuple(
        f"{path} annotates a frame that is not there. It was left out."
        for base, path in sorted(annotations.items())
        if base not in names
    )


def unread(folders: Iterable[Path]) -> tuple[str, ...]:
    """A note on pictures of a kind that is not read."""
    counts = Counter(
        suffix
        for folder in folders
        for path in folder.iterdir()
        for suffix in _NOT_READ
        if path.name.lower().endswith(suffix) and not path.name.startswith(".") and path.is_file()
    )
    if not counts:
        return ()
    found = ", ".join(f"{number} {suffix}" for suffix, number in sorted(counts.items()))
    return (f"Not read: {found}. Export such files as PNG, JPEG, TIFF or BMP to import them.",)


def cohort_of(source: Path) -> str:
    """The folder's name, or its parent's where the name says nothing."""
    generic = source.name.lower() in IMAGE_FOLDERS
    return _text(source.parent.name if generic else source.name) or "frames"


def _repeated(frames: Iterable[Path]) -> frozenset[str]:
    """Lower-case names that frames of several folders have."""
    counts = Counter(path.stem.lower() for path in frames)
    return frozenset(name for name, count in counts.items() if count > 1)


def _tables(
    source: Path, folders: Iterable[Path], frames: list[Path]
) -> tuple[dict[Path, dict[str, Row]], tuple[str, ...]]:
    """What the tables say, by folder, and notes.

    A table beside frames is about these alone, any other about all. But of a name that several
    folders have, a table above them cannot say which frame is meant.
    """
    rows: dict[Path, dict[str, Row]] = {}
    notes: tuple[str, ...] = ()
    common: dict[str, Row] = {}
    inhabited = {path.parent for path in frames}
    for folder in folders:
        own, more = read_folder_tables(folder, HC18_TABLE)
        alone = folder in inhabited and folder != source
        about = [path for path in frames if path.parent == folder] if alone else frames
        notes += more + unmatched(folder, own, about)
        if alone:
            rows[folder] = own
        else:
            common |= own
    repeated = _repeated(frames)
    unclear = sorted(name for name in common if Path(name).stem in repeated)
    if unclear:
        notes += (
            f"Several folders have {some(unclear)}, so what the table in {source} says of "
            f"{'it' if len(unclear) == 1 else 'them'} was not used. Put a table into each folder.",
        )
    shared = {name: row for name, row in common.items() if name not in unclear}
    return {folder: shared | rows.get(folder, {}) for folder in inhabited}, notes


def _neighbours(source: Path) -> list[Path]:
    """What lies beside the source; nothing where that cannot be listed."""
    try:
        return sorted(p for p in source.parent.iterdir() if p != source)
    except OSError:
        return []


def _is_mask_folder(path: Path) -> bool:
    return path.name.lower() in _MASK_FOLDERS and path.is_dir()


def _base(path: Path) -> str | None:
    """The lower-case name of the frame that this file says it annotates."""
    match = _ANNOTATION.fullmatch(path.stem)
    return match[1].lower() if match else None


def _text(name: str) -> str:
    """A part of a path as valid text, also where the system's names are in another encoding."""
    return name.encode("utf-8", "replace").decode()
