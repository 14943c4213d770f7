"""The settings of an evaluation, and its job."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from PySide6.QtWidgets import QPushButton, QWidget

from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.evaluate.request import EvaluateRequest, EvaluateResult, Protocol
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.cohort_box import annotated_cohorts, chosen_cohort, fill_cohorts
from fetalstudio.ui.common.form import Section, choice, combo, tick
from fetalstudio.ui.common.job_bar import JobBar
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.evaluation_view import EvaluationView
from fetalstudio.ui.train.segmenter_box import PROMPTS, chosen_prompt, fill_segmenters

PROTOCOLS = {"native": "Native size", "paper": "As in the paper", "both": "Both"}


class EvaluationPanel(Section):
    """Submits the job ``evaluate``; :attr:`view` shows the result."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Evaluate", parent)
        self._session = session
        self._running: tuple[Path, str] | None = None
        """The project and segmenter of the evaluation that has not ended; the project may no
        longer be open."""
        self.view = EvaluationView(session)
        self.model_box = combo()
        self.cohort_box = combo()
        self.prompt_box = choice(session.settings, "evaluate/prompt", "own", PROMPTS)
        self.protocol_box = choice(session.settings, "evaluate/protocol", "native", PROTOCOLS)
        self.held_out_box = tick(
            session.settings, "evaluate/held_out", "Only subjects new to the model", default=True
        )
        self.held_out_box.setToolTip(
            "Leave out subjects used to train the model or the model it started from"
        )
        self.button = QPushButton("Evaluate")
        self.button.setToolTip("Compare Dice and head circumference with the annotations")
        self.button.clicked.connect(self.evaluate)
        self.job_bar = JobBar()
        self.row("Model", self.model_box, "The segmenter to evaluate")
        self.row("Cohort", self.cohort_box, "The cohort whose annotated frames to evaluate on")
        self.row(
            "Prompt", self.prompt_box, "What the segmenter is given about the position of the head"
        )
        self.row(
            "Protocol",
            self.protocol_box,
            "At the native size of the frames, or at 256 x 256 px as in the code of the paper",
        )
        for widget in (self.held_out_box, self.button, self.job_bar):
            self.add(widget)

    def refresh(self) -> None:
        """Offer the segmenters and cohorts of the project."""
        project = self._session.project
        fill_segmenters(self.model_box, project)
        fill_cohorts(self.cohort_box, annotated_cohorts(project), all_="All, and each")
        self._enable()

    def forget(self) -> None:
        """Clear the result: another project is open, or one whose evaluation still runs."""
        self.view.show_result(None)
        project, segmenter = self._running or (None, "")
        if self._session.is_open(project):
            self.view.show_running(segmenter)
        self.refresh()

    def evaluate(self) -> None:
        """Evaluate the chosen model on the chosen frames."""
        project, segmenter = self._session.open.path, str(self.model_box.currentData())
        request = EvaluateRequest(
            project,
            segmenter=segmenter,
            cohort=chosen_cohort(self.cohort_box),
            prompt=chosen_prompt(self.prompt_box),
            protocol=cast(Protocol, self.protocol_box.currentData()),
            held_out=self.held_out_box.isChecked(),
        )
        handle = self._session.submit(request)
        handle.on_finished(lambda result: self._finished(request, result))
        self.job_bar.follow(handle)
        handle.ended.connect(self._ended)  # after the bar has let go of it
        self._running = project, segmenter
        self.view.show_running(segmenter)
        self._enable()

    def _finished(self, request: EvaluateRequest, result: EvaluateResult) -> None:
        # The frames of a project that was closed meanwhile cannot be shown.
        here = self._session.is_open(request.project)
        if here:
            self.view.show_result(result)
        if not (here and self.view.isVisible()):
            frames, dice = counted(result.n, "frame"), result.dice["mean"]
            where = "" if here else f"{request.project.name}: "
            text = f"{where}{result.segmenter} was evaluated on {frames}: mean Dice {dice:.3f}."
            self._session.message.emit(text, "info")

    def _ended(self) -> None:
        self._running = None
        if self.view.result is None:  # it was said that there will be one
            self.view.show_result(None)
        self._enable()

    def _enable(self) -> None:
        if self.job_bar.handle is not None:
            allow(self.button, "An evaluation is running.")
        else:
            allow(self.button, "" if self.cohort_box.count() else "No frame is annotated yet.")
