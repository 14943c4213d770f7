"""The experiment on whether the synthetic pairs help: its job and its result."""

from __future__ import annotations

import math
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHeaderView, QLabel, QPushButton, QTableWidget, QTableWidgetItem

from fetalstudio.core.statistics import FEW_REPEATS
from fetalstudio.core.training_settings import RECOMMENDED
from fetalstudio.engine.jobs.experiment.findings import result_of
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest, ExperimentResult
from fetalstudio.engine.jobs.experiment.resuming import request_of, trainings_of
from fetalstudio.engine.jobs.experiment.wording import name_of
from fetalstudio.engine.resumable import can_resume
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.form import Section, note, whole_number
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.training_form import TrainingForm

_ABOUT = (
    "Trains the built-in segmenter several times with and without the accepted pairs, for the same "
    "number of steps, and compares the results on held-out subjects. A control by real frames "
    "shows whether a difference could have been seen."
)
_RUNNING = "An experiment is running."


class ExperimentPanel(Section):
    """Submits the job ``experiment`` with the settings of the training ``form``.

    Shows the newest experiment of the project that has a result, and offers to resume the newest
    if it was stopped.
    """

    def __init__(self, session: Session, form: TrainingForm) -> None:
        super().__init__("Do the pairs help?")
        self._session, self._form = session, form
        self.seeds_box = whole_number(session.settings, "experiment/seeds", FEW_REPEATS, 1, 20)
        self.button = QPushButton("Find out")
        self.button.setToolTip("Train with and without the accepted pairs, and compare the results")
        self.button.clicked.connect(self.start)
        self.unfinished = note()
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Go on with the trainings that are missing")
        self.resume_button.clicked.connect(self.resume)
        self._stopped: Run | None = None
        self._project: Path | None = None
        """The project of the running experiment, which continues when another is opened."""
        self.job_bar = JobBar("Stop, keep results")
        self.sentence = QLabel()
        self.sentence.setWordWrap(True)
        self.evidence = note()
        self.table = _table()
        self.add(note(_ABOUT))
        self.row(
            "Repeats",
            self.seeds_box,
            "Each repeat samples frames and pairs again, if not all are used; an answer needs five",
        )
        for widget in (
            *(self.button, self.job_bar, self.unfinished, self.resume_button),
            *(self.sentence, self.evidence, self.table),
        ):
            self.add(widget)
        session.project_changed.connect(self.refresh)
        self.refresh()

    def start(self) -> None:
        """Start the experiment, or resume one of the same settings that was stopped."""
        if self.job_bar.handle is not None or self._session.project is None:
            return
        pairs = self._form.synthetic
        self._submit(
            ExperimentRequest(
                self._session.open.path,
                real=self._form.real,
                synthetic=None if pairs == RECOMMENDED else pairs,
                seeds=self.seeds_box.value(),
                settings=self._form.chosen(),
            )
        )

    def resume(self) -> None:
        """Go on with the newest experiment, with its own settings, if it was stopped."""
        if self.job_bar.handle is None and self._stopped is not None:
            self._submit(request_of(self._stopped, self._session.open))

    def _submit(self, request: ExperimentRequest) -> None:
        self._project = request.project
        handle = self._session.submit(request)
        self.job_bar.follow(handle)
        self.refresh()
        handle.on_finished(lambda result: self._answered(request.project, result))
        handle.ended.connect(self.refresh)

    def _answered(self, path: Path, result: ExperimentResult) -> None:
        if not self._session.is_open(path):
            self._session.message.emit(f"{path.name}: {result.sentence}", "info")
        elif not self.isVisible():
            self._session.message.emit(result.sentence, "info")

    def refresh(self) -> None:
        """Show the newest result, and whether an experiment was stopped."""
        project = self._session.project
        running = self.job_bar.handle is not None
        closed = "" if project is not None else "No project is open."
        allow(self.button, _RUNNING if running else closed)
        self._stopped = None if project is None or running else _unfinished(project)
        self.unfinished.setText("" if self._stopped is None else _stopped_text(self._stopped))
        if running and self._project is not None and not self._session.is_open(self._project):
            self.unfinished.setText(f"It continues in the project {self._project.name}.")
        self.unfinished.setVisible(bool(self.unfinished.text()))
        self.resume_button.setVisible(self._stopped is not None)
        self._show(None if project is None else _newest(project))

    def _show(self, result: ExperimentResult | None) -> None:
        self.sentence.setText("" if result is None else result.sentence)
        self.evidence.setText("" if result is None else result.evidence)
        for label in (self.sentence, self.evidence):
            label.setVisible(result is not None)
        self.table.setVisible(result is not None)
        self.table.setRowCount(0)
        if result is None:
            return
        gains = {c.against: c.difference for c in result.comparisons}
        for row, trained in enumerate(result.mixes):
            gain = gains.get(trained.mix)
            self.table.insertRow(row)
            name = name_of(trained.mix, result)
            cells = [
                name,
                f"{trained.dice.mean:.3f}",
                "" if gain is None else f"{100 * gain.mean:+.2f}",
            ]
            tip = f"Dice {trained.dice.low:.4f} to {trained.dice.high:.4f}, {trained.steps} steps"
            if gain is not None and not math.isnan(gain.low):
                tip += f"; with pairs {100 * gain.low:+.2f} to {100 * gain.high:+.2f} points"
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{name}: {tip} (95 % intervals)")
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.table.setItem(row, column, item)
        height = self.table.horizontalHeader().height() + self.table.verticalHeader().length() + 4
        self.table.setFixedHeight(height)


def _experiments(project: Project) -> list[Run]:
    """The newest first."""
    return [run for run in project.runs.all() if run.job == ExperimentRequest.job.name]


def _newest(project: Project) -> ExperimentResult | None:
    found = map(result_of, _experiments(project))
    return next((result for result in found if result is not None), None)


def _unfinished(project: Project) -> Run | None:
    """The newest experiment, if it was stopped: a later one takes the place of those before."""
    newest = next(iter(_experiments(project)), None)
    return newest if newest is not None and can_resume(project, newest) else None


def _stopped_text(run: Run) -> str:
    ended, wanted = trainings_of(run)
    return f"{run.name} was stopped. {ended} of its {wanted} trainings have ended and are kept."


def _table() -> QTableWidget:
    table = QTableWidget(0, 3)
    table.setHorizontalHeaderLabels(["Trained on", "Dice", "With pairs"])
    table.setToolTip("Mean Dice, and its gain from the pairs in points")
    table.verticalHeader().hide()
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table
