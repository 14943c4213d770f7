"""Where the ellipses of masks and tables lie is compared with the pictures, and asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.formats.reading import frame_records
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.reading.placements import PLACEMENTS
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import Planner, plan_import
from fetalstudio.project.project import Project
from tests.named import import_named
from tests.progress import Watched
from tests.skulls import skull, speckle

SIZE = (240, 180)
SQUARE = (200, 200)
HEADS = tuple(Ellipse(90.0 + 5 * i, 100.0 - 4 * i, 44.0, 31.0, 20.0 + 8 * i) for i in range(6))
BACK = {"turned-90": "turned-270", "turned-270": "turned-90"}
"""What takes a placement back; each of the rest takes itself back."""


def mask(ellipse: Ellipse, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    return ellipse.mask(size) * np.uint8(255)


def masks_of(
    folder: Path,
    masks: Sequence[Ellipse | None],
    *,
    heads: Sequence[Ellipse] = HEADS,
    size: tuple[int, int] = SIZE,
) -> Path:
    """A folder of frames that show these heads, with these masks."""
    for i, (head, marked) in enumerate(zip(heads, masks, strict=True), 1):
        write_png(folder / f"frame_{i}.png", skull(head, i, size))
        if marked is not None:
            write_png(folder / f"frame_{i}_mask.png", mask(marked, size))
    return folder


def shifted(folder: Path) -> tuple[list[Ellipse], Path]:
    """Twelve heads and a folder of frames of them, each of which has the mask of the one before."""
    heads = [replace(HEADS[i % 6], cx=80.0 + 37 * i % 90) for i in range(12)]
    return heads, masks_of(folder, [None, *heads[:-1]], heads=heads)


def volume(folder: Path, masks: Sequence[Ellipse]) -> Path:
    """A folder with a file of slices that show the heads, and one with these masks."""
    folder.mkdir()
    shown = np.stack([skull(head, i, SIZE) for i, head in enumerate(HEADS)])
    marked = np.stack([mask(head) for head in masks])
    for name, stack in (("scan.nrrd", shown), ("scan_mask.nrrd", marked)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(stack), str(folder / name))
    return folder


def elsewhere(place: str, size: tuple[int, int] = SIZE) -> list[Ellipse]:
    """Where the heads are drawn if they belong in this place."""
    moved = [PLACEMENTS[BACK.get(place, place)].of(head, size) for head in HEADS]
    return [head for head in moved if head is not None]


def asked(plan: ImportPlan) -> set[str]:
    """The doubts about where the ellipses lie, each once."""
    doubts = (doubt for frame in plan.frames for doubt in plan.open_doubts(frame))
    return {doubt.message for doubt in doubts if doubt.question is Question.PLACE}


def offered(plan: ImportPlan) -> list[str]:
    """The answers to that of the first frame."""
    doubts = [d for d in plan.frames[0].doubts if d.question is Question.PLACE]
    return [answer.value for answer in doubts[0].answers]


def final(project: Project) -> dict[str, Ellipse]:
    """The ellipses that are final, by the name of the frame."""
    found = project.annotations.by_frame()
    return {
        frame.name: a.ellipse
        for frame in project.frames.all()
        if (a := found.get(frame.id)) is not None and a.state == "final" and a.ellipse is not None
    }


def on_heads(found: dict[str, Ellipse], heads: Sequence[Ellipse] = HEADS) -> bool:
    named = {f"frame_{i}": head for i, head in enumerate(heads, 1)}
    return found.keys() == named.keys() and all(
        found[name].overlap(head) > 0.99 for name, head in named.items()
    )


def test_masks_that_lie_on_the_skulls_are_not_asked_about(project: Project, tmp_path: Path) -> None:
    assert import_named(project, masks_of(tmp_path / "clinic", HEADS)).problems == ()
    assert on_heads(final(project))


@pytest.mark.parametrize("place", PLACEMENTS)
def test_masks_that_fit_better_otherwise_are_asked_about(
    project: Project, tmp_path: Path, place: str
) -> None:
    size = SQUARE if PLACEMENTS[place].transposed else SIZE
    source = masks_of(tmp_path / "clinic", elsewhere(place, size), size=size)
    plan = plan_import(project, source)
    (message,) = asked(plan)
    assert str(source) in message and PLACEMENTS[place].text in message
    assert offered(plan) == ["proposal", "final", place, "none"]
    report = import_named(project, source)
    assert report.in_doubt == len(HEADS) and "imported as proposals" in report.problems[0]
    assert {a.state for a in project.annotations.by_frame().values()} == {"proposed"}
    assert import_named(project, source, choices=Choices.of([("place", place, ())])).problems == ()
    assert on_heads(final(project))


def test_masks_that_are_numbered_otherwise_are_asked_about(
    project: Project, tmp_path: Path
) -> None:
    heads, source = shifted(tmp_path / "clinic")
    plan = plan_import(project, source)
    (message,) = asked(plan)
    assert "that of the next picture" in message
    assert all(plan.open_doubts(frame) for frame in plan.frames)
    report = import_named(project, source, choices=Choices.of([("place", "next", ())]))
    found = final(project)
    assert on_heads({**found, "frame_12": heads[-1]}, heads) and "frame_12" not in found
    (said,) = report.problems
    assert str(source / "frame_12.png") in said and "no picture comes right after it" in said


@pytest.mark.parametrize("how", ["left out", "damaged", "of another size"])
def test_no_frame_gets_the_mask_of_the_picture_after_the_next_one(
    project: Project, tmp_path: Path, how: str
) -> None:
    heads, source = shifted(tmp_path / "clinic")
    answers: list[tuple[str, str, Sequence[str]]] = [("place", "next", ())]
    if how == "left out":
        answers.append(("role", "leave-out", ("frame_5.png",)))
    elif how == "damaged":
        (source / "frame_5.png").write_bytes(b"no picture")
    else:
        write_png(source / "frame_5.png", speckle(5, (SIZE[0], SIZE[1] + 1)))
    plan = plan_import(project, source, Choices.of(answers))
    drawn = {frame.path.stem: frame.ellipse for frame in plan.frames if frame.ellipse}
    assert drawn.keys() == {f"frame_{i}" for i in (1, 2, 3, 6, 7, 8, 9, 10, 11)}
    assert on_heads({f"frame_{i}": heads[i - 1] for i in (4, 5, 12)} | drawn, heads)
    (said,) = next(frame for frame in plan.frames if frame.key == "frame_4.png").notes
    assert str(source / "frame_4.png") in said and str(source / "frame_5.png") in said
    assert "Draw it in Annotate" in said


def test_pictures_of_a_folder_between_two_do_not_part_them(
    project: Project, tmp_path: Path
) -> None:
    heads, source = shifted(tmp_path / "clinic")
    write_png(source / "frame_4" / "a.png", speckle(99, SIZE))
    write_png(source / "frame_4_overlay.png", skull(heads[3], 4, SIZE))
    plan = plan_import(project, source, Choices.of([("place", "next", ())]))
    (found,) = (frame.ellipse for frame in plan.frames if frame.key == "frame_4.png")
    assert found is not None and found.overlap(heads[3]) > 0.99


def test_frames_of_a_file_are_beside_each_other_only_if_none_lies_between(
    project: Project, tmp_path: Path
) -> None:
    source = volume(tmp_path / "clinic", HEADS)
    every = ImportOptions(frames="every 2")
    choices = Choices.of([("place", "next", ("scan.nrrd#scan_0001",))])
    first = plan_import(project, source, choices, every).frames[0]
    assert first.ellipse is None and "scan.nrrd#scan_0001" in first.notes[0]
    first = plan_import(project, source, choices).frames[0]
    assert first.ellipse is not None and first.ellipse.overlap(HEADS[1]) > 0.99


def test_what_is_asked_of_the_mask_of_the_next_picture_is_asked_of_the_frame_that_gets_it(
    project: Project, tmp_path: Path
) -> None:
    _, source = shifted(tmp_path / "clinic")
    marked = np.zeros(SIZE[::-1], np.uint8)
    marked[60:130, 70:150] = 255  # a shape that no ellipse describes
    write_png(source / "frame_3_mask.png", marked)
    labels = read_image(source / "frame_7_mask.png") // 255
    labels[2:32, 200:236] = 2
    write_png(source / "frame_7_mask.png", labels)
    moved = ("place", "next", ())
    planner = Planner(project, source)
    plan = planner.plan(Choices.of([moved]))
    found = {f.key: [(d.question, d.message) for d in plan.open_doubts(f)] for f in plan.frames}
    in_doubt = {key: questions for key, questions in found.items() if questions}
    assert in_doubt.keys() == {"frame_2.png", "frame_6.png"}
    ((question, message),) = in_doubt["frame_2.png"]
    assert question is Question.SHAPE and "frame_3_mask.png" in message
    ((question, message),) = in_doubt["frame_6.png"]
    assert question is Question.HEAD and "frame_7_mask.png" in message
    frames = {frame.key: frame for frame in plan.frames}
    assert not frames["frame_2.png"].certain and frames["frame_6.png"].ellipse is None
    answers = [("shape", "final", ("frame_2.png",)), ("head", "1", ("frame_6.png",))]
    plan = planner.plan(Choices.of([moved, *answers]))
    frames = {frame.key: frame for frame in plan.frames}
    assert not any(map(plan.open_doubts, plan.frames))
    assert frames["frame_2.png"].certain and frames["frame_6.png"].ellipse is not None


def test_an_answer_that_now_counts_for_another_mask_is_named(
    project: Project, tmp_path: Path
) -> None:
    _, source = shifted(tmp_path / "clinic")
    marked = np.zeros(SIZE[::-1], np.uint8)
    marked[60:130, 70:150] = 255
    for i in (3, 4):
        write_png(source / f"frame_{i}_mask.png", marked)
    answers = [("place", "next", ()), ("shape", "final", ("frame_3.png",))]
    frames = {f.key: f for f in plan_import(project, source, Choices.of(answers)).frames}
    assert frames["frame_3.png"].certain and not frames["frame_2.png"].certain
    (said,) = frames["frame_3.png"].notes
    assert "frame_3.png" in said and "frame_4_mask.png" in said and "shape" in said
    assert frames["frame_2.png"].notes == ()


def test_an_ellipse_that_cannot_be_moved_is_named(project: Project, tmp_path: Path) -> None:
    source = masks_of(tmp_path / "clinic", elsewhere("mirrored"))
    write_png(source / "frame_7.png", speckle(7, SIZE))
    planner = Planner(project, source)
    planner.plan()
    (source / "frame_2_mask.png").unlink()
    write_png(source / "frame_3_mask.png", speckle(3, SIZE)[:90])
    answers = [("place", "mirrored", ()), ("place", "transposed", ("frame_1.png",))]
    named = ("place", "flipped", ("frame_7.png",))
    plan = planner.plan(Choices.of([*answers, named]))
    said = {frame.key: frame.notes for frame in plan.frames if frame.ellipse is None}
    assert said.keys() == {f"frame_{i}.png" for i in (1, 2, 3, 7)}
    assert all(len(notes) == 1 for notes in said.values())
    for key, words in {
        "frame_1.png": "240x180 px and no square",
        "frame_2.png": "frame_2_mask.png",
        "frame_3.png": "frame_3_mask.png",
        "frame_7.png": "no ellipse that could be flipped",
    }.items():
        assert words in said[key][0] and str(source) in said[key][0]


def test_an_answer_for_one_file_counts_though_nothing_is_asked(
    project: Project, tmp_path: Path
) -> None:
    source = masks_of(tmp_path / "clinic", (*HEADS[:2], elsewhere("mirrored")[2], *HEADS[3:]))
    choices = Choices.of([("place", "mirrored", ("frame_3.png",)), ("place", "flipped", ())])
    assert import_named(project, source, choices=choices).problems == ()
    assert on_heads(final(project))
    plan = plan_import(project, source, Choices.of([("place", "none", ("frame_3.png",))]))
    assert [f.key for f in plan.frames if f.ellipse is None] == ["frame_3.png"]


def test_an_answer_for_one_file_counts_though_it_is_not_offered(
    project: Project, tmp_path: Path
) -> None:
    wrong = (elsewhere("flipped")[0], *elsewhere("mirrored")[1:])
    source = masks_of(tmp_path / "clinic", wrong)
    answers = [("place", "mirrored", ()), ("place", "flipped", ("frame_1.png",))]
    assert import_named(project, source, choices=Choices.of(answers)).problems == ()
    assert on_heads(final(project))


def test_moved_ellipses_are_found_without_their_pictures_and_followed(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planner = Planner(project, masks_of(tmp_path / "clinic", elsewhere("mirrored")))
    planner.plan()
    monkeypatch.delattr(frame_records, "read_image")
    progress = Watched()
    plan = planner.plan(Choices.of([("place", "mirrored", ("frame_1.png",))]), progress=progress)
    assert plan.frames[0].ellipse is not None
    assert progress.steps[-2:] == [(0, 1), (1, 1)]


def test_of_two_folders_none_gets_a_mask_of_the_other(project: Project, tmp_path: Path) -> None:
    for name in ("a", "b"):
        masks_of(tmp_path / "clinic" / name, (*HEADS[1:], HEADS[0]))
    plan = plan_import(project, tmp_path / "clinic", Choices.of([("place", "previous", ())]))
    drawn = {frame.key: frame.ellipse for frame in plan.frames}
    assert drawn["a/frame_1.png"] is None and drawn["b/frame_1.png"] is None
    assert all(drawn[f"{folder}/frame_{i}.png"] for folder in "ab" for i in range(2, 7))


def test_the_ellipse_of_another_picture_is_compared_with_the_stated_circumference(
    project: Project, tmp_path: Path
) -> None:
    heads = [replace(head, a=head.a + i) for i, head in enumerate(HEADS)]
    source = masks_of(tmp_path / "clinic", (*heads[1:], heads[0]), heads=heads)
    lines = [f"frame_{i}.png,0.5,{head.perimeter / 2:.2f}" for i, head in enumerate(heads, 1)]
    table = "\n".join(["filename,pixel size(mm),head circumference (mm)", *lines, ""])
    (source / "sizes.csv").write_text(table)
    questions = [d.question for d in plan_import(project, source).frames[1].doubts]
    assert questions == [Question.CALIBRATION, Question.PLACE]
    plan = plan_import(project, source, Choices.of([("place", "previous", ())]))
    assert [d.question for frame in plan.frames[1:] for d in frame.doubts] == [Question.PLACE] * 5


def test_masks_of_a_part_of_the_pictures_are_asked_about(project: Project, tmp_path: Path) -> None:
    cropped = [
        Ellipse(h.cx * 0.7 + 5, h.cy * 0.7 + 40, h.a * 0.7, h.b * 0.7, h.angle_deg) for h in HEADS
    ]
    plan = plan_import(project, masks_of(tmp_path / "clinic", cropped))
    (message,) = asked(plan)
    assert "no skulls can be seen on the ellipses" in message
    assert offered(plan) == ["proposal", "final", "none"]


@pytest.mark.parametrize("layout", ["psfhs", "jnu-ifm"])
def test_frames_in_labour_are_not_compared(layout: str, project: Project, tmp_path: Path) -> None:
    for i, (head, marked) in enumerate(zip(HEADS, elsewhere("mirrored"), strict=True)):
        pixels, values = skull(head, i, SIZE), marked.mask(SIZE).astype(np.uint8)
        if layout == "psfhs":
            for folder, picture in (("image_mha", pixels), ("label_mha", 2 * values)):
                (tmp_path / folder).mkdir(exist_ok=True)
                image = SimpleITK.GetImageFromArray(picture)
                SimpleITK.WriteImage(image, str(tmp_path / folder / f"{i:05d}.mha"))
        else:
            video = "20190830T115515"
            write_png(tmp_path / video / "image" / f"{video}_{i}.png", pixels)
            write_png(tmp_path / video / "mask" / f"{video}_{i}_mask.png", 8 * values)
    plan = plan_import(project, tmp_path)
    assert sum(frame.ellipse is not None for frame in plan.frames) == len(HEADS)
    assert not asked(plan)


def test_a_few_pictures_without_a_skull_decide_nothing(project: Project, tmp_path: Path) -> None:
    source = masks_of(tmp_path / "clinic", HEADS)
    for i in range(1, 5):
        (source / f"frame_{i}.png").unlink()
        (source / f"frame_{i}_mask.png").unlink()
    for i in (5, 6):
        write_png(source / f"frame_{i}.png", speckle(i, SIZE))
    assert asked(plan_import(project, source)) == set()


def in_doubt(plan: ImportPlan) -> dict[str, str]:
    """What is asked about where the ellipse of each frame lies, by its key."""
    doubts = ((frame.key, doubt) for frame in plan.frames for doubt in plan.open_doubts(frame))
    return {key: doubt.message for key, doubt in doubts if doubt.question is Question.PLACE}


@pytest.mark.parametrize("kind", ["mirrored", "of another", "twice"])
def test_one_odd_mask_is_asked_about_alone(project: Project, tmp_path: Path, kind: str) -> None:
    odd = {
        "mirrored": elsewhere("mirrored")[0],
        "of another": Ellipse(60.0, 60.0, 40.0, 30.0, 100.0),
        "twice": HEADS[5],
    }[kind]
    heads = (*HEADS, replace(HEADS[0], cx=HEADS[0].cx + 1))
    source = masks_of(tmp_path / "clinic", (odd, *heads[1:]), heads=heads)
    if kind == "twice":  # and nothing tells where the skull is
        write_png(source / "frame_1.png", speckle(1, SIZE))
    plan = plan_import(project, source)
    ((key, message),) = in_doubt(plan).items()
    assert key == "frame_1.png" and str(source / key) in message
    assert (str(source / "frame_6.png") in message) == (kind == "twice")
    assert offered(plan) == ["proposal", "final", "none"]
    (problem,) = import_named(project, source).problems
    assert "--answer place final frame_1.png" in problem
    assert final(project).keys() == {f"frame_{i}" for i in range(2, 8)}
    answered = Choices.of([("place", "final", ("frame_1.png",))])
    assert in_doubt(plan_import(project, source, answered)) == {}


def test_a_few_masks_that_are_numbered_otherwise_are_asked_about(
    project: Project, tmp_path: Path
) -> None:
    heads = [replace(HEADS[i % 6], cx=80.0 + 37 * i % 90) for i in range(30)]
    masks = [*heads[:10], *heads[11:14], *heads[13:]]  # 11 to 13 have that of the next one
    plan = plan_import(project, masks_of(tmp_path / "clinic", masks, heads=heads))
    found = in_doubt(plan)
    assert found.keys() == {f"frame_{i}.png" for i in (11, 12, 13)}
    assert all("that of the picture before it" in found[f"frame_{i}.png"] for i in (12, 13))
    choices = Choices.of([("place", "previous", ("frame_12.png", "frame_13.png"))])
    moved = {f.path.stem: f.ellipse for f in plan_import(project, plan.source, choices).frames}
    for i in (12, 13):
        ellipse = moved[f"frame_{i}"]
        assert ellipse is not None and ellipse.overlap(heads[i - 1]) > 0.99


def test_faint_skulls_are_not_taken_for_odd_masks(project: Project, tmp_path: Path) -> None:
    source = masks_of(tmp_path / "clinic", HEADS)
    for i in (2, 4):
        write_png(source / f"frame_{i}.png", speckle(i, SIZE))
    assert in_doubt(plan_import(project, source)) == {}


def test_if_some_masks_are_mirrored_it_is_not_offered_for_all(
    project: Project, tmp_path: Path
) -> None:
    source = masks_of(tmp_path / "clinic", (*elsewhere("mirrored")[:4], *HEADS[4:]))
    plan = plan_import(project, source)
    (message,) = asked(plan)
    assert "in some of the pictures" in message and "mirrored left to right" in message
    assert "frame_1.png" in message and "frame_5.png" not in message
    assert offered(plan) == ["proposal", "final", "none"]


def test_where_a_mirrored_mask_is_the_same_nothing_is_asked(
    project: Project, tmp_path: Path
) -> None:
    level = [Ellipse(119.5 + i, 90.0 + i, 50.0, 36.0, 2.0 * i) for i in (0, 1, 2)]
    masks = [PLACEMENTS["mirrored"].of(head, SIZE) for head in level]
    assert asked(plan_import(project, masks_of(tmp_path / "clinic", masks, heads=level))) == set()


def test_a_single_mask_is_asked_about_if_another_place_fits_far_better(
    project: Project, tmp_path: Path
) -> None:
    source = masks_of(tmp_path / "a", elsewhere("flipped")[:1], heads=HEADS[:1])
    (message,) = asked(plan_import(project, source))
    assert "flipped top to bottom" in message
    lost = replace(HEADS[0], cx=170.0, cy=60.0)
    assert asked(plan_import(project, masks_of(tmp_path / "b", [lost], heads=HEADS[:1]))) == set()


@pytest.mark.parametrize(("answer", "certain", "drawn"), [("final", True, 6), ("none", True, 0)])
def test_the_ellipses_are_taken_as_they_are_or_not_at_all(
    project: Project, tmp_path: Path, answer: str, certain: bool, drawn: int
) -> None:
    wrong = elsewhere("flipped")
    planner = Planner(project, masks_of(tmp_path / "clinic", wrong))
    assert not any(frame.certain for frame in planner.plan(NO_CHOICES).frames)
    plan = planner.plan(Choices.of([("place", answer, ())]))
    assert all(frame.certain is certain for frame in plan.frames)
    taken = [(f.ellipse, w) for f, w in zip(plan.frames, wrong, strict=True) if f.ellipse]
    assert len(taken) == drawn and all(one.overlap(other) > 0.99 for one, other in taken)
    assert asked(plan) == set()


def test_one_file_is_answered_otherwise_than_the_rest(project: Project, tmp_path: Path) -> None:
    source = masks_of(tmp_path / "clinic", elsewhere("mirrored"))
    choices = Choices.of([("place", "mirrored", ()), ("place", "none", ("frame_2.png",))])
    import_named(project, source, choices=choices)
    assert "frame_2" not in final(project)
    assert on_heads({**final(project), "frame_2": HEADS[1]})


def test_masks_of_a_volume_are_compared_slice_by_slice(project: Project, tmp_path: Path) -> None:
    source = volume(tmp_path / "clinic", elsewhere("flipped"))
    (message,) = asked(plan_import(project, source))
    assert "flipped top to bottom" in message
    plan = plan_import(project, source, Choices.of([("place", "flipped", ())]))
    pairs = zip(plan.frames, HEADS, strict=True)
    assert all(f.ellipse is not None and f.ellipse.overlap(h) > 0.99 for f, h in pairs)


@pytest.mark.parametrize("answer", [None, "flipped"])
def test_a_table_that_counts_upwards_is_asked_about(
    project: Project, tmp_path: Path, answer: str | None
) -> None:
    source = masks_of(tmp_path / "clinic", [None] * len(HEADS))
    lines = ["name,cx,cy,semi_axis_a,semi_axis_b,angle_deg"]
    for i, h in enumerate(elsewhere("flipped"), 1):
        lines.append(f"frame_{i}.png,{h.cx},{h.cy},{h.a},{h.b},{h.angle_deg}")
    (source / "ellipses.csv").write_text("\n".join(lines) + "\n")
    choices = NO_CHOICES if answer is None else Choices.of([("place", answer, ())])
    plan = plan_import(project, source, choices)
    assert offered(plan) == ["proposal", "final", "flipped", "none"]
    assert {frame.certain for frame in plan.frames} == {answer is not None}
    if answer is not None:
        assert asked(plan) == set()
        pairs = zip(plan.frames, HEADS, strict=True)
        assert all(f.ellipse is not None and f.ellipse.overlap(h) > 0.99 for f, h in pairs)
