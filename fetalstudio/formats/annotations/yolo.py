"""YOLO: a text file for each picture, with a line for each polygon or box, in shares of its size.

``images/train/NAME.png`` goes with ``labels/train/NAME.txt``, and ``data.yaml`` names the classes.
See https://docs.ultralytics.com/datasets/segment/.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import yaml

from fetalstudio.core.errors import InputError
from fetalstudio.core.fit import Points
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import (
    AnnotatedPicture,
    Shape,
    of_box,
    of_polygons,
    points_of,
    polygon_in,
)
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written

_LINE = re.compile(
    rb"^[ \t]{0,9}\d{1,6}([ \t]{1,9}-?\d{0,9}\.?\d{1,20}(e-?\d{1,3})?){4,6}([ \t]|\r?$)",
    re.IGNORECASE | re.MULTILINE,
)
"""The beginning of a line. All repetitions have bounds, so that no text takes long."""
_DATA, _LISTS = ("data.yaml", "dataset.yaml", "data.yml"), ("classes.txt", "obj.names")
_LEVELS_UP = 4
_MAX_NAMES = 1 << 20
_LONGEST, _DEEPEST = 1 << 16, 50
"""Characters and open brackets of a ``data.yaml``."""
_CLASS = re.compile(r"\d{1,6}", re.ASCII)
_TOLERANCE, _OF_BOX = 0.01, 0.25
"""What an outline may reach beyond the picture, as a share of its size, and the corners of a turned
box around a head that the border cuts."""
_PARTS: Mapping[str, Part] = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
_FOLDERS: Mapping[Part | None, str] = {
    "train": "train",
    "validation": "val",
    "test": "test",
    None: "all",
}


# -- reading ---------------------------------------------------------------------------------


def matches(head: bytes) -> bool:
    """Whether a line of a text file is one in this format."""
    return _LINE.search(head.removeprefix(BOM_UTF8)) is not None


def read(path: Path, data: bytes) -> Sequence[AnnotatedPicture] | None:
    """The picture of a file. Raises ``ValueError`` with the reason for a damaged file."""
    names = _names_for(path.parent)
    shapes = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        if not cells[0].isdecimal() or len(cells[0]) > 6 or len(cells) < 5:
            raise ValueError(f"line {number} is no class with its coordinates")
        label, values = names.get(int(cells[0]), cells[0]), cells[1:]
        points = points_of(values[: len(values) // 2 * 2])
        beyond = _OF_BOX if len(values) == 8 else _TOLERANCE
        if not (np.isfinite(points).all() and (np.abs(points - 0.5) <= 0.5 + beyond).all()):
            raise ValueError(f"line {number} has coordinates that are no shares of the picture")
        if len(values) in (4, 5):  # the fifth is a model's confidence
            shapes.append(Shape(label, "box", partial(_of_box, points)))
        elif len(values) % 2:
            raise ValueError(f"line {number} has an odd number of coordinates")
        else:
            shapes.append(Shape(label, "polygon", partial(_of_polygon, points)))
    parts = [_PARTS[p.lower()] for p in path.parts[-4:-1] if p.lower() in _PARTS]
    place = [("images" if part == "labels" else part) for part in path.parts[-4:-1]]
    name = "/".join((*place, path.stem))
    return [AnnotatedPicture(path, name, None, tuple(shapes), parts[-1] if parts else None)]


def _of_polygon(points: Points, size: Size) -> ShownEllipse:
    return of_polygons([points * np.array(size, np.float64)], size)


def _of_box(points: Points, size: Size) -> ShownEllipse:
    (cx, cy), (width, height) = points[:2] * np.array(size, np.float64)
    x0, y0 = cx - width / 2, cy - height / 2
    return of_box((x0, y0, x0 + width, y0 + height), 0.0, size)


def _names_for(folder: Path) -> Mapping[int, str]:
    """The names of the classes, from the nearest file that has them in or above the folder."""
    for above in (folder, *folder.parents)[:_LEVELS_UP]:
        for name in (*_DATA, *_LISTS):
            path = above / name
            if path.is_file():
                return _names_in(path, path.stat().st_mtime_ns)
    return {}


@lru_cache(maxsize=16)
def _names_in(path: Path, changed: int) -> Mapping[int, str]:
    """The classes in a file, as it was at a time. Raises ``ValueError`` for a damaged file."""
    try:
        text = read_bounded(path, _MAX_NAMES).decode("utf-8", "replace")
    except InputError as error:
        raise ValueError(str(error)) from error
    if path.name in _LISTS:
        return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    depths = accumulate((c in "[{") - (c in "]}") for c in text)
    if len(text) > _LONGEST or max(depths, default=0) > _DEEPEST:  # PyYAML would take seconds
        raise ValueError(f"{path} is no list of classes, so these are not known")
    try:
        # Texts alone: no merged mappings, which a short file can make gigabytes of.
        found = yaml.load(text, yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no YAML, so its classes are not known") from error
    names = found.get("names") if isinstance(found, dict) else None
    if isinstance(names, list):
        names = {str(number): name for number, name in enumerate(names)}
    if not isinstance(names, dict):
        return {}
    # A list of lists that repeat each other would be gigabytes as text.
    texts = {key: name for key, name in names.items() if isinstance(name, str)}
    return {int(key): name for key, name in texts.items() if _CLASS.fullmatch(str(key))}


# -- writing ---------------------------------------------------------------------------------


class YoloWriter(PictureFolderWriter):
    """Writes ``images/``, ``labels/`` with polygons, and ``data.yaml``.

    YOLO takes a picture without a label for one without a head, so frames without an ellipse lie in
    ``unannotated``, which ``data.yaml`` does not name.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._parts: set[Part | None] = set()

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """A folder for each part."""
        folder = Path("images", _FOLDERS[part]) if annotated else Path("unannotated")
        return folder / f"{stem}.png"

    def describe(self, picture: Written) -> None:
        """Write the label."""
        if picture.ellipse is None:
            return
        self._parts.add(picture.part)
        points = polygon_in(picture.ellipse, picture.size) / np.array(picture.size, np.float64)
        values = " ".join(f"{value:.6f}" for value in points.ravel())
        folder = self.folder / "labels" / _FOLDERS[picture.part]
        write_bytes(folder / f"{picture.stem}.txt", f"0 {values}\n".encode())

    def complete(self) -> None:
        """Write ``data.yaml``."""
        lines = ["# Fetal heads, exported by FetalStudio."]
        train = "train" if "train" in self._parts else "all"
        val = "val" if "validation" in self._parts else train
        if val == train:
            lines.append("# There is no validation part: val repeats train, so its figures are")
            lines.append("# those of the training.")
        lines += [f"train: images/{train}", f"val: images/{val}"]
        if "test" in self._parts:
            lines.append("test: images/test")
        lines += ["names:", "  0: head", ""]
        write_bytes(self.folder / _DATA[0], "\n".join(lines).encode())
