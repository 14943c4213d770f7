"""What a source leaves in doubt: typed questions, with the answers that a person can give.

Nothing in doubt is guessed. Without an answer the first of a doubt's answers holds, which is the
safe one: it leaves something out, or keeps it as a proposal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.names import checked_key
from fetalstudio.core.words import counted, quoted
from fetalstudio.formats.pictures.marked_regions import MASK_VALUE
from fetalstudio.formats.reading.placements import ADJACENT, NEXT, PLACEMENTS, place_text
from fetalstudio.formats.tables.table_meanings import AS_READ, MEANINGS, Meaning


class Question(StrEnum):
    """What can be in doubt about a picture of a source."""

    ROLE = "role"
    """Whether it is a frame: :data:`LEAVE_OUT` or :data:`FRAME`."""
    ANNOTATION = "annotation"
    """Which annotation picture belongs to it: a pattern such as ``*_mask.png``, none, or the path
    of any picture below the source."""
    HEAD = "head"
    """Which value (``2``) or colour (``#ff0000``) marks the head in its mask, or none."""
    SHAPE = "shape"
    """Whether the ellipse describes the shape: :data:`PROPOSAL`, :data:`FINAL` or none."""
    AXES = "axes"
    """What the numbers of its ellipse in a table mean: :data:`PROPOSAL`, one of
    :data:`~fetalstudio.formats.tables.table_meanings.MEANINGS`, or none."""
    PLACE = "place"
    """Whether its ellipse lies on the head: :data:`PROPOSAL`, :data:`FINAL`, none, or where it
    belongs, one of :data:`~fetalstudio.formats.reading.placements.PLACEMENTS` or of
    :data:`~fetalstudio.formats.reading.placements.ADJACENT`."""
    CALIBRATION = "calibration"
    """Its pixel size: :data:`KEEP`, :data:`FROM_HC`, none, ``stated-N`` for the Nth of those that
    its header states, or a number of mm."""
    SUBJECT = "subject"
    """Whose frame it is: the key of a patient."""
    FRAMES = "frames"
    """Which frames of a clip are taken: :data:`MIDDLE`, ``first``, ``last``, ``all``,
    :data:`SHARPEST`, ``every N``, none, or numbers such as ``1,5,9-12``."""

    @property
    def text(self) -> str:
        """The question as a person reads it."""
        return _TEXTS[self]


_TEXTS: Mapping[Question, str] = {
    Question.ROLE: "Is this a frame?",
    Question.ANNOTATION: "Which annotation belongs to it?",
    Question.HEAD: "Which value is the head?",
    Question.SHAPE: "Is the ellipse right?",
    Question.AXES: "What do the numbers of the ellipse mean?",
    Question.PLACE: "Does the ellipse lie on the head?",
    Question.CALIBRATION: "Which pixel size is right?",
    Question.SUBJECT: "Whose frame is it?",
    Question.FRAMES: "Which frames of the clip?",
}


LEAVE_OUT, FRAME = "leave-out", "frame"
PROPOSAL, FINAL = "proposal", "final"
KEEP, FROM_HC = "keep", "from-hc"
NONE = "none"
"""No ellipse, no annotation picture, no pixel size or no frame."""
MIDDLE, SHARPEST = "middle", "sharpest"
CLIP_CHOICES = ("first", MIDDLE, "last", "all", SHARPEST, NONE)
"""Which frames of a clip can be taken, besides ``every N`` and numbers."""
_EVERY = re.compile(r"every ([1-9]\d{0,5})")
_SPAN = r"[1-9]\d{0,5}(?:-[1-9]\d{0,5})?"
_SPANS = re.compile(rf"{_SPAN}(?:,{_SPAN})*")
_OFFERED = 10
"""Every how many-th frame of a clip is offered."""

_NUMBER = re.compile(r"\d*\.?\d+")
_STATED = "stated"
_ACCEPTED: Mapping[Question, tuple[re.Pattern[str], str]] = {
    Question.ROLE: (re.compile(f"{LEAVE_OUT}|{FRAME}"), f"{LEAVE_OUT} or {FRAME}"),
    Question.ANNOTATION: (re.compile(".+"), f"{NONE} or a pattern such as *_mask.png"),
    Question.HEAD: (
        re.compile(f"{NONE}|{MASK_VALUE.pattern}"),
        "a number such as 2, or a colour such as #ff0000",
    ),
    Question.SHAPE: (
        re.compile(f"{PROPOSAL}|{FINAL}|{NONE}"),
        f"{PROPOSAL}, {FINAL} or {NONE}",
    ),
    Question.AXES: (
        re.compile("|".join((PROPOSAL, *MEANINGS, NONE))),
        f"{PROPOSAL}, {NONE}, {AS_READ}, half, double or another that is offered",
    ),
    Question.PLACE: (
        re.compile("|".join((PROPOSAL, FINAL, *PLACEMENTS, *ADJACENT, NONE))),
        f"{PROPOSAL}, {FINAL}, {NONE}, mirrored, {NEXT} or another that is offered",
    ),
    Question.CALIBRATION: (
        re.compile(rf"{KEEP}|{FROM_HC}|{NONE}|{_STATED}-\d{{1,3}}|{_NUMBER.pattern}"),
        f"{KEEP}, {FROM_HC}, {NONE}, {_STATED}-1 or a number of mm",
    ),
    Question.FRAMES: (
        re.compile("|".join((*CLIP_CHOICES, _EVERY.pattern, _SPANS.pattern))),
        f"{', '.join(CLIP_CHOICES)}, 'every N' or numbers such as 1,5,9-12",
    ),
}

Answers = Mapping[Question, str]
"""The answers that hold for one picture."""
NO_ANSWERS: Answers = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One possible answer to a doubt."""

    value: str
    """What stands in choices and on the command line."""
    text: str
    """What a person reads."""
    file: Path | None = None
    """The annotation picture that this answer takes."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A question about one picture of a source."""

    question: Question
    message: str
    """What is in doubt, naming the file."""
    unanswered: str
    """What an import without an answer did, and a cure outside of the window."""
    answers: tuple[Answer, ...]
    """The first holds without an answer."""
    free: bool = False
    """Whether there are other answers than these."""

    @property
    def report(self) -> str:
        """What is said after an import without an answer."""
        return f"{self.message} {self.unanswered}"

    def answered(self, answers: Answers) -> bool:
        """Whether one of its own answers is given, or any if it is free."""
        given = answers.get(self.question)
        return given in {a.value for a in self.answers} or (self.free and given is not None)

    def holds(self, answers: Answers) -> Answer:
        """The answer that is given, else the safe one."""
        given = answers.get(self.question)
        return next((a for a in self.answers if a.value == given), self.answers[0])


class InDoubtError(InputError):
    """A picture is left out because of a doubt; its message is the doubt's."""

    def __init__(self, doubt: Doubt) -> None:
        super().__init__(doubt.report)
        self.doubt = doubt


def role_doubt(message: str, cure: str = "") -> Doubt:
    """The doubt whether a picture is a frame; ``message`` says why."""
    return Doubt(
        Question.ROLE,
        message,
        f"It was left out. {cure}".strip(),
        (Answer(LEAVE_OUT, "Leave it out"), Answer(FRAME, "It is a frame")),
    )


def head_doubt(message: str, values: tuple[str, ...]) -> Doubt:
    """The doubt which of these values marks the head in a mask."""
    return Doubt(
        Question.HEAD,
        message,
        "Its frame was imported without an ellipse. Import it again and say which value is the "
        "head, in the window or by the option --mask-value.",
        (
            Answer(NONE, "Take no ellipse"),
            *(Answer(value, f"The head has the value {value}") for value in values),
        ),
    )


def shape_doubt(message: str) -> Doubt:
    """The doubt whether an ellipse describes what an annotation shows."""
    return Doubt(
        Question.SHAPE,
        message,
        "It was imported as a proposal. Check it.",
        (
            Answer(PROPOSAL, "Take the ellipse as a proposal, to be checked"),
            Answer(FINAL, "The ellipse is right"),
            Answer(NONE, "Take no ellipse"),
        ),
    )


def axes_doubt(message: str, cure: str, likely: Sequence[str]) -> Doubt:
    """The doubt what the numbers of an ellipse in a table mean, of which these keys of
    :data:`~fetalstudio.formats.tables.table_meanings.MEANINGS` are likely."""
    return Doubt(
        Question.AXES,
        message,
        "Its ellipses were imported as proposals. Check one, and import again with the answer, in "
        f"the window or by the option --answer axes. {cure}",
        (
            Answer(PROPOSAL, "Take the ellipse as a proposal, to be checked"),
            Answer(AS_READ, "The ellipse is right"),
            *(Answer(name, _meant(MEANINGS[name])) for name in likely),
            Answer(NONE, "Take no ellipse"),
        ),
    )


def place_doubt(message: str, likely: str | None) -> Doubt:
    """The doubt whether the ellipses of a source lie on the heads. They may belong where this key
    of :data:`~fetalstudio.formats.reading.placements.PLACEMENTS` or of
    :data:`~fetalstudio.formats.reading.placements.ADJACENT` says; without one, nobody knows."""
    offered: tuple[Answer, ...] = ()
    cure = (
        "Correct the masks or the table and import again. If the ellipses are right, say so in the "
        f"window or by the option --answer place {FINAL}."
    )
    if likely is not None:
        offered = (place_answer(likely),)
        cure = (
            "Check one, and import again with the answer, in the window or by the option --answer "
            f"place {likely}, or {FINAL} if the ellipses are right."
        )
    return Doubt(
        Question.PLACE,
        message,
        f"The ellipses were imported as proposals. {cure}",
        (
            Answer(PROPOSAL, "Take the ellipse as a proposal, to be checked"),
            Answer(FINAL, "The ellipse is right"),
            *offered,
            Answer(NONE, "Take no ellipse"),
        ),
    )


def odd_doubt(message: str, key: str, likely: str | None) -> Doubt:
    """The doubt whether a single ellipse lies on the head of its frame, which has this ``key``;
    ``likely`` is as for :func:`place_doubt`."""
    offered = () if likely is None else (place_answer(likely),)
    return Doubt(
        Question.PLACE,
        message,
        "The ellipse was imported as a proposal. Check it in Annotate. If it is right, you can say "
        f"so in the window or by the option --answer place {FINAL} {quoted(key)}.",
        (
            Answer(PROPOSAL, "Take the ellipse as a proposal, to be checked"),
            Answer(FINAL, "The ellipse is right"),
            *offered,
            Answer(NONE, "Take no ellipse"),
        ),
    )


def place_answer(place: str) -> Answer:
    """The answer that an ellipse belongs in this place, a key as for :func:`place_doubt`."""
    return Answer(place, f"It has to be {place_text(place)}")


def annotation_doubt(message: str, cure: str, frame: Path, pictures: tuple[Path, ...]) -> Doubt:
    """The doubt which of these annotation pictures belongs to a frame."""
    return Doubt(
        Question.ANNOTATION,
        message,
        f"The frame was imported without an ellipse. {cure}",
        (
            Answer(NONE, "Take no ellipse"),
            *(Answer(pattern_of(frame, p), f"It is {p.name}", p) for p in pictures),
        ),
    )


def calibration_doubt(message: str, from_hc: float) -> Doubt:
    """The doubt about a pixel size with which the HC is another than stated, which would take
    ``from_hc`` mm."""
    return Doubt(
        Question.CALIBRATION,
        message,
        "It was imported as annotated; check its pixel size.",
        (
            Answer(KEEP, "Keep the pixel size"),
            Answer(FROM_HC, f"Take the pixel size that the stated HC gives, {from_hc:.4g} mm"),
            Answer(NONE, "Take no pixel size"),
        ),
    )


def size_doubt(message: str, whose: str) -> Doubt:
    """The doubt about a pixel size with which the head or the frame would have no usual size; the
    ``table`` or the ``file`` states it."""
    cure = "Correct the table and its unit, or import it" if whose == "table" else "Import it"
    return Doubt(
        Question.CALIBRATION,
        message,
        f"It was imported without a pixel size. {cure} again and state the pixel size in mm, in "
        "the window or by --answer calibration MM.",
        (
            Answer(NONE, "Take no pixel size"),
            Answer(KEEP, "Keep the pixel size"),
        ),
        free=True,
    )


def stated_doubt(path: Path, stated: tuple[str, ...], *, of_parts: bool) -> Doubt:
    """The doubt about a pixel size of which the header makes these different statements: of parts
    of the frame, or of all of it."""
    whose = (
        " for parts of the frame" if of_parts else f", of which one is wrong: {'; '.join(stated)}"
    )
    which = "is that of the head" if of_parts else "is right"
    return Doubt(
        Question.CALIBRATION,
        f"{path} states different pixel sizes{whose}.",
        f"It was imported without a pixel size. Import it again and say which one {which}, or set "
        "it in Annotate.",
        (
            Answer(NONE, "Take no pixel size"),
            *(Answer(f"{_STATED}-{n}", text) for n, text in enumerate(stated, 1)),
        ),
    )


def frames_doubt(path: Path, count: int) -> Doubt:
    """The doubt which frames of a clip are taken, which has ``count`` of them."""
    every = f"every {_OFFERED}"
    said = counted(len(chosen_frames(every, count)), "frame")
    return Doubt(
        Question.FRAMES,
        f"{path} is a clip of {count} frames.",
        "The middle frame was imported.",
        (
            Answer(MIDDLE, "The middle frame"),
            Answer(SHARPEST, "The sharpest, as the segmenter sees it"),
            Answer("first", "The first frame"),
            Answer("last", "The last frame"),
            Answer(every, f"Every {_OFFERED}th frame: {said}"),
            Answer("all", "All frames"),
            Answer(NONE, "No frame"),
        ),
        free=True,
    )


def chosen_frames(choice: str, count: int) -> list[int]:
    """The numbers, from 0, of the frames of a clip that an answer to :attr:`Question.FRAMES` takes;
    :data:`SHARPEST` is none that is known without looking. Numbers beyond the last are left out;
    see :func:`beyond_clip`."""
    if every := _EVERY.fullmatch(choice):
        return list(range(0, count, int(every[1])))
    if _SPANS.fullmatch(choice):
        return sorted({n - 1 for a, b in _spans(choice) for n in range(a, min(b, count) + 1)})
    known = {"first": [0], MIDDLE: [count // 2], "last": [count - 1], NONE: []}
    return list(range(count)) if choice == "all" else known[choice]


def beyond_clip(path: Path, choice: str, count: int) -> str | None:
    """What is said where an answer to :attr:`Question.FRAMES` asks for frames that a file with
    ``count`` of them does not have; None where it has all."""
    if not _SPANS.fullmatch(choice):
        return None
    missing = [(max(a, count + 1), b) for a, b in _spans(choice) if b > count]
    if not missing:
        return None
    numbers = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in missing)
    left = "The others were taken" if chosen_frames(choice, count) else "None of it was imported"
    return (
        f"{path} has {counted(count, 'frame')}, and no {numbers}. {left}. Choose among 1 to "
        f"{count}."
    )


def _spans(choice: str) -> list[tuple[int, int]]:
    """The first and last number of each part of a choice such as ``1,5,9-12``."""
    parts = [[int(n) for n in part.split("-")] for part in choice.split(",")]
    return [(numbers[0], numbers[-1]) for numbers in parts]


def _meant(meaning: Meaning) -> str:
    text = meaning.text
    return f"{text[:1].upper()}{text[1:]}"


def pattern_of(frame: Path, picture: Path) -> str:
    """How an annotation picture is called, whatever its frame: ``*_mask.png``, ``masks/*.png``."""
    name = picture.name.replace(frame.stem, "*", 1)
    return name if picture.parent == frame.parent else f"{picture.parent.name}/{name}"


def checked_answer(question: str, value: str) -> tuple[Question, str]:
    """The question and the answer, in lower case except for patterns.

    Raises :class:`InputError` for a question that there is not, or an answer that it cannot have.
    """
    try:
        found = Question(question)
    except ValueError as error:
        known = ", ".join(Question)
        raise InputError(
            f"There is no question {question!r} about a picture. Choose one of {known}."
        ) from error
    if found is Question.SUBJECT:
        return found, checked_key("subject", value)
    given = value if found is Question.ANNOTATION else value.lower()
    pattern, accepted = _ACCEPTED[found]
    if not pattern.fullmatch(given):
        what = "value of a mask" if found is Question.HEAD else f"answer to {found}"
        raise InputError(f"{value!r} is no {what}. Give {accepted}.")
    if found is Question.FRAMES and _SPANS.fullmatch(given):
        for first, last in _spans(given):
            if first > last:
                raise InputError(
                    f"{value!r} is no answer to frames: {first}-{last} holds no number. Give "
                    f"{last}-{first}."
                )
    return found, given


def stated_mm(answers: Answers) -> float | None:
    """The pixel size in mm that an answer states; None where it states none."""
    given = answers.get(Question.CALIBRATION, "")
    return float(given) if _NUMBER.fullmatch(given) else None
