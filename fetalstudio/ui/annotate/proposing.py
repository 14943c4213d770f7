"""Asks the segmenter for an ellipse on one frame, and shows it beside a person's own."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.propose.request import ProposeRequest, ProposeResult
from fetalstudio.project.store.records import Frame
from fetalstudio.ui.annotate.annotation_panel import AnnotationPanel
from fetalstudio.ui.canvas import FrameCanvas
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session


class ProposalFlow(QObject):
    """Asks for the frame that is shown; requests for several frames are answered one after another.

    If no person has drawn an ellipse on the frame, the job stores the proposal. Otherwise the
    proposal is only shown, and the person decides whether it replaces the ellipse.
    """

    proposed = Signal(str, object)
    """Frame id and proposed :class:`Ellipse`."""
    asked_changed = Signal()
    """A request was made, or ended."""

    def __init__(self, session: Session, canvas: FrameCanvas, panel: AnnotationPanel) -> None:
        super().__init__(canvas)
        self._session, self._canvas, self._panel = session, canvas, panel
        self._frame: Frame | None = None
        self._own: Ellipse | None = None
        self.shown: Ellipse | None = None
        """The proposal that is shown beside the person's own ellipse."""
        self._jobs: dict[tuple[Path, str], JobHandle[ProposeResult]] = {}
        """The requests that wait or are under way, by project and frame."""
        self._said = ""
        """Which convention proposals follow, as it was said last."""

    def set_frame(self, frame: Frame, own: Ellipse | None) -> None:
        """Set the frame on the canvas and its own ellipse; drops a proposal for another frame."""
        another = self._frame is None or frame.id != self._frame.id
        self._frame, self._own = frame, own
        self.show(None if another else self.shown)

    def show(self, proposal: Ellipse | None) -> None:
        """Show a proposal beside the person's ellipse; None hides it."""
        self.shown = proposal
        self._canvas.set_ghost(proposal)
        if self._frame is not None:
            self._panel.show_proposal(proposal, self._own, self._frame)

    def toggle(self, frame_id: str) -> None:
        """Ask for a proposal on a frame, or stop the request for this frame."""
        path = self._session.open.path
        asked = path, frame_id
        if asked in self._jobs:
            self._jobs[asked].cancel()
            return
        settings = self._session.settings
        request = ProposeRequest(
            path,
            frame_ids=(frame_id,),
            convention=settings.follow_convention,
            snap=settings.snap_proposals,
        )
        self._jobs[asked] = job = self._session.submit(request)
        job.on_finished(lambda result: self._finished(path, result))
        job.ended.connect(lambda: self._ended(asked))
        self.asked_changed.emit()

    def asks_for(self, frame_id: str) -> bool:
        """Whether a proposal was asked for on this frame of the open project."""
        project = self._session.project
        return project is not None and (project.path, frame_id) in self._jobs

    def _finished(self, path: Path, result: ProposeResult) -> None:
        if not self._session.is_open(path):
            return
        self._session.keep_spreads(result)
        for proposal in result.proposals:
            self._session.annotation_changed.emit(proposal.frame_id)
            self.proposed.emit(proposal.frame_id, proposal.ellipse)
        if result.proposals and result.followed not in ("", self._said):
            self._said = result.followed
            self._session.message.emit(result.followed, "info")
        for name in result.without:
            self._session.message.emit(
                f"The segmenter found no head in {name}. Draw the ellipse yourself.", "warning"
            )

    def _ended(self, asked: tuple[Path, str]) -> None:
        del self._jobs[asked]
        self.asked_changed.emit()
