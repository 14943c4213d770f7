"""The dialog that constrains the heads of a batch, with plots that follow."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from fetalstudio.core.biometry import trimester
from fetalstudio.core.errors import InputError
from fetalstudio.core.heads import MAX_SHIFT, MAX_SPREAD, TRIMESTERS, HeadConstraints, Range
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import Section, combo, keyed, note, number_field, side_by_side
from fetalstudio.ui.synthesise.head_plots import HeadPlots, circumference, key_text
from fetalstudio.ui.synthesise.heads import HeadPreview, RememberedConstraints

BALANCES = {"cohort": "As in the cohort", "trimester": "Equally many"}


class RangeField(QWidget):
    """A check box and two numbers; unchecked, the numbers show the range of the cohort."""

    def __init__(self, text: str, tip: str, limits: Range, step: float, decimals: int) -> None:
        super().__init__()
        self.tick = QCheckBox(text)
        self.tick.setToolTip(tip)
        self.low, self.high = (number_field(limits, step, decimals) for _ in range(2))
        self.low.setAccessibleName(f"{text}, from")
        self.high.setAccessibleName(f"{text}, to")
        for field in (self.low, self.high):
            field.setToolTip(tip)
            # A half-typed number is not a range.
            field.setKeyboardTracking(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE // 2)
        column.addWidget(self.tick)
        column.addWidget(side_by_side(self.low, self.high))
        self.tick.toggled.connect(self._enable)
        self._enable(False)

    def value(self) -> Range | None:
        """The range, or None for that of the cohort."""
        return (self.low.value(), self.high.value()) if self.tick.isChecked() else None

    def show_value(self, wanted: Range | None, own: Range | None) -> None:
        """Fill the fields with ``wanted``, or with the range of the cohort if that is None."""
        self.tick.setChecked(wanted is not None)
        for field, value in zip((self.low, self.high), wanted or own or (), strict=False):
            field.setValue(value)

    def fields(self) -> tuple[QDoubleSpinBox, QDoubleSpinBox]:
        return self.low, self.high

    def _enable(self, on: bool) -> None:
        self.low.setEnabled(on)
        self.high.setEnabled(on)


class HeadsDialog(QDialog):
    """Edits the constraints of a :class:`HeadPreview`; changes apply at once and are remembered."""

    def __init__(
        self, preview: HeadPreview, remembered: RememberedConstraints, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Heads of the batch")
        self._preview, self._remembered = preview, remembered
        self._filling = False
        self.size_field = RangeField(
            "Size",
            "Head circumference; the heads are spread evenly over the range",
            (5, 30_000),
            5,
            0,
        )
        self.ratio_field = RangeField(
            "Axis ratio",
            "Minor over major axis; the heads are spread evenly over the range",
            (0.2, 1.0),
            0.01,
            2,
        )
        self.angle_field = RangeField(
            "Angle",
            "Angle of the major axis in degrees (0: horizontal), spread evenly over the range",
            (-180, 360),
            5,
            0,
        )
        self.balance_box = combo()
        for value, label in BALANCES.items():
            self.balance_box.addItem(label, value)
        self.spread_box = number_field((0, MAX_SPREAD), 0.1, 1)
        self.right_box, self.down_box = (
            number_field((-100 * MAX_SHIFT, 100 * MAX_SHIFT), 1, 0) for _ in range(2)
        )
        for box in (self.right_box, self.down_box):
            box.setSuffix(" %")
        self.reset_button = QPushButton("As in the cohort")
        self.reset_button.setToolTip("Remove all constraints")
        self.reset_button.setAutoDefault(False)
        self.reset_button.clicked.connect(self.reset)
        self.close_button = theme.style(QPushButton("Done"), "primary")
        self.close_button.setToolTip("Close; the settings apply to the next batch  (Esc)")
        self.close_button.setAutoDefault(False)  # Enter only completes a number
        self.close_button.clicked.connect(self.accept)
        self.key_label, self.mix = QLabel(), note()
        self.key_label.setTextFormat(Qt.TextFormat.RichText)
        self.message = theme.style(note(), "error")
        self.plots = HeadPlots(preview)
        self._lay_out()
        for field in (self.size_field, self.ratio_field, self.angle_field):
            field.tick.toggled.connect(self._edited)
            for end in field.fields():
                end.valueChanged.connect(self._edited)
        for box in (self.spread_box, self.right_box, self.down_box):
            box.valueChanged.connect(self._edited)
        self.balance_box.currentIndexChanged.connect(self._edited)
        preview.changed.connect(self._update)
        preview.drew.connect(self._update)

    def _lay_out(self) -> None:
        form = Section("Which heads")
        form.row("Trimesters", self.balance_box, "Share of each trimester, by the HC of the heads")
        form.add(self.mix)
        for field in (self.size_field, self.ratio_field, self.angle_field):
            form.add(field)
        form.row("Spread", self.spread_box, "1: as in the cohort; 0: all alike; 2: twice as varied")
        form.row(
            "Right, down",
            side_by_side(self.right_box, self.down_box),
            "Move all heads by a share of the width and height of the frame",
        )
        form.add(
            note(
                "A checked range is filled evenly; everything else stays as in the cohort. Each "
                "head keeps the scale of its frame and is placed on it as real heads are."
            )
        )
        form.add(self.message)
        form.setFixedWidth(296)
        buttons = side_by_side(keyed(self, self.reset_button, "Ctrl+R"), self.close_button)
        left = QVBoxLayout()
        left.addWidget(form)
        left.addStretch(1)
        left.addWidget(buttons)
        right = QVBoxLayout()
        right.setSpacing(theme.SPACE)
        right.addWidget(self.key_label)
        right.addWidget(self.plots, 1)
        row = QHBoxLayout(self)
        row.setContentsMargins(*[3 * theme.SPACE] * 4)
        row.setSpacing(3 * theme.SPACE)
        row.addLayout(left)
        row.addLayout(right, 1)
        self.resize(1040, 640)

    def reset(self) -> None:
        """Remove all constraints."""
        self._remembered.keep(HeadConstraints())
        self._preview.show_constraints(HeadConstraints())
        self._fill()

    def showEvent(self, event: object) -> None:
        """Fill the fields from the cohort and the last valid constraints."""
        super().showEvent(event)  # type: ignore[arg-type]
        self._preview.show_constraints(self._preview.constraints)
        self._fill()
        self._update()

    def _fill(self) -> None:
        own, constraints = self._preview.own, self._preview.constraints
        self._filling = True
        unit = own.unit if own is not None else "mm"
        self.size_field.tick.setText(f"Size, HC in {unit}")
        self.size_field.show_value(
            constraints.hc_mm if unit == "mm" else constraints.hc_px, own.hc if own else None
        )
        self.ratio_field.show_value(constraints.ratio, own.ratio if own else None)
        self.angle_field.show_value(constraints.angle, own.angle if own else None)
        self.spread_box.setValue(constraints.spread)
        self.right_box.setValue(100 * constraints.shift[0])
        self.down_box.setValue(100 * constraints.shift[1])
        self.balance_box.setCurrentIndex(self.balance_box.findData(constraints.balance))
        self.balance_box.setEnabled(unit == "mm" or constraints.balance != "cohort")
        self._filling = False

    def _edited(self) -> None:
        if self._filling:
            return
        own = self._preview.own
        in_mm = own is None or own.unit == "mm"
        try:
            constraints = HeadConstraints(
                hc_mm=self.size_field.value() if in_mm else None,
                hc_px=None if in_mm else self.size_field.value(),
                ratio=self.ratio_field.value(),
                angle=self.angle_field.value(),
                shift=(self.right_box.value() / 100, self.down_box.value() / 100),
                spread=round(self.spread_box.value(), 1),
                balance=self.balance_box.currentData(),
            )
        except InputError as error:
            self._preview.refuse(error)
            return
        self._remembered.keep(constraints)
        self._preview.show_constraints(constraints)

    def _update(self) -> None:
        preview = self._preview
        self.message.setText(preview.error)
        self.message.setVisible(bool(preview.error))
        self.plots.setEnabled(not preview.error)
        self.key_label.setText(key_text(preview))
        found = preview.distribution
        self.mix.setVisible(preview.own is not None and preview.own.unit == "mm")
        if found is None:
            self.mix.setText("No heads can be drawn")
        elif preview.drawn:
            names = [trimester(circumference(found, d)) for d in preview.drawn]
            shares = (f"{t} {100 * names.count(t) / len(names):.0f} %" for t in TRIMESTERS)
            self.mix.setText(" · ".join(shares).capitalize())
