"""Pixel sizes that are ten times those of the other frames of a source, or a tenth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import plan_import
from fetalstudio.project.project import Project
from tests.named import import_named

SIZE = (96, 80)
HEAD = Ellipse(48.0, 40.0, 30.0, 22.0, 20.0)


def frames_in(
    folder: Path, sizes: Sequence[object], hc: Sequence[object] = (), mask: bool = False
) -> Path:
    """Frames with these pixel sizes in a table, and with circumferences where they are given."""
    rows = ["filename,pixel size(mm),hc"]
    for number, mm in enumerate(sizes):
        grey = np.random.default_rng(number).integers(0, 256, SIZE[::-1], dtype=np.uint8)
        write_png(folder / f"{number}.png", grey)
        if mask:
            write_png(folder / f"{number}_mask.png", HEAD.mask(SIZE) * np.uint8(255))
        rows.append(f"{number}.png,{mm},{hc[number] if hc else ''}")
    (folder / "t.csv").write_text("\n".join(rows))
    return folder


def in_doubt(plan: ImportPlan) -> dict[str, str]:
    """What is said of the pixel sizes in doubt, by the frames' keys."""
    return {f.key: d.message for f in plan.frames for d in f.doubts if d.question == "calibration"}


@pytest.mark.parametrize(
    ("odd", "text"), [(6.0, "ten times the 0.6 mm"), (0.06, "a tenth of the 0.6 mm")]
)
def test_a_pixel_size_in_another_unit_than_the_others_is_asked_about(
    project: Project, tmp_path: Path, odd: float, text: str
) -> None:
    source = frames_in(tmp_path / "data", [odd, *[0.6] * 4])
    plan = plan_import(project, source)
    ((key, said),) = in_doubt(plan).items()
    assert key == "0.png" and f"{text} of 4 other files with pictures of this size" in said
    (frame,) = (frame for frame in plan.frames if frame.key == "0.png")
    assert frame.calibration is None and frame.frame_id is not None
    for answer, expected in (("keep", odd), ("0.6", 0.6)):
        choices = Choices.of([("calibration", answer, ["0.png"])])
        planned = {f.key: f for f in plan_import(project, source, choices).frames}
        calibration = planned["0.png"].calibration
        assert calibration is not None and calibration.mm_per_px == pytest.approx(expected)
    report = import_named(project, source)
    assert report.frames == 5 and text in report.problems[0]
    assert sum(frame.calibration is None for frame in project.frames.all()) == 1


@pytest.mark.parametrize(
    "sizes",
    [
        [0.4, *[0.2] * 9],  # a scanner at half of the depth
        [0.1, *[0.2] * 9],
        [2.0, *[0.2] * 3],  # too few to say what is usual
        [2.0, 0.11, 0.13, 0.17, 0.2, 0.23],
        [2.1, *[0.2] * 9],
        [0.2] * 10,
    ],
)
def test_what_may_be_right_is_not_asked_about(
    project: Project, tmp_path: Path, sizes: list[float]
) -> None:
    assert in_doubt(plan_import(project, frames_in(tmp_path / "data", sizes))) == {}


def test_if_half_of_the_pixel_sizes_are_ten_times_the_others_nobody_knows_which_are_right(
    project: Project, tmp_path: Path
) -> None:
    source = frames_in(tmp_path / "data", [*[2.0] * 4, *[0.2] * 4])
    assert len(in_doubt(plan_import(project, source))) == 8
    source = frames_in(tmp_path / "more", [*[2.0] * 4, *[0.2] * 5])
    assert set(in_doubt(plan_import(project, source))) == {f"{n}.png" for n in range(4)}


def test_pictures_of_another_size_may_have_other_pixels(project: Project, tmp_path: Path) -> None:
    source = frames_in(tmp_path / "data", [1.5, *[0.15] * 9])
    grey = np.random.default_rng(50).integers(0, 256, (90, 100), dtype=np.uint8)
    write_png(source / "0.png", grey)
    assert in_doubt(plan_import(project, source)) == {}


def test_a_circumference_that_agrees_confirms_a_pixel_size(
    project: Project, tmp_path: Path
) -> None:
    around = [mm * HEAD.perimeter for mm in (2.0, *[0.2] * 5)]
    source = frames_in(tmp_path / "data", [2.0, *[0.2] * 5], around, mask=True)
    assert in_doubt(plan_import(project, source)) == {}
    around[0] /= 10
    frames_in(source, [2.0, *[0.2] * 5], around, mask=True)
    ((key, said),) = in_doubt(plan_import(project, source)).items()
    assert key == "0.png" and "the table says" in said


def test_the_frames_of_hc18_are_not_asked_about(project: Project, tmp_path: Path) -> None:
    """With all digits, and as a table that rounds them has them."""
    whole = [0.0494, 0.0621, 0.0691, 0.0897, 0.0913, 0.1143, 0.1346, 0.2021, 0.2359, 0.3933]
    for digits in (1, 2, 4):
        source = frames_in(tmp_path / f"{digits}", [round(mm, digits) or 0.1 for mm in whole * 2])
        assert in_doubt(plan_import(project, source)) == {}
