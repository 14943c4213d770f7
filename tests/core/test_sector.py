"""The sector is the scanned part, whatever is black in it; tissue is where echoes are seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.sector import sector_mask, tissue_mask
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.resources import samples_dir

SIZE = (800, 540)
Mask = NDArray[np.uint8]


def fan(probe_radius: int = 0) -> Mask:
    """A sector that opens downwards from (400, -200), below the face of a curved probe if there is
    one."""
    mask = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(mask, (400, -200), (700, 700), 0, 60, 120, 1, cv2.FILLED)
    if probe_radius:
        cv2.circle(mask, (400, -200), probe_radius, 0, cv2.FILLED)
    return mask


def speckle(where: Mask, seed: int = 0) -> NDArray[np.uint8]:
    grain = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(where.shape), (0, 0), 2)
    return (np.clip(90 + 200 * grain, 10, 220) * where).astype(np.uint8)


def agreement(found: Mask, true: Mask) -> float:
    """Dice."""
    return 2 * float((found & true).sum()) / float(found.sum() + true.sum())


def test_a_plain_fan_is_found() -> None:
    assert agreement(sector_mask(speckle(fan())), fan()) > 0.985


def test_black_shadows_and_fluid_belong_to_it_but_show_no_tissue() -> None:
    image = speckle(fan())
    cv2.fillPoly(image, [np.array([[300, 150], [130, 400], [260, 460], [330, 200]])], 0)
    cv2.ellipse(image, (640, 250), (120, 80), 0, 0, 360, 0, cv2.FILLED)
    assert agreement(sector_mask(image), fan()) > 0.98
    assert not tissue_mask(image)[230:270, 600:640].any()
    assert tissue_mask(image)[300:400, 420:480].all()


def test_a_shadow_right_across_does_not_cut_it() -> None:
    image = speckle(fan())
    image[180:290] = 0
    assert agreement(sector_mask(image), fan()) > 0.97


def test_the_gap_under_a_curved_probe_does_not() -> None:
    curved = fan(probe_radius=260)
    assert curved[58, 400] == 0, "the gap is in the frame"
    found = sector_mask(speckle(curved))
    assert agreement(found, curved) > 0.985 and found[50, 400] == 0


@pytest.mark.parametrize("shadow", [False, True])
def test_a_blanked_corner_does_not_even_beside_black_fluid(shadow: bool) -> None:
    image = speckle(fan())
    if shadow:
        cv2.ellipse(image, (560, 290), (110, 60), 30, 0, 360, 0, cv2.FILLED)
    image[430:, 520:] = 0
    found = sector_mask(image)
    assert found[445:, 535:].sum() == 0
    assert found[290, 560] == 1


@pytest.mark.parametrize(
    "panel", [np.s_[500:540, 50:750], np.s_[0:40, 60:300], np.s_[505:540, 300:700]]
)
def test_a_header_or_a_panel_apart_from_it_is_not_joined(panel: tuple[slice, slice]) -> None:
    sector = np.zeros(SIZE[::-1], np.uint8)
    cv2.ellipse(sector, (400, -100), (560, 560), 0, 60, 120, 1, cv2.FILLED)
    sector[:60] = 0
    image = speckle(sector)
    image[panel] = 150
    assert agreement(sector_mask(image), sector) > 0.97


def test_a_shadow_in_the_middle_of_a_zoomed_frame_belongs_to_it() -> None:
    everything = np.ones(SIZE[::-1], np.uint8)
    image = speckle(everything)
    image[260:, 330:450] = 0
    assert agreement(sector_mask(image), everything) > 0.99


@pytest.mark.parametrize("black", [1, -1], ids=["ones", "zeros and ones"])
def test_a_blanked_corner_need_not_be_exactly_black(black: int) -> None:
    image = speckle(fan())
    noise = np.random.default_rng(1).integers(0, 2, image.shape, dtype=np.uint8)
    blank = noise if black < 0 else np.full_like(image, black)
    image = np.where(fan() == 0, blank, image)
    image[430:, 520:] = blank[430:, 520:]
    assert sector_mask(image)[445:, 535:].sum() == 0


def test_fluid_with_echoes_all_around_is_no_tissue() -> None:
    image = speckle(np.ones(SIZE[::-1], np.uint8))
    cv2.ellipse(image, (400, 270), (260, 190), 0, 0, 360, 0, cv2.FILLED)
    tissue = tissue_mask(image)
    assert tissue[150:390, 250:550].sum() == 0 and tissue[20:60, 20:780].all()
    assert sector_mask(image)[150:390, 250:550].all()


def test_text_and_bars_beside_it_do_not_widen_it() -> None:
    image = speckle(fan())
    image[20:200, 4:18] = 255
    cv2.putText(image, "2.Trim. 19Hz", (600, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 1)
    cv2.putText(image, "VE6", (250, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    image[530:, :200] = 200
    assert agreement(sector_mask(image), fan()) > 0.98


def test_a_frame_that_is_all_sector_and_a_black_one() -> None:
    everything = np.ones(SIZE[::-1], np.uint8)
    assert agreement(sector_mask(speckle(everything)), everything) > 0.99
    assert not sector_mask(np.zeros((50, 70), np.uint8)).any()


@pytest.mark.parametrize("name", ["136_HC", "150_HC", "436_HC", "713_HC"])
def test_of_real_frames_it_holds_what_is_lit(name: str) -> None:
    image = read_image(samples_dir() / f"{name}.png")
    sector = sector_mask(image)
    assert ((image > 20) & (sector == 0)).mean() < 0.01
    assert tissue_mask(image)[sector == 0].mean() < 0.001
