"""The cohort's ellipses as a distribution: like the cohort's own, and as a person wants them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fetalstudio.core.biometry import measure, trimester
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import HeadConstraints, HeadDistribution
from fetalstudio.core.labelled import LabelledFrame

SIZE = (800, 540)


def _no_pixels() -> np.ndarray:
    raise AssertionError("ellipses are drawn without looking at a picture")


def cohort(n: int, *, calibrated: bool = True, seed: int = 0) -> list[LabelledFrame]:
    """Heads of 60 to 320 mm, the larger the flatter, about level; zoomed in on the small ones."""
    rng = np.random.default_rng(seed)
    heads = []
    for hc in rng.uniform(60, 320, n):
        mm = 0.08 + 0.0007 * (hc - 60) * rng.uniform(0.9, 1.1)
        ratio = 0.88 - 0.0004 * (hc - 60) + rng.normal(0, 0.01)
        x, y = 400 + rng.normal(0, 20), 270 + rng.normal(0, 15)
        shape = Ellipse.of(x, y, 1, ratio, rng.normal(0, 8))
        a = hc / mm / shape.perimeter
        ellipse = Ellipse.of(x, y, a, a * ratio, shape.angle_deg)
        calibration = Calibration(mm, mm, "table") if calibrated else None
        heads.append(LabelledFrame(_no_pixels, ellipse, SIZE, calibration=calibration))
    return heads


def drawn(
    distribution: HeadDistribution, count: int, seed: int = 1
) -> list[tuple[LabelledFrame, Ellipse]]:
    made = [distribution.draw(i, seed) for i in range(count)]
    return [(distribution.heads[index], ellipse) for index, ellipse in made]


def hcs(pairs: list[tuple[LabelledFrame, Ellipse]]) -> np.ndarray:
    return np.array([head.circumference(e, "mm") for head, e in pairs])


def ratios(pairs: list[tuple[LabelledFrame, Ellipse]]) -> np.ndarray:
    return np.array([e.b / e.a for _, e in pairs])


def test_they_are_like_the_cohorts_in_every_respect_and_copy_none() -> None:
    heads = cohort(80)
    distribution = HeadDistribution(heads)
    own = [(head, head.ellipse) for head in heads]
    made = drawn(distribution, 400)
    for figure in (hcs, ratios, lambda p: np.array([e.cx for _, e in p])):
        a, b = figure(own), figure(made)
        assert abs(a.mean() - b.mean()) < 0.12 * a.std()
        assert 0.9 < b.std() / a.std() < 1.25
    # Large heads stay flat, and a frame's scale goes with its head.
    assert np.corrcoef(hcs(made), ratios(made))[0, 1] < -0.7
    scale = [head.calibration.mm_per_px_x for head, _ in made if head.calibration]
    assert np.corrcoef(hcs(made), scale)[0, 1] > 0.9
    overlaps = [e.overlap(head.ellipse) for head, e in made[:60]]
    assert min(overlaps) > 0.5 and max(overlaps) < 0.999


def test_the_first_are_the_same_however_many_are_drawn() -> None:
    distribution = HeadDistribution(cohort(12), HeadConstraints(balance="trimester"))
    ten = [distribution.draw(i, 7) for i in range(10)]
    assert [distribution.draw(i, 7) for i in range(200)][:10] == ten
    assert [distribution.draw(i, 8) for i in range(10)] != ten
    assert distribution.draw(9, 7) == ten[9]


def test_each_head_lends_its_frame_once_before_any_does_again() -> None:
    distribution = HeadDistribution(cohort(20))
    indices = [distribution.draw(i, 3)[0] for i in range(40)]
    assert sorted(indices[:20]) == sorted(indices[20:]) == list(range(20))


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_frames_are_enough_and_give_plausible_heads(n: int) -> None:
    made = drawn(HeadDistribution(cohort(n)), 60)
    assert len({e for _, e in made}) == 60
    for head, e in made:
        x0, y0, x1, y1 = e.box()
        assert 0.6 < e.b / e.a < 0.97 and head.size == SIZE
        assert x0 >= 0 and y0 >= 0 and x1 < 800 and y1 < 540
    assert np.std(ratios(made)) > 0.005 and np.std([e.angle_deg for _, e in made]) > 1


def test_a_head_resized_in_mm_keeps_the_scale_and_is_larger_on_the_picture() -> None:
    (head,) = cohort(1)
    assert head.calibration is not None
    hc = head.circumference(head.ellipse, "mm")
    distribution = HeadDistribution([head], HeadConstraints(hc_mm=(1.1 * hc, 1.15 * hc)))
    for lender, e in drawn(distribution, 20):
        assert lender is head
        assert 1.1 * hc <= measure(e, head.calibration).hc_mm <= 1.15 * hc
        assert e.perimeter > 1.09 * head.ellipse.perimeter


def test_ranges_are_kept_and_filled_evenly() -> None:
    constraints = HeadConstraints(hc_mm=(100, 140), ratio=(0.7, 0.75), angle=(170, 200))
    distribution = HeadDistribution(cohort(60), constraints)
    made = drawn(distribution, 200)
    for values, (low, high) in (
        (hcs(made), (100, 140)),
        (ratios(made), (0.7, 0.75)),
        (np.array([distribution.angle_of(e) for _, e in made]), (170, 200)),
    ):
        assert low - 1e-6 <= values.min() and values.max() <= high + 1e-6
        counts = np.histogram(values, bins=4, range=(low, high))[0]
        assert counts.min() > 30
    # Frames of heads of about that size lend.
    own = hcs([(head, head.ellipse) for head, _ in made])
    assert abs(np.log(own / hcs(made))).max() < 0.5


def test_what_seldom_fits_is_as_frequent_as_the_rest() -> None:
    """Large heads fit on few of the frames; they must not be thinned out for that."""
    counts = np.histogram(
        hcs(drawn(HeadDistribution(cohort(80), HeadConstraints(hc_mm=(300, 520))), 600)),
        6,
        (300, 520),
    )[0]
    assert counts.sum() == 600 and counts.min() > 70, counts


def test_spread_and_shift_move_what_they_say() -> None:
    heads = cohort(60)
    plain, wide, none, moved = (
        drawn(HeadDistribution(heads, constraints), 150)
        for constraints in (
            HeadConstraints(),
            HeadConstraints(spread=1.6),
            HeadConstraints(spread=0),
            HeadConstraints(shift=(0.05, -0.1)),
        )
    )
    assert np.std(ratios(wide)) > 1.25 * np.std(ratios(plain))
    assert np.std(ratios(none)) < 1e-9
    xs = [np.mean([e.cx for _, e in pairs]) for pairs in (plain, moved)]
    ys = [np.mean([e.cy for _, e in pairs]) for pairs in (plain, moved)]
    assert xs[1] - xs[0] == pytest.approx(40, abs=4)
    assert ys[1] - ys[0] == pytest.approx(-54, abs=6)


def test_balance_gives_every_trimester_of_the_cohort_as_many() -> None:
    heads = [h for h in cohort(80) if h.circumference(h.ellipse, "mm") > 98]
    distribution = HeadDistribution(heads, HeadConstraints(balance="trimester"))
    assert distribution.trimesters == ("second", "third")
    found = [trimester(hc) for hc in hcs(drawn(distribution, 90))]
    assert found.count("second") == found.count("third") == 45
    ranged = HeadDistribution(cohort(80), HeadConstraints(balance="trimester", hc_mm=(80, 260)))
    assert ranged.trimesters == ("first", "second")
    found = [trimester(hc) for hc in hcs(drawn(ranged, 40))]
    assert found.count("first") == 20


def test_a_head_cut_by_the_border_stays_cut_and_others_stay_inside() -> None:
    cut = LabelledFrame(_no_pixels, Ellipse(400, 80, 200, 150, 0), SIZE)
    whole = LabelledFrame(_no_pixels, Ellipse(400, 270, 200, 160, 0), SIZE)
    made = drawn(HeadDistribution([cut, whole]), 60)
    tops = {
        name: [e.box()[1] for h, e in made if h is head]
        for name, head in (("cut", cut), ("whole", whole))
    }
    assert min(tops["whole"]) >= 0 and np.mean(np.array(tops["cut"]) < 0) > 0.9


def test_without_calibration_sizes_are_in_px() -> None:
    heads = cohort(10, calibrated=False)
    distribution = HeadDistribution(heads, HeadConstraints(hc_px=(900, 1000)))
    assert distribution.unit == "px" and distribution.trimesters == ()
    assert all(900 <= e.perimeter <= 1000 for _, e in drawn(distribution, 20))
    one = [*cohort(3), heads[0]]
    assert HeadDistribution(one).unit == "px"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hc_mm": (150, 100)}, "empty range"),
        ({"ratio": (0.8, 0.8)}, "empty range"),
        ({"ratio": (0.8, 1.2)}, "outside 0.2 to 1"),
        ({"hc_mm": (float("nan"), 100)}, "outside 5 to 1000"),
        ({"angle": (-100, 100)}, "180 degrees"),
        ({"hc_mm": (100, 200), "hc_px": (100, 200)}, "in mm or in px"),
        ({"spread": -1}, "outside 0 to 3"),
        ({"shift": (0.9, 0)}, "from -0.3 to 0.3"),
    ],
)
def test_what_no_head_can_meet_is_said_before_any_is_drawn(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        HeadConstraints(**fields)


def test_what_this_cohort_cannot_meet_is_said_with_what_it_has() -> None:
    with pytest.raises(InputError, match="not calibrated"):
        HeadDistribution(cohort(4, calibrated=False), HeadConstraints(hc_mm=(100, 200)))
    with pytest.raises(InputError, match="in mm"):
        HeadDistribution(cohort(4), HeadConstraints(hc_px=(100, 200)))
    with pytest.raises(InputError, match="no annotated head"):
        HeadDistribution([])
    with pytest.raises(InputError, match="The cohort has an HC of"):
        HeadDistribution(cohort(4), HeadConstraints(hc_mm=(900, 950))).draw(0, 0)
