"""What two ways of doing something differ by, on the same frames."""

import numpy as np
import pytest

from fetalstudio.core.statistics import by_repeat, over_repeats, paired_difference

SUBJECTS = ["a", "a", "b", "c", "d", "e"]


def test_pairing_takes_out_how_hard_a_frame_is() -> None:
    hard = np.array([0.99, 0.98, 0.7, 0.95, 0.5, 0.9])
    found = paired_difference([hard + 0.01], [hard], SUBJECTS)
    assert found.low == pytest.approx(0.01) and found.high == pytest.approx(0.01)
    alone = over_repeats([hard], SUBJECTS)
    assert alone.high - alone.low > 0.1


def test_repeats_are_no_further_frames() -> None:
    rng = np.random.default_rng(0)
    gain = rng.normal(0.01, 0.02, 6)
    base = np.full(6, 0.9)
    once = paired_difference([base + gain], [base], SUBJECTS)
    often = paired_difference([base + gain] * 20, [base] * 20, SUBJECTS)
    assert (often.low, often.high, often.n) == pytest.approx((once.low, once.high, once.n))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        gain = rng.normal(0.01, 0.03, 40)
        found = paired_difference([gain], [np.zeros(40)], [str(i) for i in range(40)])
        hits += found.low <= 0.01 <= found.high
    assert 0.88 <= hits / 200 <= 0.99


def test_each_repeat_is_compared_with_its_own() -> None:
    assert by_repeat([[0.9, 0.8], [0.7, 0.7]], [[0.8, 0.8], [0.8, 0.8]]) == pytest.approx(
        (0.05, -0.1)
    )
    with pytest.raises(ValueError, match="one by one"):
        by_repeat([[0.9, 0.8]], [[0.8, 0.8], [0.8, 0.8]])
    with pytest.raises(ValueError, match="repeats"):
        over_repeats([0.9, 0.8], ["a", "b"])
