"""The data of a training: cohort, segmenter to start from, counts by part, and any problems."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from fetalstudio.core.splits import Part
from fetalstudio.project.project import Project
from fetalstudio.ui import theme
from fetalstudio.ui.common.breaking_label import breakable
from fetalstudio.ui.common.cohort_box import chosen_cohort, fill_cohorts
from fetalstudio.ui.common.form import Section, combo, note
from fetalstudio.ui.train.segmenter_box import fill_segmenters
from fetalstudio.ui.train.training_plan import PARTS, TrainingPlan


class TrainingDataSection(Section):
    """``changed`` is emitted when another cohort or segmenter is chosen."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Data", parent)
        self.cohort_box, self.start_box = combo(), combo()
        for box in (self.cohort_box, self.start_box):
            box.activated.connect(lambda _: self.changed.emit())
        self._counts: dict[Part, tuple[QLabel, QLabel]] = {}
        self.pairs_label, self.checks = QLabel(), QLabel()
        self.checks.setTextFormat(Qt.TextFormat.RichText)
        self.checks.setWordWrap(True)
        self.row("Cohort", self.cohort_box, "Whose frames to train, validate and test on")
        self.row("Start from", self.start_box, "The segmenter to fine-tune")
        self.add(self._table())
        self.add(self.checks)
        self.advice = note()
        self.evidence_button = QPushButton("Evidence on pairs")
        self.evidence_button.setToolTip("Show what the advice on pairs rests on")
        self.add(self.advice)
        self.add(self.evidence_button)

    @property
    def cohort(self) -> str | None:
        """The chosen one; None for all."""
        return chosen_cohort(self.cohort_box)

    @property
    def segmenter(self) -> str:
        """Name of the one to start from."""
        return str(self.start_box.currentData())

    def counts(self, part: Part) -> tuple[int, int]:
        """(subjects, frames) of a part, as they are shown."""
        subjects, frames = self._counts[part]
        return int(subjects.text()), int(frames.text())

    def fill_cohorts(self, project: Project | None) -> None:
        """Offer the project's cohorts; the chosen one stays if it is among them."""
        fill_cohorts(self.cohort_box, project.frames.cohorts() if project is not None else [])

    def fill_segmenters(self, project: Project | None, *, reset: bool = False) -> None:
        """Offer the segmenters; the chosen one stays chosen unless ``reset``."""
        if reset:
            self.start_box.clear()
        fill_segmenters(self.start_box, project, follow=True)

    def show_plan(self, plan: TrainingPlan) -> None:
        """Show the counts, and the problems that forbid the start, or else the warnings."""
        for part, (subjects, frames) in self._counts.items():
            share = plan.parts[part]
            subjects.setText(str(share.subjects))
            frames.setText(str(share.frames))
        self.pairs_label.setText(str(plan.pairs))
        advice = plan.data.advice
        self.advice.setVisible(advice is not None)
        if advice is not None:
            self.advice.setText(advice.headline)
            self.advice.setToolTip(" ".join(advice.reasons))
        said = plan.problems or plan.warnings
        # With a gap between them, as each may take several lines.
        texts = (escape(breakable(one), quote=False) for one in said)
        self.checks.setText("".join(f'<p style="margin: 0 0 6px">{text}</p>' for text in texts))
        theme.style(self.checks, "error" if plan.problems else "warning")
        self.checks.setVisible(bool(said))

    def _table(self) -> QWidget:
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(theme.SPACE // 2)
        right = Qt.AlignmentFlag.AlignRight
        for column, text in enumerate(("", "Subjects", "Frames")):
            grid.addWidget(theme.style(QLabel(text), "dim"), 0, column, right)
        for i, (part, title) in enumerate(
            zip(PARTS, ("Training", "Validation", "Test"), strict=True)
        ):
            labels = QLabel(), QLabel()
            grid.addWidget(QLabel(title), i + 1, 0)
            for column, label in enumerate(labels, 1):
                grid.addWidget(label, i + 1, column, right)
            self._counts[part] = labels
        grid.addWidget(QLabel("Accepted pairs"), 4, 0)
        grid.addWidget(self.pairs_label, 4, 2, right)
        return table
