"""Plain records of frames: what a source says about them, before a picture is opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.pictures.picture_files import Samples, note_in, read_image
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import Screen
from fetalstudio.formats.reading.doubts import (
    MIDDLE,
    Answers,
    Doubt,
    Question,
    beyond_clip,
    chosen_frames,
    frames_doubt,
)
from fetalstudio.formats.reading.outline_pictures import ShownEllipse
from fetalstudio.formats.tables.frame_columns import Axes


@dataclass(frozen=True, slots=True)
class Coding:
    """The numbers of structures in the masks of a data set."""

    head: str | None
    """None where the head is none of them."""
    others: frozenset[str]

    def knows(self, values: Iterable[str | None]) -> bool:
        """Whether it says what all of these values are."""
        return {self.head, *self.others} >= set(values)


PSFHS = Coding("2", frozenset({"1"}))
JNU_IFM = Coding("8", frozenset({"7"}))
"""In both, the other structure is the pubic symphysis."""


@dataclass(frozen=True, slots=True)
class StatedSize:
    """One of several pixel sizes that a header states."""

    calibration: Calibration
    text: str
    """What a person reads, such as ``0.2 mm per px: the region at the left (512 x 768 px)``."""
    area: Box | None = None
    """The part of the frame for which it holds; None for all of it."""


@dataclass(frozen=True, slots=True)
class Video:
    """The frames of a file that holds several."""

    count: int
    decode: Callable[[int], NDArray[np.uint8]]
    """Gives the pixels of a frame by its number, from 0, as (H, W) grey. Raises
    :class:`InputError`."""
    mask: Callable[[int], Samples | None] | None = None
    """Gives what :func:`~fetalstudio.formats.pictures.picture_files.read_samples` does of the mask
    of a frame, by its number, where a file has one for each; None where nothing is marked."""
    usual: str = MIDDLE
    """Which frames are taken where nobody has chosen;
    :data:`~fetalstudio.formats.reading.doubts.MIDDLE` makes it a clip, of which that is asked."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame of a source: where its picture is, and what the source says about it."""

    path: Path
    name: str
    subject: str
    annotation: Path | None = None
    """The picture that shows its ellipse, where no table gives one."""
    annotation_doubt: str | None = None
    """Why that picture may show something else than the head of this frame."""
    coding: Coding | None = None
    """What the numbers in the annotation picture mean, where that is known."""
    decode: Callable[[], NDArray[np.uint8]] | None = None
    """Gives the pixels, (H, W) grey, where the path is no plain picture file, or several frames are
    in it. Raises :class:`InputError`."""
    screen: Screen | None = None
    """What is known of its layout, where the pixels are as a scanner showed them."""
    file_name: str | None = None
    """What the picture's file was called, where it is now a part of another file, the path."""
    note: Callable[[], str | None] | None = None
    """Gives what the file of such a picture says that it is."""
    video: Video | None = None
    """The frames of the path, where it holds several; :meth:`frames` makes a record of each."""
    from_video: str | None = None
    """What the video is called that it is a frame of, where that is known."""
    number: int | None = None
    """Which frame of that video it is, from 1 on."""
    mask: Callable[[], Samples | None] | None = None
    """Gives the samples of the annotation where its path is no picture file, or has several; None
    where nothing is marked. Raises :class:`InputError`."""
    drawn: Ellipse | None = None
    """The ellipse whose mask the annotation is, as an export of ours says. It counts as long as the
    mask is as it was written."""
    outline: Callable[[Size], ShownEllipse] | None = None
    """Gives the ellipse in a frame of this size (width, height), where an annotation file has it.
    Raises :class:`InputError`, naming that file."""
    outline_file: Path | None = None
    """The annotation file that :attr:`outline` reads."""
    ellipse: Ellipse | None = None
    """In px, from a table; it counts before that of a picture."""
    axes: Axes | None = None
    """Where that table has the lengths of the ellipse."""
    ellipse_size: Size | None = None
    """(width, height) in px of the frame that the table's ellipse was drawn on."""
    calibration: Calibration | None = None
    stated: tuple[StatedSize, ...] = ()
    """What the header states in place of one calibration. The size of the part that holds the head
    counts; where no head is known, it is asked."""
    hc_mm: float | None = None
    """As a table states it; it is compared with the ellipse."""
    labels: Mapping[str, str] = field(default_factory=dict)
    part: Part | None = None
    """Into which part the source divides it, where it says so."""
    synthetic: SyntheticNote | None = None
    """What a table beside the picture says about it, where it says that it is synthetic."""
    problems: tuple[str, ...] = ()
    """What is in doubt about the frame already, naming the file and the cure."""

    may_show: tuple[Path, ...] = ()
    """Frames that it may show again, as its name says, with something drawn on them."""
    doubts: tuple[Doubt, ...] = ()
    """What is in doubt before any picture is opened: whether it is a frame, and which annotation
    picture belongs to it."""

    @property
    def is_clip(self) -> bool:
        """Whether it has to be asked which of its frames are taken."""
        return self.video is not None and self.video.usual == MIDDLE

    @property
    def frames_doubt(self) -> Doubt | None:
        """The doubt which frames of a clip are taken; None for any other record."""
        return frames_doubt(self.path, self.video.count) if self.video and self.is_clip else None

    def beyond(self, choice: str | None) -> str | None:
        """What is said where ``choice``, as for :meth:`frames`, names frames that its video does
        not have; None where it has all."""
        if self.video is None or choice is None:
            return None
        return beyond_clip(self.path, choice, self.video.count)

    def frames(self, choice: str | None = None) -> tuple[FrameRecord, ...]:
        """This record, or one for each frame of its video that is chosen; all are of one subject.

        ``choice`` is one of :func:`~fetalstudio.formats.reading.doubts.chosen_frames`, by default
        what is usual for the video. The frames are numbered from 1. What :meth:`beyond` says is a
        problem of the first.
        """
        video = self.video
        if video is None:
            return (self,)
        record = self
        if missing := self.beyond(choice):
            record = replace(record, problems=(*self.problems, missing))
        if self.outline is not None:
            said = (
                f"{self.outline_file or self.path} does not say which of the {video.count} frames "
                f"of {self.path.name} it annotates. It was not used.",
            )
            problems = record.problems + said
            record = replace(record, outline=None, outline_file=None, problems=problems)
        return tuple(
            replace(
                record,
                name=f"{self.name}_{index + 1:04d}",
                decode=partial(video.decode, index),
                mask=None if video.mask is None else partial(video.mask, index),
                video=None,
                from_video=self.name,
                number=index + 1,
                problems=record.problems if place == 0 else (),
            )
            for place, index in enumerate(chosen_frames(choice or video.usual, video.count))
        )

    @property
    def place(self) -> str:
        """Where the picture is, for messages."""
        return f"{self.path}" if self.file_name is None else f"{self.path} ({self.file_name})"

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, (H, W) grey; of several, the middle one. Raises :class:`InputError`, naming
        the file and the cure."""
        if self.video is not None:
            return self.video.decode(self.video.count // 2)
        return read_image(self.path) if self.decode is None else self.decode()

    def said(self) -> str | None:
        """What the file says that its picture is."""
        return note_in(self.path) if self.note is None else self.note()

    def annotation_for(self, answers: Answers) -> Path | None:
        """The picture that shows its ellipse, where in doubt the one that the answers take."""
        for doubt in self.doubts:
            if doubt.question is Question.ANNOTATION:
                return doubt.holds(answers).file
        return self.annotation


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file that holds pictures or annotations, but is not read."""

    path: Path
    kind: str
    """Such as ``.webp`` or ``COCO json``."""
    cure: str
    """A sentence: how to import what is in it."""
    too_deep: bool = False
    """Whether it is a picture that could be read, but lies too far down to be found."""


@dataclass(frozen=True, slots=True)
class FrameSource:
    """The frames of a folder, or of a single file."""

    cohort: str
    """A name for them, where nobody gives another."""
    records: tuple[FrameRecord, ...]
    problems: tuple[str, ...]
    """A message for each file that was not used, naming it and the cure."""
    files: frozenset[Path] = frozenset()
    """Files that are of the format, used or not, where these are not seen from their names."""
    labels: tuple[str, ...] = ()
    """The labels in annotation files, where which of them is the head has to be asked."""
    unsure: tuple[FrameRecord, ...] = ()
    """Pictures that are left out unless a person takes them as frames; each has a doubt that says
    why."""
    unread: tuple[UnreadFile, ...] = ()
    """Files that hold pictures or annotations, but in a format that is not read."""
    whole_heads: bool = True
    """False for frames in labour, in which a probe at the perineum sees an arc of the head, so that
    a skull cannot be looked for all around it."""
