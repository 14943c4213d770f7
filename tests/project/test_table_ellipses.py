"""What the numbers of a table of ellipses mean is compared with the pictures, and asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.formats.reading.frame_reading import read_content
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.reading.table_ellipses import with_axes_doubts
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.tables.table_meanings import MEANINGS
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import plan_import
from fetalstudio.project.project import Project
from tests.named import import_named
from tests.progress import Watched
from tests.skulls import skull, speckle

SIZE = (240, 180)
HEADS = tuple(Ellipse(110.0 + 4 * i, 96.0 - 3 * i, 40.0, 30.0, 20.0 + 5 * i) for i in range(6))
AXES = "name,cx,cy,a,b,angle_deg"
SAID = "name,cx,cy,semi_axis_a,semi_axis_b,angle_deg"

LEVEL = tuple(Ellipse(112.0 + 3 * i, 92.0 - i, 82.0, 62.0, 6.0 + i) for i in range(6))
"""Large heads at a few degrees."""

Given = Callable[[Ellipse], tuple[float, float, float]]
"""How a table gives the axes and the angle of a head."""


def right(head: Ellipse) -> tuple[float, float, float]:
    return head.a, head.b, head.angle_deg


def diameters(head: Ellipse) -> tuple[float, float, float]:
    return 2 * head.a, 2 * head.b, head.angle_deg


def turned(head: Ellipse) -> tuple[float, float, float]:
    return head.a, head.b, head.angle_deg + 90


def mirrored(head: Ellipse) -> tuple[float, float, float]:
    return head.a, head.b, -head.angle_deg


def in_radians(head: Ellipse) -> tuple[float, float, float]:
    return head.a, head.b, math.radians(head.angle_deg)


def by_scikit_image(head: Ellipse) -> tuple[float, float, float]:
    return 2 * head.a, 2 * head.b, 90 - head.angle_deg


def shown_skull(head: Ellipse, seed: int) -> NDArray[np.uint8]:
    return skull(head, seed, SIZE)


def shown_speckle(_head: Ellipse, seed: int) -> NDArray[np.uint8]:
    return speckle(seed, SIZE)


def tissue(_head: Ellipse, seed: int) -> NDArray[np.uint8]:
    """Bright and dark places without a skull."""
    places = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=SIZE[::-1]), (0, 0), 5)
    return (30 * places / places.std() + 90).clip(0, 255).astype(np.uint8)


def table_of(
    folder: Path,
    given: Given,
    *,
    header: str = AXES,
    heads: Sequence[Ellipse] = HEADS,
    shown: Callable[[Ellipse, int], NDArray[np.uint8]] = shown_skull,
    more: str = "",
) -> Path:
    """A folder of frames with the table of their ellipses."""
    lines = [header]
    for i, head in enumerate(heads):
        write_png(folder / f"{i:03d}_HC.png", shown(head, i))
        numbers = (head.cx, head.cy, *given(head))
        lines.append(",".join([f"{i:03d}_HC.png", *(f"{n:.2f}" for n in numbers)]) + more)
    (folder / "ellipses.csv").write_text("\n".join(lines) + "\n")
    return folder


def asked(plan: ImportPlan) -> set[str]:
    """The doubts about the tables, each once."""
    doubts = (doubt for frame in plan.frames for doubt in plan.open_doubts(frame))
    return {doubt.message for doubt in doubts if doubt.question is Question.AXES}


def on_heads(project: Project, heads: Sequence[Ellipse] = HEADS) -> bool:
    """Whether the project has these ellipses, and all are final."""
    found = project.annotations.by_frame()
    drawn = [found[frame.id] for frame in project.frames.all()]
    return all(
        a.state == "final" and a.ellipse is not None and a.ellipse.overlap(head) > 0.99
        for a, head in zip(drawn, heads, strict=True)
    )


@pytest.mark.parametrize("header", [AXES, SAID])
def test_a_table_whose_ellipses_lie_on_the_skulls_is_not_asked_about(
    project: Project, tmp_path: Path, header: str
) -> None:
    assert import_named(project, table_of(tmp_path / "clinic", right, header=header)).problems == ()
    assert on_heads(project)


@pytest.mark.parametrize(
    ("given", "header", "said", "answer"),
    [
        (diameters, AXES, "its lengths are diameters", "half"),
        (diameters, SAID, "its lengths are diameters", "half"),
        (right, "name,cx,cy,diameter_a,diameter_b,angle_deg", "are semi-axes", "double"),
        (turned, SAID, "its angle is that of the minor axis", "turned"),
        (mirrored, AXES, "its angle counts anticlockwise", "mirrored"),
        (by_scikit_image, AXES, "diameters and its angle counts", "half-turned-mirrored"),
    ],
)
def test_numbers_that_mean_something_else_are_asked_about(
    project: Project, tmp_path: Path, given: Given, header: str, said: str, answer: str
) -> None:
    source = table_of(tmp_path / "clinic", given, header=header)
    (message,) = asked(plan_import(project, source))
    assert str(source / "ellipses.csv") in message and said in message
    report = import_named(project, source)
    assert report.in_doubt == len(HEADS) and "imported as proposals" in report.problems[0]
    assert {a.state for a in project.annotations.by_frame().values()} == {"proposed"}
    assert import_named(project, source, choices=Choices.of([("axes", answer, ())])).problems == ()
    assert on_heads(project)


@pytest.mark.parametrize(
    ("given", "heads", "answer"),
    [
        (mirrored, LEVEL, "mirrored"),
        (in_radians, LEVEL, "radians"),
        (in_radians, HEADS, "radians"),
    ],
)
def test_angles_of_another_kind_are_asked_about_where_they_change_little(
    project: Project, tmp_path: Path, given: Given, heads: Sequence[Ellipse], answer: str
) -> None:
    source = table_of(tmp_path / "clinic", given, header=SAID, heads=heads)
    (message,) = asked(plan_import(project, source))
    assert MEANINGS[answer].text in message
    choices = Choices.of([("axes", answer, ())])
    assert import_named(project, source, choices=choices).in_doubt == 0
    assert on_heads(project, heads)


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (1.0, 2.0, 3.0), (6.0, 7.0, 8.0)])
def test_right_angles_of_level_heads_are_not_asked_about(
    project: Project, tmp_path: Path, angles: tuple[float, ...]
) -> None:
    heads = [replace(LEVEL[i], angle_deg=angle) for i, angle in enumerate(angles)]
    source = table_of(tmp_path / "clinic", right, header=SAID, heads=heads)
    assert asked(plan_import(project, source)) == set()


def test_angles_that_may_be_in_radians_are_asked_about_if_the_pictures_do_not_show_it(
    project: Project, tmp_path: Path
) -> None:
    source = table_of(
        tmp_path / "clinic", in_radians, header=SAID, heads=HEADS[:3], shown=shown_speckle
    )
    (message,) = asked(plan_import(project, source))
    assert "may be in radians" in message
    choices = Choices.of([("axes", "radians", ())])
    assert import_named(project, source, choices=choices).problems == ()
    assert on_heads(project, HEADS[:3])


@pytest.mark.parametrize("angle", [0.4, 179.6, 90.4])
def test_an_angle_in_radians_may_be_near_that_of_any_axis(angle: float) -> None:
    read = Ellipse(100.0, 80.0, 50.0, 36.0, angle)
    axis = 90 * round(angle / 90)
    meant = MEANINGS["radians"].of(read).angle_deg
    assert meant == pytest.approx((axis + math.degrees(angle - axis)) % 180)


def test_lengths_of_which_nothing_is_known_are_asked_about(
    project: Project, tmp_path: Path
) -> None:
    source = table_of(tmp_path / "clinic", right, shown=shown_speckle)
    (message,) = asked(plan_import(project, source))
    assert "does not say whether 'a' and 'b' are semi-axes or diameters" in message
    taken = plan_import(project, source, Choices.of([("axes", "as-read", ())]))
    assert all(frame.ellipse and frame.certain for frame in taken.frames)
    left = plan_import(project, source, Choices.of([("axes", "none", ())]))
    assert not any(frame.ellipse for frame in left.frames)


@pytest.mark.parametrize(
    ("given", "header"),
    [
        (right, SAID),
        (diameters, "name,cx,cy,major_axis_length,minor_axis_length,angle_deg"),
        (diameters, "name,cx,cy,Diameter A,Diameter B,angle_deg"),
    ],
)
def test_a_header_that_says_what_the_lengths_are_is_believed(
    project: Project, tmp_path: Path, given: Given, header: str
) -> None:
    heads = HEADS[:4]
    source = table_of(tmp_path / "clinic", given, header=header, heads=heads, shown=shown_speckle)
    assert import_named(project, source).problems == ()
    assert on_heads(project, heads)


def test_many_ellipses_that_lie_on_nothing_are_asked_about(
    project: Project, tmp_path: Path
) -> None:
    source = table_of(tmp_path / "clinic", right, header=SAID, shown=tissue)
    (message,) = asked(plan_import(project, source))
    assert "no skulls can be seen on the ellipses" in message


def test_one_odd_frame_decides_nothing(project: Project, tmp_path: Path) -> None:
    odd = replace(HEADS[0], a=2 * HEADS[0].a, b=2 * HEADS[0].b)
    source = table_of(tmp_path / "clinic", right)
    write_png(source / "000_HC.png", shown_skull(odd, 0))
    assert asked(plan_import(project, source)) == set()


def test_a_circumference_says_what_the_lengths_are(project: Project, tmp_path: Path) -> None:
    around = HEADS[0].perimeter * 0.5
    header = f"{AXES},pixel size(mm),head circumference (mm)"
    more = f",0.5,{around:.2f}"
    source = table_of(tmp_path / "right", right, header=header, shown=shown_speckle, more=more)
    assert asked(plan_import(project, source)) == set()
    source = table_of(tmp_path / "wrong", diameters, header=header, shown=shown_speckle, more=more)
    (message,) = asked(plan_import(project, source))
    assert "if its lengths are diameters" in message


def test_a_mask_says_what_the_lengths_are(project: Project, tmp_path: Path) -> None:
    source = table_of(tmp_path / "clinic", right, shown=shown_speckle)
    for i, head in enumerate(HEADS):
        write_png(source / f"{i:03d}_HC_mask.png", head.mask(SIZE) * np.uint8(255))
    assert asked(plan_import(project, source)) == set()


def test_of_semi_axes_and_diameters_together_none_is_taken(
    project: Project, tmp_path: Path
) -> None:
    source = table_of(
        tmp_path / "clinic", right, header="name,cx,cy,semi_axis_a,diameter_b,angle_deg"
    )
    (problem,) = import_named(project, source).problems
    assert "ellipses.csv" in problem and "was not used" in problem
    assert not project.annotations.by_frame()


def test_the_progress_counts_the_looked_at_frames_of_all_tables(tmp_path: Path) -> None:
    for name in ("a", "b"):
        table_of(tmp_path / "clinic" / name, right, heads=HEADS[:3])
    watched = Watched()
    with_axes_doubts(read_source(tmp_path / "clinic").records, watched)
    assert watched.steps == [(number, 6) for number in range(6)]


@pytest.mark.parametrize("answer", [None, "none", "proposal"])
def test_what_is_asked_about_a_table_is_not_about_an_outline_in_the_frames_own_file(
    tmp_path: Path, answer: str | None
) -> None:
    source = table_of(tmp_path / "clinic", diameters, heads=HEADS[:3])
    record = with_axes_doubts(read_source(source).records)[0]
    assert [doubt.question for doubt in record.doubts] == [Question.AXES]
    answers = {} if answer is None else {Question.AXES: answer}
    outside = Ellipse(-300.0, -300.0, 40.0, 30.0, 0.0)
    drawn = replace(record, ellipse=outside, outline=lambda _size: ShownEllipse(HEADS[0]))
    content = read_content(drawn, answers)
    assert content.ellipse == HEADS[0] and content.certain


MM_PER_PX = 0.25


def table_in_mm(folder: Path, scale: float, *, calibrated: bool = True) -> Path:
    """A folder of large heads with a table of their ellipses, times ``scale``."""
    lines = [SAID + (",mm/px" if calibrated else "")]
    for i, head in enumerate(LEVEL):
        write_png(folder / f"{i:03d}_HC.png", shown_skull(head, i))
        numbers = [scale * n for n in (head.cx, head.cy, head.a, head.b)]
        cells = [f"{i:03d}_HC.png", *(f"{n:.3f}" for n in (*numbers, head.angle_deg))]
        lines.append(",".join(cells + ([str(MM_PER_PX)] if calibrated else [])))
    (folder / "ellipses.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_an_ellipse_in_mm_under_headers_of_px_is_asked_about(
    project: Project, tmp_path: Path
) -> None:
    source = table_in_mm(tmp_path / "clinic", MM_PER_PX)
    (said,) = asked(plan_import(project, source))
    assert "they would if its numbers are in mm" in said
    plan = plan_import(project, source, Choices.of([("axes", "mm", ())]))
    assert not asked(plan) and all(frame.certain for frame in plan.frames)
    found = [frame.ellipse for frame in plan.frames]
    assert all(e and e.overlap(head) > 0.99 for e, head in zip(found, LEVEL, strict=True))


def test_a_table_of_tiny_ellipses_is_asked_about_as_a_whole(
    project: Project, tmp_path: Path
) -> None:
    source = table_in_mm(tmp_path / "clinic", 0.09, calibrated=False)
    plan = plan_import(project, source)
    (said,) = asked(plan)
    assert "6 of 6 ellipses are far smaller than a head" in said
    assert not any(frame.certain for frame in plan.frames)
    answered = plan_import(project, source, Choices.of([("axes", "mm", ())]))
    assert all(frame.ellipse is None for frame in answered.frames)
    assert sum("its pixel size is not known" in p for p in answered.problems) == len(LEVEL)


def test_a_single_tiny_ellipse_is_in_doubt_by_itself(project: Project, tmp_path: Path) -> None:
    heads = (*LEVEL[:5], Ellipse(60, 60, 7.0, 5.0, 10.0))
    plan = plan_import(project, table_of(tmp_path / "clinic", right, header=SAID, heads=heads))
    assert not asked(plan)
    assert [frame.certain for frame in plan.frames] == [True] * 5 + [False]
