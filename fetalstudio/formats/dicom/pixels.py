"""The pixels of a DICOM file: a frame as it is coded, and as 8-bit grey."""

from __future__ import annotations

import io
import math
import struct
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, get_decoder
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from fetalstudio.formats.dicom import codecs as dicom_codecs
from fetalstudio.formats.dicom.dataset import PIXEL_DATA, Bounded, frame_count, samples_per_pixel

_FRAME_BYTES, _FRAME_READS = 256 << 20, 500_000
"""What a parser may read, at most, for a frame. A million empty fragments are bounded by these."""
_UNDEFINED = 0xFFFFFFFF
"""The length of what ends with a mark."""

dicom_codecs.register()


def decoded(dataset: Dataset, stream: BinaryIO, index: int) -> NDArray[Any]:
    """The samples of a frame, (H, W) or (H, W, 3), as they are coded; ``dataset`` then says how."""
    if not 0 <= index < frame_count(dataset):
        raise IndexError(index)
    syntax = dataset.file_meta.get("TransferSyntaxUID") or _guessed(dataset)
    order = "<" if syntax.is_little_endian else ">"
    tag = struct.unpack(f"{order}HH", stream.read(4))
    if (tag[0] << 16) + tag[1] != PIXEL_DATA:
        raise ValueError("there are no pixels")
    options = as_pixel_options(dataset, pixel_keyword="PixelData", transfer_syntax_uid=syntax)
    rest = stream.read(4)
    if rest[:2] in (b"OB", b"OW", b"UN"):  # the syntax may claim so wrongly
        options["pixel_vr"] = rest[:2].decode("ascii")
        stream.read(4)
    body: Any = Bounded(stream, _FRAME_BYTES, _FRAME_READS)
    plugin = dicom_codecs.PLUGIN if syntax.is_encapsulated else ""
    array, how = get_decoder(syntax).as_array(
        body, index=index, raw=True, decoding_plugin=plugin, **options
    )
    dataset.PhotometricInterpretation = how["photometric_interpretation"]
    return np.asarray(array)


def held_frames(dataset: Dataset, stream: BinaryIO) -> int | None:
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
        samples = samples_per_pixel(dataset) * int(dataset.Rows) * int(dataset.Columns)
        size = samples * int(dataset.BitsAllocated) // 8
        if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
            size = size * 2 // 3
        whole = int(dataset.BitsAllocated) >= 8 and stated != _UNDEFINED
        return min(stated, end - begin) // size if whole else None
    if frame_count(dataset) == 1:
        return None
    stream.seek(begin)
    table, parts = _parts(stream, order, end)
    if dataset.get("ExtendedOffsetTable"):
        table = len(dataset.ExtendedOffsetTable) // 8
    return min(table, parts) if table else parts if parts < frame_count(dataset) else None


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


def _guessed(dataset: Dataset) -> UID:
    """The syntax of a file that does not state it."""
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def as_grey(dataset: Dataset, samples: NDArray[Any]) -> NDArray[np.uint8]:
    """The samples of a frame as (H, W) grey: colours reduced to luminance, windows applied."""
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
