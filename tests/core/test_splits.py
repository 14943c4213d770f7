"""Splits: by subject, the same everywhere, with the shares that were asked for."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetalstudio.core.splits import is_among, split_subjects

properties = settings(max_examples=100, deadline=None, derandomize=True)
SUBJECTS = [f"{i:03d}" for i in range(806)]
keys = st.sets(st.text(max_size=6), max_size=40)
shares = st.floats(0, 0.49)


def test_the_split_that_the_built_in_models_were_trained_on_never_changes() -> None:
    """Another order would put frames that they have seen into the test part."""
    parts = split_subjects(SUBJECTS, validation=0.05, test=0.2, seed=0)
    test = sorted(key for key, part in parts.items() if part == "test")
    assert Counter(parts.values()) == {"train": 605, "validation": 40, "test": 161}
    assert test[:8] == ["005", "011", "016", "023", "024", "031", "047", "048"]
    assert hashlib.sha256(",".join(test).encode()).hexdigest()[:16] == "f4e944af01bc22df"


@properties
@given(keys, shares, shares, st.integers(0, 5))
def test_neither_order_nor_repeats_matter(
    subjects: set[str], validation: float, test: float, seed: int
) -> None:
    frames = sorted(subjects, reverse=True) * 2
    parts = split_subjects(frames, validation=validation, test=test, seed=seed)
    assert parts == split_subjects(sorted(subjects), validation=validation, test=test, seed=seed)
    assert set(parts) == subjects


@properties
@given(keys, shares, shares, st.integers(0, 5))
def test_the_parts_have_their_shares_and_training_is_never_empty(
    subjects: set[str], validation: float, test: float, seed: int
) -> None:
    parts = split_subjects(subjects, validation=validation, test=test, seed=seed)
    count: Counter[str] = Counter(parts.values())
    n = len(subjects)
    assert count["train"] >= min(n, 1)
    for part, share in (("test", test), ("validation", validation)):
        if share == 0:
            assert count[part] == 0
        elif n >= 3:
            assert count[part] >= 1
            assert count[part] == pytest.approx(share * n, abs=1)


@pytest.mark.parametrize(
    ("n", "validation", "test", "expected"),
    [
        (0, 0.2, 0.2, (0, 0, 0)),
        (1, 0.2, 0.2, (1, 0, 0)),
        (2, 0.2, 0.2, (1, 0, 1)),
        (2, 0.2, 0.0, (1, 1, 0)),
        (3, 0.1, 0.1, (1, 1, 1)),
        (3, 0.0, 0.9, (1, 0, 2)),
        (10, 0.1, 0.2, (7, 1, 2)),
        (100, 0.1, 0.2, (70, 10, 20)),
    ],
)
def test_small_numbers(n: int, validation: float, test: float, expected: tuple[int, ...]) -> None:
    parts = split_subjects(SUBJECTS[:n], validation=validation, test=test)
    count = Counter(parts.values())
    assert (count["train"], count["validation"], count["test"]) == expected


@properties
@given(keys, shares, shares, st.integers(0, 5))
def test_the_validation_share_does_not_move_the_test_part(
    subjects: set[str], validation: float, test: float, seed: int
) -> None:
    split = split_subjects(subjects, validation=validation, test=test, seed=seed)
    other = split_subjects(subjects, validation=0.3, test=test, seed=seed)
    assert {k for k, p in split.items() if p == "test"} == {
        k for k, p in other.items() if p == "test"
    }


def test_one_more_subject_moves_few_others() -> None:
    before = split_subjects(SUBJECTS)
    after = split_subjects([*SUBJECTS, "a new patient"])
    assert sum(before[key] != after[key] for key in SUBJECTS) <= 2


def test_another_seed_is_another_split() -> None:
    assert split_subjects(SUBJECTS, seed=0) != split_subjects(SUBJECTS, seed=1)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.1, 1.0), (0.5, 0.5), (1.2, 0)])
def test_impossible_shares_are_refused(validation: float, test: float) -> None:
    with pytest.raises(ValueError, match="shares"):
        split_subjects(SUBJECTS, validation=validation, test=test)


@properties
@given(keys, keys, shares, shares, st.integers(0, 5))
def test_a_known_part_stays_and_new_subjects_fill_up_the_test_part(
    first: set[str], later: set[str], validation: float, test: float, seed: int
) -> None:
    known = split_subjects(first, validation=validation, test=test, seed=seed)
    parts = split_subjects(first | later, validation=validation, test=test, seed=seed, known=known)
    assert set(parts) == first | later
    assert {subject: parts[subject] for subject in first} == known
    wanted = split_subjects(parts, validation=validation, test=test, seed=seed)
    lacking = Counter(wanted.values())["test"] - Counter(known.values())["test"]
    added = Counter(parts[subject] for subject in later - first)
    assert added["test"] == min(max(lacking, 0), len(later - first))


@properties
@given(st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_of_subjects_holds_the_smaller_one(one: float, other: float) -> None:
    small, large = sorted((one, other))
    chosen = {key for key in SUBJECTS if is_among(key, small, seed=1)}
    assert chosen <= {key for key in SUBJECTS if is_among(key, large, seed=1)}
    assert len(chosen) / len(SUBJECTS) == pytest.approx(small, abs=0.06)


def test_a_share_of_subjects_depends_on_the_seed_and_not_on_the_others() -> None:
    """The examinations that the judge learns from must stay the same in every training."""
    first = [key for key in SUBJECTS if is_among(key, 0.25, seed=1)]
    assert first[:6] == ["001", "004", "012", "014", "017", "018"]
    assert first != [key for key in SUBJECTS if is_among(key, 0.25, seed=2)]
