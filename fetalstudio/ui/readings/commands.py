"""The steps of undo of readings, their merge and their adjudication."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtGui import QUndoCommand

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.project.reading_exchange import MergePlan, merge_readings
from fetalstudio.project.store.records import Annotation, ReadingSession
from fetalstudio.ui.commands import ProjectCommand, annotate_as
from fetalstudio.ui.session import Session


class DrawReading(QUndoCommand):
    """One gesture on a frame that is read. Nothing is stored before the reading is saved."""

    places = ("reading",)

    def __init__(
        self,
        show: Callable[[int, Ellipse | None], None],
        number: int,
        old: Ellipse | None,
        new: Ellipse | None,
    ) -> None:
        super().__init__("draw on the frame that is read")
        self._show, self._number, self._old, self._new = show, number, old, new

    def redo(self) -> None:
        """Show the new ellipse."""
        self._show(self._number, self._new)

    def undo(self) -> None:
        """Show the former one."""
        self._show(self._number, self._old)


class StoreReading(ProjectCommand):
    """Store what a person drew without seeing; undo takes the reading back."""

    places = ("reading",)

    def __init__(
        self,
        session: Session,
        reading: ReadingSession,
        number: int,
        ellipse: Ellipse | None,
        seconds: float,
    ) -> None:
        super().__init__(session, "save reading")
        self._reading, self._number = reading, number
        self._ellipse, self._seconds = ellipse, seconds
        self._id = ""

    def apply(self) -> None:
        readings = self.session.open.readings
        if self.done:
            readings.withdraw(self._id, withdrawn=False)
        else:
            self._id = readings.add(
                self._reading, self._number, self._ellipse, seconds=self._seconds
            ).id
        self.session.readings_changed.emit()

    def revert(self) -> None:
        self.session.open.readings.withdraw(self._id)
        self.session.open.readings.end(self._reading.id, ended=False)
        self.session.readings_changed.emit()


class Adjudicate(ProjectCommand):
    """Decide on the ellipse of a frame by its readings."""

    places = ("adjudication", "annotate")

    def __init__(
        self, session: Session, frame_id: str, ellipse: Ellipse, readings: Sequence[str]
    ) -> None:
        super().__init__(session, "adjudicate")
        self._frame_id, self._ellipse, self._readings = frame_id, ellipse, tuple(readings)
        self._before: Annotation | None = None

    def prepare(self) -> None:
        self._before = self.session.open.annotations.newest(self._frame_id)

    def apply(self) -> None:
        self.session.open.readings.adjudicate(
            self._frame_id, self._ellipse, self._readings, author=self.session.author
        )
        self._announce()

    def revert(self) -> None:
        annotate_as(self.session, self._frame_id, self._before)
        self._announce()

    def _announce(self) -> None:
        self.session.annotation_changed.emit(self._frame_id)


class MergeReadings(ProjectCommand):
    """Store the readings of a colleague's file."""

    places = ("agreement", "adjudication")

    def __init__(
        self, session: Session, plan: MergePlan, rename: Mapping[str, str], *, keep_both: bool
    ) -> None:
        super().__init__(session, "merge readings")
        self._plan, self._rename, self._keep_both = plan, dict(rename), keep_both
        self._amendment_id = 0

    def apply(self) -> None:
        if self.done:
            self.session.open.amendments.redo(self._amendment_id, author=self.session.author)
        else:
            self._amendment_id = merge_readings(
                self.session.open,
                self._plan,
                author=self.session.author,
                keep_both=self._keep_both,
                rename=self._rename,
            )
        self.session.readings_changed.emit()

    def revert(self) -> None:
        self.session.open.amendments.undo(self._amendment_id, author=self.session.author)
        self.session.readings_changed.emit()
