"""Brightness and contrast of a lender: one curve for all grey levels, which keeps their order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.synthesis.tone import tone_curve, toned

EVERYWHERE = np.ones((200, 300), np.uint8)


def speckled(gain: float, gamma: float = 1.0) -> NDArray[np.uint8]:
    """The same tissue, seen with another gain and another compression."""
    level = np.random.default_rng(3).beta(1.2, 4, (200, 300))
    return np.clip(255 * gain * level**gamma, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("gain", "gamma"), [(0.4, 1.0), (1.3, 1.0), (0.8, 1.4), (1.0, 0.7)])
def test_the_gain_and_the_compression_of_the_lender_are_taken_over(
    gain: float, gamma: float
) -> None:
    image, lender = speckled(1.0), speckled(gain, gamma)
    made = toned(image, tone_curve(image, lender, EVERYWHERE))
    before, after = (np.abs(x.astype(float) - lender).mean() for x in (image, made))
    assert before > 8 and after < 0.25 * before


def test_what_is_brighter_stays_brighter_and_black_stays_black() -> None:
    levels = tone_curve(speckled(1.0), speckled(0.5, 1.6), EVERYWHERE)
    assert levels[0] == 0 and levels.max() <= 255
    assert np.all(np.diff(levels) > 0)


def test_a_frame_like_its_lender_stays_as_it_is() -> None:
    image = speckled(0.9)
    levels = tone_curve(image, image, EVERYWHERE)
    assert np.abs(levels - np.arange(256)).max() < 4


def test_a_glint_in_a_dim_frame_stays_dim() -> None:
    image, lender = speckled(1.0), speckled(0.3)
    image[:5, :5] = 255
    assert toned(image, tone_curve(image, lender, EVERYWHERE))[:5, :5].max() < 120


def test_what_lies_outside_of_the_sector_does_not_count() -> None:
    image, lender = speckled(1.0), speckled(0.5)
    sector = EVERYWHERE.copy()
    sector[:, 150:] = 0
    levels = tone_curve(image, lender, sector)
    lender[:, 150:] = 200
    np.testing.assert_array_equal(levels, tone_curve(image, lender, sector))


def test_one_grey_level_alone_is_no_reason_to_fail() -> None:
    even = np.full((20, 30), 90, np.uint8)
    levels = tone_curve(even, even // 2, np.ones_like(even))
    assert np.isfinite(levels).all() and np.all(np.diff(levels) >= 0)
