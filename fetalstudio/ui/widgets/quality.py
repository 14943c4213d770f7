"""The quality figures of a pair, in words that need no manual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from fetalstudio.ui import theme

Level = Literal["good", "fair", "poor", "unknown"]

GOOD_DICE, FAIR_DICE = 0.97, 0.93
"""Above: as well found as in real frames (whose mean is about 0.97). Below fair: look closely."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure: its name, its value as text, what it means, and how good that is."""

    name: str
    value: str
    words: str
    level: Level


def dice_level(dice: float | None) -> Level:
    """How good a Dice between the drawn ellipse and the segmenter's is."""
    if dice is None:
        return "unknown"
    dice = round(dice, 3)  # As it is shown: one 0.970 must not look worse than another.
    return "good" if dice >= GOOD_DICE else "fair" if dice >= FAIR_DICE else "poor"


def readings(quality: Mapping[str, float]) -> tuple[Reading, ...]:
    """The figures that ``quality`` holds (see ``Pair.quality``), most telling first."""
    found = []
    if (dice := quality.get("dice")) is not None:
        words = {
            "good": "the segmenter finds the head where it was drawn",
            "fair": "close: compare the outline with the skull",
            "poor": "the segmenter finds the head elsewhere",
        }
        level = dice_level(dice)
        found.append(Reading("Dice", f"{dice:.3f}", words[level], level))
    if (hc := quality.get("hc_difference")) is not None:
        level = _level(abs(hc), 0.02, 0.05)
        size = "larger" if hc > 0 else "smaller"
        words_hc = "the same size" if abs(hc) < 0.005 else f"the segmenter's head is {size}"
        found.append(Reading("HC difference", f"{hc:+.1%}", words_hc, level))
    if (hd := quality.get("hd95_px")) is not None:
        found.append(
            Reading("HD95", f"{hd:.1f} px", "largest gap between the outlines", _level(hd, 12, 25))
        )
    if (edge := quality.get("edge")) is not None:
        words_edge = "how much of the ellipse has a skull edge under it"
        found.append(Reading("Skull edge", f"{edge:.0%}", words_edge, _level(1 - edge, 0.4, 0.65)))
    return tuple(found)


def _level(value: float, good: float, fair: float) -> Level:
    return "good" if value <= good else "fair" if value <= fair else "poor"


COLOURS: Mapping[Level, str] = {
    "good": theme.GOOD,
    "fair": theme.WARNING,
    "poor": theme.ERROR,
    "unknown": theme.TEXT_DIM,
}


class QualityPanel(QWidget):
    """The readings as rows: a coloured dot, the name, the value, and what it means.

    ``compact``: the words of what is good are left to the tool tips.
    """

    def __init__(
        self, placeholder: str = "", *, compact: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._placeholder, self._compact = placeholder, compact
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(theme.SPACE)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.show_quality({})

    def show_quality(self, quality: Mapping[str, float]) -> None:
        """Show these figures, or the placeholder where there are none."""
        while (item := self._grid.takeAt(0)) is not None:
            if (old := item.widget()) is not None:
                old.hide()  # Deleted later, it would be painted under the new ones until then.
                old.deleteLater()
        rows = readings(quality)
        if not rows:
            self._grid.addWidget(_muted(self._placeholder), 0, 0, 1, 3)
        for reading in rows:
            self._add(reading)

    def _add(self, reading: Reading) -> None:
        row = self._grid.rowCount()
        dot, name, value = QLabel("●"), QLabel(reading.name), QLabel(f"<b>{reading.value}</b>")
        dot.setStyleSheet(f"color: {COLOURS[reading.level]}")
        for column, label in enumerate((dot, name, value)):
            label.setToolTip(reading.words)
            self._grid.addWidget(label, row, column)
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        if not self._compact or reading.level != "good":
            self._grid.addWidget(_muted(reading.words), row + 1, 1, 1, 2)

    def text(self) -> str:
        """Everything shown, one line a label (for tests and screen readers)."""
        items = (self._grid.itemAt(i) for i in range(self._grid.count()))
        labels = (item.widget() for item in items if item is not None)
        return "\n".join(label.text() for label in labels if isinstance(label, QLabel))


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "dim")
    return label
