"""Plans an import: see :mod:`fetalstudio.project.importing.plan`."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.formats.folders.shared_names import shared_names
from fetalstudio.formats.pictures.picture_files import pictures_in, stem_of
from fetalstudio.formats.privacy.redaction import Redactor, remembered
from fetalstudio.formats.privacy.screen_samples import ScreenSample, ScreenSamples
from fetalstudio.formats.reading.doubts import MIDDLE, SHARPEST, Answers, Question
from fetalstudio.formats.reading.frame_reading import FoundEllipse
from fetalstudio.formats.reading.frame_records import FrameRecord
from fetalstudio.formats.reading.table_ellipses import with_axes_doubts
from fetalstudio.formats.sources import read_source
from fetalstudio.project.importing.choices import NO_CHOICES, Choices, check_named
from fetalstudio.project.importing.comparisons import compared, with_single_structures
from fetalstudio.project.importing.deidentifying import doubtful_labels, stored_cohort
from fetalstudio.project.importing.odd_pixel_sizes import with_odd_sizes
from fetalstudio.project.importing.options import USUAL, ImportOptions
from fetalstudio.project.importing.placements import (
    EllipsePlacements,
    Move,
    moved,
    moves_of,
    pictures_beside,
    placed,
)
from fetalstudio.project.importing.plan import ImportPlan, PlannedFrame
from fetalstudio.project.importing.reading import Wanted, found_ahead, planned_frame, read_ahead
from fetalstudio.project.importing.roles import PlannedFile, Role, other_files
from fetalstudio.project.patients import Keys
from fetalstudio.project.project import DATABASE, Project
from fetalstudio.project.staging import Staging

Sharpest = Callable[[FrameRecord, Redactor], int | None]
"""Gives the number, from 0, of the frame of a clip that shows a head best; None where none does.
It raises :class:`Stopped` if asked to."""


def plan_import(
    project: Project,
    source: Path,
    choices: Choices = NO_CHOICES,
    options: ImportOptions = USUAL,
    *,
    sharpest: Sharpest | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImportPlan:
    """Read a folder (or one image) in a format of :mod:`fetalstudio.formats.sources`, and say what
    an import of it would do under these choices. Nothing is stored.

    Raises as :class:`Planner` and :meth:`Planner.plan`.
    """
    planner = Planner(project, source, options, sharpest=sharpest, progress=progress)
    return planner.plan(choices, progress=progress)


class Planner:
    """Plans the import of one source under one choice after another.

    A picture is read again only where another answer holds for it, or where what may be stored of
    its screen was confirmed meanwhile.
    """

    def __init__(
        self,
        project: Project,
        source: Path,
        options: ImportOptions = USUAL,
        *,
        sharpest: Sharpest | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Find the frames of the source; no picture is decoded but a few of those of which a table
        has the ellipse. ``sharpest`` looks for the best frame of a clip, where that is chosen.

        Raises :class:`InputError` for a source without an image, for the store of a project, or
        where the secret of the patients' keys is on another computer, and :class:`Stopped` if asked
        to.
        """
        _check_not_a_store(source)
        options.joined(NO_CHOICES)  # raises for frames that cannot be chosen, before any is read
        found = read_source(source, options.format, options.head_label, options.files, progress)
        self._found = replace(found, records=with_axes_doubts(found.records, progress))
        self._screens = ScreenSamples()
        self._redactor = Redactor(options.redact, seen=self._screens.saw)
        self._follow_confirmed()
        project.patients.check_secret()
        self._project, self._options = project, options
        self._source = source = Path(source).absolute()
        self._root = source if source.is_dir() else source.parent
        pictures = (*self._found.records, *self._found.unsure)
        self._records: dict[str, FrameRecord] = {}
        for record in pictures:
            key = _key(record, self._root)
            while key in self._records:
                key += "+"
            self._records[key] = record
        self._in_file = Counter(record.path for record in pictures)
        self._look = sharpest
        self._placements = EllipsePlacements(source)
        self._frames: dict[tuple[str, str | None], tuple[FrameRecord, ...]] = {}
        """By the key of a file with several frames and the choice among them."""
        self._files = other_files(source, self._found)
        self._read: dict[str, tuple[Answers | None, FrameRecord, PlannedFrame]] = {}
        """By key: under which answers each picture was read (None where it is left out by choice),
        and as what."""
        self._moved: dict[str, tuple[Move, str | None, FoundEllipse]] = {}
        """By key: where a person said that the ellipse of which picture belongs, and what was found
        there."""

    def plan(
        self,
        choices: Choices = NO_CHOICES,
        *,
        staging: Staging | None = None,
        progress: Progress = NO_PROGRESS,
    ) -> ImportPlan:
        """The plan under these choices.

        Every picture that is read for it and can be imported is put into the ``staging``, where
        there is one. What a stopped import has left is used.

        Raises :class:`InputError` for choices about a file that is not there, and
        :class:`Stopped` if asked to.
        """
        choices = self._options.joined(choices)
        changed = self._follow_confirmed()
        chosen = self._chosen(choices)
        records, drawn = self._assigned(
            choices, {key: record for key, (record, _) in chosen.items()}
        )
        todo: dict[str, Wanted] = {}
        for key, record in records.items():
            clip = chosen[key][1]
            left_out = choices.leave_out(key, clip) or key == clip
            answers = None if left_out else _of_reading(choices.answers(key, clip))
            if (
                key not in self._read
                or self._read[key][:2] != (answers, record)
                or self._read[key][2].layout in changed
            ):
                todo[key] = Wanted(record, answers, self._inside(record))
        if staging is not None:
            staging.expect(len(todo))
        staged = staging or self._project.imports.staged(self._source)
        for number, (key, read) in enumerate(read_ahead(todo, self._redactor, staged)):
            progress.advance(number, len(todo))
            wanted = todo[key]
            planned = planned_frame(key, wanted, read, self._redactor, staging)
            self._read[key] = wanted.answers, wanted.record, planned
        progress.advance(len(todo), len(todo))
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
                planned = compared(planned, held, first_one, key_of)
            frames.append(planned)
        frames = self._placed(with_single_structures(frames, choices), choices, progress)
        frames = with_odd_sizes(frames, choices)
        progress.check()  # for the last time: what follows is short
        files = [file for file in self._files if file.path not in drawn]
        files += [PlannedFile(path, Role.ANNOTATION) for path in drawn]
        real = [frame for frame in frames if frame.frame_id and frame.synthetic is None]
        there = [f.held for f in real if f.held is not None and f.held.kind == "real"]
        cohort, renamed = stored_cohort(self._project, choices.cohort, self._found.cohort, there)
        notes = self._found.problems + self._unknown_labels(frames)
        if renamed is not None and any(frame.is_new for frame in real):
            notes += (renamed,)
        untold = (f for f in real if f.subject in (f.record.name, stem_of(f.path)))
        shared = shared_names([frame.path for frame in untold if frame.is_new], self._root)
        notes += () if shared is None else (shared,)
        return ImportPlan(
            source=self._source,
            format=self._options.format,
            cohort=cohort,
            choices=choices,
            frames=tuple(frames),
            files=tuple(sorted(files, key=lambda file: file.path)),
            notes=notes,
            doubtful_labels=doubtful_labels(
                {
                    n: text
                    for n, text in f.record.labels.items()
                    if n not in self._options.keep_labels
                }
                for f in frames
                if f.frame_id is not None
            ),
            redactor=replace(self._redactor, seen=None),
            screens=self._samples(frames),
            clips={key: record for key, record in self._records.items() if record.is_clip},
            taken_names=self._taken_names(cohort, real),
        )

    def _placed(
        self, frames: Sequence[PlannedFrame], choices: Choices, progress: Progress
    ) -> list[PlannedFrame]:
        """The frames with what is in doubt about where their ellipses lie, and with those that a
        person says belong elsewhere, which are judged again there. Raises :class:`Stopped` if asked
        to."""
        beside = pictures_beside(frames)
        whole = self._found.whole_heads
        doubts = self._placements.doubts(frames, beside, progress) if whole else {}
        moves = moves_of(frames, beside, doubts, choices)
        planned = {frame.key: frame for frame in frames}
        todo: dict[str, Callable[[], FoundEllipse]] = {}
        for key, move in moves.items():
            size = planned[key].size
            if size is not None and self._moved.get(key, ())[:2] != (move, planned[key].frame_id):
                todo[key] = partial(move.find, size)
        for number, (key, found) in enumerate(found_ahead(todo)):
            progress.advance(number, len(todo))
            self._moved[key] = moves[key], planned[key].frame_id, found()
        if todo:
            progress.advance(len(todo), len(todo))
        there = [moved(planned[key], move, self._moved[key][2]) for key, move in moves.items()]
        compared = with_single_structures((*frames, *there), choices)[len(frames) :]
        planned |= {frame.key: frame for frame in compared}
        return [placed(frame, doubts, choices) for frame in planned.values()]

    def _taken_names(self, cohort: str, real: Sequence[PlannedFrame]) -> tuple[str, ...]:
        """Names of new frames that others of the cohort have."""
        names = {frame.record.name for frame in real if frame.is_new}
        there = {frame.name for frame in self._project.frames.all(cohort=cohort, kind=None)}
        return tuple(sorted(names & there))

    def _inside(self, record: FrameRecord) -> str:
        """Which of the pictures in its file a record is, whatever other files there are."""
        if self._in_file[record.path] > 1:
            return record.name
        return "" if record.from_video is None else record.name.removeprefix(record.from_video)

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
            for name in self._options.keep_labels
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
        check_named(choices, {**self._records, **found}, self._source)
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


def _of_reading(answers: Answers) -> Answers:
    """Those that count when a picture is read: where its ellipse belongs is decided afterwards."""
    return {question: a for question, a in answers.items() if question is not Question.PLACE}


def _numbered(file: str, frame: FrameRecord) -> str:
    """The key of a frame in a file that has several."""
    return f"{file}#{frame.name}"


def _key(record: FrameRecord, root: Path) -> str:
    path = record.path
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    key = inside.as_posix().encode("utf-8", "replace").decode()
    return key if record.decode is None else f"{key}#{record.name}"


def _check_not_a_store(source: Path) -> None:
    """Raise :class:`InputError` for the pictures of a project, synthetic ones among them."""
    source = Path(source).absolute()
    inside = (source, *source.parents)
    with contextlib.suppress(OSError):  # the reading says that it cannot be read
        if source.is_dir() and not pictures_in(source):  # a project that is imported as a whole
            inside = (source / "frames", *inside)
    for folder in inside:
        if folder.name == "frames" and (folder.parent / DATABASE).is_file():
            raise InputError(
                f"{source} belongs to the store of the project {folder.parent}, whose frames would "
                "lose their subjects and ellipses. Export that project and import the export."
            )
