"""How cohorts are drawn, as pairs follow it: looked up, or measured while the canvas rests."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from fetalstudio.core.convention import NO_OFFSET, Offset
from fetalstudio.engine.cohort_conventions import drawn_for_pairs, known_for_pairs
from fetalstudio.engine.jobs.pair_convention.request import (
    PairConventionRequest,
    PairConventionResult,
)
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session


class PairConventions(QObject):
    """What pairs of each cohort follow. A measurement gives way to the images of the canvas: what
    it has found so far stays in the engine, and the next one goes on from there."""

    changed = Signal()
    """A measurement began or ended, or what was known may hold no longer."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._offsets: dict[str, Offset] = {}
        """What was known last of each cohort that was looked up."""
        self._known: set[str] = set()
        """The cohorts of which it holds for the annotated frames as they are."""
        self._checked: set[str] = set()
        """The cohorts that were looked up since the last change of a frame."""
        self._job: JobHandle[PairConventionResult] | None = None
        session.project_changed.connect(self._forget_all)
        session.frames_changed.connect(self._forget)
        session.annotation_changed.connect(lambda _frame_id: self._forget())

    @property
    def measuring(self) -> bool:
        """Whether a measurement is under way, or will be as soon as other jobs have ended."""
        return self._job is not None

    def offset(self, cohort: str) -> Offset:
        """How the cohort is drawn, as far as it is known. An ellipse that was changed since does
        not count: this is asked with each movement of the mouse."""
        if cohort not in self._offsets:
            self._look_up(cohort)
        return self._offsets[cohort]

    def is_known(self, cohort: str) -> bool:
        """Whether :meth:`offset` holds for the annotated frames as they are now."""
        if cohort not in self._checked:
            self._look_up(cohort)
        return cohort in self._known

    def measure(self, cohort: str) -> None:
        """Measure how the cohort is drawn, unless that is known or under way."""
        if self._job is not None or self.is_known(cohort):
            return
        job = self._session.submit(PairConventionRequest(self._session.open.path, cohort))
        job.ended.connect(self._ended)
        self._job = job
        self.changed.emit()

    def pause(self) -> None:
        """Stop measuring, because an image is wanted."""
        if self._job is not None:
            self._job.cancel()

    def _look_up(self, cohort: str) -> None:
        project = self._session.open
        known = known_for_pairs(project, drawn_for_pairs(project, [cohort]))
        self._checked.add(cohort)
        if cohort in known:
            found = known[cohort]
            self._known.add(cohort)
            self._offsets[cohort] = NO_OFFSET if found is None else found.offset
        else:
            self._offsets.setdefault(cohort, NO_OFFSET)

    def _ended(self) -> None:
        self._job = None
        self._forget()  # what was found is read from where it is kept

    def _forget(self) -> None:
        self._known.clear()
        self._checked.clear()
        self.changed.emit()

    def _forget_all(self) -> None:
        self.pause()
        for known in (self._offsets, self._known, self._checked):
            known.clear()
