"""What lies in a source: which files are frames, which annotate them, and their subjects.

Two layouts are known. ``hc18`` is that of the HC18 challenge:
``training_set_pixel_size_and_HC.csv`` and, beside it or in ``training_set/``, ``NNN_HC.png`` with
``NNN_HC_Annotation.png``. ``folder`` is any other: images at the top and one folder down,
annotations beside them (``NAME_mask.png``) or in a folder of their own (``masks/NAME.png``), and
perhaps a table of pixel sizes, of ellipses (``name,cx,cy,a,b,angle_deg``) or of labels.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.formats.images import SUFFIXES
from fetalstudio.formats.tables import (
    FILENAME,
    HC18_HEADER,
    PIXEL_SIZE,
    Row,
    read_table,
    read_tables,
    some,
    unmatched,
)

Format = Literal["auto", "hc18", "folder"]

HC18_TABLE = "training_set_pixel_size_and_HC.csv"
HC18_FOLDER = "training_set"
PROVENANCE = "provenance.json"
PROVENANCE_FORMAT = "fetalstudio-export-1"
"""What an export of ours writes beside the table: subjects that the file names do not tell."""
_HC18_TEST_TABLE = "test_set_pixel_size.csv"

_IMAGE_FOLDERS = frozenset({"image", "images", "img", "imgs", "frames", HC18_FOLDER, "test_set"})
_MASK_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "seg", "segs", "gt"}
    | {"segmentation", "segmentations", "ground_truth", "groundtruth"}
)
_ANNOTATES = "annotation|mask|seg|segmentation|gt|label"
_ANNOTATION = re.compile(rf"(.+)[-_ .](?:{_ANNOTATES})", re.IGNORECASE)
_HC18_NAME = re.compile(r"(\d+)_\d*HC")
_PATIENT = re.compile(r"(?:(?i:patient)[-_ ]?\d+)(?:_([A-Z]{3})(?![A-Za-z]))?")
_PATIENT_FOLDER = re.compile(
    r"(?:p|pt|pat|patient|case|subj|sub|subject|id|s)?[-_ ]?\d+", re.IGNORECASE
)
"""A folder of one patient's frames, by its name."""

_NOT_READ = frozenset(
    {".webp", ".gif", ".heic", ".jp2", ".dcm", ".dicom", ".nrrd", ".mha", ".mp4", ".avi"}
    | {".nii", ".nii.gz"}
)
"""Endings of other files that hold pictures."""

_NO_ROW = Row()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that should become a frame."""

    path: Path
    name: str
    subject: str
    annotation: Path | None = None
    row: Row = _NO_ROW


@dataclass(frozen=True, slots=True)
class Layout:
    """What was found in a source."""

    cohort: str
    candidates: tuple[Candidate, ...]
    problems: tuple[str, ...]


def subject_of(name: str) -> str:
    """The patient key in a frame's name.

    ``392_2HC`` is of subject 392, ``Patient00690_Plane3_1_of_4`` of Patient00690 and
    ``patient002_EGY_plane1`` of patient002_EGY; any other name is its own subject.
    """
    hc18, patient = _HC18_NAME.fullmatch(name), _PATIENT.match(name)
    if hc18:
        return hc18[1]
    return patient[0] if patient else name


def _country_of(name: str) -> Mapping[str, str]:
    """The label that a name such as ``patient002_EGY_plane1`` tells (ISO 3166, three letters)."""
    patient = _PATIENT.match(name)
    return {"country": patient[1]} if patient and patient[1] else {}


def find_layout(source: Path, format: Format = "auto") -> Layout:
    """Look at a folder, or a single image with what lies beside it; no image is opened.

    Raises :class:`InputError` if there is no image, or the table is missing, unreadable or lacks
    columns.
    """
    source = Path(source).absolute()
    try:
        if source.is_file():
            return _single(source, format)
        if not source.is_dir():
            raise InputError(f"{source} does not exist. Check the path.")
        table = None if format == "folder" else _hc18_table(source)
        if format == "hc18" and table is None:
            raise InputError(
                f"{source} is not in the HC18 layout: {HC18_TABLE} is missing. "
                "Put it there, or import as a folder of images."
            )
        layout = _folder(source) if table is None else _hc18(source, table)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror}. Check the path.") from error
    if not layout.candidates:
        raise InputError(
            f"{source} holds no images (PNG, JPEG, TIFF or BMP), nor does a folder in it. "
            + " ".join(_unread([source]) or ("Choose the folder with the frames.",))
        )
    return layout


def _single(path: Path, format: Format) -> Layout:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a PNG, JPEG, TIFF or BMP image. Choose an image.")
    notes: tuple[str, ...] = ()
    try:
        layout = find_layout(path.parent, format)
    except InputError as error:
        if format == "hc18":
            raise
        # A table that lies beside it, in a folder of downloads perhaps, need not be about it.
        layout = _folder(path.parent, with_tables=False)
        notes = (f"{error} {path.name} was imported without it.",)
    only = tuple(c for c in layout.candidates if c.path == path)
    if not only:
        raise InputError(f"{path} annotates a frame and is not one itself. Import the frame.")
    return replace(layout, candidates=only, problems=notes)


# -- HC18 ------------------------------------------------------------------------------------


def _hc18_table(source: Path) -> Path | None:
    """The table in the source, or beside it where the source is ``training_set`` itself."""
    folders = [source, source.parent] if source.name.lower() in _IMAGE_FOLDERS else [source]
    for folder in folders:
        for name in (HC18_TABLE, _HC18_TEST_TABLE):
            if (folder / name).is_file():
                return folder / name
    return None


def _hc18(source: Path, table: Path) -> Layout:
    official = table.name == HC18_TABLE
    rows = read_table(table, required=HC18_HEADER if official else (FILENAME, PIXEL_SIZE))
    inner = source / (HC18_FOLDER if official else "test_set")
    folder = inner if inner.is_dir() else source
    images = _images(folder)
    annotations, frames = _split(images)
    candidates = _as_exported(
        _candidates(frames, {folder: annotations}, {folder: rows}), table.with_name(PROVENANCE)
    )
    listed = {c.path.name.lower() for c in candidates}
    absent = sorted(rows.keys() - listed)
    unlisted = sorted(listed - rows.keys())
    problems = _orphans(frames, annotations)
    if absent:
        problems += (f"{table} names {some(absent)}, which {_are(absent)} not in {folder}.",)
    if unlisted:
        problems += (f"{table} lacks {some(unlisted)}: imported without a pixel size.",)
    return Layout(_cohort(source), candidates, problems)


def _as_exported(candidates: tuple[Candidate, ...], path: Path) -> tuple[Candidate, ...]:
    """With the subjects and the pixel sizes of an export of ours, if this is one."""
    if not path.is_file():
        return candidates
    try:
        record = json.loads(path.read_bytes())
        if record.get("format") != PROVENANCE_FORMAT:
            return candidates
        return tuple(_recorded(c, record["frames"].get(c.path.name)) for c in candidates)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is damaged. Copy it again, or remove it to take the subjects from file names."
        ) from error


def _recorded(candidate: Candidate, entry: Mapping[str, Any] | None) -> Candidate:
    if entry is None:
        return candidate
    row, mm_per_px = candidate.row, entry["mm_per_px"]
    if row.calibration is None and mm_per_px is not None:
        x, y = mm_per_px
        row = replace(row, calibration=Calibration(x, y, "table"))
    row = replace(row, labels={**row.labels, **entry.get("labels", {})})
    return replace(candidate, subject=str(entry["subject"]), row=row)


# -- any folder ------------------------------------------------------------------------------


def _folder(source: Path, *, with_tables: bool = True) -> Layout:
    inner = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    generic = source.name.lower() in _IMAGE_FOLDERS
    beside = [p for p in _neighbours(source) if generic and _is_mask_folder(p)]
    mask_folders = [p for p in inner if _is_mask_folder(p)]
    image_folders = [source, *(p for p in inner if p not in mask_folders)]
    elsewhere: dict[str, Path] = {}
    # Masks inside the source win over those in a folder beside it.
    for folder in (*beside, *mask_folders):
        elsewhere |= {_base(p) or p.stem.lower(): p for p in _images(folder)}
    frames: list[Path] = []
    annotations: dict[Path, Mapping[str, Path]] = {}
    problems: tuple[str, ...] = ()
    for folder in image_folders:
        own, found = _split(_images(folder))
        frames += found
        problems += _orphans(found, own)
        annotations[folder] = elsewhere | own
    inside = {key: p for key, p in elsewhere.items() if p.parent in mask_folders}
    problems += _orphans(frames, inside)
    rows, notes = _tables(source, image_folders, frames) if with_tables else ({}, ())
    repeated = _repeated(frames)
    for key in sorted(repeated & elsewhere.keys()):
        problems += (f"{elsewhere[key]}: several folders have such a frame, so it was not used.",)
        for folder in image_folders:
            if annotations[folder].get(key) == elsewhere[key]:
                annotations[folder] = {k: p for k, p in annotations[folder].items() if k != key}
    candidates = _candidates(frames, annotations, rows)
    return Layout(_cohort(source), candidates, problems + notes + _unread(image_folders))


def _repeated(frames: Iterable[Path]) -> frozenset[str]:
    """Lower-case names that frames of several folders have."""
    counts = Counter(path.stem.lower() for path in frames)
    return frozenset(name for name, count in counts.items() if count > 1)


def _tables(
    source: Path, folders: Iterable[Path], frames: list[Path]
) -> tuple[dict[Path, dict[str, Row]], tuple[str, ...]]:
    """What the tables say, by folder, and notes. A table beside frames is about these alone, any
    other about all: but of a name that several folders have, it cannot tell which is meant."""
    rows: dict[Path, dict[str, Row]] = {}
    notes: tuple[str, ...] = ()
    common: dict[str, Row] = {}
    inhabited = {path.parent for path in frames}
    for folder in folders:
        own, more = read_tables(folder, HC18_TABLE)
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


def _unread(folders: Iterable[Path]) -> tuple[str, ...]:
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
    told = ", ".join(f"{number} {suffix}" for suffix, number in sorted(counts.items()))
    return (f"Not read: {told}. Export such files as PNG, JPEG, TIFF or BMP to import them.",)


def _neighbours(source: Path) -> list[Path]:
    """What lies beside the source; nothing where that cannot be listed."""
    try:
        return sorted(p for p in source.parent.iterdir() if p != source)
    except OSError:
        return []


# -- shared ----------------------------------------------------------------------------------


def _images(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
    )


def _is_mask_folder(path: Path) -> bool:
    return path.name.lower() in _MASK_FOLDERS and path.is_dir()


def _base(path: Path) -> str | None:
    """The lower-case name of the frame that this file says it annotates."""
    match = _ANNOTATION.fullmatch(path.stem)
    return match[1].lower() if match else None


def _split(images: Iterable[Path]) -> tuple[dict[str, Path], list[Path]]:
    """Annotations by the frame's lower-case name, and frames; of one folder."""
    annotations: dict[str, Path] = {}
    frames: list[Path] = []
    images = list(images)
    if len(images) == 2:  # image.png and mask.png, a folder for each frame
        masks = [p for p in images if re.fullmatch(_ANNOTATES, p.stem, re.IGNORECASE)]
        if len(masks) == 1:
            frames = [p for p in images if p != masks[0]]
            return {frames[0].stem.lower(): masks[0]}, frames
    for path in images:
        base = _base(path)
        if base is None:
            frames.append(path)
        else:
            annotations[base] = path
    return annotations, frames


def _candidates(
    frames: list[Path],
    annotations: Mapping[Path, Mapping[str, Path]],
    rows: Mapping[Path, Mapping[str, Row]],
) -> tuple[Candidate, ...]:
    repeated = _repeated(frames)
    candidates = []
    for path in frames:
        stem, folder = _text(path.stem), _text(path.parent.name)
        name = f"{folder}_{stem}" if path.stem.lower() in repeated else stem
        subject = subject_of(stem)
        if subject == stem:
            subject = folder if _PATIENT_FOLDER.fullmatch(folder) else name
        told = rows.get(path.parent, {})
        row = told.get(path.name.lower()) or told.get(path.stem.lower()) or _NO_ROW
        candidates.append(
            Candidate(
                path=path,
                name=name,
                subject=row.subject or subject,
                annotation=annotations[path.parent].get(path.stem.lower()),
                row=replace(row, labels={**_country_of(stem), **row.labels}),
            )
        )
    return tuple(candidates)


def _orphans(frames: Iterable[Path], annotations: Mapping[str, Path]) -> tuple[str, ...]:
    names = {path.stem.lower() for path in frames}
    return tuple(
        f"{path} annotates a frame that is not there. It was left out."
        for base, path in sorted(annotations.items())
        if base not in names
    )


def _cohort(source: Path) -> str:
    """The folder's name, or its parent's where the name says nothing."""
    generic = source.name.lower() in _IMAGE_FOLDERS
    return _text(source.parent.name if generic else source.name) or "frames"


def _text(name: str) -> str:
    """A part of a path, also where the system's file names are in another encoding."""
    return name.encode("utf-8", "replace").decode()


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
