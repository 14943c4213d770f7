"""Compares the ellipse of a pair with the requested one or the segmenter's, and offers those."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.screening import Verdict
from fetalstudio.project.store.records import SYNTHESIZER, Pair
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import keyed, note


class Correction(QWidget):
    """A note and a button that replaces the ellipse by the :attr:`dashed` one on the canvas."""

    wanted = Signal(object)
    """The pair should have this ellipse."""

    def __init__(self, page: QWidget) -> None:
        """The buttons' keys work anywhere on ``page``."""
        super().__init__()
        self.dashed: Ellipse | None = None
        self.note = note()
        self.take_button = QPushButton("Use the dashed ellipse")
        self.take_button.setToolTip("Move the ellipse to where the segmenter finds the head")
        self.restore_button = QPushButton("Restore the requested ellipse")
        self.restore_button.setToolTip("Discard all corrections of this ellipse")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.note)
        for button, key in ((self.take_button, "T"), (self.restore_button, "O")):
            button.clicked.connect(lambda: self.wanted.emit(self.dashed))
            column.addWidget(keyed(page, button, key))

    def show_pair(self, pair: Pair, verdict: Verdict) -> None:
        """Show the note and the buttons for a pair.

        The dashed ellipse is the requested one if the pair has another, and the segmenter's if
        the filter doubts the pair.
        """
        moved = pair.ellipse != pair.requested
        failed = {check.figure for check in verdict.checks if check.passed is False}
        doubted = not moved and pair.found is not None and failed & {"dice", "hc_difference"}
        self.dashed = pair.requested if moved else pair.found if doubted else None
        self.take_button.setVisible(bool(doubted))
        self.restore_button.setVisible(moved)
        if pair.reviewer == SYNTHESIZER:
            text = (
                "The ellipse and its figures are those of the outline that the synthesizer drew. "
                "The requested ellipse is dashed."
            )
        elif moved:
            text = (
                "Corrected by hand, so the filter does not decide it. The figures refer to the "
                "ellipse before the correction. The requested ellipse is dashed."
            )
        elif doubted:
            text = (
                "The dashed ellipse is where the segmenter finds the head. If it fits the skull, "
                "use it; otherwise drag the ellipse."
            )
        else:
            text = "If the ellipse does not fit the skull, drag it into place."
        if pair.reviewer not in (None, SYNTHESIZER) and pair.state != "pending":
            text += f" {pair.state.capitalize()} by {pair.reviewer}."
        self.note.setText(text)
