"""The measurements of one head: HC, BPD, OFD, cephalic index and gestational age."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from fetalstudio.core.biometry import (
    CEPHALIC_INDEX_USUAL,
    NORMAL_95,
    GestationalAge,
    Spread,
    format_weeks,
    hadlock_1984,
    intergrowth_21st,
    measure,
)
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui import theme

NONE = "–"  # noqa: RUF001 (an en dash for a missing value)

_ROWS = (
    ("hc", "HC", "Head circumference: the perimeter of the ellipse (Ramanujan)"),
    ("bpd", "BPD", "Biparietal diameter, outer to outer: the short axis"),
    ("ofd", "OFD", "Occipitofrontal diameter, outer to outer: the long axis"),
    ("index", "Cephalic index", "BPD / OFD"),
    ("hadlock", "GA Hadlock", ""),
    ("intergrowth", "GA INTERGROWTH", ""),
)
_USUAL = "usually {:.0f} to {:.0f} % (mean ± 1 SD, Hadlock 1981)".format(*CEPHALIC_INDEX_USUAL)
_INTERVAL = "± holds about 95 % of sonographers' values, by the second look along the skull"
_NO_MM = "Needs a calibration: the size of a pixel in mm"


class BiometryPanel(QWidget):
    """Shows the measurements of an ellipse; without a calibration in pixels and without an age."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._names: dict[str, QLabel] = {}
        self.values: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(theme.SPACE)
        grid.setColumnStretch(1, 1)
        for row, (key, name, tip) in enumerate(_ROWS):
            label, value = theme.style(QLabel(name), "dim"), theme.style(QLabel(NONE), "value")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            value.setAccessibleName(name)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            value.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            grid.addWidget(label, row, 0)
            grid.addWidget(value, row, 1)
            self._names[key], self.values[key] = label, value
            self._explain(key, tip)
        self.warning = theme.style(QLabel("No calibration: pixels only"), "warning")
        self.warning.setToolTip(_NO_MM)
        self.warning.hide()
        grid.addWidget(self.warning, len(_ROWS), 0, 1, 2)

    def show_ellipse(
        self,
        ellipse: Ellipse | None,
        calibration: Calibration | None,
        spread: Spread | None = None,
    ) -> None:
        """Show the measurements of an ellipse given in image px; None shows dashes.

        With ``spread``, HC, BPD and OFD are shown with the interval that holds 95 % of
        sonographers' values.
        """
        for (key, _name, tip), share in zip(_ROWS[:3], _shares(spread), strict=True):
            self._explain(key, tip if share is None else f"{tip}\n{_INTERVAL}")
        self.warning.setVisible(ellipse is not None and calibration is None)
        if ellipse is None:
            for value in self.values.values():
                value.setText(NONE)
            self._flag_index(None)
        elif calibration is None:
            self._show_pixels(ellipse, spread)
        else:
            self._show_mm(ellipse, calibration, spread)

    def _show_pixels(self, ellipse: Ellipse, spread: Spread | None) -> None:
        self._show_sizes((ellipse.perimeter, 2 * ellipse.b, 2 * ellipse.a), spread, "px")
        self._flag_index(100 * ellipse.b / ellipse.a, "; assumes square pixels")
        for key in ("hadlock", "intergrowth"):
            self.values[key].setText(NONE)
            self._explain(key, _NO_MM)

    def _show_sizes(
        self, sizes: tuple[float, float, float], spread: Spread | None, unit: str
    ) -> None:
        for (key, _name, _tip), size, share in zip(_ROWS[:3], sizes, _shares(spread), strict=True):
            decimals = 0 if (key, unit) == ("hc", "px") else 1
            around = "" if share is None else f" ± {NORMAL_95 * share * size:.{decimals}f}"
            self.values[key].setText(f"{size:.{decimals}f}{around} {unit}")

    def _show_mm(self, ellipse: Ellipse, calibration: Calibration, spread: Spread | None) -> None:
        head = measure(ellipse, calibration)
        self._show_sizes((head.hc_mm, head.bpd_mm, head.ofd_mm), spread, "mm")
        self._flag_index(head.cephalic_index)
        self._show_age("hadlock", hadlock_1984(head.hc_mm))
        self._show_age("intergrowth", intergrowth_21st(head.hc_mm))

    def _show_age(self, key: str, age: GestationalAge) -> None:
        if age.weeks is None:
            text = "out of range"
        else:
            spread = "" if age.sd2_weeks is None else f" ± {7 * age.sd2_weeks:.0f} d"
            text = format_weeks(age.weeks) + spread
        value = self.values[key]
        value.setText(text)
        value.setStyleSheet(f"color: {theme.TEXT_DIM}" if age.weeks is None else "")
        spread = "" if age.sd2_weeks is None else "; ± 2 SD"
        reason = f"{age.reason}\n" if age.reason else ""
        self._explain(key, f"{reason}{age.formula}, from HC{spread}\n{age.citation}")

    def _flag_index(self, index: float | None, note: str = "") -> None:
        low, high = CEPHALIC_INDEX_USUAL
        unusual = index is not None and not low <= index <= high
        value = self.values["index"]
        value.setText(NONE if index is None else f"{index:.1f} %")
        value.setStyleSheet(f"color: {theme.WARNING}" if unusual else "")
        doubt = "Unusual: BPD and the age may mislead. " if unusual else ""
        self._explain("index", f"{doubt}100 BPD / OFD; {_USUAL}{note}")

    def _explain(self, key: str, tip: str) -> None:
        self._names[key].setToolTip(tip)
        self.values[key].setToolTip(tip)


def _shares(spread: Spread | None) -> tuple[float | None, float | None, float | None]:
    """The standard deviations in the order of the rows."""
    return (None, None, None) if spread is None else (spread.hc, spread.bpd, spread.ofd)
