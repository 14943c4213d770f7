"""Small pictures and projects to try things on."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame
from tests.project.kinds import Contents, Picture, PicturesIn


@pytest.fixture
def ellipse() -> Ellipse:
    """A head that fits on the pictures."""
    return Ellipse(48.0, 40.0, 30.0, 22.0, 20.0)


@pytest.fixture
def picture() -> Picture:
    """Makes a different (H, W) uint8 picture from every seed."""

    def make(seed: int, size: tuple[int, int] = (96, 80)) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)

    return make


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as made:
        yield made


@pytest.fixture
def frame(project: Project, picture: Picture) -> Frame:
    """A real frame in the project."""
    calibration = Calibration(0.2, 0.2, "table")
    made, _ = project.frames.add(
        picture(0), name="001_HC", cohort="c", subject="001", calibration=calibration
    )
    return made


@pytest.fixture
def hc18(tmp_path: Path, picture: Picture, ellipse: Ellipse) -> Path:
    """A folder in the HC18 layout: five frames, of which ``003_HC`` has no annotation."""
    root = tmp_path / "clinic"
    images = root / "training_set"
    lines = ["filename,pixel size(mm),head circumference (mm)"]
    for i, name in enumerate(("001_HC", "001_2HC", "002_HC", "003_HC", "004_HC")):
        write_png(images / f"{name}.png", picture(100 + i))
        if name != "003_HC":
            ring = ellipse.mask((96, 80)) - Ellipse(48, 40, 28, 20, 20).mask((96, 80))
            write_png(images / f"{name}_Annotation.png", ring * np.uint8(255))
        lines.append(f"{name}.png,0.2,{Ellipse(48, 40, 29, 21, 20).perimeter * 0.2:.2f}")
    (root / "training_set_pixel_size_and_HC.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A folder in which the test may not write, also where the tests run as root."""
    if sys.platform == "win32":
        pytest.skip("a folder's mode does not keep its owner from writing on Windows")
    folder = Path(tempfile.mkdtemp(prefix="fetalstudio-unwritable-"))
    folder.chmod(0o777)
    user = os.geteuid()
    if user == 0:
        os.chown(folder, 65534, -1)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if user == 0:
            os.seteuid(0)
        folder.chmod(0o777)
        shutil.rmtree(folder)


def files_of(path: Path) -> dict[str, bytes]:
    """Every file below, by relative path."""
    return {
        str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()
    }


@pytest.fixture
def contents() -> Contents:
    """Reads every file below a folder, to see that nothing changed."""
    return files_of


@pytest.fixture
def pictures_in() -> PicturesIn:
    """The files in a project's ``frames``, of whatever kind, except lock files."""
    return lambda path: {
        p.name for p in (path / "frames").rglob("*") if p.is_file() and p.suffix != ".lock"
    }
