"""VGG Image Annotator 2: JSON or CSV about many pictures, with ellipses, circles or polygons.

See https://www.robots.ox.ac.uk/~vgg/software/via/. Its files do not say how large a picture is.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    doubtful,
    of_box,
    of_ellipse,
    of_polygons,
    points_of,
)
from fetalstudio.formats.documents import parse_json
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.tables.frame_tables import VIA_CSV
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_FILE = "via_project.json"
_SHAPE, _ATTRIBUTES, _FILE_SIZE = VIA_CSV.decode(), "region_attributes", "file_size"
"""Columns of a CSV export."""
_NAMES = ("name", "label", "class", "structure", "type")
"""Attributes that say what a region shows, where there are several."""


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether a JSON or CSV file begins like one in this format."""
    return any(mark in head for mark in (b'"_via_img_metadata"', b'"regions"', VIA_CSV))


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The pictures of a project or of exported annotations; None for another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    found = _of_csv(data) if path.suffix.lower() == ".csv" else parse_json(data)
    pictures = found.get("_via_img_metadata", found) if isinstance(found, dict) else None
    if not isinstance(pictures, dict) or not pictures:
        return None
    if not all(isinstance(item, dict) and "regions" in item for item in pictures.values()):
        return None
    try:
        return [_picture(path, item) for item in pictures.values()]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("a region in it lacks what VIA requires") from error


def _of_csv(data: bytes) -> dict[str, Any] | None:
    """The pictures of a CSV export, which has a line for each region, as a JSON export has them: by
    name and size, since pictures in several folders may have one name."""
    text = data.decode("utf-8-sig", "replace")
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    pictures: dict[str, Any] = {}
    try:
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter):
            name, shape = row["filename"], parse_json(row[_SHAPE].encode())
            key = f"{name}{row.get(_FILE_SIZE)}"
            picture = pictures.setdefault(key, {"filename": name, "regions": []})
            attributes = parse_json((row.get(_ATTRIBUTES) or "{}").encode())
            if shape:
                region = {"shape_attributes": shape, "region_attributes": attributes}
                picture["regions"].append(region)
    except (KeyError, TypeError, AttributeError, csv.Error) as error:
        raise ValueError("a line in it lacks what VIA requires") from error
    return pictures


def _picture(path: Path, item: Mapping[str, Any]) -> AnnotatedPicture:
    regions = item["regions"]
    regions = regions.values() if isinstance(regions, dict) else regions
    shapes = (_shape(region) for region in regions)
    known = tuple(shape for shape in shapes if shape is not None)
    return AnnotatedPicture(path, str(item["filename"]), None, known)


def _shape(region: Mapping[str, Any]) -> Shape | None:
    shape = region["shape_attributes"]
    kind, label = shape["name"], _label(region.get("region_attributes") or {})
    if kind in ("ellipse", "circle"):
        rx, ry = (shape["r"], shape["r"]) if kind == "circle" else (shape["rx"], shape["ry"])
        (cx, cy), (rx, ry) = points_of([shape["cx"], shape["cy"], rx, ry])
        # VIA turns an ellipse by radians.
        theta = float(points_of([shape.get("theta") or 0, 0])[0, 0])
        found = Shape(label, "exact", partial(of_ellipse, (cx, cy, rx, ry), math.degrees(theta)))
        if abs(theta) <= 2 * math.pi:
            return found
        return doubtful(found, f"its angle of {theta:g} may be in degrees, and radians were read")
    if kind in ("polygon", "polyline"):
        xs, ys = shape["all_points_x"], shape["all_points_y"]
        points = points_of([value for pair in zip(xs, ys, strict=True) for value in pair])
        return Shape(label, "polygon", partial(of_polygons, [points]))
    if kind == "rect":
        (x, y), (w, h) = points_of([shape[key] for key in ("x", "y", "width", "height")])
        return Shape(label, "box", partial(of_box, (x, y, x + w, y + h), 0.0))
    return None


def _label(attributes: Mapping[str, Any]) -> str:
    """What a region shows. A person chooses the names of the attributes."""
    texts = {str(key): value for key, value in attributes.items() if isinstance(value, str)}
    for name in _NAMES:
        for key, value in texts.items():
            if key.lower() == name:
                return value
    return next(iter(texts.values()), "")


# -- writing ---------------------------------------------------------------------------------


class ViaWriter(PictureFolderWriter):
    """Writes ``images/`` and a project of VIA, which has the ellipses as they are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._pictures: dict[str, Any] = {}

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("images", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Remember the picture and its ellipse."""
        regions = []
        ellipse = picture.ellipse
        if ellipse is not None:
            shape = {
                "name": "ellipse",
                "cx": round(ellipse.cx + 0.5, 4),
                "cy": round(ellipse.cy + 0.5, 4),
                "rx": round(ellipse.a, 4),
                "ry": round(ellipse.b, 4),
                "theta": round(math.radians(ellipse.angle_deg), 6),
            }
            regions.append({"shape_attributes": shape, "region_attributes": {"name": "head"}})
        bytes_of = picture.path.stat().st_size
        self._pictures[f"{picture.path.name}{bytes_of}"] = {
            "filename": picture.path.name,
            "size": bytes_of,
            "regions": regions,
            "file_attributes": {},
        }

    def complete(self) -> None:
        """Write the project."""
        found = {
            "_via_settings": {
                "ui": {},
                "core": {"buffer_size": 18, "filepath": {}, "default_filepath": "images/"},
                "project": {"name": "fetal heads"},
            },
            "_via_img_metadata": self._pictures,
            "_via_attributes": {
                "region": {"name": {"type": "text", "description": "", "default_value": "head"}},
                "file": {},
            },
            "_via_data_format_version": "2.0.10",
            "_via_image_id_list": list(self._pictures),
        }
        write_bytes(self.folder / _FILE, json.dumps(found).encode())
