"""Which names a model can have, for every place where one is entered."""

import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.core.names import checked_model_name, fitting_name, free_model_name


@pytest.mark.parametrize("name", ["a", "Ward 3", "v1.5_b-2", "Köln", "हिन्दी", "x" * 100, "console"])
def test_a_good_name_stays_as_it_is(name: str) -> None:
    assert checked_model_name(name, {"other"}) == name


def test_spaces_around_a_name_are_dropped_and_then_it_counts_as_taken() -> None:
    assert checked_model_name(" mine ") == "mine"
    for name in ("mine ", "Mine", "MINE"):
        with pytest.raises(InputError, match="is taken"):
            checked_model_name(name, {"mine"})


@pytest.mark.parametrize(
    "name",
    [
        *("", "   ", "../x", "a/b", "a\\b", "..", "a..b", ".hidden", "-x", "x.", "a:b", "a*"),
        *("a\nb", "a\x00", "\ttab\t\x07", "x" * 300, "\u202eabc", "a\u2028b"),
    ],
)
def test_what_cannot_be_a_folder_everywhere_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a model's name"):
        checked_model_name(name)


@pytest.mark.parametrize("name", ["CON", "con", "nul.txt", "Com1", "LPT9.x.y"])
def test_what_windows_reserves_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="Windows reserves it"):
        checked_model_name(name)


@pytest.mark.parametrize("stem", ["tuned", "a/b", "../x", "", "CON", "x" * 300, "a...b", " . "])
def test_an_automatic_name_can_be_a_name_and_is_free(stem: str) -> None:
    first = free_model_name(stem, set())
    second = free_model_name(stem, {first.upper()})
    assert first.endswith("-1") and second.endswith("-2")
    assert checked_model_name(first) == first and checked_model_name(second, {first}) == second
    assert len(fitting_name(stem)) <= 90
