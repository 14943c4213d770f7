"""Counts and durations as text."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from fetalstudio.core.words import (
    counted_are,
    format_duration,
    listed,
    natural_order,
    percent,
    quoted,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (12.4, "13 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3541, "1 h 0 min"),
        (3601, "1 h 1 min"),
        (3700, "1 h 2 min"),
        (5399, "1 h 30 min"),
        (7200, "2 h 0 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0123, "+1.2 %"), (-0.0123, "-1.2 %"), (-0.0004, "+0.0 %"), (0.0004, "+0.0 %")],
)
def test_a_signed_percentage_that_rounds_to_nothing_is_not_negative(
    share: float, text: str
) -> None:
    assert percent(share, 1, signed=True) == text


def test_a_count_has_its_verb() -> None:
    assert (counted_are(1, "pair"), counted_are(8, "pair")) == ("1 pair is", "8 pairs are")


def test_a_long_list_names_the_first_and_counts_the_others() -> None:
    names = ["a", "b", "c", "d"]
    assert listed(names, 4) == "a, b, c, d"
    assert listed(names, 3) == "a, b, c and 1 more"
    assert listed(dict.fromkeys(names), 2) == "a, b and 2 more"
    assert listed([], 3) == ""


@pytest.mark.skipif(os.name == "nt", reason="terminals of Windows have other rules")
@pytest.mark.parametrize("path", ["/a/p", "/a/my heads", "/a/it's", "/a/$HOME"])
def test_a_quoted_path_is_one_word_of_a_command(path: str) -> None:
    assert shlex.split(f"run {quoted(Path(path))} list") == ["run", path, "list"]


def test_numbers_in_names_are_sorted_by_their_value() -> None:
    names = ["10_HC", "9_HC", "b2", "B10", "b", "9_2HC"]
    assert sorted(names, key=natural_order) == ["9_2HC", "9_HC", "10_HC", "b", "b2", "B10"]
