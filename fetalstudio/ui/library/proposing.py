"""Proposals by the segmenter for frames that no person has annotated."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from fetalstudio.core.words import counted, listed
from fetalstudio.engine.jobs.propose.request import ProposeRequest, ProposeResult
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session


class ProposeFlow(QObject):
    """Starts the job ``propose`` with the person's settings and reports its result.

    Only one job runs at a time. What is asked for while one runs is ignored.
    """

    changed = Signal()
    """A job has started or ended."""

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self.session = session
        self._job: JobHandle[ProposeResult] | None = None

    @property
    def busy(self) -> bool:
        """Whether proposals are being made."""
        return self._job is not None

    def propose(self, frame_ids: Sequence[str]) -> None:
        """Let the segmenter propose ellipses for these frames."""
        self._start(frame_ids=tuple(frame_ids))

    def propose_for_all(self, cohort: str | None, *, again: bool = False) -> None:
        """Let the segmenter propose ellipses for a cohort; None for all cohorts.

        ``again``: also where its proposal waits or was rejected.
        """
        self._start(cohort=cohort, again=again)

    def _start(
        self,
        *,
        frame_ids: tuple[str, ...] | None = None,
        cohort: str | None = None,
        again: bool = False,
    ) -> None:
        if self.busy:
            return
        settings = self.session.settings
        request = ProposeRequest(
            self.session.open.path,
            frame_ids=frame_ids,
            cohort=cohort,
            again=again,
            convention=settings.follow_convention,
            snap=settings.snap_proposals,
        )
        self._job = self.session.submit(request)
        self._job.on_finished(lambda result: self._report(request, result))
        self._job.ended.connect(self._ended)
        self.changed.emit()

    def _report(self, request: ProposeRequest, result: ProposeResult) -> None:
        text = f"{counted(len(result.proposals), 'ellipse')} proposed. You decide on each."
        self.session.keep_spreads(result)
        if not self.session.is_open(request.project):
            text = f"{request.project.name}: {text}"
        if result.without:
            text += f" No head was found in {listed(result.without, 3)}. Draw the ellipse yourself."
        if result.followed:
            text += f" {result.followed}"
        self.session.message.emit(text, "warning" if result.without else "info")

    def _ended(self) -> None:
        # Also after a cancel or a failure: what was proposed until then is in the project.
        self._job = None
        self.session.frames_changed.emit()
        self.changed.emit()
