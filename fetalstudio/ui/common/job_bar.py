"""A bar that shows the progress of one piece of work and the time left, and can stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QGridLayout, QProgressBar, QPushButton, QWidget

from fetalstudio.core.words import format_duration
from fetalstudio.engine.process.events import Progress
from fetalstudio.ui import theme
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.form import note

if TYPE_CHECKING:
    from fetalstudio.ui.job_runner import Work


_WAITING = "Waiting for the running job to end"
_WAITING_IN_SHORT = ("Waiting for the other job", "Waiting")
_STOP_NOW = "Stop now"
"""On the button while a job completes what it has."""


class JobBar(QWidget):
    """Follows one job at a time; hidden while there is none."""

    def __init__(self, cancel_text: str = "Cancel", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._handle: Work | None = None
        self._text = ElidedLabel()
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(6)
        self._kept = note()
        self._cancel_text = cancel_text
        self.cancel_button = QPushButton()
        self.cancel_button.setAutoDefault(False)  # in a dialog, Return is for its own button
        self.cancel_button.clicked.connect(self._cancel)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(theme.SPACE)
        layout.setVerticalSpacing(theme.SPACE // 2)
        layout.addWidget(self._text, 0, 0)
        layout.addWidget(self._bar, 1, 0)
        layout.addWidget(self.cancel_button, 0, 1, 2, 1)
        layout.addWidget(self._kept, 2, 0, 1, 2)
        layout.setColumnStretch(0, 1)
        policy = self.sizePolicy()
        policy.setRetainSizeWhenHidden(False)
        self.setSizePolicy(policy)
        self.hide()

    @property
    def handle(self) -> Work | None:
        """The job that is followed, or None."""
        return self._handle

    def follow(self, handle: Work, *, queued: str = _WAITING) -> None:
        """Show ``handle`` until it ends, in place of the job shown before."""
        self._handle = handle
        self._text.setText(queued, *(_WAITING_IN_SHORT if queued == _WAITING else ()))
        self._bar.setRange(0, 0)
        self._offer(self._cancel_text)
        self.show()
        handle.started.connect(lambda: self._say(handle, "Starting"))
        handle.progress.connect(lambda progress: self._progress(handle, progress))
        handle.ended.connect(lambda: self._ended(handle))

    def text(self) -> str:
        """The line above the bar."""
        return self._text.text()

    def shown(self) -> str:
        """What of the line there is room for."""
        return self._text.shown()

    def kept(self) -> str:
        """What is said to be kept if the job stops now; empty where nothing is said."""
        return self._kept.text() if self._kept.isVisibleTo(self) else ""

    def _offer(self, cancel_text: str, kept: str = "") -> None:
        self.cancel_button.setText(cancel_text)
        self.cancel_button.setEnabled(True)
        self._kept.setText(kept)
        self._kept.setVisible(bool(kept))

    def _say(self, handle: Work, text: str) -> None:
        if handle is self._handle:
            self._text.setText(text)

    def _progress(self, handle: Work, progress: Progress) -> None:
        stopping = not self.cancel_button.isEnabled()
        if handle is not self._handle or (stopping and not progress.finishing):
            return
        if progress.finishing:
            self._offer(_STOP_NOW, handle.kept and f"{_STOP_NOW}: {handle.kept}")
        # Until a first step is done, which may take long, the bar moves.
        self._bar.setRange(0, max(progress.total, 1) if progress.done else 0)
        self._bar.setValue(progress.done)
        parts = [f"{progress.done} of {progress.total}"]
        if progress.eta_s is not None and progress.done < progress.total:
            parts.append(f"{format_duration(progress.eta_s)} left")
        # The note comes last, and a narrow panel leaves it out.
        figures = " · ".join(parts)
        self._text.setText(f"{figures} · {progress.note}" if progress.note else figures, figures)

    def _cancel(self) -> None:
        if self._handle is not None:
            self.cancel_button.setEnabled(False)
            self._text.setText("Stopping")
            self._handle.cancel()

    def _ended(self, handle: Work) -> None:
        if handle is self._handle:
            self._handle = None
            self.hide()
