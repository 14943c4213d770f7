"""Text that a scanner burned in is found, and nothing of it reaches a project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import JPEGBaseline8Bit

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.picture_files import read_image, write_png
from fetalstudio.formats.privacy import redaction
from fetalstudio.formats.privacy.redaction import NOTHING, Redactor, Screen
from fetalstudio.project.importing.importers import import_frames
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir
from tests.formats.dicom_files import write
from tests.formats.scanner_screens import MadeScreen, left_of_text, screen

REDACTOR, SCREEN = Redactor(), Screen("layout")
SAMPLES = sorted(samples_dir().rglob("*HC.png"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.create(tmp_path / "project") as made:
        yield made


def made(seed: int) -> MadeScreen:
    return screen(seed, read_image(SAMPLES[seed % len(SAMPLES)]))


def still_there(seeds: range) -> tuple[int, list[str]]:
    """The number of lines of text on generated screens, and those that were not blacked out."""
    lines, missed = 0, []
    for seed in seeds:
        shown = made(seed)
        shares = left_of_text(shown, REDACTOR.redaction(shown.pixels, SCREEN).apply(shown.pixels))
        lines += len(shares)
        missed += [f"screen {seed}: {box}" for box, share in zip(shown.lines, shares, strict=True)
                   if share > 0.02]  # fmt: skip
    return lines, missed


def test_text_on_generated_screens_is_found() -> None:
    lines, missed = still_there(range(8))
    assert lines > 40 and missed == []


def test_dark_text_on_a_bright_panel_in_the_sector_is_found() -> None:
    for seed in range(5):
        picture = Image.fromarray(made(seed).pixels)
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
        left, top, right, bottom = map(int, draw.textbbox((430, 420), "DOE^JANE 4711", font=font))
        draw.rectangle((left - 6, top - 4, right + 6, bottom + 4), fill=225)
        draw.text((430, 420), "DOE^JANE 4711", fill=20, font=font)
        shown = MadeScreen(np.asarray(picture).copy(), ((left, top, right, bottom),))
        redacted = REDACTOR.redaction(shown.pixels, SCREEN).apply(shown.pixels)
        assert left_of_text(shown, redacted) == [pytest.approx(0, abs=0.02)], seed


def test_blurred_text_is_found() -> None:
    lines = 0
    for seed in range(4):
        shown = made(seed)
        blurred = np.asarray(cv2.GaussianBlur(shown.pixels, (0, 0), 1.5), np.uint8)
        redacted = REDACTOR.redaction(blurred, SCREEN).apply(blurred)
        for left, top, right, bottom in shown.lines:
            letters = shown.pixels[top:bottom, left:right] >= 190
            assert (redacted[top:bottom, left:right][letters] > 60).mean() <= 0.05, seed
            lines += 1
    assert lines > 20


@pytest.mark.perf
def test_at_least_99_percent_of_lines_are_found() -> None:
    lines, missed = still_there(range(300))
    print(f"{len(missed)} of {lines} lines were missed:", *missed, sep="\n")
    assert len(missed) <= 0.01 * lines


def test_frames_that_are_no_screens_are_unchanged_and_text_in_them_is_noticed() -> None:
    shows_text = set()
    for path in SAMPLES:
        pixels = read_image(path)
        redaction = REDACTOR.redaction(pixels, None)
        assert redaction.apply(pixels) is pixels
        if redaction.text_kept:
            shows_text.add(path.name)
    # A bar below the sector counts frames and seconds: "Cine 381", "11 sec".
    assert shows_text == {"209_HC.png", "299_HC.png", "299_2HC.png"}
    assert NOTHING.apply(pixels) is pixels


def test_nothing_moves_and_the_sector_stays() -> None:
    shown = made(3)
    redacted = REDACTOR.redaction(shown.pixels, SCREEN).apply(shown.pixels)
    assert redacted.shape == shown.pixels.shape
    kept = redacted > 0
    assert np.array_equal(redacted[kept], shown.pixels[kept])
    assert kept.sum() > 0.8 * (shown.pixels > 2).sum()


def stored(project: Project) -> list[NDArray[np.uint8]]:
    return [project.frames.pixels(frame.id) for frame in project.frames.all()]


def test_dicom_is_stored_without_its_text(project: Project, tmp_path: Path) -> None:
    shown = made(1)
    colours = np.repeat(shown.pixels[None, ..., None], 3, axis=3)
    write(tmp_path / "in" / "IM1", colours, "YBR_FULL_422", JPEGBaseline8Bit)
    report = import_frames(project, tmp_path / "in")
    (pixels,) = stored(project)
    assert max(left_of_text(shown, pixels)) <= 0.02
    (said,) = report.problems
    assert "was blacked out" in said and "Text can be missed" in said


def test_a_picture_of_a_screen_is_stored_without_its_text(project: Project, tmp_path: Path) -> None:
    shown = made(2)
    head = Ellipse(512, 400, 150, 110, 0)
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "P01_1.png"), shown.pixels)
    mask = np.zeros_like(shown.pixels)
    cv2.ellipse(mask, (512, 400), (150, 110), 0, 0, 360, 255, cv2.FILLED)
    cv2.imwrite(str(tmp_path / "in" / "P01_1_mask.png"), mask)
    import_frames(project, tmp_path / "in")
    (pixels,) = stored(project)
    assert max(left_of_text(shown, pixels)) <= 0.02
    (frame,) = project.frames.all()
    found = project.annotations.newest(frame.id)
    assert found is not None and found.ellipse is not None
    assert abs(found.ellipse.cx - head.cx) < 1 and abs(found.ellipse.a - head.a) < 2


def test_what_the_project_exported_stays_as_it_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise AssertionError("a frame of a project was looked at again")

    monkeypatch.setattr(redaction, "stroke_groups", fail)
    write_png(tmp_path / "in" / "P01_1.png", made(2).pixels, "frame")
    import_frames(project, tmp_path / "in")
    assert np.array_equal(stored(project)[0], made(2).pixels)


def test_what_is_written_beside_the_pixels_is_not_stored(project: Project, tmp_path: Path) -> None:
    secret = "ZZQSECRET"
    folder = tmp_path / "in"
    folder.mkdir()
    pictures = [Image.fromarray(read_image(path)) for path in SAMPLES[:3]]
    text = PngInfo()
    text.add_text("Patient", secret)
    text.add_itxt("XML:com.adobe.xmp", f"<x>{secret}</x>")
    pictures[0].save(folder / "P01_1.png", pnginfo=text, exif=exif(secret))
    iptc = b"Photoshop 3.0\0" + secret.encode()
    pictures[1].save(
        folder / "P02_1.jpg", exif=exif(secret), xmp=f"<x>{secret}</x>".encode(), comment=secret,
        extra=b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc,
    )  # fmt: skip
    pictures[2].save(folder / "P03_1.tif", tiffinfo={270: secret, 315: secret, 65000: secret})
    assert all(secret.encode() in path.read_bytes() for path in folder.iterdir())
    report = import_frames(project, folder)
    assert report.frames == 3 and not any(secret in said for said in report.problems)
    written = [path for path in project.path.rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in written)


def exif(text: str) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010E] = tags[0x013B] = text
    return tags
