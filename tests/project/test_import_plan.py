"""The plan of an import: what files are taken for, what is in doubt, and what answers change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.progress import Stopped
from fetalstudio.engine.jobs.plan_import.request import PlanRequest
from fetalstudio.engine.process.local import run_job
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.writing.pair_files import PairFiles, PairRecord
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import Planner, plan_import
from fetalstudio.project.importing.roles import Role
from fetalstudio.project.project import Project
from tests.doubtful import HEAD, MASK, SIZE, doubtful_source, texture
from tests.named import import_named, keys
from tests.project.kinds import Picture


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return doubtful_source(tmp_path / "clinic")


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
        "deep/er/scan.webp": Role.UNREAD,
        "notes.txt": Role.OTHER,
    }
    with (source / "t.csv").open("a") as table:
        table.write("twice.png,0.2,99,1,1\n")
    (said,) = (f.note for f in plan_import(project, source).files if f.role is Role.TABLE)
    assert "t.csv, line 3: it has 5 cells but the header has 3" in said
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


def test_without_answers_the_safe_part_is_imported(project: Project, source: Path) -> None:
    plan = plan_import(project, source)
    report = import_named(project, source)
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
    import_named(project, source, choices=choices)
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
    import_named(project, source, choices=Choices.of([("calibration", value, ("sized.png",))]))
    (frame,) = (frame for frame in project.frames.all() if frame.name == "sized")
    size = frame.calibration and frame.calibration.mm_per_px
    assert size == (None if expected is None else pytest.approx(expected, rel=0.02))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("10,,,,,", "the frame would be 4000 mm long"),  # px per mm
        ("0.02,,,,,", "the frame would be 8 mm long"),  # cm
        ("0.037,,,,,", "the frame would be 15 mm long"),  # cm, of large pixels
        ("0.8,200,150,110,90,0", "the head would measure 504 mm around"),
        ("0.2,34,25,15,13,0", "the head would measure 18 mm around"),  # the ellipse is in mm
    ],
)
def test_a_pixel_size_without_a_usual_result_is_asked_about(
    project: Project, tmp_path: Path, row: str, said: str
) -> None:
    source = tmp_path / "s"
    write_png(source / "x.png", np.tile(texture(1), (5, 5))[:300, :400])
    (source / "t.csv").write_text(
        f"filename,mm/px,cx,cy,semi_axis_a,semi_axis_b,angle_deg\nx.png,{row}\n"
    )
    plan = plan_import(project, source)
    (frame,) = plan.frames
    (doubt,) = plan.open_doubts(frame)
    assert doubt.question is Question.CALIBRATION and said in doubt.message
    assert frame.calibration is None and (frame.ellipse is None or not frame.certain)
    write_png(source / "x_mask.png", Ellipse(200, 150, 90, 60, 0).mask((400, 300)) * np.uint8(255))
    (source / "t.csv").write_text("filename,mm/px\nx.png,10\n")
    (drawn,) = plan_import(project, source).frames
    assert drawn.certain and drawn.ellipse is not None and drawn.calibration is None
    (source / "t.csv").write_text(
        f"filename,mm/px,cx,cy,semi_axis_a,semi_axis_b,angle_deg\nx.png,{row}\n"
    )
    for value, expected in (("keep", float(row.split(",")[0])), ("0.15", 0.15)):
        (kept,) = plan_import(project, source, Choices.of([("calibration", value, ())])).frames
        assert kept.calibration is not None and kept.calibration.mm_per_px == expected


@pytest.mark.parametrize(
    ("row", "said", "taken"),
    [
        ("200,2,150,110,0", "only 51 % of the ellipse in the table lies in the frame", True),
        ("200,150,210,180,0", "longer than the frame; its axes may be diameters", True),
        ("0.5,0.5,0.3,0.2,0", "a semi-axis of 0.2 px is shorter than 4 px", False),
        ("380,150,60,50,0", None, True),
    ],
)
def test_an_ellipse_of_a_table_that_is_hardly_a_head_is_a_proposal(
    project: Project, tmp_path: Path, row: str, said: str | None, taken: bool
) -> None:
    source = tmp_path / "s"
    write_png(source / "x.png", np.tile(texture(1), (5, 5))[:300, :400])
    (source / "t.csv").write_text(
        f"filename,cx,cy,semi_axis_a,semi_axis_b,angle_deg\nx.png,{row}\n"
    )
    report = import_named(project, source)
    assert (said is None) == (report.problems == ())
    assert said is None or said in report.problems[0]
    states = [a.state for a in project.annotations.by_frame().values()]
    assert states == (["final" if said is None else "proposed"] if taken else [])


def test_a_plan_says_which_names_are_taken(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "scans"
    for name in ("007_HC.png", "thorax.png"):
        write_png(source / name, texture(1) if name[0] == "0" else texture(2))
    assert plan_import(project, source).renamed(keep_names=True) is None
    import_named(project, source)
    assert plan_import(project, source).renamed(keep_names=True) is None
    for name in ("007_HC.png", "thorax.png"):
        write_png(source / name, texture(3) if name[0] == "0" else texture(4))
    plan = plan_import(project, source)
    kept, neutral = plan.renamed(keep_names=True), plan.renamed(keep_names=False)
    assert kept is not None and "2 frames of the same name" in kept
    assert kept.endswith("a number: 007_HC, thorax.")
    assert neutral is not None and neutral.endswith("gets a number: 007_HC.")
    assert plan_import(project, source, Choices(cohort="other")).renamed(keep_names=True) is None


def test_a_frame_is_left_out_by_choice_and_what_the_project_holds_is_known(
    project: Project, source: Path
) -> None:
    choices = Choices.of([("role", "leave-out", ("s*.png",))], cohort="Scanner A")
    assert import_named(project, source, choices=choices).frames == 2
    assert {f.name for f in project.frames.all(cohort="Scanner A")} == {"again", "twice"}
    plan = plan_import(project, source)
    held = {frame.key: frame.held.name for frame in plan.frames if frame.held}
    assert held == {"again.png": "again", "sure.png": "again", "twice.png": "twice"}


def test_what_has_changed_since_the_plan_is_left_out_and_named(
    project: Project, source: Path, picture: Picture
) -> None:
    plan = plan_import(project, source)
    write_png(source / "several.png", picture(77))
    report = import_named(project, source, seen=plan.pictures())
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


# -- answers ---------------------------------------------------------------------------------


def test_answers_for_all_alike_leave_what_is_not_in_doubt_as_it_is(
    project: Project, source: Path
) -> None:
    sure = {"sure.png", "again.png", "sized.png", "square.png", "several.png", "twice.png"}
    choices = Choices.of([("role", "leave-out", ()), ("head", "none", ())])
    plan = plan_import(project, source, choices)
    assert {frame.key for frame in plan.frames if frame.frame_id} == sure
    assert {f.key for f in plan.frames if f.ellipse} == {"sure.png", "square.png", "sized.png"}
    assert {q for qs in open_questions(plan).values() for q in qs} == {
        Question.ANNOTATION,
        Question.SHAPE,
        Question.CALIBRATION,
    }


def test_masks_with_one_structure_are_in_doubt_until_it_is_stated_to_be_the_head(
    project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "codes"
    both = (MASK // 255) * 2
    both[70:, :20] = 1
    for name, mask in (("both", both), ("head", MASK // 255 * 2), ("other", MASK // 255)):
        write_png(folder / f"{name}.png", texture(len(name) + mask.max()))
        write_png(folder / f"{name}_mask.png", mask)
    asked = {"both.png": [Question.HEAD], "head.png": [Question.HEAD], "other.png": [Question.HEAD]}
    assert open_questions(plan_import(project, folder)) == asked
    plan = plan_import(project, folder, Choices.of([("head", "2", ("both.png",))]))
    assert open_questions(plan) == {"other.png": [Question.HEAD]}
    assert [frame.key for frame in plan.frames if frame.ellipse] == ["both.png", "head.png"]
    assert len(plan.frames[0].doubts) == 1, "the answer can be changed"


def test_a_person_says_whose_frame_and_whose_mask_a_picture_is(
    project: Project, source: Path
) -> None:
    answers = [("annotation", "drawn.png", ("again.png",)), ("subject", " P 7 ", ("s*.png",))]
    plan = plan_import(project, source, Choices.of(answers))
    frames = {frame.key: frame for frame in plan.frames}
    assert frames["again.png"].ellipse is not None and "drawn.png" not in frames
    assert Role.ANNOTATION in {f.role for f in plan.files if f.path.name == "drawn.png"}
    assert {f.subject for f in plan.frames} == {"P 7", "again", "twice"}
    import_named(project, source, choices=Choices.of(answers))
    assert {f.subject for f in project.frames.all()} == set(keys(project, "P 7", "again", "twice"))
    for wrong in ("none.png", "masks/drawn.png"):
        with pytest.raises(InputError, match=f"has no picture {wrong}"):
            plan_import(project, source, Choices.of([("annotation", wrong, ("again.png",))]))
    with pytest.raises(InputError, match="cannot be a subject"):
        Choices.of([("subject", "a\nb", ())])


def test_an_answer_is_replaced_and_taken_back() -> None:
    choices = Choices.of([("head", "1", ("a.png",)), ("role", "frame", ("a.png", "b[1].png"))])
    choices = choices.joined(Choices.of([("head", "3", ("a.png", "c.png"))]))
    assert choices.answers("a.png") == {Question.HEAD: "3", Question.ROLE: "frame"}
    assert choices.answers("b[1].png") == {Question.ROLE: "frame"}
    choices = choices.without(Question.HEAD, ["a.png"])
    assert choices.answers("a.png") == {Question.ROLE: "frame"}
    assert choices.answers("c.png") == {Question.HEAD: "3"}
    assert choices.without(Question.HEAD, ["c.png"]).by_file.keys() == {"a.png", "b[1].png"}


def test_another_choice_reads_only_the_pictures_that_it_concerns(
    project: Project, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    planner = Planner(project, source)
    choices = Choices.of([("head", "2", ("several.png",))])
    with project.imports.staging() as staging, monkeypatch.context() as patch:
        put = staging.put

        def noted(*picture: Any) -> str:
            read.append(put(*picture))
            return read[-1]

        patch.setattr(staging, "put", noted)
        first = planner.plan(staging=staging)
        assert len(read) == 6
        second = planner.plan(choices, staging=staging)
    assert read[6:] == [f.frame_id for f in second.frames if f.key == "several.png"]
    assert second == plan_import(project, source, choices)
    assert planner.plan() == first


# -- taking an import back -------------------------------------------------------------------


def shown(project: Project) -> dict[str, tuple[object, ...]]:
    """What the project shows of every frame, by its name."""
    drawn = project.annotations.by_frame()
    found: dict[str, tuple[object, ...]] = {}
    for frame in project.frames.all(kind=None):
        annotation = drawn.get(frame.id)
        state = annotation and (annotation.ellipse, annotation.author, annotation.state)
        found[frame.name] = (
            frame.cohort,
            frame.subject if frame.kind == "real" else "",
            frame.calibration,
            tuple(frame.labels.items()),
            state,
        )
    return found


def test_one_step_takes_a_whole_import_back_and_does_it_again(
    project: Project, source: Path, tmp_path: Path, picture: Picture
) -> None:
    held = tmp_path / "held"
    write_png(held / "sure.png", picture(0))
    write_png(held / "square.png", picture(3))
    (held / "t.csv").write_text("filename,country\nsure.png,EGY\nsquare.png,EGY\n")
    import_named(project, held)
    square, _ = (frame.id for frame in project.frames.all())
    project.annotations.add(square, HEAD, author="me", state="proposed")
    write_png(source / "square_mask.png", MASK)
    table = "filename,country,quality,pixel size(mm)\nsquare.png,DEU,good,0.3\n"
    (source / "t.csv").write_text(table)
    files = PairFiles(source)
    files.write(PairRecord("p", HEAD, SIZE, 1, "any", {}, None, False, None), picture(40))
    before = shown(project)
    report = import_named(project, source, author="ann")
    assert report.amendment is not None and (report.frames, report.pairs) == (3, 1)
    after = shown(project)
    assert (
        all(a != b for a, b in zip(after["square"][2:], before["square"][2:], strict=True))
        and len(after) == len(before) + 4
    )
    newest = project.amendments.all()[0]
    assert (newest.id, newest.author) == (report.amendment, "ann")
    assert newest.description == "imported 3 frames and 1 pair" and newest.adds_frames

    project.amendments.undo(author="me")
    assert shown(project) == before and project.pairs.all() == []
    with pytest.raises(UserError, match="undone already"):
        project.amendments.undo(report.amendment, author="me")
    project.amendments.redo(report.amendment, author="me")
    assert shown(project) == after and len(project.pairs.all()) == 1
    with pytest.raises(UserError, match="no amendment 2 that is undone"):
        project.amendments.redo(report.amendment, author="me")
    project.amendments.undo(report.amendment, author="me")
    assert shown(project) == before
    project.purge()
    assert shown(project) == before
    assert import_named(project, source).frames == 3
    assert shown(project) == after


def test_what_a_person_did_since_an_import_does_not_keep_its_frames(
    project: Project, source: Path, picture: Picture
) -> None:
    report = import_named(project, source)
    frames = {frame.name: frame.id for frame in project.frames.all()}
    project.amendments.set_subject([frames["twice"]], "P 9", author="me")
    project.amendments.remove([frames["square"]], author="me")
    project.annotations.add(frames["twice"], HEAD, author="me", state="final")
    made = {"source_frame": frames["twice"]}
    project.pairs.add(
        picture(50),
        name="made",
        ellipse=HEAD,
        cohort="synthetic",
        calibration=None,
        quality={},
        provenance=made,
    )
    project.amendments.undo(report.amendment, author="me")
    assert shown(project) == {}
    assert report.amendment is not None
    project.amendments.redo(report.amendment, author="me")
    assert set(shown(project)) == {*frames, "made"} - {"square"}
    assert project.frames.get(frames["twice"]).subject == "P 9"


def test_what_a_person_changed_since_stays_where_the_import_only_added_to_a_frame(
    project: Project, source: Path, picture: Picture
) -> None:
    frame, _ = project.frames.add(picture(0), name="mine", cohort="c", subject="s")
    report = import_named(project, source)
    other = Ellipse(40.0, 36.0, 20.0, 18.0, 0.0)
    project.annotations.add(frame.id, other, author="me", state="final")
    project.amendments.undo(report.amendment, author="me")
    assert list(shown(project)) == ["mine"]
    assert project.annotations.by_frame()[frame.id].ellipse == other


def test_an_import_that_adds_nothing_is_no_amendment(project: Project, source: Path) -> None:
    import_named(project, source)
    assert import_named(project, source).amendment is None
    assert len(project.amendments.all()) == 1
