"""Picture files: the one place that decodes a file into a frame, and that writes a PNG.

OpenCV decodes, because a frame's id is a hash over the pixels that it gives; Pillow reads headers,
and writes and reads the text in a PNG.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, ImageFileDirectory_v2

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.files import write_bytes

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
"""File name endings (lower case) that are taken for pictures."""

MIN_SIDE, MAX_SIDE = 32, 8192
MAX_BYTES = 256 * 2**20

_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_TIFF = (b"II*\0", b"MM\0*")
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"

_HEADERS: Mapping[bytes, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    _PNG: PngImageFile,
    _JPEG: JpegImageFile,
    _BMP: BmpImageFile,
}
"""What reads a header. ``Image.open`` would refuse a bomb before it gives its size."""

_NOTE = "fetalstudio"
_FAST, _RUN_LENGTH = 1, 3
"""zlib's level and strategy, which suit speckle: OpenCV's own choice for a PNG."""


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a PNG, JPEG, TIFF or BMP file as an 8-bit grey image, (H, W) uint8.

    Colour is reduced to luminance, 16 bit is scaled by its own maximum and transparency is ignored.
    The orientation tag turns a TIFF, but not a PNG or JPEG.

    Raises :class:`InputError`, naming the file and the cure, for a file that is missing, truncated,
    not a picture, too large (256 MiB, 8192 px a side) or too small (32 px a side).
    """
    data = _read_bytes(path)
    if not data.startswith((*_HEADERS, *_TIFF)):
        raise InputError(
            f"{path} is not a PNG, JPEG, TIFF or BMP image, whatever its name says. "
            "Export it again from the scanner or leave it out."
        )
    if data.startswith(_PNG) and _PNG_END not in data[-4096:]:
        raise InputError(f"{path} is truncated: the end of the PNG is missing. Copy it again.")
    if data.startswith(_JPEG) and _JPEG_END not in data[-4096:]:
        raise InputError(f"{path} is truncated: the end of the JPEG is missing. Copy it again.")
    # The size is checked before anything is decoded: a small file can unpack to gigabytes.
    width, height = _size_in_header(data)
    if width and height and not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise InputError(
            f"{path} is {width}x{height} px; a frame has {MIN_SIDE} to {MAX_SIDE} px a side. "
            "Export it at another size."
        )
    image = _decode(data) if width and height else None
    if image is None:
        raise InputError(f"{path} is damaged and cannot be decoded. Copy or export it again.")
    return _to_grey8(image)


def write_png(path: Path, image: NDArray[np.uint8], note: str | None = None) -> None:
    """Write an (H, W) or (H, W, 3 RGB) uint8 image as PNG, atomically; see :func:`encode_png`."""
    write_bytes(path, encode_png(image, note))


def encode_png(image: NDArray[np.uint8], note: str | None = None) -> bytes:
    """Encode an (H, W) or (H, W, 3 RGB) uint8 image as PNG.

    ``note`` is a text that stays in the file wherever it is copied to: with it a synthetic frame
    says that it is one. Raises ``ValueError`` for an array of another shape or dtype.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(f"no PNG is written from an array of shape {image.shape}, {image.dtype}")
    text = PngInfo()
    if note is not None:
        text.add_itxt(_NOTE, note)
    data = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(data, "PNG", pnginfo=text, compress_level=_FAST, compress_type=_RUN_LENGTH)
    return data.getvalue()


def note_in(path: Path) -> str | None:
    """The note that :func:`encode_png` put into this file; None for any other file."""
    try:
        with path.open("rb") as stream:
            note = PngImageFile(stream).info.get(_NOTE)
    except Exception:  # not a PNG or a damaged one: Pillow raises errors of many types
        return None
    return None if note is None else str(note)


def _read_bytes(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise InputError(f"{path} cannot be read: it is not a file. Check the path.")
        if status.st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB. Export a single frame.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error


def _decode(data: bytes) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _size_in_header(data: bytes) -> Size:
    """(width, height) by the file's header; zeros where it is damaged."""
    stream = io.BytesIO(data)
    try:
        for start, read_header in _HEADERS.items():
            if data.startswith(start):
                return read_header(stream).size
        # Only the tags: Pillow has no mode for some samples that OpenCV decodes (float colour).
        tags = ImageFileDirectory_v2(data[:8])
        stream.seek(tags.next)
        tags.load(stream)
        return int(tags[IMAGEWIDTH]), int(tags[IMAGELENGTH])
    except Exception:  # Pillow raises errors of many types for a damaged header
        return 0, 0


def _to_grey8(image: NDArray[Any]) -> NDArray[np.uint8]:
    if image.ndim == 3:
        # Two channels are grey and alpha. Alpha goes first: it must not decide the scale below.
        image = image[..., :3] if image.shape[2] >= 3 else image[..., 0]
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        # Medical exporters fill 10, 12 or 16 of the 16 bits; the frame's own maximum decides.
        values = np.nan_to_num(image.astype(np.float32))
        image = (np.clip(values / max(float(values.max()), 1.0), 0, 1) * 255 + 0.5).astype(np.uint8)
    if image.ndim == 3:
        image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image, dtype=np.uint8)
