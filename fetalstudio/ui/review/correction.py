"""What a pair's ellipse is, beside the one that was asked for or that the segmenter sees."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.screening import Verdict
from fetalstudio.project.records import SYNTHESIZER, Pair
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import keyed, note


class Correction(QWidget):
    """Says it, and offers the other ellipse, which is :attr:`dashed` on the canvas."""

    wanted = Signal(object)
    """The pair shall have this ellipse."""

    def __init__(self, page: QWidget) -> None:
        """The buttons' keys work anywhere on ``page``."""
        super().__init__()
        self.dashed: Ellipse | None = None
        self.note = note()
        self.take_button = QPushButton("Take the dashed ellipse")
        self.take_button.setToolTip("Correct the ellipse to where the segmenter sees the head")
        self.restore_button = QPushButton("Back to the requested ellipse")
        self.restore_button.setToolTip("Undo all corrections of this pair's ellipse")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.note)
        for button, key in ((self.take_button, "T"), (self.restore_button, "O")):
            button.clicked.connect(lambda: self.wanted.emit(self.dashed))
            column.addWidget(keyed(page, button, key))

    def show_pair(self, pair: Pair, verdict: Verdict) -> None:
        """Dashed is the requested ellipse of a pair that has another, and the segmenter's of one
        that it doubts."""
        moved = pair.ellipse != pair.requested
        failed = {check.figure for check in verdict.checks if check.passed is False}
        doubted = not moved and pair.found is not None and failed & {"dice", "hc_difference"}
        self.dashed = pair.requested if moved else pair.found if doubted else None
        self.take_button.setVisible(bool(doubted))
        self.restore_button.setVisible(moved)
        if pair.reviewer == SYNTHESIZER:
            text = (
                "As the synthesizer drew it, and the figures are about; dashed is the ellipse that "
                "was asked for."
            )
        elif moved:
            text = (
                "Corrected by hand, so no filter decides it. The figures are about the ellipse "
                "that it began with; dashed is the one that was asked for."
            )
        elif doubted:
            text = (
                "Dashed is where the segmenter sees the head. If the skull lies there, take it, or "
                "drag the ellipse."
            )
        else:
            text = "If the skull lies elsewhere, drag the ellipse onto it."
        if pair.reviewer not in (None, SYNTHESIZER) and pair.state != "pending":
            text += f" {pair.state.capitalize()} by {pair.reviewer}."
        self.note.setText(text)
