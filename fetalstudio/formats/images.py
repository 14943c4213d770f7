"""Reading and writing images: the one place that decodes a file into a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.formats.files import write_bytes

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
"""File name endings (lower case) that are taken for images."""

_ByteOrder = Literal["little", "big"]

MIN_SIDE, MAX_SIDE = 32, 8192
MAX_BYTES = 256 * 2**20

_PNG, _JPEG, _BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
_TIFF: dict[bytes, _ByteOrder] = {b"II*\0": "little", b"MM\0*": "big"}
_PNG_END, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"


def read_image(path: Path) -> NDArray[np.uint8]:
    """A PNG, JPEG, TIFF or BMP file as an 8-bit grey image, (H, W) uint8.

    Colour is reduced to luminance, 16 bit is scaled by its own maximum, transparency is ignored.
    Raises :class:`InputError`, naming the file and the cure, for what is missing, truncated, not an
    image, too large (256 MiB, 8192 px a side) or too small (32 px).
    """
    data = _read_bytes(path)
    if not data.startswith((_PNG, _JPEG, _BMP, *_TIFF)):
        raise InputError(
            f"{path} is not a PNG, JPEG, TIFF or BMP image, whatever its name says. "
            "Export it again from the scanner or leave it out."
        )
    if data.startswith(_PNG) and _PNG_END not in data[-4096:]:
        raise InputError(f"{path} is truncated: the end of the PNG is missing. Copy it again.")
    if data.startswith(_JPEG) and _JPEG_END not in data[-4096:]:
        raise InputError(f"{path} is truncated: the end of the JPEG is missing. Copy it again.")
    # The header is believed before the decoder is: a small file can unpack to gigabytes.
    width, height = _dimensions(data)
    if width and height and not all(MIN_SIDE <= side <= MAX_SIDE for side in (width, height)):
        raise InputError(
            f"{path} is {width}x{height} px; a frame has {MIN_SIDE} to {MAX_SIDE} px a side. "
            "Export it at another size."
        )
    image = _decode(data) if width and height else None
    if image is None:
        raise InputError(f"{path} is damaged and cannot be decoded. Copy or export it again.")
    return _to_grey8(image)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an (H, W) or (H, W, 3 RGB) uint8 image as PNG, atomically."""
    write_bytes(path, encode_png(image))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an (H, W) or (H, W, 3 RGB) uint8 image; anything else is a ``ValueError``."""
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(f"no PNG is written from an array of shape {image.shape}, {image.dtype}")
    bgr = image[..., ::-1] if image.ndim == 3 else image
    _, data = cv2.imencode(".png", np.ascontiguousarray(bgr))
    return data.tobytes()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB. Export a single frame.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check the path.") from error


def _decode(data: bytes) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None


def _dimensions(data: bytes) -> Size:
    """(width, height) by the file's header; zeros where it is damaged."""
    if data.startswith(_PNG):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(_JPEG):
        return _jpeg_dimensions(data)
    if data.startswith(_BMP):
        height = int.from_bytes(data[22:26], "little", signed=True)  # below 0: stored top-down
        return int.from_bytes(data[18:22], "little"), abs(height)
    return _tiff_dimensions(data)


def _jpeg_dimensions(data: bytes) -> Size:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        # The start-of-frame markers, without the tables that lie between them in the numbering.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            return int.from_bytes(data[position + 7 : position + 9], "big"), height
        is_fill = marker == 0xFF
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        position += 1 if is_fill else 2 + length
    return 0, 0


def _tiff_dimensions(data: bytes) -> Size:
    order = _TIFF[data[:4]]
    directory = _number(data, 4, 4, order)
    sides = {256: 0, 257: 0}
    for entry in range(_number(data, directory, 2, order)):
        start = directory + 2 + 12 * entry
        tag, kind = _number(data, start, 2, order), _number(data, start + 2, 2, order)
        if tag in sides:
            sides[tag] = _number(data, start + 8, 2 if kind == 3 else 4, order)
    return sides[256], sides[257]


def _number(data: bytes, start: int, length: int, order: _ByteOrder) -> int:
    return int.from_bytes(data[start : start + length], order)


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
