"""The order in which frames are offered to a person, and the certainty of proposals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fetalstudio.core.words import percent
from fetalstudio.project.store.records import Annotation, AnnotationState, Frame

_UNSURE, _SURE = 0.90, 0.95
"""Expected IoU: below the first, most proposals need correction; from the second, few do."""


def in_order(
    frames: Sequence[Frame], annotations: Mapping[str, Annotation], *, least_certain_first: bool
) -> list[Frame]:
    """The frames as imported, or by urgency: proposals from the least certain on, then frames
    without an ellipse, drafts and final ones."""
    if not least_certain_first:
        return list(frames)

    def rank(frame: Frame) -> tuple[int, float]:
        annotation = annotations.get(frame.id)
        if annotation is None or annotation.ellipse is None:
            return 1, 0.0
        if annotation.state == "proposed":
            return 0, annotation.confidence or 0.0
        return (2 if annotation.state == "draft" else 3), 0.0

    return sorted(frames, key=rank)


def next_to_do(
    frames: Sequence[Frame], annotations: Mapping[str, Annotation], after: str
) -> Frame | None:
    """The next frame whose ellipse is not final, other than ``after``.

    After the last frame the search continues from the first.
    """
    at = [frame.id for frame in frames].index(after)
    round_trip = (*frames[at + 1 :], *frames[:at])
    return next((f for f in round_trip if not _is(annotations.get(f.id), "final")), None)


def least_certain(
    frames: Sequence[Frame], annotations: Mapping[str, Annotation], but: str
) -> Frame | None:
    """The frame with the least certain open proposal, other than ``but``."""
    waiting = [f for f in frames if f.id != but and _is(annotations.get(f.id), "proposed")]
    return min(waiting, key=lambda f: annotations[f.id].confidence or 0.0, default=None)


def _is(annotation: Annotation | None, state: AnnotationState) -> bool:
    return annotation is not None and annotation.state == state


def certainty(confidence: float) -> str:
    """``sure``, ``fairly sure`` or ``unsure``, with the confidence: ``unsure, 84 %``."""
    word = "unsure" if confidence < _UNSURE else "fairly sure" if confidence < _SURE else "sure"
    return f"{word}, {percent(confidence)}"
