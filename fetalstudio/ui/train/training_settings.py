"""How to train: the fields of ``TrainRequest``, with defaults, kept in the settings."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QWidget

from fetalstudio.engine.jobs.train.request import RECIPES, Recipe
from fetalstudio.ui.common.form import Section, choice, tick, whole_number
from fetalstudio.ui.settings import Settings

MAX_FRAMES = 100_000
_ALL_REAL, _ALL_PAIRS = 0, -1
LEARNING_RATES = {
    "1e-05": "0.00001 (as the paper)",
    "3e-05": "0.00003",
    "0.0001": "0.0001",
    "0.0003": "0.0003",
    "0.001": "0.001",
}
_LORA_RANK = 4
_RECIPE_WORDS = {"recommended": "Recommended", "paper": "As the paper"}


@dataclass(frozen=True, slots=True)
class TrainingChoice:
    """The fields of ``TrainRequest`` of the same names."""

    name: str | None
    real: int | None
    synthetic: int | None
    epochs: int
    batch: int
    learning_rate: float
    patience: int
    copies: int
    recipe: Recipe
    lora: int
    seed: int


class TrainingSettings(Section):
    """The fields."""

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__("Settings", parent)
        self.name_box = QLineEdit()
        self.name_box.setPlaceholderText("automatic")
        self.name_box.setMaxLength(60)
        self.real_box = whole_number(
            settings, "train/real", _ALL_REAL, _ALL_REAL, MAX_FRAMES, lowest="all"
        )
        self.synthetic_box = whole_number(
            settings, "train/synthetic", _ALL_PAIRS, _ALL_PAIRS, MAX_FRAMES, lowest="all accepted"
        )
        self.recipe_box = choice(settings, "train/recipe", "recommended", _RECIPE_WORDS)
        self.copies_box = whole_number(settings, "train/copies", 2, 1, 8)
        self.epochs_box = whole_number(settings, "train/epochs", 20, 1, 500)
        self.rate_box = choice(settings, "train/learning_rate", "0.0001", LEARNING_RATES)
        self.patience_box = whole_number(settings, "train/patience", 5, 1, 100)
        self.lora_box = tick(settings, "train/lora", "Tune the encoder too", default=False)
        self.lora_box.setToolTip(
            "By low-rank changes (LoRA). For a computer with a graphics card: without one each "
            "epoch takes many times longer."
        )
        self.seed_box = whole_number(settings, "train/seed", 0, 0, 999_999)
        self.row("Name", self.name_box, "Of the new model")
        self.row("Real frames", self.real_box, "Train on at most so many real frames")
        self.row("Pairs", self.synthetic_box, "Train on at most so many accepted pairs; 0 for none")
        self.row(
            "Recipe",
            self.recipe_box,
            "Optimizer and prompts; choosing one sets the four fields below to what goes with it",
        )
        self.row("Copies", self.copies_box, "Of each frame: as it is, and varied ones")
        self.row("Epochs", self.epochs_box, "Passes over the training data, at most")
        self.row("Learning rate", self.rate_box, "The size of a step; smaller is slower and safer")
        self.row("Patience", self.patience_box, "Stop after so many epochs without a better Dice")
        self.row(
            "Seed",
            self.seed_box,
            "Decides which frames are taken where not all are, and their order",
        )
        self.add(self.lora_box)
        self.lora_box.toggled.connect(lambda _: self.changed.emit())
        self.recipe_box.activated.connect(lambda _: self._follow_recipe())
        boxes = self.real_box, self.synthetic_box, self.copies_box, self.epochs_box, self.seed_box
        for box in boxes:
            box.valueChanged.connect(lambda _: self.changed.emit())

    def _follow_recipe(self) -> None:
        values = RECIPES[self._recipe()]
        self.copies_box.setValue(values["copies"])
        self.epochs_box.setValue(values["epochs"])
        self.patience_box.setValue(values["patience"])
        self.rate_box.setCurrentIndex(self.rate_box.findData(f"{values['learning_rate']:g}"))
        # Only a person's choice is remembered by itself.
        self.rate_box.activated.emit(self.rate_box.currentIndex())

    def _recipe(self) -> Recipe:
        return "paper" if self.recipe_box.currentData() == "paper" else "recommended"

    def choice(self) -> TrainingChoice:
        """The values as the request takes them; None stands for all, or for a name made up."""
        real, synthetic = self.real_box.value(), self.synthetic_box.value()
        return TrainingChoice(
            name=self.name_box.text().strip() or None,
            real=real if real > _ALL_REAL else None,
            synthetic=synthetic if synthetic > _ALL_PAIRS else None,
            epochs=self.epochs_box.value(),
            batch=RECIPES[self._recipe()]["batch"],
            learning_rate=float(self.rate_box.currentData()),
            patience=self.patience_box.value(),
            copies=self.copies_box.value(),
            recipe=self._recipe(),
            lora=_LORA_RANK if self.lora_box.isChecked() else 0,
            seed=self.seed_box.value(),
        )
