"""The formats that frames are imported from, and which of them a source is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats import hc18, mask_folders
from fetalstudio.formats.annotation_files import (
    ANNOTATION_KINDS,
    AnnotationKind,
    Annotations,
    find_annotations,
    with_annotations,
)
from fetalstudio.formats.carries import Carries
from fetalstudio.formats.export_folders import with_provenance
from fetalstudio.formats.frame_records import FrameSource
from fetalstudio.formats.frame_tables import NOT_USED
from fetalstudio.formats.pictures import KINDS, SUFFIXES
from fetalstudio.formats.unread_files import unread_below

AUTO = "auto"
"""Take the first format that recognises the source."""


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """How frames can lie in a folder."""

    title: str
    """For people, as in "HC18 challenge"."""
    recognise: Callable[[Path], bool]
    """Whether the folder is in this format."""
    read: Callable[[Path], FrameSource]
    """Find the frames; opens no picture. Raises :class:`InputError`, and ``OSError`` for a folder
    that cannot be listed."""
    carries: Carries
    """What is read of a frame."""


_BESIDE = Carries(
    calibration="beside", subject="beside", part="beside", labels="beside", provenance="no"
)
"""What tables and ``provenance.json`` add to any format of folders."""


def _with_annotation_files(name: str, kind: AnnotationKind) -> SourceFormat:
    """A folder of frames with annotation files of one kind."""

    def recognise(source: Path) -> bool:
        return source.is_dir() and bool(_annotations(source, {name: kind}).pictures)

    def read(source: Path) -> FrameSource:
        return _folder(source, name)

    return SourceFormat(kind.title, recognise, read, replace(_BESIDE, ellipse=kind.ellipse))


def _annotations(source: Path, kinds: Mapping[str, AnnotationKind]) -> Annotations:
    return find_annotations((source, *mask_folders.mask_folders_beside(source)), kinds)


FORMATS: Mapping[str, SourceFormat] = {
    "hc18": SourceFormat(
        "HC18 challenge",
        hc18.recognise,
        hc18.read,
        replace(_BESIDE, ellipse=("ring", "mask"), calibration="yes"),
    ),
    **{name: _with_annotation_files(name, kind) for name, kind in ANNOTATION_KINDS.items()},
    "folder": SourceFormat(
        "images with masks and tables",
        mask_folders.recognise,
        mask_folders.read,
        replace(_BESIDE, ellipse=("exact", "mask", "ring")),
    ),
}
"""By name, the most particular first. A new format joins by an entry here."""


def recognise(source: Path) -> str:
    """The name of the format that a folder is in."""
    return next(name for name, format in FORMATS.items() if format.recognise(source))


def read_source(source: Path, format: str = AUTO, head_label: str | None = None) -> FrameSource:
    """Find the frames in a folder, or a single picture with what lies beside it.

    ``format`` is :data:`AUTO` or a name in :data:`FORMATS`. No picture is opened. Annotation files
    of all kinds are read whatever the format, but where the format is one of them, only its own.
    ``head_label`` says how the head is called in them.

    Raises :class:`InputError` if there is no picture, if the format is not known, and if what makes
    up the format is missing or damaged.
    """
    if format != AUTO and format not in FORMATS:
        known = ", ".join((AUTO, *FORMATS))
        raise InputError(f"There is no format {format!r} to import from. Choose one of {known}.")
    source = Path(source).absolute()
    try:
        if source.is_file():
            return _single(source, format, head_label)
        if not source.is_dir():
            raise InputError(f"{source} does not exist. Check the path.")
        found = _folder(source, format, head_label)
        unread = unread_below(source, found.files | {record.path for record in found.records})
    except OSError as error:
        raise _unreadable(source, error) from error
    if not found.records:
        raise InputError(
            f"{source} holds no images ({KINDS}), nor does a folder in it. "
            + " ".join(unread or ("Choose the folder with the frames.",))
        )
    return replace(found, problems=found.problems + unread)


def _folder(source: Path, format: str, head_label: str | None = None) -> FrameSource:
    """The frames of a folder, with what annotation files and an export of ours say about them."""
    kinds = {format: ANNOTATION_KINDS[format]} if format in ANNOTATION_KINDS else ANNOTATION_KINDS
    annotations = _annotations(source, kinds)
    layout = format
    if format == AUTO:
        others = (name for name in FORMATS if name not in ANNOTATION_KINDS)
        layout = next(name for name in others if FORMATS[name].recognise(source))
    if layout == "folder" or layout in ANNOTATION_KINDS:
        found = mask_folders.read(source, deeper=annotations.folders(source))
    else:
        found = FORMATS[layout].read(source)
    above = source.parent if source.name.lower() in mask_folders.IMAGE_FOLDERS else source
    records = found.records
    for folder in dict.fromkeys((above, source)):
        records = with_provenance(records, folder)
    return with_annotations(replace(found, records=records), annotations, head_label)


def _single(path: Path, format: str, head_label: str | None) -> FrameSource:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is not a {KINDS} image. Choose an image.")
    notes: tuple[str, ...] = ()
    try:
        found = _folder(path.parent, format, head_label)
        notes = tuple(p for p in found.problems if str(path) in p or p.endswith(NOT_USED))
    except InputError as error:
        if format not in (AUTO, "folder"):
            raise
        # What lies beside it, in a folder of downloads perhaps, need not be about it.
        found = mask_folders.read(path.parent, with_tables=False)
        notes = (f"{error} {path.name} was imported without it.",)
    only = tuple(record for record in found.records if record.path == path)
    if not only:
        raise InputError(f"{path} annotates a frame and is not one itself. Import the frame.")
    return replace(found, records=only, problems=notes)


def _unreadable(source: Path, error: OSError) -> InputError:
    return InputError(
        f"{error.filename or source} cannot be read: {error.strerror}. Check the path."
    )
