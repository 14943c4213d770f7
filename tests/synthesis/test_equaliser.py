"""Images get the finest octaves of real frames."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.synthesis.equaliser import NEUTRAL, Equaliser, fine_power

TISSUE = np.ones((256, 320), np.uint8)


def speckle(seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal(TISSUE.shape).astype(np.float32)
    return np.asarray(80 + 60 * cv2.GaussianBlur(noise, (0, 0), 0.7), np.float32)


def rounded(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.clip(image + 0.5, 0, 255).astype(np.uint8)


def power(image: NDArray[np.float32]) -> NDArray[np.float64]:
    found = fine_power(rounded(image), TISSUE)
    assert found is not None
    return found


def test_lines_of_a_grid_go_and_what_is_too_weak_returns() -> None:
    lines = 4 * (-1.0) ** np.arange(TISSUE.shape[1])
    softer = [cv2.GaussianBlur(speckle(seed), (0, 0), 0.4) + lines for seed in range(6)]
    real = [power(speckle(seed)) for seed in range(10, 16)]
    equaliser = Equaliser(NEUTRAL)
    for _ in range(3):
        made = [power(equaliser.apply(x, 0)) for x in softer]
        equaliser = equaliser.corrected(real, made)
    made = [power(equaliser.apply(np.asarray(x, np.float32), 0)) for x in softer]
    before = np.log10(np.mean([power(x) for x in softer], 0) / np.mean(real, 0))
    after = np.log10(np.mean(made, 0) / np.mean(real, 0))
    assert before[0, 16] > 1.5 and abs(after[0, 16]) < 0.25
    assert before[10, 10] < -0.15 and abs(after[10, 10]) < 0.1
    assert np.abs(after).mean() < 0.1


def test_structures_stay() -> None:
    image = np.asarray(cv2.GaussianBlur(speckle(1), (0, 0), 5), np.float32)
    gains = np.full_like(NEUTRAL, 0.15)
    equaliser = Equaliser(NEUTRAL).corrected([power(image)], [power(speckle(2))])
    assert equaliser.gains.min() == pytest.approx(gains.min())
    apart = equaliser.apply(image, 0) - image
    assert abs(float(apart.mean())) < 0.05 and float(apart.std()) < 0.6


def test_noise_is_that_of_the_seed_and_grows_with_the_brightness() -> None:
    image = np.full((64, 64), 20, np.float32)
    image[:, 32:] = 160
    image[32:] = 0
    one, same, other = (Equaliser(NEUTRAL).apply(image, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    spread = [float((one - image)[:30, at].std()) for at in (slice(0, 30), slice(34, 64))]
    assert 0.05 < spread[0] < 0.15 < spread[1] < 0.4
    assert np.abs(one[34:]).max() < 1e-6


def test_a_frame_with_little_tissue_tells_nothing() -> None:
    assert fine_power(rounded(speckle(1)), np.zeros_like(TISSUE)) is None
