"""Grouping frames by subject: the pattern of their names, with what comes of it as it is typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHeaderView,
    QLabel,
    QTableView,
    QWidget,
)

from fetalstudio.core.errors import InputError
from fetalstudio.core.name_patterns import NamePattern, proposed_patterns
from fetalstudio.core.words import counted
from fetalstudio.project.regrouping import Grouping, NameMatch, Regrouper
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.screen import room_for

_COLUMNS = ("Frame", "Read from the name", "Subject now", "New subject")
_WIDTHS = (220, 150, 200)
_SIZE = (880, 640)
_NEUTRAL = re.compile(r"frame-\d+")
_EXPLAINED = (
    "Say where in its name the subject of a frame stands: {subject} is the subject, * anything, # "
    "a number. What is read from a name is not stored, only a key that is made from it."
)
_ALL_NEUTRAL = (
    "These frames have neutral names, which do not say whom they show. Frames that are imported "
    "with their own names can be grouped by them."
)

Index = QModelIndex | QPersistentModelIndex


class GroupingModel(QAbstractTableModel):
    """A row for each frame: those of one new subject together, those that do not match last."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[NameMatch] = []
        self._shaded: list[bool] = []

    def show_grouping(self, matches: Sequence[NameMatch]) -> None:
        """Show these rows in place of the former ones."""
        self.beginResetModel()
        self._rows = sorted(matches, key=lambda r: (r.read is None, r.read or "", r.frame.name))
        self._shaded, shaded, last = [], True, None
        for match in self._rows:
            subject = None if match.read is None else match.subject
            shaded = shaded if subject == last and self._shaded else not shaded
            self._shaded.append(shaded)
            last = subject
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        match, column = self._rows[index.row()], index.column()
        changed = match.subject != match.frame.subject
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            new = match.subject if changed else "stays"
            read = match.read if match.read is not None else "does not match"
            return (match.frame.name, read, match.frame.subject, new)[column]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{match.frame.name}, cohort {match.frame.cohort}"
        if role == Qt.ItemDataRole.ForegroundRole:
            if match.read is None and column == 1:
                return QColor(theme.WARNING)
            bright = (column == 1 or (column == 3 and changed)) and match.read is not None
            return QColor(theme.TEXT_BRIGHT if bright else theme.TEXT_DIM if column else theme.TEXT)
        if role == Qt.ItemDataRole.BackgroundRole and self._shaded[index.row()]:
            return QColor(theme.RAISED)
        return None


class GroupDialog(AskDialog):
    """Asks for the pattern, and shows each frame with the subject that it would get."""

    def __init__(self, regrouper: Regrouper, frames: Sequence[Frame], parent: QWidget) -> None:
        super().__init__("Group frames by subject", "Group frames", parent)
        self._regrouper, self._frames = regrouper, frames
        self.grouping = Grouping((), ())
        """What the pattern makes of the frames."""
        self.explain(_EXPLAINED)
        names = [frame.name for frame in frames]
        if all(map(_NEUTRAL.fullmatch, names)):
            self.explain(_ALL_NEUTRAL)
        proposed = proposed_patterns(names)
        self.pattern = self.add_choice("Pattern")
        self.make_editable(self.pattern)
        self.pattern.addItems(proposed or ["{subject}_*"])
        self.pattern.setAccessibleName("Pattern of the names")
        self.expression = QCheckBox("It is a regular expression, whose first group is the subject")
        self.form.addRow("", self.expression)
        self.summary = theme.style(QLabel(), "heading")
        self.error = theme.style(QLabel(), "error")
        self.questions = theme.style(QLabel(), "warning")
        self.model = GroupingModel(self)
        self.table = self._build_table()
        for label in (self.summary, self.error, self.questions):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        for widget in (self.summary, self.error, self.table, self.questions):
            self._layout.insertWidget(self._layout.count() - 1, widget)
        self._layout.setStretchFactor(self.table, 1)
        self.resize(QSize(*_SIZE).boundedTo(room_for(parent)))
        self.pattern.currentTextChanged.connect(self._read)
        self.expression.toggled.connect(self._read)
        self._read()
        self.pattern.setFocus()

    def _build_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self.model)
        table.setAccessibleName("Frames with the subjects that they get")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.setMinimumHeight(160)
        table.verticalHeader().hide()
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        table.verticalHeader().setDefaultSectionSize(26)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        for column, width in enumerate(_WIDTHS):
            table.setColumnWidth(column, width)
        return table

    def _read(self) -> None:
        """Show what the pattern that is entered makes of the frames."""
        failed = ""
        try:
            pattern = NamePattern.parse(
                self.pattern.currentText(), regular_expression=self.expression.isChecked()
            )
            self.grouping = self._regrouper.by_names(self._frames, pattern)
        except InputError as error:
            failed = str(error)
            unread = tuple(NameMatch(frame, None, frame.subject) for frame in self._frames)
            self.grouping = Grouping(unread, ())
        self.error.setText(failed)
        self.error.setVisible(bool(failed))
        self.summary.setText(self.grouping.summary())
        self.summary.setVisible(not failed)
        self.model.show_grouping(self.grouping.matches)
        self.questions.setText("\n".join(self.grouping.questions))
        self.questions.setVisible(bool(self.grouping.questions))
        changed = len(self.grouping.subjects)
        self.accept_button.setText(f"Group {counted(changed, 'frame')}" if changed else "Group")
        self.accept_button.setEnabled(changed > 0)
