"""The raw layout of nnU-Net v2: ``imagesTr/CASE_0000.png`` with ``labelsTr/CASE.png``,
``imagesTs/`` and ``dataset.json``, which names the values of the labels; the same with NIfTI.

The parts are in ``splits_final.json``, of which the first fold is read and written, and in the
folders: what is in ``imagesTs`` is to be tested on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.errors import InputError
from fetalstudio.core.splits import Part
from fetalstudio.formats.annotations.shapes import is_head
from fetalstudio.formats.documents import MAX_BYTES, parse_json
from fetalstudio.formats.files import read_bounded, write_bytes
from fetalstudio.formats.folders import mask_folders
from fetalstudio.formats.pictures.picture_files import ANNOTATION_NOTE, stem_of
from fetalstudio.formats.pictures.volumes import write_volume
from fetalstudio.formats.reading.frame_records import Coding, FrameRecord, FrameSource
from fetalstudio.formats.writing.export_folders import PictureFolderWriter, Written
from fetalstudio.formats.writing.volume_pairs import spacing_of

_DATASET, _SPLITS = "dataset.json", "splits_final.json"
_TRAIN, _TEST = "imagesTr", "imagesTs"
_LABELS: Mapping[str, str] = {_TRAIN: "labelsTr", _TEST: "labelsTs"}
_CHANNEL = "_0000"
_HEAD_LABEL = "fetal_head"
_HEAD = re.compile(r"head|skull|crani|calvari", re.IGNORECASE)
_ANYTHING = re.compile(
    r"(?:foreground|object|target|structure|class|label|mask|region|fetus|foetus|ellipse|outline)?"
    r"[-_ ]?\d*",
    re.IGNORECASE,
)
"""Names of labels that do not say what they mark."""

# -- reading ---------------------------------------------------------------------------------


def recognise(source: Path) -> bool:
    """Whether the description and the training pictures are there."""
    return (source / _DATASET).is_file() and (source / _TRAIN).is_dir()


def read(source: Path) -> FrameSource:
    """Find the frames; no picture is decoded.

    What is wrong with the two JSON files is among the problems. Raises ``OSError`` for a folder
    that cannot be listed.
    """
    found = mask_folders.read(source)
    coding, problems = _coding(source / _DATASET)
    parts: Mapping[str, Part] = {}
    # nnU-Net has its splits among the preprocessed data, not beside the raw data.
    preprocessed = source.parent.parent / "nnUNet_preprocessed" / source.name
    for path in (source / _SPLITS, preprocessed / _SPLITS):
        if path.is_file():
            try:
                parts = _parts(path)
            except InputError as error:
                problems += (f"{error} The parts in it were not used.",)
            break
    return replace(
        found,
        records=tuple(_completed(record, coding, parts) for record in found.records),
        problems=found.problems + problems,
    )


def _completed(
    record: FrameRecord, coding: Coding | None, parts: Mapping[str, Part]
) -> FrameRecord:
    case = stem_of(record.path).removesuffix(_CHANNEL)
    tested = record.path.parent.name.lower() == _TEST.lower()
    part: Part | None = "test" if tested else parts.get(case)
    return replace(
        record,
        name=record.name.removesuffix(_CHANNEL),
        part=part,
        coding=record.coding if record.annotation is None else coding,
    )


def _coding(path: Path) -> tuple[Coding | None, tuple[str, ...]]:
    """What the values of the labels mean; None where the description leaves that open."""
    try:
        labels = _read(path)["labels"]
        marked = {str(name): value for name, value in labels.items() if value != 0}
    except (InputError, KeyError, TypeError, AttributeError) as error:
        said = str(error) if isinstance(error, InputError) else f"{path} names no labels."
        return None, (f"{said} What the values of the masks mean is not known from it.",)
    if not all(isinstance(value, int) for value in marked.values()):
        return None, ()  # regions of several values: which is the head has to be stated
    heads = [name for name in marked if _HEAD.search(name) or is_head(name)]
    values = frozenset(str(value) for value in marked.values())
    if len(heads) == 1:
        head = str(marked[heads[0]])
        return Coding(head, values - {head}), ()
    if heads or (len(marked) == 1 and all(map(_ANYTHING.fullmatch, marked))):
        return None, ()
    return Coding(None, values), ()


def _parts(path: Path) -> Mapping[str, Part]:
    """The part of each case in the first fold."""
    try:
        fold = _read(path)[0]
        parts: dict[str, Part] = {str(case): "train" for case in fold["train"]}
        return parts | {str(case): "validation" for case in fold["val"]}
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path} is damaged: it has no first fold. Copy it again.") from error


def _read(path: Path) -> Any:
    try:
        return parse_json(read_bounded(path, MAX_BYTES))
    except ValueError as error:
        raise InputError(f"{path} is damaged: it is not JSON. Copy it again.") from error


# -- writing ---------------------------------------------------------------------------------


class NnUnetWriter(PictureFolderWriter):
    """Writes frames and pairs as PNG files in this layout.

    Frames without an ellipse cannot be trained on: they go to ``imagesTs``, with those of the test
    part.
    """

    suffix = ".png"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cases: dict[Part, list[str]] = {"train": [], "validation": []}

    def place(self, stem: str, part: Part | None, *, annotated: bool) -> Path:
        """By part, as far as the layout has parts."""
        folder = _TRAIN if annotated and part != "test" else _TEST
        return Path(folder, f"{stem}{_CHANNEL}{self.suffix}")

    def describe(self, picture: Written) -> None:
        """Write the mask."""
        folder = picture.path.parent.name
        if folder == _TRAIN:
            self._cases[picture.part or "train"].append(picture.stem)
        if picture.ellipse is not None:
            path = self.folder / _LABELS[folder] / f"{picture.stem}{self.suffix}"
            mask = picture.ellipse.mask(picture.size)
            self.write(replace(picture, path=path), mask, ANNOTATION_NOTE)

    def complete(self) -> None:
        """Write ``dataset.json``, and ``splits_final.json`` where there are parts."""
        train, validation = self._cases["train"], self._cases["validation"]
        description = {
            "channel_names": {"0": "ultrasound"},
            "labels": {"background": 0, _HEAD_LABEL: 1},
            "numTraining": len(train) + len(validation),
            "file_ending": self.suffix,
        }
        self._save(_DATASET, description)
        if validation:
            self._save(_SPLITS, [{"train": train, "val": validation}])

    def _save(self, name: str, content: Any) -> None:
        write_bytes(self.folder / name, f"{json.dumps(content, indent=1)}\n".encode())


class NnUnetNiftiWriter(NnUnetWriter):
    """The same as NIfTI, which has the pixel size."""

    suffix = ".nii.gz"

    def write(self, picture: Written, pixels: NDArray[np.uint8], note: str) -> None:
        """The picture, or the mask at its path."""
        write_volume(picture.path, pixels, spacing_of(picture), note)
