"""Pictures of an ellipse: filled or as a ring, as others draw them and as we do."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.outline_pictures import ellipse_in, ring

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
    assert ellipse_in(draw(cut)).overlap(cut) > 0.97


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
        assert found.overlap(drawn) > 0.97


def test_jpeg_masks_and_label_values() -> None:
    done, data = cv2.imencode(".jpg", filled(HEAD), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    assert decoded is not None and len(np.unique(decoded)) > 10
    assert close(ellipse_in(np.asarray(decoded, np.uint8)), HEAD)
    assert close(ellipse_in(HEAD.mask(SIZE)), HEAD)


def test_a_picture_of_something_else_is_no_ellipse() -> None:
    with_axes, with_text = thin(HEAD), thin(HEAD)
    cv2.line(with_axes, (18, 40), (78, 40), 255, 1)
    cv2.line(with_axes, (48, 18), (48, 62), 255, 1)
    cv2.putText(with_text, "HC 231", (0, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 1)
    for mask in (with_axes, with_text):
        with pytest.raises(ValueError, match="something other"):
            ellipse_in(mask)


def test_label_numbers_all_count() -> None:
    labels = HEAD.mask(SIZE).astype(np.uint8)
    labels[Ellipse(50, 40, 8, 6, 0).mask(SIZE) > 0] = 2
    assert close(ellipse_in(labels), HEAD)


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
