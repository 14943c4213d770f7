"""What the frames of a plan say about one another, and about those that the project holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from fetalstudio.formats.reading.doubts import NONE, Question, head_doubt
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.plan import PlannedFrame
from fetalstudio.project.store.records import Frame


def is_synthetic_frame(path: Path, held: Frame) -> str:
    """The message about a picture that is a synthetic frame of the project."""
    return (
        f"{path} is the synthetic frame {held.name} of this project and was not imported as a real "
        "one. Review it as a pair."
    )


def compared(
    planned: PlannedFrame,
    held: Frame | None,
    first: PlannedFrame | None,
    key_of: Callable[[str], str],
) -> PlannedFrame:
    """Compare a frame with the one that the project holds, and the first one of the source, with
    the same picture. ``key_of`` gives the key of a subject, by what the source calls her."""
    note = None
    if planned.synthetic is not None:
        pass  # of a pair that the project already holds, nothing is taken
    elif held is not None and held.kind != "real":
        note = is_synthetic_frame(planned.path, held)
    elif held is not None and held.subject != (subject := key_of(planned.subject)):
        note = (
            f"{planned.path} is of subject {subject}, but the project holds this picture "
            f"as {held.name} of cohort {held.cohort}, subject {held.subject}, and keeps that. "
            f"Correct the subject if it is wrong ({SET_SUBJECT})."
        )
    elif held is None and first is not None and first.subject != planned.subject:
        note = (
            f"{planned.path} and {first.path} are the same picture, but of two subjects. The "
            f"latter counts. Correct the subject if it is wrong ({SET_SUBJECT})."
        )
    notes = planned.notes if note is None else (*planned.notes, note)
    twin = None if first is None else first.key
    return replace(planned, held=held, twin=twin, notes=notes)


def with_single_structures(
    frames: Sequence[PlannedFrame], choices: Choices
) -> tuple[PlannedFrame, ...]:
    """Doubt the masks with one structure where others show it beside a second one, and which of
    them is the head is not stated."""
    unclear = {
        value
        for frame in frames
        for doubt in frame.doubts
        if doubt.question is Question.HEAD
        for value in (answer.value for answer in doubt.answers)
        if value not in (NONE, _head(choices, frame))
    }
    return tuple(_doubted(frame, choices, unclear) for frame in frames)


def _head(choices: Choices, frame: PlannedFrame) -> str | None:
    """The value that is stated to be the head, if there is one."""
    given = choices.answers(frame.key, frame.clip).get(Question.HEAD)
    return None if given == NONE else given


def _doubted(frame: PlannedFrame, choices: Choices, unclear: set[str]) -> PlannedFrame:
    if frame.ellipse is None or unclear.isdisjoint(frame.mask_values):
        return frame
    annotation = frame.record.annotation_for(choices.answers(frame.key, frame.clip))
    doubt = head_doubt(
        f"{annotation} shows one structure, but other masks show several and which is the head was "
        "not stated.",
        frame.mask_values,
    )
    if _head(choices, frame) in frame.mask_values:
        return replace(frame, doubts=(*frame.doubts, doubt))
    # Without an ellipse, its shape is in doubt no more.
    others = (d for d in frame.doubts if d.question is not Question.SHAPE)
    return replace(frame, doubts=(*others, doubt), ellipse=None)
