"""Asking for a label or a calibration of many frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QWidget,
)

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.errors import InputError
from fetalstudio.core.growth import AGE_LABEL, parse_age
from fetalstudio.core.words import counted
from fetalstudio.formats.privacy.identifiers import looks_like
from fetalstudio.formats.tables.frame_columns import LABELS
from fetalstudio.formats.tables.table_files import TABLE_SUFFIXES
from fetalstudio.project.calibrating import Calibrating, from_number, from_table, removal
from fetalstudio.project.store.records import Frame
from fetalstudio.ui import theme
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.form import guard_from_wheel
from fetalstudio.ui.common.number_fields import DecimalField

_UNKNOWN = 0.0
"""A pixel size that nobody has entered."""
_MOST_NOTES = 4


class LabelDialog(AskDialog):
    """Asks for a label and its value, which is left empty to take the label away."""

    def __init__(
        self,
        frames: Sequence[Frame],
        known: Mapping[str, Sequence[str]],
        said: str,
        parent: QWidget,
    ) -> None:
        """``known``: the values that the project's frames have, by label."""
        super().__init__("Set a label", "Set label", parent)
        self._frames, self._known = frames, known
        self.explain(
            f"{said}. Search finds frames by their labels, and an evaluation shows its results by "
            "them. Leave the value empty to take the label away."
        )
        self.name_box = self.add_choice("Label")
        self.value_box = self.add_choice("Value")
        for box in (self.name_box, self.value_box):
            self.make_editable(box)
        own = {name for frame in frames for name in frame.labels}
        self.name_box.addItems(sorted({*known, *LABELS}))
        self.name_box.setCurrentText(min(own) if own else LABELS[1])
        self.held = theme.style(QLabel(), "dim")
        self.hint = theme.style(QLabel(), "warning")
        for label in (self.held, self.hint):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            self.form.addRow(label)
        self.name_box.currentTextChanged.connect(self._name_changed)
        self.value_box.currentTextChanged.connect(self._check)
        self._name_changed()
        self.name_box.setFocus()

    @property
    def name(self) -> str:
        """The label."""
        return self.name_box.currentText().strip()

    @property
    def value(self) -> str:
        """Its value; empty where the label is taken away."""
        return self.value_box.currentText().strip()

    def _name_changed(self) -> None:
        held = Counter(frame.labels.get(self.name, "") for frame in self._frames)
        self.value_box.blockSignals(True)
        self.value_box.clear()
        self.value_box.addItems(self._known.get(self.name, ()))
        self.value_box.setCurrentText(next(iter(held)) if len(held) == 1 else "")
        self.value_box.blockSignals(False)
        edit = self.value_box.lineEdit()
        if edit is not None:
            edit.setPlaceholderText("such as 20+3" if self.name == AGE_LABEL else "none")
        said = [f"{value} ({number})" for value, number in held.most_common() if value]
        without = held.get("", 0)
        said += [f"none ({without})"] if without and said else []
        self.held.setText(f"Now: {', '.join(said)}" if said else "None of them has it yet.")
        self._check()

    def _check(self) -> None:
        hint, possible = "", bool(self.name)
        if self.value and self.name == AGE_LABEL:
            try:
                parse_age(self.value)
            except ValueError as error:
                hint, possible = f"{error}.", False
        elif likeness := looks_like(self.value):
            hint = f"This may be {likeness}. Labels are exported with the frames."
        self.hint.setText(hint)
        self.hint.setVisible(bool(hint))
        self.accept_button.setText("Set label" if self.value else "Remove label")
        changes = any(frame.labels.get(self.name, "") != self.value for frame in self._frames)
        self.accept_button.setEnabled(possible and changes)


class CalibrationDialog(AskDialog):
    """Asks for the pixel size of frames, and whether it replaces the ones that they have."""

    def __init__(self, frames: Sequence[Frame], said: str, parent: QWidget) -> None:
        super().__init__("Set the calibration", "Set", parent)
        self._frames = frames
        self._table: Path | None = None
        self.wanted = Calibrating(())
        self.explain(
            f"{said}. A pixel size is right only for frames of the same depth and zoom. With the "
            "ruler in Annotate you can measure it in a frame."
        )
        self.kinds = QButtonGroup(self)
        self.by_number = QRadioButton("Pixel size")
        self.by_table = QRadioButton("From a table")
        self.remove = QRadioButton("Remove the calibration")
        for button in (self.by_number, self.by_table, self.remove):
            self.kinds.addButton(button)
        self.number = DecimalField()
        self.number.setDecimals(4)
        self.number.setRange(_UNKNOWN, 10.0)
        self.number.setSpecialValueText("not known")
        self.number.setSingleStep(0.01)
        self.number.setSuffix(" mm per px")
        self.number.setAccessibleName("Pixel size in mm")
        sizes = Counter(f.calibration.mm_per_px for f in frames if f.calibration is not None)
        # Any other number would be a guess that one press of Enter takes.
        self.number.setValue(sizes.most_common(1)[0][0] if sizes else _UNKNOWN)
        guard_from_wheel(self)
        self.choose_button = QPushButton("Choose a table ...")
        self.choose_button.clicked.connect(self._choose)
        self.table_name = theme.style(QLabel("with the columns filename and pixel size(mm)"), "dim")
        row = QHBoxLayout()
        row.setSpacing(theme.SPACE)
        row.addWidget(self.choose_button)
        row.addWidget(self.table_name, 1)
        self.form.addRow(self.by_number, self.number)
        self.form.addRow(self.by_table, row)
        self.form.addRow(self.remove)
        self.replace = QCheckBox()
        self.form.addRow(self.replace)
        self.result_label = theme.style(QLabel(), "heading")
        self.notes = theme.style(QLabel(), "warning")
        for label in (self.result_label, self.notes):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
            self.form.addRow(label)
        self.by_number.setChecked(True)
        self.kinds.buttonClicked.connect(self._check)
        self.number.valueChanged.connect(self._check)
        self.replace.toggled.connect(self._show)
        self._check()
        self.number.setFocus()
        self.number.selectAll()

    @property
    def chosen(self) -> Mapping[str, Calibration | None]:
        """The new calibrations, by frame id."""
        return self.wanted.chosen(replace=self.remove.isChecked() or self.replace.isChecked())

    def use_table(self, path: Path) -> None:
        """Take the pixel sizes from this table."""
        self._table = path
        self.table_name.setText(path.name)
        self.by_table.setChecked(True)
        self._check()

    def _choose(self) -> None:
        endings = " ".join(f"*{suffix}" for suffix in sorted(TABLE_SUFFIXES))
        name, _ = QFileDialog.getOpenFileName(self, "Choose a table", "", f"Tables ({endings})")
        if name:
            self.use_table(Path(name))

    def _check(self) -> None:
        self.number.setEnabled(self.by_number.isChecked())
        failed: tuple[str, ...] = ()
        self.wanted = Calibrating(())
        try:
            if self.remove.isChecked():
                self.wanted = removal(self._frames)
            elif self.by_number.isChecked() and self.number.value() > _UNKNOWN:
                self.wanted = from_number(self._frames, self.number.value())
            elif self.by_table.isChecked() and self._table is not None:
                self.wanted = from_table(self._frames, self._table)
        except InputError as error:
            failed = (str(error),)
        notes = failed or self.wanted.notes
        shown = [*notes[:_MOST_NOTES]]
        shown += [f"And {len(notes) - _MOST_NOTES} more."] if len(notes) > _MOST_NOTES else []
        self.notes.setText("\n".join(shown))
        self.notes.setVisible(bool(shown))
        replaced = len(self.wanted.replaced)
        self.replace.setVisible(replaced > 0 and not self.remove.isChecked())
        self.replace.setText(
            f"Also replace the other calibration of {counted(replaced, 'frame')} "
            f"({self.wanted.sources()})"
        )
        self._show()

    def _show(self) -> None:
        changed = counted(len(self.chosen), "frame")
        removes = self.remove.isChecked()
        if not self.wanted.wanted:
            text = "No frame would change."
        elif removes:
            text = f"{changed} would no longer be measured in mm."
        else:
            text = f"{changed} would get this pixel size."
            if self.by_table.isChecked():
                text = f"{changed} would get the pixel size of the table."
        self.result_label.setText(text)
        self.accept_button.setText(f"{'Remove from' if removes else 'Set for'} {changed}")
        self.accept_button.setEnabled(bool(self.chosen))
