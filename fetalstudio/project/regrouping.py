"""What another subject of frames means, before it is set: by a person's choice, or by their names.

Which frames show the same patient decides the split into parts, so that two things are asked about
and never decided in silence: frames of one video that would become different subjects, and subjects
of different parts that would become one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fetalstudio.core.name_patterns import NamePattern
from fetalstudio.core.splits import Part
from fetalstudio.core.words import counted, listed
from fetalstudio.project.parts import joined_part
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame

_NAMED = 4
"""How many names of a longer list are shown."""
_LISTED = 2
"""How many videos or joined subjects are described."""
_SAID: Mapping[Part, str] = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class NameMatch:
    """What a pattern reads in the name of a frame."""

    frame: Frame
    read: str | None
    """What the name says of the subject; None where the pattern does not match."""
    subject: str
    """The key of the subject that the frame gets, or keeps."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The subjects that frames get by their names."""

    matches: tuple[NameMatch, ...]
    """Of every frame, in the order in which they were given."""
    questions: tuple[str, ...]
    """A sentence for each thing that a person should decide before; see this module."""

    @property
    def subjects(self) -> dict[str, str]:
        """The new subject of each frame that gets another one, by frame id."""
        return {r.frame.id: r.subject for r in self.matches if r.subject != r.frame.subject}

    @property
    def unmatched(self) -> tuple[Frame, ...]:
        """The frames whose names the pattern does not match, which stay as they are."""
        return tuple(match.frame for match in self.matches if match.read is None)

    def summary(self) -> str:
        """One sentence: ``32 frames become 9 subjects. 3 names do not match; ...``"""
        matched = [match for match in self.matches if match.read is not None]
        found = len({match.subject for match in matched})
        said = f"{counted(len(matched), 'frame')} become {counted(found, 'subject')}."
        if len(matched) == 1:
            said = "1 frame becomes 1 subject."
        if matched and not self.subjects:
            said = f"{counted(len(matched), 'frame')} of {counted(found, 'subject')}, as they are."
        if left := len(self.unmatched):
            said += (
                " 1 name does not match; its frame stays as it is."
                if left == 1
                else f" {left} names do not match; their frames stay as they are."
            )
        return said


class Regrouper:
    """Answers at once, for one pattern after another, what a project makes of it."""

    def __init__(self, project: Project) -> None:
        """Raises :class:`InputError` where the secret of the patients' keys is on another
        computer."""
        self._keys = project.patients.keys()
        self._frames = {frame.id: frame for frame in project.frames.all()}
        self._parts = project.parts.stored()
        videos: dict[str, list[Frame]] = defaultdict(list)
        of_video = project.frames.videos()
        for frame in self._frames.values():
            if frame.id in of_video:
                videos[of_video[frame.id]].append(frame)
        self._videos = [frames for frames in videos.values() if len(frames) > 1]

    def by_names(self, frames: Sequence[Frame], pattern: NamePattern) -> Grouping:
        """The subjects that the pattern gives these frames; only their keys are ever stored."""
        made: dict[str, str] = {}
        matches = []
        for frame in frames:
            read = pattern.read(frame.name)
            if read is not None and read not in made:
                made[read] = self._keys.key(read)
            subject = frame.subject if read is None else made[read]
            matches.append(NameMatch(frame, read, subject))
        changed = {r.frame.id: r.subject for r in matches if r.subject != r.frame.subject}
        return Grouping(tuple(matches), self.questions(changed))

    def questions(self, subjects: Mapping[str, str]) -> tuple[str, ...]:
        """What a person should decide before these frames (by id) become of these subjects."""
        return (*self._split_videos(subjects), *self._joined_parts(subjects))

    def same_video(self, frame_ids: Collection[str]) -> list[Frame]:
        """The frames that are not among these, but of a video of which some are."""
        return [
            frame
            for frames in self._videos
            if any(frame.id in frame_ids for frame in frames)
            for frame in frames
            if frame.id not in frame_ids
        ]

    def _split_videos(self, subjects: Mapping[str, str]) -> list[str]:
        split = []
        for frames in self._videos:
            before = {frame.subject for frame in frames}
            after = {subjects.get(frame.id, frame.subject) for frame in frames}
            if len(after) > max(1, len(before)):
                split.append(listed([frame.name for frame in frames], _NAMED))
        if not split:
            return []
        return [
            "A video shows one patient, but its frames would be of several subjects: "
            f"{_listed(split, 'video')}."
        ]

    def _joined_parts(self, subjects: Mapping[str, str]) -> list[str]:
        former: dict[str, set[str]] = defaultdict(set)
        for frame_id, subject in subjects.items():
            former[subject] |= {self._frames[frame_id].subject, subject}
        joined = []
        for subject, keys in former.items():
            parts = {key: self._parts[key] for key in sorted(keys) if key in self._parts}
            part = self._parts.get(subject) or joined_part(parts.values())
            if len(set(parts.values())) > 1 and part is not None:
                said = ", ".join(f"{key} ({_SAID[one]})" for key, one in parts.items())
                joined.append(f"{said}, then in the {_SAID[part]} part")
        if not joined:
            return []
        return [
            f"Subjects of different parts would become one: {_listed(joined, 'subject')}. A model "
            "that was trained before may have learned from a patient whom it is tested on. Its "
            "figures are then too good: train again."
        ]


def _listed(said: Sequence[str], word: str) -> str:
    more = len(said) - _LISTED
    return "; ".join(said[:_LISTED]) + (
        f"; and {counted(more, f'more {word}')}" if more > 0 else ""
    )
