from __future__ import annotations

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.segmentation.box_prompt import drawn_to_box

HEAD = Ellipse(300, 200, 120, 90, 25)


def test_a_box_that_agrees_changes_nothing() -> None:
    same = drawn_to_box(HEAD, HEAD.box(), 0.3)
    assert np.allclose((same.cx, same.cy, same.a, same.b), (300, 200, 120, 90), atol=1e-6)


def test_a_careful_box_is_heeded_side_by_side() -> None:
    x0, y0, x1, y1 = HEAD.box()
    moved = drawn_to_box(HEAD, (x0 - 2, y0, x1, y1), 0.3)
    assert moved.box()[0] == pytest.approx(x0 - 0.6, abs=0.02)
    assert moved.box()[1:] == pytest.approx((y0, x1, y1), abs=1e-6)


def test_a_rough_box_is_not() -> None:
    x0, y0, x1, y1 = HEAD.box()
    rough = drawn_to_box(HEAD, (x0 - 60, y0 - 60, x1 + 60, y1 + 60), 0.3)
    assert rough.box() == pytest.approx(HEAD.box(), abs=0.01)
    point = drawn_to_box(HEAD, (300, 200, 300, 200), 1.0)
    assert point.box() == pytest.approx(HEAD.box(), abs=0.01)


def test_no_share_leaves_the_ellipse() -> None:
    x0, y0, x1, y1 = HEAD.box()
    assert drawn_to_box(HEAD, (x0 - 2, y0 - 2, x1 + 2, y1), 0.0).box() == pytest.approx(HEAD.box())
