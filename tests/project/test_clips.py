"""Which frames of a clip are imported: what is asked, answered and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fetalstudio.core.errors import InputError
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.reading.doubts import LEAVE_OUT, Question
from fetalstudio.formats.reading.frame_reading import read_shown
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.choices_file import read_choices, write_choices
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import Planner, plan_import
from fetalstudio.project.project import Project
from tests.formats.dicom_files import speckle, write

COUNT = 24
CLIP = "cine"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two clips of one patient without a number, and a frame of another."""
    pixels = speckle(COUNT)
    write(tmp_path / "in" / CLIP, pixels, PatientID="", StudyInstanceUID="1.2.3")
    write(tmp_path / "in" / "long", speckle(2 * COUNT, seed=1), PatientID="P08")
    write(tmp_path / "in" / "still", speckle(seed=2), PatientID="P09")
    return tmp_path / "in"


def taken(plan: ImportPlan, clip: str = CLIP) -> list[int]:
    """The numbers of the frames that are taken of a clip."""
    return [int(f.key[-4:]) for f in plan.frames if f.clip == clip and f.frame_id is not None]


def test_the_middle_frame_is_taken_and_that_is_said(project: Project, source: Path) -> None:
    plan = plan_import(project, source)
    assert taken(plan) == [13] and taken(plan, "long") == [25]
    (doubt,) = next(f for f in plan.frames if f.clip == CLIP).doubts
    assert doubt.question is Question.FRAMES and f"{COUNT} frames" in doubt.message
    assert plan.counts().in_doubt == 2
    (said,) = plan.problems
    assert "cine and 1 more: of each clip, the middle frame was imported" in said
    assert "--frames and --every" in said
    report = import_frames(project, source)
    assert report.frames == 3 and report.problems == plan.problems


def test_an_answer_holds_for_one_clip_or_for_all(project: Project, source: Path) -> None:
    planner = Planner(project, source)
    plan = planner.plan(Choices.of([("frames", "1,5,9-12", [CLIP]), ("frames", "every 10", [])]))
    assert taken(plan) == [1, 5, 9, 10, 11, 12] and taken(plan, "long") == [1, 11, 21, 31, 41]
    assert plan.problems == () and plan.counts().in_doubt == 0
    assert all(f.doubts[0].answered({Question.FRAMES: "1,5"}) for f in plan.frames if f.clip)
    plan = planner.plan(Choices.of([("frames", "last", [f"{CLIP}#dicom-0001_0005"])]))
    assert taken(plan) == [24], "a frame stands for its clip"
    with pytest.raises(InputError, match="'every 0' is no answer to frames"):
        import_frames(project, source, options=ImportOptions(frames="every 0"))


def test_frames_that_cannot_be_chosen_are_refused_before_a_file_is_read(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the source was read")

    monkeypatch.setattr("fetalstudio.project.importing.planner.read_source", fail)
    with pytest.raises(InputError, match="'every 0' is no answer to frames"):
        plan_import(project, source, options=ImportOptions(frames="every 0"))


def test_numbers_that_a_clip_does_not_have_are_named(project: Project, source: Path) -> None:
    plan = plan_import(project, source, options=ImportOptions(frames="1,5,30-40"))
    assert taken(plan) == [1, 5] and taken(plan, "long") == [1, 5, *range(30, 41)]
    (said,) = plan.problems
    assert said == (
        f"{source / CLIP} has 24 frames, and no 30-40. The others were taken. Choose among 1 to 24."
    )
    stored = import_frames(project, source, options=ImportOptions(frames="1,5,30-40"))
    assert stored.problems == plan.problems


def test_a_clip_that_has_none_of_the_numbers_is_left_out_and_named(
    project: Project, source: Path
) -> None:
    plan = plan_import(project, source, options=ImportOptions(frames="20-25,40,99"))
    assert "cine has 24 frames, and no 25, 40, 99. The others were taken" in plan.problems[0]
    plan = plan_import(project, source, options=ImportOptions(frames="30"))
    assert taken(plan) == [] and taken(plan, "long") == [30]
    (said,) = plan.problems
    assert said.startswith(f"{source / CLIP} has 24 frames, and no 30. None of it was imported.")
    with pytest.raises(InputError, match=r"Nothing could be.*cine has 24 frames, and no 99"):
        import_frames(project, source / CLIP, options=ImportOptions(frames="99"))
    (row,) = [
        f
        for f in plan_import(project, source, options=ImportOptions(frames="none")).frames
        if f.clip == CLIP
    ]
    assert row.notes == (), "what a person chose is no problem"


def test_a_range_that_runs_backwards_is_refused(project: Project, source: Path) -> None:
    with pytest.raises(InputError, match="'1,5-2' is no answer to frames: 5-2 holds no number"):
        plan_import(project, source, options=ImportOptions(frames="1,5-2"))


def test_a_picture_of_pages_is_treated_alike(project: Project, tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in speckle(3)]
    path = tmp_path / "in" / "pages.tif"
    path.parent.mkdir()
    pages[0].save(path, save_all=True, append_images=pages[1:])
    plan = plan_import(project, path.parent, options=ImportOptions(frames="2,7"))
    assert [f.key for f in plan.frames] == ["pages.tif#pages_0002"]
    assert "pages.tif has 3 frames, and no 7. The others were taken." in plan.problems[0]
    plan = plan_import(project, path.parent, options=ImportOptions(frames="7"))
    assert [(f.key, f.taken_for) for f in plan.frames] == [("pages.tif", "left out")]
    assert "None of it was imported" in plan.problems[0]


def test_a_clip_that_states_more_frames_than_it_holds_is_imported_as_far_as_it_goes(
    project: Project, tmp_path: Path
) -> None:
    write(tmp_path / "in" / CLIP, speckle(COUNT), NumberOfFrames=40)
    plan = plan_import(project, tmp_path / "in", options=ImportOptions(frames="all"))
    assert taken(plan) == list(range(1, COUNT + 1))
    assert plan.problems == (
        f"{tmp_path / 'in' / CLIP} states 40 frames, but its pixels hold 24. Only these 24 can be "
        "imported. Export the file again if others are missing.",
    )
    assert (
        import_frames(project, tmp_path / "in", options=ImportOptions(frames="20-30")).frames == 5
    )


def test_a_clip_of_which_none_is_taken_can_be_taken_again(project: Project, source: Path) -> None:
    planner = Planner(project, source)
    plan = planner.plan(Choices.of([("frames", "none", [CLIP])]))
    (none,) = [f for f in plan.frames if f.clip == CLIP]
    assert (none.key, none.taken_for) == (CLIP, "left out") and none.doubts
    assert np.array_equal(read_shown(none.record), speckle(COUNT)[COUNT // 2]), (
        "what is shown of it"
    )
    assert taken(planner.plan(Choices.of([("frames", "first", [CLIP])]))) == [1]
    one = Choices.of([("frames", "all", [CLIP]), ("role", LEAVE_OUT, [f"{CLIP}#dicom-0001_0002"])])
    assert taken(planner.plan(one)) == [1, *range(3, COUNT + 1)]


def test_the_frames_of_a_clip_are_of_one_subject(project: Project, source: Path) -> None:
    planner = Planner(project, source)
    plan = planner.plan(Choices.of([("frames", "all", [])]))
    assert len({f.subject for f in plan.frames if f.clip == CLIP}) == 1
    answers = [("frames", "all", []), ("subject", "A7", [f"{CLIP}#dicom-0001_0004"])]
    plan = planner.plan(Choices.of(answers))
    assert {f.subject for f in plan.frames if f.clip == CLIP} == {"A7"}
    assert {f.subject for f in plan.frames if f.clip != CLIP} == {"P08", "P09"}


def test_the_sharpest_frame_is_looked_for_once(project: Project, source: Path) -> None:
    seen: list[Path] = []

    def sharpest(clip: FrameRecord, _: Redactor) -> int | None:
        seen.append(clip.path)
        return 6 if clip.path.name == CLIP else None

    planner = Planner(project, source, sharpest=sharpest)
    choices = Choices.of([("frames", "sharpest", [])])
    plan = planner.plan(choices)
    assert taken(plan) == [7] and taken(plan, "long") == [25]
    (said,) = plan.problems
    assert "long: the segmenter saw no head in the clip" in said
    planner.plan(choices)
    assert [path.name for path in seen] == [CLIP, "long"]
    with pytest.raises(InputError, match="was not looked for"):
        plan_import(project, source, choices)


def test_the_file_of_choices_asks_about_the_clip(project: Project, source: Path) -> None:
    path = source.parent / "choices.json"
    write_choices(plan_import(project, source), path)
    path.write_text(path.read_text().replace('"frames": null', '"frames": "2-3"', 1))
    choices = read_choices(path)
    assert choices.by_file == {CLIP: {Question.FRAMES: "2-3"}}
    assert taken(plan_import(project, source, choices)) == [2, 3]
    stored = import_frames(project, source, choices)
    assert stored.frames == 4
    read = [project.frames.pixels(f.id) for f in project.frames.all()]
    assert any(np.array_equal(p, speckle(COUNT)[1]) for p in read)
