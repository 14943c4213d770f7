"""What is simulated beside the head: the body, lost echoes at the sides, haze under the probe."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.probe import Probe
from fetalstudio.simulation import random_scene, simulate
from fetalstudio.simulation.body import early_body
from fetalstudio.simulation.dropout import dropout
from fetalstudio.simulation.grid import Grid
from fetalstudio.simulation.haze import near_field
from fetalstudio.simulation.scene import Clutter

SIZE = (800, 540)
HEAD = Ellipse(400, 270, 90, 72, 0)
GRID = Grid(Probe(400, -400, 420, 960, 0.6), SIZE, 1.0)


def test_the_body_hangs_at_one_end_of_the_head() -> None:
    x, y = GRID.places
    ends = set()
    for seed in range(12):
        body = early_body(np.random.default_rng(seed), GRID, HEAD)
        assert body.share.min() >= 0 and body.share.max() <= 1 and body.line.min() >= 0
        near = [body.share[np.hypot(x - (400 + side * 100), y - 270) < 15] for side in (-1, 1)]
        one, other = sorted(float(part.mean()) for part in near)
        assert one < 0.1 and other > 0.8  # the neck is there, and only there
        ends.add(near[1].mean() > near[0].mean())
        apart = math.dist(body.middle, (HEAD.cx, HEAD.cy)) / HEAD.a
        assert 1.2 < apart < 2.6
    assert ends == {True, False}


def test_the_body_scales_and_turns_with_the_head() -> None:
    one = early_body(np.random.default_rng(3), GRID, HEAD)
    small = early_body(np.random.default_rng(3), GRID, Ellipse(400, 270, 45, 36, 0))
    turned = early_body(np.random.default_rng(3), GRID, replace(HEAD, angle_deg=90.0))
    away = [np.subtract(of.middle, (400, 270)) for of in (one, small, turned)]
    np.testing.assert_allclose(away[0], 2 * away[1])
    np.testing.assert_allclose(away[2], [-away[0][1], away[0][0]], atol=1e-6)
    assert small.share.sum() < 0.5 * one.share.sum()


def test_it_has_bones_and_lies_in_fluid() -> None:
    bones = [early_body(np.random.default_rng(seed), GRID, HEAD) for seed in range(10)]
    for body in bones:
        assert 0.02 < body.line.max() < 0.6
        assert body.line[body.share == 0].sum() < 0.25 * body.line.sum()
    images = []
    for seed in range(6):
        scene = replace(random_scene(seed, trimester_="first"), clutter=Clutter(False, False))
        images.append(simulate(scene, seed))
    dark = [np.percentile(f.image[f.sector > 0], 5) for f in images]
    assert np.median(dark) < 25


def test_bone_along_the_beam_is_not_seen_and_bone_across_it_is() -> None:
    turn = np.linspace(-math.pi, math.pi, 720, dtype=np.float32)
    incidence = np.abs(np.sin(turn)).astype(np.float32)  # the beam runs along the major axis' ends
    sides = []
    for seed in range(20):
        left = dropout(np.random.default_rng(seed), turn, incidence)
        assert left.min() >= 0 and left.max() <= 1
        assert left[incidence > 0.9].min() > 0.98
        assert left[incidence < 0.02].max() < 0.65
        # What is lost grows towards the place where the beam is tangential.
        quarter = left[(turn > 0) & (turn < math.pi / 2)]
        assert (np.diff(quarter) >= -1e-6).all()
        sides.append([left[np.abs(turn) < 0.3].mean(), left[np.abs(turn) > math.pi - 0.3].mean()])
    assert np.abs(np.diff(sides)).mean() > 0.05


@pytest.mark.parametrize("mm_per_px", [0.08, 0.25])
def test_haze_fades_with_depth_in_mm(mm_per_px: float) -> None:
    depth = (GRID.depths - GRID.probe.near) * mm_per_px
    for seed in range(8):
        haze = near_field(np.random.default_rng(seed), GRID, mm_per_px)
        assert haze.shape == GRID.shape and haze.min() >= 0
        level = haze.mean(axis=1)
        assert level[depth < 4].mean() > 2 * level[(depth > 25) & (depth < 35)].mean()
        stripes = level[depth < 20]
        assert (np.diff(np.sign(np.diff(stripes))) != 0).sum() >= 3
