"""Synthetic pictures come back as pairs, never as real frames."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import (
    FRAME_NOTE,
    SYNTHETIC_NOTE,
    encode_png,
    note_in,
    read_image,
    write_png,
)
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.formats.writing.pair_files import PairFiles, PairRecord
from fetalstudio.project.exporting.exporters import export_frames
from fetalstudio.project.importing.importers import AUTHOR, import_frames
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import SYNTHESIZER, Pair
from tests.named import import_named
from tests.project.kinds import Picture

SIZE = (96, 80)
HEAD = Ellipse(48.0, 36.0, 30.0, 22.0, 20.0)
MOVED = Ellipse(52.0, 40.0, 28.0, 20.0, 20.0)
MADE: dict[str, Any] = {
    "synthesizer": "compact",
    "synthesizer_sha256": "ab" * 32,
    "seed": 7,
    "steps": 12,
    "guidance": 2.5,
    "style": "any",
    "background": "frame",
    "source_frame": "cd" * 32,
    "copy_threshold": 0.8,
}
FIGURES = {"dice": 0.97, "edge": 0.8, "similarity": 0.9}


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "other") as made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def kept(project: Project, pixels: Any, **changes: Any) -> Pair:
    calibration = Calibration(0.2, 0.2, "inherited")
    values: dict[str, Any] = {
        "name": "s",
        "ellipse": HEAD,
        "cohort": "synthetic",
        "calibration": calibration,
    }
    values |= {"quality": FIGURES, "provenance": {**MADE, "batch": 3}}
    return project.pairs.add(pixels, **(values | changes))


def is_same(back: Pair, pair: Pair) -> bool:
    """Whether a pair came back whole, to be reviewed."""
    assert (back.state, back.reviewer in (None, AUTHOR, SYNTHESIZER)) == ("pending", True)
    known = {key: value for key, value in pair.provenance.items() if key != "batch"}
    assert dict(back.provenance) == {**known, "imported": True}
    assert back.frame.kind == "synthetic"
    return (back.frame.id, back.ellipse, back.requested, back.quality, back.copy) == (
        (pair.frame.id, pair.ellipse, pair.requested, pair.quality, pair.copy)
    )


def only(project: Project) -> Pair:
    (pair,) = project.pairs.all()
    return pair


def files_of(
    folder: Path,
    pixels: Any,
    *,
    note: str | None = None,
    copy: bool = False,
    real_pixels: bool | None = None,
) -> None:
    """What ``synthesize --out`` writes."""
    files = PairFiles(folder)
    figures = {"dice": 0.97, "edge": 0.8, "similarity": 0.9}
    record = PairRecord("p", HEAD, SIZE, 7, "any", figures, "0123456789abcdef", copy, real_pixels)
    files.write(
        record, pixels, note or SyntheticNote(HEAD, HEAD, False, None, FIGURES, MADE).text()
    )
    files.write_table()


def test_a_folder_of_pairs(project: Project, picture: Picture, source: Path) -> None:
    files_of(source, picture(1))
    write_png(source / "real.png", picture(2))
    report = import_named(project, source)
    assert (report.frames, report.pairs, report.duplicates, report.problems) == (1, 1, 0, ())
    assert [frame.name for frame in project.frames.all()] == ["real"]
    pair = only(project)
    assert (pair.frame.name, pair.state, pair.ellipse) == ("p", "pending", HEAD)
    assert dict(pair.provenance) == {**MADE, "imported": True}
    assert pair.quality == FIGURES and pair.copy
    assert project.annotations.by_frame() == {}


def test_an_export(project: Project, other: Project, picture: Picture, tmp_path: Path) -> None:
    frame, _ = project.frames.add(picture(0), name="f", cohort="c", subject="s")
    corrected = kept(project, picture(1))
    project.pairs.review(corrected.id, "accepted", reviewer="A. Person", ellipse=MOVED)
    export_frames(project, tmp_path / "out", copies=True, real_pixels=True)
    report = import_frames(other, tmp_path / "out")
    assert (report.frames, report.pairs, report.problems) == (1, 1, ())
    assert [f.id for f in other.frames.all()] == [frame.id]
    back = only(other)
    assert is_same(back, project.pairs.get(corrected.id))
    assert back.corrected and back.frame.calibration == Calibration(0.2, 0.2, "inherited")


def test_a_copy_of_a_store(
    project: Project, other: Project, picture: Picture, source: Path
) -> None:
    frame, _ = project.frames.add(picture(0), name="f", cohort="c", subject="s")
    pair = kept(project, picture(1), label=MOVED)
    shutil.copytree(project.path / "frames", source / "frames")
    report = import_frames(other, source / "frames")
    assert (report.frames, report.pairs) == (1, 1)
    assert [f.id for f in other.frames.all()] == [frame.id]
    assert is_same(only(other), pair)
    assert only(other).reviewer == SYNTHESIZER


def test_what_came_back_can_come_back_again(
    project: Project, other: Project, picture: Picture, source: Path, tmp_path: Path
) -> None:
    files_of(source, picture(1))
    import_frames(project, source)
    pair = only(project)
    shutil.copytree(project.path / "frames", tmp_path / "copy")
    import_frames(other, tmp_path / "copy")
    assert only(other).provenance == pair.provenance
    assert only(other).ellipse == pair.ellipse


def test_a_pair_that_the_project_holds_stays_as_it_is(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    pair = kept(project, picture(1))
    project.pairs.review(pair.id, "accepted", reviewer="A. Person", ellipse=MOVED)
    export_frames(project, tmp_path / "out", copies=True, real_pixels=True)
    before = project.pairs.all()
    report = import_frames(project, tmp_path / "out")
    assert (report.frames, report.pairs) == (0, 0)
    (problem,) = report.problems
    assert "synthetic_1.png (s, accepted)" in problem
    assert project.pairs.all() == before
    # Without its note, the project still knows the picture.
    bare = tmp_path / "bare"
    write_png(bare / "x.png", picture(1))
    report = import_frames(project, bare)
    assert (report.frames, report.pairs) == (0, 0)
    assert "x.png is the synthetic frame s of this project" in report.problems[0]
    assert project.pairs.all() == before and project.frames.all() == []


@pytest.mark.parametrize("note", [SYNTHETIC_NOTE, None], ids=["a bare mark", "no mark"])
def test_the_table_of_pairs_tells_them_where_the_notes_are_gone(
    project: Project, picture: Picture, source: Path, note: str | None
) -> None:
    files_of(source, picture(1), copy=True)
    (source / "p.png").write_bytes(encode_png(picture(1), note))
    report = import_frames(project, source)
    assert (report.frames, report.pairs, report.problems) == (0, 1, ())
    pair = only(project)
    assert (pair.ellipse, pair.provenance["seed"], pair.copy) == (HEAD, 7, True)
    assert pair.quality == FIGURES
    note_now = note_in(project.frames.path(pair.frame.id))
    assert note_now is not None and '"synthetic": true' in note_now


def test_what_the_table_marks_is_marked_where_the_note_is_silent(
    project: Project, picture: Picture, source: Path
) -> None:
    note = SyntheticNote(HEAD, HEAD, False, None, {}, {**MADE, "background": "made"})
    files_of(source, picture(1), note=note.text(), copy=True, real_pixels=True)
    assert not (note.copy or note.contains_real_pixels)
    import_frames(project, source)
    pair = only(project)
    assert pair.copy and pair.contains_real_pixels


def test_the_provenance_of_an_export_tells_them_too(
    project: Project, other: Project, picture: Picture, tmp_path: Path
) -> None:
    project.frames.add(picture(0), name="f", cohort="c", subject="s")
    pair = kept(project, picture(1))
    project.pairs.review(pair.id, "accepted", reviewer="A. Person")
    export_frames(project, tmp_path / "out", copies=True, real_pixels=True)
    for path in (tmp_path / "out" / "training_set").glob("*.png"):
        path.write_bytes(encode_png(read_image(path)))
    report = import_frames(other, tmp_path / "out")
    assert (report.frames, report.pairs) == (1, 1)
    assert is_same(only(other), project.pairs.get(pair.id))


def test_a_table_against_the_note_of_a_real_frame(
    project: Project, picture: Picture, source: Path
) -> None:
    files_of(source, picture(1))
    (source / "p.png").write_bytes(encode_png(picture(1), FRAME_NOTE))
    with pytest.raises(InputError, match="is a real frame, as a note in the file says, but"):
        import_frames(project, source)


def test_a_bare_mark_with_a_mask(project: Project, picture: Picture, source: Path) -> None:
    write_png(source / "a.png", picture(1), SYNTHETIC_NOTE)
    write_png(source / "a_mask.png", HEAD.mask(SIZE) * np.uint8(255))
    write_png(source / "b.png", picture(2), SYNTHETIC_NOTE)
    report = import_frames(project, source)
    assert (report.frames, report.pairs) == (0, 1)
    assert only(project).ellipse.overlap(HEAD) > 0.97
    (problem,) = report.problems
    assert "b.png is synthetic" in problem and "left out" in problem


def test_a_mask_that_a_person_changed_is_the_label(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "a.png", picture(1), SyntheticNote(HEAD, HEAD, False, None, {}, {}).text())
    write_png(source / "a_mask.png", MOVED.mask(SIZE) * np.uint8(255))
    report = import_frames(project, source)
    (problem,) = report.problems
    assert "a.png states another ellipse than" in problem and "a_mask.png" in problem
    pair = only(project)
    assert pair.ellipse.overlap(MOVED) > 0.97 and pair.requested == HEAD and pair.corrected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"synthetic": true, "ellipse": 7}', "its ellipse is damaged"),
        ('{"format": "fetalstudio-synthetic-9", "synthetic": true}', "by a newer FetalStudio"),
        (
            SyntheticNote(Ellipse(900, 900, 20, 10, 0), HEAD, False, None, {}, {}).text(),
            "lies outside",
        ),
    ],
)
def test_a_note_that_cannot_be_believed_costs_its_picture_alone(
    project: Project, picture: Picture, source: Path, text: str, reason: str
) -> None:
    write_png(source / "a.png", picture(1), text)
    write_png(source / "real.png", picture(2), FRAME_NOTE)
    report = import_frames(project, source)
    assert (report.frames, report.pairs) == (1, 0)
    (problem,) = report.problems
    assert reason in problem and "a.png" in problem


def test_a_picture_that_is_also_a_real_frame(
    project: Project, picture: Picture, source: Path
) -> None:
    project.frames.add(picture(1), name="f", cohort="c", subject="s")
    files_of(source, picture(1))
    report = import_frames(project, source)
    assert (report.frames, report.pairs) == (0, 0)
    assert "is the same as the real frame f" in report.problems[0]
    assert project.pairs.all() == []


def test_the_same_picture_with_and_without_its_note(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "a.png", picture(1))
    note = SyntheticNote(HEAD, HEAD, False, None, {}, MADE).text()
    write_png(source / "b.png", picture(1), note)
    report = import_frames(project, source)
    assert (report.frames, report.pairs) == (0, 1)
    assert "a.png is the synthetic frame b of this project" in report.problems[0]
    assert note_in(project.frames.path(only(project).frame.id)) not in (None, FRAME_NOTE)
