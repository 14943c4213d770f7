"""Picture files: the one place that decodes a file into a frame, and that writes a PNG.

OpenCV decodes, because a frame's id is a hash over the pixels that it gives, and encodes; Pillow
reads headers, the numbers in a palette and the text in a PNG.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.pictures.headers import (
    CompressionError,
    DamagedError,
    PictureHeader,
    TruncatedError,
    check_compressed,
    read_header,
    read_tiff_pages,
)
from fetalstudio.formats.pictures.recent_files import RECENT
from fetalstudio.formats.pictures.synthetic_notes import xmp_of
from fetalstudio.formats.pictures.volumes import read_volume, read_volume_header, volume_suffix

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".pgm", ".ppm", ".pnm"}
)
"""File name endings (lower case) that are taken for pictures;
:mod:`~fetalstudio.formats.pictures.volumes` has more."""
KINDS = "PNG, JPEG, TIFF, BMP or PGM"
"""What a picture can be, for messages."""

MIN_SIDE, MAX_SIDE = 32, 8192
MAX_BYTES = 256 * 2**20
MAX_DECODED = 384 * 2**20
"""Memory for the decoded samples. 8-bit pictures of every size that is allowed fit."""

_ROWS = 256
"""Rows that are reduced to 8-bit grey at a time."""
FRAME_NOTE, ANNOTATION_NOTE, FIGURE_NOTE = "frame", "annotation", "figure"
SYNTHETIC_NOTE = "synthetic"
"""What a PNG of ours says that it is. A synthetic frame says more, where more is known: see
:mod:`fetalstudio.formats.pictures.synthetic_notes`."""

Samples = tuple[NDArray[Any], NDArray[Any] | None]
"""Of an annotation picture, and its transparency: see :func:`read_samples`."""

_OTHERS = {
    re.compile(rb"RIFF....WEBP", re.DOTALL): "a WebP",
    re.compile(rb"GIF8"): "a GIF",
    re.compile(rb"P[123]\s"): "a text Netpbm",
    re.compile(rb"\0\0\0\x0cJXL |\xff\x0a"): "a JPEG XL",
    re.compile(rb"P7\s"): "a PAM",
    re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"): "a JPEG 2000",
    re.compile(rb"....ftyp(?:heic|heix|hevc|mif1|msf1|avif)", re.DOTALL): "a HEIF",
}
"""How pictures begin that are not read."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_NOTE, _XMP = "fetalstudio", "XML:com.adobe.xmp"
_HEADER_END = 33
"""Where a PNG's signature and its first chunk, which has a fixed length, end."""


def is_picture(path: Path) -> bool:
    """Whether the file's name says that it is a picture."""
    return path.suffix.lower() in SUFFIXES or volume_suffix(path.name) is not None


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name.

    Raises ``OSError`` where the folder cannot be listed.
    """
    return sorted(
        p for p in folder.iterdir() if is_picture(p) and not p.name.startswith(".") and p.is_file()
    )


def stem_of(path: Path) -> str:
    """The file's name without its ending, of which NIfTI has two parts (``.nii.gz``)."""
    suffix = volume_suffix(path.name)
    return path.stem if suffix is None else path.name[: -len(suffix)]


def read_image(path: Path, page: int | None = None) -> NDArray[np.uint8]:
    """Read a picture file as an 8-bit grey image, (H, W) uint8.

    The image is turned as its orientation tag says, or the directions of its axes. Colour is
    reduced to luminance, deeper samples are scaled by their own minimum and maximum, and
    transparency is ignored. ``page`` is one of :func:`pages_in`, from 0, of a file whose pages are
    frames of their own: see :func:`frames_in`. Without it, the first is read; but three pages of a
    MetaImage, NRRD or NIfTI file are then the planes of its colours.

    Raises :class:`InputError`, naming the file and the cure, for a file that is missing, truncated,
    not a picture, too large (256 MiB, 8192 px a side, 384 MiB when decoded) or too small (32 px a
    side).
    """
    _, header, image = _decoded(path, page)
    return _to_grey8(image, header.white)


def decode_image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """As :func:`read_image`, for a picture that is stored in another file, ``path``, which messages
    name."""
    _, header, image = _decoded_data(path, data)
    return _to_grey8(image, header.white)


def read_samples(path: Path, page: int | None = None) -> Samples:
    """The samples of an annotation picture as they are stored, and its transparency, if any.

    Turned like :func:`read_image`, which raises the same errors. The samples are (H, W) numbers
    (grey levels, or the numbers of the colours in a PNG's coloured palette) or (H, W, 3) RGB;
    transparency is (H, W).
    """
    return _samples(*_decoded(path, page))


def decode_samples(data: bytes, path: Path) -> Samples:
    """As :func:`read_samples`, for a picture that is stored in another file."""
    return _samples(*_decoded_data(path, data))


def _samples(data: bytes, header: PictureHeader, image: NDArray[Any]) -> Samples:
    if header.has_palette:
        numbers = _palette_numbers(data)
        if numbers is not None:
            return np.ascontiguousarray(turned(numbers, header.orientation)), None
    alpha = None
    if image.ndim == 3:
        alpha = image[..., -1] if image.shape[2] in (2, 4) else None
        image = image[..., 2::-1] if image.shape[2] >= 3 else image[..., 0]
        if image.ndim == 3 and all(np.array_equal(image[..., 0], image[..., c]) for c in (1, 2)):
            image = image[..., 0]
    return np.ascontiguousarray(image), alpha


def pages_in(path: Path) -> int:
    """How many pictures the file holds, thumbnails aside. Raises as :func:`read_image`."""
    if volume_suffix(path.name) is not None:
        return read_volume_header(path).pages
    return _header(path, read_bounded(path, MAX_BYTES)).pages


def frames_in(path: Path) -> int:
    """How many pictures of the file :func:`read_image` can read one by one: the pages of a TIFF,
    MetaImage, NRRD or NIfTI file; 1 for any other. Raises as :func:`read_image`."""
    one_by_one = path.suffix.lower() in (".tif", ".tiff") or volume_suffix(path.name) is not None
    return pages_in(path) if one_by_one else 1


def orientation_in(path: Path) -> int:
    """How a viewer turns the picture as it is stored, 1 (not at all) to 8, as in EXIF. Raises as
    :func:`read_image`."""
    if volume_suffix(path.name) is not None:
        return 1
    return _header(path, read_bounded(path, MAX_BYTES)).shown


def write_png(
    path: Path, image: NDArray[np.uint8], note: str | None = None, *, palette: bytes | None = None
) -> None:
    """Write an (H, W) or (H, W, 3 RGB) uint8 image as PNG, atomically; see :func:`encode_png`."""
    write_bytes(path, encode_png(image, note, palette=palette))


def encode_png(
    image: NDArray[np.uint8], note: str | None = None, *, palette: bytes | None = None
) -> bytes:
    """Encode an (H, W) or (H, W, 3 RGB) uint8 image as PNG.

    ``note`` is a text that stays in the file wherever it is copied to: with it a synthetic frame
    says that it is one, and how it was made. ``palette`` gives the colours (RGB) of the numbers in
    an (H, W) image. Raises ``ValueError`` for an array of another shape or dtype.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(f"no PNG is written from an array of shape {image.shape}, {image.dtype}")
    text = PngInfo()
    if note is not None:
        text.add_itxt(_NOTE, note)
        if is_synthetic(note):
            text.add_itxt(_XMP, xmp_of(note))
    if palette is not None:
        buffer = io.BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(image))
        picture.putpalette(palette)
        picture.save(buffer, "PNG", pnginfo=text)
        return buffer.getvalue()
    # OpenCV is twice as fast as Pillow, but writes no text.
    pixels = image if image.ndim == 2 else image[..., ::-1]
    data = cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes()
    notes = b"".join(_chunk(kind, content) for kind, content, *_ in text.chunks)
    return data[:_HEADER_END] + notes + data[_HEADER_END:]


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def is_synthetic(note: str | None) -> bool:
    """Whether a picture with this note is a synthetic frame."""
    return note not in (None, FRAME_NOTE, ANNOTATION_NOTE, FIGURE_NOTE)


def check_size(size: Size, what: str, cure: str = "Use another size.") -> None:
    """Raise :class:`InputError` unless a frame may have this size, (width, height) in px.

    ``what`` has the size; both words are for the message.
    """
    width, height = size
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size):
        raise InputError(
            f"{what} is {width}x{height} px; a frame has {MIN_SIDE} to {MAX_SIDE} px a side. {cure}"
        )


def note_in(path: Path) -> str | None:
    """The note that this file of ours has; None for any other file."""
    if volume_suffix(path.name) is not None:
        try:
            return read_volume_header(path).note
        except InputError:
            return None
    try:
        with path.open("rb") as stream:
            return note_of(stream)
    except OSError:
        return None


def note_of(stream: BinaryIO) -> str | None:
    """As :func:`note_in`, for a picture that is stored in another file."""
    try:
        note = PngImageFile(stream).info.get(_NOTE)
    except Exception:  # not a PNG or a damaged one: Pillow raises errors of many types
        return None
    return None if note is None else str(note)


def _decoded(path: Path, page: int | None) -> tuple[bytes, PictureHeader, NDArray[Any]]:
    """The file, its header, and the decoder's samples, turned as the header says."""
    # The size is checked before anything is decoded: a small file can unpack to gigabytes.
    if volume_suffix(path.name) is not None:
        volume = read_volume_header(path)
        header = PictureHeader(volume.size, volume.decoded_bytes)
        _check_header(path, header)
        return b"", header, read_volume(volume, page)
    if page is None:
        return _decoded_data(path, read_bounded(path, MAX_BYTES))
    data, pages = RECENT.get(path, lambda: _tiff(path))
    return _decoded_data(path, data, pages[page])


def _decoded_data(
    path: Path, data: bytes, page: tuple[int, PictureHeader] | None = None
) -> tuple[bytes, PictureHeader, NDArray[Any]]:
    """As :func:`_decoded`, with the place and the header of a page in a TIFF file."""
    place, header = page or (0, _header(path, data))
    _check_header(path, header)
    encoded = np.frombuffer(data, np.uint8)
    try:
        check_compressed(data, place)
        if page is None:
            image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
        else:
            found = cv2.imdecodemulti(encoded, cv2.IMREAD_UNCHANGED, None, (place, place + 1))[1]
            image = found[0] if found else None
    except CompressionError as error:
        raise _not_read(path, error, "Save it with LZW, or without compression.") from error
    except (DamagedError, cv2.error) as error:
        raise _damaged(path) from error
    if image is None:
        raise _damaged(path)
    if header.negative and image.dtype.kind == "u":
        image = np.invert(image)
    return data, header, turned(image, header.orientation)


def _tiff(path: Path) -> tuple[bytes, tuple[tuple[int, PictureHeader], ...]]:
    data = read_bounded(path, MAX_BYTES)
    try:
        return data, read_tiff_pages(data)
    except DamagedError as error:
        raise _damaged(path) from error


def _check_header(path: Path, header: PictureHeader) -> None:
    check_size(header.size, str(path))
    if header.decoded_bytes > MAX_DECODED:
        raise InputError(
            f"{path} takes {header.decoded_bytes >> 20} MiB when it is decoded, more than "
            f"{MAX_DECODED >> 20} MiB. Export it as 8-bit grey, or smaller."
        )


def _header(path: Path, data: bytes) -> PictureHeader:
    try:
        header = read_header(data)
    except TruncatedError as error:
        raise InputError(
            f"{path} is truncated: the end of the picture is missing. Copy it again."
        ) from error
    except DamagedError as error:
        raise _damaged(path) from error
    except CompressionError as error:
        raise _not_read(path, error, "Save it as PNG.") from error
    if not data:
        raise InputError(f"{path} is empty. Copy it again.")
    if data.startswith(_LFS_POINTER):
        raise InputError(
            f"{path} is not the picture, but a pointer of Git LFS to it. Fetch it by git lfs pull."
        )
    if header is None:
        other = next((kind for start, kind in _OTHERS.items() if start.match(data)), None)
        if other is not None:
            raise InputError(
                f"{path} is not a {KINDS} image, whatever its name says, but {other} file. "
                "Save it as PNG."
            )
        raise InputError(
            f"{path} is not a {KINDS} image, whatever its name says. "
            "Export it again from the scanner or leave it out."
        )
    if not all(header.size):
        raise _damaged(path)
    return header


def _not_read(path: Path, compression: CompressionError, cure: str) -> InputError:
    return InputError(f"{path} is compressed as {compression}, which is not read. {cure}")


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged and cannot be decoded. Copy or export it again.")


def turned(image: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture as a viewer shows it, for an orientation of EXIF (1 to 8)."""
    if orientation in (5, 6, 7, 8):
        image = image.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _palette_numbers(data: bytes) -> NDArray[np.uint8] | None:
    """The numbers in a PNG with a coloured palette; None where the palette is one of greys."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        numbers = np.asarray(picture)
        palette = np.array(picture.getpalette() or (), np.uint8).reshape(-1, 3)
    shown = palette[np.unique(numbers[numbers < len(palette)])]
    return None if (shown == shown[:, :1]).all() else numbers


def _to_grey8(image: NDArray[Any], white: int) -> NDArray[np.uint8]:
    """``white`` is the 8-bit sample that is shown as white."""
    if image.ndim == 3:
        # Two channels are grey and alpha. Alpha goes first: it must not decide the scale below.
        image = image[..., :3] if image.shape[2] >= 3 else image[..., 0]
    low, high = (0.0, float(white)) if image.dtype in (np.uint8, np.bool_) else _range(image)
    span = max(high - low, 1.0)
    grey = np.empty(image.shape[:2], np.uint8)
    for y in range(0, len(image), _ROWS):  # as a whole, the floats would take gigabytes
        rows = image[y : y + _ROWS]
        if rows.dtype == np.bool_:
            rows = rows.astype(np.uint8) * 255
        elif rows.dtype != np.uint8 or white < 255:
            # Medical exporters fill 10, 12 or 16 of the 16 bits, and some add an offset.
            values = np.nan_to_num(rows.astype(np.float32), posinf=high, neginf=low) - low
            scaled = values / span
            rows = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
        if rows.ndim == 3:
            rows = cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_BGR2GRAY)
        grey[y : y + _ROWS] = rows
    return grey


def _range(image: NDArray[Any]) -> tuple[float, float]:
    """The least and the greatest value but infinite ones, 0 for what is not a number."""
    low, high = np.inf, -np.inf
    for y in range(0, len(image), _ROWS):
        values = np.nan_to_num(
            image[y : y + _ROWS].astype(np.float32), posinf=np.inf, neginf=-np.inf
        )
        finite = values[np.isfinite(values)]
        low = min(low, float(finite.min(initial=np.inf)))
        high = max(high, float(finite.max(initial=-np.inf)))
    return (low, high) if low <= high else (0.0, 0.0)
