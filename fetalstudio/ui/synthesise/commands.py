"""The steps of undo in Synthesise."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtGui import QUndoCommand

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.store.records import Amendment, Frame
from fetalstudio.ui.commands import ProjectCommand
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.sampler import Sample


class KeepPair(ProjectCommand):
    """Keep an image with its ellipse as a pair for review."""

    places = ("synthesise",)
    told = True

    def __init__(
        self, session: Session, sample: Sample, frame: Frame, tell: Callable[[Sample, bool], None]
    ) -> None:
        """``frame`` is the one that the image was made from. ``tell`` is called with the image and
        whether it is kept."""
        super().__init__(session, f"keep pair {sample.name_in(frame)}")
        self._sample, self._frame, self._tell = sample, frame, tell
        self._pair_id: int | None = None
        self._removal: Amendment | None = None

    def apply(self) -> None:
        project = self.session.open
        if self._removal is None:
            self._pair_id = self._sample.keep(project, self._frame).id
            text = f"Kept as pair {self._pair_id}, ready for review."
            self.session.message.emit(text, "step")
        else:
            project.amendments.undo(self._removal.id, author=self.session.author)
        self._announce(kept=True)

    def revert(self) -> None:
        assert self._pair_id is not None  # a command is applied before it is reverted
        self._removal = self.session.open.amendments.remove_pair(
            self._pair_id, author=self.session.author
        )
        self._announce(kept=False)

    def _announce(self, *, kept: bool) -> None:
        self._tell(self._sample, kept)
        self.session.pairs_changed.emit()


class DismissBatch(ProjectCommand):
    """Stop offering an unfinished batch for resuming."""

    places = ("synthesise",)
    told = True

    def __init__(self, session: Session, batch_id: int) -> None:
        super().__init__(session, "dismiss batch")
        self._batch_id = batch_id

    def apply(self) -> None:
        self._set(True)

    def revert(self) -> None:
        self._set(False)

    def _set(self, dropped: bool) -> None:
        self.session.open.batches.drop(self._batch_id, dropped=dropped)
        self.session.batches_changed.emit()


class MoveHead(QUndoCommand):
    """Move a synthetic head. Nothing is stored, but undo reverts it like any edit."""

    places = ("synthesise",)

    def __init__(
        self, show: Callable[[str, Ellipse], None], frame_id: str, old: Ellipse, new: Ellipse
    ) -> None:
        super().__init__("move the synthetic head")
        self._show, self._frame_id, self._old, self._new = show, frame_id, old, new

    def redo(self) -> None:
        """Place the new ellipse."""
        self._show(self._frame_id, self._new)

    def undo(self) -> None:
        """Place the former one."""
        self._show(self._frame_id, self._old)
