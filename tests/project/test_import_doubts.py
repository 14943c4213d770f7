"""What an import must not guess: it asks, warns or leaves out, and names the files."""

from __future__ import annotations

import json
import os
import sys
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.formats.pictures.picture_files import encode_png, write_png
from fetalstudio.formats.sources import read_source
from fetalstudio.formats.writing.pair_files import PairFiles, PairRecord
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.project import Project
from tests.named import import_named, keys
from tests.project.kinds import Picture

SIZE = (96, 80)
HEAD = Ellipse(48.0, 36.0, 30.0, 22.0, 20.0)
OTHER = Ellipse(48.0, 68.0, 20.0, 9.0, 0.0)
MASK = HEAD.mask(SIZE) * np.uint8(255)


def labels(head: int, other: int) -> NDArray[np.uint8]:
    values = OTHER.mask(SIZE) * np.uint8(other)
    values[HEAD.mask(SIZE) > 0] = head
    return values


def ellipses_of(project: Project) -> dict[str, Ellipse | None]:
    """The ellipses by the frames' names."""
    found = project.annotations.by_frame()
    return {f.name: found[f.id].ellipse if f.id in found else None for f in project.frames.all()}


def is_head(found: Ellipse | None) -> bool:
    return found is not None and found.overlap(HEAD) > 0.97


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


# -- masks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("turned_mask", [False, True])
def test_frames_and_masks_are_turned_as_viewers_show_them(
    project: Project, picture: Picture, source: Path, turned_mask: bool
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored, shown = np.rot90(picture(1)), np.rot90(MASK)
    Image.fromarray(stored).save(source / "x.png", exif=exif)
    if turned_mask:
        Image.fromarray(shown).save(source / "x_mask.png", exif=exif)
    else:
        write_png(source / "x_mask.png", MASK)
    assert import_named(project, source).problems == ()
    (frame,) = project.frames.all()
    np.testing.assert_array_equal(project.frames.pixels(frame.id), picture(1))
    assert is_head(ellipses_of(project)["x"])


def test_several_structures_are_taken_where_the_head_is_stated(
    project: Project, picture: Picture, source: Path, tmp_path: Path
) -> None:
    for i, name in enumerate(("both", "head", "other")):
        write_png(source / f"{name}.png", picture(i))
    write_png(source / "both_mask.png", labels(2, 1))
    write_png(source / "head_mask.png", labels(2, 0))
    write_png(source / "other_mask.png", labels(0, 1))
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (3, 0)
    several, *single = report.problems
    assert "both_mask.png shows several structures, with the values 1, 2" in several
    assert "--mask-value" in several and "imported without an ellipse" in several
    assert len(single) == 2 and all("other masks show several" in p for p in single)
    with Project.create(tmp_path / "second") as second:
        report = import_named(second, source, choices=Choices.of([("head", "2", ())]))
        (problem,) = report.problems
        assert "other_mask.png: it holds nothing of the value 2, but 1" in problem
        found = ellipses_of(second)
        assert is_head(found["both"]) and is_head(found["head"]) and found["other"] is None
    with pytest.raises(InputError, match="'two' is no value of a mask"):
        Choices.of([("head", "two", ())])


@pytest.mark.parametrize(
    ("frame", "mask", "head", "other", "known"),
    [
        ("PSFHS/image_png/03740.png", "PSFHS/label_png/03740.png", 2, 1, True),
        ("a/image_png/03740.png", "a/label_png/03740.png", 2, 1, True),
        ("20190830T115515_7.png", "20190830T115515_7_mask.png", 8, 7, True),
        ("JNU-IFM/image/x.png", "JNU-IFM/mask/x.png", 8, 7, True),
        ("a/image/x.png", "a/label/x.png", 2, 1, False),
        ("x.png", "x_mask.png", 8, 7, False),
        ("PSFHS/image_png/03740.png", "PSFHS/label_png/03740.png", 3, 1, False),
    ],
)
def test_the_numbers_of_published_data_sets_are_known_where_these_are_recognised(
    project: Project,
    picture: Picture,
    source: Path,
    frame: str,
    mask: str,
    head: int,
    other: int,
    known: bool,
) -> None:
    write_png(source / frame, picture(1))
    write_png(source / mask, labels(head, other))
    inner = source / Path(frame).parts[0] if len(Path(frame).parts) == 3 else source
    report = import_named(project, inner)
    assert (report.frames, report.annotated) == (1, int(known))
    (found,) = ellipses_of(project).values()
    assert is_head(found) == known


def test_a_doubtful_shape_is_a_proposal_and_stays_one(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    box = np.zeros_like(MASK)
    box[15:65, 15:80] = 255
    write_png(source / "x_mask.png", box)
    report = import_named(project, source)
    (problem,) = report.problems
    assert "x_mask.png: an ellipse does not describe it" in problem and "proposal" in problem
    (annotation,) = project.annotations.by_frame().values()
    assert (annotation.state, annotation.author) == ("proposed", "import")
    assert import_named(project, source).annotated == 0
    write_png(source / "x_mask.png", MASK)
    assert import_named(project, source).annotated == 1
    (annotation,) = project.annotations.by_frame().values()
    assert annotation.state == "final" and is_head(annotation.ellipse)


@pytest.mark.parametrize("second", ["x_mask.png", "masks/x.png", "x_Annotation_1.png"])
def test_two_masks_for_one_frame_are_named_and_none_is_used(
    project: Project, picture: Picture, source: Path, second: str
) -> None:
    write_png(source / "x.png", picture(1))
    write_png(source / "x_Annotation.png", MASK)
    write_png(source / second, labels(0, 255))
    report = import_named(project, source)
    (problem,) = report.problems
    assert "x_Annotation.png" in problem and str(source / second) in problem
    assert (report.frames, report.annotated) == (1, 0)
    write_png(source / second, MASK)  # a copy of the other
    (source / "x_Annotation.png").write_bytes((source / second).read_bytes())
    assert import_named(project, source).annotated == 1


def test_one_mask_for_two_frames_is_named_and_not_used(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "same.png", picture(1))
    cv2.imwrite(str(source / "same.jpg"), picture(2))
    write_png(source / "same_mask.png", MASK)
    (source / "sizes.csv").write_text("filename,pixel size(mm)\nsame,0.2\nsame.png,0.1\n")
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (2, 0)
    masks, rows = report.problems
    for name in ("same_mask.png", "same.jpg", "same.png"):
        assert str(source / name) in masks
    assert "same.jpg: the table names same, and several frames are called so" in rows
    assert [f.calibration and f.calibration.mm_per_px for f in project.frames.all()] == [None, 0.1]
    assert import_named(project, source / "same.png").problems == (masks,)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("turned", "state"), [(True, "final"), (False, "proposed")])
def test_a_mask_that_fits_the_frame_as_it_is_stored_is_doubtful(
    project: Project, source: Path, turned: bool, state: str, suffix: str
) -> None:
    head = Ellipse(62.0, 30.0, 24.0, 18.0, 20.0)
    picture = np.full(SIZE[::-1], 40, np.uint8)
    picture[head.mask(SIZE) > 0] = 90
    outline = head.contour(400).round().astype(int)
    picture[outline[:, 1], outline[:, 0]] = 220
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    noise = np.random.default_rng(1).integers(0, 20, picture.shape, dtype=np.uint8)
    Image.fromarray((picture + noise)[::-1, ::-1]).save(source / f"x{suffix}", exif=exif)
    mask = head.mask(SIZE) * np.uint8(255)
    write_png(source / "x_mask.png", mask if turned else np.ascontiguousarray(mask[::-1, ::-1]))
    report = import_named(project, source)
    (annotation,) = project.annotations.by_frame().values()
    assert annotation.state == state
    assert len(report.problems) == (0 if turned else 1)


# -- what is a frame -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "mask"),
    [
        ("imagesTr/HC_010_0000.png", "labelsTr/HC_010.png"),
        ("JPEGImages/010.png", "SegmentationClass/010.png"),
        ("image_png/010.png", "label_png/010.png"),
        ("images/010.png", "Masks_png/010.png"),
        ("train/010.png", "train_masks/010_mask.png"),
        ("images/010.png", "GroundTruth/010.png"),
        ("images/010.png", "trainmasks/mask_010.png"),
        ("benign (1).png", "benign (1)_mask.png"),
        ("010.png", "mask_010.png"),
        ("010.png", "010_mask_1.png"),
        ("case1/image.png", "case1/mask.png"),
        ("case1/010.png", "case1/segmentation.png"),
        ("010.png", "010_reader1_mask (2).png"),
        ("010.png", "010_mask_final.png"),
        ("010.png", "010_HC_seg.png"),
        ("010.png", "010.png_mask.png"),
        ("010_image.png", "010_msk.png"),
        ("img_010.png", "mask_010.png"),
        ("images/010.png", "gts/010_head_mask.png"),
        ("010 .png", "010_mask.png"),
        ("\uff10\uff11\uff10.png", "010_mask.png"),
        ("010\u200d.png", "010_mask.png"),
        ("a\nb.png", "a\nb_mask.png"),
        ("010.png", "010_Kopf_Maske.png"),
        ("010.png", "010_mask_AB.png"),
        ("010.png", "010_mask_observer2_corrected - Kopie.png"),
        ("im\u00e1genes/010.png", "m\u00e1scaras/010.png"),
        ("imagens/010.png", "anota\u00e7\u00f5es/010.png"),
        ("Bilder/010.png", "Beschriftungen/010.png"),
        ("old/010.png", "old_masks/010.png"),
    ],
)
def test_masks_are_found_by_the_names_in_use(
    project: Project, picture: Picture, source: Path, frame: str, mask: str
) -> None:
    write_png(source / frame, picture(1))
    write_png(source / mask, HEAD.mask(SIZE))
    report = import_named(project, source)
    assert (report.frames, report.annotated, report.problems) == (1, 1, ())
    assert is_head(next(iter(ellipses_of(project).values())))


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        ("010_knee_mask.png", "knee"),
        ("010_mask_flipped.png", "flipped"),
        ("010_unet_seg.png", "unet"),
        ("010_ai_mask.png", "ai"),
        ("masks_old/010.png", "old"),
        ("wrong masks/010.png", "wrong"),
    ],
)
def test_a_mask_whose_name_may_speak_against_it_is_a_proposal(
    project: Project, picture: Picture, source: Path, mask: str, word: str
) -> None:
    frame = source / ("images/010.png" if "/" in mask else "010.png")
    write_png(frame, picture(1))
    write_png(source / mask, HEAD.mask(SIZE))
    report = import_named(project, source)
    assert [a.state for a in project.annotations.by_frame().values()] == ["proposed"]
    (problem,) = report.problems
    assert str(source / mask) in problem and f"the name says {word!r}" in problem
    final = Choices.of([("shape", "final", ())])
    assert import_named(project, source, choices=final).problems == ()
    assert [a.state for a in project.annotations.by_frame().values()] == ["final"]


@pytest.mark.parametrize("name", ["010_Bauch_Maske.png", "010_m\u00e1scara_coraz\u00f3n.png"])
def test_a_mask_of_something_else_is_known_in_other_languages(
    project: Project, picture: Picture, source: Path, name: str
) -> None:
    write_png(source / "010.png", picture(1))
    write_png(source / name, HEAD.mask(SIZE))
    report = import_named(project, source)
    assert report.annotated == 0
    assert "something else than an outlined head" in report.problems[0]


@pytest.mark.parametrize(
    "name", ["task-1-annotation-1-Head-0.png", "010_head.png", "drawn/010.png", "x/010 final.jpg"]
)
@pytest.mark.parametrize("draw", [lambda: MASK, lambda: 255 - MASK, lambda: labels(2, 1)])
def test_a_picture_that_looks_like_an_annotation_is_no_frame(
    project: Project,
    picture: Picture,
    source: Path,
    name: str,
    draw: Callable[[], NDArray[np.uint8]],
) -> None:
    write_png(source / "010.png", picture(1))
    (source / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(source / name), draw())
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (1, 0)
    (problem,) = report.problems
    assert str(source / name) in problem and "looks like an annotation" in problem


@pytest.mark.parametrize("name", ["010_overlay.png", "overlays/010.png"])
def test_a_frame_with_something_drawn_on_it_is_left_out(
    project: Project, picture: Picture, source: Path, name: str
) -> None:
    write_png(source / "010.png", picture(1))
    write_png(source / name, np.maximum(picture(1), MASK))
    report = import_named(project, source)
    assert report.frames == 1
    (problem,) = report.problems
    assert str(source / name) in problem and "something drawn on it" in problem


@pytest.mark.parametrize("name", ["010_final.png", "010 (HC).png", "010.jpg", "results/010.png"])
def test_a_frame_that_is_there_twice_with_a_difference_is_left_out(
    project: Project, picture: Picture, source: Path, name: str
) -> None:
    grey, other = (
        np.asarray(cv2.GaussianBlur(picture(seed), (0, 0), 1.2), np.uint8) for seed in (1, 3)
    )
    write_png(source / "010.png", grey)
    write_png(source / "011.png", picture(2))
    write_png(source / "010_2.png", other)
    again = cv2.merge([grey] * 3)
    x, y = HEAD.contour(300).round().astype(int).T
    again[y, x] = (0, 0, 255)
    (source / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(source / name), again, [cv2.IMWRITE_JPEG_QUALITY, 95])
    report = import_named(project, source)
    assert report.frames == 3
    (problem,) = report.problems
    shown, original = source / name, source / "010.png"
    if name == "010.jpg":
        shown, original = original, shown
    assert f"{shown} shows {original} again" in problem


LARGE = (384, 320)
LARGE_MASK = np.asarray(cv2.resize(MASK, LARGE), np.uint8)


def beside_its_mask(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.hstack([LARGE_MASK, frame])


def head_alone(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.where(LARGE_MASK > 0, frame, 0).astype(np.uint8)


def heat_map(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    soft = cv2.GaussianBlur(LARGE_MASK, (0, 0), 12)
    return np.asarray(cv2.applyColorMap(soft, cv2.COLORMAP_JET), np.uint8)


def reduced(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("010_compare.png", beside_its_mask),
        ("010_head.png", head_alone),
        ("cropped/010.png", head_alone),
        ("010_heat.png", heat_map),
        ("small/010.png", reduced),
    ],
)
def test_a_picture_made_of_a_frame_and_its_mask_is_no_frame(
    project: Project,
    picture: Picture,
    source: Path,
    name: str,
    made: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    frame = np.asarray(cv2.GaussianBlur(picture(1, LARGE), (0, 0), 1.5), np.uint8)
    write_png(source / "010.png", frame)
    write_png(source / "010_mask.png", LARGE_MASK)
    (source / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(source / name), made(frame))
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (1, 1)
    (problem,) = report.problems
    assert str(source / name) in problem


def test_the_next_frame_of_a_still_clip_is_a_frame(
    project: Project, picture: Picture, source: Path
) -> None:
    noise = np.random.default_rng(7).normal(0, 3, (80, 96))
    first = np.asarray(cv2.GaussianBlur(picture(1), (0, 0), 1.2), np.uint8)
    write_png(source / "scan.png", first)
    write_png(source / "scan (1).png", np.clip(first + noise, 0, 255).round().astype(np.uint8))
    report = import_named(project, source)
    assert (report.frames, report.problems) == (2, ())


def test_a_file_that_was_changed_since_it_was_imported_is_named(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "001_HC.png", picture(1))
    write_png(source / "002_HC.png", picture(2))
    assert import_named(project, source).problems == ()
    assert import_named(project, source).problems == ()
    write_png(source / "001_HC.png", picture(3))
    report = import_named(project, source)
    (problem,) = report.problems
    assert (report.frames, report.duplicates) == (1, 1)
    assert "1 frame of the same name with other pixels" in problem
    assert "001_HC (now 001_HC-2)" in problem and "frames PROJECT remove" in problem


@pytest.mark.parametrize("name", ["scan.jpg", "scan (1).jpg", "results/scan.jpg"])
def test_a_copy_in_another_encoding_is_no_second_frame(
    project: Project, picture: Picture, source: Path, name: str
) -> None:
    first = np.asarray(cv2.GaussianBlur(picture(1), (0, 0), 1.2), np.uint8)
    write_png(source / "scan.png", first)
    (source / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(source / name), first, [cv2.IMWRITE_JPEG_QUALITY, 75])
    report = import_named(project, source)
    assert report.frames == 1
    (problem,) = report.problems
    assert "scan.png" in problem and str(source / name) in problem and "again" in problem


@pytest.mark.parametrize("mask", ["010_mask_2.png", "010_gt-2.png"])
def test_a_number_after_the_word_may_be_that_of_another_frame(
    project: Project, picture: Picture, source: Path, mask: str
) -> None:
    write_png(source / "010.png", picture(1))
    write_png(source / "010_2.png", picture(2))
    write_png(source / mask, MASK)
    report = import_named(project, source)
    assert (report.frames, report.annotated) == (2, 0)
    (problem,) = report.problems
    assert f"{source / mask} may annotate 010 or 010_2" in problem


def test_three_pictures_in_a_folder_for_each_frame(
    project: Project, picture: Picture, source: Path
) -> None:
    for i in range(2):
        folder = source / f"case{i}"
        write_png(folder / "image.png", picture(i))
        write_png(folder / "mask.png", MASK)
        write_png(folder / "overlay.png", np.maximum(picture(i), MASK))
    report = import_named(project, source)
    assert (report.frames, report.annotated, len(report.problems)) == (2, 2, 2)
    assert all("overlay.png seems to show a frame" in problem for problem in report.problems)


def test_synthetic_pictures_are_no_real_frames(
    project: Project, picture: Picture, source: Path, tmp_path: Path
) -> None:
    files = PairFiles(source)
    for i in range(2):
        files.write(PairRecord(f"p{i}", HEAD, SIZE, i, "any", {}, None, False, None), picture(i))
    for path in (source / "p0_mask.png", source / "p1_mask.png"):
        path.rename(path.with_name(f"lost{path.name}"))
    with pytest.raises(InputError, match=r"Nothing could be imported.*is synthetic"):
        import_named(project, source)
    (source / "p0.png").unlink()  # its mask alone is no frame either
    (source / "lostp0_mask.png").rename(source / "p9.png")
    write_png(source / "real.png", picture(5))
    report = import_named(project, source)
    assert [f.name for f in project.frames.all()] == ["real"]
    assert project.pairs.all() == []
    assert any("p9.png is an annotation, as a note in the file says" in p for p in report.problems)
    assert any("p1.png is synthetic" in p for p in report.problems)


def test_the_store_of_a_project_is_not_imported(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    pair = project.pairs.add(
        picture(7), name="s", ellipse=HEAD, cohort="c", calibration=None, quality={}, provenance={}
    )
    path = project.frames.path(pair.frame.id)
    with Project.create(tmp_path / "other") as other:
        for source in (project.path, project.path / "frames", path.parent, path):
            with pytest.raises(InputError, match="belongs to the store of the project"):
                import_named(other, source)
        copy = tmp_path / "copy" / path.name
        copy.parent.mkdir()
        copy.write_bytes(path.read_bytes())
        report = import_named(other, copy.parent)
        assert (report.frames, report.pairs, report.problems) == (0, 1, ())
    # Without the note, the project itself still knows the picture.
    copy.write_bytes(encode_png(picture(7)))
    report = import_named(project, copy.parent)
    assert (report.frames, report.annotated) == (0, 0)
    (problem,) = report.problems
    assert "is the synthetic frame s of this project" in problem
    assert project.frames.all() == []


# -- tables ----------------------------------------------------------------------------------


def test_missing_values_are_no_values(project: Project, picture: Picture, source: Path) -> None:
    marks = ["NA", "n/a", "NaN", "null", "-", "--", "?", ".", "0", "-1", "-999", "#N/A", ""]
    lines = ["filename,pixel size(mm),hc,patient,quality"]
    for i, mark in enumerate(marks):
        write_png(source / f"{i}.png", picture(i))
        text = mark if mark not in ("0", "-1", "-999") else "NA"
        lines.append(f"{i}.png,{mark},{mark},{text},{text}")
    (source / "table.csv").write_text("\n".join(lines) + "\n")
    report = import_named(project, source)
    assert (report.frames, report.problems) == (len(marks), ())
    frames = project.frames.all()
    assert all(f.calibration is None and dict(f.labels) == {} for f in frames)
    assert len({f.subject for f in frames}) == len(marks)


def test_a_line_that_cannot_be_read_is_named_and_the_others_count(
    project: Project, picture: Picture, source: Path
) -> None:
    for i in range(5):
        write_png(source / f"{i}.png", picture(i))
    (source / "t.csv").write_text(
        "filename,pixel size(mm)\n0.png,1,2e-1\n1.png,0.12\n2.png,wide\n3.png,.1\n3.png,.2\n4.png\n"
    )
    report = import_named(project, source)
    sizes = [f.calibration and f.calibration.mm_per_px for f in project.frames.all()]
    assert sizes == [None, 0.12, None, None, None]
    found = "\n".join(report.problems)
    for line, cause in ((2, "3 cells"), (4, "'wide'"), (6, "twice"), (7, "missing")):
        assert f"t.csv, line {line}: " in found and cause in found
    assert len(report.problems) == 4


@pytest.mark.parametrize(
    ("name", "unit", "turned"),
    [("angle", 1.0, False), ("angle_rad", 1.0, True), ("angle", 57.29578, True)],
)
def test_an_angle_is_in_degrees_or_radians_but_not_guessed(
    project: Project, picture: Picture, source: Path, name: str, unit: float, turned: bool
) -> None:
    write_png(source / "x.png", picture(1))
    angle = np.radians(HEAD.angle_deg) * unit
    header = f"name,cx,cy,semi_axis_a,semi_axis_b,{name}"
    (source / "t.csv").write_text(f"{header}\nx,48,36,30,22,{angle}\n")
    report = import_named(project, source)
    if turned:
        assert report.problems == () and is_head(ellipses_of(project)["x"])
    else:
        assert "t.csv: the angles may be in degrees or in radians" in report.problems[0]
        assert ellipses_of(project) == {"x": None}


@pytest.mark.parametrize("column", ["Clinic of the patient", "Code of the mother"])
def test_a_column_that_may_name_patients_is_not_ignored_silently(
    project: Project, picture: Picture, source: Path, column: str
) -> None:
    write_png(source / "0.png", picture(0))
    (source / "t.csv").write_text(f"filename,pixel size(mm),{column}\n0.png,0.1,7\n")
    (problem,) = import_named(project, source).problems
    assert f"t.csv: the column {column!r} was not used" in problem and "call it subject" in problem


def test_a_table_of_patients_that_names_and_tables_contradict_is_named(
    project: Project, picture: Picture, source: Path
) -> None:
    for number, name in enumerate(("P01_1", "P01_2", "P02_1", "x", "y")):
        write_png(source / f"{name}.png", picture(number))
    table = source / "t.csv"
    table.write_text("filename,study_id\nP01_1,11\nP01_2,12\nP02_1,13\nx,11\n")
    untold, torn = import_named(project, source).problems
    assert untold.startswith(f"The table of patients does not name {source / 'y.png'}, each")
    assert f"{source / 'P01_1.png'}, {source / 'P01_2.png'} seem to show one patient" in torn
    table.write_text("filename,subject\nP01_1,11\nP01_2,11\nP02_1,11\nx,12\ny,13\n")
    assert read_source(source).problems == ()


def test_patients_that_are_written_nearly_alike_are_named(
    project: Project, picture: Picture, source: Path
) -> None:
    for i, name in enumerate(("P07_1", "p7_2", "P08_1", "7", "x")):
        write_png(source / f"{name}.png", picture(i))
    (problem,) = import_named(project, source).problems
    assert f"{source / 'P07_1.png'}, {source / 'p7_2.png'} are written nearly alike" in problem


def test_tables_that_contradict_each_other_are_named_and_not_used(
    project: Project, picture: Picture, source: Path
) -> None:
    for i in range(2):
        write_png(source / f"{i}.png", picture(i))
    (source / "a.csv").write_text("filename,pixel size(mm),patient\n0.png,0.1,A\n1.png,0.1,A\n")
    (source / "b.csv").write_text("filename,pixel size(mm),patient\n0.png,0.2,B\n1.png,0.1001,A\n")
    (problem,) = import_named(project, source).problems
    assert "b.csv gives another pixel size and patient for 0.png" in problem
    first, second = project.frames.all()
    assert first.calibration is None and second.calibration is not None
    assert first.subject != second.subject


def test_a_table_above_completes_those_in_folders(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "a" / "0.png", picture(0))
    (source / "a" / "sizes.csv").write_text("filename,pixel size(mm)\n0.png,0.1\n")
    (source / "all.csv").write_text("filename,patient\na/0.png,Roe\n")
    assert import_named(project, source).problems == ()
    (frame,) = project.frames.all()
    assert frame.calibration is not None and frame.subject == keys(project, "Roe")[0]


@pytest.mark.parametrize("place", ["tables/2024", "a/notes", "masks"])
def test_a_table_that_lies_apart_from_the_frames_is_named(
    project: Project, picture: Picture, source: Path, place: str
) -> None:
    write_png(source / "a" / "0.png", picture(0))
    write_png(source / "masks" / "0.png", MASK)
    (source / place).mkdir(parents=True, exist_ok=True)
    table = source / place / "sizes.csv"
    table.write_text("filename,pixel size(mm)\n0.png,0.1\n")
    (problem,) = import_named(project, source).problems
    assert problem.startswith(f"{table} names frames of {source}")
    assert problem.endswith(f"move it into {source}.")
    table.write_text("filename,pixel size(mm)\n7.png,0.1\n")
    assert import_named(project, source).problems == ()
    table.write_text("filename,pixel size(mm)\n0.png,0.1\n")
    table.rename(source / "sizes.csv")
    assert import_named(project, source).problems == ()
    assert project.frames.all()[0].calibration is not None


def test_an_ellipse_that_another_file_contradicts_is_a_proposal(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    write_png(source / "x_mask.png", MASK)
    (source / "t.csv").write_text("name,cx,cy,semi_axis_a,semi_axis_b,angle_deg\nx,60,40,20,12,0\n")
    (problem,) = import_named(project, source).problems
    assert "the table and" in problem and "x_mask.png show different ellipses" in problem
    (annotation,) = project.annotations.by_frame().values()
    assert annotation.state == "proposed"


@pytest.mark.parametrize("suffix", [".tsv", ".TAB"])
def test_tables_with_tabs_have_endings_of_their_own(
    project: Project, picture: Picture, source: Path, suffix: str
) -> None:
    write_png(source / "x.png", picture(1))
    (source / f"t{suffix}").write_text("filename\tpixel size(mm)\nx.png\t0.2\n")
    assert import_named(project, source).problems == ()
    assert project.frames.all()[0].calibration is not None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
def test_what_is_no_file_is_not_read_as_a_table(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    os.mkfifo(source / "a.csv")
    (source / "b.csv").symlink_to("/dev/zero")
    (source / "notes.csv").mkdir()
    with (source / "large.csv").open("wb") as stream:
        stream.truncate(6 << 30)  # sparse
    os.mkfifo(source / "pipe.json")
    os.mkfifo(source / "nothing")
    report = import_named(project, source)
    assert report.frames == 1
    found = "\n".join(report.problems)
    for name, cause in (
        ("a.csv", "not a file"),
        ("b.csv", "not a file"),
        ("notes.csv", "not a file"),
        ("large.csv", "larger than 32 MiB"),
    ):
        assert any(f"{name} " in p and cause in p for p in report.problems), found
    assert len(report.problems) == 4


# -- patients --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        *("Patient_num", "pid", "case_id", "Patient No.", "PatientID", "subject number"),
        *("participant", "Patient's Name"),
    ],
)
def test_the_usual_columns_give_the_subject(
    project: Project, picture: Picture, source: Path, column: str
) -> None:
    for i in range(3):
        write_png(source / f"{i}_x.png", picture(i))
    (source / "t.csv").write_text(f"Image_name,{column}\n0_x.png,1\n1_x.png,1\n2_x.png,2\n")
    report = import_named(project, source)
    assert report.subjects == 2
    assert [f.subject for f in project.frames.all()] == keys(project, "1", "1", "2")


def test_one_patient_has_one_key_whatever_the_way_in(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    ways: dict[str, tuple[str, str]] = {
        "name": ("Patient00690_a.png", ""),
        "table": ("b.png", "filename,patient_id\nb.png,Patient00690\n"),
        "both": ("Patient00690_c.png", "filename,pid\nPatient00690_c.png, Patient00690\n"),
        "Patient00690": ("d.png", ""),
    }
    for i, (folder, (name, table)) in enumerate(ways.items()):
        write_png(tmp_path / "s" / folder / name, picture(i))
        if table:
            (tmp_path / "s" / folder / "t.csv").write_text(table)
    assert import_named(project, tmp_path / "s").subjects == 1
    assert {f.subject for f in project.frames.all()} == set(keys(project, "Patient00690"))


def test_a_number_of_a_hospital_is_not_kept_in_the_clear(
    project: Project, picture: Picture, tmp_path: Path
) -> None:
    write_png(tmp_path / "s" / "90817263" / "a.png", picture(1))
    write_png(tmp_path / "s" / "b.png", picture(2))
    (tmp_path / "s" / "t.csv").write_text("filename,mrn\nb.png,90817263\n")
    assert import_named(project, tmp_path / "s").subjects == 1
    assert "90817263" not in project.frames.all()[0].subject


# -- what is not read ------------------------------------------------------------------------


@pytest.mark.parametrize("deep", ["", "a", "a/b/c"])
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("x.json", json.dumps({"objects": [{"classTitle": "head"}]}), "Supervisely json"),
        ("all.json", json.dumps({"heads": {"polygon": [[1, 2]]}}), "annotation json"),
        ("x.webp", "", ".webp"),
        ("t.ods", "PK", ".ods"),
        ("all.zip", "PK", ".zip"),
        ("x.roi", "Iout", ".roi"),
        ("x.geojson", "{}", ".geojson"),
        ("x.mpg", "", ".mpg"),
        ("x.pptx", "PK", ".pptx"),
        ("t.xlsb", "PK", ".xlsb"),
        ("x.txt", "10, 20, 30.5, 20, 30, 40, head\n", "text of numbers"),
        ("v.json", json.dumps({"file": {}, "metadata": {}, "fid_list": []}), "VIA 3 json"),
        ("p.dat", "350.5 405.0\n284.7 384.9\n250 300\n", "text of numbers"),
        ("p.json", json.dumps({"x": [[1.5, 2], [3, 4], [5, 6], [7, 8]]}), "annotation json"),
        ("r.json", json.dumps({"Images": [{"ROIs": []}]}), "annotation json"),
        ("g.json", json.dumps({"type": "FeatureCollection"}), "GeoJSON"),
        (
            "d.json",
            json.dumps({"item": {"slots": [{"name": "0"}]}, "annotations": [{"ellipse": {}}]}),
            "Darwin json",
        ),
        ("a.xml", '<?xml version="1.0"?><ASAP_Annotations/>', "annotation xml"),
        ("t.json", json.dumps([{"image": "x.png", "mm": 0.1}]), "JSON about pictures"),
        ("t.yaml", "pixel_size: 0.1\n", "YAML about pictures"),
        ("t.jsonl", '{"image": "x.png"}\n', ".jsonl"),
    ],
)
def test_files_that_are_not_read_are_named_at_any_depth(
    project: Project, picture: Picture, source: Path, deep: str, name: str, content: str, kind: str
) -> None:
    write_png(source / "x.png", picture(1))
    (source / deep).mkdir(parents=True, exist_ok=True)
    (source / deep / name).write_text(content)
    (source / "readme.txt").write_text("Twenty frames of 3 patients.\n")
    (source / "settings.json").write_text('{"gain": 3}')
    (problem,) = import_named(project, source).problems
    assert f"Not read: 1 {kind} ({Path(deep, name)})" in problem
    assert "to import" in problem
    assert str(source) in problem
    (source / "x.png").unlink()
    with pytest.raises(InputError, match="holds no images") as refused:
        import_named(project, source)
    assert kind in str(refused.value)


@pytest.mark.parametrize("line", [",,,", ";;;", "|||", '""\t""'])
def test_a_line_without_anything_between_separators_lists_no_frame(
    project: Project, picture: Picture, source: Path, line: str
) -> None:
    write_png(source / "x.png", picture(1))
    (source / "notes.txt").write_text(f"{line}\nx 3\n")
    (problem,) = import_named(project, source).problems
    assert "text with the names of frames (notes.txt)" in problem


def test_a_picture_without_an_ending_is_named(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    (source / "scan").write_bytes(encode_png(picture(2)))
    (problem,) = import_named(project, source).problems
    assert "Not read: 1 picture without an ending (scan)" in problem and "NAME.png" in problem


def test_a_damaged_description_of_a_data_set_is_not_taken_for_annotations(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    (source / "croissant.json").write_text('{"images": [], "annotations": []')
    assert import_named(project, source).problems == ()


def test_images_that_lie_too_deep_are_named(
    project: Project, picture: Picture, source: Path
) -> None:
    write_png(source / "x.png", picture(1))
    write_png(source / "a" / "b" / "y.png", picture(2))
    (problem,) = import_named(project, source).problems
    assert f"1 images more than one folder down ({Path('a/b/y.png')})" in problem
    assert problem.endswith(f"Import {source / 'a'} by itself.")


def test_a_data_set_in_a_source_is_to_be_imported_by_itself(
    project: Project, picture: Picture, source: Path
) -> None:
    """Its masks may show something else, as its own description says."""
    folder = source / "Dataset001"
    write_png(folder / "imagesTr" / "x_0000.png", picture(1))
    mask = Ellipse(48, 40, 30, 24, 10).mask((96, 80))
    write_png(folder / "labelsTr" / "x.png", mask)
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "abdomen": 1}}')
    with pytest.raises(InputError) as refused:
        import_named(project, source)
    assert str(refused.value).endswith(f"Import {folder} by itself.")
    assert import_named(project, folder).annotated == 0
    (folder / "dataset.json").unlink()
    assert import_named(project, source).duplicates == 1


@pytest.mark.parametrize(
    ("deep", "place"),
    [
        ("masks/abdomen/x.png", "masks/head"),
        ("abdomen_masks/train/x.png", "masks"),
        ("labels/abdomen/x.png", "labels/head"),
    ],
)
def test_masks_that_lie_too_deep_are_not_to_be_imported_as_frames(
    project: Project, picture: Picture, source: Path, deep: str, place: str
) -> None:
    mask = Ellipse(48, 40, 30, 24, 10).mask((96, 80)) * np.uint8(255)
    write_png(source / "images" / "x.png", picture(1))
    write_png(source / deep, mask)
    report = import_named(project, source)
    (problem,) = report.problems
    assert report.annotated == 0 and str(Path(deep)) in problem
    assert problem.endswith(f"If they are masks of heads, move them into {source / place}.")
    write_png(source / place / "x.png", mask)
    assert import_named(project, source).annotated == 1


@pytest.mark.parametrize("name", ["x.jfif", "x.JPE", "x.pgm", "x.ppm"])
def test_other_endings_of_pictures(
    project: Project, picture: Picture, source: Path, name: str
) -> None:
    written = ".jpg" if "j" in name.lower() else Path(name).suffix
    grey = picture(1)
    done, data = cv2.imencode(written, grey if written == ".pgm" else cv2.merge([grey] * 3))
    assert done
    (source / name).write_bytes(data.tobytes())
    report = import_named(project, source)
    assert (report.frames, report.problems) == (1, ())


def test_several_pages_are_frames_and_masks_of_other_numbers_are_named(
    project: Project, picture: Picture, source: Path
) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    pages[0].save(source / "x.tif", save_all=True, append_images=pages[1:])
    write_png(source / "y.png", picture(9))
    masks = [Image.fromarray(MASK)] * 2
    masks[0].save(source / "y_mask.tif", save_all=True, append_images=masks[1:])
    report = import_named(project, source)
    assert (report.frames, report.annotated, report.subjects) == (4, 0, 2)
    assert [f.name for f in project.frames.all()] == ["x_0001", "x_0002", "x_0003", "y"]
    (problem,) = report.problems
    assert "y_mask.tif holds 2 pages" in problem


def test_a_page_that_is_the_mask_of_another_is_named_with_its_number(
    project: Project, picture: Picture, source: Path
) -> None:
    mask = Image.fromarray(MASK)
    Image.fromarray(picture(1)).save(source / "x.tif", save_all=True, append_images=[mask])
    report = import_named(project, source)
    assert [frame.name for frame in project.frames.all()] == ["x_0001"]
    (problem,) = report.problems
    assert "x.tif, frame 2, looks like an annotation" in problem
    assert "save it as a file of its own" in problem


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS makes one form of all names")
def test_names_match_whatever_their_normal_form(
    project: Project, picture: Picture, source: Path
) -> None:
    decomposed, composed = (unicodedata.normalize(form, "Müller") for form in ("NFD", "NFC"))
    write_png(source / f"{decomposed}.png", picture(1))
    write_png(source / f"{composed}_mask.png", MASK)
    (source / "t.csv").write_text(f"filename,pixel size(mm)\n{composed}.png,0.1\n")
    report: ImportReport = import_named(project, source)
    assert (report.frames, report.annotated, report.problems) == (1, 1, ())
    assert project.frames.all()[0].calibration is not None


def test_a_folder_that_may_not_be_read_is_left_out_and_named(
    picture: Picture, unwritable: Path
) -> None:
    source = unwritable / "s"
    write_png(source / "x.png", picture(1))
    (source / "closed").mkdir()
    (source / "closed").chmod(0)
    found = read_source(source)
    (source / "closed").chmod(0o700)
    (problem,) = found.problems
    assert [record.name for record in found.records] == ["x"]
    assert f"{source / 'closed'} cannot be read: Permission denied. It was left out." in problem


def test_what_may_not_be_read_further_down_is_named(picture: Picture, unwritable: Path) -> None:
    source = unwritable / "s"
    write_png(source / "x.png", picture(1))
    (source / "a" / "closed").mkdir(parents=True)
    (source / "r.json").write_text("{}")
    for closed in (source / "a" / "closed", source / "r.json"):
        closed.chmod(0)
    (problem,) = read_source(source).problems
    assert "1 .json without permission (r.json)" in problem
    assert f"1 folder without permission ({Path('a', 'closed')})" in problem
    (source / "x.png").unlink()
    with pytest.raises(InputError, match=r"holds no images.*without permission .a.closed."):
        read_source(source)
    (source / "a" / "closed").chmod(0o700)


def test_an_archive_is_not_unpacked(project: Project, source: Path) -> None:
    with zipfile.ZipFile(source / "frames.zip", "w") as archive:
        archive.writestr("x.png", encode_png(MASK))
    with pytest.raises(InputError, match=r"1 \.zip \(frames\.zip\)\. Unpack such archives"):
        import_named(project, source)
