import pytest

from fetalstudio.core.errors import InputError
from fetalstudio.synthesis.guidance import PLAIN, Guidance
from tests.synthesis.tiny_synthesizer import tiny_synthesizer


def test_the_first_trimester_may_have_a_guidance_of_its_own() -> None:
    guidance = Guidance(1.75, first=2.5)
    assert guidance.of("first") == 2.5
    assert {guidance.of(style) for style in ("second", "third", "any")} == {1.75}
    assert Guidance(2.0).of("first") == 2.0


@pytest.mark.parametrize(
    ("guidance", "plain"),
    [(PLAIN, True), (Guidance(1.0, 1.0), True), (Guidance(1.0, 2.5), False), (Guidance(), False)],
)
def test_a_plain_guidance_teaches_nothing(guidance: Guidance, plain: bool) -> None:
    assert guidance.plain is plain


def test_cards_have_one_number_or_that_of_the_first_trimester_too() -> None:
    assert tiny_synthesizer(guidance=1.75).learnt_guidance == Guidance(1.75)
    both = {"usual": 1.75, "first": 2.5}
    assert tiny_synthesizer(guidance=both).learnt_guidance == Guidance(1.75, first=2.5)
    assert tiny_synthesizer().learnt_guidance == PLAIN


@pytest.mark.parametrize(
    "guidance",
    ["strong", True, 0.5, float("nan"), {"usual": 2, "third": 3}, {"first": 2.5}, [2.5], None],
)
def test_a_damaged_guidance_in_a_card_is_told_with_a_cure(guidance: object) -> None:
    with pytest.raises(InputError, match=r"card of the synthesizer tiny is damaged.*intact copy"):
        _ = tiny_synthesizer(guidance=guidance).learnt_guidance
