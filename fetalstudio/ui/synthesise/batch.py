"""A batch of pairs: its heads, its progress, and resuming it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFileDialog, QPushButton, QWidget

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.heads import HeadConstraints
from fetalstudio.core.words import counted, format_duration
from fetalstudio.engine.jobs.synthesize.like_cohort import batch_sources
from fetalstudio.engine.jobs.synthesize.request import (
    SynthesizeRequest,
    SynthesizeResult,
)
from fetalstudio.engine.process.events import Preview, Progress
from fetalstudio.formats.tables.ellipse_table import read_ellipses
from fetalstudio.project.store.records import Batch
from fetalstudio.ui import theme
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.cohort_box import annotated_cohorts, chosen_cohort, fill_cohorts
from fetalstudio.ui.common.filmstrip import Filmstrip
from fetalstudio.ui.common.form import Section, combo, keyed, note, side_by_side, whole_number
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.commands import DismissBatch
from fetalstudio.ui.synthesise.head_plots import SizeHistogram
from fetalstudio.ui.synthesise.heads import HeadPreview, RememberedConstraints, in_words
from fetalstudio.ui.synthesise.heads_dialog import HeadsDialog
from fetalstudio.ui.synthesise.synthesis_controls import Look

MAX_COUNT = 5000
_FAULTS_SHOWN = 3
"""Rows of a table that are left out, of which a notice gives the cause."""
ANNOUNCE_EVERY_S = 2.0
"""How often Review learns of new pairs while a batch runs."""


class BatchPanel(Section):
    """Submits the job ``synthesize`` and follows it; ``look`` returns the image settings."""

    done = Signal()
    """The batch ended; the summary says how."""
    used = Signal()
    """A button or key of the panel was used, perhaps while the panel was hidden."""
    offered = Signal(bool)
    """Whether an unfinished batch is offered."""

    def __init__(
        self,
        session: Session,
        filmstrip: Filmstrip,
        look: Callable[[], Look],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__("", parent)
        self._session, self._filmstrip, self._look = session, filmstrip, look
        self._pace: float | None = None
        self._project: Path | None = None
        self._announced_at = 0.0
        self._unfinished: Batch | None = None
        self._stale = True
        self.heads = HeadPreview(self)
        self._remembered = RememberedConstraints(session.settings)
        self.dialog: HeadsDialog | None = None
        """Made when it is first asked for: its plots take longer than all the rest of the panel."""
        self._make_offer()
        self._make_fields()
        self._make_buttons()
        self.heads.changed.connect(self._update)
        self.heads.drew.connect(self._plot)
        session.annotation_changed.connect(lambda _: self._out_of_date())
        session.batches_changed.connect(self._look_for_unfinished)
        self._update()

    def _make_offer(self) -> None:
        self.unfinished = note()
        self.resume_button = QPushButton("Continue")
        self.resume_button.setToolTip("Make the remaining pairs of the unfinished batch")
        self.resume_button.clicked.connect(self.resume)
        self.dismiss_button = theme.style(QPushButton("Dismiss"), "quiet")
        self.dismiss_button.setToolTip("Stop offering the unfinished batch; its pairs are kept")
        self.dismiss_button.clicked.connect(self._dismiss)
        self._offer = Section("")
        self._offer.add(self.unfinished)
        self._offer.add(side_by_side(self.resume_button, self.dismiss_button))
        self.add(self._offer)

    def _make_fields(self) -> None:
        self.count_box = whole_number(self._session.settings, "synthesise/count", 40, 1, MAX_COUNT)
        self.count_box.valueChanged.connect(lambda _: self.look_changed())
        self.cohort_box = combo()
        self.cohort_box.currentIndexChanged.connect(lambda _: self._out_of_date())
        self.heads_button = QPushButton()
        self.heads_button.setToolTip("Change the size, shape, angle and position of the heads")
        self.heads_button.clicked.connect(self._ask_heads)
        self.size_plot = SizeHistogram(small=True)
        self.size_plot.setFixedHeight(72)
        self.plot_key = note()
        self.constraints_label = note()
        self.row("Pairs", self.count_box, "The number of pairs to make with the settings above")
        self.row("Cohort", self.cohort_box, "The cohort whose heads and sectors the pairs follow")
        self.row("Heads", self.heads_button, self.heads_button.toolTip())
        self.add(self.constraints_label)
        self.add(self.size_plot)
        self.add(self.plot_key)

    def _make_buttons(self) -> None:
        self.make_button = QPushButton()
        self.make_button.setToolTip("Make many pairs that resemble the cohort")
        self.make_button.clicked.connect(self.make)
        self.table_button = theme.style(QPushButton("From a table of ellipses ..."), "quiet")
        self.table_button.setToolTip("Make one pair for each row of a CSV file")
        self.table_button.clicked.connect(self._ask_table)
        self.job_bar = JobBar()
        self.summary = note()
        self.review_button = theme.style(QPushButton("Review the pairs"), "primary")
        self.review_button.setToolTip(theme.tip("Accept or reject pairs, worst first", "Ctrl+4"))
        self.review_button.clicked.connect(lambda: self._session.go("review"))
        for widget in (
            *(self.make_button, self.job_bar, self.summary, self.review_button),
            self.table_button,
        ):
            self.add(widget)
        self.review_button.hide()

    def give_keys(self, page: QWidget) -> None:
        """Give the buttons keys that work anywhere on ``page``."""
        for button, key in (
            (self.make_button, "Shift+G"),
            (self.heads_button, "Shift+H"),
            (self.resume_button, "Shift+R"),
            (self.dismiss_button, "Shift+L"),
            (self.table_button, "Shift+T"),
        ):
            keyed(page, button, key)

    def reset(self) -> None:
        """Another project is open."""
        self.review_button.hide()
        self._filmstrip.drop_all()
        if self._session.project is not None:
            remembered = self._remembered.of_project(self._session.project.path)
            self.heads.show_constraints(remembered)
        self.refresh()

    def refresh(self) -> None:
        """Offer the annotated cohorts and the unfinished batch of the project."""
        fill_cohorts(self.cohort_box, annotated_cohorts(self._session.project))
        self._look_for_unfinished()
        self._out_of_date()

    def showEvent(self, event: QShowEvent) -> None:
        """Show the changes made while the panel was hidden."""
        super().showEvent(event)
        self._catch_up()

    def _out_of_date(self) -> None:
        self._stale = True
        if self.isVisible():
            self._catch_up()
        self._update()

    def _catch_up(self) -> None:
        """Read the heads of the cohort and the unfinished batches again."""
        if not self._stale:
            return
        self._stale = False
        project, cohort = self._session.project, self._cohort
        try:
            sources = [] if project is None else batch_sources(project, cohort)
        except InputError:
            sources = []  # the summary says that there is no annotated frame
        self.look_changed()
        self.heads.show_cohort(sources)
        self._look_for_unfinished()

    def look_changed(self) -> None:
        """Draw other heads after a change of the seed or of the number of pairs."""
        self.heads.show_batch(self.count_box.value(), self._seed)
        self._update()

    def _plot(self) -> None:
        if self.heads.distribution is not None:
            heads = self.heads
            self.size_plot.show_heads(self.heads.distribution, heads.cohort, heads.drawn)
            self.plot_key.setText(
                f"HC in {self.heads.distribution.unit}: batch in teal, cohort in grey"
            )

    def set_pace(self, seconds: float) -> None:
        """Set the time of one image in s, for the estimate."""
        self._pace = seconds
        self._update()

    @property
    def _seed(self) -> int:
        """The chosen seed, or the next unused one, because a used seed would repeat its batch."""
        project = self._session.project
        taken = set() if project is None else project.batches.seeds()
        return next(seed for seed in itertools.count(self._look().seed) if seed not in taken)

    @property
    def _cohort(self) -> str | None:
        return chosen_cohort(self.cohort_box)

    # -- starting -----------------------------------------------------------------------------

    def make(self) -> None:
        """Start the batch."""
        constraints = self.heads.constraints
        self._make(
            count=self.count_box.value(),
            cohort=self._cohort,
            constraints=None if constraints == HeadConstraints() else constraints,
        )

    def make_from(self, path: Path) -> None:
        """Start a batch from a table of ellipses."""
        try:
            table = read_ellipses(path)
        except UserError as error:
            self._session.report(error)
            return
        if table.faults:
            rows = counted(len(table.faults), "row")
            said = " ".join(table.faults[:_FAULTS_SHOWN])
            more = " ..." if len(table.faults) > _FAULTS_SHOWN else ""
            text = f"No pair is made for {rows} of {path.name}. {said}{more}"
            self._session.message.emit(text, "warning")
        self._make(ellipses=table.ellipses)

    def resume(self) -> None:
        """Continue the unfinished batch with its own settings."""
        if self._unfinished is not None:
            path = self._session.open.path
            self._submit(SynthesizeRequest(path, resume=self._unfinished.id))

    def _ask_heads(self) -> None:
        self.used.emit()
        self.dialog = self.dialog or HeadsDialog(self.heads, self._remembered, self)
        self.dialog.show()

    def _ask_table(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Ellipses: name,cx,cy,a,b,angle_deg,width,height", "", "Tables (*.csv)"
        )
        if name:
            self.make_from(Path(name))

    def _dismiss(self) -> None:
        if self._unfinished is not None:
            self._session.undo_stack.push(DismissBatch(self._session, self._unfinished.id))

    def _make(self, **what: object) -> None:
        look = self._look()
        self._submit(
            SynthesizeRequest(
                project=self._session.open.path,
                synthesizer=look.synthesizer,
                steps=look.steps,
                guidance=look.guidance,
                style=look.style,
                background=look.background,
                convention=look.convention,
                seed=self._seed,
                **what,  # type: ignore[arg-type]
            )
        )

    def _submit(self, request: SynthesizeRequest) -> None:
        self.used.emit()
        handle = self._session.submit(request)
        self._project = request.project
        self._filmstrip.drop_all()
        self.review_button.hide()
        self.summary.setText("")
        self.job_bar.follow(handle)
        self._update()
        handle.ended.connect(self._ended)
        handle.progress.connect(self._progress)
        handle.preview.connect(self._preview)
        handle.on_finished(self._finished)
        handle.on_cancelled(lambda _: self._stopped("Stopped"))
        handle.failed.connect(lambda _: self._stopped("Failed"))

    # -- under way ----------------------------------------------------------------------------

    @property
    def _here(self) -> bool:
        """Whether the project of the batch is still open; the batch continues in any case."""
        return self._session.is_open(self._project)

    @property
    def _where(self) -> str:
        return f"the project {self._project.name}" if self._project is not None else ""

    def _progress(self, progress: Progress) -> None:
        # The first pairs can be reviewed while more are made.
        if progress.done and time.monotonic() - self._announced_at > ANNOUNCE_EVERY_S:
            self._announced_at = time.monotonic()
            self._session.pairs_changed.emit()

    def _preview(self, preview: Preview) -> None:
        if self._here:
            self._filmstrip.add(preview.image, preview.caption)

    def _finished(self, result: SynthesizeResult) -> None:
        n = len(result.pair_ids)
        if not self._here:
            self._session.message.emit(f"{counted(n, 'pair')} made in {self._where}.", "info")
            return
        self._pace = result.seconds_per_pair
        before = f" ({result.before} of them earlier)" if result.before else ""
        self.summary.setText(
            f"{counted(n, 'pair')} made{before}, {result.seconds_per_pair:.1f} s each. Mean Dice "
            "of the requested ellipses and those that the segmenter finds: "
            f"{result.mean_dice:.3f}. "
            f"{result.followed}".rstrip()
        )
        self.review_button.setVisible(n > 0)

    def _stopped(self, how: str) -> None:
        if not self._here:
            return
        pending = self._session.open.counts().get("pending", 0)
        self.summary.setText(f"{how} early. The pairs made so far are kept.")
        self.review_button.setVisible(pending > 0)

    def _ended(self) -> None:
        self._session.pairs_changed.emit()
        self._look_for_unfinished()
        self.look_changed()  # the next batch takes another seed
        self.done.emit()

    def _look_for_unfinished(self) -> None:
        project = self._session.project
        batches = project.batches.unfinished() if project is not None else []
        self._unfinished = batches[0] if batches else None
        if self._unfinished is not None:
            done, wanted = self._unfinished.done, self._unfinished.wanted
            self.unfinished.setText(f"Unfinished batch: {done} of {wanted} pairs made.")
            self.resume_button.setText(f"Continue: {wanted - done} more")
        self._update()

    def _show_offer(self, open_: bool) -> None:
        # Disabled as well, for their keys: a running batch is unfinished too.
        for button in (self.resume_button, self.dismiss_button):
            button.setEnabled(open_)
        self._offer.setVisible(open_)
        self.offered.emit(open_)

    def _update(self) -> None:
        count, few = self.count_box.value(), self.cohort_box.count() == 0
        running, error = self.job_bar.handle is not None, self.heads.error
        none = "No frame is annotated yet." if few else ""
        busy = "A batch is being made." if running else ""
        allow(self.make_button, none or busy or error)
        self.make_button.setText(f"Make {counted(count, 'pair')} like my cohort")
        closed = "No project is open." if self._session.project is None else ""
        allow(self.table_button, busy or closed)
        allow(self.heads_button, none)
        changes = in_words(self.heads.constraints)
        self.heads_button.setText("Changed ..." if changes else "As in the cohort ...")
        self.constraints_label.setText(changes)
        self.constraints_label.setVisible(bool(changes))
        for widget in (self.size_plot, self.plot_key):
            widget.setVisible(self.heads.distribution is not None)
        theme.style(self.make_button, "" if self.review_button.isVisibleTo(self) else "primary")
        self._show_offer(self._unfinished is not None and not running)
        theme.style(self.summary, "error" if error and not running else "dim")
        if few:
            self.summary.setText(
                "Annotate at least one frame: the batch follows the annotated heads."
            )
        elif error and not running:
            self.summary.setText(error)
        elif running:
            self.summary.setText("" if self._here else f"The batch continues in {self._where}.")
        elif not self.review_button.isVisibleTo(self):
            pace = self._pace
            self.summary.setText(
                f"About {format_duration(count * pace)}." if pace is not None else ""
            )
        self.summary.setVisible(bool(self.summary.text()))
