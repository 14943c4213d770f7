"""What a project exports comes back the same into another one, in every format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.fit import distances
from fetalstudio.core.splits import Part
from fetalstudio.formats.exports import EXPORTS
from fetalstudio.formats.manifest import SYNTHETIC_FILES, check_manifest
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from tests.named import import_named
from tests.project.kinds import Picture

SIZE = (200, 150)
HEADS = (
    Ellipse(96.3, 71.6, 60.4, 45.2, 31.0),
    Ellipse(95.5, 70.0, 50.0, 40.0, 179.5),
    Ellipse(104.2, 80.7, 41.7, 40.9, 90.0),
    Ellipse(100.0, 12.0, 62.0, 44.0, 75.0),  # the border cuts it
)
SUBJECTS = 8
SPACED = frozenset({"metaimage", "nrrd", "nifti", "psfhs", "nnunet-nifti"})
"""Files that always state some pixel size, also where none is known."""


@pytest.fixture
def full(project: Project, picture: Picture) -> Project:
    """Two frames of each subject, one of which has no ellipse, divided into parts, and a pair."""
    return filled(project, picture, Calibration(0.11, 0.17, "manual"))


def filled(project: Project, picture: Picture, calibration: Calibration) -> Project:
    for i in range(2 * SUBJECTS):
        frame, _ = project.frames.add(
            picture(i, SIZE),
            name=f"frame {i}",
            cohort="c",
            subject=f"{i // 2:03d}",
            calibration=calibration if i % 5 else None,
        )
        project.frames.set_labels(frame.id, {"scanner": f"X{i % 3}"})
        if i != 3:
            head = HEADS[i % len(HEADS)]
            project.annotations.add(frame.id, head, author="A. Person", state="final")
    project.parts.divide(f"{i:03d}" for i in range(SUBJECTS))
    pair = project.pairs.add(
        picture(99, SIZE),
        name="s",
        ellipse=HEADS[0],
        cohort="c",
        calibration=Calibration(0.11, 0.17, "inherited"),
        quality={"dice": 0.9},
        provenance={"synthesizer": "compact", "seed": 7},
    )
    project.pairs.review(pair.id, "accepted", reviewer="A. Person")
    return project


def away(found: Ellipse, drawn: Ellipse) -> float:
    """How far one outline is from the other at most, in px, within the frame."""
    params = (drawn.cx, drawn.cy, drawn.a, drawn.b, drawn.angle_deg)
    points = found.contour(90)
    inside = ((points >= 0) & (points < np.array(SIZE))).all(axis=1)
    return float(np.abs(distances(params, points[inside])).max())


@pytest.mark.parametrize("format", EXPORTS)
def test_a_project_comes_back_in_every_format(
    project: Project, picture: Picture, tmp_path: Path, format: str
) -> None:
    known = format != "hc18-submission"  # it holds ellipses in mm, of square pixels
    full = filled(project, picture, Calibration(0.11, 0.17 if known else 0.11, "manual"))
    out = tmp_path / "out"
    report = export_frames(full, out, format=format)
    assert check_manifest(out).whole
    marked = (out / SYNTHETIC_FILES).read_text().splitlines()
    assert len(marked) == (EXPORTS[format].pairs and format != "parquet")
    with Project.create(tmp_path / "back") as back:
        imported = import_named(back, out)
        unscaled = "a pixel of exactly 1 mm is what programs write where they know none"
        said = [unscaled in problem for problem in imported.problems]
        assert said == [True] * (format in SPACED)
        assert (imported.frames, imported.pairs) == (report.frames, report.pairs)
        assert (report.frames, report.pairs) == (2 * SUBJECTS, EXPORTS[format].pairs)
        assert back.parts.stored() == full.parts.stored()
        drawn, found = full.annotations.by_frame(), back.annotations.by_frame()
        for frame in full.frames.all():
            other = back.frames.get(frame.id)
            assert (other.name, other.subject) == (frame.name, frame.subject)
            assert other.labels == frame.labels
            assert scale(other.calibration) == scale(frame.calibration)
            if frame.id not in drawn or (not known and frame.calibration is None):
                assert frame.id not in found
                continue
            one, two = found[frame.id], drawn[frame.id].ellipse
            assert one.ellipse is not None and two is not None
            assert one.state == "final"
            assert away(one.ellipse, two) < 0.01
        for pair in back.pairs.all():
            assert (pair.ellipse, pair.state) == (HEADS[0], "pending")
            assert scale(pair.frame.calibration) == (0.11, 0.17)
            assert pair.provenance == {"synthesizer": "compact", "seed": 7, "imported": True}


def scale(calibration: Calibration | None) -> tuple[float, float] | None:
    return None if calibration is None else (calibration.mm_per_px_x, calibration.mm_per_px_y)


# -- parts -------------------------------------------------------------------------------------


def test_an_export_before_anything_was_divided_has_no_parts(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    project.frames.add(picture(1), name="f", cohort="c", subject="s")
    export_frames(project, tmp_path / "out", format="png")
    assert (tmp_path / "out" / "f.png").is_file()
    assert project.parts.stored() == {}


def test_a_subject_that_came_later_is_divided_with_the_others(
    full: Project, picture: Picture, tmp_path: Path
) -> None:
    before = full.parts.stored()
    frame, _ = full.frames.add(picture(77, SIZE), name="late", cohort="c", subject="late")
    full.frames.add(picture(78, SIZE), name="bare", cohort="c", subject="bare")
    full.annotations.add(frame.id, HEADS[0], author="me", state="final")
    export_frames(full, tmp_path / "out", format="png")
    after = full.parts.stored()
    assert after == {**before, "late": after["late"]}
    assert (tmp_path / "out" / after["late"] / "late.png").is_file()
    assert (tmp_path / "out" / "bare.png").is_file()


def test_a_pair_whose_sector_is_of_a_held_out_subject_stays_here(
    full: Project, picture: Picture, tmp_path: Path
) -> None:
    parts = full.parts.stored()
    for i, part in enumerate(("test", "validation", "train")):
        source = next(f for f in full.frames.all() if parts[f.subject] == part)
        pair = full.pairs.add(
            picture(200 + i, SIZE),
            name=f"of {part}",
            ellipse=HEADS[0],
            cohort="c",
            calibration=None,
            quality={},
            provenance={"source_frame": source.id},
        )
        full.pairs.review(pair.id, "accepted", reviewer="me")
    report = export_frames(full, tmp_path / "out", format="coco")
    assert report.pairs == 2
    assert [p for p in report.problems if p.startswith("2 accepted pairs left out")]
    assert "2 accepted pairs left out" in (tmp_path / "out" / "DATA_CARD.md").read_text()


def test_the_project_keeps_its_own_parts(full: Project, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_frames(full, out, format="coco")
    swapped: dict[Part, Part] = {"train": "test", "test": "train", "validation": "validation"}
    theirs = full.parts.stored()
    with Project.create(tmp_path / "back") as back:
        back.parts.adopt({"000": swapped[theirs["000"]]})
        problems = import_frames(back, out).problems
        kept = {**theirs, "000": swapped[theirs["000"]]}
        assert back.parts.stored() == kept
    if theirs["000"] != "validation":
        assert ["another part than the project" in problem for problem in problems] == [True]


def test_a_subject_in_several_parts_is_in_none(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    full = filled(project, picture, Calibration(0.11, 0.11, "manual"))
    out = tmp_path / "out"
    export_frames(full, out, format="png")
    (out / "provenance.json").write_text(
        (out / "provenance.json").read_text().replace('"part": "train"', '"part": "test"', 1)
    )
    with Project.create(tmp_path / "back") as back:
        (problem,) = import_frames(back, out).problems
        assert "frames of one subject in several parts (" in problem
        assert len(back.parts.stored()) == SUBJECTS - 1


def test_a_source_that_is_all_for_training_is_not_divided(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    project.frames.add(picture(1), name="f", cohort="c", subject="s")
    project.frames.add(picture(2), name="g", cohort="c", subject="t")
    out = tmp_path / "out"
    export_frames(project, out, format="huggingface")
    (out / "provenance.json").unlink()
    with Project.create(tmp_path / "back") as back:
        assert import_frames(back, out).frames == 2
        assert back.parts.stored() == {}
