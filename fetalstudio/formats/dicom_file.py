"""One DICOM file: its listed header values, its calibration, and its frames as 8-bit grey.

Only the values in :class:`Header` are ever taken from a file; every other tag is skipped unread. No
value of a tag is part of a message.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import logging
import math
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config, dcmread
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats import dicom_codecs
from fetalstudio.formats.burned_in_text import Box
from fetalstudio.formats.frame_records import StatedSize
from fetalstudio.formats.pictures import MAX_BYTES, check_size
from fetalstudio.formats.redaction import Screen, fingerprint

_KEYWORDS = (
    *("SOPInstanceUID", "SegmentationType", "SegmentSequence", "MaximumFractionalValue"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ReferencedSeriesSequence",),
    *("Modality", "PatientID", "StudyInstanceUID", "DirectoryRecordSequence"),
    *("Manufacturer", "ManufacturerModelName"),
    *("AcquisitionDate", "ContentDate", "StudyDate", "LastMenstrualDate"),
    *("SequenceOfUltrasoundRegions", "PixelSpacing", "ImagerPixelSpacing"),
    *("NominalScannedPixelSpacing", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames"),
    *("PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"),
    *("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth"),
    *("VOILUTFunction", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *(f"{c}PaletteColorLookupTable{part}" for c in ("Red", "Green", "Blue")
      for part in ("Descriptor", "Data")),
)  # fmt: skip
MANUFACTURER = "FetalStudio"
NOTE_GROUP, NOTE_CREATOR, NOTE_ELEMENT = 0x0077, "FETALSTUDIO", 0x01
"""The private tag in which a file that we wrote says what it is."""
_NOTE = Tag(NOTE_GROUP, 0x1000 | NOTE_ELEMENT)
_TAGS = [*(Tag(keyword) for keyword in _KEYWORDS), Tag(NOTE_GROUP, 0x10), _NOTE]
"""The tags that are read."""

DIRECTORY = "1.2.840.10008.1.3.10"
"""The class of a DICOMDIR."""
MOST_FRAMES = 20_000
MAX_SAMPLES = 32 << 20
"""Of one frame. JPEG 2000 takes four bytes for each, and windows as many."""

_HEADER_BYTES, _HEADER_READS = 16 << 20, 200_000
_FRAME_BYTES, _FRAME_READS = 256 << 20, 500_000
"""What a parser may read, at most, of a header and for a frame. An undefined length, a sequence in
a sequence and a million empty fragments are all bounded by these."""
_LARGEST_VALUE = 1 << 20
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
"""The length of what ends with a mark."""
_AGREE = 0.01
"""Relative difference between two statements of a pixel's size that counts as none."""
_TISSUE, _TWO_DIMENSIONAL, _CENTIMETRE = 1, 1, 3
_LONGEST_PREGNANCY = 310
_MOST_STATED = 8

# pydicom's warnings and log messages quote values.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
config.settings.reading_validation_mode = config.IGNORE
dicom_codecs.register()


class Opener(Protocol):
    """Opens a file, or what stands for one, such as a member of an archive."""

    def __call__(self) -> BinaryIO: ...


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


@dataclass(frozen=True, slots=True)
class Header:
    """What is taken from a file besides its pixels."""

    frames: int
    """That can be read."""
    modality: str
    """A code such as ``US``; empty where the file states none."""
    patient: str
    """What stands for the patient: the patient's ID, or else the study's UID. Never stored."""
    date: datetime.date | None
    """Of the acquisition. Never stored."""
    gestational_age: int | None
    """In days, from the last menstrual period to the acquisition."""
    calibration: Calibration | None
    stated: tuple[StatedSize, ...] = ()
    """The pixel sizes that the file states, where they disagree; there is then no calibration."""
    screen: Screen | None = None
    """The layout of the scanner's screen; None for a DICOMDIR."""
    members: tuple[str, ...] = ()
    """Of a DICOMDIR: the files that it lists, as relative paths."""
    directory: bool = False
    """Whether the file is a DICOMDIR."""
    uid: str = ""
    """Of the instance, to find its segmentation. Never stored."""
    note: str | None = None
    """What a file that we wrote says that it is, as in a PNG file."""
    segmentation: Segmentation | None = None
    """What the file says about others, where it is a segmentation."""
    counts: tuple[int, int] | None = None
    """How many frames the file states, and how many its pixels hold, where these differ."""


def read_header(path: Path, open_file: Opener) -> Header:
    """Read the listed values of a file; its pixels are counted and not decoded.

    ``path`` names it in messages. Raises :class:`InputError` for a file that is no DICOM image, is
    damaged or whose frames are of a size that none may have.
    """
    with _messages(path), open_file() as stream:
        dataset, body = _parsed(stream, path)
        if dataset.file_meta.get("MediaStorageSOPClassUID") == DIRECTORY:
            return Header(0, "", "", None, None, None, members=_listed(dataset), directory=True)
        if "Rows" not in dataset or "Columns" not in dataset:
            raise InputError(
                f"{path} is a DICOM file without a picture, or truncated. It was left out. Export "
                "it again if it should show one."
            )
        _check_pixels(path, dataset)
        calibration, sizes = _calibration(dataset)
        date = _date(dataset, "AcquisitionDate", "ContentDate", "StudyDate")
        stated = _frames(dataset)
        held = _held(dataset, body) or stated
        return Header(
            frames=min(stated, held),
            modality=str(dataset.get("Modality") or "").strip(),
            patient=str(dataset.get("PatientID") or "").strip()
            or str(dataset.get("StudyInstanceUID") or "").strip(),
            date=date,
            gestational_age=_gestational_age(dataset, date),
            calibration=calibration,
            stated=sizes,
            screen=_screen(dataset),
            uid=str(dataset.get("SOPInstanceUID") or ""),
            note=_note(dataset),
            segmentation=_segmentation(dataset) if "SegmentSequence" in dataset else None,
            counts=None if held == stated else (stated, held),
        )


def read_frame(path: Path, open_file: Opener, index: int = 0) -> NDArray[np.uint8]:
    """One frame of a file as (H, W) grey: colours reduced to luminance, windows applied.

    Raises :class:`InputError` as :func:`read_header`, and for a frame that is missing, truncated or
    encoded in a way that is not read.
    """
    with _messages(path), open_file() as stream:
        dataset, body = _parsed(stream, path)
        _check_pixels(path, dataset)
        return _grey(dataset, _samples(dataset, body, index))


def read_segments(
    path: Path, open_file: Opener, segmentation: Segmentation, uid: str, number: int
) -> NDArray[np.uint8] | None:
    """The segments of a frame of an instance as (H, W) numbers, 0 for none; None where there are
    no pixels of any. ``number`` is that of the frame, from 1.

    Raises :class:`InputError` as :func:`read_frame`, and where segments overlap.
    """
    wanted = [f for f in segmentation.frames if (f.uid, f.number) == (uid, number)]
    labels: NDArray[np.uint8] | None = None
    for frame in wanted:
        with _messages(path), open_file() as stream:
            dataset, body = _parsed(stream, path)
            _check_pixels(path, dataset)
            samples = _samples(dataset, body, frame.index)
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


# -- reading --------------------------------------------------------------------------------------


class _Bounded:
    """A file that ends a parser which reads more, or more often, than any real file needs."""

    def __init__(self, stream: BinaryIO, most_bytes: int, most_reads: int) -> None:
        self._stream = stream
        self._bytes, self._reads = most_bytes, most_reads
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """As a file's, but raises ``ValueError`` beyond the bounds."""
        data = self._stream.read(min(size, self._bytes + 1) if size >= 0 else self._bytes + 1)
        self._bytes -= len(data)
        self._reads -= 1
        if self._bytes < 0 or self._reads < 0:
            raise ValueError("more is read than a DICOM file needs")
        return data


@contextlib.contextmanager
def _messages(path: Path) -> Iterator[None]:
    """Turn every error of the libraries into one message, which quotes nothing of the file."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or "it is damaged"
        raise InputError(f"{path} cannot be read: {reason}. Check the path.") from None
    except Exception:  # pydicom, zipfile and the decoders raise errors of any type
        # ``from None``: a chain would bring what they quote into a log.
        raise InputError(
            f"{path} is damaged, or no DICOM image that can be decoded. Export it again from the "
            "scanner or the archive, or leave it out."
        ) from None


def _parsed(stream: BinaryIO, path: Path) -> tuple[Dataset, BinaryIO]:
    """The listed tags before the pixels, and the file at the tag of the pixels."""
    head: Any = _Bounded(stream, _HEADER_BYTES, _HEADER_READS)
    read_preamble(head, True)
    meta = _read_file_meta_info(head)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        data = inflater.decompress(stream.read(MAX_BYTES), MAX_BYTES)
        if not inflater.eof:
            raise InputError(
                f"{path} is truncated, or takes more than {MAX_BYTES >> 20} MiB when it is "
                "inflated. Export it again, uncompressed."
            )
        stream = io.BytesIO(data)
        head = _Bounded(stream, _HEADER_BYTES, _HEADER_READS)
        dataset = read_dataset(
            head, False, True, stop_when=_at_pixels, defer_size=_LARGEST_VALUE, specific_tags=_TAGS
        )
        dataset.file_meta = meta
    else:
        stream.seek(0)
        dataset = dcmread(
            head,
            defer_size=_LARGEST_VALUE,
            stop_before_pixels=True,
            force=True,
            specific_tags=_TAGS,
        )
    for tag in list(dataset.keys()):
        raw = dataset.get_item(tag)
        if raw is not None and raw.value is None and getattr(raw, "length", 0) > _LARGEST_VALUE:
            raise ValueError("a value is larger than any that is needed")
    return dataset, stream


def _at_pixels(tag: int, vr: str | None, length: int) -> bool:
    return tag in (_PIXEL_DATA, _PIXEL_DATA - 1, _PIXEL_DATA - 2)


def _check_pixels(path: Path, dataset: Dataset) -> None:
    """Raise :class:`InputError` for frames that are too large or of an unknown kind."""
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), _samples_per_pixel(dataset)
    check_size((columns, rows), str(path))
    if rows * columns * samples > MAX_SAMPLES:
        raise InputError(
            f"{path} has {rows * columns * samples >> 20} million samples in a frame, more than "
            f"{MAX_SAMPLES >> 20}. Export it smaller."
        )
    if samples not in (1, 3) or int(dataset.get("BitsAllocated") or 0) not in (1, 8, 16, 32):
        raise InputError(f"{path} holds samples of a kind that is not read. Export it as 8-bit.")
    if not 1 <= _frames(dataset) <= MOST_FRAMES:
        raise InputError(
            f"{path} claims more than {MOST_FRAMES} frames. Export a shorter part of the video."
        )


def _samples_per_pixel(dataset: Dataset) -> int:
    return int(dataset.get("SamplesPerPixel") or 1)


def _frames(dataset: Dataset) -> int:
    return int(dataset.get("NumberOfFrames") or 1)


def _listed(dataset: Dataset) -> tuple[str, ...]:
    """The files of a DICOMDIR; one that would lead out of its folder is dropped."""
    found = []
    for record in dataset.get("DirectoryRecordSequence") or ():
        parts = record.get("ReferencedFileID") or ()
        parts = [parts] if isinstance(parts, str) else [str(part) for part in parts]
        if parts and all(re.fullmatch(r"[A-Z0-9_]{1,8}", part) for part in parts):
            found.append("/".join(parts))
    return tuple(found)


# -- what the header says -------------------------------------------------------------------------


def _date(dataset: Dataset, *keywords: str) -> datetime.date | None:
    """The first of these dates that is stated and is one."""
    for keyword in keywords:
        text = str(dataset.get(keyword) or "").replace(".", "").strip()
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(text, "%Y%m%d").date()
    return None


def _gestational_age(dataset: Dataset, date: datetime.date | None) -> int | None:
    last = _date(dataset, "LastMenstrualDate")
    if last is None or date is None or not 0 < (date - last).days <= _LONGEST_PREGNANCY:
        return None
    return (date - last).days


def _note(dataset: Dataset) -> str | None:
    """The note of a file that we wrote."""
    if dataset.get((NOTE_GROUP, 0x10)) is None or dataset.get(_NOTE) is None:
        return None
    ours = str(dataset[NOTE_GROUP, 0x10].value).strip() == NOTE_CREATOR
    value = dataset[_NOTE].value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.rstrip(" \0") if ours else None


def _segmentation(dataset: Dataset) -> Segmentation:
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
    for index in range(_frames(dataset)):
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


def _calibration(dataset: Dataset) -> tuple[Calibration | None, tuple[StatedSize, ...]]:
    """The size of a pixel as the regions of 2-D tissue state it, or else the pixel spacing; or the
    statements, where they disagree."""
    width, height = int(dataset.Columns), int(dataset.Rows)
    stated = [
        _stated(size, f"the region {_place(box, (width, height))}", box)
        for region in _regions(dataset)
        if (size := _region_size(region)) and _is_size(size)
        for box in (_region_box(region),)
    ]
    if not stated:
        for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
            size = _spacing(dataset, keyword)
            if size is not None:
                return Calibration(*size, "dicom"), ()
        return None, ()
    spacing = _spacing(dataset, "PixelSpacing")
    if spacing is not None:
        stated.append(_stated(spacing, "the pixel spacing of the file"))
    first = stated[0].calibration
    if all(_agree(first, one.calibration) for one in stated):
        return first, ()
    return None, tuple(stated[:_MOST_STATED])


def _stated(size: tuple[float, float], what: str, area: Box | None = None) -> StatedSize:
    x, y = size
    shown = f"{x:.4g}" if abs(x - y) <= _AGREE * x else f"{x:.4g} x {y:.4g}"
    return StatedSize(Calibration(x, y, "dicom"), f"{shown} mm per px: {what}", area)


def _place(box: Box | None, size: Size) -> str:
    """Where in the frame a region lies, for a person."""
    if box is None:
        return "without a stated place"
    x, y = (box.left + box.right) / 2 / size[0], (box.top + box.bottom) / 2 / size[1]
    across = "left" if x < 0.4 else "right" if x > 0.6 else ""
    down = "top" if y < 0.4 else "bottom" if y > 0.6 else ""
    where = " ".join(filter(None, (down, across))) or "middle"
    return f"at the {where} ({box.right - box.left} x {box.bottom - box.top} px)"


def _regions(dataset: Dataset) -> list[Dataset]:
    """The regions that show tissue in two dimensions; without any, those of other data there."""
    flat = [
        region
        for region in dataset.get("SequenceOfUltrasoundRegions") or ()
        if region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL
    ]
    return [region for region in flat if region.get("RegionDataType") == _TISSUE] or flat


def _screen(dataset: Dataset) -> Screen:
    """The fingerprint of the layout, and the rectangle around the regions of 2-D tissue."""
    width, height = int(dataset.Columns), int(dataset.Rows)
    regions = [
        (_region_box(region), region.get("RegionSpatialFormat"), region.get("RegionDataType"))
        for region in dataset.get("SequenceOfUltrasoundRegions") or ()
    ]
    scanner = [str(dataset.get(k) or "") for k in ("Manufacturer", "ManufacturerModelName")]
    boxes = [box for box in map(_region_box, _regions(dataset)) if box is not None]
    area = None
    if boxes:
        left, top = min(box.left for box in boxes), min(box.top for box in boxes)
        right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
        area = Box(left, top, right, bottom).padded(0, 0, (width, height))
    return Screen(fingerprint((width, height), regions, scanner), area)


def _region_box(region: Dataset) -> Box | None:
    """Where a region lies; its last column and row belong to it."""
    sides = [region.get(f"RegionLocation{side}") for side in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    if not all(isinstance(side, int) for side in sides):
        return None
    left, top, right, bottom = sides
    return Box(left, top, right + 1, bottom + 1) if left <= right and top <= bottom else None


def _region_size(region: Dataset) -> tuple[float, float] | None:
    """(x, y) in mm."""
    units = region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")
    deltas = region.get("PhysicalDeltaX"), region.get("PhysicalDeltaY")
    if units != (_CENTIMETRE, _CENTIMETRE) or None in deltas:
        return None
    return abs(float(deltas[0])) * 10, abs(float(deltas[1])) * 10


def _spacing(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """(x, y) in mm; DICOM states the distance of rows first."""
    value = dataset.get(keyword)
    if value is None or isinstance(value, (str, float)) or len(value) != 2:
        return None
    size = float(value[1]), float(value[0])
    return size if _is_size(size) else None


def _is_size(size: tuple[float, float]) -> bool:
    return all(math.isfinite(side) and 0 < side <= 10 for side in size)


def _agree(one: Calibration, other: Calibration) -> bool:
    pairs = (one.mm_per_px_x, other.mm_per_px_x), (one.mm_per_px_y, other.mm_per_px_y)
    return all(abs(a - b) <= _AGREE * max(a, b) for a, b in pairs)


# -- pixels ---------------------------------------------------------------------------------------


def _held(dataset: Dataset, stream: BinaryIO) -> int | None:
    """How many whole frames the pixels hold, of a file at their tag; None where that is not known
    without decoding: of one compressed frame, of frames in several parts without a table of them,
    and of pixels in a bit each."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") or _guessed(dataset)
    order = "<" if syntax.is_little_endian else ">"
    tag, kind = stream.read(4), stream.read(4)
    if len(kind) < 4 or struct.unpack(f"{order}HH", tag) != (0x7FE0, 0x0010):
        return None
    length = stream.read(4) if kind[:2] in (b"OB", b"OW", b"UN") else kind
    if len(length) < 4:
        return None
    (stated,) = struct.unpack(f"{order}I", length)
    begin = stream.tell()
    end = stream.seek(0, io.SEEK_END)
    if not syntax.is_encapsulated:
        samples = _samples_per_pixel(dataset) * int(dataset.Rows) * int(dataset.Columns)
        size = samples * int(dataset.BitsAllocated) // 8
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            size = size * 2 // 3
        whole = int(dataset.BitsAllocated) >= 8 and stated != _UNDEFINED
        return min(stated, end - begin) // size if whole else None
    if _frames(dataset) == 1:
        return None
    stream.seek(begin)
    table, parts = _parts(stream, order, end)
    if dataset.get("ExtendedOffsetTable"):
        table = len(dataset.ExtendedOffsetTable) // 8
    return min(table, parts) if table else parts if parts < _frames(dataset) else None


def _parts(stream: BinaryIO, order: str, end: int) -> tuple[int, int]:
    """The length of the table of offsets at the begin of compressed pixels, and the number of whole
    parts that follow in a file of ``end`` bytes."""
    table, parts = -1, 0
    while parts <= _FRAME_READS and len(head := stream.read(8)) == 8:
        group, element, length = struct.unpack(f"{order}HHI", head)
        after = stream.tell() + length
        if (group, element) != (0xFFFE, 0xE000) or after > end:
            break
        if table < 0:
            table = length // 4
        else:
            parts += 1
        stream.seek(after)
    return max(table, 0), parts


def _samples(dataset: Dataset, stream: BinaryIO, index: int) -> NDArray[Any]:
    """The samples of a frame, (H, W) or (H, W, 3), as they are coded; ``dataset`` then says how."""
    if not 0 <= index < _frames(dataset):
        raise IndexError(index)
    syntax = dataset.file_meta.get("TransferSyntaxUID") or _guessed(dataset)
    order = "<" if syntax.is_little_endian else ">"
    tag = struct.unpack(f"{order}HH", stream.read(4))
    if (tag[0] << 16) + tag[1] != _PIXEL_DATA:
        raise ValueError("there are no pixels")
    options = as_pixel_options(dataset, pixel_keyword="PixelData", transfer_syntax_uid=syntax)
    rest = stream.read(4)
    if rest[:2] in (b"OB", b"OW", b"UN"):  # the syntax may claim so wrongly
        options["pixel_vr"] = rest[:2].decode("ascii")
        stream.read(4)
    body: Any = _Bounded(stream, _FRAME_BYTES, _FRAME_READS)
    plugin = dicom_codecs.PLUGIN if syntax.is_encapsulated else ""
    array, how = get_decoder(syntax).as_array(
        body, index=index, raw=True, decoding_plugin=plugin, **options
    )
    dataset.PhotometricInterpretation = how["photometric_interpretation"]
    return np.asarray(array)


def _guessed(dataset: Dataset) -> UID:
    """The syntax of a file that does not state it."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _grey(dataset: Dataset, samples: NDArray[Any]) -> NDArray[np.uint8]:
    kind = str(dataset.PhotometricInterpretation)
    if kind in ("MONOCHROME1", "MONOCHROME2"):
        grey = _windowed(dataset, samples)
        return 255 - grey if kind == "MONOCHROME1" else grey
    stored = int(dataset.get("BitsStored") or 8)
    if kind == "PALETTE COLOR":
        samples = apply_color_lut(samples, dataset)
        stored = 8 * samples.dtype.itemsize
    colours = samples if stored == 8 else samples >> (stored - 8)
    colours = np.ascontiguousarray(colours.astype(np.uint8, copy=False))
    if kind in ("YBR_FULL", "YBR_FULL_422"):
        # OpenCV wants Cr before Cb; its matrix is DICOM's.
        colours = cv2.cvtColor(np.ascontiguousarray(colours[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
    elif kind not in ("RGB", "PALETTE COLOR"):
        raise ValueError("colours of an unknown kind")
    return np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY), np.uint8)


def _windowed(dataset: Dataset, samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey levels as the file says that they are shown; by their own range where it says nothing
    and they are deeper than eight bits."""
    values = samples
    rescaled = "RescaleSlope" in dataset and "RescaleIntercept" in dataset
    if dataset.get("ModalityLUTSequence") or rescaled:
        identity = rescaled and (dataset.RescaleSlope, dataset.RescaleIntercept) == (1, 0)
        if not identity or dataset.get("ModalityLUTSequence"):
            values = apply_modality_lut(samples, dataset)
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        bits = int(table.LUTDescriptor[2])
        shown = apply_voi(values, dataset).astype(np.float32) / (2**bits - 1)
    elif (window := _window(dataset)) is not None:
        function = str(dataset.get("VOILUTFunction") or "LINEAR")
        shown = _through_window(values.astype(np.float32), *window, function)
    elif values is samples and values.dtype == np.uint8 and int(dataset.BitsStored) == 8:
        return samples
    else:
        stored = int(dataset.get("BitsStored") or 8)
        values = values.astype(np.float32)
        low, high = float(values.min()), float(values.max())
        if stored <= 8 and low >= 0:
            low, high = 0, 2**stored - 1
        shown = (values - low) / max(high - low, 1)
    return np.asarray(np.clip(shown, 0, 1) * 255 + 0.5, np.float32).astype(np.uint8)


def _window(dataset: Dataset) -> tuple[float, float] | None:
    """The first (centre, width) that is stated."""
    stated = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = dataset.get(keyword)
        if value is not None and not isinstance(value, (str, float)):
            value = value[0] if len(value) else None
        if value is None or value == "" or not math.isfinite(float(value)):
            return None
        stated.append(float(value))
    return (stated[0], stated[1]) if stated[1] > 0 else None


def _through_window(
    values: NDArray[np.float32], centre: float, width: float, function: str
) -> NDArray[np.float32]:
    """The grey levels from 0 to 1, by the formulas of DICOM PS3.3 C.11.2.1."""
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (values - centre) / width)), np.float32)
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width <= 1:
        return (values > centre - 0.5).astype(np.float32)
    return (values - (centre - 0.5)) / (width - 1) + 0.5
