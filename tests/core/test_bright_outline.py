"""Which of two ellipses lies on a bright ring."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.bright_outline import fits_better, lies_on_skull
from fetalstudio.core.ellipse import Ellipse

HEAD = Ellipse(100.0, 80.0, 50.0, 36.0, 30.0)
HALF = replace(HEAD, a=25.0, b=18.0)


def ring(head: Ellipse) -> NDArray[np.uint8]:
    grey = np.full((160, 200), 20, np.uint8)
    points = np.round(head.contour(120) * 8).astype(np.int32)
    cv2.polylines(grey, [points], True, 180, 3, cv2.LINE_AA, 3)
    return grey


def test_the_ellipse_on_the_ring_fits_better() -> None:
    assert fits_better(ring(HEAD), HEAD, [HALF]) == [1.0]
    assert fits_better(ring(HALF), HEAD, [HALF]) == [-1.0]


def test_a_flat_picture_shows_nothing() -> None:
    assert fits_better(np.full((160, 200), 20, np.uint8), HEAD, [HALF]) == [0.0]


def test_mere_speckle_prefers_no_size() -> None:
    speckle = np.random.default_rng(0).rayleigh(25, (540, 800)).clip(0, 255).astype(np.uint8)
    head = Ellipse(400.0, 270.0, 150.0, 120.0, 20.0)
    (found,) = fits_better(speckle, head, [replace(head, a=75.0, b=60.0)])
    assert found is not None and abs(found) < 0.2


def test_contrast_and_brightness_of_the_picture_do_not_count() -> None:
    faint = ring(HEAD) // 8 + np.uint8(100)
    assert fits_better(faint, HEAD, [HALF]) == [1.0]


def test_only_directions_in_which_the_outlines_differ_count() -> None:
    turned = replace(HEAD, angle_deg=120.0)
    (found,) = fits_better(ring(HEAD), HEAD, [turned])
    assert found is not None and found > 0.8
    alike = replace(HEAD, angle_deg=31.0)
    circle = Ellipse(100.0, 80.0, 40.0, 40.0, 0.0)
    assert fits_better(ring(HEAD), HEAD, [alike]) == [None]
    assert fits_better(ring(circle), circle, [replace(circle, angle_deg=90.0)]) == [None]


def test_outlines_that_differ_little_are_compared_finely_only() -> None:
    other = replace(HEAD, angle_deg=20.0)
    assert fits_better(ring(HEAD), HEAD, [other]) == [None]
    (found,) = fits_better(ring(HEAD), HEAD, [other], finely=True)
    assert found is not None and found > 0.3
    assert fits_better(ring(HEAD), HEAD, [replace(HEAD, angle_deg=31.0)], finely=True) == [None]


def test_small_outlines_are_not_compared() -> None:
    assert fits_better(ring(HEAD), HEAD, [replace(HEAD, a=15.0, b=11.0)]) == [None]
    assert fits_better(ring(HEAD), HEAD, [replace(HEAD, a=17.0, b=12.5)]) == [1.0]


@pytest.mark.parametrize("scale", [3.0, 6.0])
def test_what_lies_outside_the_picture_is_not_compared(scale: float) -> None:
    outside = replace(HEAD, a=scale * HEAD.a, b=scale * HEAD.b)
    assert fits_better(ring(HEAD), HEAD, [outside]) == [None]


def test_an_outline_in_another_place_is_compared_too() -> None:
    beside = replace(HEAD, cx=80.0, cy=70.0, angle_deg=120.0)
    assert fits_better(ring(HEAD), HEAD, [beside]) == [1.0]
    assert fits_better(ring(HEAD), beside, [HEAD]) == [-1.0]
    assert fits_better(ring(HEAD), HEAD, [replace(HEAD, cx=101.0)]) == [None]


def test_what_lies_on_a_ring_is_seen_without_another_place() -> None:
    on, off = lies_on_skull(ring(HEAD), HEAD), lies_on_skull(ring(HEAD), replace(HEAD, cx=75.0))
    assert on is not None and on > 0.9
    assert off is not None and off < 0.3
    speckle = np.random.default_rng(0).rayleigh(25, (540, 800)).clip(0, 255).astype(np.uint8)
    nothing = lies_on_skull(speckle, Ellipse(400.0, 270.0, 150.0, 120.0, 20.0))
    assert nothing is not None and abs(nothing) < 0.2
    assert lies_on_skull(ring(HEAD), Ellipse(100.0, 80.0, 15.0, 11.0, 0.0)) is None
