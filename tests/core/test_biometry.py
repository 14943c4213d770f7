"""From pixels to millimetres and weeks, against published figures and the sample frames."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetalstudio.core import biometry
from fetalstudio.core.biometry import format_weeks, hadlock_1984, intergrowth_21st, measure
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine
from fetalstudio.formats.pictures.picture_files import read_image

properties = settings(max_examples=60, deadline=None, derandomize=True)


# -- millimetres ------------------------------------------------------------------------------


def test_the_sample_rings_have_the_head_circumference_of_their_table(samples: Path) -> None:
    table = samples / "training_set_pixel_size_and_HC.csv"
    compared = 0
    with table.open(newline="") as stream:
        for row in csv.DictReader(stream):
            ring = samples / row["filename"].replace(".png", "_Annotation.png")
            if not ring.exists():
                continue
            mm = float(row["pixel size(mm)"])
            found = measure(Ellipse.from_ring(read_image(ring)), Calibration(mm, mm, "table"))
            expected = float(row["head circumference (mm)"])
            assert found.hc_mm == pytest.approx(expected, rel=1e-3), row["filename"]
            compared += 1
    assert compared >= 10


def test_a_circle_has_known_figures() -> None:
    found = measure(Ellipse(50, 60, 100, 100, 0), Calibration(0.2, 0.2, "manual"))
    assert found.hc_mm == pytest.approx(2 * math.pi * 20)
    assert found.bpd_mm == found.ofd_mm == pytest.approx(40)
    assert found.cephalic_index == pytest.approx(100)


def test_the_cephalic_index_is_in_per_cent() -> None:
    found = measure(Ellipse(0, 0, 100, 78, 45), Calibration(0.1, 0.1, "manual"))
    low, high = biometry.CEPHALIC_INDEX_USUAL
    assert found.cephalic_index == pytest.approx(78)
    assert low < found.cephalic_index < high


def test_usual_is_two_standard_deviations_around_the_mean() -> None:
    """One would flag a third of normal heads."""
    low, high = biometry.CEPHALIC_INDEX_USUAL
    one_low, one_high = biometry.BPD_DATES_UNTIL
    assert (low + high) / 2 == pytest.approx(78.3)
    assert 78.3 - low == pytest.approx(2 * (78.3 - one_low), abs=0.6)
    assert high - 78.3 == pytest.approx(2 * (one_high - 78.3), abs=0.7)


@pytest.mark.parametrize(("outer", "inner"), [(20, 19.02), (45, 43.31), (90, 87.02)])
def test_the_bpd_is_also_given_outer_to_inner(outer: float, inner: float) -> None:
    """Wong 2018, whose equation for the other direction gives the outer one back."""
    found = measure(Ellipse(0, 0, 6 * outer, 5 * outer, 0), Calibration(0.1, 0.1, "manual"))
    assert found.bpd_mm == pytest.approx(outer)
    assert found.bpd_outer_inner_mm == pytest.approx(inner, abs=0.005)
    assert 0.555934 + 1.027318 * found.bpd_outer_inner_mm == pytest.approx(outer, abs=0.4)


@pytest.mark.parametrize(("angle", "ofd", "bpd"), [(0, 40, 20), (90, 80, 10)])
def test_axes_are_taken_in_mm_where_pixels_are_oblong(angle: float, ofd: float, bpd: float) -> None:
    """A circle in mm is an ellipse in such pixels, and the other way round."""
    oblong = Calibration(0.2, 0.4, "dicom")
    found = measure(Ellipse(300, 200, 100, 25, angle), oblong)
    assert (found.ofd_mm, found.bpd_mm) == pytest.approx((ofd, bpd))
    circle = measure(Ellipse(300, 200, 100, 50, 0), oblong)
    assert circle.bpd_mm == circle.ofd_mm == pytest.approx(40)


@properties
@given(
    st.floats(0.03, 0.5),
    st.floats(0.03, 0.5),
    st.floats(0, 179),
    st.floats(0.5, 1),
    st.floats(0.3, 3),
)
def test_the_figures_do_not_depend_on_the_pixels(
    mm_x: float, mm_y: float, angle: float, shape: float, scale: float
) -> None:
    """The same head sampled on another grid measures the same, and as its outline in mm does."""
    calibration = Calibration(mm_x, mm_y, "dicom")
    head = Ellipse.of(400, 300, 200, 200 * shape, angle)
    found = measure(head, calibration)
    finer = Calibration(mm_x / scale, mm_y / scale, "dicom")
    resized = measure(head.transformed(Affine.scaling(scale)), finer)
    assert resized.hc_mm == pytest.approx(found.hc_mm)
    assert resized.bpd_mm == pytest.approx(found.bpd_mm)
    outline = head.contour(4000) * [mm_x, mm_y]
    steps = np.linalg.norm(np.roll(outline, -1, axis=0) - outline, axis=1)
    assert found.hc_mm == pytest.approx(float(steps.sum()), rel=2e-4)


@pytest.mark.parametrize("mm", [0, -0.1, 10.1, math.nan, math.inf])
def test_an_impossible_pixel_is_refused(mm: float) -> None:
    with pytest.raises(ValueError, match="pixel"):
        Calibration(mm, 0.1, "manual")
    with pytest.raises(ValueError, match="pixel"):
        Calibration(0.1, mm, "manual")


# -- weeks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hc_mm", "weeks"), [(100, 14.66), (177, 20.18), (250, 27.15), (300, 33.26), (346, 40.07)]
)
def test_hadlock_reproduces_published_ages(hc_mm: float, weeks: float) -> None:
    found = hadlock_1984(hc_mm)
    assert found.weeks == pytest.approx(weeks, abs=0.005)
    assert found.reason is None


@pytest.mark.parametrize(
    ("hc_mm", "sd2"),
    [
        *[(68, 1.19), (144, 1.19), (147, 1.48), (219, 1.48), (224, 2.06)],
        *[(280, 2.06), (284, 2.98), (325, 2.98), (328, 3.2), (360, 3.2)],
    ],
)
def test_hadlock_gives_its_scatter(hc_mm: float, sd2: float) -> None:
    found = hadlock_1984(hc_mm)
    assert (found.half_width_weeks, found.interval) == (sd2, "2 SD")


@pytest.mark.parametrize(
    ("hc_mm", "extrapolated"), [(68, True), (96.9, True), (97, False), (300, False)]
)
def test_hadlock_marks_heads_smaller_than_those_it_was_fitted_to(
    hc_mm: float, extrapolated: bool
) -> None:
    assert hadlock_1984(hc_mm).extrapolated is extrapolated


@pytest.mark.parametrize(("hc_mm", "days"), [(98, 7), (177, 10.7), (237, 13.9)])
def test_intergrowth_gives_its_prediction_interval(hc_mm: float, days: float) -> None:
    """7 days at 14 weeks, 14 at 26."""
    found = intergrowth_21st(hc_mm)
    assert found.half_width_weeks == pytest.approx(days / 7, abs=0.02)
    assert found.interval == "95 % prediction interval"
    assert not found.extrapolated


@pytest.mark.parametrize(
    ("hc_mm", "weeks"), [(100, 14.19), (177, 20.39), (250, 27.11), (300, 32.96), (346, 39.88)]
)
def test_the_intergrowth_regression_reproduces_published_ages(hc_mm: float, weeks: float) -> None:
    days = biometry._intergrowth_days(hc_mm)
    assert days is not None
    assert days / 7 == pytest.approx(weeks, abs=0.005)
    # What it says beyond 25+6 weeks is not shown.
    assert (intergrowth_21st(hc_mm).weeks is None) == (weeks > 26)


@pytest.mark.parametrize(
    "hc_mm", [-5, 0, 1e-9, 40, 67.9, 360.1, 1e6, math.inf, -math.inf, math.nan]
)
def test_out_of_range_is_a_reason_and_never_a_week(hc_mm: float) -> None:
    for found in (hadlock_1984(hc_mm), intergrowth_21st(hc_mm)):
        assert found.weeks is None
        assert found.half_width_weeks is None
        assert found.reason is not None
        assert found.reason.startswith("out of range")
        assert found.formula in found.reason
        assert found.citation


@properties
@given(st.floats(allow_nan=True, allow_infinity=True) | st.floats(30, 400))
def test_an_age_is_always_inside_its_sources_range(hc_mm: float) -> None:
    hadlock, intergrowth = hadlock_1984(hc_mm), intergrowth_21st(hc_mm)
    assert (hadlock.weeks is None) != (hadlock.reason is None)
    assert (intergrowth.weeks is None) != (intergrowth.reason is None)
    assert (hadlock.weeks is not None) == (68 <= hc_mm <= 360)
    if intergrowth.weeks is not None:
        assert 14 <= intergrowth.weeks < 26
        assert "14w+0d" <= format_weeks(intergrowth.weeks) <= "25w+6d"


def test_intergrowth_covers_14w0d_to_25w6d_to_the_day() -> None:
    shown = [intergrowth_21st(hc).weeks for hc in np.arange(80, 260, 0.05)]
    inside = [weeks for weeks in shown if weeks is not None]
    assert format_weeks(inside[0]) == "14w+0d"
    assert format_weeks(inside[-1]) == "25w+6d"
    first = shown.index(inside[0])
    assert None not in shown[first : first + len(inside)]


@pytest.mark.parametrize(
    ("weeks", "text"),
    [(20 + 1 / 7, "20w+1d"), (14, "14w+0d"), (19.99, "20w+0d"), (25.9, "25w+6d"), (9.6, "9w+4d")],
)
def test_weeks_are_shown_as_weeks_and_days(weeks: float, text: str) -> None:
    assert format_weeks(weeks) == text


def test_the_trimesters_begin_at_the_mean_head_of_14_and_28_weeks() -> None:
    def mean_hc_mm(weeks: float) -> float:
        return -28.2849 + 1.69267 * weeks**2 - 0.397485 * weeks**2 * math.log(weeks)

    assert round(mean_hc_mm(14)) == biometry.SECOND_TRIMESTER_FROM_MM
    assert round(mean_hc_mm(28)) == biometry.THIRD_TRIMESTER_FROM_MM
    names = [biometry.trimester(hc) for hc in (40, 97.9, 98, 259.9, 260, 400)]
    assert names == ["first", "first", "second", "second", "third", "third"]
