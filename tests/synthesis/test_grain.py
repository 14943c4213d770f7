"""A picture takes the grain of the frame that lends its sector, whatever the scanner."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.probe import Probe
from fetalstudio.core.sector import tissue_mask
from fetalstudio.core.speckle import speckle_of
from fetalstudio.core.spectrum import tissue_power
from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.resources import samples_dir
from fetalstudio.synthesis import grain
from fetalstudio.synthesis.lift import rounded

Image = NDArray[np.uint8]


def real() -> Image:
    return read_image(samples_dir() / "209_HC.png")


def other_scanner(sigma: float, size: tuple[int, int] = (800, 540)) -> Image:
    """A frame with the same sector, softer or (sigma 0) with noise of its own, at any size."""
    frame = cv2.resize(real(), size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    if sigma:
        changed = cv2.GaussianBlur(frame, (0, 0), sigma)
    else:
        changed = frame + np.random.default_rng(5).normal(0, 9, frame.shape)
    return np.clip(changed + 0.5, 0, 255).astype(np.uint8)


def with_grain_of(reference: Image, picture: Image, seed: int) -> Image:
    return rounded(grain.with_grain_of(reference, picture.astype(np.float32), seed))


def off_by(picture: Image, reference: Image) -> float:
    """Mean size of the difference in log10 power above 0.1 cycles per px, of 1 and more: less than
    a grey level is not seen."""
    power = tissue_power([picture, reference], tissue_mask(reference), 10)
    assert power is not None
    return float(np.abs(np.diff(np.log10(power + 1), axis=0))[0, 2:].mean())


@pytest.mark.parametrize("sigma", [0, 1.5], ids=["rougher", "softer"])
@pytest.mark.parametrize("size", [(800, 540), (1136, 768)], ids=["hc18", "larger"])
def test_the_spectrum_comes_near_that_of_the_reference(sigma: float, size: tuple[int, int]) -> None:
    reference = other_scanner(sigma, size)
    picture = np.asarray(cv2.resize(real(), size, interpolation=cv2.INTER_LINEAR), np.uint8)
    before = off_by(picture, reference)
    after = off_by(with_grain_of(reference, picture, 0), reference)
    assert before > 0.5 and after < 0.1  # after one round up to 0.19


def test_speckle_lies_across_the_beams_as_in_the_reference() -> None:
    size, probe = (800, 540), Probe(400, -200, 220, 740, 0.55)
    sector = probe.sector(size)

    def filled(noise: NDArray[np.floating]) -> Image:
        x = cv2.GaussianBlur(noise, (0, 0), 1.0)
        grey = 110 + 30 * (x - x.mean()) / x.std()
        return (np.clip(grey, 1, 255) * sector).astype(np.uint8)

    even, other = np.random.default_rng(3).standard_normal((2, *size[::-1]))
    r, theta = probe.beams(size)
    cells = np.random.default_rng(4).standard_normal((500, 120)).astype(np.float32)
    # A cell is 2 px deep and 4 to 8 px wide.
    streaks = cv2.remap(cells, (theta + 0.6) / np.float32(0.01), (r - 200) / 2, cv2.INTER_CUBIC)
    reference, picture = filled(streaks + other), filled(even)
    tissue = tissue_mask(reference)
    made = with_grain_of(reference, picture, 0)

    def across(image: Image, x: slice) -> float:
        """log10 of the power along the beam over that across it, above 0.06 cycles per px."""
        part = np.zeros_like(tissue)
        part[:, x] = tissue[:, x]
        power = speckle_of(image, part, probe).power.mean(axis=0)
        return float((power[0] - power[1])[2:].mean())

    for x in (slice(0, 300), slice(300, 500), slice(500, 800)):  # where beams lean and where not
        assert across(reference, x) > across(picture, x) + 0.3
        assert across(made, x) == pytest.approx(across(reference, x), abs=0.2)


def test_noise_too_weak_to_be_seen_is_not_added() -> None:
    """It takes half of the time."""
    reference, softer = real(), other_scanner(0.5)
    one, other = (with_grain_of(reference, softer, seed) for seed in (1, 2))
    np.testing.assert_array_equal(one, other)


def test_structures_stay_where_and_as_bright_as_they_are() -> None:
    picture = real()
    outside = cv2.erode((picture == 0).astype(np.uint8), np.ones((21, 21), np.uint8)) > 0
    for sigma in (0, 1.5):
        changed = with_grain_of(other_scanner(sigma), picture, 0)
        plain, other = (
            cv2.GaussianBlur(i.astype(np.float32), (0, 0), 6) for i in (picture, changed)
        )
        assert np.abs(plain - other).mean() < 2
        assert outside.sum() > 10_000 and not changed[outside].any()


def test_it_follows_from_the_seed() -> None:
    reference, picture = other_scanner(0), real()
    first = with_grain_of(reference, picture, 7)
    np.testing.assert_array_equal(first, with_grain_of(reference, picture, 7))
    assert np.abs(first.astype(int) - with_grain_of(reference, picture, 8)).mean() > 1


def test_without_tissue_to_tell_from_the_picture_is_left_as_it_is() -> None:
    picture = real()
    np.testing.assert_array_equal(with_grain_of(np.zeros_like(picture), picture, 0), picture)


def test_a_flat_picture_gets_no_detail_that_is_not_a_number() -> None:
    flat = np.full((540, 800), 90, np.uint8)
    changed = with_grain_of(real(), flat, 0)
    assert abs(float(changed.mean()) - 90) < 2
    np.testing.assert_array_equal(with_grain_of(flat, flat, 0), flat)
