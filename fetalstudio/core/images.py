"""Reading and writing images: the one place that decodes a file into a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import BadInput
from fetalstudio.core.files import write_bytes

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
"""File name endings (lower case) that are taken for images."""

MIN_SIDE, MAX_SIDE = 32, 8192
MAX_BYTES = 256 * 2**20

_SIGNATURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM")
_PNG_END = b"IEND\xaeB`\x82"


def read_image(path: Path) -> NDArray[np.uint8]:
    """A PNG, JPEG, TIFF or BMP file as an 8-bit grey image, (H, W) uint8.

    Colour is reduced to luminance, 16 bit is scaled by its own maximum, transparency is ignored.
    Raises :class:`BadInput`, naming the file and the cure, for what is missing, truncated, not an
    image, too large (256 MiB, 8192 px a side) or too small (32 px).
    """
    data = _read_bytes(path)
    if not data.startswith(_SIGNATURES):
        raise BadInput(
            f"{path} is not a PNG, JPEG, TIFF or BMP image, whatever its name says. "
            "Export it again from the scanner or leave it out."
        )
    if data.startswith(_SIGNATURES[0]) and _PNG_END not in data[-64:]:
        raise BadInput(f"{path} is truncated: the end of the PNG is missing. Copy it again.")
    if data.startswith(_SIGNATURES[1]) and b"\xff\xd9" not in data[-4096:]:
        raise BadInput(f"{path} is truncated: the end of the JPEG is missing. Copy it again.")
    width, height = _dimensions(data) or (0, 0)
    if max(width, height) > MAX_SIDE:
        raise BadInput(_size_message(path, width, height))
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise BadInput(f"{path} is damaged and cannot be decoded. Copy or export it again.")
    height, width = image.shape[:2]
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise BadInput(_size_message(path, width, height))
    return _to_grey8(image)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an (H, W) or (H, W, 3 RGB) uint8 image as PNG, atomically."""
    write_bytes(path, encode_png(image))


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG bytes of an (H, W) or (H, W, 3 RGB) uint8 image."""
    bgr = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", np.ascontiguousarray(bgr))
    if not done:
        raise ValueError(f"no PNG can hold an array of shape {image.shape}, {image.dtype}")
    return data.tobytes()


def _read_bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadInput(f"{path} is larger than {MAX_BYTES >> 20} MiB. Export a single frame.")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}. Check the path.") from error


def _dimensions(data: bytes) -> tuple[int, int] | None:
    """(width, height) from a PNG or BMP header, so that a bomb is refused before it unpacks."""
    if data.startswith(_SIGNATURES[0]):
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data.startswith(b"BM") and len(data) >= 26:
        height = int.from_bytes(data[22:26], "little", signed=True)
        return int.from_bytes(data[18:22], "little"), abs(height)
    return None


def _size_message(path: Path, width: int, height: int) -> str:
    return (
        f"{path} is {width}x{height} px; a frame has {MIN_SIDE} to {MAX_SIDE} px a side. "
        "Export it at another size."
    )


def _to_grey8(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        # Medical exporters fill 10, 12 or 16 of the 16 bits; the frame's own maximum decides.
        values = np.nan_to_num(image.astype(np.float32))
        image = (np.clip(values / max(float(values.max()), 1.0), 0, 1) * 255 + 0.5).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 3:
        image = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_BGR2GRAY)
    return np.ascontiguousarray(image, dtype=np.uint8)
