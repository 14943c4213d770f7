"""The listed tags of a DICOM file, read within bounds.

Only the tags in this list are ever taken from a file; every other tag is skipped unread. No value
of a tag is part of a message.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from pydicom import Dataset, config, dcmread
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.tag import Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import MAX_BYTES, check_size

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
NOTE = Tag(NOTE_GROUP, 0x1000 | NOTE_ELEMENT)
_TAGS = [*(Tag(keyword) for keyword in _KEYWORDS), Tag(NOTE_GROUP, 0x10), NOTE]
"""The tags that are read."""

DIRECTORY = "1.2.840.10008.1.3.10"
"""The class of a DICOMDIR."""
MOST_FRAMES = 20_000
MAX_SAMPLES = 32 << 20
"""Of one frame. JPEG 2000 takes four bytes for each, and windows as many."""
PIXEL_DATA = 0x7FE00010

_HEADER_BYTES, _HEADER_READS = 16 << 20, 200_000
"""What a parser may read, at most, of a header. An undefined length, a sequence in a sequence and a
million empty items are all bounded by these."""
_LARGEST_VALUE = 1 << 20

# pydicom's warnings and log messages quote values.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
config.settings.reading_validation_mode = config.IGNORE


class Opener(Protocol):
    """Opens a file, or what stands for one, such as a member of an archive."""

    def __call__(self) -> BinaryIO: ...


class Bounded:
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
def opened(path: Path, open_file: Opener) -> Iterator[tuple[Dataset, BinaryIO]]:
    """The listed tags before the pixels, and the file at the tag of the pixels.

    Every error of the libraries, in the block too, becomes one :class:`InputError`, which names
    ``path`` and quotes nothing of the file.
    """
    try:
        with open_file() as stream:
            yield _parsed(stream, path)
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
    head: Any = Bounded(stream, _HEADER_BYTES, _HEADER_READS)
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
        head = Bounded(stream, _HEADER_BYTES, _HEADER_READS)
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
    return tag in (PIXEL_DATA, PIXEL_DATA - 1, PIXEL_DATA - 2)


def check_pixels(path: Path, dataset: Dataset) -> None:
    """Raise :class:`InputError` for frames that are too large or of an unknown kind."""
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), samples_per_pixel(dataset)
    check_size((columns, rows), str(path))
    if rows * columns * samples > MAX_SAMPLES:
        raise InputError(
            f"{path} has {rows * columns * samples >> 20} million samples in a frame, more than "
            f"{MAX_SAMPLES >> 20}. Export it smaller."
        )
    if samples not in (1, 3) or int(dataset.get("BitsAllocated") or 0) not in (1, 8, 16, 32):
        raise InputError(f"{path} holds samples of a kind that is not read. Export it as 8-bit.")
    if not 1 <= frame_count(dataset) <= MOST_FRAMES:
        raise InputError(
            f"{path} claims more than {MOST_FRAMES} frames. Export a shorter part of the video."
        )


def samples_per_pixel(dataset: Dataset) -> int:
    """1 for grey levels and numbers of a palette, 3 for colours."""
    return int(dataset.get("SamplesPerPixel") or 1)


def frame_count(dataset: Dataset) -> int:
    """How many frames the file states that it has."""
    return int(dataset.get("NumberOfFrames") or 1)
