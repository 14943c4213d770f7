"""Affine maps, letterboxes and resampling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine, letterbox, warp
from fetalstudio.core.metrics import dice

properties = settings(max_examples=50, deadline=None, derandomize=True)
entries = st.floats(-3, 3, allow_nan=False)
affines = st.builds(Affine, entries, entries, entries, entries, entries, entries)
sides = st.integers(32, 1000)
sizes = st.tuples(sides, sides)
POINTS = np.array([[0.0, 0.0], [10, 3], [-4, 25], [640, 480]])


@properties
@given(affines, affines)
def test_composition_applies_the_right_hand_map_first(g: Affine, f: Affine) -> None:
    np.testing.assert_allclose((g @ f).apply(POINTS), g.apply(f.apply(POINTS)), atol=1e-8)


@properties
@given(affines)
def test_the_inverse_maps_back(affine: Affine) -> None:
    assume(affine.scale > 0.05)
    np.testing.assert_allclose(affine.inverse().apply(affine.apply(POINTS)), POINTS, atol=1e-6)


def test_a_map_that_flattens_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        Affine(1, 2, 0, 2, 4, 0).inverse()


@properties
@given(affines)
def test_the_matrix_is_a_faithful_copy_of_plain_floats(affine: Affine) -> None:
    assert Affine.from_matrix(affine.matrix) == affine
    products = (affine @ affine, Affine.from_matrix(affine.matrix))
    assert all(type(v) is float for m in products for v in (m.xx, m.xy, m.x0, m.yx, m.yy, m.y0))


def test_rotation_turns_x_towards_y_about_its_centre() -> None:
    turn = Affine.rotation(90, (10, 20))
    np.testing.assert_allclose(turn.apply(np.array([[10, 20], [11, 20]])), [[10, 20], [10, 21]])
    assert turn.scale == pytest.approx(1)


@properties
@given(sizes, sizes)
def test_a_letterbox_scales_evenly_and_fits_the_edges(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    affine = letterbox(source, target)
    assert affine.xx == affine.yy
    assert affine.xy == affine.yx == 0
    # The source's outer edges, on the target's, in its own edge coordinates.
    edges = affine.apply(np.array([[-0.5, -0.5], [source[0] - 0.5, source[1] - 0.5]])) + 0.5
    low, high = edges
    spare = np.array(target) - (high - low)
    assert np.isclose(spare, 0, atol=1e-6).any()
    assert (spare > -1e-6).all()
    np.testing.assert_allclose(low, spare / 2, atol=1e-6)


@pytest.mark.parametrize("target", [(384, 256), (512, 512), (1200, 810)])
def test_a_mask_and_its_ellipse_move_together(target: tuple[int, int]) -> None:
    size = (800, 540)
    head = Ellipse(420, 260, 210, 160, 35)
    affine = letterbox(size, target)
    moved = warp(head.mask(size).astype(np.float32), affine, target)
    assert dice(moved > 0.5, head.transformed(affine).mask(target)) > 0.997


def test_a_smooth_frame_survives_the_way_there_and_back() -> None:
    y, x = np.mgrid[:120, :180].astype(np.float32)
    frame = 128 + 60 * np.sin(x / 14) * np.cos(y / 11)
    for target in ((384, 256), (100, 90)):
        affine = letterbox((180, 120), target)
        back = warp(warp(frame, affine, target), affine.inverse(), (180, 120))
        assert back.dtype == np.float32
        assert float(np.abs(back - frame)[8:-8, 8:-8].mean()) < 3


def test_the_identity_changes_nothing_and_keeps_the_type() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    same = warp(frame, Affine(), (50, 40))
    np.testing.assert_array_equal(same, frame)
    assert same.dtype == np.uint8


def test_outside_the_source_is_the_border_value() -> None:
    frame = np.full((40, 50), 200, np.uint8)
    moved = warp(frame, Affine.translation(20, 0), (50, 40), border=7)
    assert (moved[:, :20] == 7).all()
    assert (moved[:, 20:] == 200).all()


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.array([0, 0, 255], np.uint8), (64, 64))[:, :128]
    small = warp(stripes, letterbox((128, 64), (32, 16)), (32, 16))
    assert float(small[3:-3, 3:-3].std()) < 12
