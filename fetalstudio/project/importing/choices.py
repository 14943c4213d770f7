"""What a person decides about an import."""

from __future__ import annotations

import fnmatch
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.formats.reading.doubts import LEAVE_OUT, NONE, Answers, Question, checked_answer
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables.frame_rows import some

_GLOB = re.compile(r"[*?\[]")
_OF_A_CLIP = (Question.FRAMES, Question.SUBJECT)
"""What holds for all frames of a clip, or for none."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person decided about an import."""

    cohort: str | None = None
    """Where the frames go; without one, into the cohort that the plan proposes: it has the folder's
    name, unless that may say who a patient is."""
    alike: Answers = field(default_factory=dict)
    """Answers for all pictures that leave these questions open."""
    by_file: Mapping[str, Answers] = field(default_factory=dict)
    """Answers for single pictures, by :attr:`PlannedFrame.key`, by file name or by a pattern such
    as ``scans/*_overlay.png``. They count before those for all."""
    _patterns: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _of_clips: Mapping[str, Answers] = field(init=False, repr=False, compare=False)
    """What was answered for one frame of a clip and holds for all, by the clip's key."""

    def __post_init__(self) -> None:
        patterns = tuple(filter(_GLOB.search, self.by_file))
        object.__setattr__(self, "_patterns", patterns)
        of_clips: dict[str, dict[Question, str]] = defaultdict(dict)
        for file, answers in self.by_file.items():
            clip, mark, _ = file.rpartition("#")
            if mark:
                of_clips[clip] |= {q: a for q, a in answers.items() if q in _OF_A_CLIP}
        object.__setattr__(self, "_of_clips", of_clips)

    @classmethod
    def of(
        cls,
        answers: Iterable[tuple[str, str, Sequence[str]]] = (),
        *,
        cohort: str | None = None,
    ) -> Choices:
        """The choices that these answers make: question, answer and files, of which there are none
        where the answer is for all alike.

        Raises :class:`InputError` for a question that there is not, or an answer that it cannot
        have.
        """
        alike: dict[Question, str] = {}
        by_file: dict[str, dict[Question, str]] = defaultdict(dict)
        for name, value, files in answers:
            question, given = checked_answer(name, value)
            for file in files:
                by_file[file][question] = given
            if not files:
                alike[question] = given
        return cls(cohort, alike, dict(by_file))

    def joined(self, more: Choices) -> Choices:
        """These choices and more; where both decide the same, the others count."""
        files = self.by_file.keys() | more.by_file.keys()
        return Choices(
            more.cohort or self.cohort,
            {**self.alike, **more.alike},
            {f: {**self.by_file.get(f, {}), **more.by_file.get(f, {})} for f in files},
        )

    def answers(self, key: str, clip: str | None = None) -> Answers:
        """The answers that hold for the picture of this key, which may be one of a ``clip``."""
        return {**self.alike, **self.named(key, clip)}

    def named(self, key: str, clip: str | None = None) -> Answers:
        """The answers that were given for the picture of this key, or for its clip, not for all
        alike."""
        if clip is not None:
            return {**self.named(clip), **self.named(key), **self._of_clips.get(clip, {})}
        found: dict[Question, str] = {}
        for pattern in self._patterns:
            if fnmatch.fnmatchcase(key, pattern):
                found |= self.by_file[pattern]
        if self.by_file:
            found |= self.by_file.get(key.rpartition("/")[2], {})
            found |= self.by_file.get(key, {})
        return found

    def leave_out(self, key: str, clip: str | None = None) -> bool:
        """Whether the picture of this key is left out by choice, in doubt or not."""
        return self.named(key, clip).get(Question.ROLE) == LEAVE_OUT

    def without(self, question: Question, keys: Iterable[str]) -> Choices:
        """These choices without the answers that were given for the pictures of these keys."""
        named = set(keys)
        by_file = {
            key: {q: a for q, a in answers.items() if key not in named or q is not question}
            for key, answers in self.by_file.items()
        }
        return replace(self, by_file={key: answers for key, answers in by_file.items() if answers})


NO_CHOICES = Choices()


def check_named(choices: Choices, records: Mapping[str, FrameRecord], source: Path) -> None:
    """Raise :class:`InputError` for choices about a file that is not there."""
    wanted = set(choices.by_file)
    # Of a file with several frames, an answer may be about one that is no longer chosen.
    wanted -= {file for file in wanted if file.rpartition("#")[0] in records}
    for key in records if wanted else ():
        wanted -= {key, key.rpartition("/")[2]}
        wanted -= {p for p in wanted if _GLOB.search(p) and fnmatch.fnmatchcase(key, p)}
    pictures = {answers.get(Question.ANNOTATION, NONE) for answers in choices.by_file.values()}
    if pictures - {NONE}:
        doubts = [doubt for record in records.values() for doubt in record.doubts]
        wanted |= pictures - {NONE, *records} - {a.value for d in doubts for a in d.answers}
    if wanted:
        raise InputError(
            f"{source} has no picture {some(sorted(wanted))}, for which an answer was given. Write "
            "the names as the option --dry-run lists them."
        )
