"""The automatic filter as a form: its thresholds, and how many pending pairs they decide."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDoubleSpinBox, QPushButton, QWidget

from fetalstudio.core.screening import PairFilter
from fetalstudio.ui.common.form import Section, decimal_number, keyed
from fetalstudio.ui.settings import Settings

_USUAL = PairFilter()
ANY = "any"
CALIBRATED = "calibrated"


class PairFilterForm(Section):
    """Four thresholds that are remembered, and two buttons that apply them."""

    changed = Signal()
    """A threshold was changed."""

    def __init__(self, settings: Settings, page: QWidget) -> None:
        super().__init__("Filter")
        self.dice_box = _share(settings, "review/threshold", _USUAL.dice, 0.005, 3, ANY)
        self.hc_box = _percent(settings, "review/hc_percent", _USUAL.hc_difference, 0.5, 1)
        self.edge_box = _percent(settings, "review/edge_percent", _USUAL.edge, 5.0, 0)
        self.similarity_box = _share(settings, "review/similarity", None, 0.01, 3, CALIBRATED)
        for box in (self.dice_box, self.hc_box, self.edge_box, self.similarity_box):
            # A half-typed number must not sort the queue again.
            box.setKeyboardTracking(False)
            box.valueChanged.connect(lambda _: self.changed.emit())
        self.row("Dice at least", self.dice_box, "0: any Dice passes")
        self.row(
            "HC within",
            self.hc_box,
            "Difference as a share of the HC of the ellipse; 100 %: any HC passes",
        )
        self.row("Edge at least", self.edge_box, "0: any skull edge passes")
        self.row(
            "Similarity up to",
            self.similarity_box,
            "0: the threshold calibrated for the synthesizer, above which an image is a copy; "
            "a copy never passes",
        )
        self.accept_button, self.reject_button = QPushButton(), QPushButton()
        self.accept_button.setToolTip("Accept every pending pair that passes (one step of undo)")
        self.reject_button.setToolTip("Reject every pending pair that fails (one step of undo)")
        self.add(keyed(page, self.accept_button, "Shift+A"))
        self.add(keyed(page, self.reject_button, "Shift+R"))

    def filter(self) -> PairFilter:
        """The current thresholds."""
        hc = self.hc_box.value()
        return PairFilter(
            self.dice_box.value() or None,
            None if hc >= 100 else hc / 100,
            self.edge_box.value() / 100 or None,
            self.similarity_box.value() or None,
        )

    def count(self, passing: int, failing: int) -> None:
        """Show on the buttons how many pending pairs they would decide."""
        self.accept_button.setText(f"Accept {passing} that {'passes' if passing == 1 else 'pass'}")
        self.accept_button.setEnabled(passing > 0)
        self.reject_button.setText(f"Reject {failing} that {'fails' if failing == 1 else 'fail'}")
        self.reject_button.setEnabled(failing > 0)


def _share(
    settings: Settings, key: str, usual: float | None, step: float, decimals: int, lowest: str
) -> QDoubleSpinBox:
    return decimal_number(
        settings, key, usual or 0.0, (0.0, 1.0), step=step, decimals=decimals, lowest=lowest
    )


def _percent(
    settings: Settings, key: str, usual: float | None, step: float, decimals: int
) -> QDoubleSpinBox:
    box = decimal_number(
        settings, key, 100 * (usual or 0.0), (0.0, 100.0), step=step, decimals=decimals
    )
    box.setSuffix(" %")
    return box
