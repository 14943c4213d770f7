"""Label Studio: a JSON file of tasks, with ellipses, polygons, brushes or boxes.

Read are the exports JSON and JSON-MIN. All coordinates are in percent of the picture's width and
height, but an ellipse is turned in px. See https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from fetalstudio.core.fit import Points
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    doubtful,
    of_box,
    of_ellipse,
    of_mask,
    of_model,
    of_polygons,
    points_of,
)
from fetalstudio.formats.documents import parse_json
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_FILE = "label_studio.json"
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""
_MOST_RUNS = 2_000_000
"""Bytes of a brush: as many as there are take a second or two."""


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether a JSON file begins like one in this format."""
    tasks = b'"annotations"' in head and b'"result"' in head
    return tasks or b'"original_width"' in head


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The pictures of a file, one for each annotation of a task; None for another format.

    Raises ``ValueError`` with the reason for a damaged file.
    """
    found = parse_json(data)
    if not isinstance(found, list):
        return None
    try:
        return [picture for task in found for picture in _pictures(path, task)]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError("a task in it lacks what Label Studio requires") from error


def _pictures(path: Path, task: Mapping[str, Any]) -> Iterator[AnnotatedPicture]:
    if "annotations" not in task:  # JSON-MIN has the values beside the picture
        texts = [value for value in task.values() if isinstance(value, str)]
        name = task.get("image") or (texts[0] if texts else "")
        lists = [value for value in task.values() if isinstance(value, list)]
        items = [item for values in lists for item in values if isinstance(item, dict)]
        yield _picture(path, name, [{**item, "value": item} for item in items])
        return
    place = task.get("data") or {}
    name = place.get("image") or next((v for v in place.values() if isinstance(v, str)), "")
    part = place.get("part")
    part = part if part in ("train", "validation", "test") else None
    drawn = [found for found in task["annotations"] if not found.get("was_cancelled")]
    for annotation in drawn:
        yield replace(_picture(path, name, annotation["result"]), part=part)
    for prediction in () if task["annotations"] else task.get("predictions") or ():
        found = _picture(path, name, prediction["result"])
        yield replace(found, part=part, shapes=tuple(map(of_model, found.shapes)))


def _picture(path: Path, url: str, results: Sequence[Mapping[str, Any]]) -> AnnotatedPicture:
    sizes = {
        (int(item["original_width"]), int(item["original_height"]))
        for item in results
        if item.get("original_width") and item.get("original_height")
    }
    if len(sizes) > 1:
        raise ValueError(f"it states several sizes for {url}")
    # A region may be drawn first and labelled apart, under the same id.
    labels = {item["id"]: label for item in results if "id" in item and (label := _label(item))}
    shapes = []
    for item in results:
        shape = _shape(labels.get(item.get("id"), _label(item)), item["value"])
        if shape is not None and item.get("image_rotation"):
            shape = doubtful(shape, "the picture was turned in Label Studio when it was drawn")
        if shape is not None:
            shapes.append(shape)
    return AnnotatedPicture(path, _file_of(url), next(iter(sizes), None), tuple(shapes))


def _file_of(url: str) -> str:
    """The path in a URL: of an upload, of local storage or of a cloud."""
    split = urlsplit(url.replace("\\", "/"))
    local = parse_qs(split.query).get("d")
    path = local[0] if local else (split.path or url)
    folder, _, name = path.rpartition("/")
    if "upload" in folder.split("/"):
        name = _UPLOADED.sub("", name)
    return f"{folder}/{name}"


def _label(item: Mapping[str, Any]) -> str:
    for key, value in item["value"].items():
        if key.endswith("labels") and isinstance(value, list) and value:
            return str(value[0])
    return ""


def _shape(label: str, value: Mapping[str, Any]) -> Shape | None:
    if "radiusX" in value:
        points = points_of([value[key] for key in ("x", "y", "radiusX", "radiusY")])
        return Shape(label, "exact", partial(_of_ellipse, points, _angle(value)))
    if "points" in value:
        points = points_of([number for point in value["points"] for number in point])
        return Shape(label, "polygon", partial(_of_polygon, points))
    if value.get("format") == "rle":
        return Shape(label, "mask", partial(_of_brush, value.get("rle")))
    if "width" in value and "x" in value:
        points = points_of([value[key] for key in ("x", "y", "width", "height")])
        return Shape(label, "box", partial(_of_box, points, _angle(value)))
    return None


def _angle(value: Mapping[str, Any]) -> float:
    return float(points_of([value.get("rotation") or 0, 0])[0, 0])


def _in_px(points: Points, size: Size) -> Points:
    return points / 100 * np.array(size, np.float64)


def _of_ellipse(points: Points, angle_deg: float, size: Size) -> ShownEllipse:
    (cx, cy), (rx, ry) = _in_px(points, size)
    return of_ellipse((cx, cy, rx, ry), angle_deg, size)


def _of_polygon(points: Points, size: Size) -> ShownEllipse:
    return of_polygons([_in_px(points, size)], size)


def _of_box(points: Points, angle_deg: float, size: Size) -> ShownEllipse:
    """Label Studio turns a box around its first corner."""
    corner, sides = _in_px(points, size)
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = corner + turn @ (sides / 2)
    return of_box((*(centre - sides / 2), *(centre + sides / 2)), angle_deg, size)


def _of_brush(values: Any, size: Size) -> ShownEllipse:
    if not isinstance(values, list) or len(values) > _MOST_RUNS:
        raise ValueError("its brush has no runs, or too many")
    try:
        data = bytes(values)
    except (TypeError, ValueError) as error:
        raise ValueError("its brush holds what is no byte") from error
    width, height = size
    samples = _unpacked(data, width * height * 4)
    return of_mask((samples.reshape(height, width, 4)[..., 3] > 127).astype(np.uint8))


def _unpacked(data: bytes, expected: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The samples of a brush, in Label Studio's own coding of bits.

    After the number of samples (32 bits), the length of one (5 bits, less 1) and of four kinds of
    run (4 bits each, less 1) come runs: whether all samples are equal (1 bit), the kind of run (2
    bits), the number of samples less 1, and the sample or samples.
    """
    place = 0

    def bits(count: int) -> int:
        nonlocal place
        end = place + count
        if end > 8 * len(data):
            raise ValueError("its brush ends too early")
        chunk = int.from_bytes(data[place >> 3 : (end + 7) >> 3])
        place, rest = end, -end % 8
        return (chunk >> rest) & ((1 << count) - 1)

    if bits(32) != expected:
        raise ValueError("its brush is of another size")
    if bits(5) != 7:
        raise ValueError("its brush has samples of other than 8 bits")
    lengths = [bits(4) + 1 for _ in range(4)]
    samples = np.zeros(expected, np.uint8)
    done = 0
    while done < expected:
        equal = bits(1)
        count = bits(lengths[bits(2)]) + 1
        if done + count > expected:
            raise ValueError("its brush is larger than the picture")
        if equal:
            samples[done : done + count] = bits(8)
        else:
            packed = bits(8 * count)
            samples[done : done + count] = np.frombuffer(packed.to_bytes(count), np.uint8)
        done += count
    return samples


# -- writing ---------------------------------------------------------------------------------


class LabelStudioWriter(PictureFolderWriter):
    """Writes ``images/`` and tasks with ellipses, for a project that serves the export's folder as
    local storage."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._tasks: list[dict[str, Any]] = []

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """All in one folder."""
        return Path("images", f"{stem}.png")

    def describe(self, picture: Written) -> None:
        """Remember the picture and its ellipse."""
        (width, height), ellipse = picture.size, picture.ellipse
        results: list[dict[str, Any]] = []
        if ellipse is not None:
            value = {
                "x": 100 * (ellipse.cx + 0.5) / width,
                "y": 100 * (ellipse.cy + 0.5) / height,
                "radiusX": 100 * ellipse.a / width,
                "radiusY": 100 * ellipse.b / height,
                "rotation": ellipse.angle_deg,
                "ellipselabels": ["head"],
            }
            results.append(
                {
                    "id": f"head-{len(self._tasks)}",
                    "type": "ellipselabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": value,
                }
            )
        place = {"image": f"/data/local-files/?d=images/{picture.path.name}"}
        if picture.part is not None:
            place["part"] = picture.part
        annotations = [{"result": results, "was_cancelled": False}] if results else []
        self._tasks.append({"id": len(self._tasks) + 1, "data": place, "annotations": annotations})

    def complete(self) -> None:
        """Write the tasks."""
        write_bytes(self.folder / _FILE, json.dumps(self._tasks, indent=1).encode())
