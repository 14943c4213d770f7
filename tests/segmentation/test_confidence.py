import numpy as np
import pytest

from fetalstudio.segmentation.confidence import Confidence


def test_as_it_comes_it_changes_nothing() -> None:
    for estimate in (0.01, 0.5, 0.97):
        assert Confidence()(estimate) == pytest.approx(estimate, abs=1e-9)


def test_the_curve_that_made_the_data_is_found_again() -> None:
    true = Confidence(0.6, -0.4)
    estimates = np.random.default_rng(0).uniform(0.05, 0.99, 200)
    found = Confidence.fit(estimates, [true(e) for e in estimates])
    assert found.slope == pytest.approx(0.6, abs=0.01)
    assert found.offset == pytest.approx(-0.4, abs=0.01)


def test_an_overconfident_head_is_brought_down_on_average() -> None:
    rng = np.random.default_rng(1)
    actual = rng.uniform(0.3, 0.95, 300)
    estimates = np.clip(actual + 0.1 + rng.normal(0, 0.05, 300), 0, 1)
    curve = Confidence.fit(estimates, actual)
    expected = np.array([curve(e) for e in estimates])
    assert abs(expected.mean() - actual.mean()) < 0.005
    assert np.abs(expected - actual).mean() < 0.6 * np.abs(estimates - actual).mean()


def test_order_is_kept_and_values_outside_are_taken_as_the_ends() -> None:
    curve = Confidence(0.5, 0.2)
    values = [curve(e) for e in (-1.0, 0.0, 0.3, 0.6, 1.0, 7.0)]
    assert values == sorted(values) and values[0] >= 0 and values[-1] <= 1


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="smaller"):
        Confidence.fit([0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9])
    with pytest.raises(ValueError, match="two"):
        Confidence.fit([0.9], [0.8])


def test_estimates_that_are_alike_move_the_offset_and_keep_the_slope() -> None:
    """Full steps would go to and fro between 0.99 and nearly 0 without end."""
    for estimate, actual in ((0.994, 0.26), (0.5, 0.9), (0.99, 0.95)):
        curve = Confidence.fit([estimate] * 12, [actual] * 12, prior=1.0)
        assert curve.slope == pytest.approx(1)
        assert curve(estimate) == pytest.approx(actual, abs=0.01)


def test_curves_are_put_one_on_the_other() -> None:
    first, second = Confidence(2.0, 0.5), Confidence(0.5, -1.0)
    for estimate in (0.1, 0.5, 0.9):
        assert second.after(first)(estimate) == pytest.approx(second(first(estimate)))
