"""What the header of a picture file says, read before anything is decoded.

A small file can claim, or unpack to, gigabytes. So the size, the memory that decoding takes and the
end of the file are known from the headers alone.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import jpeg_factory
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    SAMPLESPERPIXEL,
    STRIPBYTECOUNTS,
    STRIPOFFSETS,
    TILEBYTECOUNTS,
    TILELENGTH,
    TILEOFFSETS,
    TILEWIDTH,
    ImageFileDirectory_v2,
)

from fetalstudio.core.geometry import Size

_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The last two are BigTIFF."""
_NETPBM = (b"P5", b"P6")
_NETPBM_HEADER = re.compile(rb"P[56]" + rb"(?:\s|#[^\n]*\n)+(\d{1,7})" * 3 + rb"\s")

_UNCOMPRESSED = 1
_DEFLATE = (8, 32946)
_NOT_DECODED = {
    **dict.fromkeys((33003, 33005, 34712), "JPEG 2000"),
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compressions of TIFF files that OpenCV does not read."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG after which the number of bits stands."""
_JPEG_LS = 0xF7
_NEW_SUBFILE_TYPE, _REDUCED = 254, 1
_MAX_PAGES = 10_000
_FED = 1 << 16
"""Bytes that are unpacked at a time."""


class TruncatedError(ValueError):
    """The end of the file is missing."""


class CompressionError(ValueError):
    """The file is compressed in a way that is not read, which the message names."""


class DamagedError(ValueError):
    """The file contradicts itself."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What is known of a picture before it is decoded."""

    size: Size
    """(width, height) in px, as stored: before the orientation is applied."""
    decoded_bytes: int
    """Memory that the decoded samples take, at most."""
    orientation: int = 1
    """How the decoder's pixels must still be turned: 1 to 8, as in EXIF."""
    shown: int = 1
    """How a viewer turns the picture as it is stored, whether or not the decoder does so too."""
    pages: int = 1
    """Pictures in the file, without thumbnails."""
    has_palette: bool = False
    """Whether it is a PNG whose samples are numbers of colours."""
    white: int = 255
    """The 8-bit sample that is shown as white, which a PGM file states."""
    negative: bool = False
    """Whether 0 is white in the samples as the decoder gives them."""


def read_header(data: bytes) -> PictureHeader | None:
    """What a PNG, JPEG, TIFF, BMP or binary PGM or PPM file says of itself; None for other files.

    Raises :class:`TruncatedError`, :class:`DamagedError`, and :class:`CompressionError` for a JPEG.
    """
    readers = (
        ((_PNG,), _png),
        ((_JPEG,), _jpeg),
        (_TIFF, _tiff),
        ((_BMP,), _bmp),
        (_NETPBM, _netpbm),
    )
    for starts, read in readers:
        if data.startswith(starts):
            try:
                return read(data)
            except (TruncatedError, DamagedError, CompressionError):
                raise
            except Exception as error:  # Pillow raises errors of many types for a damaged header
                raise DamagedError from error
    return None


def read_tiff_pages(data: bytes) -> tuple[tuple[int, PictureHeader], ...]:
    """The place and the header of each page of a TIFF file, thumbnails aside; none of other files.

    Raises :class:`DamagedError`.
    """
    if not data.startswith(_TIFF):
        return ()
    try:
        return tuple(
            (place, _tiff_page(tags))
            for place, (tags, _) in enumerate(_directories(data))
            if _is_page(tags)
        )
    except DamagedError:
        raise
    except Exception as error:  # Pillow raises errors of many types for a damaged header
        raise DamagedError from error


def check_compressed(data: bytes, place: int = 0) -> None:
    """Decode a compressed TIFF once more, as OpenCV drops what libtiff reports about 8-bit samples.

    ``place`` is that of the page. Raises :class:`DamagedError` where the decoder reports an error,
    and :class:`CompressionError`.
    """
    if not data.startswith(_TIFF):
        return
    tags, _ = next(itertools.islice(_directories(data), place, None))
    compression = tags.get(COMPRESSION, _UNCOMPRESSED)
    if compression == _UNCOMPRESSED:
        return
    if compression in _NOT_DECODED:
        raise CompressionError(_NOT_DECODED[compression])
    if compression in _DEFLATE:
        _check_deflate(data, tags)
    try:
        picture = Image.open(io.BytesIO(data), formats=["TIFF"])
        picture.seek(place)
    except Exception:  # Pillow has no mode for some samples; OpenCV heeds the report for these
        return
    try:
        picture.load()
    except Exception as error:
        raise DamagedError from error


def _png(data: bytes) -> PictureHeader:
    size, depth, colour_type, orientation, pages = (0, 0), 0, 0, 1, 1
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            width, height, depth, colour_type = struct.unpack(">IIBB", body[:10])
            size = (width, height)
        elif kind == b"acTL":
            pages = max(int.from_bytes(body[:4]), 1)
        elif kind == b"eXIf":
            orientation = _orientation(bytes(body))
    return PictureHeader(
        size,
        size[0] * size[1] * (1 if colour_type == 0 else 4) * (2 if depth == 16 else 1),
        orientation,
        orientation,
        pages,
        has_palette=colour_type == 3,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a PNG to its end. libpng would allocate whatever a damaged length says."""
    view, place = memoryview(data), len(_PNG)
    while True:
        if place + 12 > len(data):
            raise TruncatedError
        length = int.from_bytes(view[place : place + 4])
        kind = bytes(view[place + 4 : place + 8])
        end = place + 8 + length
        if not kind.isalpha():
            raise DamagedError
        if end + 4 > len(data):
            raise TruncatedError
        critical = kind[:1].isupper()
        checksum = int.from_bytes(view[end : end + 4])
        if critical and zlib.crc32(view[place + 4 : end]) != checksum:
            raise DamagedError
        yield kind, view[place + 8 : end]
        if kind == b"IEND":
            return
        place = end + 4


def _jpeg(data: bytes) -> PictureHeader:
    # A thumbnail in the file's head has an end of its own.
    scan, precision = _first_scan(data)
    if precision != 8:
        raise CompressionError(f"JPEG of {precision} bits")
    if data.find(b"\xff\xd9", scan) < 0:
        raise TruncatedError
    picture = jpeg_factory(io.BytesIO(data))
    width, height = picture.size
    channels = len(picture.getbands())
    orientation = _orientation(picture.info.get("exif", b""))
    return PictureHeader(
        (width, height),
        width * height * channels,
        orientation,
        orientation,
        getattr(picture, "n_frames", 1),  # several in a multi-picture file (MPO)
    )


def _first_scan(data: bytes) -> tuple[int, int]:
    """Where the first scan of a JPEG begins, and how many bits its samples have."""
    place, precision = 2, 8
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise DamagedError
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0xDA:
            return place, precision
        elif marker == _JPEG_LS:
            raise CompressionError("JPEG-LS")
        else:
            if marker in _FRAMES:
                precision = data[place + 4]
            place += 2 + int.from_bytes(data[place + 2 : place + 4])
    raise TruncatedError


def _bmp(data: bytes) -> PictureHeader:
    width, height = BmpImageFile(io.BytesIO(data)).size
    return PictureHeader((width, height), width * height * 4)


def _netpbm(data: bytes) -> PictureHeader:
    header = _NETPBM_HEADER.match(data)
    if header is None:
        raise DamagedError
    width, height, maximum = map(int, header.groups())
    sample = (3 if data.startswith(b"P6") else 1) * (2 if maximum > 255 else 1)
    if len(data) - header.end() < width * height * sample:
        raise TruncatedError
    white = maximum if 0 < maximum < 255 else 255
    return PictureHeader((width, height), width * height * sample, white=white)


def _tiff(data: bytes) -> PictureHeader:
    tags, first_is_all = next(_directories(data))
    pages = 1 if first_is_all else sum(_is_page(page) for page, _ in _directories(data))
    return replace(_tiff_page(tags), pages=max(pages, 1))


def _tiff_page(tags: ImageFileDirectory_v2) -> PictureHeader:
    width, height = int(tags[IMAGEWIDTH]), int(tags[IMAGELENGTH])
    bits = max(tags.get(BITSPERSAMPLE, (1,)))
    # OpenCV turns palettes and inks into four colours.
    sample = max(4, int(tags.get(SAMPLESPERPIXEL, 1)) * -(-bits // 8))
    tile = int(tags.get(TILEWIDTH, 0)) * int(tags.get(TILELENGTH, 0)) * sample
    # The decoder applies the orientation of a TIFF itself.
    shown = int(tags.get(Base.Orientation, 1))
    return PictureHeader(
        (width, height),
        max(width * height * sample, tile),
        shown=shown if 1 <= shown <= 8 else 1,
        # Of samples of up to 8 bits, the decoder makes 0 black itself.
        negative=tags.get(PHOTOMETRIC_INTERPRETATION) == 0 and bits > 8,
    )


def _is_page(tags: ImageFileDirectory_v2) -> bool:
    return not int(tags.get(_NEW_SUBFILE_TYPE, 0)) & _REDUCED


def _directories(data: bytes) -> Iterator[tuple[ImageFileDirectory_v2, bool]]:
    """The tags of each page, and whether it is the last. Only the tags: Pillow has no mode for some
    samples that OpenCV decodes (float colour)."""
    header = data[:16] if data[2:4] in (b"+\0", b"\0+") else data[:8]
    tags, seen = ImageFileDirectory_v2(header), set[int]()
    for _ in itertools.repeat(None, _MAX_PAGES):
        place = tags.next
        if not place or place in seen or place >= len(data):
            if not seen:
                raise DamagedError
            return
        seen.add(place)
        stream = io.BytesIO(data)
        stream.seek(place)
        page = ImageFileDirectory_v2(header)
        page.load(stream)
        yield page, not page.next
        tags = page


def _check_deflate(data: bytes, tags: ImageFileDirectory_v2) -> None:
    """libtiff stops when it has the pixels; the checksum behind them says if they are right."""
    tiled = TILEOFFSETS in tags
    offsets = tags.get(TILEOFFSETS if tiled else STRIPOFFSETS, ())
    lengths = tags.get(TILEBYTECOUNTS if tiled else STRIPBYTECOUNTS, ())
    view = memoryview(data)
    for start, length in zip(offsets, lengths, strict=False):
        stream, strip = zlib.decompressobj(), view[start : start + length]
        try:
            for i in range(0, len(strip), _FED):
                stream.decompress(strip[i : i + _FED])  # at most 1,032 times as much
        except zlib.error as error:
            raise DamagedError from error


def _orientation(exif: bytes) -> int:
    """The orientation in EXIF data; 1 (as stored) where there is none that has a meaning."""
    try:
        found = Image.Exif()
        found.load(exif)
        orientation = int(found.get(Base.Orientation, 1))
    except Exception:  # damaged EXIF data: every viewer ignores them
        return 1
    return orientation if 1 <= orientation <= 8 else 1
