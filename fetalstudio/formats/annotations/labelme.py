"""labelme: a JSON file beside each picture, with polygons, circles, boxes or masks.

See the schema in labelme's ``_label_file.py``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fetalstudio.core.fit import Points
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    of_box,
    of_ellipse,
    of_mask,
    of_model,
    of_polygons,
    points_of,
    polygon_in,
)
from fetalstudio.formats.documents import parse_json
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.pictures.headers import read_header
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_VERSION = "5.5.0"
"""Of the schema that is written."""
_NOT_OUTLINES = frozenset({"point", "points", "line", "linestrip"})


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether a JSON file begins like one in this format. Its picture may come before all else."""
    return b'"shapes"' in head or b'"imageData"' in head


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The picture of a file; None where it is in another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    found = parse_json(data)
    if not isinstance(found, dict) or not isinstance(found.get("shapes"), list):
        return None
    try:
        width, height = found.get("imageWidth"), found.get("imageHeight")
        size = (int(width), int(height)) if width and height else None
        groups: dict[Any, list[Mapping[str, Any]]] = {}
        for number, item in enumerate(found["shapes"]):
            # Shapes of one group are the parts of one thing.
            group = item.get("group_id")
            key = (number,) if group is None else (item["label"], group)
            groups.setdefault(key, []).append(item)
        shapes = [_shape(items) for items in groups.values()]
        name = str(found.get("imagePath") or path.with_suffix("").name)
        known = tuple(shape for shape in shapes if shape is not None)
        kinds = {str(item.get("shape_type")) for item in found["shapes"]} & _NOT_OUTLINES
        return [AnnotatedPicture(path, name, size, known, unread=tuple(sorted(kinds)))]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("a shape in it lacks what labelme requires") from error


def _shape(items: Sequence[Mapping[str, Any]]) -> Shape | None:
    label, kind = str(items[0]["label"]), items[0].get("shape_type") or "polygon"
    if kind in _NOT_OUTLINES:
        return None
    points = [points_of([value for point in item["points"] for value in point]) for item in items]
    shape = _of_kind(label, kind, points, items)
    # X-AnyLabeling writes the score of a model, and none where a person drew.
    return shape if all(item.get("score") is None for item in items) else of_model(shape)


def _of_kind(
    label: str, kind: str, points: Sequence[Points], items: Sequence[Mapping[str, Any]]
) -> Shape:
    if all((item.get("shape_type") or "polygon") == "polygon" for item in items):
        return Shape(label, "polygon", partial(of_polygons, points))
    if len(items) > 1:
        return Shape(label, "polygon", partial(_refused, "its group mixes several types of shape"))
    if kind == "circle":
        return Shape(label, "exact", partial(_of_circle, points[0]))
    if kind == "rectangle":
        return Shape(label, "box", partial(_of_corners, points[0]))
    if kind in ("oriented_rectangle", "rotation"):  # the latter is X-AnyLabeling's
        return Shape(label, "box", partial(_of_turned_corners, points[0]))
    if kind == "mask":
        return Shape(label, "mask", partial(_of_mask, points[0], items[0].get("mask")))
    return Shape(label, "polygon", partial(_refused, f"a shape of type {kind!r} is not read"))


def _refused(reason: str, size: Size) -> ShownEllipse:
    raise ValueError(reason)


def _of_circle(points: Points, size: Size) -> ShownEllipse:
    if len(points) != 2:
        raise ValueError("a circle has two points")
    (cx, cy), (x, y) = points
    radius = float(np.hypot(x - cx, y - cy))
    return of_ellipse((cx, cy, radius, radius), 0.0, size)


def _of_corners(points: Points, size: Size) -> ShownEllipse:
    if len(points) not in (2, 4):
        raise ValueError("a rectangle has two or four points")
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return of_box((x0, y0, x1, y1), 0.0, size)


def _of_turned_corners(points: Points, size: Size) -> ShownEllipse:
    if len(points) != 4:
        raise ValueError("an oriented rectangle has four points")
    along, across = points[1] - points[0], points[2] - points[1]
    half = np.array([np.hypot(*along), np.hypot(*across)]) / 2
    centre = points.mean(axis=0)
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    return of_box((*(centre - half), *(centre + half)), angle, size)


def _of_mask(points: Points, text: Any, size: Size) -> ShownEllipse:
    """Of a mask as a PNG in base64, placed by its first and last pixel."""
    if len(points) != 2 or not isinstance(text, str):
        raise ValueError("a mask has two points and a picture")
    (x0, y0), (x1, y1) = np.round(points).astype(np.int64)
    width, height = int(x1 - x0 + 1), int(y1 - y0 + 1)
    if x0 < 0 or y0 < 0 or width < 1 or height < 1 or x1 >= size[0] or y1 >= size[1]:
        raise ValueError("its mask lies outside the picture")
    try:
        data = base64.b64decode(text, validate=True)
        header = read_header(data)
    except (binascii.Error, ValueError) as error:
        raise ValueError("its mask is damaged") from error
    if header is None or header.size != (width, height):
        raise ValueError("its mask is not of the size that its points say")
    part = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if part is None:
        raise ValueError("its mask is damaged")
    mask = np.zeros((size[1], size[0]), np.uint8)
    mask[y0 : y1 + 1, x0 : x1 + 1] = part > 0
    return of_mask(mask)


# -- writing ---------------------------------------------------------------------------------


class LabelmeWriter(PictureFolderWriter):
    """Writes each picture with a JSON file of its polygon beside it."""

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """A folder for each part; one for all pictures where they are not divided."""
        return Path(part or "images", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the file beside the picture, where it has an ellipse."""
        if picture.ellipse is None:
            return
        points = polygon_in(picture.ellipse, picture.size)
        width, height = picture.size
        found: dict[str, Any] = {
            "version": _VERSION,
            "flags": {"synthetic": True} if picture.synthetic else {},
            "shapes": [
                {
                    "label": "head",
                    "points": [[round(float(x), 3), round(float(y), 3)] for x, y in points],
                    "group_id": None,
                    "description": "",
                    "shape_type": "polygon",
                    "flags": {},
                    "mask": None,
                }
            ],
            "imagePath": picture.path.name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_bytes(picture.path.with_suffix(".json"), json.dumps(found, indent=2).encode())

    def complete(self) -> None:
        """All is said beside the pictures."""
