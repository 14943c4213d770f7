"""Centiles of the head circumference at a known age, against the charts' own printed tables."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fetalstudio.core import growth
from fetalstudio.core.growth import age_text, parse_age, sizes_for_age

# INTERGROWTH-21st, "Head Circumference (mm): Centiles" and "z-scores", University of Oxford.
INTERGROWTH_CENTILES = {
    14: (87.4, 88.7, 90.7, 97.9, 105.0, 107.1, 108.4),
    20: (158.5, 160.2, 163.0, 172.5, 182.0, 184.7, 186.5),
    28: (243.6, 245.7, 248.9, 260.4, 271.8, 275.1, 277.2),
    36: (299.2, 301.7, 305.6, 319.4, 333.2, 337.1, 339.6),
    40: (309.6, 312.7, 317.4, 333.9, 350.5, 355.2, 358.3),
}
INTERGROWTH_Z = {
    14: (81.1, 86.7, 92.3, 97.9, 103.5, 109.0, 114.6),
    24: (194.2, 202.5, 210.8, 219.1, 227.4, 235.7, 244.0),
    32: (265.5, 275.1, 284.7, 294.4, 304.0, 313.6, 323.2),
    40: (295.2, 308.1, 321.0, 333.9, 346.9, 359.8, 372.7),
}
# Hadlock 1984, the printed table of the mean: weeks, HC in cm.
HADLOCK_MEANS_CM = (
    *[(14, 9.7), (16, 12.4), (18, 15.1), (20, 17.7), (22, 20.1), (24, 22.4), (26, 24.6)],
    *[(28, 26.6), (30, 28.4), (32, 30.1), (34, 31.5), (36, 32.8), (38, 33.8), (40, 34.6)],
)


@pytest.mark.parametrize("week", INTERGROWTH_CENTILES)
def test_intergrowth_gives_the_printed_centiles(week: int) -> None:
    for hc, centile in zip(INTERGROWTH_CENTILES[week], (3, 5, 10, 50, 90, 95, 97), strict=True):
        found = growth.intergrowth_2014(hc, 7 * week)
        assert found.centile == pytest.approx(centile, abs=0.6)
        assert (found.reason, found.beyond) == (None, "")


@pytest.mark.parametrize("week", INTERGROWTH_Z)
def test_intergrowth_gives_the_printed_z_scores(week: int) -> None:
    for hc, z in zip(INTERGROWTH_Z[week], range(-3, 4), strict=True):
        assert growth.intergrowth_2014(hc, 7 * week).z == pytest.approx(z, abs=0.02)


@pytest.mark.parametrize(("week", "mean_cm"), HADLOCK_MEANS_CM)
def test_hadlock_has_the_printed_means_and_an_sd_of_1_cm(week: int, mean_cm: float) -> None:
    at_mean = growth.hadlock_1984(10 * mean_cm, 7 * week)
    assert at_mean.z == pytest.approx(0, abs=0.052)
    wider = growth.hadlock_1984(10 * mean_cm + 10, 7 * week)
    assert at_mean.z is not None
    assert wider.z == pytest.approx(at_mean.z + 1)


def test_who_gives_its_quantiles_back_and_is_steady_between_them() -> None:
    for week in (14, 20, 28, 40):
        heads = {
            quantile: math.exp(b0 + b1 * week + b2 * week**2 + b3 * week**3)
            for quantile, b0, b1, b2, b3 in growth._WHO_QUANTILES
        }
        assert list(heads.values()) == sorted(heads.values())
        for quantile, hc in list(heads.items())[1:-1]:
            assert growth.who_2017(hc, 7 * week).centile == pytest.approx(100 * quantile)
        middle = growth.who_2017(heads[0.5], 7 * week)
        assert middle.z == pytest.approx(0, abs=1e-9)
        sizes = np.linspace(heads[0.025], heads[0.975], 60)[1:-1]
        found = [growth.who_2017(float(hc), 7 * week).centile for hc in sizes]
        assert all(a < b for a, b in itertools.pairwise(found) if a and b)


def test_who_gives_only_a_limit_beyond_its_outermost_quantiles() -> None:
    small, large = growth.who_2017(150, 7 * 20), growth.who_2017(200, 7 * 20)
    assert (small.beyond, small.centile, small.z) == ("<", 2.5, None)
    assert (large.beyond, large.centile, large.z) == (">", 97.5, None)
    assert (small.text, large.text) == ("<2.5th", ">97.5th")


def test_the_three_charts_agree_on_a_middling_head() -> None:
    for week, hc in ((16, 122.0), (20, 174.0), (30, 281.0)):
        found = sizes_for_age(hc, 7 * week)
        assert len({size.chart for size in found}) == 3
        assert all(size.centile is not None and 20 < size.centile < 80 for size in found)
        assert all(size.citation and size.cohort for size in found)


@pytest.mark.parametrize("days", [97, 281, 30, 314])
def test_an_age_that_no_chart_covers_has_a_reason_and_no_centile(days: int) -> None:
    for size in sizes_for_age(170, days):
        assert (size.z, size.centile) == (None, None)
        assert size.reason is not None
        assert "14+0 to 40+0" in size.reason
        assert size.text == "out of range"


@pytest.mark.parametrize("days", [98, 280])
def test_the_charts_cover_14_to_40_weeks_to_the_day(days: int) -> None:
    assert all(size.reason is None for size in sizes_for_age(170, days))


@pytest.mark.parametrize(
    ("hc", "text"), [(172.5, "50th, z +0.0"), (174, "58th, z +0.2"), (195, ">99th, z +3.0")]
)
def test_a_size_is_told_as_a_centile_and_a_z_score(hc: float, text: str) -> None:
    assert growth.intergrowth_2014(hc, 7 * 20).text == text


@pytest.mark.parametrize(
    "text", ["20+3", " 20+3 ", "20 + 3", "20w3d", "20w+3d", "20W 3D", "20 weeks 3 days", "20 3"]
)
def test_weeks_and_days_are_read(text: str) -> None:
    assert parse_age(text) == 143
    assert age_text(parse_age(text)) == "20+3"


@pytest.mark.parametrize(
    "text",
    ["", "20", "20.3", "20,3", "143", "203", "20+7", "3+6", "45+0", "20+3+1", "20+-3", "x", "²0+3"],
)
def test_an_age_in_doubt_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"weeks\+days, such as 20\+3"):
        parse_age(text)


def test_the_age_is_found_among_labels() -> None:
    assert growth.age_of({"quality": "clear", "gestational_age": "20+3"}) == 143
    assert growth.age_of({"gestational_age": "soon"}) is None
    assert growth.age_of({}) is None
