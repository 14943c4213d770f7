"""A batch of pairs like the project's own: how many, how far, and where to review them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from fetalstudio.engine.events import Preview, Progress
from fetalstudio.engine.requests import SynthesizeRequest, SynthesizeResult
from fetalstudio.ui import theme
from fetalstudio.ui.session import Session
from fetalstudio.ui.widgets.filmstrip import Filmstrip
from fetalstudio.ui.widgets.form import Section, combo, note, whole_number
from fetalstudio.ui.widgets.job_bar import JobBar, duration
from fetalstudio.ui.widgets.synthesis_controls import Look

MAX_COUNT = 5000
TELL_EVERY_S = 2.0


class BatchPanel(Section):
    """Submits the job ``synthesize`` and shows it; ``look`` says what the pictures are like."""

    done = Signal()
    """The batch ended, one way or another; the summary says how."""

    def __init__(
        self,
        session: Session,
        filmstrip: Filmstrip,
        look: Callable[[], Look],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("Many at once", parent)
        self._session, self._filmstrip, self._look = session, filmstrip, look
        self._pace: float | None = None
        self._project: Path | None = None
        self._told_at = 0.0
        self.count_box = whole_number(session.settings, "synthesise/count", 40, 1, MAX_COUNT)
        self.count_box.valueChanged.connect(lambda _: self._tell())
        self.cohort_box = combo()
        self.make_button = QPushButton()
        self.make_button.setToolTip("Make many pairs at once, like the cohort's own")
        self.make_button.clicked.connect(self.make)
        self.job_bar = JobBar()
        self.summary = note()
        self.review_button = theme.style(QPushButton("Review them"), "primary")
        self.review_button.setToolTip("Accept or reject the pairs, worst first")
        self.review_button.clicked.connect(lambda: session.go("review"))
        self.row("Pairs", self.count_box, "How many pairs to make")
        self.row(
            "Like cohort",
            self.cohort_box,
            "Whose ellipses and sectors the pairs follow; the settings of the picture apply",
        )
        for widget in (self.make_button, self.job_bar, self.summary, self.review_button):
            self.add(widget)
        self.review_button.hide()
        self._tell()

    def reset(self) -> None:
        """Another project is open."""
        self.review_button.hide()
        self._filmstrip.drop_all()
        self.refresh()

    def refresh(self) -> None:
        """Offer the project's cohorts that have ellipses to follow."""
        project = self._session.project
        kept = self.cohort_box.currentData()
        self.cohort_box.clear()
        if project is not None:
            named = [c for c in project.cohorts() if project.annotations(cohort=c)]
            if len(named) > 1:
                self.cohort_box.addItem("All cohorts", "")
            for cohort in named:
                self.cohort_box.addItem(cohort, cohort)
        self.cohort_box.setCurrentIndex(max(0, self.cohort_box.findData(kept)))
        self._tell()

    def set_pace(self, seconds: float) -> None:
        """What one picture took just now, for the estimate."""
        self._pace = seconds
        self._tell()

    def make(self) -> None:
        """Start the batch."""
        look = self._look()
        request = SynthesizeRequest(
            project=self._session.open.path,
            count=self.count_box.value(),
            cohort=str(self.cohort_box.currentData()) or None,
            steps=look.steps,
            guidance=look.guidance,
            style=look.style,
            background=look.background,
            seed=look.seed,
        )
        handle = self._session.submit("synthesize", request)
        self._project = request.project
        self._filmstrip.drop_all()
        self.review_button.hide()
        self.summary.setText("")
        self.make_button.setEnabled(False)
        self.job_bar.follow(handle)
        handle.ended.connect(self._ended)
        handle.progress.connect(self._progress)
        handle.preview.connect(self._preview)
        handle.finished.connect(self._finished)
        handle.cancelled.connect(lambda _: self._stopped("Stopped"))
        handle.failed.connect(lambda _: self._stopped("Failed"))

    @property
    def _here(self) -> bool:
        """Whether the batch's project is still the one that is open; it goes on in any case."""
        project = self._session.project
        return project is not None and project.path == self._project

    def _progress(self, progress: Progress) -> None:
        # The first pairs can be reviewed while the others are made.
        if progress.done and time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._session.pairs_changed.emit()

    def _preview(self, preview: Preview) -> None:
        if self._here:
            self._filmstrip.add(preview.image, preview.caption)

    def _finished(self, result: SynthesizeResult) -> None:
        if not self._here:
            return
        self._pace = result.seconds_per_pair
        n = len(result.pair_ids)
        self.summary.setText(
            f"{n} pairs made, mean Dice {result.mean_dice:.3f} between the ellipse asked for and "
            f"the one the segmenter finds; {result.seconds_per_pair:.1f} s each."
        )
        self.review_button.setVisible(n > 0)

    def _stopped(self, how: str) -> None:
        if not self._here:
            return
        pending = self._session.open.counts().get("pending", 0)
        self.summary.setText(f"{how} early: the pairs made until then are kept.")
        self.review_button.setVisible(pending > 0)

    def _ended(self) -> None:
        self._session.pairs_changed.emit()
        self._tell()
        self.done.emit()

    def _tell(self) -> None:
        count = self.count_box.value()
        few = self.cohort_box.count() == 0
        running = self.job_bar.handle is not None
        self.make_button.setEnabled(not few and not running)
        self.make_button.setText(f"Make {count} pairs like my cohort")
        if few:
            self.summary.setText("Needs at least one annotated frame to take the ellipses from.")
        elif not running and not self.review_button.isVisibleTo(self):
            pace = self._pace
            self.summary.setText(f"About {duration(count * pace)}." if pace is not None else "")
