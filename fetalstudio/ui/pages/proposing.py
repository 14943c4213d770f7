"""Asking the segmenter for the ellipse of one frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from fetalstudio.engine.requests import ProposeRequest, ProposeResult
from fetalstudio.ui.session import Session

if TYPE_CHECKING:
    from fetalstudio.ui.engine import JobHandle


class ProposalFlow(QObject):
    """At most one job ``propose`` at a time.

    Where no person has drawn, the job stores the proposal and ``annotation_changed`` of the
    session follows; where one has, the proposal is only told here.
    """

    proposed = Signal(str, object)
    """Frame id and proposed :class:`Ellipse`."""
    busy_changed = Signal(bool)

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job: JobHandle | None = None

    def toggle(self, frame_id: str) -> None:
        """Ask for a proposal on a frame; while one is being made, stop that instead."""
        if self._job is not None:
            self._job.cancel()
            return
        request = ProposeRequest(self._session.open.path, frame_ids=(frame_id,))
        self._job = self._session.submit("propose", request)
        self._job.finished.connect(self._finished)
        self._job.ended.connect(self._ended)
        self.busy_changed.emit(True)

    def _finished(self, result: ProposeResult) -> None:
        for proposal in result.proposals:
            self._session.annotation_changed.emit(proposal.frame_id)
            self.proposed.emit(proposal.frame_id, proposal.ellipse)
        for name in result.without:
            self._session.message.emit(
                f"The segmenter finds no head in {name}. Draw the ellipse yourself.", "warning"
            )

    def _ended(self) -> None:
        self._job = None
        self.busy_changed.emit(False)
