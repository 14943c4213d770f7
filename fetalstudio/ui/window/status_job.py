"""The running job in the status bar: its title, progress, time left and a cancel button."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QTimer
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from fetalstudio.core.words import format_duration
from fetalstudio.engine.process.events import Progress
from fetalstudio.ui import theme
from fetalstudio.ui.common.elided_label import ElidedLabel

if TYPE_CHECKING:
    from fetalstudio.ui.job_runner import JobHandle
    from fetalstudio.ui.session import Session

_QUIET_MS = 300
"""A shorter job (such as a sample while the ellipse is dragged) is not shown at all."""
_BAR_WIDTH = 160
"""px."""
_STOP = "Stop the job"


class StatusJob(QWidget):
    """Follows the engine; hidden while nothing runs."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session, self._engine = session, session.engine
        layout = QHBoxLayout(self)
        layout.setContentsMargins(theme.SPACE, 2, theme.SPACE, 2)
        layout.setSpacing(theme.SPACE + 4)
        self.title = ElidedLabel("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(_BAR_WIDTH)
        self.left = ElidedLabel()
        for label in (self.title, self.left):  # as wide as the text, where there is room
            label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.cancel = QPushButton("Cancel")
        self.cancel.setShortcut(QKeySequence("Ctrl+."))
        self.cancel.clicked.connect(self._cancel)
        self._offer(_STOP, "")
        for widget in (self.title, self.bar, self.left, self.cancel):
            layout.addWidget(widget)
        self._delay = QTimer(self, singleShot=True, interval=_QUIET_MS)
        self._delay.timeout.connect(self.show)
        self._engine.job_started.connect(self._started)
        self._engine.queue_changed.connect(self._show_title)
        self._engine.job_progress.connect(self._progressed)
        self._engine.job_ended.connect(self._ended)
        session.project_changed.connect(self._show_title)
        self.hide()
        if self._engine.running is not None:
            self._started(self._engine.running)

    def _started(self, handle: JobHandle[Any]) -> None:
        self._show_title()
        self.bar.setRange(0, 0)
        self.left.clear()
        self._offer(_STOP, handle.job.stopped)
        self._delay.start()

    def _offer(self, what: str, kept: str) -> None:
        # What is kept has a line of its own, which the sheet of the keys leaves out.
        self.cancel.setToolTip(f"{theme.tip(what, 'Ctrl+.')}\n{kept}".strip())
        self.cancel.setEnabled(True)

    def _show_title(self) -> None:
        handle, waiting = self._engine.running, self._engine.waiting
        if handle is not None:
            where = self._session.elsewhere(handle)
            count = f" ({len(waiting)} waiting)" if waiting else ""
            title = handle.job.title
            self.title.setText(f"{title}{where}{_named(waiting)}", f"{title}{count}")

    def _progressed(self, handle: JobHandle[Any], progress: Progress) -> None:
        if handle.kept:
            self._offer("Stop now", handle.kept)
        # Until a first step is done, which may take long, the bar moves.
        self.bar.setRange(0, max(progress.total, 1) if progress.done else 0)
        self.bar.setValue(progress.done)
        parts = [f"{progress.done} of {progress.total}" if progress.total > 1 else ""]
        if progress.eta_s is not None:
            parts.append(f"{format_duration(progress.eta_s)} left")
        # The note comes last, as in the bars of the places: the numbers stay where they are.
        note = "" if handle.job.title.lower().startswith(progress.note) else progress.note
        whole, figures = ("  ·  ".join(filter(None, said)) for said in ((*parts, note), parts))
        self.left.setText(whole, figures)

    def _ended(self, _handle: JobHandle[Any]) -> None:
        self._delay.stop()
        self.hide()

    def _cancel(self) -> None:
        handle = self._engine.running
        if handle is not None:
            self.cancel.setEnabled(False)
            self.left.setText("stopping ...")
            handle.cancel()


def _named(waiting: Sequence[JobHandle[Any]]) -> str:
    """The waiting jobs after the title of the running one, such as " (then exporting)"."""
    titles = [handle.job.title[:1].lower() + handle.job.title[1:] for handle in waiting]
    return f" (then {', '.join(dict.fromkeys(titles))})" if titles else ""
