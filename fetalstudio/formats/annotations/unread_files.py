"""Files that hold pictures or annotations, but in a format that is not read."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from fetalstudio.formats.annotations import yolo
from fetalstudio.formats.files import start_of
from fetalstudio.formats.folders.annotation_names import is_mask_folder
from fetalstudio.formats.folders.annotation_words import no_head_in
from fetalstudio.formats.folders.unused_tables import is_list_of_frames, names_in
from fetalstudio.formats.pictures.picture_files import KINDS, is_picture, pictures_in
from fetalstudio.formats.reading.frame_records import UnreadFile
from fetalstudio.formats.tables.frame_tables import is_frame_table
from fetalstudio.formats.tables.table_files import TEXT_SUFFIXES
from fetalstudio.formats.writing.croissant import CROISSANT

_MOST_ENTRIES = 100_000
_SNIFFED_BYTES = 1 << 18
_SNIFFED = frozenset({".json", ".xml", ".txt", ".dat", ".yaml", ".yml"})
_SNIFFED_FILES = 200
"""Of one ending; no more are opened where none was an annotation."""

_PICTURES = frozenset(
    {".webp", ".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".jls"}
    | {".jxl", ".jxr", ".tga", ".pcx", ".exr", ".dib", ".ico", ".pbm", ".pam", ".svg", ".eps"}
    | {".mpo", ".sgi", ".ras", ".pfm"}
    | {".dng", ".cr2", ".nef", ".arw", ".psd", ".xcf", ".kra", ".ai", ".pjpeg"}
    | {".dcm", ".dicom", ".dic", ".ima", ".pdf", ".pptx", ".ppt", ".docx", ".doc"}
    | {".mp4", ".m4v", ".avi", ".mov", ".mkv", ".wmv", ".webm", ".mpg", ".mpeg", ".flv", ".3gp"}
    | {".mts", ".m2ts", ".vob", ".ogv"}
    | {".svs", ".ndpi", ".czi", ".lif", ".nd2", ".oib", ".oif", ".vsi", ".scn", ".mrc"}
    | {".npy", ".npz", ".mat", ".h5", ".hdf5", ".nc", ".pkl", ".pickle", ".tfrecord", ".record"}
    | {".img", ".hdr", ".vol", ".mnc", ".par", ".rec"}
)
ARCHIVES = frozenset(
    {".zip", ".7z", ".rar", ".tar", ".tar.gz", ".tgz", ".bz2", ".xz", ".zst", ".iso"}
)
"""File name endings (lower case) of archives."""
_SPREADSHEETS = frozenset(
    {".xls", ".xlsb", ".ods", ".numbers", ".sav", ".dta", ".sas7bdat", ".rds", ".rdata", ".feather"}
    | {".mdb", ".accdb", ".db", ".sqlite", ".sqlite3", ".jsonl", ".parquet", ".arrow"}
)
_ANNOTATIONS = frozenset(
    {".roi", ".geojson", ".ndjson", ".fcsv", ".vtk", ".vtp", ".qpdata", ".itksnap", ".pts", ".pf"}
    | {".mps", ".mitk", ".mrb", ".mrml"}
)

_NUMBERS = re.compile(rb"(?:[ \t]{0,9}-?\d{1,9}(?:\.\d{0,20})?[ \t,;]{1,9}){3}-?\d")
"""The beginning of a text file of coordinates."""
_PAIR = rb"-?\d{1,9}(?:\.\d{0,20})?"
_POINTS = re.compile(rb"(?:\s{0,9}" + _PAIR + rb"[ \t,;]{1,9}" + _PAIR + rb"[ \t]{0,9}\r?\n){3}")
"""The beginning of a text file of points, one in a line."""
_POINTS_IN_JSON = re.compile(
    rb"(?:\[\s{0,99}" + _PAIR + rb"\s{0,9},\s{0,99}" + _PAIR + rb"\s{0,99}\]\s{0,9},\s{0,99}){3}"
)
_XML = (
    *((b"<annotations", "CVAT xml"), (b"<annotation", "VOC xml")),
    *((mark, "annotation xml") for mark in (b"<ASAP_Annotations", b"<Annotations", b"<Regions")),
    *((mark, "annotation xml") for mark in (b"ImageAnnotation", b"<key>ROIs", b"PlanarFigure")),
)
"""What XML of annotations says, and its format."""
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_OF_PROGRAMS = frozenset({"thumbs.db", "ehthumbs.db", "project.db"})
"""Databases of Windows, and of a project in the source: no tables of a person's."""

_OF_LAYOUTS = frozenset({CROISSANT, "dataset.json", "splits_final.json"})
"""Of exports and of nnU-Net: they list pictures, too."""

_ABOUT_PICTURES = re.compile(
    rb"[\w)]\.(?:png|jpe?g|bmp|tiff?|dcm|mha|nrrd)\b"
    rb"|(?i:pixel|mm)[_ ]?(?i:size|spacing|per)",
)
"""What a JSON or YAML file says that names pictures, or their pixel size."""

_AS_PICTURES = f"Export such files as {KINDS} to import them."
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How PNG, JPEG and TIFF files begin."""
_WITH_ENDING = "Add the ending to the names of such files (NAME.png) to import them."
CLOSED = "folder without permission"
_WITH_PERMISSION = (
    "Give yourself permission to read such files and folders to import what they hold."
)
_WITH_TARGETS = (
    "Copy the files to which such links lead, or fetch them with the program that keeps them, as "
    "by datalad get."
)
_WHOLE = "Copy or export such files again to import what they should say."
_AS_FOLDERS = "Unpack such archives to import what is in them."
_AS_CSV = "Save such spreadsheets as XLSX or CSV to import what they say."
_AS_MASKS = (
    "Export the outlines of the heads as masks (NAME_mask.png), or as a table with the columns "
    "name, cx, cy, a, b and angle_deg, to import them."
)
_ABOUT = " about pictures"
_AS_TABLE = (
    "Write what such files say about the frames into a table (CSV or XLSX) with the columns "
    "filename, pixel size(mm) and subject to import it."
)
_LIST = "text with the names of frames"
_WITH_HEADER = (
    "To import what such files say, give them a first line that names the columns, such as "
    "filename and pixel size(mm), and separate the cells by tabs, commas or semicolons."
)
_IN_UTF16 = "text in UTF-16"
_AS_UTF8 = "Save such files in UTF-8 to import what they say."
_AS_AUTO = "Import without a stated format to import them too."
_READ_BY_DEFAULT = frozenset(
    {"labelme json", "COCO json", "VIA json", "Label Studio json", "YOLO txt", "VOC xml"}
    | {"CVAT xml"}
)


def unread_below(
    source: Path, read: frozenset[Path] = frozenset(), pictures: frozenset[Path] = frozenset()
) -> tuple[UnreadFile, ...]:
    """The files below a folder that are not read, at any depth, and pictures that lie too deep to
    be found. ``read`` are files that are, and ``pictures`` are those of the frames."""
    names = names_in(pictures)
    found: list[UnreadFile] = []
    sniffed: dict[str, int] = defaultdict(int)
    closed: list[Path] = []
    for path, depth in files_below(source, closed):
        suffix = _suffix(path.name.lower())
        if path in read or path in pictures or path.name.lower() in _OF_PROGRAMS:
            continue
        if path.is_symlink() and not path.exists():
            found.append(UnreadFile(path, "broken link", _WITH_TARGETS))
        elif is_picture(path):
            if depth > 1:
                found.append(UnreadFile(path, suffix, _cure_of_deep(path, source), too_deep=True))
        elif suffix in _PICTURES or (not suffix and _is_dicom(path)):
            found.append(UnreadFile(path, suffix or "DICOM", _AS_PICTURES))
        elif not suffix and start_of(path, 4).startswith(_SIGNATURES):
            found.append(UnreadFile(path, "picture without an ending", _WITH_ENDING))
        elif suffix in ARCHIVES:
            found.append(UnreadFile(path, suffix, _AS_FOLDERS))
        elif suffix in _ANNOTATIONS:
            found.append(UnreadFile(path, suffix, _AS_MASKS))
        elif suffix in _SPREADSHEETS:
            found.append(UnreadFile(path, suffix, _AS_CSV))
        elif suffix in _SNIFFED and sniffed[suffix] < _SNIFFED_FILES:
            sniffed[suffix] += 1
            kind = _annotation_format(path, suffix)
            if _is_empty(path, suffix):
                found.append(UnreadFile(path, f"empty {suffix}", _WHOLE))
            elif kind is not None:
                sniffed[suffix] = 0
                found.append(UnreadFile(path, kind, _cure_of(kind)))
            elif suffix in TEXT_SUFFIXES and _lists_frames(path, names):
                sniffed[suffix] = 0
                found.append(UnreadFile(path, _LIST, _WITH_HEADER))
            elif path.is_file() and not _may_be_read(path):
                found.append(UnreadFile(path, f"{suffix} without permission", _WITH_PERMISSION))
    found += (UnreadFile(folder, CLOSED, _WITH_PERMISSION) for folder in closed)
    return tuple(found)


def unread_messages(source: Path, files: Sequence[UnreadFile]) -> tuple[str, ...]:
    """A message for each cure, with the kinds of files and where they lie."""
    by_cure: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    deep = [file for file in files if file.too_deep]
    for file in files:
        if not file.too_deep:
            by_cure[file.cure][file.kind].append(file.path)
    messages = []
    for cure, kinds in sorted(by_cure.items()):
        found = (f"{len(p)} {kind} ({_where(source, p)})" for kind, p in sorted(kinds.items()))
        messages.append(f"Not read: {', '.join(found)}. {cure} This was found in {source}.")
    if deep:
        frames = (file for file in deep if _mask_folder_of(file.path, source) is None)
        cure = next(frames, deep[0]).cure
        messages.append(
            f"Not read: {len(deep)} images more than one folder down "
            f"({_where(source, [file.path for file in deep])}). {cure}"
        )
    return tuple(messages)


def files_below(source: Path, closed: list[Path] | None = None) -> Iterator[tuple[Path, int]]:
    """The visible files below, and how many folders down they lie; links are not followed.
    Folders that may not be listed are added to ``closed``."""
    seen = 0
    unlisted: list[Path] = [] if closed is None else closed
    walk = os.walk(source, onerror=lambda error: unlisted.append(Path(error.filename)))
    for folder, folders, names in walk:
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        depth = len(Path(folder).relative_to(source).parts)
        for name in sorted(names):
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            if not name.startswith("."):
                yield Path(folder, name), depth


def _cure_of_deep(path: Path, source: Path) -> str:
    """What helps with a picture that lies too deep. One of several folders in a folder of masks may
    be of heads; the pictures in the others are no frames."""
    masks = _mask_folder_of(path, source)
    if masks is None or masks.parent != source:
        # Annotations may lie in a folder beside that of the picture.
        folder = path.parent if masks is None else masks
        return f"Import {folder.parent} by itself."
    if no_head_in(masks.name):
        place = source / "masks"
    else:
        place = masks if pictures_in(masks) else masks / "head"
    return f"If they are masks of heads, move them into {place}."


def _mask_folder_of(path: Path, source: Path) -> Path | None:
    """The uppermost folder of annotations below the source that the picture lies in."""
    above = [folder for folder in path.parents if source in folder.parents]
    return next(filter(is_mask_folder, reversed(above)), None)


def _suffix(name: str) -> str:
    return ".tar.gz" if name.endswith(".tar.gz") else Path(name).suffix


def _where(source: Path, paths: list[Path]) -> str:
    first = str(paths[0].relative_to(source))
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


def _may_be_read(path: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK, effective_ids=effective)


def _is_dicom(path: Path) -> bool:
    return start_of(path, 132)[128:] == b"DICM"


def _cure_of(kind: str) -> str:
    """What helps with a format of :func:`_annotation_format`."""
    if kind in _READ_BY_DEFAULT:
        return _AS_AUTO
    if kind == _IN_UTF16:
        return _AS_UTF8
    return _AS_TABLE if kind.endswith(_ABOUT) else _AS_MASKS


def _lists_frames(path: Path, names: frozenset[str]) -> bool:
    """Whether a text file says something about frames, but is no table with a header."""
    start = start_of(path, _SNIFFED_BYTES)
    return is_list_of_frames(start, names) and not is_frame_table(path)


def _is_empty(path: Path, suffix: str) -> bool:
    """Whether a file should hold annotations, but has no content. Its layout names one of its own;
    an empty text file says that nothing is on a picture."""
    may_be = suffix in (".json", ".xml") and path.name not in _OF_LAYOUTS
    return may_be and path.is_file() and not path.stat().st_size


def _is_of_numbers(text: bytes) -> bool:
    return bool(_NUMBERS.match(text) or _POINTS.match(text))


def _annotation_format(path: Path, suffix: str) -> str | None:
    """The annotation format of a JSON, XML or text file; None for any other content."""
    data = start_of(path, _SNIFFED_BYTES).removeprefix(BOM_UTF8)
    if data.startswith(_UTF16) and suffix in (".json", ".xml"):
        return _IN_UTF16
    if suffix in (".txt", ".dat"):
        if data.startswith(_UTF16):
            text = data[: len(data) // 2 * 2].decode("utf-16", "replace").encode()
            return _IN_UTF16 if _is_of_numbers(text) else None
        if yolo.matches(data):
            return "YOLO txt"
        return "text of numbers" if _is_of_numbers(data) else None
    if suffix == ".xml":
        return next((name for mark, name in _XML if mark in data), None)
    if b'"fetalstudio-' in data[:1000] or b"mlcommons.org/croissant" in data[:1000]:
        return None
    if path.name in _OF_LAYOUTS:
        return None
    if suffix in (".yaml", ".yml"):
        return f"YAML{_ABOUT}" if _ABOUT_PICTURES.search(data) else None
    for marks, name in (
        ((b'"shapes"', b'"points"'), "labelme json"),
        ((b'"annotations"', b'"images"'), "COCO json"),
        ((b'"images"', b'"categories"'), "COCO json"),
        ((b'"_via_img_metadata"',), "VIA json"),
        ((b'"regions"', b'"shape_attributes"'), "VIA json"),
        ((b'"annotations"', b'"result"'), "Label Studio json"),
        ((b'"objects"', b'"classTitle"'), "Supervisely json"),
        ((b'"annotations"', b'"coordinates"'), "CreateML json"),
        ((b'"annotations"', b'"slots"'), "Darwin json"),
        ((b'"annotations"', b'"radius"'), "annotation json"),
        ((b'"metadata"', b'"fid_list"'), "VIA 3 json"),
        ((b'"markups"', b'"controlPoints"'), "3D Slicer json"),
        ((b'"polygon"',), "annotation json"),
        ((b'"segmentation"',), "annotation json"),
        ((b'"FeatureCollection"',), "GeoJSON"),
        ((b'"openlabel"',), "OpenLABEL json"),
        ((b'"ROIs"',), "annotation json"),
        ((b'"vertices"',), "annotation json"),
    ):
        if all(mark in data for mark in marks):
            return name
    if _POINTS_IN_JSON.search(data):
        return "annotation json"
    return f"JSON{_ABOUT}" if _ABOUT_PICTURES.search(data) else None
