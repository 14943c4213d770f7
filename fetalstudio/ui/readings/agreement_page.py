"""How well observers agree: figures with intervals, a Bland-Altman plot and the frames."""

from __future__ import annotations

import math
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QListWidget,
    QPushButton,
    QScrollArea,
    QSplitter,
    QStackedWidget,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.agreement import SIZES, Estimate, SizeAgreement
from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.agreements import (
    GroupAgreement,
    ObserverAgreement,
    read_together,
    read_twice,
    write_disagreements,
)
from fetalstudio.ui import theme
from fetalstudio.ui.common.allowing import allow
from fetalstudio.ui.common.bland_altman import BlandAltmanPlot, DifferencePoint, Level
from fetalstudio.ui.common.cohort_box import chosen_cohort, fill_cohorts
from fetalstudio.ui.common.empty import EmptyState
from fetalstudio.ui.common.form import note, tick
from fetalstudio.ui.readings.comparing import Comparer
from fetalstudio.ui.session import Session

_LIST_WIDTH = 170
_FRAMES_HEIGHT = 180
_FIGURES = (
    ("", "Size of the head, outer to outer"),
    ("Bias", "Mean of the second minus the first reading in mm, with its 95 % interval"),
    ("Lower limit", "Lower 95 % limit of agreement in mm (Bland and Altman), with its interval"),
    ("Upper limit", "Upper 95 % limit of agreement in mm, with its interval"),
    ("ICC(A,1)", "Absolute agreement of single readings: Shrout and Fleiss' ICC(2,1)"),
    ("ICC(C,1)", "The same without the bias: Shrout and Fleiss' ICC(3,1)"),
    ("TEM", "Technical error of measurement in mm: the standard deviation of one reading"),
)
_FRAMES = ("Frame", "Dice", "First", "Second", "mm apart")
_NUMBERS = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_FRAME_ID = Qt.ItemDataRole.UserRole


class AgreementPage(QWidget):
    """The agreement of each observer with herself and of each two, by what the project holds."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.found: list[ObserverAgreement] = []
        self._stale = True
        self.comparer = Comparer(self)
        self.cohort = QComboBox()
        self.cohort.setAccessibleName("Cohort")
        self.annotations = tick(
            session.settings,
            "readings/annotations",
            "Annotations of the usual work count as readings",
            default=True,
        )
        self.list = QListWidget()
        self.list.setAccessibleName("Observers")
        self.list.setSpacing(theme.SPACE // 2)
        self.list.setWordWrap(True)
        self.together = note()
        self.together.setToolTip(
            "The HC over all observers, on the calibrated frames that all of them read. "
            + ". ".join(tip for name, tip in _FIGURES if name in ("ICC(A,1)", "ICC(C,1)", "TEM"))
        )
        self.together.hide()
        self.about = note()
        self.figures = _table([name for name, _ in _FIGURES], "Figures")
        self.figures.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.figures.setWordWrap(False)
        for narrow in (0, len(_FIGURES) - 1):
            self.figures.horizontalHeader().setSectionResizeMode(
                narrow, QHeaderView.ResizeMode.ResizeToContents
            )
        self.figures.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        for column, (name, tip) in enumerate(_FIGURES):
            head = QTableWidgetItem(name)
            head.setToolTip(tip)
            self.figures.setHorizontalHeaderItem(column, head)
        _align_names(self.figures)
        self.size_box = QComboBox()
        self.size_box.addItems(SIZES)
        self.size_box.setAccessibleName("Size that is plotted")
        self.plot = BlandAltmanPlot(
            "Mean of both readings in mm",
            "Second minus first in mm",
            "Each point is a frame; click to select it below. Grey: the intervals of the limits",
        )
        self.frames = _table(_FRAMES, "Frames, the worst first")
        self.frames.setMinimumHeight(_FRAMES_HEIGHT // 2)
        self.frames.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.frames.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.empty = EmptyState()
        self.csv_button = QPushButton("Save table ...")
        self.csv_button.setToolTip("Save the figures of all compared frames as CSV")
        self.adjudicate_button = QPushButton("Adjudicate")
        self.adjudicate_button.setToolTip(
            theme.tip("Decide on the ellipses of frames that two observers read", "A")
        )
        self._build()
        self._connect()

    def activated(self) -> None:
        """Give the keyboard to the list; compare again if anything has changed."""
        if self._stale:
            self.reload()
        (self.list if self.found else self.empty.button).setFocus()

    # -- building ---------------------------------------------------------------------------

    def _build(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(2 * theme.SPACE)
        head.addWidget(theme.style(QLabel("Agreement"), "title"), 1)
        for widget in (self.annotations, self.cohort, self.csv_button, self.adjudicate_button):
            head.addWidget(widget)
        self.list.setFixedWidth(_LIST_WIDTH)
        top = QWidget()
        upper = QVBoxLayout(top)
        upper.setContentsMargins(0, 0, 0, 0)
        upper.setSpacing(theme.SPACE)
        upper.addWidget(self.about)
        upper.addWidget(self.figures)
        choice = QHBoxLayout()
        self.plot_title = theme.style(QLabel("Bland-Altman plot"), "heading")
        choice.addWidget(self.plot_title, 1)
        choice.addWidget(self.size_box)
        upper.addLayout(choice)
        upper.addWidget(self.plot, 1)
        upper.addStretch()  # keeps the text at the top where there is no plot
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(_scrolling(top))
        split.addWidget(self.frames)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 1)
        split.setChildrenCollapsible(False)
        split.setSizes([3 * _FRAMES_HEIGHT, _FRAMES_HEIGHT])
        work = QWidget()
        row = QHBoxLayout(work)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2 * theme.SPACE)
        row.addWidget(self.list)
        row.addWidget(split, 1)
        self.body = QStackedWidget()
        self.body.addWidget(work)
        self.body.addWidget(self.empty)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(3 * theme.SPACE, 2 * theme.SPACE, 3 * theme.SPACE, theme.SPACE)
        outer.setSpacing(theme.SPACE)
        outer.addLayout(head)
        outer.addWidget(self.together)
        outer.addWidget(self.body, 1)

    def _connect(self) -> None:
        session = self.session
        for signal in (
            session.project_changed,
            session.readings_changed,
            session.frames_changed,
            session.annotation_changed,
        ):
            signal.connect(self._changed)
        self.annotations.toggled.connect(self.reload)
        self.cohort.activated.connect(self.reload)
        self.list.currentRowChanged.connect(self._show)
        self.size_box.currentTextChanged.connect(self._plot)
        self.comparer.progress.connect(self._progressed)
        self.comparer.compared.connect(self._compared)
        self.plot.chosen.connect(self._select)
        self.frames.itemDoubleClicked.connect(self._open)
        self.csv_button.clicked.connect(self._ask_csv)
        self.adjudicate_button.clicked.connect(lambda: session.go("adjudication"))
        self.empty.clicked.connect(lambda: session.reading_asked.emit([]))
        adjudicate = QShortcut(QKeySequence("A"), self)
        adjudicate.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        adjudicate.setWhatsThis("Adjudicate")
        adjudicate.activated.connect(self.adjudicate_button.click)
        opened = QShortcut(QKeySequence("Return"), self.frames)
        opened.setContext(Qt.ShortcutContext.WidgetShortcut)
        opened.setWhatsThis("Show both readings of the selected frame")
        opened.activated.connect(self._open)

    # -- what is shown ----------------------------------------------------------------------

    def _changed(self) -> None:
        self._stale = True
        if self.isVisible():
            self.reload()

    def reload(self) -> None:
        """Read the readings of the project, and compare them."""
        self._stale = False
        project = self.session.project
        fill_cohorts(self.cohort, project.frames.cohorts() if project is not None else [])
        self.cohort.setVisible(self.cohort.count() > 1)
        found, together = [], None
        if project is not None:
            cohort, annotations = chosen_cohort(self.cohort), self.annotations.isChecked()
            found = read_twice(project, cohort=cohort, annotations=annotations)
            together = read_together(project, cohort=cohort, annotations=annotations)
        if found:
            self.comparer.compare(found, together)
            if not self.found:
                self._progressed(0, sum(len(one.readings) for one in found))
            return
        self.comparer.stop()
        self._compared([], None)

    def _progressed(self, done: int, total: int) -> None:
        if not self.found:
            self._say("Comparing the readings ...", f"{done} of {counted(total, 'frame')}", "")

    def _say(self, title: str, text: str, action: str) -> None:
        self.empty.say(title, text, action)
        self.body.setCurrentWidget(self.empty)

    def _compared(self, found: list[ObserverAgreement], group: GroupAgreement | None) -> None:
        self.together.setVisible(group is not None)
        if group is not None:
            said = " ".join([f"HC {group.figures()}.", *group.sentences()])
            self.together.setText(
                f"<b>{_escaped(group.title)}, {group.about()}.</b> {_escaped(said)}"
            )
        row = self.list.currentRow()
        kept = self.found[row].title if 0 <= row < len(self.found) else ""
        self.found = found
        allow(self.csv_button, "" if found else "No frame was read twice.")
        two = any(not one.intra for one in found)
        allow(self.adjudicate_button, "" if two else "No frame was read by two observers.")
        self.list.clear()
        if not found:
            self._say(
                "No frame was read twice",
                "Draw ellipses again without seeing the former ones, or merge the readings of a "
                "colleague from the menu Readings. Then their agreement is shown here.",
                "Read again without seeing",
            )
            return
        self.body.setCurrentIndex(0)
        for one in found:
            self.list.addItem(f"{one.title}\n{counted(len(one.agreement.pairs), 'frame')}")
        titles = [one.title for one in found]
        self.list.setCurrentRow(titles.index(kept) if kept in titles else 0)
        if self.isVisible() and not self.list.hasFocus():
            self.list.setFocus()

    def _show(self, row: int) -> None:
        if not 0 <= row < len(self.found):
            return
        one = self.found[row]
        found = one.agreement
        dice = found.dice
        interval = "" if math.isnan(dice.low) else f" ({dice.low:.3f} to {dice.high:.3f})"
        frames, subjects = counted(len(found.pairs), "frame"), counted(found.subjects, "subject")
        first, second = ("first", "second") if one.intra else (one.first, one.second)
        self.about.setText(
            f"<b>{frames} of {subjects}.</b> Dice {dice.mean:.3f}{interval}, lowest "
            f"{min(found.dices):.3f}. Differences are {_escaped(second)} minus {_escaped(first)}. "
            + " ".join(map(_escaped, one.sentences()))
        )
        sizes = [size for size in SIZES if size in found.sizes]
        self.figures.setVisible(bool(sizes))
        self.figures.setRowCount(len(sizes))
        for i, size in enumerate(sizes):
            for j, text in enumerate((size, *_cells(found.sizes[size]))):
                item = QTableWidgetItem(text)
                item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                if j:
                    item.setTextAlignment(_NUMBERS)
                self.figures.setItem(i, j, item)
        self.figures.resizeRowsToContents()
        for i in range(len(sizes)):
            self.figures.setRowHeight(i, self.figures.rowHeight(i) + theme.SPACE)
        lines = self.figures.verticalHeader().length() + self.figures.horizontalHeader().height()
        self.figures.setFixedHeight(lines + 4)
        self._plot()
        self._fill_frames(one)

    def _current(self) -> ObserverAgreement | None:
        row = self.list.currentRow()
        return self.found[row] if 0 <= row < len(self.found) else None

    def _name(self, frame_id: str) -> str:
        frame = self.session.open.frames.find(frame_id)
        return "" if frame is None else frame.name

    def _plot(self) -> None:
        one = self._current()
        if one is None:
            return
        size = next(size for size in SIZES if size == self.size_box.currentText())
        points = []
        for pair in one.agreement.pairs:
            if (both := pair.sizes_mm(size)) is not None:
                name = self._name(pair.frame_id)
                mean = (both[0] + both[1]) / 2
                points.append(DifferencePoint(pair.frame_id, name, mean, both[1] - both[0]))
        # Without a calibrated frame, no size has points.
        self.plot.setVisible(bool(points))
        for part in (self.plot_title, self.size_box):
            part.setVisible(bool(one.agreement.sizes))
        levels = []
        if points:
            found = one.agreement.sizes[size]
            levels = [Level("bias", found.bias.mean)]
            levels += [
                Level("limit", limit.value, limit.low, limit.high)
                for limit in (found.lower, found.upper)
                if not math.isnan(limit.value)
            ]
        self.plot.show_points(points, levels)

    def _fill_frames(self, one: ObserverAgreement) -> None:
        found = one.agreement
        who = ("first", "second") if one.intra else (one.first, one.second)
        heads = [*_FRAMES[:2], *(f"HC {name}" for name in who), *_FRAMES[4:]]
        self.frames.setHorizontalHeaderLabels(heads)
        _align_names(self.frames)
        order = sorted(range(len(found.pairs)), key=lambda i: found.dices[i])
        self.frames.setRowCount(len(order))
        for row, i in enumerate(order):
            pair = found.pairs[i]
            both = pair.sizes_mm("HC")
            texts = [self._name(pair.frame_id), f"{found.dices[i]:.3f}"]
            texts += ["", "", ""]
            if both is not None:
                texts[2:] = [f"{v:.1f}" for v in both] + [f"{both[1] - both[0]:+z.1f}"]
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setData(_FRAME_ID, pair.frame_id)
                if column:
                    item.setTextAlignment(_NUMBERS)
                self.frames.setItem(row, column, item)
        if order:
            self.frames.selectRow(0)

    def _select(self, frame_id: str) -> None:
        for row in range(self.frames.rowCount()):
            item = self.frames.item(row, 0)
            if item is not None and item.data(_FRAME_ID) == frame_id:
                self.frames.selectRow(row)
                self.frames.setFocus()

    def _open(self) -> None:
        """Show the readings of the selected frame beside each other."""
        one, row = self._current(), self.frames.currentRow()
        item = self.frames.item(row, 0)
        if one is not None and item is not None:
            frame_id = item.data(_FRAME_ID)
            self.session.select_frame(frame_id)
            self.session.go("annotate" if one.intra else "adjudication")
            if not one.intra:
                self.session.adjudication_asked.emit(frame_id)

    def _ask_csv(self) -> None:
        start = self.session.open.path.parent / "readings.csv"
        name = QFileDialog.getSaveFileName(self, "Save as", str(start), "CSV (*.csv)")[0]
        if name:
            self.save_csv(Path(name))

    def save_csv(self, path: Path) -> None:
        """Save the figures of all compared frames."""
        try:
            write_disagreements(path, self.found, self.session.open)
        except UserError as error:
            self.session.report(error)
            return
        self.session.message.emit(f"Saved {path}.", "info")


def _cells(size: SizeAgreement) -> tuple[str, ...]:
    bias = Estimate(size.bias.mean, size.bias.low, size.bias.high)
    return (
        *(_cell(estimate, 1, "+") for estimate in (bias, size.lower, size.upper)),
        *(_cell(estimate, 3, "") for estimate in (size.icc_agreement, size.icc_consistency)),
        "" if math.isnan(size.technical_error) else f"{size.technical_error:.2f}",
    )


def _cell(estimate: Estimate, digits: int, sign: str) -> str:
    if math.isnan(estimate.value):
        return ""
    said = f"{estimate.value:{sign}z.{digits}f}"
    if math.isnan(estimate.low):
        return said
    return f"{said}\n{estimate.low:{sign}z.{digits}f} to {estimate.high:{sign}z.{digits}f}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _scrolling(part: QWidget) -> QScrollArea:
    """The part, which scrolls where the window is not tall enough."""
    area = QScrollArea()
    area.setWidget(part)
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return area


def _align_names(table: QTableWidget) -> None:
    """Put the head of the first column, which holds names, above them."""
    head = table.horizontalHeaderItem(0)
    if head is not None:
        head.setTextAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)


def _table(heads: list[str] | tuple[str, ...], name: str) -> QTableWidget:
    table = QTableWidget(0, len(heads))
    table.setHorizontalHeaderLabels(list(heads))
    table.verticalHeader().hide()
    table.setShowGrid(False)
    table.setAccessibleName(name)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    header = table.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    header.setDefaultAlignment(_NUMBERS)
    return table
