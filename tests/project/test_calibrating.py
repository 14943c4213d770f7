"""Calibrations and labels of many frames: what is replaced, and taking it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.calibrating import from_number, from_table, removal
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame
from tests.project.kinds import Picture

HELD = Calibration(0.2, 0.2, "dicom")


@pytest.fixture
def frames(project: Project, picture: Picture) -> list[Frame]:
    """``a`` and ``b`` without a calibration, ``c`` and ``d`` with one."""
    for i, name in enumerate("abcd"):
        calibration = HELD if name in "cd" else None
        project.frames.add(picture(i), name=name, cohort="x", subject=name, calibration=calibration)
    return project.frames.all()


def sizes(project: Project) -> list[float | None]:
    held = [frame.calibration for frame in project.frames.all()]
    return [None if calibration is None else calibration.mm_per_px_x for calibration in held]


def test_a_pixel_size_is_set_for_many_in_one_step(project: Project, frames: list[Frame]) -> None:
    wanted = from_number(frames, 0.1)
    assert [frame.name for frame in wanted.replaced] == ["c", "d"]
    assert wanted.sources() == "2 DICOM"
    assert len(wanted.chosen(replace=False)) == 2
    missing = project.amendments.set_calibrations(wanted.chosen(replace=False), author="me")
    assert missing.description == "set the calibration of 2 frames"
    assert sizes(project) == [0.1, 0.1, 0.2, 0.2]
    every = project.amendments.set_calibrations(wanted.chosen(replace=True), author="me")
    assert every.description == "set the calibration of 2 frames", "only those that change"
    assert sizes(project) == [0.1] * 4
    project.amendments.undo(author="me")
    assert sizes(project) == [0.1, 0.1, 0.2, 0.2]
    assert project.frames.all()[2].calibration == HELD
    project.amendments.redo(every.id, author="me")
    assert sizes(project) == [0.1] * 4
    project.amendments.undo(every.id, author="me")
    project.amendments.undo(missing.id, author="me")
    assert project.frames.all() == frames


def test_the_same_size_from_another_source_changes_nothing(frames: list[Frame]) -> None:
    assert from_number(frames[2:], 0.2).wanted == ()


def test_a_calibration_is_taken_away(project: Project, frames: list[Frame]) -> None:
    wanted = removal(frames)
    removed = project.amendments.set_calibrations(wanted.chosen(replace=True), author="me")
    assert removed.description == "removed the calibration of 2 frames"
    assert sizes(project) == [None] * 4
    project.amendments.undo(author="me")
    assert project.frames.all() == frames


def test_a_table_gives_each_frame_its_pixel_size(frames: list[Frame], tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\na.png,0.11\nC,0.12\nz,0.3\nb,wide\n")
    wanted = from_table(frames, table)
    found = {frame.name: calibration for frame, calibration in wanted.wanted}
    assert found == {"a": Calibration(0.11, 0.11, "table"), "c": Calibration(0.12, 0.12, "table")}
    said = " ".join(wanted.notes)
    assert "line 5" in said and "no pixel size for b, d" in said
    with pytest.raises(InputError, match="lacks the column"):
        table.write_text("name,hc\na,1\n")
        from_table(frames, table)


def test_what_is_no_pixel_size_is_refused(frames: list[Frame]) -> None:
    for number in (0.0, 1e-300, 0.0009, -1.0, 11.0, float("nan")):
        with pytest.raises(InputError, match="is not possible"):
            from_number(frames, number)


def test_a_label_is_set_changed_and_taken_away(project: Project, frames: list[Frame]) -> None:
    ids = [frame.id for frame in frames]
    project.frames.set_labels(ids[0], {"quality": "clear", "site": "1"})
    project.amendments.set_label(ids, "quality", " clear ", author="me")
    assert [frame.labels.get("quality") for frame in project.frames.all()] == ["clear"] * 4
    removed = project.amendments.set_label(ids, "quality", "", author="me")
    assert removed.description == "removed the label quality of 4 frames"
    assert [frame.labels for frame in project.frames.all()] == [{"site": "1"}, {}, {}, {}]
    project.amendments.undo(author="me")
    project.amendments.undo(author="me")
    assert project.frames.all()[0].labels == {"quality": "clear", "site": "1"}
    assert [frame.labels for frame in project.frames.all()[1:]] == [{}, {}, {}]


@pytest.mark.parametrize("value", ["\ud800", "good\nbad", "a\x1b[31m"])
def test_a_label_that_cannot_be_seen_whole_changes_nothing(
    project: Project, frames: list[Frame], value: str
) -> None:
    project.frames.set_labels(frames[0].id, {"quality": "clear"})
    with pytest.raises(InputError, match="cannot be seen"):
        project.amendments.set_label([frames[0].id], "quality", value, author="me")
    assert project.frames.get(frames[0].id).labels == {"quality": "clear"}


def test_an_age_is_checked_wherever_it_is_set(project: Project, frames: list[Frame]) -> None:
    ids = [frame.id for frame in frames]
    project.amendments.set_label(ids, "gestational_age", "20w3d", author="me")
    assert project.frames.all()[0].labels == {"gestational_age": "20+3"}
    for value in ("20.3", "tomorrow"):
        with pytest.raises(InputError, match="such as 20"):
            project.amendments.set_label(ids, "gestational_age", value, author="me")
    with pytest.raises(InputError, match="like that already"):
        project.amendments.set_label(ids, "gestational_age", "20+3", author="me")
    with pytest.raises(InputError, match="needs a label"):
        project.amendments.set_label(ids, " ", "x", author="me")


def test_what_a_person_has_set_since_is_not_taken_back(
    project: Project, frames: list[Frame]
) -> None:
    wanted = from_number(frames[:2], 0.1).chosen(replace=True)
    amendment = project.amendments.set_calibrations(wanted, author="me")
    measured = Calibration(0.15, 0.15, "manual")
    project.frames.set_calibration(frames[0].id, measured)
    project.amendments.undo(amendment.id, author="me")
    assert sizes(project)[:2] == [0.15, None]
    project.amendments.redo(amendment.id, author="me")
    project.frames.set_calibration(frames[1].id, measured)
    with pytest.raises(UserError, match="was changed since"):
        project.amendments.undo(amendment.id, author="me")
