"""COCO: one JSON file about many pictures, with polygons or run lengths.

``annotations/instances_*.json`` lies beside ``images/``. See the COCO data format at
https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    of_box,
    of_mask,
    of_model,
    of_polygons,
    points_of,
    polygon_in,
)
from fetalstudio.formats.documents import parse_json
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_PARTS: Mapping[Part | None, str] = {
    "train": "train",
    "validation": "val",
    "test": "test",
    None: "default",
}
"""How the parts are called in the files' names."""
_MOST_CHARACTERS = 1_000_000
"""Of compressed run lengths: more than any mask of a head has, and decoded in half a second."""
_CATEGORY = {"id": 1, "name": "head", "supercategory": "fetus"}


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether a JSON file begins like one in this format."""
    return b'"images"' in head and (b'"annotations"' in head or b'"categories"' in head)


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The pictures of a file; None where it is in another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    found = parse_json(data)
    if not isinstance(found, dict) or not isinstance(found.get("images"), list):
        return None
    try:
        names = {item["id"]: str(item["name"]) for item in found.get("categories", ())}
        _check_once(found.get("categories", ()), "name", "categories")
        _check_once(found["images"], "file_name", "images")
        shapes: dict[Any, list[Shape]] = defaultdict(list)
        for item in found.get("annotations", ()):
            label = names.get(item["category_id"], str(item["category_id"]))
            shapes[item["image_id"]].append(_shape(label, item))
        if not shapes.keys() <= {item["id"] for item in found["images"]}:
            raise ValueError("it annotates an image that it does not list")
        return [
            AnnotatedPicture(
                path,
                str(item["file_name"]),
                (int(item["width"]), int(item["height"])) if item.get("width") else None,
                tuple(shapes.get(item["id"], ())),
                _part_of(path),
            )
            for item in found["images"]
        ]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("an image or annotation in it lacks what COCO requires") from error


def _check_once(items: Sequence[Mapping[str, Any]], name: str, what: str) -> None:
    """Raise ``ValueError`` where an id has two meanings, as where files were put together: an
    outline would count for both."""
    meanings: dict[Any, str] = {}
    for item in items:
        one, other = meanings.setdefault(item["id"], item[name]), item[name]
        if one != other:
            raise ValueError(f"its {what} {one!r} and {other!r} have one id, {item['id']}")


def _shape(label: str, item: Mapping[str, Any]) -> Shape:
    segmentation = item.get("segmentation")
    if isinstance(segmentation, dict):
        shape = Shape(label, "mask", partial(_of_run_lengths, segmentation))
    elif segmentation:
        shape = Shape(label, "polygon", partial(_of_lists, segmentation))
    else:
        shape = Shape(label, "box", partial(_of_bbox, item.get("bbox")))
    return shape if item.get("score") is None else of_model(shape)


def _of_lists(lists: Any, size: Size) -> ShownEllipse:
    if not isinstance(lists, list) or not all(isinstance(ring, list) for ring in lists):
        raise ValueError("its segmentation is neither polygons nor run lengths")
    return of_polygons([points_of(ring) for ring in lists], size)


def _of_bbox(bbox: Any, size: Size) -> ShownEllipse:
    if not isinstance(bbox, list) or len(bbox) != 4:
        raise ValueError("it has neither a segmentation nor a box")
    (x, y), (width, height) = points_of(bbox)
    return of_box((x, y, x + width, y + height), 0.0, size)


def _of_run_lengths(coded: Mapping[str, Any], size: Size) -> ShownEllipse:
    """Of counts from the top left down the columns, as numbers or as COCO's compressed text."""
    width, height = size
    stated, counts = coded.get("size"), coded.get("counts")
    if stated != [height, width]:
        raise ValueError(f"its run lengths are of the size {stated}, not {[height, width]}")
    if isinstance(counts, str):
        counts = _unpacked(counts)
    if not isinstance(counts, list):
        raise ValueError("its run lengths are missing")
    if not all(isinstance(n, int) and 0 <= n <= width * height for n in counts):
        raise ValueError("its run lengths are no numbers of pixels")
    if sum(counts) != width * height:
        raise ValueError("its run lengths do not cover the picture")
    values = np.zeros(len(counts), np.uint8)
    values[1::2] = 1
    return of_mask(np.repeat(values, counts).reshape(width, height).T)


def _unpacked(text: str) -> list[int]:
    """The counts in COCO's compressed text. Not by pycocotools, which writes beyond its memory
    where the text is damaged, and ends the process.

    Each character holds 5 bits of a number, the lowest first, and whether more follow; the third
    count and all after it are stored as differences from the last but one.
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("its run lengths are too many for an outline")
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("its run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("its run lengths end too early")
    return counts


def _part_of(path: Path) -> Part | None:
    """The part that a file's name ends in: ``instances_train2017.json``."""
    word = path.stem.rpartition("_")[2].rstrip("0123456789").lower()
    parts: Mapping[str, Part] = {
        "train": "train",
        "val": "validation",
        "valid": "validation",
        "validation": "validation",
        "test": "test",
    }
    return parts.get(word)


# -- writing ---------------------------------------------------------------------------------


class CocoWriter(PictureFolderWriter):
    """Writes ``images/`` and a file of polygons for each part."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._images: dict[Part | None, list[dict[str, Any]]] = defaultdict(list)
        self._annotations: dict[Part | None, list[dict[str, Any]]] = defaultdict(list)
        self._count = 0

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("images", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Remember the picture and its polygon."""
        self._count += 1
        width, height = picture.size
        self._images[picture.part].append(
            {
                "id": self._count,
                "file_name": picture.path.name,
                "width": width,
                "height": height,
                "synthetic": picture.synthetic,
            }
        )
        if picture.ellipse is None:
            return
        points = polygon_in(picture.ellipse, picture.size)
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        x, y = points.T
        area = abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2
        self._annotations[picture.part].append(
            {
                "id": self._count,
                "image_id": self._count,
                "category_id": _CATEGORY["id"],
                "segmentation": [[round(float(value), 3) for value in points.ravel()]],
                "area": round(area, 2),
                "bbox": [round(float(value), 3) for value in (x0, y0, x1 - x0, y1 - y0)],
                "iscrowd": 0,
            }
        )

    def complete(self) -> None:
        """Write the files."""
        for part, images in self._images.items():
            found = {
                "info": {"description": "Fetal heads, exported by FetalStudio"},
                "licenses": [],
                "images": images,
                "annotations": self._annotations[part],
                "categories": [_CATEGORY],
            }
            path = self.folder / "annotations" / f"instances_{_PARTS[part]}.json"
            write_bytes(path, json.dumps(found).encode())
