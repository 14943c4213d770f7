"""Metrics against closed forms and against the definition written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import (
    dice,
    iou,
    limits_of_agreement,
    surface_distances,
    wilson_interval,
)

properties = settings(max_examples=60, deadline=None, derandomize=True)
EMPTY = np.zeros((20, 30), np.uint8)

Mask = NDArray[np.uint8]


def masks(height: int = 12, width: int = 15) -> st.SearchStrategy[Mask]:
    """Any set of pixels: regions with holes, specks, at the border, empty, full."""
    bits = st.integers(0, 2 ** (height * width) - 1)
    density = st.sampled_from([0.05, 0.5, 0.95])

    def build(seed: int, share: float) -> Mask:
        return (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)

    return st.builds(build, bits, density)


def square(x: int, y: int, side: int) -> Mask:
    mask = np.zeros((60, 80), np.uint8)
    mask[y : y + side, x : x + side] = 1
    return mask


# -- overlap ----------------------------------------------------------------------------------


@properties
@given(masks(), masks())
def test_dice_and_iou_follow_their_definitions(one: Mask, other: Mask) -> None:
    a = {tuple(p) for p in np.argwhere(one).tolist()}
    b = {tuple(p) for p in np.argwhere(other).tolist()}
    assume(a or b)
    assert dice(one, other) == pytest.approx(2 * len(a & b) / (len(a) + len(b)))
    assert iou(one, other) == pytest.approx(len(a & b) / len(a | b))
    assert dice(one, other) == dice(other, one)
    assert iou(one, other) == pytest.approx(dice(one, other) / (2 - dice(one, other)))


def test_overlap_of_empty_masks() -> None:
    full = np.ones_like(EMPTY)
    assert dice(EMPTY, EMPTY) == iou(EMPTY, EMPTY) == 1
    assert dice(EMPTY, full) == iou(EMPTY, full) == 0
    assert dice(full, full) == iou(full, full) == 1


def test_any_positive_value_is_head() -> None:
    head = square(10, 10, 20)
    assert dice(head * 255, head.astype(bool)) == 1
    assert dice(head.astype(np.float32) - 0.5, head) == 1


def test_dice_counts_beyond_a_byte() -> None:
    """255s summed as bytes would wrap."""
    big = np.full((700, 900), 255, np.uint8)
    half = big.copy()
    half[:, 450:] = 0
    assert dice(big, half) == pytest.approx(2 / 3)


def test_masks_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        dice(EMPTY, np.zeros((30, 20), np.uint8))


# -- surfaces ---------------------------------------------------------------------------------


def outline(mask: Mask) -> NDArray[np.float64]:
    """Pixels of the region with a side neighbour outside it, or outside the frame."""
    h, w = mask.shape
    return np.array(
        [
            (x, y)
            for y, x in np.argwhere(mask).tolist()
            if any(
                not (0 <= y + dy < h and 0 <= x + dx < w) or not mask[y + dy, x + dx]
                for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
            )
        ],
        dtype=float,
    )


@properties
@given(masks(), masks(), st.sampled_from([(1.0, 1.0), (0.5, 0.5), (0.2, 0.7)]))
def test_surface_distances_follow_their_definition(
    one: Mask, other: Mask, spacing: tuple[float, float]
) -> None:
    assume(one.any() and other.any())
    p, r = (outline(m) * spacing for m in (one, other))
    distances = np.linalg.norm(p[:, None] - r[None], axis=2)
    there, back = distances.min(axis=1), distances.min(axis=0)
    found = surface_distances(one, other, spacing)
    assert found.hd95 == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert found.assd == pytest.approx((there.sum() + back.sum()) / (len(there) + len(back)))


@properties
@given(masks(), masks())
def test_surface_distances_are_symmetric(one: Mask, other: Mask) -> None:
    there, back = surface_distances(one, other), surface_distances(other, one)
    assert there.hd95 == pytest.approx(back.hd95, nan_ok=False)
    assert there.assd == pytest.approx(back.assd, nan_ok=False)


def test_two_circles_about_one_centre_are_their_radii_apart() -> None:
    small, large = (Ellipse(60, 50, r, r, 0).mask((120, 100)) for r in (20, 32))
    found = surface_distances(small, large)
    assert found.hd95 == pytest.approx(12, abs=0.8)
    assert found.assd == pytest.approx(12, abs=0.3)


def test_large_outlines_are_compared_in_blocks() -> None:
    """More points than a block holds, so that no block may be lost."""
    small, large = (Ellipse(400, 270, r, r, 0).mask((800, 540)) for r in (240, 250))
    found = surface_distances(small, large, (0.1, 0.1))
    assert found.hd95 == pytest.approx(1, abs=0.08)
    assert found.assd == pytest.approx(1, abs=0.03)


def test_a_shifted_square_is_its_shift_apart_in_either_direction() -> None:
    across = surface_distances(square(10, 10, 30), square(14, 10, 30), (0.5, 2.0))
    down = surface_distances(square(10, 10, 30), square(10, 14, 30), (0.5, 2.0))
    assert across.hd95 == pytest.approx(4 * 0.5)
    assert down.hd95 == pytest.approx(4 * 2.0)


def test_surfaces_of_empty_masks() -> None:
    same, none = surface_distances(EMPTY, EMPTY), surface_distances(EMPTY, EMPTY + 1)
    assert (same.hd95, same.assd) == (0, 0)
    assert (none.hd95, none.assd) == (math.inf, math.inf)
    head = square(5, 5, 20)
    assert surface_distances(head, head).hd95 == 0


# -- confidence -------------------------------------------------------------------------------


def test_limits_of_agreement_are_about_the_mean_difference() -> None:
    assert limits_of_agreement([1.0, 2.0, 3.0]) == (
        pytest.approx(2 - 1.96),
        pytest.approx(2 + 1.96),
    )
    assert limits_of_agreement([1.0]) is None


@pytest.mark.parametrize(
    ("k", "n", "interval"),
    # By the formula of Wilson (1927) with z = 1.96.
    [(0, 10, (0.0, 0.2775)), (1, 20, (0.0089, 0.2361)), (10, 10, (0.7225, 1.0))],
)
def test_wilsons_interval(k: int, n: int, interval: tuple[float, float]) -> None:
    assert wilson_interval(k, n) == pytest.approx(interval, abs=5e-4)


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        wilson_interval(3, 2)
