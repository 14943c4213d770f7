"""The head ellipse: construction, fits to masks, rings and points, and what is derived from it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse, largest_component
from fetalstudio.core.geometry import Affine
from fetalstudio.core.metrics import dice

SIZE = (200, 160)
properties = settings(max_examples=40, deadline=None, derandomize=True)


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def heads(draw: st.DrawFn) -> Ellipse:
    """Ellipses of a head's shape that lie inside a frame of ``SIZE``."""
    b = draw(number(25, 55))
    a = min(b * draw(number(1.0, 1.7)), 70)
    return Ellipse.of(draw(number(75, 125)), draw(number(75, 85)), a, b, draw(number(0, 179.9)))


@st.composite
def cut_heads(draw: st.DrawFn) -> Ellipse:
    """Heads of which 8 to 35 % of the diameter lies beyond one border of the frame."""
    b = draw(number(40, 50))
    a = b * draw(number(1.0, 1.4))
    hidden = draw(number(0.08, 0.35))
    head = Ellipse.of(100, 80, a, b, draw(number(0, 179.9)))
    x0, y0, x1, y1 = head.box()
    dx, dy = draw(
        st.sampled_from(
            [
                (-x0 - hidden * (x1 - x0), 0.0),
                (SIZE[0] - 1 - x1 + hidden * (x1 - x0), 0.0),
                (0.0, -y0 - hidden * (y1 - y0)),
                (0.0, SIZE[1] - 1 - y1 + hidden * (y1 - y0)),
            ]
        )
    )
    return head.transformed(Affine.translation(dx, dy))


def draw_ring(ellipse: Ellipse, thickness: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    ring = np.zeros(size[::-1], np.uint8)
    points = np.round(ellipse.contour(720) * 256).astype(np.int32)
    return cv2.polylines(ring, [points], True, 255, thickness, cv2.LINE_8, 8).astype(np.uint8)


# -- construction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        (0, 0, 1, 2, 0),
        (0, 0, 1, 0, 0),
        (0, 0, 1, -1, 0),
        (0, 0, 2, 1, 180),
        (0, 0, 2, 1, -1),
        (math.nan, 0, 2, 1, 0),
        (0, 0, math.inf, 1, 0),
        (0, 0, 2, 1, math.nan),
    ],
)
def test_an_impossible_ellipse_is_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"ellipse|angle"):
        Ellipse(*values)


@properties
@given(number(1, 99), number(1, 99), number(-1e4, 1e4))
def test_of_takes_axes_in_any_order_and_any_angle(p: float, q: float, angle: float) -> None:
    ellipse = Ellipse.of(3, 4, p, q, angle)
    turned = Ellipse.of(3, 4, q, p, angle + 90)
    assert (ellipse.a, ellipse.b) == (max(p, q), min(p, q))
    np.testing.assert_allclose(ellipse.box(), turned.box(), atol=1e-8)


def test_a_tiny_negative_angle_stays_below_180() -> None:
    assert Ellipse.of(0, 0, 2, 1, -1e-20).angle_deg == 0.0


# -- masks ------------------------------------------------------------------------------------


@properties
@given(heads())
def test_a_mask_gives_its_ellipse_back(head: Ellipse) -> None:
    # Where a level head ends on a column of pixels, the grid alone moves an axis by 0.22 px.
    found = Ellipse.from_mask(head.mask(SIZE))
    assert math.hypot(found.cx - head.cx, found.cy - head.cy) < 0.15
    assert abs(found.a - head.a) < 0.25
    assert abs(found.b - head.b) < 0.25
    assert dice(found.mask(SIZE), head.mask(SIZE)) > 0.99


@properties
@given(cut_heads())
def test_a_mask_that_the_border_cuts_is_completed(head: Ellipse) -> None:
    found = Ellipse.from_mask(head.mask(SIZE))
    assert found.overlap(head) > 0.985


def test_neither_way_to_read_a_mask_is_biased() -> None:
    """Half a pixel, or a pixel taken for a point, would show in the mean of many heads."""
    rng = np.random.default_rng(5)
    whole, cut = [], []
    for _ in range(150):
        (x, y), (a, b), turn = rng.uniform(15, 25, 2), rng.uniform(7, 11, 2), rng.uniform(0, 180)
        small = Ellipse.of(x, y, a, b, turn)
        whole.append(Ellipse.from_mask(small.mask((40, 40))).perimeter - small.perimeter)
        large = Ellipse.of(x + 20, 80, 5 * a, 5 * b, turn)
        cut.append(Ellipse.from_mask(large.mask(SIZE)).perimeter - large.perimeter)
    assert abs(float(np.mean(whole))) < 0.06
    assert abs(float(np.mean(cut))) < 0.15


def test_mask_pixels_are_those_whose_centre_is_inside() -> None:
    mask = Ellipse(10, 10, 3, 3, 0).mask((21, 21))
    y, x = np.mgrid[:21, :21]
    np.testing.assert_array_equal(mask, np.hypot(x - 10, y - 10) <= 3)
    assert mask.dtype == np.uint8


def test_holes_and_specks_do_not_move_the_ellipse() -> None:
    head = Ellipse(100, 80, 60, 45, 30)
    mask = head.mask(SIZE)
    mask[70:90, 90:110] = 0
    mask[2:8, 2:8] = 1
    assert Ellipse.from_mask(mask).overlap(head) > 0.998


@pytest.mark.parametrize(
    "mask",
    [
        np.zeros((50, 60), np.uint8),
        np.pad(np.ones((2, 2), np.uint8), 20),
        np.ones((50, 60), np.uint8),
    ],
    ids=["empty", "a speck", "all of the frame"],
)
def test_a_mask_without_a_head_is_refused(mask: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="mask"):
        Ellipse.from_mask(mask)


def test_a_mask_has_two_dimensions() -> None:
    with pytest.raises(ValueError, match="two dimensions"):
        Ellipse.from_mask(np.ones((40, 40, 3), np.uint8))


def test_the_largest_component_wins() -> None:
    mask = np.zeros((30, 30), np.uint8)
    mask[2:5, 2:5] = 7
    mask[10:20, 10:20] = 7
    expected = np.zeros_like(mask)
    expected[10:20, 10:20] = 1
    np.testing.assert_array_equal(largest_component(mask), expected)
    assert not largest_component(np.zeros_like(mask)).any()


# -- rings ------------------------------------------------------------------------------------


@properties
@given(heads(), st.integers(1, 3))
def test_a_ring_gives_its_centre_line(head: Ellipse, thickness: int) -> None:
    found = Ellipse.from_ring(draw_ring(head, thickness))
    assert found.perimeter == pytest.approx(head.perimeter, rel=0.005)
    assert math.hypot(found.cx - head.cx, found.cy - head.cy) < 0.4
    assert found.overlap(head) > 0.992


@properties
@given(cut_heads(), st.integers(1, 3))
def test_a_ring_that_the_border_opens_is_completed(head: Ellipse, thickness: int) -> None:
    found = Ellipse.from_ring(draw_ring(head, thickness))
    assert found.perimeter == pytest.approx(head.perimeter, rel=0.02)
    assert found.overlap(head) > 0.97


def test_a_ring_that_the_border_cuts_in_two_is_fitted_through_both_arcs() -> None:
    head = Ellipse(100, 80, 115, 60, 5)
    assert Ellipse.from_ring(draw_ring(head, 2)).overlap(head) > 0.99


def test_a_gap_in_the_ring_does_no_harm() -> None:
    head = Ellipse(100, 80, 65, 50, 20)
    ring = draw_ring(head, 2)
    ring[:60, 95:105] = 0
    assert Ellipse.from_ring(ring).overlap(head) > 0.99


def test_specks_beside_the_ring_are_left_out() -> None:
    head = Ellipse(100, 80, 65, 50, 20)
    ring = draw_ring(head, 1)
    ring[5:9, 5:9] = 255
    assert Ellipse.from_ring(ring).overlap(head) > 0.995


@pytest.mark.parametrize("kind", ["empty", "a straight line"])
def test_what_is_no_ring_is_refused(kind: str) -> None:
    image = np.zeros((80, 80), np.uint8)
    if kind == "a straight line":
        image[40, 5:70] = 255
    with pytest.raises(ValueError, match=r"ring|line"):
        Ellipse.from_ring(image)


# -- points and axes --------------------------------------------------------------------------


@properties
@given(heads(), st.integers(5, 40), number(0, 6), number(150, 360))
def test_points_on_an_ellipse_give_it_back(
    head: Ellipse, count: int, start: float, arc_deg: float
) -> None:
    t = start + np.radians(np.linspace(0, arc_deg, count, endpoint=False))
    local = np.column_stack([head.a * np.cos(t), head.b * np.sin(t)])
    found = Ellipse.from_points(local @ head.axes + np.array([head.cx, head.cy]))
    assert found.a == pytest.approx(head.a, rel=1e-3)
    assert found.b == pytest.approx(head.b, rel=1e-3)
    assert found.overlap(head) > 0.998


def test_half_an_outline_with_noise_is_not_drawn_too_small() -> None:
    """A direct algebraic fit loses several per cent here, always in the same direction."""
    head = Ellipse(100, 80, 70, 50, 25)
    rng = np.random.default_rng(3)
    ratios = []
    for _ in range(40):
        t = rng.uniform(0, 2 * math.pi) + np.radians(np.linspace(0, 180, 60))
        local = np.column_stack([head.a * np.cos(t), head.b * np.sin(t)])
        points = local @ head.axes + np.array([head.cx, head.cy]) + rng.normal(0, 1.0, (60, 2))
        ratios.append(Ellipse.from_points(points).perimeter / head.perimeter)
    assert abs(float(np.mean(ratios)) - 1) < 0.015


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((0, 2)),
        np.array([[0, 0], [1, 0], [0, 1], [1, 1]]),
        np.array([[0, 0], [1, 0], [0, 1], [1, 1], [1, 1], [0, 0]]),
        np.column_stack([np.arange(9), 2 * np.arange(9)]),
        np.ones((8, 2)),
    ],
    ids=["none", "four", "four different", "a line", "one"],
)
def test_points_that_describe_no_ellipse_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="points"):
        Ellipse.from_points(points.astype(float))


@properties
@given(heads(), number(-0.8, 0.8), st.booleans(), st.sampled_from([-1, 1]))
def test_an_axis_and_a_side_point_give_the_ellipse(
    head: Ellipse, along: float, major: bool, side: int
) -> None:
    """From either axis, from a side point anywhere beside it, on either side."""
    centre = np.array([head.cx, head.cy])
    halves = (head.a, head.b) if major else (head.b, head.a)
    axis, across = head.axes if major else head.axes[::-1]

    width = side * halves[1] * math.sqrt(1 - along * along)
    x, y = (centre + along * halves[0] * axis + width * across).tolist()
    ends = [tuple((centre + sign * halves[0] * axis).tolist()) for sign in (-1, 1)]
    found = Ellipse.from_axis(ends[0], ends[1], (x, y))
    np.testing.assert_allclose(found.box(), head.box(), atol=1e-6)
    assert (found.a, found.b) == pytest.approx((head.a, head.b))


@pytest.mark.parametrize(
    ("end2", "side"), [((10, 0), (11, 3)), ((10, 0), (2, 0)), ((-10, 0), (0, 4))]
)
def test_an_impossible_axis_is_refused(
    end2: tuple[float, float], side: tuple[float, float]
) -> None:
    with pytest.raises(ValueError, match="axis"):
        Ellipse.from_axis((-10, 0), end2, side)


# -- derived ----------------------------------------------------------------------------------


@properties
@given(heads())
def test_perimeter_and_area_match_the_outline(head: Ellipse) -> None:
    points = head.contour(20000)
    x, y = points.T
    steps = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1)
    shoelace = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    assert head.perimeter == pytest.approx(float(steps.sum()), rel=1e-6)
    assert head.area == pytest.approx(shoelace, rel=1e-6)


@properties
@given(heads())
def test_the_box_is_tight_around_the_outline(head: Ellipse) -> None:
    points = head.contour(20000)
    extremes = (*points.min(axis=0), *points.max(axis=0))
    np.testing.assert_allclose(head.box(), extremes, atol=1e-4)


def test_the_outline_starts_at_the_end_of_the_major_axis_and_turns_from_x_to_y() -> None:
    points = Ellipse(10, 20, 5, 3, 90).contour(4)
    np.testing.assert_allclose(points, [[10, 25], [7, 20], [10, 15], [13, 20]], atol=1e-12)


@properties
@given(heads())
def test_the_signed_distance_matches_the_nearest_outline_point(head: Ellipse) -> None:
    sdf = head.sdf(SIZE)
    assert sdf.shape == SIZE[::-1]
    assert sdf.dtype == np.float32
    outline = head.contour(4000)
    ys, xs = (g.ravel() for g in np.mgrid[3 : SIZE[1] : 23, 2 : SIZE[0] : 23])
    pixels = np.column_stack([xs, ys])
    nearest = np.linalg.norm(pixels[:, None] - outline[None], axis=2).min(axis=1)
    np.testing.assert_allclose(np.abs(sdf[ys, xs]), nearest, atol=0.05)
    # On the outline itself, to a thousandth of a pixel, rounding says which side it is.
    clear = np.abs(sdf) > 1e-3
    np.testing.assert_array_equal((sdf <= 0)[clear], head.mask(SIZE).astype(bool)[clear])


def test_the_signed_distance_of_a_circle_is_exact() -> None:
    y, x = np.mgrid[:60, :60]
    expected = np.hypot(x - 30, y - 28) - 17
    np.testing.assert_allclose(Ellipse(30, 28, 17, 17, 0).sdf((60, 60)), expected, atol=5e-4)


@properties
@given(heads(), number(-1.5, 1.5), number(-0.6, 0.6), number(0.4, 2), number(-180, 180))
def test_the_image_under_an_affine_map_is_that_of_its_points(
    head: Ellipse, scale: float, shear: float, stretch: float, turn: float
) -> None:
    assume(abs(scale) > 0.05)
    affine = Affine.rotation(turn, (7, 9)) @ Affine(scale, shear, 4, 0, stretch, -6)
    image = head.transformed(affine)
    points = affine.apply(head.contour(90)) - np.array([image.cx, image.cy])
    u, v = (points @ image.axes.T).T
    np.testing.assert_allclose((u / image.a) ** 2 + (v / image.b) ** 2, 1, atol=1e-6)


def test_a_map_that_flattens_the_ellipse_is_refused() -> None:
    with pytest.raises(ValueError, match="a >= b > 0"):
        Ellipse(0, 0, 2, 1, 0).transformed(Affine.scaling(1, 0))


@properties
@given(heads(), heads())
def test_overlap_is_the_dice_of_the_masks(one: Ellipse, other: Ellipse) -> None:
    size = (4 * SIZE[0], 4 * SIZE[1])
    fine = Affine.scaling(4)
    masks = [e.transformed(fine).mask(size) for e in (one, other)]
    assert one.overlap(other) == pytest.approx(dice(*masks), abs=0.005)
    assert one.overlap(other) == pytest.approx(other.overlap(one))


def test_overlap_of_the_same_and_of_distant_ellipses() -> None:
    head = Ellipse(100, 80, 60, 45, 30)
    assert head.overlap(head) == 1
    assert head.overlap(Ellipse(900, 80, 60, 45, 30)) == 0


@pytest.mark.parametrize(
    ("centre", "on"), [((0, 0), True), ((99, 79), True), ((100, 40), False), ((50, -1), False)]
)
def test_whether_the_centre_is_on_an_image(centre: tuple[float, float], on: bool) -> None:
    assert Ellipse(*centre, 60, 45, 30).is_centred_on((100, 80)) is on
