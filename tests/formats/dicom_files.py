"""DICOM files of every syntax and kind of colour, made for tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    UltrasoundImageStorage,
    generate_uid,
)

SIZE = (64, 48)
"""(width, height) in px."""


def speckle(frames: int = 1, samples: int = 1, bits: int = 8, seed: int = 0) -> NDArray[Any]:
    """Smooth grey or colours, (frames, H, W) or (frames, H, W, 3)."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(0, 3, width), np.linspace(0, 2, height))
    waves = [
        0.5 + 0.4 * np.sin(x * (c + 1) + 0.1 * f) * np.cos(y + c)
        for f in range(frames)
        for c in range(samples)
    ]
    noisy = np.stack(waves) + rng.normal(0, 0.01, (frames * samples, height, width))
    scaled = np.clip(noisy, 0, 1) * (2**bits - 1)
    shaped = scaled.reshape(frames, samples, height, width).transpose(0, 2, 3, 1)
    typed = shaped.astype(np.uint8 if bits <= 8 else np.uint16)
    return typed[..., 0] if samples == 1 else typed


def dataset(pixels: NDArray[Any], photometric: str, **tags: Any) -> Dataset:
    """An ultrasound instance of (frames, H, W[, 3]) samples, without its pixel data."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.Modality, made.PatientID = "US", "P07"
    made.Rows, made.Columns = pixels.shape[1:3]
    made.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    if pixels.ndim == 4:
        made.PlanarConfiguration = 0
    made.PhotometricInterpretation = photometric
    made.BitsAllocated = 8 * pixels.dtype.itemsize
    made.BitsStored = made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = 0
    if len(pixels) > 1:
        made.NumberOfFrames = len(pixels)
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made


def save(path: Path, made: Dataset, data: bytes, syntax: UID = ExplicitVRLittleEndian) -> Path:
    """Write an instance with this pixel data; ``data`` is in the order of bytes of the syntax."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = made.SOPClassUID
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    made.PixelData = data + b"\0" * (len(data) % 2)
    made["PixelData"].VR = "OB" if syntax.is_encapsulated or made.BitsAllocated == 8 else "OW"
    order = syntax.is_implicit_VR, syntax.is_little_endian
    whole = FileDataset(str(path), made, b"\0" * 128, meta, *order)
    whole.save_as(path, enforce_file_format=True)
    return path


def write(
    path: Path,
    pixels: NDArray[Any] | None = None,
    photometric: str = "MONOCHROME2",
    syntax: UID = ExplicitVRLittleEndian,
    **tags: Any,
) -> Path:
    """Write an instance that holds (frames, H, W[, 3]) samples in a syntax; they are encoded."""
    pixels = speckle() if pixels is None else pixels
    made = dataset(pixels, photometric, **tags)
    if syntax.is_encapsulated:
        return save(
            path, made, encapsulate([encode(f, syntax, photometric) for f in pixels]), syntax
        )
    planar = pixels.transpose(0, 3, 1, 2) if made.get("PlanarConfiguration") else pixels
    little = planar.dtype.newbyteorder("<")
    order = little if syntax.is_little_endian else little.newbyteorder(">")
    return save(path, made, planar.astype(order).tobytes(), syntax)


def encode(frame: NDArray[Any], syntax: UID, photometric: str) -> bytes:
    """One frame in a compressed syntax; colours are expected as RGB."""
    frame = np.ascontiguousarray(frame)
    rgb: dict[str, Any] = (
        {"colorspace": "RGB", "outcolorspace": "RGB"} if photometric == "RGB" else {}
    )
    match syntax:
        case _ if syntax == RLELossless:
            return run_lengths(frame)
        case _ if syntax == JPEGBaseline8Bit:
            return bytes(imagecodecs.jpeg8_encode(frame, 95, **rgb))
        case _ if syntax == JPEGExtended12Bit:
            return bytes(imagecodecs.jpeg8_encode(frame, 95, bitspersample=12))
        case _ if syntax in (JPEGLossless, JPEGLosslessSV1):
            predictor = 1 if syntax == JPEGLosslessSV1 else 6
            return bytes(
                imagecodecs.jpeg8_encode(
                    frame,
                    lossless=True,
                    predictor=predictor,
                    bitspersample=8 * frame.dtype.itemsize,
                    **rgb,
                )
            )
        case _ if syntax == JPEGLSLossless:
            return bytes(imagecodecs.jpegls_encode(frame))
        case _ if syntax == JPEGLSNearLossless:
            return bytes(imagecodecs.jpegls_encode(frame, level=2))
        case _ if syntax in (JPEG2000Lossless, JPEG2000):
            lossless = syntax == JPEG2000Lossless
            return bytes(
                imagecodecs.jpeg2k_encode(
                    frame,
                    0 if lossless else 50,
                    codecformat="j2k",
                    reversible=lossless,
                    mct=photometric.startswith("YBR"),
                )
            )
        case _:
            assert syntax in (HTJ2KLossless, HTJ2K)
            return bytes(imagecodecs.htj2k_encode(frame, reversible=syntax == HTJ2KLossless))


def run_lengths(frame: NDArray[Any]) -> bytes:
    """DICOM's RLE of a frame: a segment for each byte of each sample, the high bytes first."""
    planes = frame[..., None] if frame.ndim == 2 else frame
    size = frame.dtype.itemsize
    segments: list[bytes] = []
    for sample in range(planes.shape[2]):
        octets = np.ascontiguousarray(planes[..., sample]).view(np.uint8).reshape(-1, size)
        for byte in reversed(range(size)):
            packed = bytes(imagecodecs.packbits_encode(octets[:, byte].tobytes()))
            segments.append(packed + b"\0" * (len(packed) % 2))
    offsets: list[int] = [64]
    for segment in segments[:-1]:
        offsets.append(offsets[-1] + len(segment))
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(offsets)))
    return header + b"".join(segments)


def region(
    box: Sequence[int] = (0, 0, 63, 47), size_cm: tuple[float, float] = (0.01, 0.01), **tags: Any
) -> Dataset:
    """An ultrasound region: 2-D tissue in cm, unless ``tags`` say otherwise."""
    made = Dataset()
    made.RegionLocationMinX0, made.RegionLocationMinY0 = box[0], box[1]
    made.RegionLocationMaxX1, made.RegionLocationMaxY1 = box[2], box[3]
    made.RegionSpatialFormat, made.RegionDataType, made.RegionFlags = 1, 1, 0
    made.PhysicalUnitsXDirection = made.PhysicalUnitsYDirection = 3
    made.PhysicalDeltaX, made.PhysicalDeltaY = size_cm
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made
