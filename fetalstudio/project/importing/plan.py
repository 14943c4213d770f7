"""What an import would do, before anything is stored.

A plan says of every file what it is taken for, and of every frame its subject, pixel size and
ellipse, whether it is a duplicate, and what is in doubt. Of pixels it holds one frame of each
layout of a scanner's screen, by which a person confirms what may be stored. A person answers the
doubts with :class:`Choices`; what is left in doubt is not guessed, and the safe part is imported.
An import is a plan, made with the choices, that is stored: see
:mod:`fetalstudio.project.importing.importers`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Size
from fetalstudio.core.words import counted
from fetalstudio.formats.pictures.synthetic_notes import SyntheticNote
from fetalstudio.formats.privacy.redaction import Redactor
from fetalstudio.formats.privacy.screen_samples import ScreenSample
from fetalstudio.formats.reading.doubts import Doubt, Question
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.tables.frame_rows import some
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.importing.deidentifying import is_public_name
from fetalstudio.project.importing.roles import PlannedFile, Role
from fetalstudio.project.store.records import Frame

TEXT_KEPT = (
    "Text or marks of a scanner seem to be burned into the picture and are kept, because it does "
    "not look like a scanner's screen. Check that it names nobody."
)
"""Said of a picture whose :attr:`PlannedFrame.text_kept` is set."""


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
    on_skull: float | None = None
    """How well the ellipse lies on a skull, as
    :func:`~fetalstudio.core.bright_outline.lies_on_skull` has it of the reduced picture."""
    ellipse_notes: tuple[str, ...] = ()
    """Those of the notes that are about what the files show of its ellipse."""
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
    taken_names: tuple[str, ...] = ()
    """Names of files of new frames that other frames of the cohort have."""

    def renamed(self, *, keep_names: bool) -> str | None:
        """What is said where frames would come under a name that is taken; ``keep_names`` as
        :func:`fetalstudio.project.importing.importers.import_frames` has it."""
        names = [n for n in self.taken_names if keep_names or is_public_name(n)]
        if not names:
            return None
        return (
            f"Cohort {self.cohort} has {counted(len(names), 'frame')} of the same name with other "
            f"pixels, so what comes gets a number: {some(names)}."
        )

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
                f"{_and_more(kept)}: {TEXT_KEPT} To black it out, confirm in the window what may "
                "be stored of it, or import with --redact text."
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


def _and_more(paths: Sequence[Path]) -> str:
    return f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}"
