"""Plain records of frames: what a source says about them, and what an export writes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.fit import distances
from fetalstudio.core.geometry import Size
from fetalstudio.core.splits import Part
from fetalstudio.formats.burned_in_text import Box
from fetalstudio.formats.doubts import (
    FINAL,
    FRAME,
    FROM_HC,
    MIDDLE,
    NO_ANSWERS,
    NONE,
    Answers,
    Doubt,
    InDoubtError,
    Question,
    beyond_clip,
    calibration_doubt,
    chosen_frames,
    frames_doubt,
    head_doubt,
    role_doubt,
    shape_doubt,
    stated_doubt,
    stated_mm,
)
from fetalstudio.formats.outline_pictures import (
    SAME_DICE,
    SeveralStructuresError,
    ShownEllipse,
    ellipse_in,
    is_annotation,
    structures_in,
)
from fetalstudio.formats.pictures import (
    ANNOTATION_NOTE,
    FIGURE_NOTE,
    FRAME_NOTE,
    Samples,
    is_synthetic,
    note_in,
    pages_in,
    read_image,
    read_samples,
)
from fetalstudio.formats.redaction import NOTHING, Redaction, Redactor, Screen
from fetalstudio.formats.synthetic_notes import SyntheticNote, read_note

DEFAULT_REDACTOR = Redactor()

_HC_TOLERANCE = 0.01
"""Relative difference between annotation and table beyond which the import warns."""
_SAME_PX, _SAME_SHARE = 1.5, 0.02
"""Two outlines of a pair are the same up to this distance in px, or of the semi-axis a."""


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
    """Gives what :func:`~fetalstudio.formats.pictures.read_samples` does of the mask of a frame, by
    its number, where a file has one for each; None where nothing is marked."""
    usual: str = MIDDLE
    """Which frames are taken where nobody has chosen; :data:`~fetalstudio.formats.doubts.MIDDLE`
    makes it a clip, of which that is asked."""


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A frame of a source: where its picture is, and what the source says about it."""

    path: Path
    name: str
    subject: str
    annotation: Path | None = None
    """The picture that shows its ellipse, where no table gives one."""
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

        ``choice`` is one of :func:`~fetalstudio.formats.doubts.chosen_frames`, by default what is
        usual for the video. The frames are numbered from 1. What :meth:`beyond` says is a problem
        of the first.
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
                problems=record.problems if number == 0 else (),
            )
            for number, index in enumerate(chosen_frames(choice or video.usual, video.count))
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

    def read(
        self, answers: Answers = NO_ANSWERS, redactor: Redactor = DEFAULT_REDACTOR
    ) -> FrameContent:
        """Decode and redact the picture, and find the ellipse, where in doubt as the ``answers``
        say. A picture that says that it is synthetic, or of which a table says so, is a pair. What
        FetalStudio wrote itself is not redacted.

        Raises :class:`InputError`, naming the file and the cure, for a picture that cannot be used;
        :class:`~fetalstudio.formats.doubts.InDoubtError` where that is in doubt, and
        :class:`UnclearScreenError` for one that may show what must not be stored. An ellipse that
        cannot be used is a problem of the content.
        """
        for doubt in self.doubts:
            if doubt.question is Question.ROLE and doubt.holds(answers).value != FRAME:
                raise InDoubtError(doubt)
        before, said = self.pixels(), self._said()
        self._check_frame(before, said, answers)
        if is_synthetic(said) or self.synthetic is not None:
            return self._pair(before, said)
        redaction = self._redaction(before, said, redactor)
        pixels = redaction.apply(before)
        redacted = pixels is not before and not redaction.confirmed
        size = (pixels.shape[1], pixels.shape[0])
        pages = pages_in(self.path) if self.decode is None else 1
        problems = self.problems
        if pages > 1:
            problems += (
                f"{self.place} holds {pages} pages, of which the first alone was imported. Export "
                "each page as a file of its own to import them all.",
            )
        doubts = self.doubts
        content = FrameContent(
            pixels,
            None,
            (),
            doubts,
            self.calibration,
            redacted=redacted,
            layout=redaction.layout,
            text_kept=redaction.text_kept,
        )
        mm = stated_mm(answers)
        if mm is not None:
            content = replace(content, calibration=self._by_hand(mm))
        shown, path, notes, errors = self._ellipse(size, answers)
        problems += notes
        for error in errors if shown is None else ():
            if isinstance(error, SeveralStructuresInFileError):
                doubts += (head_doubt(str(error), error.values),)
            else:
                problems += (f"{error} Its frame was imported without an ellipse.",)
        if shown is not None and Question.HEAD in answers:
            doubts += self._settled(answers)
        if self.stated and mm is None:
            head = None if shown is None else shown.ellipse
            calibration, unclear = self._of_stated(head, answers)
            content = replace(content, calibration=calibration)
            doubts += () if unclear is None else (unclear,)
        content = replace(content, problems=problems, doubts=doubts)
        return content if shown is None else self._judged(content, shown, path, answers)

    def _of_stated(
        self, head: Ellipse | None, answers: Answers
    ) -> tuple[Calibration | None, Doubt | None]:
        """The pixel size at the head, and the doubt about it where no part alone holds it."""
        if head is not None:
            holding = [s for s in self.stated if s.area is not None and s.area.contains(head)]
            if len(holding) == 1 and all(s.area is not None for s in self.stated):
                return holding[0].calibration, None
        doubt = stated_doubt(self.path, tuple(s.text for s in self.stated))
        chosen = doubt.answers.index(doubt.holds(answers))
        return (self.stated[chosen - 1].calibration if chosen else None), doubt

    def shown(self, redactor: Redactor = DEFAULT_REDACTOR) -> NDArray[np.uint8]:
        """The picture as an import would store it, (H, W) grey, frame or not.

        Raises :class:`InputError`, naming the file and the cure, for a picture that cannot be
        decoded, and :class:`UnclearScreenError` for one that may show what must not be stored.
        """
        pixels = self.pixels()
        return self._redaction(pixels, self._said(), redactor).apply(pixels)

    def _said(self) -> str | None:
        """What the file says that its picture is."""
        return note_in(self.path) if self.note is None else self.note()

    def _redaction(
        self, pixels: NDArray[np.uint8], said: str | None, redactor: Redactor
    ) -> Redaction:
        """What FetalStudio wrote itself is not redacted."""
        if said == FRAME_NOTE or is_synthetic(said) or self.synthetic is not None:
            return NOTHING
        return redactor.redaction(pixels, self.screen, self.path)

    def _settled(self, answers: Answers) -> tuple[Doubt, ...]:
        """The doubt that there would be had nobody stated which value is the head."""
        annotation = self.annotation_for(answers)
        if annotation is None or self.ellipse is not None or self.outline is not None:
            return ()
        found = read_samples(annotation) if self.mask is None else self.mask()
        values = () if found is None else tuple(name for name, _ in structures_in(found[0]))
        if len(values) < 2 or (self.coding is not None and self.coding.knows(values)):
            return ()
        return (head_doubt(_several(annotation, values), values),)

    def _judged(
        self, content: FrameContent, shown: ShownEllipse, path: Path, answers: Answers
    ) -> FrameContent:
        """The content with the ellipse that the file at ``path`` shows, and the doubts about it."""
        doubts, certain, calibration = content.doubts, True, content.calibration
        if shown.doubt:
            doubt = shape_doubt(f"{path}: {shown.doubt}.")
            doubts, held = (*doubts, doubt), doubt.holds(answers).value
            if held == NONE:
                return replace(content, doubts=doubts)
            certain = held == FINAL
        disagreement = self._disagreement(shown.ellipse)
        if disagreement is not None:
            doubts += (disagreement[0],)
            held = disagreement[0].holds(answers).value
            if held == FROM_HC:
                calibration = disagreement[1]
            elif held == NONE:
                calibration = None
        return replace(
            content,
            ellipse=shown.ellipse,
            doubts=doubts,
            calibration=calibration,
            certain=certain,
            mask_values=() if shown.value is None else (shown.value,),
        )

    def _check_frame(self, pixels: NDArray[np.uint8], note: str | None, answers: Answers) -> None:
        """Raise :class:`InputError` for a picture that is no frame."""
        if note == ANNOTATION_NOTE:
            raise InputError(
                f"{self.place} is an annotation, as a note in the file says, and was left out. "
                "Name it after its frame (NAME_mask.png) to use it."
            )
        if note == FIGURE_NOTE:
            raise InputError(
                f"{self.place} is a figure that FetalStudio made, as a note in the file says, and "
                "was left out. Import the frames themselves."
            )
        if note == FRAME_NOTE and self.synthetic is not None:
            raise InputError(
                f"{self.place} is a real frame, as a note in the file says, but a table beside it "
                "says that it is synthetic. It was left out. Correct the table."
            )
        if answers.get(Question.ROLE) != FRAME and is_annotation(pixels):
            raise InDoubtError(
                role_doubt(
                    f"{self.place} looks like an annotation and not like an ultrasound (few grey "
                    "levels in flat regions).",
                    "Name it after its frame (NAME_mask.png) to use it as one.",
                )
            )

    def _pair(self, pixels: NDArray[np.uint8], said: str | None) -> FrameContent:
        """A synthetic picture with its ellipse, or :class:`InputError` where that is not known."""
        size = (pixels.shape[1], pixels.shape[0])
        known, problems = self._stated(said), self.problems
        shown, _, notes, errors = self._ellipse(size, NO_ANSWERS)
        problems += notes
        if shown is None:
            problems += tuple(f"{error} Its picture is synthetic." for error in errors)
        if known is None and shown is None:
            raise InputError(
                " ".join(problems)
                + f"{' ' if problems else ''}{self.place} is synthetic, as a note in the file "
                "says, but neither the file nor an annotation shows its ellipse. It was left out: "
                "it must not count as a real frame. Export the pairs of the project that it came "
                "from."
            )
        if known is None and shown is not None:
            known = SyntheticNote(shown.ellipse, shown.ellipse, False, None, {}, {})
        assert known is not None
        if not (known.ellipse.reaches(size) and known.requested.reaches(size)):
            raise InputError(
                f"{self.place} is synthetic, but the ellipse that is stated for it lies outside. "
                "It was left out. Export it again from the project that it came from."
            )
        if shown is not None and not _same_outline(shown.ellipse, known.ellipse):
            file = next(path for path, _ in self._shown(NO_ANSWERS))
            where = "a table" if self.ellipse is not None else file
            problems += (
                f"{self.place} states another ellipse than {where}, which was taken. Check it in "
                "Review.",
            )
            known = replace(known, ellipse=shown.ellipse, corrected=True)
        calibration = known.calibration or self.calibration
        provenance = {**known.provenance, "imported": True}
        known = replace(known, calibration=calibration, provenance=provenance)
        return FrameContent(pixels, known.ellipse, problems, synthetic=known)

    def _stated(self, said: str | None) -> SyntheticNote | None:
        """What the file says about its synthetic picture, or else a table beside it."""
        if said is None or not is_synthetic(said):
            return self.synthetic
        try:
            own = read_note(said)
        except ValueError as error:
            raise InputError(
                f"{self.place} is synthetic, and the note in the file cannot be used: {error}. It "
                "was left out. Export it again from the project that it came from."
            ) from error
        beside = self.synthetic
        if own is None or beside is None or own.copy or not beside.copy:
            return own or beside
        return replace(own, provenance={**own.provenance, "copy": True})

    def _ellipse(
        self, size: Size, answers: Answers
    ) -> tuple[ShownEllipse | None, Path, tuple[str, ...], Sequence[InputError]]:
        """The ellipse and the file that shows it, a message for each thing that is wrong with it,
        and where there is none, the reasons.

        The table's counts first, which is exact, then that of the annotation file, then that of
        the picture; but one without a doubt counts before all others.
        """
        found: list[tuple[Path, ShownEllipse]] = []
        errors: list[InputError] = []
        for path, show in self._shown(answers):
            try:
                if (seen := show(size)) is not None:
                    found.append((path, seen))
            except InputError as error:
                if not found:
                    errors.append(error)
        if not found:
            return None, self.path, (), errors
        certain = [item for item in found if not item[1].doubt]
        path, shown = (certain or found)[0]
        notes = tuple(f"{error} Another outline of it was taken." for error in errors)
        if shown.note:
            notes += (shown.note,)
        for other, also in certain[1:]:
            if shown.ellipse.overlap(also.ellipse) < SAME_DICE:
                notes += (
                    f"{path} and {other} show different ellipses in {self.place}. The former was "
                    "taken, which is the more exact. Check it.",
                )
        return shown, path, notes, ()

    def _shown(
        self, answers: Answers
    ) -> Iterator[tuple[Path, Callable[[Size], ShownEllipse | None]]]:
        """The files that show the ellipse, and how each is read, the most exact first."""
        if self.ellipse is not None:
            yield self.path, self._of_table
        if self.outline is not None:
            yield self.outline_file or self.path, self.outline
        path, head = self.annotation_for(answers), answers.get(Question.HEAD)
        if path is not None:
            value = None if head == NONE else head
            yield path, lambda size: self._annotated(path, size, value)

    def _of_table(self, size: Size) -> ShownEllipse:
        assert self.ellipse is not None
        if self.ellipse_size not in (None, size):
            raise InputError(
                f"{self.place} is {size[0]}x{size[1]} px, which is not the width and height that "
                "the table of ellipses has. Correct the table."
            )
        if not self.ellipse.reaches(size):
            raise InputError(f"{self.place}: its ellipse lies outside. Correct the table.")
        return ShownEllipse(self.ellipse)

    def _by_hand(self, mm: float) -> Calibration:
        try:
            return Calibration(mm, mm, "manual")
        except ValueError as error:
            raise InputError(f"{self.path}: {error}. State another pixel size.") from error

    def annotation_for(self, answers: Answers) -> Path | None:
        """The picture that shows its ellipse, where in doubt the one that the answers take."""
        for doubt in self.doubts:
            if doubt.question is Question.ANNOTATION:
                return doubt.holds(answers).file
        return self.annotation

    def _annotated(self, path: Path, size: Size, value: str | None) -> ShownEllipse | None:
        """The ellipse that the annotation shows, None where nothing is marked in it."""
        found = read_samples(path) if self.mask is None else self.mask()
        if found is None:
            return None
        samples, alpha = found
        if samples.shape[1::-1] != size:
            raise InputError(
                f"{path} is {samples.shape[1]}x{samples.shape[0]} px but its frame "
                f"{size[0]}x{size[1]}. Export it at the frame's size."
            )
        if self.mask is None and pages_in(path) > 1:
            raise InputError(
                f"{path} holds {pages_in(path)} pages. Export the mask as one picture."
            )
        coding = self.coding
        if coding is not None and coding.head is None and value is None:
            raise InputError(
                f"{path} does not mark the head, as the data set says of it. If it does, state its "
                "value with the option --mask-value of the command import."
            )
        try:
            shown = _head_in(samples, alpha, value, coding)
        except SeveralStructuresError as error:
            raise SeveralStructuresInFileError(path, error.values) from error
        except ValueError as error:
            raise InputError(
                f"{path}: {error}. Export it again, the head in white on black, or remove it."
            ) from error
        drawn = self.drawn
        if drawn is None or not np.array_equal(samples == samples.max(), drawn.mask(size) > 0):
            return shown
        return ShownEllipse(drawn, value=shown.value)

    def _disagreement(self, ellipse: Ellipse) -> tuple[Doubt, Calibration | None] | None:
        """The doubt about a pixel size that the stated HC contradicts, and the one that this HC
        gives."""
        if self.calibration is None or self.hc_mm is None:
            return None
        measured = self.calibration.to_mm(ellipse).perimeter
        if abs(measured - self.hc_mm) <= _HC_TOLERANCE * self.hc_mm:
            return None
        scale = self.hc_mm / measured
        x, y = self.calibration.mm_per_px_x * scale, self.calibration.mm_per_px_y * scale
        other = Calibration(x, y, self.calibration.source) if max(x, y) <= 10 else None
        doubt = calibration_doubt(
            f"{self.place}: the annotation's HC is {measured:.1f} mm, the table says "
            f"{self.hc_mm:.1f}.",
            self.calibration.mm_per_px * scale,
        )
        return doubt, other


@dataclass(frozen=True, slots=True)
class FrameContent:
    """What the files of a :class:`FrameRecord` hold."""

    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse | None
    problems: tuple[str, ...]
    """A message for each thing that was left out or looks wrong, naming the file and the cure."""
    doubts: tuple[Doubt, ...] = ()
    """What is, or without the answers would be, in doubt."""
    calibration: Calibration | None = None
    certain: bool = True
    """Whether the ellipse is what the source shows; else it is a proposal."""
    mask_values: tuple[str, ...] = ()
    """The values of the structures in the annotation picture, where they were not told apart."""
    redacted: bool = False
    """Whether something was blacked out that nobody confirmed: text, or what a scanner shows around
    the sector."""
    layout: str | None = None
    """The fingerprint of its layout, where it is a scanner's screen, or shows text."""
    text_kept: bool = False
    """Whether text was found in it that nobody has decided on, and is kept."""
    synthetic: SyntheticNote | None = None
    """How the picture was made, where it is synthetic. The ellipse is then this one's."""

    @property
    def size(self) -> Size:
        """(width, height) in px."""
        return self.pixels.shape[1], self.pixels.shape[0]


class SeveralStructuresInFileError(InputError):
    """An annotation picture shows several structures, and which is the head was not stated."""

    def __init__(self, path: Path, values: tuple[str, ...]) -> None:
        super().__init__(_several(path, values))
        self.values = values


def _several(path: Path, values: Sequence[str]) -> str:
    return f"{path} shows several structures, with the values {', '.join(values)}."


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


@dataclass(frozen=True, slots=True)
class ExportedFrame:
    """A real frame on its way into a folder."""

    id: str
    name: str
    cohort: str
    subject: str
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse | None
    calibration: Calibration | None
    labels: Mapping[str, str]
    part: Part | None = None
    """None where it is not yet divided."""


@dataclass(frozen=True, slots=True)
class ExportedPair:
    """A synthetic frame with its ellipse, on its way into a folder."""

    id: str
    name: str
    cohort: str
    pixels: NDArray[np.uint8]
    """(H, W) grey."""
    ellipse: Ellipse
    requested: Ellipse
    calibration: Calibration | None
    quality: Mapping[str, float]
    provenance: Mapping[str, Any]
    corrected: bool = False
    """Whether a person moved the ellipse."""
    part: ClassVar[Part] = "train"
    """Nothing is validated or tested on a synthetic frame, so it is in no other part."""

    @property
    def note(self) -> SyntheticNote:
        """What the picture's file says about it."""
        return SyntheticNote(
            self.ellipse,
            self.requested,
            self.corrected,
            self.calibration,
            self.quality,
            self.provenance,
        )


def _same_outline(one: Ellipse, other: Ellipse) -> bool:
    params = (other.cx, other.cy, other.a, other.b, other.angle_deg)
    apart = float(np.abs(distances(params, one.contour(60))).max())
    return apart <= max(_SAME_PX, _SAME_SHARE * other.a)


def _head_in(
    samples: NDArray[Any], alpha: NDArray[Any] | None, value: str | None, coding: Coding | None
) -> ShownEllipse:
    """Raises as :func:`~fetalstudio.formats.outline_pictures.ellipse_in`."""
    try:
        shown = ellipse_in(samples, alpha, value)
        values: tuple[str | None, ...] = (shown.value,)
    except SeveralStructuresError as error:
        values = error.values
        if coding is None or not coding.knows(values):
            raise
    if value is None and coding and coding.knows(values):
        shown = ellipse_in(samples, alpha, coding.head)
    return shown
