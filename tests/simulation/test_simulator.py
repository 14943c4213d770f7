from dataclasses import replace

import cv2
import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine
from fetalstudio.core.sector import sector_mask
from fetalstudio.simulation import Clutter, random_scene, scene_for, simulate, simulated_frames
from fetalstudio.simulation.grid import Grid
from fetalstudio.simulation.head import head_frame, skull
from fetalstudio.simulation.scene import TRIMESTERS

HEAD = Ellipse(192, 130, 110, 84, 8)
SIZE = (384, 256)


def _along(image: np.ndarray, ellipse: Ellipse, *, n: int = 180) -> np.ndarray:
    """Grey values on the ellipse, NaN off the picture."""
    points = ellipse.contour(n).astype(np.float32)[None]
    x, y = points[..., 0], points[..., 1]
    return cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR, borderValue=np.nan)[0]


def _scaled(ellipse: Ellipse, factor: float) -> Ellipse:
    return ellipse.transformed(
        Affine.translation(ellipse.cx, ellipse.cy)
        @ Affine.scaling(factor)
        @ Affine.translation(-ellipse.cx, -ellipse.cy)
    )


def test_equal_seeds_give_equal_pixels_and_others_do_not() -> None:
    scene = random_scene(5, size=SIZE)
    np.testing.assert_array_equal(simulate(scene, 1).image, simulate(scene, 1).image)
    assert (simulate(scene, 1).image != simulate(scene, 2).image).mean() > 0.5
    one, three = (list(simulated_frames(n, 9, size=SIZE)) for n in (1, 3))
    np.testing.assert_array_equal(one[0].image, three[0].image)


@pytest.mark.parametrize("kind", TRIMESTERS)
def test_the_skull_lies_just_inside_the_ellipse(kind: str) -> None:
    factors = np.arange(0.85, 1.16, 0.01)
    profile = np.mean(
        [
            [np.nanmean(_along(frame.image, _scaled(frame.ellipse, f))) for f in factors]
            for frame in simulated_frames(6, 3, trimester_=kind, size=SIZE)  # type: ignore[arg-type]
        ],
        axis=0,
    )
    assert 0.955 <= factors[profile.argmax()] <= 1.0
    assert profile.max() > 1.6 * profile[factors < 0.9].mean()
    assert profile.max() > 1.6 * profile[factors > 1.08].mean()


def test_the_drawn_ellipse_is_the_outer_edge_of_the_bone() -> None:
    scene = scene_for(Ellipse(400, 280, 220, 170, 12), (800, 540), 0, trimester_="second")
    grid = Grid(scene.probe, scene.size, 1.0)
    head = head_frame(grid, scene.ellipse)
    bone = skull(np.random.default_rng(0), head, "second", scene.mm_per_px, grid.step)
    x, y = (part.astype(np.float32) for part in grid.places)
    true = cv2.remap(scene.ellipse.sdf(scene.size), x, y, cv2.INTER_LINEAR, borderValue=np.nan)
    near = np.abs(true) < 6
    np.testing.assert_allclose(head.distance[near], true[near], atol=0.3)
    assert bone.bone[true > grid.step].max() == 0
    assert bone.bone[(true < -grid.step) & (true > -0.9 / scene.mm_per_px)].min() > 0.9
    # On the ellipse itself the echo has half the height that it reaches further in.
    square = head.incidence > 0.9
    on = square & (np.abs(true) < 0.4)
    within = square & (true < 0) & (true > -2 / scene.mm_per_px)
    assert np.median(bone.echo[on]) == pytest.approx(0.5 * bone.echo[within].max(), rel=0.5)


def test_side_walls_are_darker_than_top_and_bottom() -> None:
    square, side = [], []
    for seed in range(8):
        frame = simulate(scene_for(HEAD, SIZE, seed, trimester_="second"), seed)
        grey = _along(frame.image, _scaled(HEAD, 0.985))
        across = np.abs(HEAD.contour(180)[:, 1] - HEAD.cy) / HEAD.b
        square.append(np.nanmean(grey[across > 0.85]))
        side.append(np.nanmean(grey[across < 0.3]))
    assert np.mean(side) < 0.6 * np.mean(square)


def test_it_is_black_outside_the_sector_and_lit_inside() -> None:
    for seed in range(4):
        scene = replace(random_scene(seed, size=SIZE), clutter=Clutter(False, False))
        frame = simulate(scene, seed)
        assert frame.image.dtype == np.uint8 and frame.image.shape == (256, 384)
        np.testing.assert_array_equal(frame.sector, scene.probe.sector(SIZE))
        assert not frame.image[frame.sector == 0].any()
        assert (frame.image[frame.sector > 0] > 0).mean() > 0.95


def test_a_given_sector_is_kept() -> None:
    sector = np.zeros((256, 384), np.uint8)
    cv2.fillPoly(sector, [np.array([[130, 0], [250, 0], [370, 250], [10, 250]])], 1)
    image = simulate(scene_for(HEAD, SIZE, 4, sector=sector), 4).image
    assert not image[sector == 0].any()
    found = sector_mask(image)
    assert 2 * (found & sector).sum() / (int(found.sum()) + int(sector.sum())) > 0.97


def test_clutter_is_drawn_where_it_is_asked_for() -> None:
    plain = replace(random_scene(7), clutter=Clutter(False, False))
    image = simulate(plain, 7).image
    bar = simulate(replace(plain, clutter=Clutter(True, False)), 7).image
    assert bar[24:178, 3:12].mean() > 100 and np.array_equal(bar[:, 20:], image[:, 20:])
    marked = simulate(replace(plain, clutter=Clutter(False, False, True, True)), 7).image
    assert 20 < (marked != image).sum() < 0.05 * image.size
    everywhere = replace(plain, sector=np.ones((540, 800), np.uint8), clutter=Clutter(False, True))
    corners = [simulate(everywhere, seed).image[-40:, -100:] for seed in range(5)]
    assert any(not corner.any() for corner in corners)


@pytest.mark.parametrize("size", [(32, 32), (250, 301), (1600, 300)])
def test_other_sizes_work(size: tuple[int, int]) -> None:
    w, h = size
    head = Ellipse(w / 2, h / 2, 0.4 * min(size), 0.3 * min(size), 70)
    frame = simulate(scene_for(head, size, 0), 0)
    assert frame.image.shape == (h, w) and frame.image.std() > 5


def test_a_head_cut_by_the_border_is_drawn() -> None:
    cut = Ellipse(20, 128, 110, 84, 0)
    grey = _along(simulate(scene_for(cut, SIZE, 1), 1).image, _scaled(cut, 0.985))
    assert np.isnan(grey).any() and np.nanmax(grey) > 100


def test_a_moved_ellipse_keeps_the_sector() -> None:
    one, two = (simulate(scene_for(replace(HEAD, cx=HEAD.cx + dx), SIZE, 6), 6) for dx in (0, 3))
    np.testing.assert_array_equal(one.sector, two.sector)
