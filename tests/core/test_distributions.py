"""Quantiles, checked against printed tables."""

from __future__ import annotations

from statistics import NormalDist

import pytest

from fetalstudio.core.distributions import NORMAL_95, f_quantile, t_quantile


def test_quantiles_are_those_of_the_tables() -> None:
    assert f_quantile(0.95, 5, 10) == pytest.approx(3.3258, abs=1e-4)
    assert f_quantile(0.975, 1, 1) == pytest.approx(647.789, abs=1e-2)
    assert f_quantile(0.975, 120, 4.5) == pytest.approx(7.1, abs=0.2)
    assert t_quantile(0.975, 16) == pytest.approx(2.1199, abs=1e-4)
    assert t_quantile(0.975, 1e6) == pytest.approx(1.95996, abs=1e-4)
    assert NormalDist().inv_cdf(0.975) == pytest.approx(NORMAL_95, abs=1e-4)
