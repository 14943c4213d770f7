"""How to train: the fields of ``TrainRequest``, with defaults, kept in the settings."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from fetalstudio.ui.settings import Settings
from fetalstudio.ui.widgets.form import Section, choice, whole_number

MAX_FRAMES = 100_000
_ALL_REAL, _ALL_PAIRS = 0, -1
LEARNING_RATES = {
    "1e-05": "0.00001 (as the paper)",
    "3e-05": "0.00003",
    "0.0001": "0.0001",
    "0.0003": "0.0003",
    "0.001": "0.001",
}


@dataclass(frozen=True, slots=True)
class TrainingChoice:
    """The fields of ``TrainRequest`` of the same names."""

    name: str | None
    real: int | None
    synthetic: int | None
    epochs: int
    learning_rate: float
    patience: int
    seed: int


class TrainingSettings(Section):
    """The fields."""

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__("Settings", parent)
        self.name_box = QLineEdit()
        self.name_box.setPlaceholderText("cohort and run number")
        self.name_box.setMaxLength(60)
        self.real_box = whole_number(
            settings, "train/real", _ALL_REAL, _ALL_REAL, MAX_FRAMES, lowest="all"
        )
        self.synthetic_box = whole_number(
            settings, "train/synthetic", _ALL_PAIRS, _ALL_PAIRS, MAX_FRAMES, lowest="all accepted"
        )
        self.epochs_box = whole_number(settings, "train/epochs", 20, 1, 500)
        self.rate_box = choice(settings, "train/learning_rate", "0.0001", LEARNING_RATES)
        self.patience_box = whole_number(settings, "train/patience", 5, 1, 100)
        self.seed_box = whole_number(settings, "train/seed", 0, 0, 999_999)
        self.row("Name", self.name_box, "Of the new model")
        self.row("Real frames", self.real_box, "Train on at most so many real frames")
        self.row("Pairs", self.synthetic_box, "Train on at most so many accepted pairs; 0 for none")
        self.row("Epochs", self.epochs_box, "Passes over the training data, at most")
        self.row("Learning rate", self.rate_box, "The size of a step; smaller is slower and safer")
        self.row("Patience", self.patience_box, "Stop after so many epochs without a better Dice")
        self.row(
            "Seed",
            self.seed_box,
            "Decides which frames are taken where not all are, and their order",
        )
        for box in (self.real_box, self.synthetic_box, self.epochs_box, self.seed_box):
            box.valueChanged.connect(lambda _: self.changed.emit())

    def choice(self) -> TrainingChoice:
        """The values as the request takes them; None stands for all, or for a name made up."""
        real, synthetic = self.real_box.value(), self.synthetic_box.value()
        return TrainingChoice(
            name=self.name_box.text().strip() or None,
            real=real if real > _ALL_REAL else None,
            synthetic=synthetic if synthetic > _ALL_PAIRS else None,
            epochs=self.epochs_box.value(),
            learning_rate=float(self.rate_box.currentData()),
            patience=self.patience_box.value(),
            seed=self.seed_box.value(),
        )
