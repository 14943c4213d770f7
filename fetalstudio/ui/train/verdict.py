"""The verdict of a run: the Dice before and after, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from fetalstudio.engine.jobs.train.verdict import how_to_use, verdict_of
from fetalstudio.project.store.records import Run
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import note


class VerdictCard(QFrame):
    """Shows ``Run.verdict``, whose keys are the fields of ``TrainResult``."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        theme.style(self, "panel")
        self._figures = QLabel()
        self._sentence = QLabel()
        self._sentence.setWordWrap(True)
        self._protocol = note()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(*[2 * theme.SPACE] * 4)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(theme.style(QLabel("Verdict"), "heading"))
        for label in (self._figures, self._sentence, self._protocol):
            layout.addWidget(label)
        self.show_verdict(None, "")

    def show_verdict(self, verdict: Mapping[str, Any] | None, otherwise: str) -> None:
        """Show the verdict, or the text ``otherwise`` if there is none."""
        known = verdict is not None
        for label in (self._figures, self._protocol):
            label.setVisible(known)
        if verdict is None:
            self._sentence.setText(otherwise)
            return
        before, after = _number(verdict, "dice_before"), _number(verdict, "dice_after")
        self._figures.setText(f"Dice  {before:.3f}  →  {after:.3f}")
        self._figures.setStyleSheet(f"font-size: 22px; color: {_COLOURS[_outcome(verdict)]}")
        self._sentence.setText(str(verdict.get("verdict", "")))
        frames, subjects = verdict.get("test_frames"), verdict.get("test_subjects")
        self._protocol.setText(
            f"Test frames: {frames}, of {subjects} held-out subjects. Trained on "
            f"real frames: {verdict.get('real')}, pairs: {verdict.get('synthetic')}. "
            f"Best epoch: {verdict.get('best_epoch')}. {how_to_use(verdict)}".rstrip()
        )

    def text(self) -> str:
        """Everything shown, one line per label."""
        labels = (self._figures, self._sentence, self._protocol)
        return "\n".join(label.text() for label in labels if label.isVisibleTo(self))


def improved(verdict: Mapping[str, Any] | None) -> bool:
    """Whether the verdict is that the new model is better."""
    return verdict is not None and _outcome(verdict) == "better"


def run_text(run: Run) -> str:
    """The name of a run, and its Dice or state."""
    verdict = verdict_of(run)
    if verdict is not None and verdict.get("dice_after") is not None:
        before, after = verdict["dice_before"], verdict["dice_after"]
        return f"{run.name}\nDice {before:.3f} → {after:.3f}"
    return f"{run.name}\n{run.state}"


def without_verdict(run: Run, model: str | None, *, resumable: bool) -> str:
    """The text that is shown for a run without a verdict. ``model``: the name of its model."""
    if run.state == "running":
        return "The verdict follows when the training ends."
    if run.state == "finished":
        return "This run has no verdict."
    how = "Stopped" if run.state == "cancelled" else "Failed"
    if resumable and model is not None:
        return (
            f"{how} before its verdict. {model}, the model of its best epoch so far, is kept but "
            "not tested. Resume the run to continue after its last epoch, up to the verdict."
        )
    if resumable:
        return f"{how} before its verdict. Resume it to continue after its last epoch."
    return f"{how} before its first epoch was complete. Start a new training."


def _number(verdict: Mapping[str, Any], key: str) -> float:
    value = verdict.get(key)
    return math.nan if value is None else float(value)


def _outcome(verdict: Mapping[str, Any]) -> str:
    """One of :data:`_COLOURS`. Runs of earlier versions have their interval alone."""
    if answer := verdict.get("answer"):
        return {"better": "better", "worse": "worse", "failures": "worse"}.get(answer, "undecided")
    low, high = (
        math.nan if end is None else end for end in verdict.get("difference_ci95") or (None, None)
    )
    return "better" if low > 0 else "worse" if high < 0 else "undecided"


_COLOURS = {"better": theme.GOOD, "worse": theme.ERROR, "undecided": theme.TEXT_BRIGHT}
