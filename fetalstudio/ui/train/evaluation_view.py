"""The result of an evaluation: figures by group, a Bland-Altman plot and the worst frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QScrollArea,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.errors import UserError
from fetalstudio.core.prompts import in_words
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult
from fetalstudio.engine.jobs.evaluate.score_table import write_scores
from fetalstudio.engine.jobs.evaluate.scorecard import cautions, cells, conventions, worst
from fetalstudio.engine.jobs.report.request import ReportRequest, ReportResult
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import note
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.agreement_plot import AgreementPlot
from fetalstudio.ui.train.gallery import LEGEND, Gallery

_NOTHING = (
    "Choose a segmenter and evaluate it. Its Dice, its errors in mm and its worst frames are shown "
    "here."
)
_SOON = "Its Dice, its errors in mm and its worst frames are shown here when it has ended."
_NUMBERS = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_TABLE_HEIGHT = 260
"""px: room for all, two cohorts and three trimesters."""


class EvaluationView(QWidget):
    """Shows one result and saves it as a report or a table."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.result: EvaluateResult | None = None
        self.title = theme.style(QLabel(), "heading")
        self.about = note()
        self.table = _table()
        self.plot = AgreementPlot()
        self.gallery = Gallery(session)
        self.report_button = QPushButton("Save report ...")
        self.report_button.setToolTip("Save the whole result as one HTML file")
        self.report_button.clicked.connect(self._ask_report)
        self.csv_button = QPushButton("Save table ...")
        self.csv_button.setToolTip("Save the figures of each frame as CSV")
        self.csv_button.clicked.connect(self._ask_csv)
        for source in (self.plot, self.gallery):
            source.chosen.connect(self._open)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        for button in (self.report_button, self.csv_button):
            head.addWidget(button)
        self._worst_title = _worst_title()
        whole = QWidget()
        layout = QVBoxLayout(whole)
        layout.setContentsMargins(2 * theme.SPACE, 2 * theme.SPACE, theme.SPACE, theme.SPACE)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(head)
        for widget in (self.about, self.table):
            layout.addWidget(widget)
        layout.addWidget(self.plot, 2)
        layout.addWidget(self._worst_title)
        layout.addWidget(self.gallery, 3)
        layout.addStretch(0)
        # In a low window the frames would have no room below the figures.
        area = QScrollArea()
        area.setWidget(whole)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.show_result(None)

    def show_result(self, result: EvaluateResult | None) -> None:
        """Show a result, or for None an explanation of what will be here."""
        self.result = result
        shown = (self.table, self.gallery, self._worst_title, self.report_button, self.csv_button)
        for widget in shown:
            widget.setVisible(result is not None)
        self.plot.setVisible(result is not None and self.plot.show_result(result))
        if result is None:
            self.title.setText("No evaluation yet")
            self.about.setText(_NOTHING)
            return
        subjects = counted(result.subjects, "subject")
        self.title.setText(f"{result.segmenter} on {counted(result.n, 'frame')} of {subjects}")
        self.about.setText(_about(result))
        self._fill(result)
        self.gallery.show_scores(worst(result.frames))

    def show_running(self, segmenter: str) -> None:
        """Say that a segmenter is being evaluated. A former result stays until there is another."""
        if self.result is None:
            self.title.setText(f"Evaluating {segmenter}")
            self.about.setText(_SOON)

    def save_report(self, path: Path) -> None:
        """Save the report as HTML; the engine writes it."""
        if self.result is None:
            return
        request = ReportRequest(self._session.open.path, path, self.result)
        handle = self._session.submit(request)
        handle.on_finished(self._reported)

    def save_csv(self, path: Path) -> None:
        """Save the figures of each frame as CSV."""
        if self.result is None:
            return
        try:
            write_scores(path, self.result.frames)
        except UserError as error:
            self._session.report(error)
            return
        self._session.message.emit(f"Saved {path}.", "info")

    def _reported(self, result: ReportResult) -> None:
        self._session.message.emit(f"Saved {result.out}.", "info")

    def _ask_report(self) -> None:
        self._ask(".html", "HTML (*.html)", self.save_report)

    def _ask_csv(self) -> None:
        self._ask(".csv", "CSV (*.csv)", self.save_csv)

    def _ask(self, suffix: str, kind: str, save: Callable[[Path], None]) -> None:
        assert self.result is not None  # otherwise the buttons are hidden
        start = self._session.open.path.parent / f"{self.result.segmenter}-evaluation{suffix}"
        name = QFileDialog.getSaveFileName(self, "Save as", str(start), kind)[0]
        if name:
            path = Path(name)
            save(path if path.suffix else path.with_suffix(suffix))

    def _open(self, frame_id: str) -> None:
        self._session.select_frame(frame_id)
        self._session.go("annotate")

    def _fill(self, result: EvaluateResult) -> None:
        rows = {"All": cells(result), **{n: cells(g) for n, g in result.groups.items()}}
        if result.paper is not None:
            rows["All (paper)"] = cells(result.paper)
            rows |= {f"{n} (paper)": cells(g) for n, g in result.paper.groups.items()}
        heads = [h for h in rows["All"] if any(row[h][0] for row in rows.values())]
        self.table.setColumnCount(len(heads) + 1)
        self.table.setHorizontalHeaderLabels(["", *heads])
        self.table.setRowCount(len(rows))
        for i, (name, row) in enumerate(rows.items()):
            self._cell(i, 0, name, "")
            for j, head in enumerate(heads, start=1):
                value, interval = row[head]
                self._cell(i, j, value, interval)
        self.table.resizeRowsToContents()
        wanted = self.table.verticalHeader().length() + self.table.horizontalHeader().height() + 18
        self.table.setFixedHeight(min(wanted, _TABLE_HEIGHT))

    def _cell(self, row: int, column: int, value: str, interval: str) -> None:
        item = QTableWidgetItem(f"{value}\n{interval}" if interval else value)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        if column:
            item.setTextAlignment(_NUMBERS)
        self.table.setItem(row, column, item)


def _about(result: EvaluateResult) -> str:
    size = "at native size" if result.protocol == "native" else "as in the paper"
    if result.trained_on:
        seen = (
            f"{result.trained_on} of the frames are of subjects that it saw before, so the figures "
            "are too optimistic."
        )
    elif result.not_known:
        seen = "None of these subjects is known to have been used to train it."
    elif result.held_out:
        seen = "None of these subjects was used to train, choose or calibrate it."
    else:
        seen = "As far as is known, it saw none of these subjects before."
    return (
        f"Measured {in_words(result.prompt)}, {size}. {seen} Each mean has its 95 % interval below "
        f"it; a failure is a Dice below 0.9. {' '.join([*conventions(result), *cautions(result)])}"
    )


def _worst_title() -> QWidget:
    title = QWidget()
    row = QHBoxLayout(title)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(theme.style(QLabel("Worst frames"), "heading"))
    row.addWidget(theme.style(QLabel(LEGEND), "dim"), 1)
    return title


def _table() -> QTableWidget:
    table = QTableWidget(0, 0)
    table.verticalHeader().hide()
    table.setShowGrid(False)
    table.setAlternatingRowColors(True)  # a row has two lines
    table.setAccessibleName("Figures")
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.horizontalHeader().setDefaultAlignment(_NUMBERS)
    table.setHorizontalScrollMode(QTableWidget.ScrollMode.ScrollPerPixel)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return table
