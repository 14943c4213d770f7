"""Where the subject stands in a name, as a person writes it."""

from __future__ import annotations

import time

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.name_patterns import NamePattern, proposed_patterns


@pytest.mark.parametrize(
    ("pattern", "name", "subject"),
    [
        ("{subject}_*", "P01_a_003", "P01"),
        ("{subject}_#", "P01_a_003", "P01_a"),
        ("{subject}_#", "P01_a_b", None),
        ("*_{subject}_*", "US_P01_003", "P01"),
        ("scan ?-{subject}", "scan 3-Zo\u00eb", "Zo\u00eb"),
        ("{subject} (*)", "P01 (2)", "P01"),
        ("{subject}.*", "P01.003", "P01"),
        ("{subject}.*", "P01x003", None),
        ("{subject}", "whole name", "whole name"),
        ("{subject}_*", "_003", None),
        ("{subject}_*", " _003", None),
    ],
)
def test_a_pattern_finds_the_subject(pattern: str, name: str, subject: str | None) -> None:
    assert NamePattern.parse(pattern).read(name) == subject


@pytest.mark.parametrize(
    ("expression", "name", "subject"),
    [
        (r"([A-Z]\d+).*", "P01_003", "P01"),
        (r"(\w+?)_(?P<subject>\d+)_.*", "US_017_003", "017"),
        (r"(\d+)", "17_003", None),
        (r"(\d*)x", "x", None),
    ],
)
def test_a_regular_expression_finds_the_subject(
    expression: str, name: str, subject: str | None
) -> None:
    assert NamePattern.parse(expression, regular_expression=True).read(name) == subject


@pytest.mark.parametrize(
    ("text", "regular", "says"),
    [
        ("P*", False, "once where the subject stands"),
        ("{subject}{subject}", False, "once where the subject stands"),
        (r"\d+_.*", True, "has no group"),
        (r"(\d+", True, "is no regular expression"),
        (r"(\w+)+_x", True, "for ever"),
        (r"((a+))*b", True, "for ever"),
        (r"(a|a)*x", True, "for ever"),
        (r"(.+[a]?)+!", True, "for ever"),
        (r"(.+(b)?)+!", True, "for ever"),
        (r"(\w+[_-]?)+\.png", True, "for ever"),
        (r"(a|aa){9}x", True, "for ever"),
    ],
)
def test_what_is_no_pattern_says_why(text: str, regular: bool, says: str) -> None:
    with pytest.raises(InputError, match=says):
        NamePattern.parse(text, regular_expression=regular)


def test_patterns_are_proposed_that_fit_the_names() -> None:
    names = [f"P{n:02d}_{view}_{k}" for n in range(5) for view in ("HC", "AC") for k in range(3)]
    proposed = proposed_patterns(names)
    assert proposed[0] == "{subject}_*"
    found = {text: len({NamePattern.parse(text).read(name) for name in names}) for text in proposed}
    assert found["{subject}_*"] == 5 and found["{subject}_#"] == 10
    assert proposed_patterns([f"US-{n:02d}-{k}" for n in range(5) for k in range(3)]) == [
        "{subject}-#", "*-{subject}-*"
    ]  # fmt: skip


def test_nothing_is_proposed_where_names_say_nothing() -> None:
    assert proposed_patterns([f"frame-{n:05d}" for n in range(30)]) == []
    assert proposed_patterns(["a_1", "b_1", "c_1"]) == []
    assert proposed_patterns([]) == []


def test_thousands_of_names_are_read_while_a_person_types() -> None:
    names = [f"hospital_{n // 4:05d}_frame_{n % 4}_of_4" for n in range(10_000)]
    start = time.perf_counter()
    assert proposed_patterns(names) == ["*_{subject}_*"]
    assert time.perf_counter() - start < 3  # about 0.2 s on an idle machine
