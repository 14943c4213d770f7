"""A folder of images: formats, masks beside them or in a folder, subjects."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import encode_png, write_png
from fetalstudio.formats.privacy.subjects import subject_of
from fetalstudio.formats.sources import read_source
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.project import Project
from tests.named import import_named, keys
from tests.project.kinds import Picture, PicturesIn

SIZE = (96, 80)


def filled(ellipse: Ellipse) -> np.ndarray:
    return ellipse.mask(SIZE) * np.uint8(255)


def ring(ellipse: Ellipse) -> np.ndarray:
    outer = Ellipse(ellipse.cx, ellipse.cy, ellipse.a + 1, ellipse.b + 1, ellipse.angle_deg)
    inner = Ellipse(ellipse.cx, ellipse.cy, ellipse.a - 1, ellipse.b - 1, ellipse.angle_deg)
    return (outer.mask(SIZE) - inner.mask(SIZE)) * np.uint8(255)


def close(found: Ellipse | None, expected: Ellipse) -> bool:
    return found is not None and found.overlap(expected) > 0.98


# -- pictures --------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".tif", ".tiff", ".bmp"])
@pytest.mark.parametrize("colour", [False, True], ids=["grey", "colour"])
def test_every_kind_of_image(
    project: Project, picture: Picture, tmp_path: Path, suffix: str, colour: bool
) -> None:
    grey = cv2.GaussianBlur(picture(1), (0, 0), 3)
    source = tmp_path / "source"
    source.mkdir()
    stored = cv2.merge([grey, grey, grey]) if colour else grey
    cv2.imwrite(str(source / f"x{suffix}"), stored)
    assert import_named(project, source).problems == ()
    (frame,) = project.frames.all()
    difference = np.abs(project.frames.pixels(frame.id).astype(int) - grey)
    assert difference.max() <= (8 if "j" in suffix.lower() else 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_scaled_to_eight(project: Project, tmp_path: Path, suffix: str) -> None:
    ramp = np.linspace(0, 4095, 96 * 80).reshape(80, 96).astype(np.uint16)
    source = tmp_path / "source"
    source.mkdir()
    cv2.imwrite(str(source / f"x{suffix}"), ramp)
    import_named(project, source)
    pixels = project.frames.pixels(project.frames.all()[0].id)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.abs(pixels - ramp / 4095 * 255).max() <= 1


# -- masks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [filled, ring])
@pytest.mark.parametrize(
    "place",
    [
        "x_mask.png",
        "x_Annotation.png",
        "X_seg.bmp",
        "x-gt.tif",
        "x_label.png",
        "masks/x.png",
        "Labels/x.tif",
        "mask/x_Annotation.png",
        "../labels/x.png",
        "masks/head/x.png",
        "../masks/fetal_head/x.png",
        "x_head_mask.png",
    ],
)
def test_where_a_mask_may_lie(
    project: Project,
    picture: Picture,
    tmp_path: Path,
    ellipse: Ellipse,
    place: str,
    draw: Callable[[Ellipse], NDArray[np.uint8]],
) -> None:
    source = tmp_path / "source" / "images"
    write_png(source / "x.png", picture(1))
    write_png(source / "y.png", picture(2))
    (source / place).parent.mkdir(exist_ok=True, parents=True)
    cv2.imwrite(str(source / place), draw(ellipse))
    report = import_named(project, source)
    assert report.problems == ()
    assert (report.cohort, report.frames, report.annotated) == ("source", 2, 1)
    (annotated,) = project.frames.all(annotated=True)
    assert annotated.name == "x"
    assert close(project.annotations.by_frame()[annotated.id].ellipse, ellipse)


PAIRS = [
    *(("x", "y"), ("Input", "Target"), ("inputs", "targets"), ("images", "target"), ("img", "ann")),
    *(
        ("X_train", "Y_train"),
        ("US", "GT"),
        ("ultrasound", "targets"),
        ("train_input", "train_target"),
    ),
]


@pytest.mark.parametrize(("images", "masks"), PAIRS)
@pytest.mark.parametrize(
    "layout",
    ["{0}/P{1}_{2}.png", "P{1}/{0}/{2}.png", "{0}/P{1}/{2}.png", "site/P{1}/v1/{0}/{2}.png"],
)
def test_folders_of_targets_hold_masks_at_any_depth(
    picture: Picture, tmp_path: Path, ellipse: Ellipse, images: str, masks: str, layout: str
) -> None:
    expected = {}
    for patient in (1, 2):
        for i in range(2):
            frame = tmp_path / "data" / layout.format(images, patient, i)
            mask = tmp_path / "data" / layout.format(masks, patient, i)
            write_png(frame, picture(2 * patient + i))
            write_png(mask, filled(ellipse))
            expected[frame] = mask
    found = read_source(tmp_path / "data")
    assert {record.path: record.annotation for record in found.records} == expected
    assert {record.subject for record in found.records} == {"P1", "P2"}


@pytest.mark.parametrize(("images", "masks"), [("x", "y"), ("Input", "Target")])
def test_masks_lie_in_the_folder_of_the_targets_where_each_has_its_frame(
    project: Project,
    picture: Picture,
    tmp_path: Path,
    ellipse: Ellipse,
    images: str,
    masks: str,
) -> None:
    source = tmp_path / "data"
    for i in range(3):
        write_png(source / images / f"{i}.png", picture(i))
    write_png(source / masks / "1.png", filled(ellipse))
    report = import_named(project, source)
    assert (report.frames, report.annotated, report.problems) == (3, 1, ())
    write_png(source / masks / "7.png", filled(ellipse))
    read = read_source(source)
    assert all(record.annotation is None for record in read.records)


@pytest.mark.parametrize("other", ["a frame", "a frame's name", "no picture of it", "masks"])
def test_a_folder_that_is_called_as_one_of_targets_may_hold_something_else(
    picture: Picture, tmp_path: Path, ellipse: Ellipse, other: str
) -> None:
    source = tmp_path / "data"
    for i in range(2):
        write_png(source / "P1" / "input" / f"{i}.png", picture(i))
        write_png(source / "P1" / "target" / f"{i}.png", filled(ellipse))
    if other == "a frame":
        write_png(source / "P1" / "target" / "0.png", picture(7))
    elif other == "a frame's name":
        (source / "P1" / "input").rename(source / "P1" / "Anna")
    elif other == "no picture of it":
        (source / "P1" / "input" / "1.png").unlink()
    else:
        write_png(source / "P1" / "masks" / "0.png", filled(ellipse))
    found = read_source(source)
    drawn = {record.annotation for record in found.records}
    assert drawn == {None} | ({source / "P1" / "masks" / "0.png"} if other == "masks" else set())


def test_the_target_of_each_patient_is_looked_for_beside_her_own_pictures(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    """The masks of P2 have the names of P1's pictures, and those of P3 are in no folder."""
    source = tmp_path / "data"
    for i in range(2):
        write_png(source / "P1" / "input" / f"{i}.png", picture(i))
        write_png(source / "P2" / "input" / f"{i + 5}.png", picture(i + 5))
        write_png(source / "P2" / "target" / f"{i}.png", filled(ellipse))
        write_png(source / "P3" / "input" / f"{i}.png", picture(i + 8))
    (source / "P3" / "target").mkdir()
    assert all(record.annotation is None for record in read_source(source).records)
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (6, 0)
    assert any("P2/target/0.png looks like an annotation" in said for said in report.problems)


def test_masks_beside_two_folders_of_images_with_the_same_names_are_asked_about(
    picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "data"
    write_png(source / "P1" / "img" / "0.png", picture(1))
    write_png(source / "P1" / "images" / "0.png", picture(2))
    write_png(source / "P1" / "img" / "1.png", picture(3))
    for i in range(2):
        write_png(source / "P1" / "mask" / f"{i}.png", filled(ellipse))
    records = {record.path.relative_to(source): record for record in read_source(source).records}
    assert records.pop(Path("P1", "img", "1.png")).annotation is not None
    for record in records.values():
        (doubt,) = record.doubts
        assert record.annotation is None and "could annotate each of" in doubt.message


def test_targets_belong_to_the_folder_that_they_are_called_after(
    picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "data"
    for folder in (source, source / "P1"):
        for number, name in enumerate(("x_train", "x_test", "img")):
            write_png(folder / name / "0.png", picture(number + len(folder.parts)))
        write_png(folder / "y_train" / "0.png", filled(ellipse))
        found = read_source(folder)
        drawn = {record.path.parent: record.annotation for record in found.records}
        assert drawn.pop(folder / "x_train") == folder / "y_train" / "0.png"
        assert set(drawn.values()) == {None}
    nested = {record.path.parent: record.annotation for record in read_source(source).records}
    assert nested[folder / "x_train"] == folder / "y_train" / "0.png"
    assert nested[folder / "img"] is None and nested[folder / "x_test"] is None
    write_png(source / "us" / "7.png", picture(7))
    write_png(source / "scans" / "7.png", picture(8))
    write_png(source / "target" / "7.png", filled(ellipse))
    records = [r for r in read_source(source).records if r.path.name == "7.png"]
    assert [(r.annotation, len(r.doubts)) for r in records] == [(None, 1), (None, 1)]


def test_an_output_beside_a_target_is_not_used(
    picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "data"
    for folder in (source, source / "P1"):
        write_png(folder / "input" / "0.png", picture(len(folder.parts)))
        write_png(folder / "target" / "0.png", filled(ellipse))
        write_png(folder / "output" / "0.png", filled(replace(ellipse, cx=ellipse.cx + 5)))
        (record,) = (r for r in read_source(folder).records if r.path.parent.name == "input")
        assert record.annotation == folder / "target" / "0.png" and record.annotation_doubt is None


def test_an_output_may_be_that_of_a_model(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    write_png(tmp_path / "data" / "P1" / "input" / "0.png", picture(1))
    write_png(tmp_path / "data" / "P1" / "output" / "0.png", filled(ellipse))
    report = import_named(project, tmp_path / "data")
    assert "the name says 'output'" in report.problems[0]
    (annotation,) = project.annotations.by_frame().values()
    assert annotation.state == "proposed"


@pytest.mark.parametrize(
    "place",
    [
        "x_abdomen_mask.png",
        "x_mask_AC.png",
        "x_pred_mask.png",
        "x_inner_mask.png",
        "x_inner_skull_mask.png",
        "roi_masks/x.png",
        "masks_femur/x.png",
        "brainMasks/x.png",
        "masks/x_abdomen_mask.png",
    ],
)
def test_a_mask_that_is_named_after_something_else_is_not_taken_for_the_head(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse, place: str
) -> None:
    source = tmp_path / "data"
    write_png(source / "x.png", picture(1))
    write_png(source / place, filled(ellipse))
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (1, 0)
    (problem,) = report.problems
    assert place in problem and "something else than an outlined head" in problem


def test_masks_of_something_else_beside_the_images_are_named(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "data" / "images"
    write_png(source / "x.png", picture(1))
    write_png(tmp_path / "data" / "abdomen_masks" / "x.png", filled(ellipse))
    report = import_named(project, source)
    (problem,) = report.problems
    assert report.annotated == 0
    assert "abdomen_masks seems to hold masks of something else than heads" in problem


@pytest.mark.parametrize("masks", ["abdomen_masks", "masks_pred"])
@pytest.mark.parametrize("chosen", [".", "images", "images/train"])
def test_masks_of_something_else_are_not_used_where_they_are_divided_as_the_images(
    project: Project, picture: Picture, tmp_path: Path, masks: str, chosen: str
) -> None:
    source = tmp_path / "data"
    head = Ellipse(48, 40, 25, 18, 10)
    write_png(source / "images" / "train" / "x.png", picture(1))
    write_png(source / masks / "train" / "x.png", filled(Ellipse(40, 36, 20, 15, 100)))
    write_png(source / "masks" / "train" / "x.png", filled(head))
    report = import_named(project, source / chosen)
    (frame,) = project.frames.all()
    found = project.annotations.newest(frame.id)
    assert found is not None and found.state == "final" and close(found.ellipse, head)
    (problem,) = report.problems
    assert masks in problem


@pytest.mark.parametrize("chosen", [".", "images", "images/abdomen"])
def test_a_part_of_something_else_has_no_masks_of_heads(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse, chosen: str
) -> None:
    source = tmp_path / "data"
    for number, part in enumerate(("abdomen", "head")):
        write_png(source / "images" / part / f"{part}.png", picture(number))
        write_png(source / "masks" / part / f"{part}.png", filled(ellipse))
    report = import_named(project, source / chosen)
    assert [f.name for f in project.frames.all()] == ["abdomen", "head"][: report.frames]
    assert report.annotated == report.frames - 1
    (problem,) = report.problems
    assert str(Path("masks", "abdomen", "abdomen.png")) in problem
    assert "something else than an outlined head" in problem


def test_images_are_not_looked_for_in_parts_that_only_masks_of_something_else_have(
    picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "images" / "train" / "x.png", picture(1))
    write_png(tmp_path / "abdomen_masks" / "train" / "x.png", filled(Ellipse(40, 36, 20, 15, 100)))
    with pytest.raises(InputError) as refused:
        read_source(tmp_path)
    assert f"Import {tmp_path / 'images'} by itself." in str(refused.value)
    (record,) = read_source(tmp_path / "images").records
    assert record.annotation is None


def test_image_and_mask_folders_side_by_side(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "es"
    for i in range(3):
        name = f"Patient0069{i}_Plane3_1_of_4"
        write_png(source / "image" / f"{name}.png", picture(i))
        write_png(source / "mask" / f"{name}_Annotation.png", ring(ellipse))
    report = import_named(project, source)
    assert (report.cohort, report.frames, report.annotated) == ("cohort-1", 3, 3)
    assert [f.subject for f in project.frames.all()] == keys(
        project, *(f"Patient0069{i}" for i in range(3))
    )


@pytest.mark.parametrize("masks", ["masks", "annotations", "labels"])
@pytest.mark.parametrize("chosen", [".", "images"])
def test_images_and_masks_divided_into_the_same_parts(
    project: Project, picture: Picture, tmp_path: Path, masks: str, chosen: str
) -> None:
    source = tmp_path / "data"
    heads = {"train": Ellipse(48, 40, 25, 18, 10), "val": Ellipse(40, 36, 20, 15, 100)}
    for seed, (part, head) in enumerate(heads.items()):
        write_png(source / "images" / part / "001.png", picture(seed))
        write_png(source / masks / part / "001.png", filled(head))
    write_png(source / "images" / "test" / "001.png", picture(7))
    report = import_named(project, source / chosen)
    assert (report.frames, report.annotated, report.problems) == (3, 2, ())
    for frame in project.frames.all():
        found = project.annotations.newest(frame.id)
        part = frame.name.partition("_")[0]
        if part == "test":
            assert found is None
        else:
            assert found is not None and close(found.ellipse, heads[part])


def test_a_part_by_itself_has_its_masks(project: Project, picture: Picture, tmp_path: Path) -> None:
    head = Ellipse(48, 40, 25, 18, 10)
    write_png(tmp_path / "images" / "train" / "001.png", picture(1))
    write_png(tmp_path / "masks" / "train" / "001.png", filled(head))
    write_png(tmp_path / "masks" / "train" / "002.png", filled(head))
    report = import_named(project, tmp_path / "images" / "train")
    assert (report.frames, report.annotated) == (1, 1)
    (problem,) = report.problems
    assert "002.png annotates a frame that is not there" in problem
    assert "name it after that, such as NAME_mask.png" in problem


def test_what_lies_too_deep_is_found_in_the_folder_of_the_images(
    picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "images" / "a" / "001.png", picture(1))
    write_png(tmp_path / "annotations" / "b" / "001.png", filled(Ellipse(48, 40, 25, 18, 10)))
    with pytest.raises(InputError) as refused:
        read_source(tmp_path)
    assert f"Import {tmp_path / 'images'} by itself." in str(refused.value)
    assert len(read_source(tmp_path / "images").records) == 1


def test_images_one_folder_down_but_not_two(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for i, place in enumerate(("top.png", "a/x.png", "b/x.png", "b/deep/y.png", ".hidden/z.png")):
        write_png(source / place, picture(i))
    import_named(project, source)
    frames = project.frames.all()
    assert [f.name for f in frames] == ["a_x", "b_x", "top"]
    assert [f.subject for f in frames] == keys(project, "a_x", "b_x", "top")


_ANNA_AND_EVA = "Anna_1 Anna_2 Eva_1 Eva_2"


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (_ANNA_AND_EVA, "'Anna_*'"),
        ("Anna1 Anna2 Anna3 Eva", "'Anna[0-9]*'"),
        ("7a 7b 8a 8b", "'7[A-Za-z]*'"),
        ("10234_1 10234_2 10377_1", "'10234_*'"),
        ("US_101_1 US_101_2 US_102_1 US_102_2", "'US_101_*'"),
        ("Muster_Eva_2024-03-01 Muster_Eva_2024-03-05 Kunz_Ida_2024-03-01", "'Muster_Eva_*'"),
        ("Anna/images/1 Anna/images/2 Eva/images/3 Eva/images/4", "'Anna/*'"),
        (f"clinic/{_ANNA_AND_EVA.replace(' ', ' clinic/')}", "'clinic/Anna_*'"),
    ],
)
def test_names_that_several_pictures_of_one_patient_may_have_are_named(
    project: Project, picture: Picture, tmp_path: Path, names: str, pattern: str
) -> None:
    source = tmp_path / "source"
    for i, name in enumerate(names.split(" ")):
        write_png(source / f"{name}.png", picture(i))
    (problem,) = import_named(project, source).problems
    first, second, *_ = names.split(" ")
    assert "several show one patient" in problem and f"{first}.png, {second}.png" in problem
    assert pattern in problem  # which the option takes:
    with Project.create(tmp_path / "other") as other:
        answer = Choices.of([("subject", "A", (pattern.strip("'"),))])
        report = import_named(other, source, choices=answer)
        together = sum(name.startswith(first[:-1]) for name in names.split(" "))
        assert report.frames - report.subjects == together - 1
        assert all(first not in problem for problem in report.problems)


@pytest.mark.parametrize(
    "names",
    [
        "IMG_1 IMG_2 IMG_3",
        "IMG_1 IMG_2 scan_1 scan_2",
        "train/1 train/2 val/3 val/4",
        "Scanner_A_1 Scanner_A_2 Scanner_B_1 Scanner_B_2",
        "site1_1 site1_2 site2_1 site2_2",
        "20240105_1 20240105_2 20240106_1 20240106_2",
        "egypt_1 egypt_2 ghana_1 ghana_2",
        "a b c d e f g_1 g_2",
        "P7-a P7-b P8-a P8-b",
    ],
)
def test_names_that_say_nothing_of_patients_are_not_named(
    project: Project, picture: Picture, tmp_path: Path, names: str
) -> None:
    for i, name in enumerate(names.split(" ")):
        write_png(tmp_path / "source" / f"{name}.png", picture(i))
    assert import_named(project, tmp_path / "source").problems == ()


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("P{0}/img/{1:03}.png", "P{0}/mask/{1:03}.png"),
        ("patient_0{0}/images/img_{1}.png", "patient_0{0}/masks/mask_{1}.png"),
        ("data/P{0}/scans/{1}.png", "data/P{0}/labels/{1}.png"),
        ("P{0}/{1}.png", "P{0}/mask/{1}.png"),
        ("P{0}/study{1}/image.png", "P{0}/study{1}/mask.png"),
        ("P{0}/clip_{1}.png", "P{0}/clip_{1}_mask.png"),
        ("train/P{0}/2024/{1}.png", "train/P{0}/2024/{1}_seg.png"),
        ("Site A/P{0}/img/{1}.png", "Site A/P{0}/mask/head/{1}.png"),
    ],
)
def test_patients_have_folders_of_their_own(
    project: Project, picture: Picture, tmp_path: Path, image: str, mask: str
) -> None:
    """The same names in each, whether one or all are imported."""
    source = tmp_path / "clinic"
    heads = {}
    for i in range(4):
        heads[i] = Ellipse(40 + 3 * i, 40, 25 + i, 18, 10 * i)
        write_png(source / image.format(i // 2 + 1, i % 2), picture(i))
        write_png(source / mask.format(i // 2 + 1, i % 2), filled(heads[i]))
    alone = next(path for path in source.rglob("*1") if path.name.lower().startswith("p"))
    first = import_named(project, alone, choices=Choices.of([], cohort="c"))
    assert (first.annotated, first.subjects, first.problems) == (2, 1, ())
    report = import_named(project, source)
    assert (report.annotated, report.duplicates, report.subjects, report.problems) == (2, 2, 2, ())
    found = project.annotations.by_frame()
    for frame in project.frames.all():
        pixels = project.frames.pixels(frame.id)
        (i,) = (n for n in range(4) if np.array_equal(pixels, picture(n)))
        assert found[frame.id].state == "final" and close(found[frame.id].ellipse, heads[i])
    patients = (image.partition("/{1}")[0].format(n, n).split("/") for n in (1, 2))
    named = (next(part for part in parts if part[0] in "Pp") for parts in patients)
    assert {frame.subject for frame in project.frames.all()} == {*keys(project, *named)}


def test_frames_of_patients_need_no_masks(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "clinic"
    for i in range(3):
        write_png(source / f"Patient {i}" / "2024-01-05" / "IMG_1.png", picture(i))
    write_png(source / "Patient 0" / "overlay" / "IMG_1.png", picture(7))
    report = import_named(project, source)
    assert (report.frames, report.subjects) == (3, 3)
    write_png(source / "Anna" / "images" / "1.png", picture(4))
    write_png(source / "Anna" / "inner_masks" / "1.png", filled(ellipse))
    write_png(source / "abdomen" / "images" / "1.png", picture(5))
    write_png(source / "abdomen" / "masks" / "1.png", filled(ellipse))
    assert import_named(project, source).annotated == 0


def test_patients_of_one_name_in_two_folders_are_named(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "clinic"
    for i, part in enumerate(("train", "val")):
        write_png(source / part / "P1" / f"{i}.png", picture(i))
    assert import_named(project, source).problems == ()
    for i, site in enumerate(("North", "South")):
        write_png(source / site / "P2" / "img" / f"{i}.png", picture(5 + i))
    (problem,) = import_named(project, source).problems
    assert str(source / "North" / "P2") in problem and str(source / "South" / "P2") in problem
    assert "rename" in problem


def test_an_export_in_a_source_is_to_be_imported_by_itself(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "x.png", picture(1))
    write_png(tmp_path / "out" / "images" / "1.png", picture(2))
    (tmp_path / "out" / "provenance.json").write_text("{}")
    report = import_named(project, tmp_path)
    assert report.frames == 1 and f"Import {tmp_path / 'out'} by itself." in report.problems[0]


def test_a_mask_without_its_frame_is_named(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    write_png(tmp_path / "source" / "x.png", picture(1))
    write_png(tmp_path / "source" / "y_mask.png", filled(ellipse))
    write_png(tmp_path / "source" / "masks" / "z.png", filled(ellipse))
    report = import_named(project, tmp_path / "source")
    assert report.frames == 1
    assert [problem.split(" annotates")[0].split("/")[-1] for problem in report.problems] == [
        "y_mask.png",
        "z.png",
    ]


# -- tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["filename,pixel size(mm)", "Image;Pixel_Size"])
def test_a_table_of_pixel_sizes(
    project: Project, picture: Picture, tmp_path: Path, header: str
) -> None:
    write_png(tmp_path / "source" / "x.png", picture(1))
    write_png(tmp_path / "source" / "y.png", picture(2))
    delimiter = ";" if ";" in header else ","
    (tmp_path / "source" / "sizes.csv").write_text(f"{header}\nX.png{delimiter}0.25\n")
    assert import_named(project, tmp_path / "source").problems == ()
    x, y = project.frames.all()
    assert x.calibration is not None
    assert (x.calibration.mm_per_px_x, x.calibration.mm_per_px_y) == (0.25, 0.25)
    assert y.calibration is None


def test_other_tables_are_left_alone_and_named(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "source" / "x.png", picture(1))
    (tmp_path / "source" / "notes.csv").write_text('remark,cx,cx\nclear,1,2,3,4\n"1,5"\n')
    (problem,) = import_named(project, tmp_path / "source").problems
    assert "notes.csv has no column that names the files" in problem


def _with_table(source: Path, picture: Picture, lines: str, name: str = "ellipses.csv") -> Path:
    for i in range(2):
        write_png(source / "image" / f"patient00{i}_EGY_plane1.png", picture(i))
    (source / name).write_text(lines)
    return source


def test_names_in_a_table_that_no_frame_has_are_told(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number, name in enumerate(("a", "b")):
        write_png(source / f"{name}.png", picture(number))
    table = source / "sizes.csv"
    table.write_text("filename,pixel size(mm)\nA.PNG,0.2\nb,0.3\nc.png,0.4\n")
    (told,) = import_named(project, source).problems
    assert told.startswith(f"The table in {source} names c.png: no such frame")
    assert [frame.calibration is not None for frame in project.frames.all()] == [True, True]
    table.write_text("filename,pixel size(mm)\na.jpg,0.2\nb.jpg,0.3\n")
    (told,) = import_named(project, source).problems
    assert "names a.jpg, b.jpg, and nothing else" in told


def test_pictures_of_other_kinds_are_told(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_png(source / "a.png", picture(1))
    for name in ("b.webp", "c.WEBP", "d.mp4", "e.npy", "notes.txt", ".hidden.npy"):
        (source / name).write_bytes(b"x")
    (source / "folder.npy").mkdir()
    (told,) = import_named(project, source).problems
    assert told.startswith(
        "Not read: 1 .mp4 (d.mp4), 1 .npy (e.npy), 2 .webp (b.webp and 1 more). Export"
    )
    (source / "a.png").unlink()
    with pytest.raises(InputError, match=r"holds no images.*Not read: 1 .mp4"):
        import_named(project, source)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_links_that_lead_nowhere_are_named(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "b.png").symlink_to(source / ".git" / "annex" / "b.png")
    with pytest.raises(InputError, match=r"Not read: 1 broken link \(b\.png\)\. Copy the files"):
        import_named(project, source)
    write_png(source / "a.png", picture(1))
    (told,) = import_named(project, source).problems
    assert told.startswith("Not read: 1 broken link (b.png).")


@pytest.mark.parametrize("name", ["frames.zip", "frames.tar.gz"])
def test_archives_without_dicom_are_to_be_unpacked(
    project: Project, tmp_path: Path, name: str
) -> None:
    packed = tmp_path / name
    packed.write_bytes(b"x")
    with pytest.raises(InputError) as refused:
        import_named(project, packed)
    assert str(refused.value) == (
        f"{packed} holds no DICOM images. Unpack it and import the folder."
    )


def test_a_folder_of_masks_alone_is_refused_in_one_sentence(
    project: Project, tmp_path: Path
) -> None:
    for number in range(30):
        write_png(tmp_path / f"{number}_mask.png", filled(Ellipse(48, 40, 30, 20, 0)))
    with pytest.raises(InputError) as refused:
        import_named(project, tmp_path)
    assert str(refused.value).endswith("Choose the folder with the frames.")
    assert len(str(refused.value)) < len(str(tmp_path)) + 150


def test_a_table_beside_some_frames_that_names_others_is_told(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for number, name in enumerate(("p1/a", "p2/b")):
        (source / name).parent.mkdir(parents=True)
        write_png(source / f"{name}.png", picture(number))
    (source / "p1" / "sizes.csv").write_text("filename,pixel size(mm)\na,0.2\nb,0.3\n,0.4\n")
    (told,) = import_named(project, source).problems
    assert f"The table in {source / 'p1'} names b: no such frame" in told


def test_a_table_above_the_folder_is_named(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "clinic" / "images"
    write_png(source / "p1.png", picture(1))
    (source.parent / "others.csv").write_text("filename,mm/px\nq1.png,0.2\n")
    assert import_named(project, source).problems == ()
    table = source.parent / "sizes.csv"
    table.write_text("filename,mm/px\np1.png,0.2\n")
    (problem,) = import_named(project, source).problems
    assert problem.startswith(f"{table} names frames of {source}")
    assert f"import {source.parent}, or move the table" in problem
    (source.parent / "others.csv").unlink()
    assert import_named(project, source.parent).problems == ()
    (frame,) = project.frames.all()
    assert frame.calibration is not None


@pytest.mark.parametrize(
    "text",
    ["p1.png 0.2\np2.png 0.3\n", "p1^48^40^30^22^10\n", '"p1.png"  "0.2"\n', "a/p1.PNG|0.2\n"],
)
@pytest.mark.parametrize("name", ["sizes.txt", "sizes.dat"])
def test_text_about_frames_that_is_no_table_is_named(
    project: Project, picture: Picture, tmp_path: Path, name: str, text: str
) -> None:
    source = tmp_path / "clinic"
    write_png(source / "p1.png", picture(1))
    (source / name).write_text(text)
    (source / "notes.txt").write_text("p1 was scanned twice\nread 3 pages\n")
    (problem,) = import_named(project, source).problems
    assert f"text with the names of frames ({name})" in problem
    assert "a first line that names the columns" in problem


def test_a_table_of_ellipses_and_labels(project: Project, picture: Picture, tmp_path: Path) -> None:
    source = _with_table(
        tmp_path / "africa",
        picture,
        "filename,cx,cy,semi_axis_a,semi_axis_b,angle_deg,quality\n"
        "patient000_EGY_plane1.png,48.5,40,30,22,190,fair\npatient001_EGY_plane1.png,,,,,,\n",
    )
    (source / "other_hand.csv").write_text("name,cx,cy,a,b,angle_deg\nx,1,1,9,8,0\n")
    report = import_named(project, source)
    (problem,) = report.problems
    assert "other_hand.csv was not used: ellipses.csv gives the ellipses" in problem
    first, second = project.frames.all()
    assert (report.cohort, report.annotated) == ("africa", 1)
    assert [first.subject] == keys(project, "patient000_EGY")
    (annotation,) = project.annotations.by_frame().values()
    assert annotation.frame_id == first.id and annotation.state == "final"
    assert annotation.ellipse == Ellipse.of(48.5, 40, 30, 22, 190)
    assert first.labels == {"country": "EGY", "quality": "fair"}
    assert second.labels == {"country": "EGY"}


def test_a_table_read_again_gives_frames_that_are_there_what_they_lack(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = _with_table(tmp_path / "africa", picture, "name,quality\npatient000_EGY_plane1,fair\n")
    import_named(project, source)
    line = "patient000_EGY_plane1,clear,48,40,30,22,0,96,80\n"
    _with_table(
        source,
        picture,
        "name,quality,cx,cy,semi_axis_a,semi_axis_b,angle_deg,width,height\n" + line,
    )
    report = import_named(project, source)
    assert (report.frames, report.annotated, report.problems) == (0, 1, ())
    assert project.frames.all()[0].labels["quality"] == "clear"


def test_a_table_gives_gestational_ages_and_leaves_those_of_a_person(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    lines = "name,GA,pixel size(mm)\n"
    lines += "patient000_EGY_plane1,20w3d,0.2\npatient001_EGY_plane1,20.3,0.25\n"
    source = _with_table(tmp_path / "af", picture, lines)
    (problem,) = import_named(project, source, cohort="africa").problems
    assert "line 3: '20.3' is not a gestational age" in problem
    first, second = project.frames.all()
    assert first.labels == {"country": "EGY", "gestational_age": "20+3"}
    assert second.labels == {"country": "EGY"}
    assert second.calibration is not None and second.calibration.mm_per_px_x == 0.25
    project.frames.set_labels(first.id, {"gestational_age": "21+0"})
    import_named(project, source, cohort="africa")
    assert project.frames.get(first.id).labels["gestational_age"] == "21+0"


@pytest.mark.parametrize(
    ("cells", "told"),
    [("48,40,30,22,0,100,80", "width and height"), ("480,40,30,22,0,,", "lies outside")],
)
def test_an_ellipse_that_does_not_fit_its_frame_is_left_out(
    project: Project, picture: Picture, tmp_path: Path, cells: str, told: str
) -> None:
    header = "name,cx,cy,a,b,angle_deg,width,height"
    source = _with_table(tmp_path / "x", picture, f"{header}\npatient000_EGY_plane1,{cells}\n")
    (problem,) = import_named(project, source).problems
    assert told in problem and "Correct the table" in problem
    assert project.annotations.by_frame() == {} and len(project.frames.all()) == 2


@pytest.mark.parametrize(
    ("cells", "told"), [("48,40,30,0,0", "line 2"), ("x,40,30,20,0", "not a number")]
)
def test_an_impossible_ellipse_is_named_and_the_frames_are_imported(
    project: Project, picture: Picture, tmp_path: Path, cells: str, told: str
) -> None:
    lines = f"name,cx,cy,a,b,angle_deg\npatient000_EGY_plane1,{cells}\n"
    (problem,) = import_named(project, _with_table(tmp_path / "x", picture, lines)).problems
    assert told in problem and "The line was not used" in problem
    assert len(project.frames.all()) == 2 and not project.annotations.by_frame()


def test_two_tables_of_ellipses_are_one_too_many(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    lines = "name,cx,cy,a,b,angle_deg\n"
    _with_table(tmp_path / "x", picture, lines, "mine.csv")
    source = _with_table(tmp_path / "x", picture, lines, "yours.csv")
    (problem,) = import_named(project, source).problems
    assert "each give the ellipses, and none was used" in problem and "ellipses.csv" in problem


def test_a_table_without_file_names_is_named_and_the_frames_are_imported(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "source" / "x.png", picture(1))
    (tmp_path / "source" / "sizes.csv").write_text("pixel size(mm)\n0.25\n")
    (problem,) = import_named(project, tmp_path / "source").problems
    assert "sizes.csv lacks the column 'filename'" in problem
    assert "The table was not used" in problem and len(project.frames.all()) == 1


# -- what cannot be imported -----------------------------------------------------------------


def test_a_folder_without_images(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "report.docx").write_text("")
    with pytest.raises(InputError, match="holds no images"):
        import_named(project, source)
    with pytest.raises(InputError, match="does not exist"):
        import_named(project, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is not a PNG, .* image\. Choose an image"):
        import_named(project, source / "report.docx")


def test_a_folder_of_bad_images_only(
    project: Project, tmp_path: Path, pictures_in: PicturesIn
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a.png", "b.png"):
        (source / name).write_text("text")
    with pytest.raises(InputError, match=r"Nothing could be imported .2 files.* b\.png|b\.png"):
        import_named(project, source)
    assert pictures_in(project.path) == set()


def test_a_folder_that_one_may_not_read(project: Project, unwritable: Path) -> None:
    (unwritable / "source").mkdir()
    (unwritable / "source").chmod(0)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        import_named(project, unwritable / "source")
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        import_named(project, unwritable / "source" / "x.png")


def test_masks_beside_are_not_needed_where_nothing_can_be_listed(
    project: Project, picture: Picture, unwritable: Path
) -> None:
    write_png(unwritable / "source" / "x.png", picture(1))
    unwritable.chmod(0o300)
    found = read_source(unwritable / "source")
    assert [record.name for record in found.records] == ["x"]


def test_a_single_image(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "source"
    write_png(source / "x.png", picture(1))
    write_png(source / "x_mask.png", filled(ellipse))
    write_png(source / "y.png", picture(2))
    report = import_named(project, source / "x.png", cohort="mine")
    assert (report.cohort, report.frames, report.annotated) == ("mine", 1, 1)
    with pytest.raises(InputError, match="annotates a frame"):
        import_named(project, source / "x_mask.png")


# -- subjects --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("392_HC", "392"),
        ("392_2HC", "392"),
        ("000_HC", "000"),
        ("Patient00690_Plane3_1_of_4", "Patient00690"),
        ("patient002_EGY_plane1", "patient002_EGY"),
        ("patient002_GHA_plane1", "patient002_GHA"),
        ("patient7", "patient7"),
        ("IMG_0042", "IMG_0042"),
        ("12_scan", "12_scan"),
        ("2024-03-08_P01_2", "P01"),
        ("case12a", "case12"),
        ("subject12img3", "subject12"),
        ("p3f9a2", "p3f9a2"),
        ("0a1b2c3d-P01_1", "P01"),
        ("010_2HC_png.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9", "010"),
        ("vid1_20", "vid1"),
        ("inpatient3", "inpatient3"),
    ],
)
def test_the_subject_in_a_name(name: str, subject: str) -> None:
    assert subject_of(name) == subject


@pytest.mark.parametrize("word", ["MRN12345", "ACC001", "paciente ", "Fall_", "\u60a3\u8005"])
def test_frames_of_one_patient_by_their_names(word: str) -> None:
    assert subject_of(f"{word}7_1") == subject_of(f"{word}7_2") != subject_of(f"{word}8_1")


# -- what belongs to what --------------------------------------------------------------------


def _two_scanners(source: Path, picture: Picture) -> None:
    for number, scanner in enumerate(("scannerA", "scannerB")):
        (source / scanner).mkdir(parents=True)
        write_png(source / scanner / "img1.png", picture(10 + number))


def test_a_table_beside_frames_is_about_these_alone(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    _two_scanners(source, picture)
    for scanner, mm in (("scannerA", 0.1), ("scannerB", 0.25)):
        (source / scanner / "sizes.csv").write_text(f"filename,pixel size(mm)\nimg1.png,{mm}\n")
    assert import_named(project, source).problems == ()
    sizes = {f.name: f.calibration and f.calibration.mm_per_px_x for f in project.frames.all()}
    assert sizes == {"scannerA_img1": 0.1, "scannerB_img1": 0.25}


def test_what_could_be_about_several_frames_is_not_used(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    source = tmp_path / "source"
    _two_scanners(source, picture)
    (source / "sizes.csv").write_text("filename,pixel size(mm)\nimg1.png,0.1\n")
    (source / "masks").mkdir()
    write_png(source / "masks" / "img1.png", filled(ellipse))
    report = import_named(project, source)
    assert all(frame.calibration is None for frame in project.frames.all())
    assert report.annotated == 0
    told = "\n".join(report.problems)
    assert "Several folders have img1.png" in told and "a table into each folder" in told
    assert f"{source / 'masks' / 'img1.png'}: several folders have such a frame" in told
    assert "Give each frame a name of its own" in told


def test_masks_beside_a_folder_with_a_name_are_not_its_own(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    for folder in ("siteA", "masks"):
        (tmp_path / folder).mkdir()
    write_png(tmp_path / "siteA" / "x.png", picture(1))
    write_png(tmp_path / "masks" / "x.png", filled(ellipse))
    assert import_named(project, tmp_path / "siteA").annotated == 0


@pytest.mark.parametrize(
    ("frame", "mask"),
    [
        ("img_{}.png", "mask_{}.png"),
        ("image{}.png", "mask{}.png"),
        ("US_{}.png", "GT_{}.png"),
        ("{}_orig.png", "{}_seg.png"),
        ("images/us{}.png", "masks/gt{}.png"),
        ("images/{}.png", "masks/00{}.png"),
        ("images/{}.jpg", "masks/{}.jpg.png"),
        ("{}.png", "{}_maske.png"),
        ("{}.png", "{}_掩膜.png"),
        ("images/{}.png", "mascaras/{}.png"),
    ],
)
def test_frames_and_masks_that_are_numbered_alike(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse, frame: str, mask: str
) -> None:
    moved = replace(ellipse, cx=ellipse.cx + 6)
    for i, shape in enumerate((ellipse, moved), 1):
        for name, drawn in ((frame, picture(i)), (mask, filled(shape))):
            path = tmp_path / "source" / name.format(i)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(path.suffix, drawn)[1].tobytes())
    report = import_named(project, tmp_path / "source")
    assert (report.frames, report.annotated, report.problems) == (2, 2, ())
    found = project.annotations.by_frame()
    first, second = (
        found[f.id].ellipse for f in sorted(project.frames.all(), key=lambda f: f.name)
    )
    assert close(first, ellipse) and close(second, moved)


def test_a_number_that_is_padded_otherwise_belongs_to_one_frame_alone(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    for i, name in enumerate(("images/7.png", "images/07.png", "masks/007.png")):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / "source" / name, filled(ellipse) if i == 2 else picture(i))
    report = import_named(project, tmp_path / "source")
    assert (report.frames, report.annotated) == (2, 0)
    (problem,) = report.problems
    assert "007.png" in problem


def test_image_and_mask_in_a_folder_for_each_frame(
    project: Project, picture: Picture, tmp_path: Path, ellipse: Ellipse
) -> None:
    for i in range(2):
        folder = tmp_path / "source" / f"case{i}"
        folder.mkdir(parents=True)
        write_png(folder / "image.png", picture(i))
        write_png(folder / "mask.png", filled(ellipse))
    report = import_named(project, tmp_path / "source")
    assert (report.frames, report.annotated, report.problems) == (2, 2, ())
    frames = project.frames.all()
    assert [f.name for f in frames] == ["case0_image", "case1_image"]
    assert [f.subject for f in frames] == keys(project, "case0", "case1")


def test_a_folder_for_each_patient_is_one_subject(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    for i, name in enumerate(("P001/a", "P001/b", "P002/a", "scanner/c", "scanner/d")):
        path = tmp_path / "source" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, picture(i))
    import_named(project, tmp_path / "source")
    subjects = {f.name: f.subject for f in project.frames.all()}
    assert subjects.pop("b") == subjects["P001_a"]
    assert list(subjects.values()) == keys(project, "P001", "P002", "c", "d")


def test_a_table_tells_the_patient_and_his_name_is_not_kept(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for i in range(3):
        write_png(source / f"{i}.png", picture(i))
    (source / "patients.csv").write_text(
        "filename,patient\n0.png,Doe Jane\n1.png,Doe Jane\n2.png,Roe Mary\n"
    )
    assert import_named(project, source).problems == ()
    first, second, third = (frame.subject for frame in project.frames.all())
    assert first == second != third
    assert first.startswith("subject-") and "Doe" not in first


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take UTF-8 names only")
def test_names_in_another_encoding(project: Project, picture: Picture, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / os.fsdecode(b"fr\xe9.png")).write_bytes(encode_png(picture(1)))
    assert import_named(project, source).frames == 1
    assert project.frames.all()[0].name == "fr?"


def test_a_bad_table_beside_a_single_image_is_named_and_stops_nothing(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "s" / "frame.png", picture(1))
    (tmp_path / "s" / "sizes.csv").write_bytes(b"\xff\xfe\x00\x01\x80")
    (tmp_path / "s" / "accounts.csv").write_text("amount,day\n1,2\n")
    report = import_named(project, tmp_path / "s" / "frame.png")
    assert report.frames == 1
    (told,) = report.problems
    assert "sizes.csv is not a table in CSV" in told and "The table was not used" in told
    assert len(import_named(project, tmp_path / "s").problems) == 2
