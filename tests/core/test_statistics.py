"""What two ways of doing something differ by, on the same frames."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fetalstudio.core.statistics import (
    by_repeat,
    mean_interval,
    over_repeats,
    paired_difference,
)

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


def test_trainings_that_differ_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    gain = rng.normal(0.01, 0.01, 60)
    alike = over_repeats([gain] * 5, [str(i) for i in range(60)])
    varied = over_repeats(gain + 0.01 * np.arange(-2, 3)[:, None], [str(i) for i in range(60)])
    assert varied.mean == pytest.approx(alike.mean)
    assert varied.low < 0 < alike.low


def test_a_subject_with_most_of_the_frames_does_not_make_them_certain() -> None:
    rng = np.random.default_rng(0)
    subjects = ["a"] * 200 + [f"s{i}" for i in range(19)]
    gain = np.concatenate([np.full(200, 0.01), rng.normal(0, 0.002, 19)])
    found = mean_interval(gain.tolist(), subjects)
    assert found.low < 0 < found.high


def test_the_interval_of_independent_values_is_the_textbooks() -> None:
    values = np.random.default_rng(1).normal(0.9, 0.05, 400)
    found = mean_interval(list(values), [str(i) for i in range(400)])
    half = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert found.mean == pytest.approx(values.mean())
    assert found.n == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_frames_of_one_subject_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).normal(0, 1, 50)
    once = mean_interval(list(values), [str(i) for i in range(50)])
    subjects = [str(i) for i in range(50) for _ in range(10)]
    tenfold = mean_interval(list(np.repeat(values, 10)), subjects)
    alone = mean_interval(list(np.repeat(values, 10)), [str(i) for i in range(500)])
    width = once.high - once.low
    assert tenfold.high - tenfold.low == pytest.approx(width, rel=0.1)
    assert alone.high - alone.low < 0.5 * width


def test_the_interval_is_the_same_each_time_and_holds_the_mean() -> None:
    values, subjects = [0.8, 0.9, 0.95, 0.99], ["a", "a", "b", "c"]
    found = mean_interval(values, subjects)
    assert found == mean_interval(values, subjects)
    assert found.low < found.mean < found.high
    wider = over_repeats([values], subjects, level=0.99)
    assert wider.low < found.low
    assert wider.high > found.high


def test_one_subject_says_nothing_about_others() -> None:
    found = mean_interval([0.5, 0.7], ["a", "a"])
    assert found.mean == pytest.approx(0.6) and math.isnan(found.low) and math.isnan(found.high)


def test_an_interval_stays_within_what_is_possible() -> None:
    few = ([0.99, 0.999, 0.9], ["a", "b", "c"])
    assert mean_interval(*few).high > 1
    assert mean_interval(*few, within=(0, 1)).high == 1


@pytest.mark.parametrize(("values", "subjects"), [([], []), ([0.5], []), ([0.5], ["a", "b"])])
def test_values_without_subjects_are_refused(values: list[float], subjects: list[str]) -> None:
    with pytest.raises(ValueError, match="subject"):
        mean_interval(values, subjects)


def test_each_repeat_is_compared_with_its_own() -> None:
    assert by_repeat([[0.9, 0.8], [0.7, 0.7]], [[0.8, 0.8], [0.8, 0.8]]) == pytest.approx(
        (0.05, -0.1)
    )
    with pytest.raises(ValueError, match="one by one"):
        by_repeat([[0.9, 0.8]], [[0.8, 0.8], [0.8, 0.8]])
    with pytest.raises(ValueError, match="repeats"):
        over_repeats([0.9, 0.8], ["a", "b"])
