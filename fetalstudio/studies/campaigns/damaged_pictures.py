"""Campaigns ``damaged-pictures`` and ``damaged-exports``: what is imported is damaged at random.

The import must take the picture, or leave it out and name it. A PNG carries checksums: one that is
taken without a word must hold the pixels that it held before.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from PIL import Image

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.formats.writing.export_folders import PROVENANCE
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.importing.importers import ImportReport, import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.pixels import picture_id
from fetalstudio.resources import samples_dir
from fetalstudio.studies.campaigns.campaign import Outcome
from fetalstudio.studies.campaigns.child import preload
from fetalstudio.studies.campaigns.damage import damage_bytes, damage_inside
from fetalstudio.studies.campaigns.damaged import DamagedInputs

_SIZE = (200, 136)
_ELLIPSE = Ellipse(100.0, 68.0, 50.0, 38.0, 20.0)
_MASK = "picture_mask.png"
_PRELOADED = (
    *("fetalstudio.project.importing.importers", "fetalstudio.studies.campaigns.damaged_pictures"),
    *("SimpleITK", "openpyxl", "pyarrow.parquet"),
)


class DamagedPictures(DamagedInputs):
    """Damages a picture of one of the kinds, or the mask beside it."""

    def make(self, folder: Path) -> None:
        preload(_PRELOADED)
        folder.mkdir()
        Project.create(self._folder / "empty").close()
        grey = _sample()
        for name, write in KINDS.items():
            write(folder / name, grey)
        self._ids = {path.name: picture_id(read_image(path)) for path in folder.glob("*.png")}
        write_png(folder / _MASK, _ELLIPSE.mask(_SIZE) * np.uint8(255))

    def copy(self, folder: Path) -> None:
        shutil.copytree(self._folder / "empty", folder / "project")
        (folder / "source").mkdir()

    def damage(self, folder: Path, chance: random.Random) -> str:
        name = chance.choice([*KINDS])
        picture = folder / "source" / f"picture{Path(name).suffix}"
        shutil.copy(self._whole / name, picture)
        shutil.copy(self._whole / _MASK, folder / "source" / _MASK)
        (folder / "kind").write_text(name)
        path = picture if chance.random() < 0.8 else folder / "source" / _MASK
        return f"{damage_bytes(path, chance)} ({name})"

    def use(self, folder: Path) -> Outcome:
        name = (folder / "kind").read_text()
        report, held = _imported(folder)
        if report.problems:
            return Outcome(f"{name}: taken, with a word", tuple(_unnamed(report, folder)))
        if name in self._ids and held != {self._ids[name]}:
            return Outcome(f"{name}: taken", ("a changed picture was taken without a word",))
        return Outcome(f"{name}: taken")


class DamagedExports(DamagedInputs):
    """Damages one file of an export in any format, or of a folder with a workbook: a table, an
    annotation file, a picture, a mask or ``provenance.json``."""

    def make(self, folder: Path) -> None:
        preload(_PRELOADED)
        Project.create(self._folder / "empty").close()
        with Project.create(self._folder / "exported") as project:
            for number in range(3):
                frame, _ = project.frames.add(
                    np.roll(_sample(), number, axis=0),
                    name=f"{number:03}_HC",
                    cohort="clinic",
                    subject=f"{number:03}",
                    calibration=Calibration(0.2, 0.2, "table"),
                )
                project.annotations.add(frame.id, _ELLIPSE, author="me", state="final")
            pair = project.pairs.add(
                np.maximum(_sample(), 3).astype(np.uint8),
                name="pair",
                ellipse=_ELLIPSE,
                cohort="synthetic",
                calibration=None,
                quality={"dice": 0.9},
                provenance={"synthesizer": "compact", "seed": 1},
            )
            project.pairs.review(pair.id, "accepted", reviewer="me")
            project.parts.divide(f"{number:03}" for number in range(3))
            for format in EXPORTS:
                export_frames(project, folder / format, format=format)
        _workbook(folder / "workbook")

    def copy(self, folder: Path) -> None:
        shutil.copytree(self._folder / "empty", folder / "project")

    def damage(self, folder: Path, chance: random.Random) -> str:
        format = chance.choice(sorted(path.name for path in self._whole.iterdir()))
        shutil.copytree(self._whole / format, folder / "source")
        (folder / "kind").write_text(format)
        if chance.random() < 0.5:  # what is in it hides what the files of the format say
            (folder / "source" / PROVENANCE).unlink(missing_ok=True)
        paths = sorted((folder / "source").rglob("*"))
        files = [path for path in paths if path.is_file() and path.stat().st_size]
        others = [path for path in files if path.suffix != ".png"]
        path = chance.choice(others if others and chance.random() < 0.8 else files)
        damage = damage_inside if chance.random() < 0.7 else damage_bytes
        return f"{damage(path, chance)} ({format})"

    def use(self, folder: Path) -> Outcome:
        format = (folder / "kind").read_text()
        report, held = _imported(folder)
        if report.problems:
            return Outcome(f"{format}: taken, with a word", tuple(_unnamed(report, folder)))
        return Outcome(f"{format}: taken, {len(held)} frames")


def _workbook(folder: Path) -> None:
    """A frame and a workbook of its ellipse."""
    write_png(folder / "a.png", _sample())
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(("name", "cx", "cy", "a", "b", "angle_deg", "pixel_size_mm", "scanner"))
    sheet.append(("a.png", *asdict(_ELLIPSE).values(), 0.2, "X"))
    book.save(folder / "heads.xlsx")


def _imported(folder: Path) -> tuple[ImportReport, set[str]]:
    """What the import said, and the ids of the frames that came in."""
    with Project.open(folder / "project") as project:
        report = import_frames(project, folder / "source")
        frames = project.frames.all(kind=None)
        for frame in frames:
            project.frames.pixels(frame.id)
        return report, {frame.id for frame in frames}


def _unnamed(report: ImportReport, folder: Path) -> list[str]:
    return [f"no file is named: {said}" for said in report.problems if str(folder) not in said]


def _sample() -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    picture = Image.open(sorted(samples_dir().glob("*_HC.png"))[0]).convert("L").resize(_SIZE)
    return np.asarray(picture, np.uint8)


def _saved(mode: str, **options: Any) -> Callable[[Path, np.ndarray], None]:
    def write(path: Path, grey: np.ndarray) -> None:
        values = grey.astype(np.uint16) * 200 if mode == "I;16" else grey
        picture = Image.fromarray(values)
        (picture if mode == "I;16" else picture.convert(mode)).save(path, **options)

    return write


def _pages(path: Path, grey: np.ndarray) -> None:
    first, second = Image.fromarray(grey), Image.fromarray(255 - grey)
    first.save(path, save_all=True, append_images=[second], compression="tiff_lzw")


KINDS: Mapping[str, Callable[[Path, np.ndarray], None]] = {
    "grey.png": _saved("L"),
    "deep.png": _saved("I;16"),
    "colour.png": _saved("RGB"),
    "palette.png": _saved("P"),
    "alpha.png": _saved("RGBA"),
    "grey.jpg": _saved("L", quality=85),
    "progressive.jpg": _saved("RGB", quality=85, progressive=True),
    "raw.tif": _saved("L"),
    "lzw.tif": _saved("L", compression="tiff_lzw"),
    "deflate.tif": _saved("RGB", compression="tiff_adobe_deflate"),
    "deep.tif": _saved("I;16", compression="tiff_lzw"),
    "packbits.tif": _saved("L", compression="packbits"),
    "pages.tif": _pages,
    "grey.bmp": _saved("L"),
    "colour.bmp": _saved("RGB"),
    "grey.pgm": _saved("L"),
}
"""How each kind of picture is written, by its file's name."""
