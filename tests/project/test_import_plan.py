"""The plan of an import: what files are taken for, what is in doubt, and what answers change."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.plan_import.request import PlanRequest
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.doubts import Question
from fetalstudio.formats.pictures import write_png
from fetalstudio.project.import_plan import Choices, ImportPlan, Role, plan_import
from fetalstudio.project.importers import import_frames
from fetalstudio.project.project import Project
from tests.project.kinds import Picture

SIZE = (96, 80)
HEAD = Ellipse(48.0, 36.0, 30.0, 22.0, 20.0)
MASK = HEAD.mask(SIZE) * np.uint8(255)


@pytest.fixture
def source(tmp_path: Path, picture: Picture) -> Path:
    """A frame in doubt for every question, and files of every role."""
    folder = tmp_path / "clinic"
    names = ("sure", "several", "twice", "square", "sized")
    for number, name in enumerate(names):
        write_png(folder / f"{name}.png", picture(number))
    write_png(folder / "again.png", picture(0))
    write_png(folder / "sure_overlay.png", picture(9))
    write_png(folder / "drawn.png", MASK)
    write_png(folder / "sure_mask.png", MASK)
    labels = Ellipse(48.0, 68.0, 20.0, 9.0, 0.0).mask(SIZE)
    labels[HEAD.mask(SIZE) > 0] = 2
    write_png(folder / "several_mask.png", labels)
    write_png(folder / "twice_mask.png", MASK)
    write_png(folder / "twice_seg.png", Ellipse(40.0, 40.0, 20.0, 15.0, 0.0).mask(SIZE) * 255)
    box = np.zeros_like(MASK)
    box[15:65, 15:80] = 255
    write_png(folder / "square_mask.png", box)
    write_png(folder / "sized_mask.png", MASK)
    (folder / "t.csv").write_text("filename,pixel size(mm),hc\nsized.png,0.2,99\n")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "scan.dcm").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "notes.txt").write_text("nothing")
    return folder


def open_questions(plan: ImportPlan) -> dict[str, list[Question]]:
    """The questions that are left open, by the frames' keys."""
    found = {f.key: [d.question for d in plan.open_doubts(f)] for f in plan.frames}
    return {key: questions for key, questions in found.items() if questions}


def test_a_plan_says_what_every_file_is_taken_for_and_stores_nothing(
    project: Project, source: Path
) -> None:
    plan = plan_import(project, source)
    assert project.frames.all() == [] and not list((project.path / "frames").glob("??/*"))
    roles = {file.path.relative_to(source).as_posix(): file.role for file in plan.files}
    assert roles == {
        "sure_mask.png": Role.ANNOTATION,
        "several_mask.png": Role.ANNOTATION,
        "twice_mask.png": Role.ANNOTATION,
        "twice_seg.png": Role.ANNOTATION,
        "square_mask.png": Role.ANNOTATION,
        "sized_mask.png": Role.ANNOTATION,
        "t.csv": Role.TABLE,
        "deep/er/scan.dcm": Role.UNREAD,
        "notes.txt": Role.OTHER,
    }
    (unread,) = (file.note for file in plan.files if file.role is Role.UNREAD)
    assert "Export such files" in unread
    assert open_questions(plan) == {
        "several.png": [Question.HEAD],
        "twice.png": [Question.ANNOTATION],
        "square.png": [Question.SHAPE],
        "sized.png": [Question.CALIBRATION],
        "drawn.png": [Question.ROLE],
        "sure_overlay.png": [Question.ROLE],
    }
    frames = {frame.key: frame for frame in plan.frames}
    assert frames["sure.png"].twin == "again.png" and frames["again.png"].is_new
    assert frames["square.png"].ellipse is not None and not frames["square.png"].certain
    assert (plan.cohort, plan.counts().frames, plan.counts().in_doubt) == ("clinic", 5, 6)
    assert plan.counts().summary() == (
        "5 frames of 6 subjects, 3 with an ellipse; 1 already in the project or twice; 6 in doubt; "
        "1 file not read."
    )
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_without_answers_the_safe_part_is_imported(project: Project, source: Path) -> None:
    plan = plan_import(project, source)
    report = import_frames(project, source)
    assert (report.frames, report.in_doubt) == (plan.counts().frames, 6)
    assert report.problems == plan.problems
    states = [a.state for a in project.annotations.by_frame().values()]
    assert sorted(states) == ["final", "final", "proposed"]


@pytest.mark.parametrize(
    ("question", "value", "file", "name", "state"),
    [
        ("head", "2", "several.png", "several", "final"),
        ("annotation", "*_seg.png", "twice.png", "twice", "final"),
        ("shape", "final", "square.png", "square", "final"),
        ("shape", "none", "square.png", "square", None),
        ("role", "frame", "*_overlay.png", "sure_overlay", None),
        ("role", "frame", "drawn.png", "drawn", None),
    ],
)
@pytest.mark.parametrize("alike", [False, True])
def test_an_answer_settles_a_doubt_for_one_or_for_all_alike(
    project: Project,
    source: Path,
    question: str,
    value: str,
    file: str,
    name: str,
    state: str | None,
    alike: bool,
) -> None:
    choices = Choices.of([(question, value, () if alike else (file,))])
    asked = {q for found in open_questions(plan_import(project, source)).values() for q in found}
    plan = plan_import(project, source, choices)
    left = {q for found in open_questions(plan).values() for q in found}
    assert name not in "".join(key for key, qs in open_questions(plan).items() if question in qs)
    # Stated for all, the value of the head holds for the masks that were not in doubt too.
    if (question, alike) not in (("role", False), ("head", True)):
        assert left == asked - {Question(question)}
    import_frames(project, source, choices)
    frames = {frame.name: frame.id for frame in project.frames.all()}
    found = project.annotations.by_frame().get(frames[name])
    assert (found and found.state) == state


@pytest.mark.parametrize(
    ("value", "expected"),
    [("keep", 0.2), ("none", None), ("0.31", 0.31), ("from-hc", 99 / HEAD.perimeter)],
)
def test_a_disagreement_about_the_pixel_size_is_settled(
    project: Project, source: Path, value: str, expected: float | None
) -> None:
    import_frames(project, source, Choices.of([("calibration", value, ("sized.png",))]))
    (frame,) = (frame for frame in project.frames.all() if frame.name == "sized")
    size = frame.calibration and frame.calibration.mm_per_px
    assert size == (None if expected is None else pytest.approx(expected, rel=0.02))


def test_a_frame_is_left_out_by_choice_and_what_the_project_holds_is_known(
    project: Project, source: Path
) -> None:
    choices = Choices.of([("role", "leave-out", ("s*.png",))], cohort="Scanner A")
    assert import_frames(project, source, choices).frames == 2
    assert {f.name for f in project.frames.all(cohort="Scanner A")} == {"again", "twice"}
    plan = plan_import(project, source)
    held = {frame.key: frame.held.name for frame in plan.frames if frame.held}
    assert held == {"again.png": "again", "sure.png": "again", "twice.png": "twice"}


def test_what_has_changed_since_the_plan_is_left_out_and_named(
    project: Project, source: Path, picture: Picture
) -> None:
    plan = plan_import(project, source)
    write_png(source / "several.png", picture(77))
    report = import_frames(project, source, seen=plan.pictures)
    assert report.frames == plan.counts().frames - 1
    assert any("several.png has changed since the import was planned" in p for p in report.problems)


def test_wrong_answers_are_refused(source: Path) -> None:
    with pytest.raises(InputError, match=r"no question 'colour'.* role, annotation, head"):
        Choices.of([("colour", "red", ())])
    with pytest.raises(InputError, match=r"'maybe' is no answer to role\. Give leave-out or frame"):
        Choices.of([("role", "maybe", ())])


def test_the_job_plans_and_stops_when_asked_to(project: Project, source: Path) -> None:
    plan = run_job(PlanRequest(project.path, source))
    assert plan == plan_import(project, source)
    with pytest.raises(Stopped):
        run_job(PlanRequest(project.path, source), cancelled=lambda: True)
