"""Subjects by the names of frames, and what a person decides before they are set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fetalstudio.core.name_patterns import NamePattern
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.patients import is_key
from fetalstudio.project.project import Project
from fetalstudio.project.regrouping import Regrouper
from fetalstudio.project.store.records import Frame
from tests.formats.dicom_files import speckle
from tests.formats.dicom_files import write as write_dicom
from tests.project.kinds import Picture


@pytest.fixture
def frames(project: Project, picture: Picture) -> list[Frame]:
    """Two frames each of ``Meier_Anna`` and ``Quaresma``, and one that says nothing."""
    names = ("Meier_Anna_1", "Meier_Anna_2", "Quaresma_1", "Quaresma_2", "scan")
    for i, name in enumerate(names):
        project.frames.add(picture(i), name=name, cohort="c", subject=f"s{i}")
    return project.frames.all()


def test_frames_are_grouped_by_their_names_under_keys(
    project: Project, frames: list[Frame]
) -> None:
    grouping = Regrouper(project).by_names(frames, NamePattern.parse("{subject}_#"))
    assert [match.read for match in grouping.matches] == [
        "Meier_Anna", "Meier_Anna", "Quaresma", "Quaresma", None
    ]  # fmt: skip
    assert grouping.summary() == (
        "4 frames become 2 subjects. 1 name does not match; its frame stays as it is."
    )
    assert [frame.name for frame in grouping.unmatched] == ["scan"]
    assert len(set(grouping.subjects.values())) == 2
    assert all(map(is_key, grouping.subjects.values()))
    assert set(grouping.subjects.values()) == {
        project.patients.key("Meier_Anna"),
        project.patients.key("Quaresma"),
    }
    amendment = project.amendments.set_subjects(grouping.subjects, author="me")
    assert amendment.description == "set the subject of 4 frames"
    now = project.frames.all()
    assert len({frame.subject for frame in now}) == 3
    again = Regrouper(project).by_names(now, NamePattern.parse("{subject}_#"))
    assert again.subjects == {} and "as they are" in again.summary()
    project.amendments.undo(author="me")
    assert project.frames.all() == frames


def test_a_subject_that_the_project_has_is_taken_as_it_is(
    project: Project, picture: Picture
) -> None:
    project.frames.add(picture(0), name="023_HC", cohort="c", subject="023")
    project.frames.add(picture(1), name="023_new", cohort="c", subject="x")
    frames = project.frames.all()
    grouping = Regrouper(project).by_names(frames, NamePattern.parse("{subject}_*"))
    assert list(grouping.subjects.values()) == ["023"]


def test_frames_of_one_video_are_not_split_in_silence(project: Project, picture: Picture) -> None:
    video = project.patients.keys().video("s", "clip")
    for i, name in enumerate(("a_1", "a_2", "b_3", "c_4")):
        of = video if i < 3 else None
        project.frames.add(picture(i), name=name, cohort="c", subject="s", video=of)
    frames = project.frames.all()
    regrouper = Regrouper(project)
    assert set(project.frames.videos().values()) == {video}
    (question,) = regrouper.by_names(frames, NamePattern.parse("{subject}_*")).questions
    assert "A video shows one patient" in question and "a_1" in question and "c_4" not in question
    assert regrouper.questions({frames[3].id: "t"}) == ()
    assert regrouper.questions({frame.id: "t" for frame in frames[:3]}) == ()
    assert {frame.name for frame in regrouper.same_video([frames[0].id])} == {"a_2", "b_3"}
    project.amendments.set_subject([frames[0].id], "t", author="me")
    # What is split already is not asked about again.
    assert Regrouper(project).questions({frames[3].id: "t", frames[1].id: "t"}) == ()


def test_subjects_of_different_parts_are_not_joined_in_silence(
    project: Project, picture: Picture
) -> None:
    for i in range(8):
        project.frames.add(picture(i), name=f"f{i}", cohort="c", subject=f"s{i}")
    frames = {frame.subject: frame.id for frame in project.frames.all()}
    parts = project.parts.divide(frames)
    trained, other = [s for s, part in parts.items() if part == "train"][:2]
    tested = next(s for s, part in parts.items() if part == "test")
    regrouper = Regrouper(project)
    assert regrouper.questions({frames[trained]: "new", frames[other]: "new"}) == ()
    joined = {frames[tested]: "new", frames[trained]: "new"}
    (question,) = regrouper.questions(joined)
    assert f"{tested} (test)" in question and f"{trained} (training)" in question
    assert "then in the training part" in question
    project.amendments.set_subjects(joined, author="me")
    assert project.parts.stored()["new"] == "train", "the order of the frames does not count"
    # One that was used before keeps its part, and that is asked about as well.
    (question,) = Regrouper(project).questions({frames[other]: tested})
    assert "then in the test part" in question


def test_an_import_knows_which_frames_are_of_one_video(project: Project, tmp_path: Path) -> None:
    """Of a file with several frames, and of pictures whose names say so."""
    source = tmp_path / "in"
    source.mkdir()
    write_dicom(source / "cine.dcm", speckle(3), PatientID="Meier", SOPInstanceUID="1.2.3")
    for number in (1, 2):
        write_png(source / f"clip 7_{number:03d}.png", speckle(seed=number + 20)[0], None)
    write_png(source / "alone.png", speckle(seed=30)[0], None)
    report = import_frames(project, source, options=ImportOptions(frames="all", redact="none"))
    assert report.frames == 6
    videos = Counter(project.frames.videos().values())
    assert sorted(videos.values()) == [2, 3]
    assert all(video.startswith("video-") for video in videos)
    assert "Meier" not in str(videos) and "clip" not in str(videos)
    every = project.frames.all()
    assert {
        len({f.subject for f in every if project.frames.videos().get(f.id) == v}) for v in videos
    } == {1}
