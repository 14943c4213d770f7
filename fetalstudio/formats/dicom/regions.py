"""Where a DICOM file says that its frames show tissue, and how large it says that a pixel is."""

from __future__ import annotations

import math

from pydicom import Dataset

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.geometry import Size
from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import Screen, fingerprint
from fetalstudio.formats.reading.frame_records import StatedSize

_AGREE = 0.01
"""Relative difference between two statements of a pixel's size that counts as none."""
_TISSUE, _TWO_DIMENSIONAL, _CENTIMETRE = 1, 1, 3
_MOST_STATED = 8


def calibration_of(dataset: Dataset) -> tuple[Calibration | None, tuple[StatedSize, ...]]:
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
    if spacing not in (None, (1, 1)):  # 1 mm is what programs write where they know none
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


def screen_of(dataset: Dataset) -> Screen:
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
