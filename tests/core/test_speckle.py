"""Speckle is measured along the beams and across them: other directions give other figures."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fetalstudio.core.probe import Probe
from fetalstudio.core.speckle import BANDS, Speckle, power_at_ends, speckle_of

SIZE = (400, 300)
DOWN = Probe(200, -4000, 4000, 4300, 0.1)
ALL = np.ones(SIZE[::-1], np.uint8)


def noise(x: float, y: float, seed: int = 0) -> np.ndarray:
    """Gaussian noise, blurred by these sigmas."""
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.standard_normal(SIZE[::-1]), (0, 0), sigmaX=x, sigmaY=y)
    return np.clip(120 + 30 * field / field.std(), 0, 255).astype(np.uint8)


def test_lengths_are_those_of_the_blur_along_and_across_the_beam() -> None:
    found = speckle_of(noise(3, 1.2), ALL, DOWN)
    # The correlation of noise that is blurred by sigma is a Gaussian of sigma * sqrt(2).
    half = np.sqrt(2 * np.log(2)) * np.sqrt(2)
    assert np.median(found.axial) == pytest.approx(1.2 * half, rel=0.15)
    assert np.median(found.lateral) == pytest.approx(3 * half, rel=0.15)
    sideways = Probe(-4000, 150, 4000, 4400, 0.1, np.pi / 2)
    turned = speckle_of(noise(3, 1.2), ALL, sideways)
    assert np.median(turned.axial) == pytest.approx(np.median(found.lateral), rel=0.05)
    along, across = found.power.mean(axis=0)
    assert (along[2:5] > across[2:5] + 0.3).all()
    assert along.shape == (BANDS,)


def test_gain_does_not_change_what_is_measured_of_the_shape_of_the_histogram() -> None:
    rng = np.random.default_rng(0)
    log_envelope = np.log(rng.rayleigh(size=SIZE[::-1]) + 1e-3)
    found = [
        speckle_of(np.clip(180 + gain * log_envelope, 0, 255).astype(np.uint8), ALL, DOWN)
        for gain in (10, 20)
    ]
    for one in found:
        assert np.median(one.skewness) == pytest.approx(-1.1, abs=0.15)
        assert np.median(one.kurtosis) == pytest.approx(2.2, abs=0.6)
    assert np.median(found[0].snr) > 1.5 * np.median(found[1].snr)


def test_windows_know_their_depth_and_only_tissue_counts() -> None:
    image = noise(2, 2)
    image[:150] = noise(4, 4, 1)[:150]
    found = speckle_of(image, ALL, DOWN)
    near, far = found.between(0, 0.45), found.between(0.55, 1.1)
    assert len(near) and len(far) and np.median(near.lateral) > 1.4 * np.median(far.lateral)
    ends = power_at_ends(image, ALL, DOWN)
    assert ends is not None and ends.shape == (2, 2, BANDS)
    assert (ends[0, :, 3] < ends[1, :, 3] - 0.3).all()
    half = ALL.copy()
    half[:, 200:] = 0
    assert 0 < len(speckle_of(image, half, DOWN)) < len(found)
    nothing = speckle_of(np.full_like(image, 7), ALL, DOWN)
    assert len(nothing) == 0 and len(Speckle.joined([found, nothing])) == len(found)
    assert power_at_ends(image, np.zeros_like(ALL), DOWN) is None
