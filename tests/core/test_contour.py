"""An ellipse from a field of logits: finer than a mask, and not moved by a notch."""

import cv2
import numpy as np
import pytest

from fetalstudio.core.contour import ellipse_of, zero_line
from fetalstudio.core.ellipse import Ellipse

SIZE = (400, 270)
HEAD = Ellipse.of(201.3, 133.6, 101.7, 74.2, 23.0)


def _field(head: Ellipse) -> np.ndarray:
    return (-0.3 * head.sdf(SIZE)).astype(np.float32)


def test_the_ellipse_is_found_to_a_tenth_of_a_pixel() -> None:
    found = ellipse_of(_field(HEAD))
    assert found is not None
    for name in ("cx", "cy", "a", "b"):
        assert getattr(found, name) == pytest.approx(getattr(HEAD, name), abs=0.1)
    assert found.angle_deg == pytest.approx(HEAD.angle_deg, abs=0.2)


def test_the_zero_line_lies_on_the_outline() -> None:
    field = _field(HEAD)
    points = zero_line(field, (field > 0).astype(np.uint8))
    away = np.abs([cv2.pointPolygonTest(_fine(HEAD), p.tolist(), True) for p in points])
    assert len(points) > 400 and away.max() < 0.2


def test_a_notch_moves_it_less_than_it_moves_the_mask() -> None:
    field = _field(HEAD)
    x, y = HEAD.contour(360)[40].astype(int)
    cv2.circle(field, (int(x), int(y)), 22, -3.0, cv2.FILLED)
    found = ellipse_of(field)
    assert found is not None
    robust, plain = (
        abs(e.perimeter - HEAD.perimeter) for e in (found, Ellipse.from_mask(field > 0))
    )
    assert robust < 0.5 * plain


def test_a_head_cut_by_the_border_keeps_its_size() -> None:
    cut = Ellipse.of(60, 135, 101.7, 74.2, 10)
    found = ellipse_of(_field(cut))
    assert found is not None
    assert found.perimeter == pytest.approx(cut.perimeter, rel=0.01)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_where_no_outline_is_there_is_no_ellipse(value: float) -> None:
    assert ellipse_of(np.full((27, 40), value, np.float32)) is None


def _fine(head: Ellipse) -> np.ndarray:
    return head.contour(3600).astype(np.float32)[:, None]
