import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.synthesis.conditions import (
    CANVAS,
    CHANNELS,
    GRID,
    Condition,
    condition_maps,
    style_labels,
)

HEAD = Ellipse(200, 120, 90, 70, 30)


def test_maps_are_bounded_and_of_the_grids_size() -> None:
    maps = condition_maps(Condition(HEAD, np.ones((256, 384), np.uint8)))
    assert maps.shape == (CHANNELS, GRID[1], GRID[0])
    assert maps.dtype == np.float32
    assert np.abs(maps).max() <= 1


def test_coverage_adds_up_to_the_area_of_the_ellipse() -> None:
    coverage = condition_maps(Condition(HEAD))[0]
    assert coverage.sum() * 16 == pytest.approx(HEAD.area, rel=0.005)


def test_moving_the_ellipse_by_one_pixel_changes_the_maps() -> None:
    moved = Ellipse(201, 120, 90, 70, 30)
    difference = condition_maps(Condition(moved)) - condition_maps(Condition(HEAD))
    assert np.abs(difference[1]).max() > 0.05


def test_maps_move_with_the_ellipse_by_whole_cells() -> None:
    moved = Ellipse(HEAD.cx + 8, HEAD.cy + 4, HEAD.a, HEAD.b, HEAD.angle_deg)
    before, after = condition_maps(Condition(HEAD)), condition_maps(Condition(moved))
    np.testing.assert_allclose(after[:5, 1:, 2:], before[:5, :-1, :-2], atol=1e-4)


def test_what_is_known_is_marked() -> None:
    sector = np.zeros((CANVAS[1], CANVAS[0]), np.uint8)
    sector[:, 100:300] = 1
    assert (condition_maps(Condition(None))[6] == 0).all()
    assert (condition_maps(Condition(None, sector))[6] == 0.5).all()
    assert (condition_maps(Condition(HEAD))[6] == 1).all()
    known = condition_maps(Condition(HEAD, sector))
    assert (known[5][:, 30:70] > 0.99).all() and (known[5][:, :20] < -0.99).all()


def test_a_style_has_its_label_and_an_unknown_one_is_refused() -> None:
    conditions = [Condition(HEAD, style=s) for s in ("first", "third", "any")]
    assert style_labels(conditions).tolist() == [0, 2, 3]
    with pytest.raises(ValueError, match="fourth"):
        style_labels([Condition(HEAD, style="fourth")])
