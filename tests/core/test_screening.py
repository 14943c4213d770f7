import math

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.screening import PairFilter, is_copy

GOOD = {"dice": 0.97, "hc_difference": -0.01, "edge": 0.9, "similarity": 0.5}


def test_a_good_pair_passes_with_every_figure_against_its_threshold() -> None:
    verdict = PairFilter().verdict(GOOD, 0.75)
    assert verdict.passed and not verdict.copy and verdict.reasons == ()
    assert [(c.value, c.limit, c.passed) for c in verdict.checks] == [
        ("0.970", "at least 0.950", True),
        ("-1.0 %", "at most 5.0 %", True),
        ("90 %", "at least 50 %", True),
        ("0.500", "at most 0.750", True),
    ]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"dice": 0.94}, "finds the head elsewhere"),
        ({"hc_difference": 0.06}, "head is larger"),
        ({"hc_difference": -0.06}, "head is smaller"),
        ({"edge": 0.4}, "little of the ellipse"),
        ({"similarity": 0.76}, "a copy of a training frame"),
    ],
)
def test_each_threshold_fails_by_itself_and_says_why(
    figures: dict[str, float], reason: str
) -> None:
    verdict = PairFilter().verdict({**GOOD, **figures}, 0.75)
    assert not verdict.passed and len(verdict.reasons) == 1 and reason in verdict.reasons[0]


def test_figures_count_as_they_are_shown() -> None:
    assert PairFilter(dice=0.97).verdict({**GOOD, "dice": 0.9695}, None).passed
    assert not PairFilter(dice=0.97).verdict({**GOOD, "dice": 0.9694}, None).passed


def test_what_was_not_measured_fails_unless_it_does_not_matter() -> None:
    without = {"dice": 0.0, "edge": 0.9}
    verdict = PairFilter().verdict(without, None)
    assert not verdict.passed and verdict.reasons[0] == "the segmenter finds no head"
    assert PairFilter(dice=None, hc_difference=None).verdict(without, None).passed
    assert not PairFilter(dice=0.5, hc_difference=None).verdict({"edge": 0.9}, None).passed


def test_a_dice_of_nothing_is_a_figure_like_any_other() -> None:
    zero = {**GOOD, "dice": 0.0}
    assert PairFilter(dice=0.0).verdict(zero, None).passed
    assert not PairFilter().verdict(zero, None).passed


def test_unknown_training_frames_are_said_and_do_not_fail() -> None:
    check = PairFilter().verdict({"dice": 0.97, "hc_difference": 0, "edge": 0.9}, None).checks[-1]
    assert check.passed is None and check.value == "not known" and "not known" in check.reason
    assert PairFilter(similarity=0.1).verdict(GOOD, None).passed


def test_a_stricter_similarity_counts_and_a_looser_one_lets_no_copy_through() -> None:
    assert not PairFilter(similarity=0.45).verdict(GOOD, 0.75).passed
    loose = PairFilter(None, None, None, similarity=1.0).verdict({**GOOD, "similarity": 0.8}, 0.75)
    assert loose.copy and not loose.passed
    assert is_copy({"similarity": 0.8}, 0.75) and not is_copy({"similarity": 0.8}, None)


def test_copies_come_first_then_the_worst() -> None:
    pairs = {
        "good": GOOD,
        "poor": {**GOOD, "dice": 0.7},
        "doubtful": {**GOOD, "dice": 0.94},
        "copy": {**GOOD, "similarity": 0.76},
    }
    order = {name: PairFilter().verdict(figures, 0.75).order for name, figures in pairs.items()}
    assert sorted(order, key=lambda name: order[name]) == ["copy", "poor", "doubtful", "good"]


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_a_threshold_is_a_share(value: float) -> None:
    with pytest.raises(InputError, match="from 0 to 1"):
        PairFilter(dice=value)


def test_an_outline_in_doubt_fails_only_where_it_is_the_label() -> None:
    figures = {"dice": 0.99, "hc_difference": 0.0, "edge": 0.9, "outline_score": 0.3}
    doubtful = PairFilter().verdict(figures, None)
    assert not doubtful.passed and "outline" in doubtful.reasons[0]
    assert PairFilter().verdict(figures | {"outline_score": 0.8}, None).passed
    assert PairFilter(outline=None).verdict(figures, None).passed
    # With an overlap, the ellipse that was drawn is the label, and the outline a by-product.
    assert PairFilter().verdict(figures | {"outline_overlap": 0.9}, None).passed
