"""A segmenter against the annotations, cohort by cohort, and its worst frames."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from fetalstudio.engine.requests import EvaluateRequest, EvaluateResult, FrameScore, Prompt
from fetalstudio.project.store import Project
from fetalstudio.ui.session import Session
from fetalstudio.ui.widgets.form import Section, choice, combo, note
from fetalstudio.ui.widgets.job_bar import JobBar
from fetalstudio.ui.widgets.segmenter_box import fill_segmenters

WORST = 6
PROMPTS = {"auto": "No prompt", "box": "A box"}


class EvaluationPanel(Section):
    """Submits one job ``evaluate`` a cohort; a model of a run is only asked about frames that its
    training never saw."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__("Evaluate", parent)
        self._session = session
        self._left: list[str] = []
        self._scores: list[FrameScore] = []
        self.model_box = combo()
        self.cohort_box = combo()
        self.prompt_box = choice(session.settings, "evaluate/prompt", "auto", PROMPTS)
        self.button = QPushButton("Evaluate")
        self.button.setToolTip("Dice and head circumference against the annotated frames")
        self.button.clicked.connect(self.evaluate)
        self.job_bar = JobBar()
        self.job_bar.cancel_button.clicked.connect(self._left.clear)
        self.table = _table()
        self.summary = note()
        self.worst = QListWidget()
        self.worst.setToolTip("The frames with the lowest Dice; double click opens one")
        self.worst.setAccessibleName("Worst frames")
        self.worst.itemActivated.connect(self._open)
        self.row("Model", self.model_box, "The segmenter to evaluate")
        self.row("Cohort", self.cohort_box, "Whose annotated frames to evaluate on")
        self.row("Prompt", self.prompt_box, "What the segmenter is told about where the head is")
        for widget in (self.button, self.job_bar, self.table, self.summary, self.worst):
            self.add(widget)
        self._show_results([])

    def refresh(self) -> None:
        """Offer the segmenters and the project's cohorts."""
        project = self._session.project
        fill_segmenters(self.model_box, project)
        cohorts = [c for c in project.cohorts() if project.annotations(c)] if project else []
        cohort = self.cohort_box.currentData()
        self.cohort_box.clear()
        if len(cohorts) > 1:
            self.cohort_box.addItem("Each cohort", "")
        for name in cohorts:
            self.cohort_box.addItem(name, name)
        self.cohort_box.setCurrentIndex(max(0, self.cohort_box.findData(cohort)))
        self.button.setEnabled(bool(cohorts) and self.job_bar.handle is None)

    def forget(self) -> None:
        """Another project is open."""
        self._left.clear()
        self._show_results([])
        self.refresh()

    def evaluate(self) -> None:
        """Evaluate the chosen model on one cohort, or on each in turn."""
        chosen = str(self.cohort_box.currentData())
        every = [str(self.cohort_box.itemData(i)) for i in range(self.cohort_box.count())]
        self._left[:] = [chosen] if chosen else [cohort for cohort in every if cohort]
        self._show_results([])
        self._next()

    def _next(self) -> None:
        while self._left:
            cohort = self._left.pop(0)
            model, project = str(self.model_box.currentData()), self._session.open
            frame_ids = unseen_frames(project, model, cohort)
            if frame_ids is not None and not frame_ids:
                self._add_row(cohort, ["", "no test frames", ""])
                continue
            prompt: Prompt = "box" if self.prompt_box.currentData() == "box" else "auto"
            request = EvaluateRequest(
                project.path, segmenter=model, cohort=cohort, prompt=prompt, frame_ids=frame_ids
            )
            handle = self._session.submit("evaluate", request)
            self.button.setEnabled(False)
            self.job_bar.follow(handle)
            handle.finished.connect(lambda result, c=cohort: self._finished(c, result))
            handle.failed.connect(lambda _: self._left.clear())
            handle.cancelled.connect(lambda _: self._left.clear())
            handle.ended.connect(self._next)
            return
        self.button.setEnabled(self.cohort_box.count() > 0)

    def _finished(self, cohort: str, result: EvaluateResult) -> None:
        low, high = result.dice["ci95"]
        mae = "" if result.hc_mae_mm is None else f"{result.hc_mae_mm:.1f}"
        self._add_row(
            f"{cohort} ({result.n})",
            [f"{result.dice['mean']:.3f}", f"{low:.3f} to {high:.3f}", mae],
            tip=_full_text(result),
        )
        self._show_results([*self._scores, *result.frames], keep_rows=True)

    def _add_row(self, cohort: str, values: list[str], tip: str = "") -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate([cohort, *values]):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            self.table.setItem(row, column, item)
        self.table.show()
        self.table.setFixedHeight(
            self.table.horizontalHeader().height() + (row + 1) * self.table.rowHeight(0) + 4
        )

    def _show_results(self, scores: list[FrameScore], *, keep_rows: bool = False) -> None:
        self._scores = scores
        if not keep_rows:
            self.table.setRowCount(0)
            self.table.hide()
        self.worst.clear()
        for score in sorted(scores, key=lambda s: s.dice)[:WORST]:
            item = QListWidgetItem(f"{score.name}   Dice {score.dice:.3f}")
            item.setData(Qt.ItemDataRole.UserRole, score.frame_id)
            self.worst.addItem(item)
        self.worst.setVisible(bool(scores))
        self.worst.setFixedHeight(self.worst.sizeHintForRow(0) * self.worst.count() + 6)
        self.summary.setText("The worst frames; double click opens one:" if scores else "")

    def _open(self, item: QListWidgetItem) -> None:
        self._session.select_frame(str(item.data(Qt.ItemDataRole.UserRole)))
        self._session.go("annotate")


def unseen_frames(project: Project, model: str, cohort: str) -> tuple[str, ...] | None:
    """The cohort's frames in the test part of the run that made ``model``; None for all frames,
    where no run of this project made it."""
    record = next((m for m in project.models("segmenter") if m.name == model), None)
    if record is None or record.run_id is None:
        return None
    held_out = set(project.run(record.run_id).data.get("test", ()))
    return tuple(f.id for f in project.frames(cohort=cohort) if f.id in held_out)


def _table() -> QTableWidget:
    table = QTableWidget(0, 4)
    table.setHorizontalHeaderLabels(["Cohort (n)", "Dice", "95 %", "HC mm"])
    table.verticalHeader().hide()
    table.setShowGrid(False)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return table


def _full_text(result: EvaluateResult) -> str:
    lines = [
        f"{result.segmenter} on {result.n} frames",
        f"Dice: median {result.dice['median']:.3f}, worst {result.dice['min']:.3f}",
        f"IoU {result.iou:.3f}, HD95 {result.hd95_px:.1f} px",
        f"{result.failures} frames below Dice 0.9",
    ]
    if result.hc_mae_mm is not None and result.hc_bias_mm is not None:
        lines.append(
            f"HC error {result.hc_mae_mm:.2f} mm on average, bias {result.hc_bias_mm:+.2f} mm"
        )
    return "\n".join(lines)
