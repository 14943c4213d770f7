"""Pictures of an ellipse: filled or as a ring, as others draw them and as we do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.pictures.marked_regions import SeveralStructuresError, is_annotation
from fetalstudio.formats.reading.outline_pictures import ellipse_in, ring

SIZE = (96, 80)
HEAD = Ellipse(48.0, 40.0, 30.0, 22.0, 20.0)


def filled(ellipse: Ellipse) -> NDArray[np.uint8]:
    return ellipse.mask(SIZE) * np.uint8(255)


def thin(ellipse: Ellipse) -> NDArray[np.uint8]:
    return ring(ellipse, SIZE)


def close(found: Ellipse, expected: Ellipse) -> bool:
    return found.overlap(expected) > 0.98


@pytest.mark.parametrize("draw", [filled, thin])
def test_a_head_cut_by_the_border(draw: Callable[[Ellipse], NDArray[np.uint8]]) -> None:
    cut = Ellipse(20.0, 40.0, 34.0, 26.0, 15.0)
    shown = ellipse_in(draw(cut))
    assert shown.ellipse.overlap(cut) > 0.97
    assert shown.doubt is None


@settings(max_examples=60, deadline=None)
@given(
    a=st.floats(20, 36),
    ratio=st.floats(0.55, 1),
    angle=st.floats(0, 179),
    line=st.integers(1, 5),
    noise=st.booleans(),
)
def test_fill_and_ring_are_told_apart(
    a: float, ratio: float, angle: float, line: int, noise: bool
) -> None:
    """Filled, or a line 1 to 5 px wide, also with some specks: the outline is found."""
    drawn = Ellipse(48.0, 40.0, a, a * ratio, angle)
    grown, shrunk = (
        Ellipse(48.0, 40.0, a + d, a * ratio + d, angle) for d in (line / 2, -line / 2)
    )
    for mask in (drawn.mask(SIZE), grown.mask(SIZE) - shrunk.mask(SIZE)):
        shown = mask * np.uint8(255)
        if noise:
            shown[2, 2] = shown[75, 90] = shown[3, 90] = 200
        found = ellipse_in(shown)
        assert found.ellipse.overlap(drawn) > 0.97
        assert found.doubt is None


def test_jpeg_masks_and_label_values() -> None:
    done, data = cv2.imencode(".jpg", filled(HEAD), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None and len(np.unique(decoded)) > 10
    assert close(ellipse_in(np.asarray(decoded, np.uint8)).ellipse, HEAD)
    assert close(ellipse_in(HEAD.mask(SIZE)).ellipse, HEAD)


def test_a_picture_of_something_else_is_no_ellipse() -> None:
    with_axes, with_text = thin(HEAD), thin(HEAD)
    cv2.line(with_axes, (18, 40), (78, 40), 255, 1)
    cv2.line(with_axes, (48, 18), (48, 62), 255, 1)
    cv2.putText(with_text, "HC 231", (0, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    for mask in (with_axes, with_text):
        with pytest.raises(ValueError, match="something other"):
            ellipse_in(mask)


LARGE = (400, 320)
TRUE = Ellipse(200.0, 160.0, 110.0, 92.0, 30.0)
OTHER = Ellipse(200.0, 290.0, 40.0, 22.0, 0.0)


def placed(head: Any, other: Any) -> NDArray[np.uint8]:
    """A head and a structure that touches it, in two values or colours on black."""
    shape = (LARGE[1], LARGE[0]) if isinstance(head, int) else (LARGE[1], LARGE[0], 3)
    picture = np.zeros(shape, np.uint8)
    picture[OTHER.mask(LARGE) > 0] = other
    picture[TRUE.mask(LARGE) > 0] = head
    return picture


@pytest.mark.parametrize(
    ("head", "other", "values", "stated"),
    [
        (2, 1, "1, 2", "2"),
        (8, 7, "7, 8", "8"),
        (127, 255, "127, 255", "127"),
        (100, 200, "100, 200", "100"),
        ((0, 0, 255), (255, 255, 255), "#0000ff, #ffffff", "#0000FF"),
        ((255, 255, 255), (0, 0, 255), "#0000ff, #ffffff", "#ffffff"),
        ((255, 0, 0), (0, 255, 0), "#00ff00, #ff0000", "#ff0000"),
    ],
)
def test_several_structures_are_asked_about(
    head: object, other: object, values: str, stated: str
) -> None:
    picture = placed(head, other)
    with pytest.raises(SeveralStructuresError, match=f"with the values {values}"):
        ellipse_in(picture)
    found = ellipse_in(picture, value=stated)
    assert found.ellipse.overlap(TRUE) > 0.99
    with pytest.raises(ValueError, match=f"nothing of the value 99, but {values}"):
        ellipse_in(picture, value="99")


@pytest.mark.parametrize("quality", [50, 90])
@pytest.mark.parametrize("blur", [0, 2])
def test_smoothed_edges_and_noise_are_no_structures(quality: int, blur: int) -> None:
    picture = placed(120, 240)
    alone = TRUE.mask(LARGE) * np.uint8(255)
    for shown in (picture, alone):
        soft = cv2.GaussianBlur(shown, (0, 0), blur) if blur else shown
        done, data = cv2.imencode(".jpg", soft, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
        if shown is alone:
            assert ellipse_in(decoded).ellipse.overlap(TRUE) > 0.99
        else:
            with pytest.raises(SeveralStructuresError):
                ellipse_in(decoded)
            assert ellipse_in(decoded, value="120").ellipse.overlap(TRUE) > 0.98


@pytest.mark.parametrize("blur", [8, 16])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_map_of_probabilities_is_a_proposal(blur: int, kind: type[np.generic]) -> None:
    soft = cv2.GaussianBlur(TRUE.mask(LARGE).astype(np.float32), (0, 0), blur)
    samples = soft if kind is np.float32 else (255 * soft).round().astype(np.uint8)
    shown = ellipse_in(samples)
    assert shown.ellipse.overlap(TRUE) > 0.98
    assert shown.doubt is not None and "its edge is soft" in shown.doubt
    if kind is np.uint8:
        top = f"{samples.max()}"
        assert ellipse_in(samples, value=top).ellipse == shown.ellipse, "it is no level of it"


@pytest.mark.parametrize("blur", [3, 4, 6])
def test_a_wide_soft_edge_is_no_structure(blur: int) -> None:
    alone = TRUE.mask(LARGE) * np.uint8(255)
    assert ellipse_in(cv2.GaussianBlur(alone, (0, 0), blur)).ellipse.overlap(TRUE) > 0.99
    with pytest.raises(SeveralStructuresError):
        ellipse_in(cv2.GaussianBlur(placed(128, 255), (0, 0), blur))


def test_the_faint_noise_of_a_good_jpeg_is_no_structure() -> None:
    mask = TRUE.mask(LARGE) * np.uint8(255)
    mask[100:104, 40:60], mask[104:108, 40:60] = 3, 5
    assert ellipse_in(mask).ellipse.overlap(TRUE) > 0.99
    mask[mask == 5] = 40
    with pytest.raises(SeveralStructuresError):
        ellipse_in(mask)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_the_edge_of_a_coloured_jpeg_is_no_structure(quality: int) -> None:
    # At odd places, the colours of neighbours are joined differently on either side.
    for shift in range(2):
        shape = Ellipse(TRUE.cx + shift, TRUE.cy + shift, TRUE.a, TRUE.b, TRUE.angle_deg)
        red = np.zeros((*LARGE[::-1], 3), np.uint8)
        red[..., 2] = shape.mask(LARGE) * np.uint8(255)
        done, data = cv2.imencode(".jpg", red, [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8)
        assert ellipse_in(decoded).ellipse.overlap(shape) > 0.99


@pytest.mark.parametrize(("fill", "line"), [(128, 255), (255, 128), (1, 255), (2, 1)])
def test_a_filled_head_ends_in_the_middle_of_its_outline(fill: int, line: int) -> None:
    outer, inner = (Ellipse(TRUE.cx, TRUE.cy, TRUE.a + d, TRUE.b + d, 30.0) for d in (1.5, -1.5))
    mask = outer.mask(LARGE) * np.uint8(line)
    mask[inner.mask(LARGE) > 0] = fill
    found = ellipse_in(mask).ellipse
    assert max(abs(found.a - TRUE.a), abs(found.b - TRUE.b)) < 0.4


def test_a_structure_inside_the_head_is_one_of_its_own() -> None:
    labels = TRUE.mask(LARGE).astype(np.uint8)
    labels[Ellipse(200, 150, 20, 15, 0).mask(LARGE) > 0] = 2
    with pytest.raises(SeveralStructuresError):
        ellipse_in(labels)
    assert ellipse_in(labels, value="1").ellipse.overlap(TRUE) > 0.99


def test_a_large_picture_is_read_in_steps() -> None:
    large = np.kron(TRUE.mask(LARGE), np.ones((20, 20), np.uint8)) * np.uint8(255)
    found = ellipse_in(large).ellipse
    assert found.a == pytest.approx(20 * TRUE.a, rel=0.003)
    assert (found.cx, found.cy) == pytest.approx((20 * TRUE.cx + 9.5, 20 * TRUE.cy + 9.5), abs=3)
    assert is_annotation(large)


def test_a_thin_border_around_the_head_is_none() -> None:
    """As the void border in the masks of Pascal VOC."""
    labels = Ellipse(200.0, 160.0, 112.0, 94.0, 30.0).mask(LARGE) * np.uint8(255)
    labels[TRUE.mask(LARGE) > 0] = 1
    assert ellipse_in(labels).ellipse.overlap(TRUE) > 0.97


@pytest.mark.parametrize("share", [0.1, 0.25, 0.3, 0.5, 0.7])
@pytest.mark.parametrize("shift", [0, 20])
def test_a_filled_head_with_a_hole_is_filled(share: float, shift: int) -> None:
    mask = TRUE.mask(LARGE)
    hole = Ellipse(200.0 + shift, 160.0, 110 * share, 92 * share, 30.0)
    found = ellipse_in((mask & (1 - hole.mask(LARGE))) * np.uint8(255))
    assert found.ellipse.a == pytest.approx(TRUE.a, abs=0.5)
    assert found.ellipse.b == pytest.approx(TRUE.b, abs=0.5)
    assert found.doubt is None


def box() -> NDArray[np.uint8]:
    picture = np.zeros(LARGE[::-1], np.uint8)
    picture[70:251, 90:311] = 255
    return picture


def hexagon() -> NDArray[np.uint8]:
    corners = (TRUE.contour(6)).round().astype(np.int32)
    picture = np.zeros(LARGE[::-1], np.uint8)
    cv2.fillPoly(picture, [corners], 255)
    return picture


def box_outline() -> NDArray[np.uint8]:
    picture = np.zeros(LARGE[::-1], np.uint8)
    cv2.rectangle(picture, (150, 120), (250, 200), 255, 2)
    return picture


@pytest.mark.parametrize("draw", [box, hexagon, box_outline])
def test_a_shape_that_is_no_ellipse_is_doubtful_or_refused(
    draw: Callable[[], NDArray[np.uint8]],
) -> None:
    try:
        shown = ellipse_in(draw())
    except ValueError as error:
        assert "something other" in str(error)
    else:
        assert "does not describe it" in str(shown.doubt)


@pytest.mark.parametrize("distance", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("angle", [0, 65, 200])
@pytest.mark.parametrize("line", [False, True], ids=["filled", "ring"])
def test_a_straight_cut_is_left_out_of_the_fit(distance: float, angle: int, line: bool) -> None:
    mask = TRUE.mask(LARGE)
    y, x = np.mgrid[: LARGE[1], : LARGE[0]]
    t = np.radians(angle)
    beyond = (x - TRUE.cx) * np.cos(t) + (y - TRUE.cy) * np.sin(t) > distance * TRUE.b
    mask[beyond] = 0
    if line:
        mask = mask - np.asarray(cv2.erode(mask, np.ones((3, 3), np.uint8)), np.uint8)
    found = ellipse_in(mask * np.uint8(255))
    assert found.doubt is not None and "a straight edge cuts it" in found.doubt
    assert found.ellipse.a == pytest.approx(TRUE.a, rel=0.02)
    assert found.ellipse.b == pytest.approx(TRUE.b, rel=0.02)


def test_a_head_drawn_by_hand_is_not_doubtful() -> None:
    rng = np.random.default_rng(3)
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wobble = 1 + 0.008 * rng.standard_normal(48) + 0.01 * np.sin(3 * t)
    centre = np.array([TRUE.cx, TRUE.cy])
    corners = (centre + (TRUE.contour(48) - centre) * wobble[:, None]).round().astype(np.int32)
    shown = ellipse_in(cv2.fillPoly(np.zeros(LARGE[::-1], np.uint8), [corners], 255))
    assert shown.ellipse.overlap(TRUE) > 0.97
    assert shown.doubt is None


def drawn(*ellipses: Ellipse, width: int = 0) -> NDArray[np.uint8]:
    """Filled, or as outlines of this width in px."""
    picture = np.zeros(LARGE[::-1], np.uint8)
    for e in ellipses:
        box = ((e.cx, e.cy), (2 * e.a, 2 * e.b), e.angle_deg)
        cv2.ellipse(picture, box, 255, width or cv2.FILLED)
    return picture


def polygon(corners: int) -> NDArray[np.uint8]:
    points = TRUE.contour(corners).round().astype(np.int32)
    return np.asarray(cv2.fillPoly(np.zeros(LARGE[::-1], np.uint8), [points], 255))


def enlarged(factor: float) -> NDArray[np.uint8]:
    """A mask that was reduced and enlarged again without smoothing."""
    small = cv2.resize(
        drawn(TRUE), None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA
    )
    filled = (small > 127).astype(np.uint8) * np.uint8(255)
    return np.asarray(cv2.resize(filled, LARGE, interpolation=cv2.INTER_NEAREST), np.uint8)


def arc(start: int, end: int) -> NDArray[np.uint8]:
    """A part of the outline, between two angles in degrees."""
    picture = np.zeros(LARGE[::-1], np.uint8)
    points = TRUE.contour(360)[start:end].round().astype(np.int32)
    return np.asarray(cv2.polylines(picture, [points], False, 255, 2))


SMALLER = Ellipse(TRUE.cx, TRUE.cy, TRUE.a - 9, TRUE.b - 9, TRUE.angle_deg)


@pytest.mark.parametrize(
    ("picture", "doubt"),
    [
        (drawn(TRUE, Ellipse(40.0, 30.0, 14.0, 9.0, 0.0)), "several shapes apart"),
        (drawn(TRUE, SMALLER, width=2), "one outline inside another"),
        (drawn(TRUE, width=20), "a head with a hole"),
        (arc(0, 180), "a line that is open over 17"),
        (arc(60, 330), "a line that is open over 8"),
        (enlarged(8), "it consists of blocks of 8 px"),
        (enlarged(3.6), "it consists of blocks of 3 px"),
        (polygon(10), "a polygon of"),
        (drawn(Ellipse(40.0, 30.0, 9.0, 7.0, 0.0)), "far smaller than a head"),
        (drawn(Ellipse(200.0, 160.0, 90.0, 20.0, 10.0)), "far longer than a head"),
        (drawn(Ellipse(200.0, 160.0, 90.0, 20.0, 10.0), width=3), "far longer than a head"),
        (drawn(Ellipse(5.0, 5.0, 110.0, 92.0, 0.0)), "border cuts most of it"),
    ],
)
def test_what_may_be_another_head_is_doubtful(picture: NDArray[np.uint8], doubt: str) -> None:
    assert doubt in str(ellipse_in(picture).doubt)


@pytest.mark.parametrize("gaps", [1, 4])
def test_a_line_with_small_gaps_is_not_doubtful(gaps: int) -> None:
    parts = [arc(n * 360 // gaps, (n + 1) * 360 // gaps - 45) for n in range(gaps)]
    shown = ellipse_in(np.maximum.reduce(parts))
    assert shown.doubt is None and shown.ellipse.overlap(TRUE) > 0.98


def test_a_mask_that_was_enlarged_a_little_is_not_doubtful() -> None:
    shown = ellipse_in(enlarged(1.9))
    assert shown.doubt is None and shown.ellipse.overlap(TRUE) > 0.98


@pytest.mark.parametrize("corners", [24, 60])
def test_a_polygon_of_many_corners_is_not_doubtful(corners: int) -> None:
    assert ellipse_in(polygon(corners)).doubt is None


@pytest.mark.parametrize("width", [0, 2])
def test_a_line_around_the_picture_is_no_background(width: int) -> None:
    picture = cv2.rectangle(drawn(TRUE, width=width), (0, 0), (LARGE[0] - 1, LARGE[1] - 1), 255, 3)
    shown = ellipse_in(np.asarray(picture))
    assert shown.doubt is None and shown.ellipse.overlap(TRUE) > 0.98


def test_a_probability_counts_from_a_half() -> None:
    sure = cv2.GaussianBlur(TRUE.mask(LARGE).astype(np.float32), (0, 0), 3)
    assert ellipse_in(np.asarray(sure)).ellipse.a == pytest.approx(TRUE.a, abs=0.5)


def test_a_structure_that_encloses_another_is_filled() -> None:
    """A skull with the brain in it, where the skull is stated to be the head."""
    labels = TRUE.mask(LARGE)
    labels[SMALLER.mask(LARGE) > 0] = 2
    shown = ellipse_in(labels, value="1")
    assert shown.doubt is None and shown.ellipse.a == pytest.approx(TRUE.a, abs=0.5)
    assert ellipse_in(labels, value="2").ellipse.a == pytest.approx(SMALLER.a, abs=0.5)


@pytest.mark.parametrize("coloured", [False, True])
def test_an_ultrasound_with_an_outline_is_no_mask(coloured: bool) -> None:
    noise = np.random.default_rng(5).integers(0, 256, LARGE[::-1], dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 1.5) - 127.5
    grey = np.clip(smooth * 4 + 127.5, 0, 255).astype(np.uint8)
    grey[:, :150] = 0
    picture = np.dstack([grey] * 3) if coloured else grey
    picture[drawn(TRUE, width=2) > 0] = (255, 0, 0) if coloured else 255
    with pytest.raises(ValueError, match="like an ultrasound"):
        ellipse_in(picture)


def test_the_reason_is_named() -> None:
    mask = TRUE.mask(LARGE) * np.uint8(255)
    nothing, full = np.zeros_like(mask), np.full_like(mask, 255)
    for samples, alpha, reason in (
        (255 - mask, None, "inverted"),
        (255 - ring(TRUE, LARGE), None, "inverted"),
        (np.dstack([255 - mask] * 2 + [full]), None, "inverted"),
        (nothing, None, "empty"),
        (full, None, "empty"),
        (nothing, full, "empty"),
        (nothing, mask, "transparency"),
        (full, mask, "transparency"),
        (np.where(mask > 0, full, nothing), nothing, "transparent"),
    ):
        with pytest.raises(ValueError, match=reason):
            ellipse_in(samples, alpha)
    assert ellipse_in(mask, full).ellipse.overlap(TRUE) > 0.99
    assert ellipse_in(mask, mask).ellipse.overlap(TRUE) > 0.99


def test_annotations_are_recognised_by_their_content() -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, LARGE[::-1], dtype=np.uint8)
    speckle = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1), np.uint8)
    sector = np.where(TRUE.mask(LARGE) > 0, speckle, 0).astype(np.uint8)
    dim = (speckle // 8).astype(np.uint8)
    for frame in (speckle, sector, dim):
        assert not is_annotation(frame)
    mask = TRUE.mask(LARGE) * np.uint8(255)
    done, data = cv2.imencode(".jpg", mask, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    lossy = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    for annotation in (
        mask,
        255 - mask,
        TRUE.mask(LARGE),
        ring(TRUE, LARGE),
        placed(1, 2),
        np.asarray(cv2.GaussianBlur(mask, (0, 0), 1), np.uint8),
        np.asarray(cv2.GaussianBlur(mask, (0, 0), 12), np.uint8),
        lossy,
        np.zeros_like(mask),
    ):
        assert is_annotation(annotation)


@settings(max_examples=40, deadline=None)
@example(a=60.0, ratio=0.6640625, angle=0.75, cx=250.0, cy=220.0)
@given(
    a=st.floats(60, 250),
    ratio=st.floats(0.6, 1),
    angle=st.floats(0, 179),
    cx=st.floats(250, 550),
    cy=st.floats(220, 320),
)
def test_a_ring_gives_its_ellipse_back(
    a: float, ratio: float, angle: float, cx: float, cy: float
) -> None:
    """Also where the frame cuts the head: HC within 0.1 %."""
    drawn = Ellipse(cx, cy, a, a * ratio, angle)
    found = Ellipse.from_ring(ring(drawn, (800, 540)))
    assert found.perimeter == pytest.approx(drawn.perimeter, rel=1e-3)
    assert found.overlap(drawn) > 0.995
