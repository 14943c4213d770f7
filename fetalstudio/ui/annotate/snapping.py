"""Moves the ellipse of a frame onto the skull by a second look at the frame."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.snap.request import SnapRequest, SnapResult
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session

ELSEWHERE = (
    "This may not be the outline of the head: the built-in segmenter finds the head elsewhere. "
    "Check the ellipse, or press P to compare it with a proposal."
)


class SnapFlow(QObject):
    """Asks for one frame at a time; a new request stops the previous one."""

    snapped = Signal(str, object, object, bool)
    """Frame id, the :class:`Ellipse` that was asked about, the one on the skull, and whether the
    built-in segmenter finds the head elsewhere."""

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._job: JobHandle[SnapResult] | None = None

    def ask(self, frame_id: str, ellipse: Ellipse) -> None:
        """Look for the outline of the skull near the ellipse."""
        if self._job is not None:
            self._job.cancel()
        path = self._session.open.path
        self._job = self._session.submit(SnapRequest(path, frame_id, ellipse))
        self._job.on_finished(lambda result: self._finished(path, ellipse, result))

    def _finished(self, path: Path, asked: Ellipse, result: SnapResult) -> None:
        if not self._session.is_open(path):
            return
        if result.ellipse is None:
            self._session.message.emit(
                "No outline of a skull was found near the ellipse, which stays as it is. Draw it "
                "closer to the skull.",
                "warning",
            )
            return
        if not result.elsewhere:
            self._session.spreads[result.frame_id, result.ellipse] = result.spread
        self.snapped.emit(result.frame_id, asked, result.ellipse, result.elsewhere)
