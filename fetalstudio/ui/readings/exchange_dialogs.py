"""The dialogs that export readings and merge those of a colleague."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QLabel, QLineEdit, QListWidget, QWidget

from fetalstudio.core.errors import UserError
from fetalstudio.core.words import counted
from fetalstudio.project.reading_exchange import MergePlan
from fetalstudio.project.store.records import Reading
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog

_CONFLICTS_HEIGHT = 120


class ExportReadingsDialog(AskDialog):
    """Asks whose readings are written, and under which names."""

    def __init__(self, readings: Sequence[Reading], parent: QWidget | None) -> None:
        """``readings``: all that the project holds, with the annotations that count as such."""
        super().__init__("Export readings", "Choose a file", parent)
        self.explain(
            "Writes a small file that a colleague with the same frames can merge: the ellipses, "
            "when and how they were drawn, and the names below. No picture, no name of a frame or "
            "patient."
        )
        self._readings = tuple(readings)
        self._rows: dict[str, tuple[QCheckBox, QLineEdit]] = {}
        self.annotations = QCheckBox("Also the final annotations, as readings that were not blind")
        for observer in sorted({reading.observer for reading in readings}):
            box, name = QCheckBox(observer), QLineEdit(observer)
            box.setChecked(any(r.round for r in readings if r.observer == observer))
            name.setToolTip("What this observer is called in the file, such as initials")
            self._rows[observer] = box, name
            self.form.addRow(box, name)
            box.toggled.connect(self._update)
            name.textChanged.connect(self._update)
        self.form.addRow("", self.annotations)
        self.count = theme.style(QLabel(), "dim")
        self.form.addRow("", self.count)
        self.annotations.toggled.connect(self._update)
        self._update()

    def observers(self) -> list[str]:
        """Whose readings are written."""
        return [observer for observer, (box, _) in self._rows.items() if box.isChecked()]

    def renamed(self) -> Mapping[str, str]:
        """What observers are called in the file, by what they are called here."""
        return {observer: name.text().strip() for observer, (_, name) in self._rows.items()}

    def _update(self) -> None:
        chosen, names = self.observers(), self.renamed()
        for box, name in self._rows.values():
            name.setEnabled(box.isChecked())
        count = sum(
            reading.observer in chosen and (self.annotations.isChecked() or reading.round > 0)
            for reading in self._readings
        )
        self.count.setText(f"{counted(count, 'reading')}.")
        self.accept_button.setEnabled(count > 0 and all(names[one] for one in chosen))


class MergeDialog(AskDialog):
    """Shows what merging a file would do, before anything is stored."""

    def __init__(
        self,
        plan: MergePlan,
        replan: Callable[[Mapping[str, str]], MergePlan],
        parent: QWidget | None,
    ) -> None:
        """``replan`` plans again with other names of observers. It raises :class:`UserError`."""
        super().__init__("Merge readings", "Merge", parent)
        self.plan, self._replan = plan, replan
        self.explain(
            f"{plan.path.name}: nothing of this project is overwritten, and no annotation changes. "
            "You can undo the merge."
        )
        self.summary = QLabel()
        self.summary.setTextFormat(Qt.TextFormat.PlainText)
        self.summary.setWordWrap(True)
        self.form.addRow(self.summary)
        self.conflicts = QListWidget()
        self.conflicts.setMaximumHeight(_CONFLICTS_HEIGHT)
        self.conflicts.setWordWrap(True)
        self.conflicts.setAccessibleName("Conflicts")
        self.form.addRow(self.conflicts)
        self.keep_both = QCheckBox("Keep both where the same observer drew something else")
        self.form.addRow(self.keep_both)
        self._names: dict[str, QLineEdit] = {}
        for observer in plan.observers:
            field = QLineEdit(observer)
            field.setToolTip(
                "What this observer is called here. Another name makes another person of her: "
                "enter one where two people have the same initials"
            )
            field.editingFinished.connect(self._renamed)
            self._names[observer] = field
            self.form.addRow(f"{observer} is", field)
        self.keep_both.toggled.connect(self._show)
        self._show()

    def renamed(self) -> Mapping[str, str]:
        """What the observers of the file are called here."""
        return {
            observer: field.text().strip()
            for observer, field in self._names.items()
            if field.text().strip() not in ("", observer)
        }

    def _renamed(self) -> None:
        try:
            self.plan = self._replan(self.renamed())
        except UserError as error:
            self.summary.setText(str(error))
            self.accept_button.setEnabled(False)
            return
        self._show()

    def _show(self) -> None:
        plan = self.plan
        self.summary.setText("\n".join(plan.sentences()))
        self.conflicts.clear()
        self.conflicts.addItems([conflict.sentence() for conflict in plan.conflicts])
        self.conflicts.setVisible(bool(plan.conflicts))
        both = [c for c in plan.conflicts if c.kind == "another"]
        self.keep_both.setVisible(bool(both))
        count = len(plan.new) + (len(both) if self.keep_both.isChecked() else 0)
        self.accept_button.setText(f"Merge {counted(count, 'reading')}")
        self.accept_button.setEnabled(count > 0)
        self.adjustSize()
