"""The bridge between pydicom and the decoders of imagecodecs, for every compressed syntax.

pydicom takes the encoded frame out of the file and arranges what comes back; this decodes it. The
decoders that pydicom itself knows are either GPL or no part of its wheel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import DecodeRunner
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

PLUGIN = "imagecodecs"
"""The name by which pydicom knows this bridge."""

_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)
_HTJ2K = (HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
COMPRESSED: tuple[UID, ...] = (
    RLELossless,
    *_JPEG,
    *JPEGLSTransferSyntaxes,
    JPEG2000Lossless,
    JPEG2000,
    *_HTJ2K,
)
"""The compressed transfer syntaxes that are decoded."""
DECODER_DEPENDENCIES: dict[UID, tuple[str, ...]] = {uid: ("imagecodecs",) for uid in COMPRESSED}
"""pydicom asks a plugin for this."""

_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC3, 0xF7})
"""JPEG's markers of baseline, extended, lossless and JPEG-LS frames."""
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN = 0xDA
_ADOBE = 0xEE
_MOST_TILES = 4096
_PADDING = 128
"""Bytes that may follow the last run."""


def is_available(uid: str) -> bool:
    """Whether frames of this transfer syntax are decoded. pydicom asks a plugin for this."""
    return uid in COMPRESSED


def register() -> None:
    """Let pydicom know the bridge; a second call does nothing."""
    for uid in COMPRESSED:
        decoder = get_decoder(uid)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode"))


def decode(encoded: bytes, runner: DecodeRunner) -> bytearray:
    """One frame's samples as pydicom expects them, after changing the runner's options to fit.

    Raises ``ValueError`` where the stream is not of the size that the header says, before anything
    is decoded: a small stream can claim gigabytes. A damaged one raises a decoder's own error.
    """
    shape = (runner.rows, runner.columns, runner.samples_per_pixel)
    syntax = runner.transfer_syntax
    if syntax == RLELossless:
        runner.set_option("planar_configuration", 1)
        return _run_lengths(encoded, shape, runner.bits_allocated // 8)
    if syntax in _JPEG:
        image = _jpeg(encoded, shape, runner)
    elif syntax in JPEGLSTransferSyntaxes:
        _check(_jpeg_header(encoded)[0], shape)
        image = imagecodecs.jpegls_decode(encoded)
        if image.shape == (shape[2], *shape[:2]):  # the colours one after another
            image = np.moveaxis(image, 0, -1)
    else:
        _check(_jpeg2000_size(encoded), shape)
        htj2k = syntax in _HTJ2K
        image = (imagecodecs.htj2k_decode if htj2k else imagecodecs.jpeg2k_decode)(encoded)
        if runner.photometric_interpretation in ("YBR_ICT", "YBR_RCT"):
            runner.set_option("photometric_interpretation", "RGB")
    _check((*image.shape, 1)[:3], shape)
    if shape[2] > 1:
        runner.set_option("planar_configuration", 0)
    runner.set_option("bits_allocated", 8 * image.dtype.itemsize)
    return bytearray(np.ascontiguousarray(image).data)


def _jpeg(
    encoded: bytes, shape: tuple[int, int, int], runner: DecodeRunner
) -> NDArray[np.uint8 | np.uint16]:
    """A frame of any JPEG; colours become RGB."""
    size, adobe = _jpeg_header(encoded)
    _check(size, shape)
    if shape[2] == 1:
        image: NDArray[np.uint8 | np.uint16] = imagecodecs.jpeg8_decode(encoded)
        return image
    # Where the stream does not say how its colours are coded, the header does.
    rgb = adobe == 0 if adobe is not None else runner.photometric_interpretation == "RGB"
    space = "RGB" if rgb else "YCBCR"
    runner.set_option("photometric_interpretation", "RGB")
    image = imagecodecs.jpeg8_decode(encoded, colorspace=space, outcolorspace="RGB")
    return image


def _jpeg_header(encoded: bytes) -> tuple[tuple[int, int, int], int | None]:
    """(rows, columns, components) of a JPEG or JPEG-LS stream, and what Adobe's marker says of its
    colours: 0 for RGB, 1 for YCbCr."""
    adobe = None
    for marker, segment in _segments(encoded):
        if marker in _FRAME_HEADERS and len(segment) >= 6:
            rows, columns, components = struct.unpack_from(">HHB", segment, 1)
            size = (rows, columns, components)
        elif marker == _ADOBE and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        elif marker == _START_OF_SCAN:
            return size, adobe
    raise ValueError("the stream has no scan")


def _segments(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    at = 2
    if encoded[:2] != b"\xff\xd8":
        raise ValueError("the stream is no JPEG")
    while at + 4 <= len(encoded):
        if encoded[at] != 0xFF:
            raise ValueError("the stream has no marker where one must be")
        marker = encoded[at + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", encoded, at + 2)
        yield marker, encoded[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _jpeg2000_size(encoded: bytes) -> tuple[int, int, int]:
    """(rows, columns, components) of a JPEG 2000 code stream, in a JP2 file or not."""
    at = encoded.find(b"\xff\x4f\xff\x51")
    if at < 0 or len(encoded) < at + 42:
        raise ValueError("the stream is no JPEG 2000")
    x1, y1, x0, y0, tile_x, tile_y, _, _, components = struct.unpack_from(">8IH", encoded, at + 8)
    tiles = -(-x1 // max(tile_x, 1)) * -(-y1 // max(tile_y, 1))
    if tiles > _MOST_TILES:
        raise ValueError("the stream has too many tiles")
    return y1 - y0, x1 - x0, components


def _check(found: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    if found != expected:
        raise ValueError(f"the stream holds {found}, the header says {expected}")


def _run_lengths(encoded: bytes, shape: tuple[int, int, int], depth: int) -> bytearray:
    """A frame of run lengths: a segment for each byte of each sample, the high bytes first."""
    pixels, planes = shape[0] * shape[1], shape[2] * depth
    if len(encoded) < 64:
        raise ValueError("the run lengths have no header")
    count, *offsets = struct.unpack_from("<16I", encoded)
    if count != planes or planes > 15:
        raise ValueError(f"there are {count} segments, not {planes}")
    ends = [*offsets[1:count], len(encoded)]
    decoded = np.empty((shape[2], pixels, depth), np.uint8)
    for plane, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        sample, byte = divmod(plane, depth)
        # Room for all and for a padding, and for no more: a small segment can unpack to gigabytes.
        flat = imagecodecs.packbits_decode(encoded[start:end], out=pixels + _PADDING)
        decoded[sample, :, depth - 1 - byte] = np.frombuffer(flat, np.uint8, pixels)
    return bytearray(decoded.data)
