"""Pascal VOC: an XML file of boxes for each picture, and masks of its classes.

``JPEGImages/``, ``Annotations/NAME.xml``, ``SegmentationClass/NAME.png`` and the parts in
``ImageSets/``. A box does not say how the head in it is turned, so the masks count; these are read
as any other masks.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from fetalstudio.core.errors import InputError
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    of_box,
    of_polygons,
    points_of,
    polygon_in,
)
from fetalstudio.formats.documents import parse_xml
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE, write_png
from fetalstudio.formats.tables.names import key_of
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_LISTS: dict[Part | None, str] = {
    "train": "train",
    "validation": "val",
    "test": "test",
    None: "all",
}
_MAX_LIST = 1 << 24
_PALETTE = bytes([0, 0, 0, 128, 0, 0])
"""The colours of the background and of VOC's first class."""


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether an XML file begins like one in this format."""
    return b"<annotation>" in head or b"<annotation " in head


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The picture of a file; None where it is in another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    root = parse_xml(data)
    if root.tag != "annotation":
        return None
    width, height = (_text(root, f"size/{key}") for key in ("width", "height"))
    try:
        size = (int(float(width)), int(float(height))) if width and height else None
    except (ValueError, OverflowError) as error:
        raise ValueError("the size in it is no number of pixels") from error
    if size is not None and 0 in size:
        size = None  # labelImg writes 0 where it does not know
    name = _text(root, "filename") or path.stem
    shapes = [_shape(item) for item in root.iter("object") if _text(item, "deleted") != "1"]
    known = tuple(shape for shape in shapes if shape is not None)
    part = _parts_in(path.parent.parent / "ImageSets").get(key_of(path.stem))
    unread = ("an object without a box or polygon",) if len(known) < len(shapes) else ()
    return [AnnotatedPicture(path, name, size, known, part, unread)]


@lru_cache(maxsize=4)
def _parts_in(folder: Path) -> Mapping[str, Part]:
    """The parts of the pictures by the keys of their names, as the lists in a folder say; none for
    a picture that several parts list."""
    parts: dict[str, Part] = {}
    twice: set[str] = set()
    for path in sorted(folder.glob("*/*.txt")):
        part = next((part for part, name in _LISTS.items() if name == path.stem.lower()), None)
        if part is None:
            continue
        with contextlib.suppress(InputError):
            lines = read_bounded(path, _MAX_LIST).decode("utf-8", "replace").splitlines()
            for key in {key_of(line.strip()) for line in lines if line.strip()}:
                if parts.setdefault(key, part) != part:
                    twice.add(key)
    return {key: part for key, part in parts.items() if key not in twice}


def _shape(item: Element) -> Shape | None:
    label = _text(item, "name")
    polygon = item.find("polygon")
    if polygon is not None:
        # LabelMe's web application has a list of points in place of numbered coordinates.
        values: list[object] = [_text(p, key) for p in polygon.iter("pt") for key in ("x", "y")]
        while (x := polygon.findtext(f"x{len(values) // 2 + 1}")) is not None:
            values += [x, polygon.findtext(f"y{len(values) // 2 + 1}") or ""]
        return Shape(label, "polygon", partial(of_polygons, [points_of(values)]))
    box = item.find("bndbox")
    if box is None:
        return None
    corners = points_of([_text(box, key) for key in ("xmin", "ymin", "xmax", "ymax")])
    # VOC counts pixels from 1, and both corners belong to the box.
    (x0, y0), (x1, y1) = corners - np.array([[1, 1], [0, 0]])
    return Shape(label, "box", partial(of_box, (x0, y0, x1, y1), 0.0))


def _text(item: Element, key: str) -> str:
    return (item.findtext(key) or "").strip()


# -- writing ---------------------------------------------------------------------------------


class VocWriter(PictureFolderWriter):
    """Writes pictures, boxes, masks whose value 1 is the head, and lists of the parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._lists: dict[Part | None, list[str]] = defaultdict(list)

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("JPEGImages", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Write the box and the mask, and remember the part."""
        width, height = picture.size
        root = Element("annotation")
        SubElement(root, "folder").text = "JPEGImages"
        SubElement(root, "filename").text = picture.path.name
        SubElement(SubElement(root, "source"), "database").text = (
            "synthetic" if picture.synthetic else "FetalStudio"
        )
        size = SubElement(root, "size")
        for key, value in (("width", width), ("height", height), ("depth", 1)):
            SubElement(size, key).text = str(value)
        SubElement(root, "segmented").text = "0" if picture.ellipse is None else "1"
        if picture.ellipse is not None:
            points = polygon_in(picture.ellipse, picture.size)
            low, high = points.min(axis=0), points.max(axis=0)
            item = SubElement(root, "object")
            SubElement(item, "name").text = "head"
            SubElement(item, "pose").text = "Unspecified"
            cut = bool((low <= 0).any() or (high >= np.array(picture.size)).any())
            SubElement(item, "truncated").text = str(int(cut))
            SubElement(item, "difficult").text = "0"
            box = SubElement(item, "bndbox")
            corners = (*(np.floor(low) + 1), *np.ceil(high))
            for key, number in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
                SubElement(box, key).text = str(int(number))
            mask = picture.ellipse.mask(picture.size)
            path = self.folder / "SegmentationClass" / f"{picture.stem}.png"
            write_png(path, mask, ANNOTATION_NOTE, palette=_PALETTE)
            self._lists[picture.part].append(picture.stem)
        indent(root)
        path = self.folder / "Annotations" / f"{picture.stem}.xml"
        data: bytes = tostring(root, encoding="utf-8")
        write_bytes(path, data)

    def complete(self) -> None:
        """Write the lists, and the colours of the classes."""
        folder = self.folder / "ImageSets" / "Segmentation"
        for part, stems in self._lists.items():
            text = "".join(f"{stem}\n" for stem in stems)
            write_bytes(folder / f"{_LISTS[part]}.txt", text.encode())
        colours = "# label:color_rgb:parts:actions\nbackground:0,0,0::\nhead:128,0,0::\n"
        write_bytes(self.folder / "labelmap.txt", colours.encode())
