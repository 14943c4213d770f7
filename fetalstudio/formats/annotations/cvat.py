"""CVAT for images 1.1: an XML file about many pictures, with ellipses, polygons, masks or boxes.

See https://docs.cvat.ai/docs/manual/advanced/xml_format/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

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
)
from fetalstudio.formats.documents import parse_xml
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_PARTS: Mapping[str, Part] = {
    "train": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
_FILE = "annotations.xml"


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether an XML file begins like one in this format."""
    return b"<annotations" in head


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The pictures of a file; None where it is in another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    root = parse_xml(data)
    if root.tag != "annotations":
        return None
    if root.find("track") is not None:
        raise ValueError(
            "it is in CVAT's format for videos; export the task as CVAT for images 1.1 instead"
        )
    found = []
    for image in root.iter("image"):
        shapes = [_shape(item) for item in image]
        drawn = [
            of_model(shape) if shape is not None and item.get("source") == "auto" else shape
            for item, shape in zip(image, shapes, strict=True)
        ]
        size = None
        if image.get("width") and image.get("height"):
            size = (int(_number(image, "width")), int(_number(image, "height")))
        name, part = image.get("name"), _PARTS.get((image.get("subset") or "").lower())
        if name is None:
            raise ValueError("an image in it has no name")
        known = tuple(shape for shape in drawn if shape is not None)
        others = (item.tag for item, shape in zip(image, shapes, strict=True) if shape is None)
        unread = tuple(sorted({*others} - {"tag"}))
        found.append(AnnotatedPicture(path, name, size, known, part, unread))
    return found


def _shape(item: Element) -> Shape | None:
    label = item.get("label") or ""
    if item.tag == "ellipse":
        numbers = [_number(item, key) for key in ("cx", "cy", "rx", "ry")]
        angle = _number(item, "rotation", 0.0)
        return Shape(label, "exact", partial(of_ellipse, numbers, angle))
    if item.tag == "polygon":
        pairs = (item.get("points") or "").split(";")
        points = points_of([value for pair in pairs for value in pair.split(",")])
        return Shape(label, "polygon", partial(of_polygons, [points]))
    if item.tag == "box":
        corners = [_number(item, key) for key in ("xtl", "ytl", "xbr", "ybr")]
        angle = _number(item, "rotation", 0.0)
        return Shape(label, "box", partial(of_box, corners, angle))
    if item.tag == "mask":
        place = [int(_number(item, key)) for key in ("left", "top", "width", "height")]
        runs = points_of(
            [value for run in (item.get("rle") or "").split(",") for value in (run, 0)]
        )
        return Shape(label, "mask", partial(_of_runs, place, runs))
    return None


def _of_runs(place: Sequence[int], runs: Points, size: Size) -> ShownEllipse:
    """Of a mask in a box: runs along its rows, of pixels outside and inside in turns."""
    left, top, width, height = place
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError("its mask has no place in the picture")
    if left + width > size[0] or top + height > size[1]:
        raise ValueError("its mask lies outside the picture")
    counts = runs[:, 0]
    whole = (counts == np.round(counts)) & (counts >= 0) & (counts <= width * height)
    if not whole.all() or counts.sum() != width * height:
        raise ValueError("the runs of its mask do not cover it")
    values = np.zeros(len(counts), np.uint8)
    values[1::2] = 1
    mask = np.zeros((size[1], size[0]), np.uint8)
    part = np.repeat(values, counts.astype(np.int64)).reshape(height, width)
    mask[top : top + height, left : left + width] = part
    return of_mask(mask)


def _number(item: Element, key: str, default: float | None = None) -> float:
    text = item.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError as error:
        raise ValueError(f"{key} of {item.tag} in it is {text!r}, which is no number") from error
    if not np.isfinite(value):
        raise ValueError(f"{key} of {item.tag} in it is {text!r}, which is no number")
    return value


# -- writing ---------------------------------------------------------------------------------


class CvatWriter(PictureFolderWriter):
    """Writes ``images/`` and ``annotations.xml``, which has the ellipses as they are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._root = Element("annotations")
        SubElement(self._root, "version").text = "1.1"
        meta = SubElement(self._root, "meta")
        label = SubElement(SubElement(SubElement(meta, "task"), "labels"), "label")
        SubElement(label, "name").text = "head"
        SubElement(label, "type").text = "ellipse"
        self._count = 0

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("images", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Remember the picture and its ellipse."""
        width, height = picture.size
        attributes = {
            "id": str(self._count),
            "name": picture.path.name,
            "width": str(width),
            "height": str(height),
        }
        if picture.part is not None:
            attributes["subset"] = picture.part.capitalize()
        self._count += 1
        image = SubElement(self._root, "image", attributes)
        ellipse = picture.ellipse
        if ellipse is not None:
            numbers = {
                "cx": ellipse.cx + 0.5,
                "cy": ellipse.cy + 0.5,
                "rx": ellipse.a,
                "ry": ellipse.b,
                "rotation": ellipse.angle_deg,
            }
            attributes = {"label": "head", "source": "manual", "occluded": "0", "z_order": "0"}
            attributes |= {key: f"{value:.4f}" for key, value in numbers.items()}
            SubElement(image, "ellipse", attributes)

    def complete(self) -> None:
        """Write the file."""
        indent(self._root)
        data: bytes = tostring(self._root, encoding="utf-8", xml_declaration=True)
        write_bytes(self.folder / _FILE, data)
