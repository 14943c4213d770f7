"""Ellipses are found in pictures of outlines as a generator draws them, and doubt is told."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.outline import find_outline

HEAD = Ellipse(262, 240, 170, 120, 25)


def _ring(ellipse: Ellipse = HEAD, *, gap_deg: float = 0.0, grey: int = 255) -> NDArray[np.uint8]:
    picture = np.zeros((512, 512), np.uint8)
    points = ellipse.contour(720)[round(2 * gap_deg) :]
    ends = np.round(points * 16).astype(np.int32)
    closed = gap_deg == 0
    cv2.polylines(picture, [ends], closed, grey, 3, cv2.LINE_AA, shift=4)
    return picture


def test_a_clean_outline_is_found_to_a_fraction_of_a_pixel() -> None:
    found = find_outline(_ring())
    assert found is not None
    got = (found.ellipse.cx, found.ellipse.cy, found.ellipse.a, found.ellipse.b)
    assert got == pytest.approx((HEAD.cx, HEAD.cy, HEAD.a, HEAD.b), abs=0.5)
    assert found.ellipse.angle_deg == pytest.approx(HEAD.angle_deg, abs=0.5)
    assert found.score > 0.85 and found.coverage > 0.98 and found.residual_px < 2


def test_a_dim_smeared_broken_outline_with_specks_and_a_blot_is_found() -> None:
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(_ring(gap_deg=100, grey=200), (0, 0), 1.5).astype(np.float32)
    for x, y in rng.integers(20, 490, (60, 2)):
        picture[y : y + 3, x : x + 3] = 150
    cv2.circle(picture, (420, 260), 14, 160, -1)  # touches the line
    noisy = np.clip(picture + rng.normal(20, 6, picture.shape), 0, 255).astype(np.uint8)
    found = find_outline(noisy)
    assert found is not None
    assert found.ellipse.overlap(HEAD) > 0.98
    assert found.score < 0.8


def test_the_more_is_missing_the_less_sure_it_is() -> None:
    scores = []
    for gap in (0, 60, 160):
        found = find_outline(_ring(gap_deg=gap))
        assert found is not None
        scores.append(found.score)
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2


def test_no_outline_is_no_ellipse_or_one_in_doubt() -> None:
    rng = np.random.default_rng(1)
    blot = np.zeros((512, 512), np.uint8)
    cv2.ellipse(blot, (250, 250), (90, 60), 20, 0, 360, 255, -1)
    stroke = np.zeros((512, 512), np.uint8)
    cv2.line(stroke, (40, 60), (470, 440), 255, 3)
    assert find_outline(np.zeros((512, 512), np.uint8)) is None
    for picture in (blot, stroke, rng.integers(0, 255, (512, 512), dtype=np.uint8)):
        found = find_outline(picture)
        assert found is None or found.score < 0.5


@pytest.mark.parametrize(
    "head", [HEAD, Ellipse(120, 250, 180, 140, 5), Ellipse(256, 256, 240, 200, 0)]
)
def test_the_edge_of_a_filled_head_is_found(head: Ellipse) -> None:
    """Whole, cut by the border, and larger than half of the picture; with a hole and specks."""
    picture = head.mask((512, 512)) * np.uint8(230)
    cv2.circle(picture, (200, 250), 20, 40, -1)
    cv2.circle(picture, (500, 10), 4, 255, -1)
    found = find_outline(np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.0), np.uint8), filled=True)
    assert found is not None
    assert found.ellipse.overlap(head) > 0.985 and found.score > 0.8
    assert found.ellipse.a == pytest.approx(head.a, rel=0.02)
