"""The formats that frames are imported from, and which of them a source is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.annotations.annotation_files import (
    ANNOTATION_KINDS,
    AnnotationKind,
    Annotations,
    find_annotations,
    with_annotations,
)
from fetalstudio.formats.annotations.unread_files import (
    ARCHIVES,
    CLOSED,
    files_below,
    unread_below,
    unread_messages,
)
from fetalstudio.formats.datasets import (
    acouslic,
    fetal_planes,
    hc18,
    huggingface,
    jnu_ifm,
    nnunet,
    parquet,
    psfhs,
)
from fetalstudio.formats.dicom import source as dicom
from fetalstudio.formats.folders import mask_folders
from fetalstudio.formats.folders.annotation_folders import annotations_beside
from fetalstudio.formats.folders.annotation_names import IMAGE_FOLDERS
from fetalstudio.formats.folders.unused_tables import tables_above, tables_apart
from fetalstudio.formats.nested_folders import nested_folders
from fetalstudio.formats.pictures.picture_files import is_picture, stem_of
from fetalstudio.formats.privacy.subjects import nearly_equal, written_alike
from fetalstudio.formats.reading.frame_records import FrameSource
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.formats.tables.frame_tables import NOT_USED
from fetalstudio.formats.writing.carries import Carries
from fetalstudio.formats.writing.export_folders import PROVENANCE, with_provenance

_KINDS = "PNG, JPEG, TIFF, BMP, PGM, MetaImage, NRRD, NIfTI or DICOM"
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
    joins: bool = False
    """Whether its files are read beside those of another format in the same folder."""


_BESIDE = Carries(
    calibration="beside", subject="beside", part="beside", labels="beside", provenance="beside"
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
    return find_annotations((source, *annotations_beside(source)), kinds)


_VOLUMES = replace(_BESIDE, ellipse=("mask",), calibration="yes")
_HUGGING_FACE = replace(
    _BESIDE, ellipse=("exact", "mask"), calibration="yes", subject="yes", part="yes"
)

FORMATS: Mapping[str, SourceFormat] = {
    "hc18": SourceFormat(
        "HC18 challenge",
        hc18.recognise,
        hc18.read,
        replace(_BESIDE, ellipse=("ring", "mask"), calibration="yes"),
    ),
    "nnunet": SourceFormat(
        "nnU-Net",
        nnunet.recognise,
        nnunet.read,
        replace(_BESIDE, ellipse=("mask",), calibration="yes", part="yes"),
    ),
    "psfhs": SourceFormat("PSFHS", psfhs.recognise, psfhs.read, _VOLUMES),
    "jnu-ifm": SourceFormat(
        "JNU-IFM", jnu_ifm.recognise, jnu_ifm.read, Carries(ellipse=("mask",), subject="yes")
    ),
    "fetal-planes": SourceFormat(
        "FETAL_PLANES_DB",
        fetal_planes.recognise,
        fetal_planes.read,
        Carries(subject="beside", part="beside", labels="beside"),
    ),
    "acouslic": SourceFormat(
        "ACOUSLIC-AI",
        acouslic.recognise,
        acouslic.read,
        Carries(calibration="yes", subject="beside"),
    ),
    "huggingface": SourceFormat(
        "Hugging Face image folder", huggingface.recognise, huggingface.read, _HUGGING_FACE
    ),
    "parquet": SourceFormat(
        "Hugging Face Parquet",
        parquet.recognise,
        parquet.read,
        _HUGGING_FACE,
    ),
    "dicom": SourceFormat(
        "DICOM",
        dicom.recognise,
        dicom.read,
        Carries(
            ellipse=("mask",),
            calibration="yes",
            subject="yes",
            part="beside",
            labels="yes",
            provenance="yes",
        ),
        joins=True,
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


def read_source(
    source: Path,
    format: str = AUTO,
    head_label: str | None = None,
    files: Sequence[Path] = (),
    progress: Progress = NO_PROGRESS,
) -> FrameSource:
    """Find the frames in a folder, or in a single file with what lies beside it.

    ``format`` is :data:`AUTO` or a name in :data:`FORMATS`. Annotation files of all kinds are read
    whatever the format, but where the format is one of them, only its own. ``head_label`` says how
    the head is called in them. A file with several frames is one record: see
    :meth:`FrameRecord.frames`. With ``files``, DICOM files and archives, these alone are read, of
    the folder. No picture is decoded.

    Raises :class:`InputError` if there is no picture, if the format is not known, and if what makes
    up the format is missing or damaged; and :class:`Stopped` if asked to.
    """
    if format != AUTO and format not in FORMATS:
        known = ", ".join((AUTO, *FORMATS))
        raise InputError(f"There is no format {format!r} to import from. Choose one of {known}.")
    source = Path(source).absolute()
    try:
        if files:
            return dicom.read(source, files, progress)
        if source.is_file():
            return _single(source, format, head_label)
        if not source.is_dir():
            raise InputError(f"{source} does not exist. Check the path.")
        found = _folder(source, format, head_label, progress)
        pictures = frozenset(record.path for record in found.records)
        unread = unread_below(source, found.files, pictures)
        if found.records:  # those in the source itself are among the problems of the format
            unread = tuple(f for f in unread if f.kind != CLOSED or f.path.parent != source)
    except OSError as error:
        raise _unreadable(source, error) from error
    messages = unread_messages(source, unread)
    if not found.records:
        # Of thousands of CT slices, one stands for all.
        unused = [said for said in found.problems if any(str(p) in said for p in found.files)][:1]
        raise InputError(
            f"{source} holds no images ({_KINDS}), nor does a folder in it. "
            + " ".join((*unused, *messages) or ("Choose the folder with the frames.",))
        )
    of_subject = {record.subject: record for record in reversed(found.records)}
    stated = [k for k, r in of_subject.items() if k not in (r.name, stem_of(r.path))]
    alike = tuple(
        written_alike(some([str(of_subject[key].path) for key in keys]))
        for keys in nearly_equal(stated)
    )
    tables = tables_above(source, found.records, found.files)
    tables += tables_apart(source, found.records, files_below(source), found.files)
    return replace(found, problems=found.problems + alike + messages + tables, unread=unread)


def _folder(
    source: Path, format: str, head_label: str | None = None, progress: Progress = NO_PROGRESS
) -> FrameSource:
    """The frames of a folder, with what annotation files and an export of ours say about them."""
    kinds = {format: ANNOTATION_KINDS[format]} if format in ANNOTATION_KINDS else ANNOTATION_KINDS
    annotations = _annotations(source, kinds)
    found = _in_format(source, format, annotations, progress)
    above = source.parent if source.name.lower() in IMAGE_FOLDERS else source
    records = found.records
    for folder in dict.fromkeys((above, source)):
        records = with_provenance(records, folder)
    return with_annotations(replace(found, records=records), annotations, head_label)


def _in_format(
    source: Path, format: str, annotations: Annotations, progress: Progress
) -> FrameSource:
    fits = [n for n, f in FORMATS.items() if n not in ANNOTATION_KINDS and f.recognise(source)]
    layout = next(n for n in fits if not FORMATS[n].joins) if format == AUTO else format
    more = [_read_as(n, source, progress) for n in fits if format == AUTO and FORMATS[n].joins]
    others = tuple(record for found in more for record in found.records)
    if layout == "folder" or layout in ANNOTATION_KINDS:
        deeper = (*annotations.folders(source), *nested_folders(source, _is_apart))
        found = mask_folders.read(source, deeper=deeper, others=others)
    else:
        found = _read_as(layout, source, progress)
        found = replace(found, records=found.records + others)
    for beside in more:
        found = replace(
            found, problems=found.problems + beside.problems, files=found.files | beside.files
        )
    return found


def _is_apart(folder: Path) -> bool:
    """Whether a folder in a source is to be imported by itself: it has a layout of its own, or was
    written by FetalStudio, which states more than the pictures show."""
    ours = (folder / PROVENANCE, folder / "project.db")
    layouts = (n for n, f in FORMATS.items() if n not in ANNOTATION_KINDS and not f.joins)
    return any(p.exists() for p in ours) or any(
        FORMATS[name].recognise(folder) for name in layouts if name != "folder"
    )


def _read_as(format: str, source: Path, progress: Progress) -> FrameSource:
    """Only of DICOM, every file has to be opened to find the frames, which takes its time."""
    return dicom.read(source, (), progress) if format == "dicom" else FORMATS[format].read(source)


def _single(path: Path, format: str, head_label: str | None) -> FrameSource:
    if format == "dicom" or (format == AUTO and dicom.recognise_file(path)):
        return dicom.read(path)
    if not is_picture(path) and path.suffix.lower() in ARCHIVES | {".gz"}:
        raise InputError(f"{path} holds no DICOM images. Unpack it and import the folder.")
    if not is_picture(path):
        raise InputError(f"{path} is not a {_KINDS} image. Choose an image.")
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
    # Whoever imports a picture by itself says that it is a frame; its content is still checked.
    only += tuple(replace(record, doubts=()) for record in found.unsure if record.path == path)
    if not only:
        raise InputError(f"{path} annotates a frame and is not one itself. Import the frame.")
    return replace(found, records=only, problems=notes, unsure=())


def _unreadable(source: Path, error: OSError) -> InputError:
    return InputError(
        f"{error.filename or source} cannot be read: {error.strerror}. Check the path."
    )
