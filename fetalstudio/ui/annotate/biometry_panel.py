"""The measurements of one head: HC, BPD, OFD, cephalic index, gestational age and size for age."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QLineEdit, QWidget

from fetalstudio.core.biometry import (
    BPD_DATES_UNTIL,
    CEPHALIC_INDEX_USUAL,
    GestationalAge,
    Spread,
    format_weeks,
    hadlock_1984,
    intergrowth_21st,
    measure,
)
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.distributions import NORMAL_95
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.growth import SizeForAge, age_text, parse_age, sizes_for_age
from fetalstudio.ui import theme

NONE = "–"  # noqa: RUF001 (an en dash for a missing value)

_ROWS = (
    ("hc", "HC", "Head circumference: the perimeter of the ellipse (Ramanujan)"),
    ("bpd", "BPD outer-outer", "Biparietal diameter, outer to outer: the short axis"),
    (
        "bpd_inner",
        "BPD outer-inner",
        "Biparietal diameter, outer to inner, as many charts want it:\n"
        "estimated from outer-outer (Wong et al. Australas J Ultrasound Med 2018;21:161-168)",
    ),
    ("ofd", "OFD", "Occipitofrontal diameter, outer to outer: the long axis"),
    ("index", "Cephalic index", "BPD / OFD"),
    ("hadlock", "GA Hadlock", ""),
    ("intergrowth", "GA INTERGROWTH", ""),
)
_NAMES = {key: name for key, name, _ in _ROWS}
_CHART_ROWS = (
    ("size_intergrowth", "HC INTERGROWTH"),
    ("size_hadlock", "HC Hadlock"),
    ("size_who", "HC WHO"),
)
"""In the order of the charts of :func:`sizes_for_age`."""
_USUAL = (
    "usually {:.0f} to {:.0f} %: mean ± 2 SD of 316 examinations at 14 to 40 weeks\n"
    "(Hadlock et al. AJR 1981;137:83-85)"
).format(*CEPHALIC_INDEX_USUAL)
_BPD_DATES = (
    "\nBelow {:.0f} or above {:.0f} %, an age from the BPD may mislead. "
    "The ages here are from the HC."
).format(*BPD_DATES_UNTIL)
_INTERVAL = "± holds about 95 % of sonographers' values, by the second look along the skull"
_LENGTHS = ("hc", "bpd", "ofd")
"""The rows whose uncertainty is known, in the order of :class:`Spread`."""
_NO_MM = "Needs a calibration: the size of a pixel in mm"
_AGE_TIP = (
    "The gestational age at this examination, if it is known from elsewhere, such as 20+3.\n"
    "With it, the HC is compared with growth charts."
)


class AgeField(QLineEdit):
    """A gestational age as weeks+days. Enter takes it over, Esc restores what was there."""

    entered = Signal(str)
    """A new age as ``20+3``, or an empty text where it was taken away."""
    refused = Signal(str)
    """Why the text is no age; empty once it is one again."""
    closed = Signal()
    """Enter or Esc ended the entry."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._held = ""
        self.setPlaceholderText("weeks+days")
        self.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName("Known gestational age")
        self.setToolTip(_AGE_TIP)
        self.setMaxLength(20)

    def show_age(self, text: str) -> None:
        """Show the age that is stored, without announcing it."""
        if text == self._held and self.hasFocus():
            return  # what is being typed stays
        self._held = text
        self.setText(text)
        self.refused.emit(_fault(text))

    def start(self) -> None:
        """Take the keyboard, with the whole text selected."""
        self.setFocus()
        self.selectAll()

    def take_over(self) -> None:
        """Announce what was typed, if it is an age and another one than before."""
        text = self.text().strip()
        if text == self._held:
            return
        if fault := _fault(text):
            self.refused.emit(fault)
            return
        self._held = age_text(parse_age(text)) if text else ""
        self.setText(self._held)
        self.refused.emit("")
        self.entered.emit(self._held)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.take_over()

    def event(self, event: QEvent) -> bool:
        """Enter and Esc belong to the field, not to the page."""
        keys = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape)
        if not isinstance(event, QKeyEvent) or event.key() not in keys:
            return super().event(event)
        if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
            self.setText(self._held)
            self.refused.emit(_fault(self._held))
            self.closed.emit()
        elif event.type() == QEvent.Type.KeyPress:
            self.take_over()
            if not _fault(self.text()):
                self.closed.emit()
        event.accept()
        return True


class BiometryPanel(QWidget):
    """Shows the measurements of an ellipse; without a calibration in pixels and without an age."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.names: dict[str, QLabel] = {}
        self.values: dict[str, QLabel] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(theme.SPACE)
        self._grid.setColumnStretch(1, 1)
        for key, name, tip in _ROWS:
            self._add_row(key, name, tip)
        self.age = AgeField()
        self.age_fault = theme.style(QLabel(), "error")
        self.age_fault.setWordWrap(True)
        self.age.refused.connect(self._show_fault)
        label = theme.style(QLabel("GA known"), "dim")
        label.setToolTip(_AGE_TIP)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(self.age, row, 1)
        self._grid.addWidget(self.age_fault, row + 1, 0, 1, 2)
        for key, name in _CHART_ROWS:
            self._add_row(key, name, "")
        self.warning = theme.style(QLabel("No calibration: pixels only"), "warning")
        self.warning.setToolTip(_NO_MM)
        self.warning.hide()
        self._grid.addWidget(self.warning, self._grid.rowCount(), 0, 1, 2)
        self._show_fault("")
        self._show_sizes(())

    def _add_row(self, key: str, name: str, tip: str) -> None:
        label, value = theme.style(QLabel(name), "dim"), theme.style(QLabel(NONE), "value")
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        value.setAccessibleName(name)
        value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        value.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        row = self._grid.rowCount()
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(value, row, 1)
        self.names[key], self.values[key] = label, value
        self._explain(key, tip)

    def show_ellipse(
        self,
        ellipse: Ellipse | None,
        calibration: Calibration | None,
        age_days: int | None = None,
        spread: Spread | None = None,
    ) -> None:
        """Show the measurements of an ellipse given in image px; None shows dashes.

        With the age in days that is known, the HC is compared with growth charts.
        With ``spread``, HC, BPD and OFD have the interval that holds about 95 % of sonographers'
        values.
        """
        for key, _name, tip in _ROWS:
            if key in _LENGTHS:
                self._explain(key, tip if spread is None else f"{tip}\n{_INTERVAL}")
        self.warning.setVisible(ellipse is not None and calibration is None)
        self._show_sizes(())
        if ellipse is None:
            for key, value in self.values.items():
                value.setText(NONE)
                self.names[key].setText(_NAMES.get(key, self.names[key].text()))
            self._flag_index(None)
        elif calibration is None:
            self._show_pixels(ellipse, spread)
        else:
            self._show_mm(ellipse, calibration, age_days, spread)

    def _show_pixels(self, ellipse: Ellipse, spread: Spread | None) -> None:
        self._show_lengths((ellipse.perimeter, 2 * ellipse.b, 2 * ellipse.a), spread, "px")
        self.values["bpd_inner"].setText(NONE)
        self._flag_index(100 * ellipse.b / ellipse.a, "; assumes square pixels")
        for key in ("hadlock", "intergrowth"):
            self.names[key].setText(_NAMES[key])
            self.values[key].setText(NONE)
            self._explain(key, _NO_MM)

    def _show_lengths(
        self, lengths: tuple[float, float, float], spread: Spread | None, unit: str
    ) -> None:
        for key, length in zip(_LENGTHS, lengths, strict=True):
            decimals = 0 if (key, unit) == ("hc", "px") else 1
            around = ""
            if spread is not None:
                around = f" ± {NORMAL_95 * getattr(spread, key) * length:.{decimals}f}"
            self.values[key].setText(f"{length:.{decimals}f}{around} {unit}")

    def _show_mm(
        self,
        ellipse: Ellipse,
        calibration: Calibration,
        age_days: int | None,
        spread: Spread | None,
    ) -> None:
        head = measure(ellipse, calibration)
        self._show_lengths((head.hc_mm, head.bpd_mm, head.ofd_mm), spread, "mm")
        self.values["bpd_inner"].setText(f"≈ {head.bpd_outer_inner_mm:.1f} mm")
        self._flag_index(head.cephalic_index)
        self._show_age("hadlock", hadlock_1984(head.hc_mm))
        self._show_age("intergrowth", intergrowth_21st(head.hc_mm))
        if age_days is not None:
            self._show_sizes(sizes_for_age(head.hc_mm, age_days))

    def _show_age(self, key: str, age: GestationalAge) -> None:
        if age.weeks is None or age.half_width_weeks is None:
            text = "out of range"
            reason = f"{age.reason}\n"
        else:
            text = f"{format_weeks(age.weeks)} ± {7 * age.half_width_weeks:.0f} d"
            reason = ""
            if age.extrapolated:
                reason = "extrapolated: the formula was fitted to larger heads, from 14 weeks\n"
        self.names[key].setText(_NAMES[key] + (", extrap." if age.extrapolated else ""))
        value = self.values[key]
        value.setText(text)
        dim = age.weeks is None or age.extrapolated
        value.setStyleSheet(f"color: {theme.TEXT_DIM}" if dim else "")
        spread = "" if age.weeks is None else f"; ± {age.interval}"
        self._explain(key, f"{reason}{age.formula}, from HC{spread}\n{age.citation}")

    def _show_sizes(self, sizes: tuple[SizeForAge, ...]) -> None:
        """Show where the HC lies in the charts; the rows are hidden without an age."""
        for key, _ in _CHART_ROWS:
            self.names[key].setVisible(bool(sizes))
            self.values[key].setVisible(bool(sizes))
        for (key, _), size in zip(_CHART_ROWS if sizes else (), sizes, strict=True):
            self.values[key].setText(size.text)
            dim = size.centile is None
            self.values[key].setStyleSheet(f"color: {theme.TEXT_DIM}" if dim else "")
            reason = f"{size.reason}\n" if size.reason else "Centile and z-score at the known age\n"
            self._explain(key, f"{reason}{size.chart}, {size.cohort}\n{size.citation}")

    def _flag_index(self, index: float | None, note: str = "") -> None:
        low, high = CEPHALIC_INDEX_USUAL
        unusual = index is not None and not low <= index <= high
        value = self.values["index"]
        value.setText(NONE if index is None else f"{index:.1f} %")
        value.setStyleSheet(f"color: {theme.WARNING}" if unusual else "")
        doubt = "Unusual. " if unusual else ""
        misleads = index is not None and not BPD_DATES_UNTIL[0] <= index <= BPD_DATES_UNTIL[1]
        self._explain(
            "index", f"{doubt}100 BPD / OFD; {_USUAL}{note}{_BPD_DATES if misleads else ''}"
        )

    def _show_fault(self, fault: str) -> None:
        self.age_fault.setText(fault)
        self.age_fault.setVisible(bool(fault))

    def _explain(self, key: str, tip: str) -> None:
        self.names[key].setToolTip(tip)
        self.values[key].setToolTip(tip)


def _fault(text: str) -> str:
    """Why a text is no gestational age; empty for one, and for no text."""
    try:
        if text.strip():
            parse_age(text)
    except ValueError as error:
        return f"{error}."
    return ""
