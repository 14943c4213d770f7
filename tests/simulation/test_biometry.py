"""Heads and scales come from published figures, whatever is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetalstudio.core.biometry import Trimester, trimester
from fetalstudio.core.growth import intergrowth_2014, intergrowth_mean_and_sd
from fetalstudio.simulation.biometry import random_head, random_probe
from fetalstudio.simulation.scene import TRIMESTERS

SIZE = (800, 540)


@pytest.mark.parametrize("kind", TRIMESTERS)
def test_heads_have_the_sizes_and_shapes_of_their_trimester(kind: Trimester) -> None:
    drawn = [random_head(np.random.default_rng(i), SIZE, kind) for i in range(300)]
    hc = np.array([ellipse.perimeter * mm for ellipse, mm in drawn])
    index = np.array([ellipse.b / ellipse.a for ellipse, _ in drawn])
    assert {trimester(one) for one in hc.tolist()} == {kind}
    assert index.mean() == pytest.approx(0.783, abs=0.01)
    assert index.std() == pytest.approx(0.044, abs=0.01)
    weeks = {"first": (11, 14), "second": (14, 28), "third": (28, 37)}[kind]
    (low, spread), (high, wide) = (intergrowth_mean_and_sd(w) for w in weeks)
    assert low - 3 * spread < hc.min() and hc.max() < high + 3 * wide
    assert hc.std() > 0.2 * (high - low)


@pytest.mark.parametrize("kind", TRIMESTERS)
def test_the_scale_is_that_of_a_depth_setting(kind: Trimester) -> None:
    for i in range(100):
        ellipse, mm = random_head(np.random.default_rng(i), SIZE, kind)
        steps = mm * SIZE[1] / 5
        fits = 2 * ellipse.a / SIZE[0]
        assert steps == pytest.approx(round(steps)) or fits == pytest.approx(0.85)
        _, top, _, bottom = ellipse.box()
        assert 0.25 < (bottom - top) / SIZE[1] <= 1.0 and fits <= 0.8501
        assert 20 <= mm * SIZE[1] <= 260


def test_probes_have_the_radius_of_real_ones_at_each_scale() -> None:
    for kind in TRIMESTERS:
        for seed in range(60):
            probe = random_probe(np.random.default_rng(seed), SIZE, 0.15, kind)
            radius, view = 0.15 * probe.near, math.degrees(2 * probe.half_angle)
            convex = 40 <= radius <= 65 and 55 <= view <= 75
            endocavity = 8 <= radius <= 14 and 110 <= view <= 150
            assert convex or (endocavity and kind == "first")


def test_the_equations_are_those_of_the_standard() -> None:
    for days, hc in ((140, 180.0), (224, 300.0)):
        mean, sd = intergrowth_mean_and_sd(days / 7)
        assert intergrowth_2014(hc, days).z == pytest.approx((hc - mean) / sd)
    # Where the standard does not reach, the curve stays near Hadlock's table (68 mm at 12 weeks).
    assert intergrowth_mean_and_sd(12)[0] == pytest.approx(68, abs=6)
    below = [intergrowth_mean_and_sd(w) for w in (11, 12, 13, 14)]
    assert (np.diff([m for m, _ in below]) > 10).all() and all(2 < sd < 8 for _, sd in below)
