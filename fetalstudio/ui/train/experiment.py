"""The experiment on whether the synthetic pairs help: its job and its result."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHeaderView, QLabel, QPushButton, QTableWidget, QTableWidgetItem

from fetalstudio.core.statistics import FEW_REPEATS
from fetalstudio.core.training_settings import RECOMMENDED
from fetalstudio.engine.jobs.experiment.findings import result_of
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest, ExperimentResult
from fetalstudio.engine.jobs.experiment.wording import name_of
from fetalstudio.project.project import Project
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

    Shows the newest experiment of the project that has a result.
    """

    def __init__(self, session: Session, form: TrainingForm) -> None:
        super().__init__("Do the pairs help?")
        self._session, self._form = session, form
        self.seeds_box = whole_number(session.settings, "experiment/seeds", FEW_REPEATS, 1, 20)
        self.button = QPushButton("Find out")
        self.button.setToolTip("Train with and without the accepted pairs, and compare the results")
        self.button.clicked.connect(self.start)
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
        for widget in (self.button, self.job_bar, self.sentence, self.evidence, self.table):
            self.add(widget)
        session.project_changed.connect(self.refresh)
        self.refresh()

    def start(self) -> None:
        """Start the experiment, or resume one that was stopped."""
        if self.job_bar.handle is not None or self._session.project is None:
            return
        pairs = self._form.synthetic
        request = ExperimentRequest(
            self._session.open.path,
            real=self._form.real,
            synthetic=None if pairs == RECOMMENDED else pairs,
            seeds=self.seeds_box.value(),
            settings=self._form.chosen(),
        )
        handle = self._session.submit(request)
        allow(self.button, _RUNNING)
        self.job_bar.follow(handle)
        handle.ended.connect(self.refresh)

    def refresh(self) -> None:
        """Show the newest result."""
        project = self._session.project
        closed = "" if project is not None else "No project is open."
        allow(self.button, closed if self.job_bar.handle is None else _RUNNING)
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


def _newest(project: Project) -> ExperimentResult | None:
    found = (result_of(run) for run in project.runs.all() if run.job == ExperimentRequest.job.name)
    return next((result for result in found if result is not None), None)


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
