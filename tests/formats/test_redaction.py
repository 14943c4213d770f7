"""What is blacked out of a scanner's screen, by what a person confirmed and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.sequence import Sequence

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import Stopped
from fetalstudio.core.sector import sector_mask
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import (
    NOTHING,
    Layout,
    Policy,
    Redactor,
    Screen,
    UnclearScreenError,
    remember,
    remembered,
)
from fetalstudio.formats.reading.frame_reading import read_shown
from fetalstudio.formats.sources import read_source
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.importing.options import ImportOptions
from fetalstudio.project.importing.planner import Planner, plan_import
from fetalstudio.project.project import Project
from fetalstudio.project.store.pixels import picture_id
from fetalstudio.resources import samples_dir, user_config_dir
from tests.formats.dicom_files import region, write
from tests.formats.scanner_screens import MadeScreen, left_of_text, screen

SAMPLE = read_image(samples_dir() / "011_HC.png")
SCREEN = Screen("layout")
MADE = screen(5, SAMPLE)
REGION = region((150, 20, 880, 760))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as made:
        yield made


def page() -> NDArray[np.uint8]:
    """Text all over, as on the page of a report."""
    made = np.zeros((400, 600), np.uint8)
    for seed in range(3):
        made = np.maximum(made, screen(seed, np.zeros((8, 8), np.uint8), (600, 400)).pixels)
    made[made < 100] = 0
    return made


def test_all_but_the_sector_is_black_also_without_text() -> None:
    height, width = SAMPLE.shape
    pixels = np.zeros((height + 200, width + 200), np.uint8)
    pixels[100:-100, 100:-100] = SAMPLE
    pixels[10:30, 10:40] = 40  # a mark that is no letter
    redacted = Redactor().redaction(pixels, SCREEN).apply(pixels)
    assert not redacted[:40, :60].any()
    inside = sector_mask(pixels) > 0
    assert np.array_equal(redacted[inside], pixels[inside])


def test_the_area_of_the_header_limits_what_is_kept() -> None:
    area = Box(300, 100, 700, 500)
    kept = Redactor().redaction(MADE.pixels, Screen("layout", area)).kept
    assert kept is not None
    assert kept[area.of].any() and kept.sum() == kept[area.of].sum()


def test_what_was_confirmed_counts() -> None:
    box = Box(500, 300, 560, 340)
    by_keep = {
        keep: Layout(keep, Box(200, 100, 800, 700), (box,), find_text=False)
        for keep in ("sector", "rectangle", "all")
    }
    shown = {
        keep: Redactor(layouts={"layout": layout}).redaction(MADE.pixels, SCREEN)
        for keep, layout in by_keep.items()
    }
    assert all(redaction.boxes == (box,) for redaction in shown.values())
    assert shown["all"].kept is None
    sector, rectangle = shown["sector"].kept, shown["rectangle"].kept
    assert sector is not None and rectangle is not None
    assert rectangle.sum() == 600 * 600 and 0 < sector.sum() < rectangle.sum()
    text_too = Layout("all", None, (box,))
    found = Redactor(layouts={"layout": text_too}).redaction(MADE.pixels, SCREEN)
    assert max(left_of_text(MADE, found.apply(MADE.pixels))) <= 0.02
    other = Redactor(layouts={"another": by_keep["all"]}).redaction(MADE.pixels, SCREEN)
    assert other.kept is not None


def test_the_policies() -> None:
    def redaction(policy: Policy) -> NDArray[np.uint8]:
        return Redactor(policy).redaction(MADE.pixels, SCREEN).apply(MADE.pixels)

    assert redaction("none") is MADE.pixels
    by_text = redaction("text")
    assert max(left_of_text(MADE, by_text)) <= 0.02
    assert by_text.sum() > redaction("auto").sum()
    with pytest.raises(UnclearScreenError, match="Nobody has confirmed"):
        redaction("confirmed")
    known = Redactor("confirmed", {"layout": Layout("all", find_text=False)})
    assert np.array_equal(known.redaction(MADE.pixels, SCREEN).apply(MADE.pixels), MADE.pixels)
    assert Redactor("confirmed").redaction(SAMPLE, None) is NOTHING


def test_a_page_of_text_is_left_out_and_the_rest_comes(project: Project, tmp_path: Path) -> None:
    write(tmp_path / "in" / "IM1", page()[None])
    write(tmp_path / "in" / "IM2", page()[None, ::-1])
    write(tmp_path / "in" / "IM3", MADE.pixels[None])
    report = import_frames(project, tmp_path / "in")
    assert report.frames == 1
    (said,) = [problem for problem in report.problems if "left out" in problem]
    assert "IM1 and 1 more was left out. " in said and "--redact" in said


def test_layouts_are_remembered_outside_of_the_project(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number, model in enumerate(("A", "A", "B")):
        tags = {"SequenceOfUltrasoundRegions": Sequence([REGION]), "ManufacturerModelName": model}
        write(source / f"IM{number}", screen(number, SAMPLE).pixels[None], **tags)
    planner = Planner(project, source)
    found = planner.plan().screens
    assert sorted(sample.frames for sample in found) == [1, 2]
    assert not any(sample.confirmed for sample in found)
    assert all(sample.text and sample.proposal.keep == "sector" for sample in found)
    layout = Layout("rectangle", Box(10, 10, 900, 700), (Box(1, 2, 30, 40),), find_text=False)
    (two,) = [sample for sample in found if sample.frames == 2]
    remember({two.layout: layout})
    assert remembered() == {two.layout: layout}
    plan = planner.plan()
    assert {s.layout: s.proposal for s in plan.screens if s.confirmed} == {two.layout: layout}
    shown = [read_shown(frame.record, plan.redactor) for frame in plan.frames]
    assert [picture_id(pixels) for pixels in shown] == [frame.frame_id for frame in plan.frames]
    report = import_frames(project, source, options=ImportOptions(redact="confirmed"))
    assert report.frames == 2
    stored = [project.frames.pixels(frame.id) for frame in project.frames.all()]
    assert all(p[10:700, 30:900].any() and not p[700:].any() for p in stored)
    assert b"layout" not in (project.path / "project.db").read_bytes()


def test_a_damaged_file_of_layouts_is_named(project: Project, tmp_path: Path) -> None:
    remember({"a": Layout()})
    path = user_config_dir() / "scanner-layouts.json"
    whole = path.read_text()
    write(tmp_path / "in" / "IM1")
    for damaged in ("", "[]", "{", whole.replace("sector", "all of it"), whole.replace("[]", "7")):
        path.write_text(damaged)
        with pytest.raises(InputError, match=r"scanner-layouts\.json.*is damaged\. Delete it"):
            import_frames(project, tmp_path / "in")
    path.write_text(whole)
    assert import_frames(project, tmp_path / "in").frames == 1


def test_pictures_that_are_screens_are_found_among_others(project: Project, tmp_path: Path) -> None:
    write_png(tmp_path / "plain.png", SAMPLE)
    write_png(tmp_path / "screen.png", screen(2, SAMPLE).pixels)
    (found,) = plan_import(project, tmp_path).screens
    assert found.path.name == "screen.png" and found.frames == 1


def with_a_name(pixels: NDArray[np.uint8]) -> MadeScreen:
    """A frame that an export has cropped to the sector, with the one line that was in it."""
    picture = Image.fromarray(pixels)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(18)
    place = tuple(int(side) for side in draw.textbbox((300, 60), "DOE^JANE 4711", font=font))
    draw.text((300, 60), "DOE^JANE 4711", fill=255, font=font)
    return MadeScreen(np.asarray(picture).copy(), ((place[0], place[1], place[2], place[3]),))


def test_text_in_a_picture_that_is_no_screen_is_kept_with_a_word(
    project: Project, tmp_path: Path
) -> None:
    shown = with_a_name(SAMPLE)
    write_png(tmp_path / "in" / "plain.png", SAMPLE)
    write_png(tmp_path / "in" / "named.png", shown.pixels)
    planner = Planner(project, tmp_path / "in")
    plan = planner.plan()
    (said,) = [note for note in plan.all_notes if "burned into the picture" in note]
    assert said.startswith(f"{tmp_path / 'in' / 'named.png'}: Text or marks of a scanner seem")
    assert "--redact text" in said
    (sample,) = plan.screens
    assert (sample.path.name, sample.whole, sample.proposal) == ("named.png", True, Layout("all"))
    report = import_frames(project, tmp_path / "in")
    assert said in report.problems
    stored = {picture_id(pixels) for pixels in (SAMPLE, shown.pixels)}
    assert {frame.id for frame in project.frames.all()} == stored, "nothing was changed"


def test_text_in_a_picture_that_is_no_screen_is_blacked_out_if_a_person_says_so(
    project: Project, tmp_path: Path
) -> None:
    shown = with_a_name(SAMPLE)
    redactor = Redactor("text")
    assert max(left_of_text(shown, redactor.redaction(shown.pixels, None).apply(shown.pixels))) == 0
    assert redactor.redaction(SAMPLE, None) is NOTHING
    with pytest.raises(UnclearScreenError, match="Nobody has confirmed"):
        Redactor("confirmed").redaction(shown.pixels, None)
    write_png(tmp_path / "in" / "named.png", shown.pixels)
    planner = Planner(project, tmp_path / "in")
    (sample,) = planner.plan().screens
    remember({sample.layout: sample.proposal})
    plan = planner.plan()
    assert plan.all_notes == ()
    (frame,) = plan.frames
    redacted = read_shown(frame.record, plan.redactor)
    assert max(left_of_text(shown, redacted)) == 0
    assert (redacted != shown.pixels).mean() < 0.05, "the rest is as it was"
    remember({sample.layout: Layout("all", find_text=False)})
    plan = planner.plan()
    assert plan.all_notes == () and plan.frames[0].frame_id == picture_id(shown.pixels)


def test_the_fingerprint_is_of_the_scanner_and_not_of_the_patient(tmp_path: Path) -> None:
    def layout(**tags: Any) -> str:
        write(tmp_path / "IM1", MADE.pixels[None], **tags)
        (record,) = read_source(tmp_path / "IM1").records
        assert record.screen is not None
        return record.screen.layout

    one = layout(ManufacturerModelName="A", PatientName="X")
    assert layout(ManufacturerModelName="A", PatientName="Y") == one
    assert layout(ManufacturerModelName="B") != one
    assert layout(ManufacturerModelName="A", SequenceOfUltrasoundRegions=Sequence([REGION])) != one


def test_a_cancelled_import_leaves_nothing_and_can_be_made_again(
    project: Project, tmp_path: Path
) -> None:
    for number in range(6):
        write(tmp_path / "in" / f"IM{number}", screen(number, SAMPLE).pixels[None])
    before = {path for path in project.path.rglob("*") if path.is_file()}
    read = 0

    class Cancelled:
        def check(self) -> None:
            pass

        def advance(
            self, done: int | None = None, total: int | None = None, note: str = ""
        ) -> None:
            nonlocal read
            read += 1
            if done == 3:
                raise Stopped

    with pytest.raises(Stopped):
        import_frames(project, tmp_path / "in", progress=Cancelled())
    assert read == 4 and project.frames.all() == []
    assert {path for path in project.path.rglob("*") if path.is_file()} <= before
    assert import_frames(project, tmp_path / "in").frames == 6
    again = import_frames(project, tmp_path / "in")
    assert (again.frames, again.duplicates) == (0, 6), "what is blacked out is the same each time"
