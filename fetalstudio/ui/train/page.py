"""Train: fine-tune the segmenter on real frames and accepted pairs, and judge the result."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.errors import UserError
from fetalstudio.core.training_settings import settings_of
from fetalstudio.core.words import format_duration
from fetalstudio.engine.jobs.train.request import TrainRequest, TrainResult
from fetalstudio.engine.jobs.train.verdict import verdict_of
from fetalstudio.engine.process.events import Epoch, Preview
from fetalstudio.engine.resumable import can_resume, names_in_use
from fetalstudio.project.models import BUILT_IN
from fetalstudio.project.store.records import Run
from fetalstudio.ui import theme
from fetalstudio.ui.commands import AdoptModel
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.elided_label import ElidedLabel
from fetalstudio.ui.common.filmstrip import Filmstrip
from fetalstudio.ui.common.form import (
    Section,
    keyed,
    leave_on_return,
    note,
    side_by_side,
    side_panel,
    with_foot,
)
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.curves import TrainingCurves
from fetalstudio.ui.train.evaluation import EvaluationPanel
from fetalstudio.ui.train.evidence import EvidenceDialog
from fetalstudio.ui.train.experiment import ExperimentPanel
from fetalstudio.ui.train.training_data import TrainingDataSection
from fetalstudio.ui.train.training_form import TrainingForm
from fetalstudio.ui.train.training_plan import TrainingPlan, plan_cost, plan_training
from fetalstudio.ui.train.verdict import VerdictCard, improved, run_text, without_verdict

_RUN_ROLE = Qt.ItemDataRole.UserRole
_RUNNING = "A training is running."
_CLOSED = "No project is open."
_COUNTING = "The data are being counted."


class TrainPage(QWidget):
    """Data and settings of a training, live curves, runs with verdicts, and the evaluation."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._plan: TrainingPlan | None = None
        self._handle: JobHandle[TrainResult] | None = None
        self._listed = False
        """Whether the job's run is in the list. It is recorded once the data have been checked."""
        self._runs: dict[int, Run] = {}
        self._refresher = QTimer(self)
        self._refresher.setSingleShot(True)
        self._refresher.timeout.connect(self._refresh_plan)

        self.data = TrainingDataSection()
        self.data.changed.connect(self._refresh_plan)
        keyed(self, self.data.evidence_button, "E").clicked.connect(self.show_evidence)
        self.form = TrainingForm(session.settings, self._names_in_use)
        self.form.changed.connect(self._refresh_plan)
        self.evaluation = EvaluationPanel(session)
        self.experiment = ExperimentPanel(session, self.form)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        stage = QWidget()
        stage.setLayout(self._stage())
        self._foot = self._start_section()
        plan = with_foot(side_panel(316, self.data, self.form), self._foot)
        self._training = (plan, stage)
        row.addWidget(plan)
        row.addWidget(stage, 1)
        row.addWidget(self.evaluation.view, 1)
        self.tabs = self._results()
        row.addWidget(self.tabs)
        leave_on_return(self, self)
        self._show_tab(0)

        session.project_changed.connect(self._project_changed)
        session.models_changed.connect(self._models_changed)
        for signal in (session.frames_changed, session.annotation_changed, session.pairs_changed):
            signal.connect(lambda *_: self._data_changed())
        session.frames_changed.connect(self._frames_changed)
        self._project_changed()

    # -- layout -------------------------------------------------------------------------------

    def _start_section(self) -> Section:
        self.start_button = theme.style(QPushButton("Start training"), "primary")
        self.start_button.setToolTip("Fine-tune the chosen segmenter on these data")
        self.start_button.clicked.connect(self.start)
        self.estimate = note()
        section = Section("")
        section.add(keyed(self, self.start_button, "Ctrl+Return"))
        section.add(self.estimate)
        return section

    def _stage(self) -> QVBoxLayout:
        self.title = ElidedLabel("heading")
        self.job_bar = JobBar("Stop, keep the best")
        self.curves = TrainingCurves()
        self.filmstrip = Filmstrip()
        stage = QVBoxLayout()
        stage.setContentsMargins(theme.SPACE, 2 * theme.SPACE, theme.SPACE, theme.SPACE)
        stage.setSpacing(theme.SPACE)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.curves.log_button)
        stage.addLayout(head)
        stage.addWidget(self.job_bar)
        stage.addWidget(self.curves, 1)
        stage.addWidget(self.filmstrip)
        return stage

    def _verdict_section(self) -> Section:
        self.verdict = VerdictCard()
        self.in_use = note()
        self.adopt_button = QPushButton("Adopt")
        self.adopt_button.setToolTip("Propose ellipses with the model of this run from now on")
        self.adopt_button.clicked.connect(self.adopt)
        self.roll_back_button = QPushButton("Roll back")
        self.roll_back_button.setToolTip("Return to the model that was in use before")
        self.roll_back_button.clicked.connect(self.roll_back)
        buttons = side_by_side(
            keyed(self, self.adopt_button, "A"), keyed(self, self.roll_back_button, "B")
        )
        section = Section("")
        for widget in (self.verdict, buttons, self.in_use):
            section.add(widget)
        return section

    def _runs_section(self) -> Section:
        self.runs = QListWidget()
        self.runs.setAccessibleName("Runs")
        self.runs.setWordWrap(True)
        self.runs.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.runs.setStyleSheet("QListWidget::item { padding: 6px 8px; }")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Resume this run after its last epoch")
        self.resume_button.clicked.connect(self.resume)
        self.no_runs = note("Each training is listed here with its curves and its verdict.")
        self.runs.currentItemChanged.connect(lambda *_: self._run_chosen())
        section = Section("Runs")
        section.add(self.runs)
        section.add(keyed(self, self.resume_button, "G"))
        section.add(self.no_runs)
        return section

    def _results(self) -> QTabWidget:
        width = 328
        tabs = QTabWidget()
        tabs.setFixedWidth(width)
        tabs.setDocumentMode(True)
        tabs.tabBar().setDrawBase(False)
        tabs.addTab(side_panel(width, self._verdict_section(), self._runs_section()), "Runs")
        tabs.addTab(side_panel(width, self.evaluation), "Evaluation")
        tabs.addTab(side_panel(width, self.experiment), "Experiment")
        tabs.currentChanged.connect(self._show_tab)
        keyed(self, self.experiment.button, "H").clicked.connect(lambda: tabs.setCurrentIndex(2))
        keyed(self, self.experiment.resume_button, "Shift+H")
        keyed(self, self.evaluation.button, "V").clicked.connect(lambda: tabs.setCurrentIndex(1))
        return tabs

    def _show_tab(self, index: int) -> None:
        """Show either the training or the evaluation beside the tabs."""
        for widget in self._training:
            widget.setVisible(index != 1)
        self.evaluation.view.setVisible(index == 1)

    def foot_height(self) -> int:
        """The px that the button to start and its estimate take at the bottom; 0 without them."""
        if not self._foot.isVisible():
            return 0
        return self.height() - self._foot.mapTo(self, QPoint()).y()

    # -- the plan -----------------------------------------------------------------------------

    def activated(self) -> None:
        """Update the plan; called whenever the page is shown."""
        self._refresh_plan()

    def _project_changed(self) -> None:
        self.filmstrip.drop_all()
        self.evaluation.forget()
        self.data.fill_segmenters(self.session.project, reset=True)
        self._frames_changed()
        self._refresh_runs()
        # Above the runs of another project, its progress would seem to be theirs.
        self.job_bar.setVisible(self._handle is not None and not self._elsewhere())
        self._plan = None
        allow(self.start_button, _COUNTING)
        if self.isVisible():  # a plan for very many frames takes seconds; activated() makes it too
            self._refresh_plan()

    def _frames_changed(self) -> None:
        self.evaluation.refresh()
        self.data.fill_cohorts(self.session.project)

    def _data_changed(self) -> None:
        # While another place is shown nothing needs to be counted: activated() does it.
        if self.isVisible():
            self._refresher.start()

    def _refresh_plan(self) -> None:
        project = self.session.project
        if project is None:
            self._plan = None
            allow(self.start_button, _CLOSED)
            return
        self._plan = plan_training(
            project,
            self.data.cohort,
            real=self.form.real,
            synthetic=self.form.synthetic,
            seed=self.form.chosen().seed,
            segmenter=self.data.segmenter,
        )
        self.form.name_box.check()
        self._show_plan(self._plan)

    def _show_plan(self, plan: TrainingPlan) -> None:
        self.data.show_plan(plan)
        if plan.data.advice is not None:
            self.form.show_recommended(plan.data.advice.pairs)
        allow(self.start_button, self._why_not_started(plan))
        self.estimate.setText(self._elsewhere() or self._estimate(plan))

    def show_evidence(self) -> None:
        """Show what the advice on pairs rests on."""
        EvidenceDialog(None if self._plan is None else self._plan.data.advice, self).open()

    def _why_not_started(self, plan: TrainingPlan) -> str:
        """Why no training can be started; empty where one can."""
        if self._handle is not None:
            return self._elsewhere() or _RUNNING
        return next((why for why in (*plan.problems, self.form.name_box.problem) if why), "")

    def _elsewhere(self) -> str:
        """What is said where the running training is one of another project; else empty."""
        where = "" if self._handle is None else self.session.elsewhere(self._handle)
        return f"The training continues{where}." if where else ""

    def _names_in_use(self) -> set[str]:
        project = self.session.project
        return set() if project is None else names_in_use(project, "segmenter")

    def _estimate(self, plan: TrainingPlan) -> str:
        """The estimate for the whole training. A running job reports its own time left."""
        if plan.problems:
            return ""
        try:
            cost = plan_cost(self.session.open, plan.data, self.data.segmenter, self.form.chosen())
        except UserError as error:  # a model card that cannot be read
            return str(error)
        time_needed = format_duration(cost.seconds)
        time_said = (
            f"About {time_needed} for all epochs, at the pace of {cost.of}."
            if cost.of
            else f"Not measured here yet; typically {time_needed} on a CPU that nothing else uses."
        )
        return f"{time_said} {cost.memory / 1e9:.1f} GB of memory."

    # -- training -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the job ``train`` with the values on the page."""
        self._refresh_plan()
        if self._plan is None or self._why_not_started(self._plan):
            return
        request = TrainRequest(
            project=self.session.open.path,
            segmenter=self.data.segmenter,
            cohort=self.data.cohort,
            real=self.form.real,
            synthetic=self.form.synthetic,
            prompt=self.form.prompt,
            settings=self.form.chosen(),
            name=self.form.name_box.name,
        )
        self._submit(request)
        self.form.name_box.clear()  # the name is this training's now
        self._listed = False
        self.curves.clear(request.settings.epochs)
        self.filmstrip.drop_all()
        self.runs.blockSignals(True)
        self.runs.setCurrentRow(-1)
        self.runs.blockSignals(False)
        self.title.setText("Training")
        self.verdict.show_verdict(None, "The verdict follows when the training ends.")
        self._show_adoption()

    def resume(self) -> None:
        """Resume the chosen run, which did not finish."""
        chosen = self._chosen()
        if chosen is None or not self.resume_button.isEnabled():
            return
        self._submit(TrainRequest(self.session.open.path, resume=chosen))
        self._listed = False  # the list says how the run ended, until it goes on
        allow(self.resume_button, _RUNNING)
        self.title.setText(f"{self._runs[chosen].name}, resumed")
        self.verdict.show_verdict(None, "The verdict follows when the training ends.")

    def _submit(self, request: TrainRequest) -> None:
        shown = () if self._plan is None else self._plan.warnings
        handle = self.session.submit(request, known=shown)
        self._handle = handle
        self.tabs.setCurrentIndex(0)
        allow(self.start_button, _RUNNING)
        self.job_bar.follow(handle)
        handle.epoch.connect(self._epoch)
        handle.preview.connect(self._preview)
        path = request.project  # the job continues when another project is opened
        handle.on_finished(lambda result: self._show_result(path, result))
        handle.on_cancelled(lambda result: self._stopped(path, result))
        handle.ended.connect(self._ended)

    def _epoch(self, epoch: Epoch) -> None:
        if epoch.run is None or not self.session.is_open(epoch.run.project):
            return
        if not self._listed:
            self._listed = True
            self._refresh_runs(otherwise=epoch.run.id)
        if epoch.run.id == self._chosen():
            self.curves.add(epoch)

    def _preview(self, preview: Preview) -> None:
        if preview.run is not None and self.session.is_open(preview.run.project):
            self.filmstrip.add(preview.image, preview.caption)

    def _show_result(self, path: Path, result: TrainResult | None) -> None:
        if result is not None:
            self.session.models_changed.emit()
            if not self.session.is_open(path):
                self.session.message.emit(f"{path.name}: {result.verdict}", "info")
            elif not self.isVisible():
                self.session.message.emit(result.verdict, "info")

    def _stopped(self, path: Path, result: TrainResult | None) -> None:
        if result is None and self._handle is not None and (kept := self._handle.kept):
            self.session.models_changed.emit()
            self.session.message.emit(f"{path.name}: {kept}", "info")
        self._show_result(path, result)

    def _ended(self) -> None:
        self._handle = None
        self._refresh_runs()
        self._refresh_plan()

    # -- runs ---------------------------------------------------------------------------------

    def _refresh_runs(self, otherwise: int | None = None) -> None:
        """List the runs.

        The chosen run stays chosen; without one, the run with the id ``otherwise`` is chosen,
        else the newest.
        """
        project = self.session.project
        self._runs = {r.id: r for r in project.runs.all() if r.job == "train"} if project else {}
        ids, chosen = list(self._runs), self._chosen()
        self.runs.blockSignals(True)
        self.runs.clear()
        for run in self._runs.values():
            item = QListWidgetItem(run_text(run))
            item.setData(_RUN_ROLE, run.id)
            item.setToolTip(f"Started {run.started_at.astimezone():%d %b %Y, %H:%M}")
            self.runs.addItem(item)
        wanted = next((id_ for id_ in (chosen, otherwise) if id_ in ids), None)
        self.runs.setCurrentRow(ids.index(wanted) if wanted is not None else 0)
        self.runs.blockSignals(False)
        self.runs.setVisible(bool(ids))
        self.no_runs.setVisible(not ids)
        self._run_chosen()

    def _chosen(self) -> int | None:
        item = self.runs.currentItem()
        return int(item.data(_RUN_ROLE)) if item is not None else None

    def _run_chosen(self) -> None:
        chosen = self._chosen()
        run = self.session.open.runs.get(chosen) if chosen is not None else None
        resumable = run is not None and can_resume(self.session.open, run)
        self.resume_button.setVisible(resumable)
        idle = "" if resumable else "This run cannot be resumed."
        allow(self.resume_button, idle if self._handle is None else _RUNNING)
        if run is None:
            self.title.setText("No run yet")
            self.curves.clear()
            self.verdict.show_verdict(
                None,
                "Train on your frames and the accepted pairs. The verdict compares the new model "
                "with the one in use, on subjects that were held out of the training.",
            )
        else:
            self.title.setText(f"{run.name}, {run.state}")
            verdict = verdict_of(run)
            self.curves.set_history(
                run.history,
                best_epoch=(verdict or {}).get("best_epoch"),
                expected_epochs=(settings_of(run.settings).epochs if run.state == "running" else 0),
            )
            otherwise = without_verdict(run, self._model_of_run(), resumable=resumable)
            self.verdict.show_verdict(verdict, otherwise)
        self._show_adoption()

    # -- adopting -----------------------------------------------------------------------------

    def _model_of_run(self) -> str | None:
        project, chosen = self.session.project, self._chosen()
        if project is None or chosen is None:
            return None
        return next((m.name for m in project.models.all("segmenter") if m.run_id == chosen), None)

    def _show_adoption(self) -> None:
        project = self.session.project
        active = project.models.active("segmenter") if project is not None else None
        used, model = active.name if active is not None else BUILT_IN, self._model_of_run()
        run = self._runs.get(self._chosen() or -1)
        better = run is not None and improved(verdict_of(run))
        allow(
            self.adopt_button,
            "No run with a model is chosen."
            if model is None
            else f"{model} is in use already."
            if model == used
            else "",
        )
        theme.style(self.adopt_button, "primary" if better and model != used else "")
        allow(
            self.roll_back_button,
            "" if active is not None else "The built-in segmenter is in use.",
        )
        self.in_use.setText(f"In use: {used}.")

    def adopt(self) -> None:
        """Use the model of the chosen run from now on."""
        model = self._model_of_run()
        if model is not None:
            self.session.undo_stack.push(AdoptModel(self.session, "segmenter", model))
            self.session.message.emit(f"{model} proposes the ellipses from now on.", "info")

    def roll_back(self) -> None:
        """Return to the previous model."""
        try:
            before = self.session.open.models.roll_back("segmenter")
        except UserError as error:
            self.session.report(error)
            return
        self.session.models_changed.emit()
        name = before.name if before is not None else BUILT_IN
        self.session.message.emit(f"{name} proposes the ellipses again.", "info")

    def _models_changed(self) -> None:
        self.evaluation.refresh()
        self.data.fill_segmenters(self.session.project)
        self._show_adoption()
