"""DICOM as a source of frames: folders at any depth, DICOMDIR, zip archives, single files.

A frame's name is a neutral one, and its subject comes from the patient's ID. Nothing is unpacked:
what is in an archive is read in memory, so no name in it can lead out of a folder.
"""

from __future__ import annotations

import datetime
import io
import os
import struct
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.annotations.shapes import is_head, is_neutral
from fetalstudio.formats.files import check_regular
from fetalstudio.formats.folders.stacks import without_default_sizes
from fetalstudio.formats.pictures.picture_files import MAX_BYTES, SUFFIXES, Samples
from fetalstudio.formats.privacy.subjects import (
    is_pseudonym,
    nearly_equal,
    subject_key,
    written_alike,
)
from fetalstudio.formats.reading.frame_records import Coding, FrameRecord, FrameSource, Video
from fetalstudio.formats.tables.frame_rows import some

if TYPE_CHECKING:
    from fetalstudio.formats.dicom.dataset import Opener
    from fetalstudio.formats.dicom.file import Header
    from fetalstudio.formats.dicom.segmentations import Segmentation

DICOM_SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})
"""Endings of DICOM files, which often have none or one that is part of a number."""

_NO_DICOM = SUFFIXES | frozenset(
    {
        ".csv",
        ".tsv",
        ".xlsx",
        ".xls",
        ".txt",
        ".json",
        ".xml",
        ".pdf",
        ".nii",
        ".gz",
        ".mha",
        ".mhd",
    }
    | {".nrrd", ".nhdr", ".npy", ".npz", ".mp4", ".avi", ".mov", ".py", ".md", ".html", ".db"}
)
_OTHER_MODALITIES = frozenset(
    {"CT", "MR", "PT", "NM", "CR", "DX", "MG", "XA", "RF", "IO", "PX", "SEG", "SR", "PR", "KO"}
    | {"RTDOSE", "RTSTRUCT", "RTPLAN", "RTIMAGE", "OP", "OCT", "OPT", "ECG", "DOC", "REG", "RWV"}
)
"""What is certainly no ultrasound; a second capture of one often has the code OT or none."""
_MOST_ENTRIES = 100_000
_DIRECTORY_BYTES = 32 << 20
"""Of an archive's directory; zipfile makes an object for each entry of it."""
_SNIFFED = 132


@dataclass(slots=True)
class _Found:
    """The instances of a source, and what was not used."""

    instances: list[tuple[Path, Opener, Header]] = field(default_factory=list)
    segmentations: list[tuple[Path, Opener, Segmentation]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    files: set[Path] = field(default_factory=set)
    """Of the folder: those that are of this format, used or not."""


def recognise(source: Path) -> bool:
    """Whether there is a DICOM file in the folder, at any depth, or in an archive there."""
    return next(_candidates(source), None) is not None


def recognise_file(path: Path) -> bool:
    """Whether a file is DICOM, or an archive that holds some."""
    if path.suffix.lower() in DICOM_SUFFIXES or starts_as_dicom(_start(path)):
        return True
    return path.suffix.lower() == ".zip" and _holds_dicom(path)


def read(source: Path, files: Sequence[Path] = (), progress: Progress = NO_PROGRESS) -> FrameSource:
    """Find the frames in a folder, a DICOMDIR, an archive or a file; no pixels are decoded.

    With ``files``, these alone are read, and the folder ``source`` gives the cohort its name.

    A file with several frames is one record with a video. Raises :class:`InputError` for a single
    file that cannot be used, ``OSError`` for a folder that cannot be listed, and :class:`Stopped`
    if asked to.
    """
    found = _Found()
    below = source.is_dir() and not files
    if below:
        candidates = list(_candidates(source))
        for number, (path, kind) in enumerate(candidates):
            progress.advance(number, len(candidates))
            if kind == "zip":
                _take_archive(found, path)
            else:
                _take(found, path, partial(_open, path), directory=False)
    for path in () if below else files or (source,):
        if path.suffix.lower() == ".zip":
            _take_archive(found, path)
        else:
            _take(found, path, partial(_open, path), directory=True)
    if not found.instances and not below:
        raise InputError(
            found.problems[0] if found.problems else f"{source} holds no DICOM image of ultrasound."
        )
    folder = source if source.is_dir() else source.parent
    records, notes = without_default_sizes(_records(found.instances))
    records = _with_segments(records, found)
    return FrameSource(
        cohort=folder.name or "frames",
        records=records,
        problems=(*found.problems, *notes, *_alike(found.instances)),
        files=frozenset(found.files),
    )


def note_in(path: Path) -> str | None:
    """The note that this DICOM file of ours has, as that of a PNG file; None for any other file."""
    from fetalstudio.formats.dicom.file import read_header

    try:
        return read_header(path, partial(_open, path)).note
    except InputError:
        return None


# -- finding --------------------------------------------------------------------------------------


def _candidates(source: Path) -> Iterator[tuple[Path, str]]:
    """The DICOM files below a folder, and the archives that hold some; links are not followed."""
    seen = 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            suffix = path.suffix.lower()
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            if name.startswith(".") or suffix in _NO_DICOM:
                continue
            if suffix == ".zip":
                if _holds_dicom(path):
                    yield path, "zip"
            elif suffix in DICOM_SUFFIXES or starts_as_dicom(_start(path)):
                yield path, "file"


def starts_as_dicom(start: bytes) -> bool:
    """Whether the first 132 bytes of a file are those of DICOM."""
    return start[128:132] == b"DICM"


def _start(path: Path) -> bytes:
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as stream:
            return stream.read(_SNIFFED)
    except OSError:
        return b""


def _open(path: Path) -> BinaryIO:
    check_regular(path)
    return path.open("rb")


def _take(found: _Found, path: Path, open_file: Opener, *, directory: bool) -> None:
    """Add a file's instance, or what is wrong with it."""
    from fetalstudio.formats.dicom.file import read_header  # pydicom takes 0.2 s

    found.files.add(path)
    try:
        header = read_header(path, open_file)
    except InputError as error:
        found.problems.append(str(error))
        return
    if header.directory:
        if directory:
            _take_listed(found, path, header)
    elif header.segmentation is not None:
        found.segmentations.append((path, open_file, header.segmentation))
    elif header.modality in _OTHER_MODALITIES:
        found.problems.append(f"{path} is a DICOM image, but no ultrasound. It was left out.")
    else:
        found.instances.append((path, open_file, header))


def _take_listed(found: _Found, path: Path, header: Header) -> None:
    """The files that a DICOMDIR lists, wherever the medium was copied to."""
    for member in header.members:
        place = path.parent.joinpath(*PurePosixPath(member).parts)
        if not place.is_file():
            found.problems.append(f"{path} lists a file that is not there: {place}. Copy it again.")
            continue
        _take(found, place, partial(_open, place), directory=False)


# -- archives -------------------------------------------------------------------------------------


class _Archive:
    """A zip archive, read in memory. The member that was read last is kept: a video's frames
    follow one another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name, self._data = "", b""
        self._lock = Lock()
        self.unreadable: list[Path] = []
        """The files that :meth:`members` could not unpack, by their places for messages."""

    def members(self) -> Iterator[tuple[Path, zipfile.ZipInfo]]:
        """The files that start as DICOM, with what stands for their place in messages."""
        with self._opened() as archive:
            entries = archive.infolist()
            self.unreadable += [_safe(info.filename) for info in entries[_MOST_ENTRIES:]]
            for info in entries[:_MOST_ENTRIES]:
                if info.is_dir() or PurePosixPath(info.filename).suffix.lower() in _NO_DICOM:
                    continue
                try:
                    with archive.open(info) as stream:
                        start = stream.read(_SNIFFED)
                except Exception:  # encrypted, damaged: zipfile and zlib raise several types
                    self.unreadable.append(_safe(info.filename))
                    continue
                if starts_as_dicom(start):
                    yield self.path / _safe(info.filename), info

    def open(self, info: zipfile.ZipInfo) -> BinaryIO:
        """A member's content, unpacked up to the size that a file may have."""
        with self._lock:
            if self._name != info.filename:
                self._name, self._data = "", b""
                with self._opened() as archive, archive.open(info) as stream:
                    data = stream.read(MAX_BYTES + 1)
                if len(data) > MAX_BYTES:
                    raise InputError(
                        f"{self.path} holds a file that takes more than {MAX_BYTES >> 20} MiB when "
                        "it is unpacked. Unpack the archive and import the folder."
                    )
                self._name, self._data = info.filename, data
            return io.BytesIO(self._data)

    def _opened(self) -> zipfile.ZipFile:
        check_regular(self.path)
        with self.path.open("rb") as stream:
            size = _directory_size(stream)
        if size > _DIRECTORY_BYTES:
            raise InputError(
                f"{self.path} lists too many files. Unpack the archive and import the folder."
            )
        return zipfile.ZipFile(self.path)


def _directory_size(stream: BinaryIO) -> int:
    """What an archive says of the size of its directory, before zipfile reads it whole."""
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(end - (1 << 16) - 200, 0))
    tail = stream.read()
    at, at64 = tail.rfind(b"PK\x05\x06"), tail.rfind(b"PK\x06\x06")
    sizes = [0]
    if 0 <= at <= len(tail) - 16:
        sizes += struct.unpack_from("<I", tail, at + 12)
    if 0 <= at64 <= len(tail) - 48:
        sizes += struct.unpack_from("<Q", tail, at64 + 40)
    return int(max(size for size in sizes if size != 0xFFFFFFFF))


def _holds_dicom(path: Path) -> bool:
    try:
        archive = _Archive(path)
        # One that cannot be unpacked may hold DICOM files: it is opened, and then named.
        return next(archive.members(), None) is not None or bool(archive.unreadable)
    except (InputError, OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def _take_archive(found: _Found, path: Path) -> None:
    archive = _Archive(path)
    found.files.add(path)
    try:
        members = list(archive.members())
    except InputError as error:
        found.problems.append(str(error))
        return
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        found.problems.append(f"{path} is damaged and cannot be unpacked. Copy it again.")
        return
    if lost := archive.unreadable:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        found.problems.append(
            f"{path} holds files that could not be unpacked ({lost[0]}{more}): they are encrypted "
            "or damaged, or there are too many. Unpack the archive and import the folder."
        )
    for place, info in members:
        _take(found, place, partial(archive.open, info), directory=False)


def _safe(name: str) -> Path:
    """A member's name as a relative path that stays below the archive; it is for messages only."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part.strip("./\\:")]
    return Path(*parts) if parts else Path("member")


# -- records --------------------------------------------------------------------------------------


def _records(instances: Sequence[tuple[Path, Opener, Header]]) -> tuple[FrameRecord, ...]:
    days = _days([header for _, _, header in instances])
    records = []
    for number, (path, open_file, header) in enumerate(instances, 1):
        # What we wrote ourselves has a neutral name, or one that a person wanted to keep.
        name = f"dicom-{number:04d}" if header.note is None else path.stem
        decode = partial(_decoded, path, open_file)
        several = header.frames > 1
        records.append(
            FrameRecord(
                path=path,
                name=name,
                subject=subject_key(header.patient) if header.patient else name,
                decode=None if several else decode,
                screen=header.screen,
                video=Video(header.frames, decode) if several else None,
                note=None if header.note is None else partial(str, header.note),
                calibration=header.calibration,
                labels=_labels(header, days.get(header.patient)),
                stated=header.stated,
                problems=() if header.counts is None else (_miscounted(path, *header.counts),),
            )
        )
    return tuple(records)


def _alike(instances: Sequence[tuple[Path, Opener, Header]]) -> tuple[str, ...]:
    """A message for patients whose IDs differ in little; the IDs themselves are said to nobody."""
    of_patient = {header.patient: str(path) for path, _, header in reversed(instances)}
    hashed = (patient for patient in of_patient if not is_pseudonym(patient))
    return tuple(written_alike(some([of_patient[p] for p in ids])) for ids in nearly_equal(hashed))


def _miscounted(path: Path, stated: int, held: int) -> str:
    """What is said of a file that states another number of frames than its pixels hold."""
    if held > stated:
        which = f"the first {stated}" if stated > 1 else "the first"
    else:
        which = f"these {held}" if held > 1 else "this one"
    return (
        f"{path} states {counted(stated, 'frame')}, but its pixels hold {held}. Only {which} can "
        "be imported. Export the file again if others are missing."
    )


def _with_segments(records: tuple[FrameRecord, ...], found: _Found) -> tuple[FrameRecord, ...]:
    """The records with the masks that the segmentations in the source have for them."""
    by_uid: dict[str, list[tuple[Path, Opener, Segmentation]]] = defaultdict(list)
    uids = {header.uid for _, _, header in found.instances}
    for path, open_file, segmentation in found.segmentations:
        about = {frame.uid for frame in segmentation.frames}
        for uid in about & uids:
            by_uid[uid].append((path, open_file, segmentation))
        if not about & uids:
            found.problems.append(
                f"{path} is a segmentation of a picture that is not there. Import both together."
            )
    joined = []
    for record, (_, _, header) in zip(records, found.instances, strict=True):
        known = by_uid.get(header.uid, ())
        of_heads = [item for item in known if any(map(is_head, item[2].labels.values()))]
        chosen = known if len(known) == 1 else of_heads
        if len(chosen) == 1:
            path, open_file, segmentation = chosen[0]
            record = _segmented(record, path, open_file, segmentation, header.uid)
        elif known:
            said = (
                f"{record.path} has several segmentations: {some([str(p) for p, _, _ in known])}. "
                "None was used. Keep the right one and import again.",
            )
            record = replace(record, problems=record.problems + said)
        joined.append(record)
    return tuple(joined)


def _segmented(
    record: FrameRecord, path: Path, open_file: Opener, segmentation: Segmentation, uid: str
) -> FrameRecord:
    labels = segmentation.labels
    heads = [number for number, label in labels.items() if is_head(label)]
    coding = None
    if len(heads) == 1:
        coding = Coding(str(heads[0]), frozenset(str(n) for n in labels if n != heads[0]))
    elif not heads and not all(map(is_neutral, labels.values())):
        coding = Coding(None, frozenset(map(str, labels)))
    mask = partial(_segments, path, open_file, segmentation, uid)
    if record.video is not None:
        video = replace(record.video, mask=lambda index: mask(index + 1))
        return replace(record, annotation=path, coding=coding, video=video)
    return replace(record, annotation=path, coding=coding, mask=partial(mask, 1))


def _segments(
    path: Path, open_file: Opener, segmentation: Segmentation, uid: str, number: int
) -> Samples | None:
    from fetalstudio.formats.dicom.segmentations import read_segments

    found = read_segments(path, open_file, segmentation, uid, number)
    return None if found is None else (found, None)


def _decoded(path: Path, open_file: Opener, index: int = 0) -> NDArray[np.uint8]:
    from fetalstudio.formats.dicom.file import read_frame

    return read_frame(path, open_file, index)


def _days(headers: Sequence[Header]) -> Mapping[str, datetime.date]:
    """The first date of each patient who was seen on several."""
    dates: dict[str, set[datetime.date]] = defaultdict(set)
    for header in headers:
        if header.date is not None:
            dates[header.patient].add(header.date)
    return {patient: min(seen) for patient, seen in dates.items() if len(seen) > 1}


def _labels(header: Header, first: datetime.date | None) -> Mapping[str, str]:
    """A gestational age or else an offset stands for the dates."""
    if header.gestational_age is not None:
        weeks, days = divmod(header.gestational_age, 7)
        return {"gestational age": f"{weeks}w{days}d"}
    if first is not None and header.date is not None:
        return {"day": str((header.date - first).days)}
    return {}
