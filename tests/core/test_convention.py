"""How a cohort draws, measured against a segmenter, and applied to its ellipses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval


def _pairs(
    n: int, *, long: float, short: float, right: float = 0.0
) -> list[tuple[Ellipse, Ellipse]]:
    """Ellipses of a person and a segmenter, whose axes scatter by 1 % from head to head."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(n):
        a = rng.uniform(100, 250)
        found = Ellipse.of(400, 270, a, a * rng.uniform(0.7, 0.85), rng.uniform(0, 180))
        s, t = rng.normal(1, 0.01, 2)
        radius = np.sqrt(found.a * found.b)
        person = Ellipse.of(
            400 + right * radius, 270, found.a * s * long, found.b * t * short, found.angle_deg
        )
        pairs.append((person, found))
    return pairs


def _measured(
    pairs: list[tuple[Ellipse, Ellipse]], subjects: list[str] | None = None
) -> Convention | None:
    """By default, each frame is of another subject."""
    return Convention.measure("compact", pairs, subjects or [f"s{i}" for i in range(len(pairs))])


def test_axes_and_shift_are_found_and_applied() -> None:
    made = _measured(_pairs(60, long=1.04, short=1.02, right=0.03))
    assert made is not None
    for interval, truth in ((made.long, 0.04), (made.short, 0.02), (made.right, 0.03)):
        assert interval.mean == pytest.approx(truth, abs=0.005)
        assert interval.low < truth < interval.high
    assert made.size.mean == pytest.approx(0.03, abs=0.005)
    drawn = made.apply(Ellipse(400, 270, 200, 150, 30))
    assert drawn.a == pytest.approx(208, abs=1) and drawn.b == pytest.approx(153, abs=1)
    assert drawn.cx == pytest.approx(400 + 0.03 * np.sqrt(200 * 150), abs=1)
    assert drawn.angle_deg == 30


def test_few_subjects_change_less_and_too_few_nothing() -> None:
    head, pairs = Ellipse(400, 270, 200, 150, 30), _pairs(12, long=1.05, short=1.05)
    changes = []
    for n in (3, 6, 12):
        made = _measured(pairs[:n])
        assert made is not None
        changes.append((made.apply(head).a / head.a - 1) / made.long.mean)
    assert 0.5 < changes[0] < changes[1] < changes[2] < 1
    assert _measured(pairs[:2]) is None
    assert _measured(pairs, ["one", "two"] * 6) is None


def test_a_frame_on_which_the_segmenter_failed_says_nothing() -> None:
    pairs = _pairs(8, long=1.02, short=1.02)
    failed = (Ellipse(400, 270, 200, 150, 0), Ellipse(400, 270, 90, 60, 0))
    assert _measured([*pairs, failed]) == _measured(pairs)
    assert _measured([*pairs[:2], failed]) is None


def test_the_sentence_says_where_and_how_surely() -> None:
    outside = _measured(_pairs(30, long=1.02, short=1.02))
    inside = _measured(_pairs(30, long=0.97, short=0.97))
    unsure = _measured(_pairs(30, long=1.0, short=1.0))
    assert outside is not None and inside is not None and unsure is not None
    assert " % outside the skull as compact sees it" in outside.sentence
    assert "30 frames" in outside.sentence
    assert " % inside the skull" in inside.sentence
    assert "along the skull" in unsure.sentence


@pytest.mark.parametrize(
    ("size", "told"),
    [
        ((0.018, 0.010, 0.026), True),  # 15 Spanish frames
        ((0.018, 0.002, 0.034), True),  # the intervals overlap, that of the difference does not
        ((0.018, -0.001, 0.037), False),  # it may be chance
        ((0.006, 0.004, 0.008), False),  # too little to matter
        ((-0.022, -0.030, -0.014), True),
    ],
)
def test_conventions_differ_by_one_percent_and_by_more_than_chance(
    size: tuple[float, float, float], told: bool
) -> None:
    one = _measured(_pairs(30, long=1.0, short=1.0))
    assert one is not None
    one = replace(one, size=Interval(0.0, -0.008, 0.008, 42))
    other = replace(one, size=Interval(*size, 15))
    assert one.differs(other) is told and other.differs(one) is told
    assert not one.differs(one)
    assert other.differs_from_none is told
