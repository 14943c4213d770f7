"""The steps of undo.

Each command appends to the project's history and takes nothing from it: undo appends the former
ellipse (or review, subject, cohort) again, so that it works after a save and a crash loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from PySide6.QtGui import QUndoCommand

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.progress import Stopped
from fetalstudio.core.words import counted
from fetalstudio.project.amendments import Amendments
from fetalstudio.project.models import BUILT_IN, ModelKind
from fetalstudio.project.store.records import (
    Amendment,
    Annotation,
    AnnotationState,
    Frame,
    Pair,
    ReviewState,
)
from fetalstudio.ui.session import Session

_VERBS: Mapping[ReviewState, str] = {
    "accepted": "accept",
    "rejected": "reject",
    "pending": "reopen",
}
"""What is done to a pair that gets a state."""


class ProjectCommand(QUndoCommand):
    """A step whose work is in :meth:`apply` and :meth:`revert`, whose errors are shown.

    Exceptions must not cross from an override into Qt, and a command whose first run failed must
    not stay on the stack.
    """

    places: tuple[str, ...] = ("annotate", "library")
    """Places that show the change; undo from elsewhere names the first of them."""
    told = False
    """Whether undo and redo are told in these places too, because what changes may be out of
    sight."""

    def __init__(self, session: Session, text: str) -> None:
        super().__init__(text)
        self.session = session
        self.done = False
        """Whether it has run. Later runs are redone by the person, and show what they change."""
        self.failed = False
        """Whether its last undo or redo failed. The session then moves the history back over it,
        and this run does nothing."""

    def prepare(self) -> None:
        """Note what is there before the first run, so that :meth:`revert` can restore it."""

    def apply(self) -> None:
        raise NotImplementedError

    def revert(self) -> None:
        raise NotImplementedError

    def redo(self) -> None:
        if self.failed:
            self.failed = False
        elif self._run(self.apply if self.done else self._apply_first):
            self.done = True
        elif self.done:
            self.failed = True
        else:
            self.setObsolete(True)

    def undo(self) -> None:
        self.failed = not self.failed and not self._run(self.revert)

    def _apply_first(self) -> None:
        self.prepare()
        self.apply()

    def _run(self, work: Callable[[], None]) -> bool:
        try:
            work()
        except Stopped:
            self.session.message.emit(f"Cancelled: {self.text()}. Nothing was changed.", "info")
            return False
        except Exception as error:
            self.session.report(error)
            return False
        return True


class SetEllipse(ProjectCommand):
    """Draw, change, confirm or remove the ellipse on a frame."""

    def __init__(
        self,
        session: Session,
        frame_id: str,
        ellipse: Ellipse | None,
        state: AnnotationState = "draft",
    ) -> None:
        super().__init__(session, "change ellipse")
        self.frame_id, self.ellipse, self.state = frame_id, ellipse, state
        self.before: Annotation | None = None

    def prepare(self) -> None:
        self.before = self.session.open.annotations.newest(self.frame_id)
        self.setText(_ellipse_text(self.before, self.ellipse, self.state))

    def apply(self) -> None:
        self.session.open.annotations.add(
            self.frame_id, self.ellipse, author=self.session.author, state=self.state
        )
        self._announce()

    def revert(self) -> None:
        annotate_as(self.session, self.frame_id, self.before)
        self._announce()

    def _announce(self) -> None:
        self.session.unsaved.pop(self.frame_id, None)
        self.session.annotation_changed.emit(self.frame_id)
        if self.done:
            self.session.select_frame(self.frame_id)


class SetEllipses(ProjectCommand):
    """Confirm or remove the ellipses on many frames at once: one transaction, one step of undo."""

    places = ("library",)
    told = True

    def __init__(
        self,
        session: Session,
        ellipses: Mapping[str, Ellipse | None],
        state: AnnotationState,
    ) -> None:
        verb = "remove" if None in ellipses.values() else "confirm"
        super().__init__(session, f"{verb} {counted(len(ellipses), 'ellipse')}")
        self.ellipses, self.state = dict(ellipses), state
        self.before: dict[str, Annotation | None] = {}

    def prepare(self) -> None:
        annotations = self.session.open.annotations
        self.before = {frame_id: annotations.newest(frame_id) for frame_id in self.ellipses}

    def apply(self) -> None:
        project = self.session.open
        with project.transaction():
            for frame_id, ellipse in self.ellipses.items():
                project.annotations.add(
                    frame_id, ellipse, author=self.session.author, state=self.state
                )
        self.session.frames_changed.emit()

    def revert(self) -> None:
        with self.session.open.transaction():
            for frame_id, was in self.before.items():
                annotate_as(self.session, frame_id, was)
        self.session.frames_changed.emit()


class SetCalibration(ProjectCommand):
    """Set the pixel size (mm) of some frames; ``shown`` is the frame on screen."""

    def __init__(
        self, session: Session, shown: Frame, frames: Sequence[Frame], calibration: Calibration
    ) -> None:
        super().__init__(session, f"calibrate {counted(len(frames), 'frame')}")
        self._shown, self._frames, self._after = shown.id, tuple(frames), calibration

    def apply(self) -> None:
        self._set({frame.id: self._after for frame in self._frames})

    def revert(self) -> None:
        self._set({frame.id: frame.calibration for frame in self._frames})

    def _set(self, calibrations: Mapping[str, Calibration | None]) -> None:
        project = self.session.open
        with project.transaction():
            for frame_id, calibration in calibrations.items():
                project.frames.set_calibration(frame_id, calibration)
        self.session.frames_changed.emit()
        self.session.select_frame(self._shown)


class SetLabel(ProjectCommand):
    """Set a label of a frame; an empty value takes it away."""

    def __init__(self, session: Session, text: str, frame: Frame, name: str, value: str) -> None:
        super().__init__(session, text)
        self._frame_id, self._name = frame.id, name
        self._before, self._after = frame.labels.get(name, ""), value

    def apply(self) -> None:
        self._set(self._after)

    def revert(self) -> None:
        self._set(self._before)

    def _set(self, value: str) -> None:
        self.session.open.frames.set_labels(self._frame_id, {self._name: value})
        self.session.frames_changed.emit()
        if self.done:
            self.session.select_frame(self._frame_id)


class Amend(Protocol):
    """Makes an amendment, on any thread."""

    def __call__(self, held: Amendments, /, **how: Any) -> Amendment:
        """``how``: the ``author`` and the ``progress``, as the amendments take them."""


class AmendFrames(ProjectCommand):
    """Change the subject or the cohort of frames, or remove them."""

    places = ("library",)
    told = True

    def __init__(self, session: Session, text: str, frames: int, amend: Amend) -> None:
        """``frames``: about how many are amended."""
        super().__init__(session, text)
        self._amend, self._frames = amend, frames
        self._amendment: Amendment | None = None
        self._selected: str | None = None

    def prepare(self) -> None:
        self._selected = self.session.frame_id

    def apply(self) -> None:
        order = [frame.id for frame in self.session.frames()]
        amend, author = self._amend, self.session.author
        self._amendment = self.session.wait_for(
            _title(self.text()),
            lambda project, progress: amend(project.amendments, author=author, progress=progress),
            frames=self._frames,
        )
        self.session.select_another(order)
        self._announce()
        if renamed := self._amendment.renamed:
            names = ", ".join(f"{old} is now {new}" for old, new in renamed[:3])
            more = f" and {len(renamed) - 3} more" if len(renamed) > 3 else ""
            text = f"Some names were taken in the cohort: {names}{more}."
            self.session.message.emit(text, "info")

    def revert(self) -> None:
        assert self._amendment is not None  # a command that did not run is not on the stack
        _take_back(self.session, self.text(), self._amendment.id, self._frames)
        self._announce()
        if self._selected is not None:
            self.session.select_frame(self._selected)

    def _announce(self) -> None:
        self.session.frames_changed.emit()
        self.session.pairs_changed.emit()
        self.session.batches_changed.emit()


class ImportFrames(ProjectCommand):
    """An import, which its job has done before; undo removes its frames again."""

    places = ("library",)
    told = True

    def __init__(self, session: Session, text: str, amendment_id: int, frames: int) -> None:
        """``frames``: about how many were imported."""
        super().__init__(session, text)
        self._amendment_id, self._frames = amendment_id, frames

    def apply(self) -> None:
        if self.done:
            number, author = self._amendment_id, self.session.author
            self.session.wait_for(
                _title(self.text()),
                lambda project, progress: project.amendments.redo(
                    number, author=author, progress=progress
                ),
                frames=self._frames,
            )
            self._announce()

    def revert(self) -> None:
        order = [frame.id for frame in self.session.frames()]
        _take_back(self.session, self.text(), self._amendment_id, self._frames)
        self.session.select_another(order)
        self._announce()

    def _announce(self) -> None:
        self.session.frames_changed.emit()
        self.session.pairs_changed.emit()
        self.session.batches_changed.emit()


class ReviewPair(ProjectCommand):
    """Accept or reject a pair, or correct its ellipse."""

    places = ("review",)
    told = True

    def __init__(
        self, session: Session, pair_id: int, state: ReviewState, ellipse: Ellipse | None = None
    ) -> None:
        super().__init__(session, "review pair")
        self.pair_id, self.state, self.ellipse = pair_id, state, ellipse
        self.before: Pair | None = None

    def prepare(self) -> None:
        self.before = before = self.session.open.pairs.get(self.pair_id)
        corrected = self.ellipse is not None and self.state == before.state
        verb = "correct" if corrected else _VERBS[self.state]
        self.setText(f"{verb} pair {before.frame.name}")

    def apply(self) -> None:
        self._review(self.state, self.ellipse)

    def revert(self) -> None:
        assert self.before is not None  # a command is applied before it is reverted
        self._review(self.before.state, None if self.ellipse is None else self.before.ellipse)

    def _review(self, state: ReviewState, ellipse: Ellipse | None) -> None:
        self.session.open.pairs.review(
            self.pair_id, state, reviewer=self.session.author, ellipse=ellipse
        )
        self.session.pairs_changed.emit()


class ReviewPairs(ProjectCommand):
    """Give many pairs the same state at once: one transaction, one step of undo."""

    places = ("review",)
    told = True

    def __init__(self, session: Session, before: Sequence[Pair], state: ReviewState) -> None:
        super().__init__(session, f"{_VERBS[state]} {counted(len(before), 'pair')}")
        self.before, self.state = tuple(before), state

    def apply(self) -> None:
        self._review([(pair.id, self.state) for pair in self.before])

    def revert(self) -> None:
        self._review([(pair.id, pair.state) for pair in self.before])

    def _review(self, states: Sequence[tuple[int, ReviewState]]) -> None:
        project = self.session.open
        with project.transaction():
            for pair_id, state in states:
                project.pairs.review(pair_id, state, reviewer=self.session.author)
        self.session.pairs_changed.emit()


class AdoptModel(ProjectCommand):
    """Use another model from now on; None is the built-in one."""

    def __init__(self, session: Session, kind: ModelKind, name: str | None) -> None:
        super().__init__(session, f"use {name or BUILT_IN}")
        self.kind, self.name = kind, name
        self.places = ("synthesise",) if kind == "synthesizer" else ("train",)
        self.before: str | None = None

    def prepare(self) -> None:
        self.before = self._in_use()

    def apply(self) -> None:
        self.session.open.models.adopt(self.kind, self.name)
        self.session.models_changed.emit()

    def revert(self) -> None:
        if self._in_use() == self.name:
            # So that a later roll-back does not return to an adoption that was undone.
            self.session.open.models.roll_back(self.kind)
        else:
            self.session.open.models.adopt(self.kind, self.before)
        self.session.models_changed.emit()

    def _in_use(self) -> str | None:
        active = self.session.open.models.active(self.kind)
        return active.name if active is not None else None


def _title(text: str) -> str:
    """What is done, as a heading."""
    return text[:1].upper() + text[1:]


def _take_back(session: Session, text: str, amendment_id: int, frames: int) -> None:
    """Undo an amendment of about so many frames, which the text names."""
    author = session.author
    session.wait_for(
        f"Undo: {text}",
        lambda project, progress: project.amendments.undo(
            amendment_id, author=author, progress=progress
        ),
        frames=frames,
    )


def annotate_as(session: Session, frame_id: str, was: Annotation | None) -> None:
    """Append the annotation that the frame had before."""
    project = session.open
    made_from = project.readings.adjudicated(frame_id).get((frame_id, was.revision if was else 0))
    if was is not None and was.ellipse is not None and made_from:
        project.readings.adjudicate(
            frame_id, was.ellipse, made_from, author=was.author, state=was.state
        )
        return
    project.annotations.add(
        frame_id,
        was.ellipse if was else None,
        author=was.author if was else session.author,
        state=was.state if was else "draft",
        confidence=was.confidence if was else None,
    )


def _ellipse_text(
    before: Annotation | None, ellipse: Ellipse | None, state: AnnotationState
) -> str:
    """The text for the Edit menu: "Undo draw ellipse"."""
    old = before.ellipse if before else None
    if ellipse is None:
        return "remove ellipse"
    if old is None:
        return "draw ellipse"
    if old == ellipse:
        return {"final": "confirm ellipse", "draft": "reopen ellipse"}.get(state, "propose ellipse")
    return "change ellipse"
