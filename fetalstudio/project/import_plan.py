"""What an import would do, before anything is stored.

A plan says of every file what it is taken for, and of every frame its subject, pixel size and
ellipse, whether it is a duplicate, and what is in doubt. Of pixels it holds one frame of each
layout of a scanner's screen, by which a person confirms what may be stored. A person answers the
doubts with :class:`Choices`; what is left in doubt is not guessed, and the safe part is imported.
An import is a plan, made with the choices, that is stored: see
:mod:`fetalstudio.project.importers`.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.geometry import Size
from fetalstudio.core.names import visible_key
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.words import counted
from fetalstudio.formats.doubts import (
    LEAVE_OUT,
    MIDDLE,
    NONE,
    SHARPEST,
    Answers,
    Doubt,
    InDoubtError,
    Question,
    checked_answer,
    head_doubt,
)
from fetalstudio.formats.frame_records import FrameContent, FrameRecord, FrameSource
from fetalstudio.formats.frame_tables import some
from fetalstudio.formats.pictures import FRAME_NOTE
from fetalstudio.formats.redaction import Policy, Redactor, UnclearScreenError, remembered
from fetalstudio.formats.screen_samples import ScreenSample, ScreenSamples
from fetalstudio.formats.sources import AUTO, read_source
from fetalstudio.formats.synthetic_notes import SyntheticNote
from fetalstudio.formats.tables import TABLE_SUFFIXES
from fetalstudio.formats.unread_files import files_below
from fetalstudio.project.deidentifying import doubtful_labels, stored_cohort
from fetalstudio.project.frames import SET_SUBJECT
from fetalstudio.project.patients import Keys
from fetalstudio.project.pixels import Pixels, picture_id
from fetalstudio.project.project import DATABASE, Project
from fetalstudio.project.records import Frame

_MOST_READERS = 4
"""Threads that decode frames; each may hold one of the largest size."""
Keep = Callable[[Pixels, str], str]
Sharpest = Callable[[FrameRecord, Redactor], int | None]
"""Gives the number, from 0, of the frame of a clip that shows a head best; None where none does.
It raises :class:`Stopped` if asked to."""
_GLOB = re.compile(r"[*?\[]")
_OF_A_CLIP = (Question.FRAMES, Question.SUBJECT)
"""What holds for all frames of a clip, or for none."""


class Role(StrEnum):
    """What a file is taken for."""

    FRAME = "frame"
    ANNOTATION = "annotation"
    """A mask or a ring."""
    TABLE = "table"
    ANNOTATION_FILE = "annotation file"
    UNREAD = "not read"
    """It holds pictures or annotations, but in a format that is not read."""
    OTHER = "other"
    """Nothing that an import could use."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that is no frame."""

    path: Path
    role: Role
    note: str = ""
    """What cannot be used of it, and the cure."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person decided about an import."""

    cohort: str | None = None
    """Where the frames go; without one, into the cohort that the plan proposes."""
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


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """A picture that is taken for a frame, or may be one."""

    key: str
    """Its path below the source, ``/`` between the parts; with ``#`` and its name where several
    frames are in a file."""
    record: FrameRecord
    subject: str
    frame_id: str | None = None
    """Hash of its pixels; None where it is left out."""
    size: Size | None = None
    ellipse: Ellipse | None = None
    certain: bool = True
    """Whether the ellipse is what the source shows; else it is a proposal."""
    calibration: Calibration | None = None
    doubts: tuple[Doubt, ...] = ()
    """Also those that the choices answer."""
    notes: tuple[str, ...] = ()
    """A message for each thing that cannot be used or looks wrong, with its cure."""
    held: Frame | None = None
    """The frame of the project that has the same picture."""
    twin: str | None = None
    """Key of an earlier frame of the source that has the same picture."""
    mask_values: tuple[str, ...] = ()
    """The values of the structures in the annotation picture, where they were not told apart."""

    synthetic: SyntheticNote | None = None
    """How the picture was made, where it becomes a pair."""
    unclear: str = ""
    """Why it is in doubt what of its screen may be stored; it is then left out."""
    redacted: bool = False
    """Whether something was blacked out that nobody confirmed."""
    layout: str | None = None
    """The fingerprint of its layout, where it is a scanner's screen, or shows text."""
    text_kept: bool = False
    """Whether text was found in it that nobody has decided on, and is kept."""
    clip: str | None = None
    """Key of the clip that it is a frame of."""

    @property
    def path(self) -> Path:
        """The file that the picture is in."""
        return self.record.path

    @property
    def is_new(self) -> bool:
        """Whether an import adds a frame, or a pair."""
        return self.frame_id is not None and self.held is None and self.twin is None

    @property
    def taken_for(self) -> str:
        """What a person reads: ``frame``, ``left out``, ``held as 010_HC``."""
        if self.frame_id is None:
            return "left out"
        if self.held is not None:
            return f"held as {self.held.name}"
        if self.twin is not None:
            return f"same as {self.twin}"
        return "frame" if self.synthetic is None else "synthetic pair"


@dataclass(frozen=True, slots=True)
class PlanCounts:
    """What a plan comes to."""

    frames: int
    """New ones."""
    subjects: int
    """Of the frames that can be read, new or not."""
    annotated: int
    """Of the new frames, how many have an ellipse."""
    pairs: int
    """New synthetic pairs, to be reviewed."""
    duplicates: int
    left_out: int
    """Pictures that are not imported, by choice, in doubt, or because they cannot be used."""
    in_doubt: int
    """Pictures with a doubt that is not answered."""
    unread: int
    """Files that hold pictures or annotations, but in a format that is not read."""

    def summary(self) -> str:
        """One sentence: ``412 frames of 118 subjects, 390 with an ellipse; 6 in doubt``."""
        text = f"{counted(self.frames, 'frame')} of {counted(self.subjects, 'subject')}"
        text += f", {self.annotated} with an ellipse"
        text += f"; {counted(self.pairs, 'synthetic pair')}" if self.pairs else ""
        text += f"; {self.duplicates} already in the project or twice" if self.duplicates else ""
        text += f"; {self.in_doubt} in doubt" if self.in_doubt else ""
        text += f"; {counted(self.unread, 'file')} not read" if self.unread else ""
        return f"{text}."


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import of a source would do under some choices."""

    source: Path
    format: str
    """As asked for: ``auto`` or a name."""
    cohort: str
    """Where the frames would go."""
    choices: Choices
    frames: tuple[PlannedFrame, ...]
    files: tuple[PlannedFile, ...]
    """All other visible files, at any depth."""
    notes: tuple[str, ...]
    """A message for each thing that is wrong with the source as a whole, or with a table."""
    doubtful_labels: Mapping[str, str] = field(default_factory=dict)
    """Of the labels that are left out, as they may say who a patient is: what each looks like, by
    name."""
    redactor: Redactor = field(default_factory=Redactor)
    """Says what is blacked out of the frames; see :meth:`FrameRecord.shown`."""
    screens: tuple[ScreenSample, ...] = ()
    """A frame of each layout that shows text, whether a person has confirmed it or not."""
    clips: Mapping[str, FrameRecord] = field(default_factory=dict)
    """The clips, by their keys."""

    def labels(self, frame: PlannedFrame) -> dict[str, str]:
        """The labels that a frame gets."""
        labels = frame.record.labels.items()
        return {name: text for name, text in labels if name not in self.doubtful_labels}

    def open_doubts(self, frame: PlannedFrame) -> tuple[Doubt, ...]:
        """The doubts about a frame that the choices do not answer."""
        return open_doubts(frame, self.choices)

    @property
    def problems(self) -> tuple[str, ...]:
        """The message of every doubt that the choices leave open, and every note, each once."""
        said, clips = list[str](), list[Path]()
        for frame in self.frames:
            for doubt in self.open_doubts(frame):
                if doubt.question is Question.FRAMES:
                    clips.append(frame.path)
                else:
                    said.append(doubt.report)
        if clips:
            said.append(
                f"{_and_more(clips)}: of each clip, the middle frame was imported. Choose others "
                "in the window, which asks for each, or with the options --frames and --every of "
                "the command import."
            )
        return tuple(dict.fromkeys((*said, *self.all_notes)))

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The notes on the source and on its frames, each once, and one for all alike that are
        about what their screens show."""
        notes = [note for frame in self.frames for note in frame.notes]
        unclear: dict[str, list[Path]] = defaultdict(list)
        for frame in self.frames:
            if frame.unclear:
                unclear[frame.unclear].append(frame.path)
        notes += [f"{_and_more(paths)} was left out. {why}" for why, paths in unclear.items()]
        if redacted := [frame.path for frame in self.frames if frame.redacted]:
            notes.append(
                f"{_and_more(redacted)}: what a scanner shows around the sector was blacked out, "
                "and so was the text that was found in it. Text can be missed: check the frames "
                "in Annotate, and remove those that still show a name."
            )
        if kept := [frame.path for frame in self.frames if frame.text_kept]:
            notes.append(
                f"{_and_more(kept)}: text or marks of a scanner seem to be burned into the "
                "picture and are kept, because it does not look like a scanner's screen. Check "
                "it. To black text out, confirm in the window what may be stored of it, or "
                "import with --redact text."
            )
        return tuple(dict.fromkeys((*self.notes, *notes)))

    def pictures(self, unseen: Collection[str] = ()) -> Mapping[str, str | None]:
        """The hashes of the pictures, by the keys of the frames, without those of screens that have
        one of the ``unseen`` layouts."""
        return {f.key: f.frame_id for f in self.frames if f.layout not in unseen}

    def counts(self) -> PlanCounts:
        """What the plan comes to."""
        read = [frame for frame in self.frames if frame.frame_id is not None]
        real = [frame for frame in read if frame.synthetic is None]
        new = [frame for frame in real if frame.is_new]
        pairs = sum(frame.is_new for frame in read if frame.synthetic is not None)
        drawn = {frame.frame_id for frame in read if frame.ellipse is not None}
        return PlanCounts(
            frames=len(new),
            subjects=len({frame.subject for frame in real}),
            annotated=sum(frame.frame_id in drawn for frame in new),
            pairs=pairs,
            duplicates=len(read) - len(new) - pairs,
            left_out=len(self.frames) - len(read),
            in_doubt=sum(bool(self.open_doubts(frame)) for frame in self.frames),
            unread=sum(file.role is Role.UNREAD for file in self.files),
        )


def open_doubts(frame: PlannedFrame, choices: Choices) -> tuple[Doubt, ...]:
    """The doubts about a frame that choices do not answer."""
    if not frame.doubts or choices.leave_out(frame.key, frame.clip):
        return ()
    answers = choices.answers(frame.key, frame.clip)
    return tuple(doubt for doubt in frame.doubts if not doubt.answered(answers))


def plan_import(
    project: Project,
    source: Path,
    choices: Choices = NO_CHOICES,
    *,
    format: str = AUTO,
    frames: str | None = None,
    head_label: str | None = None,
    redact: Policy = "auto",
    sharpest: Sharpest | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportPlan:
    """Read a folder (or one image) in a format of :mod:`fetalstudio.formats.sources`, and say what
    an import of it would do under these choices. Nothing is stored.

    The options are those of :func:`fetalstudio.project.importers.import_frames`. Raises as
    :class:`Planner` and :meth:`Planner.plan`.
    """
    planner = Planner(
        project,
        source,
        format=format,
        head_label=head_label,
        redact=redact,
        sharpest=sharpest,
        progress=progress,
    )
    return planner.plan(with_frames(choices, frames), progress=progress)


def with_frames(choices: Choices, frames: str | None) -> Choices:
    """The choices with those frames of every file that has several, where nothing else is chosen.

    Raises :class:`InputError` for what is no answer to :attr:`Question.FRAMES`.
    """
    return choices if frames is None else Choices.of([("frames", frames, ())]).joined(choices)


class Planner:
    """Plans the import of one source under one choice after another.

    A picture is read again only where another answer holds for it, or where what may be stored of
    its screen was confirmed meanwhile.
    """

    def __init__(
        self,
        project: Project,
        source: Path,
        *,
        format: str = AUTO,
        head_label: str | None = None,
        redact: Policy = "auto",
        files: Sequence[Path] = (),
        keep_labels: Collection[str] = (),
        sharpest: Sharpest | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Find the frames of the source; no picture is decoded. ``sharpest`` looks for the best
        frame of a clip, where that is chosen.

        The options are those of :func:`fetalstudio.project.importers.import_frames`. Raises
        :class:`InputError` for a source without an image, for the store of a project, or where the
        secret of the patients' keys is on another computer, and :class:`Stopped` if asked to.
        """
        _check_not_a_store(source)
        self._found = read_source(source, format, head_label, files, progress)
        self._screens = ScreenSamples()
        self._redactor = Redactor(redact, seen=self._screens.saw)
        self._follow_confirmed()
        self._keep_labels = keep_labels
        project.patients.check_secret()
        self._project, self._format = project, format
        self._source = source = Path(source).absolute()
        self._root = source if source.is_dir() else source.parent
        found = (*self._found.records, *self._found.unsure)
        self._records: dict[str, FrameRecord] = {}
        for record in found:
            key = _key(record, self._root)
            while key in self._records:
                key += "+"
            self._records[key] = record
        self._look = sharpest
        self._frames: dict[tuple[str, str | None], tuple[FrameRecord, ...]] = {}
        """By the key of a file with several frames and the choice among them."""
        self._files = _other_files(source, self._found)
        self._read: dict[str, tuple[Answers | None, FrameRecord, PlannedFrame]] = {}
        """By key: under which answers each picture was read (None where it is left out by choice),
        and as what."""

    def plan(
        self,
        choices: Choices = NO_CHOICES,
        *,
        keep: Keep = lambda pixels, _note: picture_id(pixels),
        progress: Progress = NO_PROGRESS,
    ) -> ImportPlan:
        """The plan under these choices.

        ``keep`` gets the pixels of every picture that is read for it and can be imported, and the
        note that its file is to have, and returns its id.

        Raises :class:`InputError` for choices about a file that is not there, and
        :class:`Stopped` if asked to.
        """
        changed = self._follow_confirmed()
        chosen = self._chosen(choices)
        records, drawn = self._assigned(
            choices, {key: record for key, (record, _) in chosen.items()}
        )
        todo = {}
        for key, record in records.items():
            clip = chosen[key][1]
            left_out = choices.leave_out(key, clip) or key == clip
            answers = None if left_out else choices.answers(key, clip)
            if (
                key not in self._read
                or self._read[key][:2] != (answers, record)
                or self._read[key][2].layout in changed
            ):
                todo[key] = answers, record
        for number, (key, read) in enumerate(_read_ahead(todo, self._redactor)):
            progress.advance(number, len(todo))
            answers, record = todo[key]
            self._read[key] = answers, record, _planned(record, key, answers, read, keep)
        progress.advance(len(todo), len(todo))  # the last check: what follows is short
        frames: list[PlannedFrame] = []
        known: dict[str, PlannedFrame] = {}
        keys: Keys | None = None
        for key in records:
            planned, clip = self._read[key][2], chosen[key][1]
            if clip is not None:
                doubt = self._records[clip].frames_doubt
                doubts = planned.doubts if doubt is None else (doubt, *planned.doubts)
                of_clip = clip if self._records[clip].is_clip else None
                planned = replace(planned, clip=of_clip, doubts=doubts)
            if key == clip:  # none of its frames is taken
                choice = choices.answers(key, key).get(Question.FRAMES)
                missing = self._records[key].beyond(choice)
                planned = replace(planned, notes=() if missing is None else (missing,))
            if planned.frame_id is not None:
                held = self._project.frames.find(planned.frame_id)
                first = known.setdefault(planned.frame_id, planned)
                if held is not None and keys is None:
                    keys = self._project.patients.keys()
                key_of = str if keys is None else keys.key
                first_one = first if first is not planned else None
                planned = _compared(planned, held, first_one, key_of)
            frames.append(planned)
        files = [file for file in self._files if file.path not in drawn]
        files += [PlannedFile(path, Role.ANNOTATION) for path in drawn]
        real = [frame for frame in frames if frame.frame_id and frame.synthetic is None]
        there = [f.held for f in real if f.held is not None and f.held.kind == "real"]
        cohort, renamed = stored_cohort(self._project, choices.cohort, self._found.cohort, there)
        notes = self._found.problems + self._unknown_labels(frames)
        if renamed is not None and any(frame.is_new for frame in real):
            notes += (renamed,)
        return ImportPlan(
            source=self._source,
            format=self._format,
            cohort=cohort,
            choices=choices,
            frames=_with_single_structures(frames, choices),
            files=tuple(sorted(files, key=lambda file: file.path)),
            notes=notes,
            doubtful_labels=doubtful_labels(
                {n: text for n, text in f.record.labels.items() if n not in self._keep_labels}
                for f in frames
                if f.frame_id is not None
            ),
            redactor=replace(self._redactor, seen=None),
            screens=self._samples(frames),
            clips={key: record for key, record in self._records.items() if record.is_clip},
        )

    def _follow_confirmed(self) -> set[str | None]:
        """Redact as a person has confirmed by now, and say of which layouts that is new. Raises as
        :func:`remembered`."""
        if self._redactor.policy == "none":
            return set()
        before, confirmed = self._redactor.layouts, remembered()
        self._redactor = replace(self._redactor, layouts=confirmed)
        return {layout for layout, how in confirmed.items() if before.get(layout) != how}

    def _samples(self, frames: Sequence[PlannedFrame]) -> tuple[ScreenSample, ...]:
        """A frame of each layout of those that are imported, or could be once it is confirmed."""
        layouts = Counter(
            frame.layout
            for frame in frames
            if frame.layout is not None and (frame.frame_id is not None or frame.unclear)
        )
        return self._screens.samples(layouts, self._redactor.layouts)

    def _unknown_labels(self, frames: Sequence[PlannedFrame]) -> tuple[str, ...]:
        """A message for each of the labels to keep that is not there."""
        found = {name for f in frames if f.frame_id is not None for name in f.record.labels}
        return tuple(
            f"The source has no labels {name!r} that could be kept. It has: "
            f"{', '.join(sorted(found)) or 'none'}."
            for name in self._keep_labels
            if name not in found
        )

    def _chosen(self, choices: Choices) -> dict[str, tuple[FrameRecord, str | None]]:
        """The records of single frames by key, each with the key of its clip. A file of several
        frames of which none is taken is there itself."""
        found: dict[str, tuple[FrameRecord, str | None]] = {}
        for file, record in self._records.items():
            if record.video is None:
                found[file] = record, None
                continue
            clip = file if record.is_clip else None
            choice = choices.answers(file, file).get(Question.FRAMES)
            if (file, choice) not in self._frames:
                self._frames[file, choice] = self._frames_of(record, choice)
            frames = self._frames[file, choice]
            found |= {_numbered(file, frame): (frame, clip) for frame in frames}
            if not frames:
                found[file] = record, file
        return found

    def _frames_of(self, record: FrameRecord, choice: str | None) -> tuple[FrameRecord, ...]:
        if choice != SHARPEST:
            return record.frames(choice)
        if not record.is_clip:
            return record.frames()
        if self._look is None:
            raise InputError(
                f"The sharpest frame of {record.path} was not looked for. State the numbers of its "
                "frames, or import it with the command import."
            )
        number = self._look(record, self._redactor)
        if number is not None:
            return record.frames(str(number + 1))
        said = (
            f"{record.path}: the segmenter saw no head in the clip, so the middle frame was taken. "
            "Choose another by its number."
        )
        return replace(record, problems=(*record.problems, said)).frames(MIDDLE)

    def _assigned(
        self, choices: Choices, found: Mapping[str, FrameRecord]
    ) -> tuple[dict[str, FrameRecord], set[Path]]:
        """The records without the pictures that a person takes for the annotations of others, and
        these."""
        _check_named(choices, {**self._records, **found}, self._source)
        given = {
            answers[Question.ANNOTATION]: found[answers[Question.ANNOTATION]].path
            for answers in choices.by_file.values()
            if answers.get(Question.ANNOTATION) in found
        }
        records = {}
        for key, record in found.items():
            path = given.get(choices.named(key).get(Question.ANNOTATION, "")) if given else None
            if key in given:
                continue
            if path is not None:
                doubts = tuple(d for d in record.doubts if d.question is not Question.ANNOTATION)
                record = replace(record, annotation=path, doubts=doubts, ellipse=None, outline=None)
            records[key] = record
        return records, set(given.values())


def _read_ahead(
    todo: Mapping[str, tuple[Answers | None, FrameRecord]], redactor: Redactor
) -> Iterator[tuple[str, Callable[[], FrameContent]]]:
    """By key, what waits for the content of a picture, or raises what reading it raised.

    A few are read at a time, each in a thread: the decoders let others run meanwhile.
    """
    workers = min(os.cpu_count() or 1, _MOST_READERS)
    with ThreadPoolExecutor(workers, "reader") as pool:
        ahead = deque[tuple[str, Future[FrameContent]]]()
        try:
            for key, (answers, record) in todo.items():
                ahead.append((key, pool.submit(_content, record, answers, redactor)))
                if len(ahead) > workers:
                    done, future = ahead.popleft()
                    yield done, future.result
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result
        finally:
            pool.shutdown(cancel_futures=True)


def _content(record: FrameRecord, answers: Answers | None, redactor: Redactor) -> FrameContent:
    if answers is None:
        raise InputError("left out by choice")
    return record.read(answers, redactor)


def _planned(
    record: FrameRecord,
    key: str,
    answers: Answers | None,
    read: Callable[[], FrameContent],
    keep: Keep,
) -> PlannedFrame:
    """What a picture is planned to be; one without answers is left out by choice."""
    subject = (answers or {}).get(Question.SUBJECT) or subject_of(record)
    planned = PlannedFrame(key=key, record=record, subject=subject, calibration=record.calibration)
    if answers is None:
        return planned
    try:
        content = read()
        made = content.synthetic
        frame_id = keep(content.pixels, FRAME_NOTE if made is None else made.text())
    except InDoubtError as error:
        return replace(planned, doubts=(error.doubt,))
    except UnclearScreenError as error:
        return replace(planned, unclear=str(error), layout=error.layout)
    except InputError as error:
        return replace(planned, notes=(str(error),))
    return replace(
        planned,
        frame_id=frame_id,
        size=content.size,
        ellipse=content.ellipse,
        certain=content.certain,
        calibration=content.calibration,
        doubts=content.doubts,
        notes=content.problems,
        mask_values=content.mask_values,
        synthetic=content.synthetic,
        redacted=content.redacted,
        layout=content.layout,
        text_kept=content.text_kept,
    )


def is_synthetic_frame(path: Path, held: Frame) -> str:
    """The message about a picture that is a synthetic frame of the project."""
    return (
        f"{path} is the synthetic frame {held.name} of this project and was not imported as a real "
        "one. Review it as a pair."
    )


def _compared(
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


def _with_single_structures(
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
    ellipse = frame.ellipse if _head(choices, frame) in frame.mask_values else None
    return replace(frame, doubts=(*frame.doubts, doubt), ellipse=ellipse)


def subject_of(record: FrameRecord) -> str:
    """The subject's key; one that a file's name gives may have any characters."""
    return visible_key(record.subject) or visible_key(record.name) or "unnamed"


def _numbered(file: str, frame: FrameRecord) -> str:
    """The key of a frame in a file that has several."""
    return f"{file}#{frame.name}"


def _key(record: FrameRecord, root: Path) -> str:
    path = record.path
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    key = inside.as_posix().encode("utf-8", "replace").decode()
    return key if record.decode is None else f"{key}#{record.name}"


def _check_named(choices: Choices, records: Mapping[str, FrameRecord], source: Path) -> None:
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


def _and_more(paths: Sequence[Path]) -> str:
    return f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}"


def _check_not_a_store(source: Path) -> None:
    """Raise :class:`InputError` for the pictures of a project, synthetic ones among them."""
    source = Path(source).absolute()
    for folder in (source, *source.parents):
        if folder.name == "frames" and (folder.parent / DATABASE).is_file():
            raise InputError(
                f"{source} belongs to the store of the project {folder.parent}, whose frames would "
                "lose their subjects and ellipses. Export that project and import the export."
            )


def _other_files(source: Path, found: FrameSource) -> tuple[PlannedFile, ...]:
    """What all files are taken for that are no frames."""
    taken = {record.path for record in (*found.records, *found.unsure)}
    annotations = {path for record in found.records for path in _annotations(record)} - taken
    read, unread = found.files - taken, {file.path: file for file in found.unread}
    files = [path for path, _ in files_below(source)] if source.is_dir() else []
    planned = []
    for path in sorted({*files, *annotations, *read, *unread} - taken):
        if path in annotations:
            planned.append(PlannedFile(path, Role.ANNOTATION))
        elif path in read and path.suffix.lower() not in TABLE_SUFFIXES:
            planned.append(PlannedFile(path, Role.ANNOTATION_FILE))
        elif path in unread:
            file = unread[path]
            planned.append(PlannedFile(path, Role.UNREAD, f"{file.kind}. {file.cure}"))
        elif path.suffix.lower() in TABLE_SUFFIXES:
            notes = (note for note in found.problems if note.startswith(str(path)))
            planned.append(PlannedFile(path, Role.TABLE, " ".join(notes)))
        else:
            planned.append(PlannedFile(path, Role.OTHER))
    return tuple(planned)


def _annotations(record: FrameRecord) -> Iterator[Path]:
    if record.annotation is not None:
        yield record.annotation
    for doubt in record.doubts:
        for answer in doubt.answers:
            if answer.file is not None:
                yield answer.file
