import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.style import Style

RNG = np.random.default_rng(0)


def speckle(sigma: float, gain: float = 1.0, size: tuple[int, int] = (540, 800)) -> NDArray:
    """Grain of about ``sigma`` px around a grey of 90, with a black border."""
    grain = cv2.GaussianBlur(RNG.standard_normal(size), (0, 0), sigma)
    image = np.clip(gain * (90 + 25 * grain / grain.std()), 2, 255)
    image[:, :60] = image[:, -60:] = 0
    return image.astype(np.uint8)


def test_two_draws_of_one_style_are_near_and_a_brighter_one_is_further() -> None:
    reference = Style.of([speckle(3) for _ in range(3)])
    same = Style.of([speckle(3) for _ in range(3)]).distance(reference)
    brighter = Style.of([speckle(3, 1.5)]).distance(reference)
    assert same.grey < 1 and brighter.grey == pytest.approx(45, abs=2)


def test_a_blurred_texture_is_seen_in_the_spectrum_not_in_the_grey_levels() -> None:
    reference = Style.of([speckle(2) for _ in range(3)])
    same = Style.of([speckle(2) for _ in range(3)]).distance(reference)
    smooth = Style.of([speckle(6) for _ in range(3)]).distance(reference)
    assert same.spectrum < 1 < 5 < smooth.spectrum
    assert smooth.grey < 4


def test_it_is_symmetric_and_zero_to_itself() -> None:
    one, two = Style.of([speckle(2)]), Style.of([speckle(5, 0.6)])
    assert one.distance(two) == two.distance(one)
    assert one.distance(one).grey == one.distance(one).spectrum == 0


def test_what_lies_outside_of_the_sector_does_not_count() -> None:
    image = speckle(3)
    wider = image.copy()
    wider[:, :120] = 0
    assert Style.of([wider]).distance(Style.of([image])).grey < 1.5


def test_black_and_empty_pictures() -> None:
    black = Style.of([np.zeros((100, 150), np.uint8)])
    assert black.distance(black).spectrum == 0
    with pytest.raises(ValueError, match="at least one"):
        Style.of([])
