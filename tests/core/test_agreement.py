"""Agreement of readings, checked against published examples and simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetalstudio.core.agreement import (
    TwoReadings,
    compare,
    intraclass_correlation,
    limits_with_intervals,
    mean_ellipse,
    technical_error,
)
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse

SHROUT_FLEISS = [
    [9, 2, 5, 8],
    [6, 1, 3, 2],
    [8, 4, 6, 8],
    [7, 1, 2, 6],
    [10, 5, 6, 9],
    [6, 2, 4, 7],
]
"""Table 2 of Shrout and Fleiss 1979: six targets, four judges."""
BLAND_ALTMAN = [
    *[(494, 512), (395, 430), (516, 520), (434, 428), (476, 500), (557, 600), (413, 364)],
    *[(442, 380), (650, 658), (433, 445), (417, 432), (656, 626), (267, 260), (478, 477)],
    *[(178, 259), (423, 350), (427, 451)],
]
"""Peak flow in l/min of 17 subjects, Wright meter and mini meter, first measurements: table 1 of
Bland and Altman 1986."""
MM = Calibration(0.1, 0.1, "table")


def ids(n: int) -> list[str]:
    return [f"{i}" for i in range(n)]


def test_the_table_of_shrout_and_fleiss_gives_its_published_figures() -> None:
    found = intraclass_correlation(SHROUT_FLEISS, ids(6))
    assert found.agreement.value == pytest.approx(0.29, abs=0.005)
    assert found.consistency.value == pytest.approx(0.71, abs=0.005)
    # The intervals that psych::ICC and McGraw and Wong's formulas give for this table.
    assert (found.agreement.low, found.agreement.high) == pytest.approx((0.019, 0.761), abs=0.001)
    assert (found.consistency.low, found.consistency.high) == pytest.approx(
        (0.342, 0.946), abs=0.001
    )


def test_the_peak_flows_of_bland_and_altman_give_their_published_limits() -> None:
    differences = [wright - mini for wright, mini in BLAND_ALTMAN]
    lower, upper = limits_with_intervals(differences, ids(17))
    # In the paper: mean -2.1, SD 38.8, limits -79.7 and 75.5 with 2 SD. With 1.96 SD:
    assert np.mean(differences) == pytest.approx(-2.1, abs=0.05)
    assert np.std(differences, ddof=1) == pytest.approx(38.8, abs=0.05)
    assert (lower.value, upper.value) == pytest.approx((-78.1, 73.9), abs=0.1)
    # Half widths by t (16 degrees of freedom: 2.12) and sqrt(3 / n): 34.5; here slightly less.
    assert upper.high - upper.value == pytest.approx(34.5, rel=0.04)
    assert lower.value - lower.low == pytest.approx(upper.high - upper.value)


def test_the_technical_error_is_that_of_two_readings_and_of_more() -> None:
    first, second = np.array(BLAND_ALTMAN, float).T
    expected = math.sqrt(((first - second) ** 2).sum() / (2 * 17))
    assert technical_error(BLAND_ALTMAN) == pytest.approx(expected)
    assert technical_error([[1, 2, 3], [5, 5, 5]]) == pytest.approx(math.sqrt(0.5))
    assert math.isnan(technical_error([[1.0], [2.0]]))


def test_a_bias_lowers_the_agreement_and_not_the_consistency() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(200, 10, 60)
    values = np.stack([truth, truth + 15], axis=1) + rng.normal(0, 1, (60, 2))
    found = intraclass_correlation(values, ids(60))
    assert found.consistency.value > 0.98
    assert found.agreement.value < 0.6


def test_equal_readings_agree_and_equal_heads_say_nothing() -> None:
    same = intraclass_correlation([[1, 1], [2, 2], [4, 4]], ids(3))
    assert (same.agreement.low, same.agreement.value, same.consistency.high) == (1, 1, 1)
    assert math.isnan(intraclass_correlation([[1, 1], [1, 1]], ids(2)).agreement.value)
    assert math.isnan(intraclass_correlation([[1, 2]], ids(1)).agreement.value)
    with pytest.raises(ValueError, match="a subject for each frame"):
        intraclass_correlation([[1, 2]], ids(2))


def test_frames_of_one_subject_do_not_narrow_the_intervals() -> None:
    """Five copies of each frame say no more than one; the published formulas would claim so."""
    rng = np.random.default_rng(1)
    truth = rng.normal(200, 10, 40)
    values = truth[:, None] + rng.normal(0, 3, (40, 2))
    often = np.repeat(values, 5, axis=0)
    subjects = [f"{i // 5}" for i in range(200)]
    once, repeated = (
        intraclass_correlation(values, ids(40)).agreement,
        intraclass_correlation(often, subjects).agreement,
    )
    naive = intraclass_correlation(often, ids(200)).agreement
    assert 0.8 < (repeated.high - repeated.low) / (once.high - once.low) < 1.8
    assert naive.high - naive.low < 0.6 * (once.high - once.low)
    differences = (values[:, 1] - values[:, 0]).tolist()
    alone = limits_with_intervals(differences, ids(40))[1]
    again = limits_with_intervals(np.repeat(differences, 5).tolist(), subjects)[1]
    assert again.high - again.low == pytest.approx(alone.high - alone.low, rel=0.35)


@pytest.mark.parametrize("frames_each", [1, 3])
def test_the_intervals_of_the_correlation_hold_what_they_promise(frames_each: int) -> None:
    rng = np.random.default_rng(4)
    subjects = [f"{i // frames_each}" for i in range(30 * frames_each)]
    held = 0
    for _ in range(200):
        heads = np.repeat(rng.normal(200, 8, 30), frames_each) + rng.normal(0, 6, len(subjects))
        values = heads[:, None] + rng.normal(0, 5, (len(subjects), 2))
        found = intraclass_correlation(values, subjects).agreement
        held += found.low <= 100 / 125 <= found.high
    assert 0.90 <= held / 200 <= 0.99


@pytest.mark.parametrize("frames_each", [1, 3])
def test_the_intervals_of_the_limits_hold_what_they_promise(frames_each: int) -> None:
    """95 % of the intervals hold the limit that the simulation has."""
    rng = np.random.default_rng(2)
    subjects = [f"{i // frames_each}" for i in range(30 * frames_each)]
    held = 0
    for _ in range(300):
        shared = np.repeat(rng.normal(0, 2, 30), frames_each)
        upper = limits_with_intervals((shared + rng.normal(0, 1, len(subjects))).tolist(), subjects)
        held += upper[1].low <= 1.96 * math.sqrt(5) <= upper[1].high
    assert 0.90 <= held / 300 <= 0.99


def test_two_readings_are_compared_in_dice_and_mm() -> None:
    rng = np.random.default_rng(3)
    pairs = []
    for i in range(24):
        first = Ellipse.of(400, 270, rng.uniform(150, 250), rng.uniform(120, 150), 20)
        # 1 % larger: the HC differs by 1 %
        second = Ellipse.of(400, 270, 1.01 * first.a, 1.01 * first.b, 20)
        calibration = MM if i else None
        pairs.append(TwoReadings(f"{i}", f"s{i}", calibration, first, second))
    found = compare(pairs)
    assert (len(found.pairs), found.subjects, found.too_few) == (24, 24, False)
    assert found.dice.mean == pytest.approx(1 / 1.01, abs=0.002)
    hc = found.sizes["HC"]
    assert (hc.n, hc.subjects) == (23, 23)
    assert hc.bias.mean == pytest.approx(0.01 * hc.mean, rel=0.02)
    assert hc.bias.low < hc.bias.mean < hc.bias.high
    assert hc.lower.value < hc.bias.mean < hc.upper.value
    assert hc.icc_agreement.value > 0.95
    assert hc.technical_error == pytest.approx(0.01 * hc.mean / math.sqrt(2), rel=0.05)


def test_few_subjects_are_too_few_and_uncalibrated_frames_have_no_sizes() -> None:
    ellipse = Ellipse.of(400, 270, 200, 150, 20)
    alone = compare([TwoReadings("f", "s", None, ellipse, ellipse)])
    assert alone.too_few
    assert (alone.dice.mean, alone.sizes) == (1.0, {})
    one = compare([TwoReadings("f", "s", MM, ellipse, ellipse)]).sizes["HC"]
    assert one.bias.mean == 0
    assert math.isnan(one.sd)
    assert math.isnan(one.lower.value)
    assert math.isnan(one.technical_error)
    with pytest.raises(ValueError, match="no frames"):
        compare([])


def test_the_mean_of_ellipses_lies_between_them() -> None:
    first, second = Ellipse.of(100, 90, 60, 40, 170), Ellipse.of(104, 92, 64, 42, 10)
    found = mean_ellipse([first, second])
    assert (found.cx, found.cy) == (102, 91)
    assert found.a == pytest.approx(62, abs=1)
    assert found.b == pytest.approx(41, abs=1)
    assert min(found.angle_deg, 180 - found.angle_deg) < 1.5  # not 90, the mean of the numbers
    assert mean_ellipse([first, first]).overlap(first) == 1
    with pytest.raises(ValueError, match="no ellipse"):
        mean_ellipse([])
