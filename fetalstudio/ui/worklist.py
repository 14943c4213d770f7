"""In which order frames are offered to a person, and how sure a proposal is, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fetalstudio.project.records import Annotation, Frame

_UNSURE, _SURE = 0.90, 0.95
"""Expected IoU: below the first a proposal usually has to be corrected, from the second seldom."""


def in_order(
    frames: Sequence[Frame], annotations: Mapping[str, Annotation], *, least_certain_first: bool
) -> list[Frame]:
    """As they were imported; or proposals from the least certain on, then frames without an
    ellipse, drafts and final ones."""
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


def certainty(confidence: float) -> str:
    """``sure``, ``fairly sure`` or ``unsure``, with the figure: ``unsure, 84%``."""
    word = "unsure" if confidence < _UNSURE else "fairly sure" if confidence < _SURE else "sure"
    return f"{word}, {confidence:.0%}"
