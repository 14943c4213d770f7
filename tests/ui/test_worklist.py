"""The order of the work, and how sure a proposal is said to be."""

from datetime import UTC, datetime

import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.store.records import Annotation, AnnotationState, Frame
from fetalstudio.ui.worklist import certainty, in_order, least_certain, next_to_do

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _frame(name: str) -> Frame:
    return Frame(name, name, 80, 60, "real", "c", name, None, NOW)


def _annotation(frame: str, state: AnnotationState, confidence: float | None = None) -> Annotation:
    return Annotation(frame, 1, Ellipse(40, 30, 20, 15, 0), "x", state, confidence, NOW)


FRAMES = [_frame(name) for name in "abcdef"]
ANNOTATIONS = {
    a.frame_id: a
    for a in (
        _annotation("a", "final"),
        _annotation("b", "proposed", 0.9),
        _annotation("d", "draft"),
        _annotation("e", "proposed", 0.4),
        _annotation("f", "proposed"),
    )
}


def test_as_imported_is_left_as_it_is() -> None:
    assert in_order(FRAMES, ANNOTATIONS, least_certain_first=False) == FRAMES


def test_proposals_come_from_the_least_certain_on_and_finals_last() -> None:
    ordered = in_order(FRAMES, ANNOTATIONS, least_certain_first=True)
    assert [frame.name for frame in ordered] == ["f", "e", "b", "c", "d", "a"]


def test_the_next_to_do_comes_round_again_and_skips_what_is_final() -> None:
    assert next_to_do(FRAMES, ANNOTATIONS, "b") is FRAMES[2]
    assert next_to_do(FRAMES, ANNOTATIONS, "f") is FRAMES[1]
    assert next_to_do(FRAMES[:2], ANNOTATIONS, "b") is None


def test_the_least_certain_proposal_is_another_than_the_one_shown() -> None:
    assert least_certain(FRAMES, ANNOTATIONS, "a") is FRAMES[5]
    assert least_certain(FRAMES, ANNOTATIONS, "f") is FRAMES[4]
    assert least_certain(FRAMES[:2], ANNOTATIONS, "b") is None


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.5, "unsure, 50 %"), (0.9, "fairly sure, 90 %"), (0.95, "sure, 95 %"), (1.0, "sure, 100 %")],
)
def test_certainty_is_said_in_words(confidence: float, said: str) -> None:
    assert certainty(confidence) == said
