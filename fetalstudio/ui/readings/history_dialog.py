"""The audit log of a project: who did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import (
    QAbstractTableModel,
    QDateTime,
    QLocale,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.errors import UserError
from fetalstudio.project.audit import AuditEntry, write_audit_log
from fetalstudio.ui import theme
from fetalstudio.ui.session import Session

_HEADS = ("When", "Who", "Frame", "What")
_SIZE = (900, 600)
Index = QModelIndex | QPersistentModelIndex


class _LogModel(QAbstractTableModel):
    """The entries, the newest first."""

    def __init__(self, entries: Sequence[AuditEntry]) -> None:
        super().__init__()
        self.entries = tuple(reversed(entries))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_HEADS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        shown = role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal
        return _HEADS[section] if shown else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        entry = self.entries[index.row()]
        match index.column():
            case 0:
                moment = QDateTime.fromSecsSinceEpoch(int(entry.at.timestamp()))
                return QLocale().toString(moment, QLocale.FormatType.ShortFormat)
            case 1:
                return entry.who
            case 2:
                return entry.frame
        return entry.action


class HistoryDialog(QDialog):
    """A table of all that was done, with a filter, and as CSV."""

    def __init__(self, session: Session, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.session = session
        self.setWindowTitle("History of the project")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(*_SIZE)
        self._entries = session.open.audit.log()
        self.model = _LogModel(self._entries)
        self.shown = QSortFilterProxyModel(self)
        self.shown.setSourceModel(self.model)
        self.shown.setFilterKeyColumn(-1)
        self.shown.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Filter by name, frame or action")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self.shown.setFilterFixedString)
        self.table = QTableView()
        self.table.setModel(self.shown)
        self.table.setAccessibleName("History")
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column, width in enumerate((130, 160, 160)):
            self.table.setColumnWidth(column, width)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        head = QHBoxLayout()
        head.addWidget(theme.style(QLabel("Who did what, and when"), "heading"), 1)
        head.addWidget(self.search, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        table = buttons.addButton("Save table ...", QDialogButtonBox.ButtonRole.ActionRole)
        table.setToolTip("Save the whole history as CSV")
        table.clicked.connect(self._ask_csv)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[2 * theme.SPACE] * 4)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(head)
        layout.addWidget(self.table, 1)
        layout.addWidget(buttons)
        self.search.setFocus()

    def _ask_csv(self) -> None:
        start = self.session.open.path.parent / "history.csv"
        name = QFileDialog.getSaveFileName(self, "Save as", str(start), "CSV (*.csv)")[0]
        if name:
            self.save_csv(Path(name))

    def save_csv(self, path: Path) -> None:
        """Save the whole history."""
        try:
            write_audit_log(path, self._entries)
        except UserError as error:
            self.session.report(error)
            return
        self.session.message.emit(f"Saved {path}.", "info")
