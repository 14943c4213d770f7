"""The line of the Library that says how heads are drawn."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel

from fetalstudio.engine.cohort_conventions import apart, kept_conventions, measurable
from fetalstudio.engine.jobs.measure_conventions.request import (
    MeasureConventionsRequest,
    MeasureConventionsResult,
)
from fetalstudio.ui import theme
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.frame_grid import FrameModel
from fetalstudio.ui.session import Session

_SETTLED_MS = 300
_MEASURE = 'was not measured yet, or has changed. <a href="measure">Measure (Ctrl+M)</a>'


class ConventionLine(QLabel):
    """How the shown cohort is drawn, or which cohorts differ, where it was measured.

    It is hidden while there is nothing to say.
    """

    def __init__(self, session: Session, model: FrameModel) -> None:
        super().__init__()
        self._session = session
        self._model = model
        self._job: JobHandle[MeasureConventionsResult] | None = None
        theme.style(self, "dim")
        self.setWordWrap(True)
        self.linkActivated.connect(lambda _link: self.measure())
        self.hide()
        # Looks at all annotated frames, so not after each stroke of a pen.
        self._timer = QTimer(self, singleShot=True, interval=_SETTLED_MS)
        self._timer.timeout.connect(self._show)

    def refresh(self) -> None:
        """Say what holds now, shortly after the last of several calls."""
        self._timer.start()

    def measure(self) -> None:
        """Measure how the shown cohort is drawn, or all of them."""
        if self._session.project is None or self._job is not None:
            return
        request = MeasureConventionsRequest(self._session.project.path, self._model.cohort)
        self._job = self._session.submit(request)
        self._job.on_finished(self._measured)
        self._job.ended.connect(self._ended)
        self._show()

    def _show(self) -> None:
        project = self._session.project
        drawn = self._model.drawn() if project is not None else []
        kept = kept_conventions(project, drawn) if project is not None else {}
        one = len({frame.cohort for frame in drawn}) == 1
        said = [found.sentence for found in kept.values()] if one else apart(kept)
        if measurable(drawn) - kept.keys() and self._job is None:
            said.append(f"How these heads are drawn {_MEASURE}")
        self.setText(" ".join(said))
        self.setVisible(bool(said))

    def _measured(self, result: MeasureConventionsResult) -> None:
        if not result.conventions:
            self._session.message.emit(
                "It cannot be said how these heads are drawn: no cohort has annotated frames of "
                "three subjects or more in which the segmenter finds the head.",
                "info",
            )

    def _ended(self) -> None:
        self._job = None
        self.refresh()
