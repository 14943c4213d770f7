"""The handles: each does one thing, exactly. Pure geometry, no window."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui.canvas.drafts import BoxDraft, CalliperDraft, Draft, LineDraft
from fetalstudio.ui.canvas.handles import (
    HIT_RADIUS,
    MIN_REACH,
    MIN_SEMI_AXIS,
    Handle,
    Shape,
    handle_points,
    hit,
    with_knob_in_sight,
)
from fetalstudio.ui.canvas.view import MAX_SCALE, MIN_SCALE, Point, View

AXIS_HANDLES = (
    Handle.FIRST_END,
    Handle.FIRST_START,
    Handle.SECOND_END,
    Handle.SECOND_START,
)

coordinates = st.floats(-2000, 3000)
points = st.tuples(coordinates, coordinates)
ellipses = st.builds(
    Ellipse.of,
    st.floats(0, 800),
    st.floats(0, 540),
    st.floats(MIN_SEMI_AXIS, 600),
    st.floats(MIN_SEMI_AXIS, 600),
    st.floats(0, 360),
)
shapes = st.builds(
    Shape,
    st.floats(0, 800),
    st.floats(0, 540),
    st.floats(MIN_SEMI_AXIS, 600),
    st.floats(MIN_SEMI_AXIS, 600),
    st.floats(-720, 720),
)
views = st.builds(
    View, st.floats(MIN_SCALE, MAX_SCALE), st.floats(-3000, 3000), st.floats(-3000, 3000)
)


def end_of(shape: Shape, handle: Handle) -> tuple[float, float]:
    """The point of the outline where an axis handle stands."""
    axis = shape.first if handle in (Handle.FIRST_END, Handle.FIRST_START) else shape.second
    ux, uy = shape.outward(handle)
    return shape.cx + axis * ux, shape.cy + axis * uy


OPPOSITE = {
    Handle.FIRST_END: Handle.FIRST_START,
    Handle.FIRST_START: Handle.FIRST_END,
    Handle.SECOND_END: Handle.SECOND_START,
    Handle.SECOND_START: Handle.SECOND_END,
}


@given(shapes, st.sampled_from(AXIS_HANDLES), points, points)
def test_an_axis_handle_changes_one_axis_and_nothing_else(
    shape: Shape, handle: Handle, start: Point, to: Point
) -> None:
    after = shape.dragged(handle, start, to)
    assert (after.cx, after.cy, after.angle_deg) == (shape.cx, shape.cy, shape.angle_deg)
    if handle in (Handle.FIRST_END, Handle.FIRST_START):
        assert after.second == shape.second
    else:
        assert after.first == shape.first
    assert min(after.first, after.second) >= MIN_SEMI_AXIS


@given(shapes, st.sampled_from(AXIS_HANDLES), points, points)
def test_an_anchored_axis_handle_keeps_the_opposite_end_and_the_angle(
    shape: Shape, handle: Handle, start: Point, to: Point
) -> None:
    after = shape.dragged(handle, start, to, anchored=True)
    assert after.angle_deg == shape.angle_deg
    opposite = OPPOSITE[handle]
    assert end_of(after, opposite) == pytest.approx(end_of(shape, opposite), abs=1e-6)


@given(shapes, st.sampled_from(AXIS_HANDLES), st.floats(0, 300))
def test_the_outline_follows_the_pointer_along_the_axis(
    shape: Shape, handle: Handle, distance: float
) -> None:
    ux, uy = shape.outward(handle)
    start = end_of(shape, handle)
    to = (start[0] + distance * ux, start[1] + distance * uy)
    for anchored in (False, True):
        after = shape.dragged(handle, start, to, anchored=anchored)
        assert end_of(after, handle) == pytest.approx(to, abs=1e-6)


@given(shapes, st.sampled_from(AXIS_HANDLES), st.floats(-300, 300))
def test_a_pull_across_the_axis_does_nothing(shape: Shape, handle: Handle, distance: float) -> None:
    ux, uy = shape.outward(handle)
    start = end_of(shape, handle)
    to = (start[0] - distance * uy, start[1] + distance * ux)
    after = shape.dragged(handle, start, to)
    assert (after.first, after.second) == pytest.approx((shape.first, shape.second), abs=1e-6)


@given(shapes, points, points)
def test_the_turn_knob_changes_the_angle_only(shape: Shape, start: Point, to: Point) -> None:
    after = shape.dragged(Handle.TURN, start, to)
    assert (after.cx, after.cy) == (shape.cx, shape.cy)
    assert (after.first, after.second) == (shape.first, shape.second)


@given(shapes, st.floats(-179, 179), st.floats(5, 500), st.floats(5, 500), st.floats(0, 360))
def test_the_ellipse_turns_as_far_as_the_pointer_goes_round(
    shape: Shape, turn: float, r1: float, r2: float, at: float
) -> None:
    def around(radius: float, degrees: float) -> tuple[float, float]:
        t = math.radians(degrees)
        return shape.cx + radius * math.cos(t), shape.cy + radius * math.sin(t)

    after = shape.dragged(Handle.TURN, around(r1, at), around(r2, at + turn))
    assert after.angle_deg - shape.angle_deg == pytest.approx(turn, abs=1e-6)


@given(shapes, points, points)
def test_the_centre_handle_moves_and_nothing_else(shape: Shape, start: Point, to: Point) -> None:
    after = shape.dragged(Handle.CENTRE, start, to)
    assert (after.first, after.second, after.angle_deg) == (
        shape.first,
        shape.second,
        shape.angle_deg,
    )
    assert after.cx - shape.cx == pytest.approx(to[0] - start[0], abs=1e-9)
    assert after.cy - shape.cy == pytest.approx(to[1] - start[1], abs=1e-9)


@given(shapes, st.sampled_from(list(Handle)), points)
def test_taking_hold_beside_the_middle_of_a_handle_moves_nothing(
    shape: Shape, handle: Handle, start: Point
) -> None:
    assert shape.dragged(handle, start, start) == shape


@given(ellipses)
def test_the_knob_starts_on_the_right(ellipse: Ellipse) -> None:
    assert Shape.of(ellipse).outward(Handle.TURN)[0] >= -1e-9


@given(ellipses, shapes)
def test_a_shape_is_its_ellipse_whichever_end_carries_the_knob(
    ellipse: Ellipse, like: Shape
) -> None:
    for shape in (Shape.of(ellipse), Shape.of(ellipse, like), Shape.of(ellipse).flipped()):
        back = shape.ellipse()
        assert (back.cx, back.cy, back.a, back.b) == (ellipse.cx, ellipse.cy, ellipse.a, ellipse.b)
        assert math.sin(math.radians(back.angle_deg - ellipse.angle_deg)) == pytest.approx(
            0, abs=1e-9
        )


@given(ellipses)
def test_the_second_axis_may_outgrow_the_first_without_a_jump(ellipse: Ellipse) -> None:
    shape = Shape.of(ellipse)
    start = end_of(shape, Handle.SECOND_END)
    ux, uy = shape.outward(Handle.SECOND_END)
    grown = [
        shape.dragged(Handle.SECOND_END, start, (start[0] + d * ux, start[1] + d * uy))
        for d in (0.0, 300.0, 700.0)
    ]
    for after in grown:
        assert (after.angle_deg, after.first) == (shape.angle_deg, shape.first)
    swapped = grown[-1].ellipse()
    assert swapped.a == grown[-1].second
    assert swapped.b == shape.first
    assert math.cos(math.radians(swapped.angle_deg - ellipse.angle_deg)) == pytest.approx(
        0, abs=1e-9
    )


@given(ellipses, views, points)
def test_the_knob_stays_where_it_was_after_the_angle_is_wrapped(
    ellipse: Ellipse, view: View, to: Point
) -> None:
    """Turning past 180 degrees gives an ellipse of a small angle; the knob must not leap over."""
    before = Shape.of(ellipse).dragged(Handle.TURN, (0.0, 0.0), to)
    after = Shape.of(before.ellipse(), like=before)
    if ellipse.a - ellipse.b > 1e-3:
        old, new = (handle_points(s, view)[Handle.TURN] for s in (before, after))
        assert math.dist(old, new) < 1e-3


# -- hit testing -----------------------------------------------------------------------------


@given(ellipses, views, st.sampled_from(list(Handle)))
def test_a_press_on_a_handle_takes_that_handle(
    ellipse: Ellipse, view: View, handle: Handle
) -> None:
    shape = Shape.of(ellipse)
    shown = handle_points(shape, view)
    assert hit(shown, shown[handle]) is handle


@given(ellipses, views)
def test_handles_keep_apart_on_screen_however_small_the_ellipse(
    ellipse: Ellipse, view: View
) -> None:
    shown = list(handle_points(Shape.of(ellipse), view).values())
    gaps = [math.dist(p, q) for i, p in enumerate(shown) for q in shown[:i]]
    assert min(gaps) >= MIN_REACH - 1e-6


def test_nothing_is_hit_away_from_the_handles() -> None:
    shown = handle_points(Shape(400, 270, 200, 150, 20), View())
    x, y = shown[Handle.FIRST_END]
    assert hit(shown, (x + HIT_RADIUS - 0.1, y)) is Handle.FIRST_END
    assert hit(shown, (400.5 + 60, 270.5 + 60)) is None
    assert hit({}, (0, 0)) is None


def test_the_knob_comes_to_the_side_that_can_be_seen() -> None:
    shape = Shape(700, 270, 150, 100, 0)
    assert with_knob_in_sight(shape, View(), (800, 540)) == shape.flipped()
    in_sight = Shape(400, 270, 150, 100, 0)
    assert with_knob_in_sight(in_sight, View(), (800, 540)) == in_sight
    too_large = Shape(400, 270, 500, 100, 0)
    assert with_knob_in_sight(too_large, View(), (800, 540)) == too_large


# -- the view --------------------------------------------------------------------------------


@given(views, points)
def test_to_screen_and_back(view: View, point: Point) -> None:
    assert view.to_image(view.to_screen(point)) == pytest.approx(point, abs=1e-6)


@given(views, st.floats(0.01, 100), points)
def test_zooming_keeps_the_image_under_the_pointer(view: View, factor: float, about: Point) -> None:
    before = view.to_image(about)
    zoomed = view.zoomed(factor, about)
    assert MIN_SCALE <= zoomed.scale <= MAX_SCALE
    assert zoomed.to_image(about) == pytest.approx(before, rel=1e-6, abs=1e-6)


def test_a_fitted_frame_is_centred_with_its_half_pixel_edge() -> None:
    view = View.fitted((800, 540), (832, 1000))
    assert view.scale == 1.0
    assert view.to_screen((-0.5, -0.5)) == (16, 230)
    assert view.to_screen((799.5, 539.5)) == (816, 770)


@given(views, st.floats(50, 2000), st.floats(50, 2000))
def test_a_frame_cannot_be_pushed_out_of_sight(view: View, width: float, height: float) -> None:
    kept = view.kept_in_sight((800, 540), (width, height))
    left, top = kept.to_screen((-0.5, -0.5))
    right, bottom = kept.to_screen((799.5, 539.5))
    assert min(right, width) - max(left, 0) >= min(48, right - left, width) - 1e-6
    assert min(bottom, height) - max(top, 0) >= min(48, bottom - top, height) - 1e-6


# -- drawing ---------------------------------------------------------------------------------


def ellipse_of(draft: Draft) -> Ellipse:
    assert draft.shape is not None
    return draft.shape.ellipse()


def test_the_callipers_give_the_ellipse_through_their_points() -> None:
    truth = Ellipse.of(400, 270, 200, 150, 30)
    tips = truth.contour(360)
    end1, end2, side = tuple(tips[0]), tuple(tips[180]), tuple(tips[70])
    draft = CalliperDraft(end1, 5)
    assert not draft.release(end2, modified=False)
    assert draft.release(side, modified=False)
    drawn = ellipse_of(draft)
    assert (drawn.cx, drawn.cy, drawn.a, drawn.b) == pytest.approx((400, 270, 200, 150), abs=1e-6)
    assert drawn.angle_deg == pytest.approx(30)


def test_two_clicks_draw_the_axis_like_a_stroke() -> None:
    draft = CalliperDraft((100, 100), 5)
    assert not draft.release((101, 100), modified=False)
    assert draft.shape is None
    draft.move((250, 100), modified=False)
    assert draft.line == ((100, 100), (250, 100))
    draft.release((300, 100), modified=False)
    assert ellipse_of(draft).a == 100
    assert ellipse_of(draft).b == pytest.approx(78)
    draft.move((200, 160), modified=False)
    assert ellipse_of(draft).b == pytest.approx(60)


def test_a_shift_click_asks_for_the_other_side_and_takes_the_mean() -> None:
    draft = CalliperDraft((100, 100), 5)
    draft.release((300, 100), modified=False)
    assert not draft.release((200, 160), modified=True)
    assert draft.release((200, 20), modified=False)
    assert draft.shape is not None and draft.shape.second == pytest.approx(70)


def test_the_short_axis_can_be_drawn_first() -> None:
    draft = CalliperDraft((100, 100), 5)
    draft.release((200, 100), modified=False)
    draft.release((150, 180), modified=False)
    ellipse = ellipse_of(draft)
    assert (ellipse.a, ellipse.b, ellipse.angle_deg) == pytest.approx((80, 50, 90))


@given(points, points, points)
def test_a_draft_always_gives_an_ellipse_wherever_the_pointer_goes(
    end1: Point, end2: Point, side: Point
) -> None:
    draft = CalliperDraft(end1, 5)
    draft.release(end2, modified=False)
    draft.move(side, modified=False)
    if math.dist(end1, end2) >= 8:
        ellipse = ellipse_of(draft)
        assert ellipse.b >= MIN_SEMI_AXIS
        assert (ellipse.cx, ellipse.cy) == pytest.approx(
            ((end1[0] + end2[0]) / 2, (end1[1] + end2[1]) / 2)
        )
    else:
        assert draft.shape is None


def test_a_box_holds_its_ellipse_from_corner_or_centre() -> None:
    draft = BoxDraft((100, 100), 5)
    assert not draft.release((102, 101), modified=False)
    draft.move((300, 200), modified=False)
    assert draft.shape == Shape(200, 150, 100, 50, 0)
    assert draft.release((50, 180), modified=True)
    assert ellipse_of(draft) == Ellipse.of(100, 100, 80, 50, 90)


def test_a_ruler_is_a_line_and_no_ellipse() -> None:
    draft = LineDraft((10, 10), 5)
    assert not draft.release((11, 10), modified=False)
    assert draft.release((10, 110), modified=False)
    draft.move((500, 500), modified=False)
    assert draft.line == ((10, 10), (10, 110))
    assert draft.shape is None
