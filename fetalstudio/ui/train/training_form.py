"""The form of a training: its name, how many frames and pairs, and a field for each option."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QToolButton, QWidget

from fetalstudio.core.prompts import Prompt
from fetalstudio.core.training_settings import (
    OPTIONS,
    PRESETS,
    RECOMMENDED,
    Option,
    Recipe,
    TrainingSettings,
)
from fetalstudio.ui.common.form import Section, choice, decimal_number, tick, whole_number
from fetalstudio.ui.common.model_name import ModelNameBox
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.train.segmenter_box import PROMPTS, chosen_prompt

MAX_FRAMES = 100_000
_ALL_REAL, _RECOMMENDED_PAIRS = 0, -1
_RECIPE_TITLES = {"recommended": "Recommended", "paper": "As the paper"}
_STEP, _DECIMALS = 0.01, 4
_PAIRS_HELP = (
    "Train on at most this many accepted pairs; advised is the number that the evidence on pairs "
    "speaks for (recommended, on the command line)"
)


@dataclass(frozen=True, slots=True)
class OptionField:
    """The field of one training option."""

    widget: QWidget
    value: Callable[[], float]
    show: Callable[[float], None]
    """Sets the field to a value."""
    changed: SignalInstance


class TrainingForm(Section):
    """Everything that a training needs besides its data; the values are kept in the settings."""

    changed = Signal()

    def __init__(
        self,
        settings: Settings,
        taken: Callable[[], Collection[str]],
        parent: QWidget | None = None,
    ) -> None:
        """``taken`` gives the names that a new segmenter cannot have."""
        super().__init__("Settings", parent)
        self.name_box = ModelNameBox("automatic", taken)
        self.real_box = whole_number(
            settings, "train/real", _ALL_REAL, _ALL_REAL, MAX_FRAMES, lowest="all"
        )
        fewest = _RECOMMENDED_PAIRS
        self.synthetic_box = whole_number(
            settings, "train/synthetic", fewest, fewest, MAX_FRAMES, lowest="advised"
        )
        self.prompt_box = choice(settings, "train/prompt", "own", PROMPTS)
        self.recipe_box = choice(settings, "train/recipe", "recommended", _RECIPE_TITLES)
        self.fields = {name: _field(settings, name, option) for name, option in OPTIONS.items()}
        self.row("Name", self.name_box, "Name of the new model")
        self.add(self.name_box.message)
        self.row("Real frames", self.real_box, "Train on at most this many real frames")
        self.row("Pairs", self.synthetic_box, _PAIRS_HELP)
        self.row("Prompt", self.prompt_box, "What the new segmenter is meant to be used with")
        self.row("Recipe", self.recipe_box, "Optimizer and prompts; sets the fields below to match")
        self.advanced = Section("")
        self.advanced_button = _disclosure("Advanced", self.advanced)
        for name, option in OPTIONS.items():
            _add(self.advanced if option.advanced else self, self.fields[name].widget, option)
        self.add(self.advanced_button)
        self.add(self.advanced)
        self.recipe_box.activated.connect(lambda _: self._follow_recipe())
        signals = [self.name_box.textChanged, self.recipe_box.currentIndexChanged]
        signals += [self.prompt_box.currentIndexChanged]
        signals += [self.real_box.valueChanged, self.synthetic_box.valueChanged]
        for signal in (*signals, *(field.changed for field in self.fields.values())):
            signal.connect(lambda *_: self.changed.emit())

    @property
    def real(self) -> int | None:
        """Most real frames; None for all."""
        return self.real_box.value() if self.real_box.value() > _ALL_REAL else None

    @property
    def synthetic(self) -> int | Literal["recommended"]:
        """Most accepted pairs, or as many as the advice says."""
        chosen = self.synthetic_box.value()
        return RECOMMENDED if chosen == _RECOMMENDED_PAIRS else chosen

    def show_recommended(self, pairs: int) -> None:
        """Say beside "advised" how many pairs that is."""
        # The longer "recommended" would leave no room for the number.
        self.synthetic_box.setSpecialValueText(f"advised ({pairs})")

    @property
    def prompt(self) -> Prompt | None:
        """What the new segmenter is meant to be used with; None for what the old one is."""
        return chosen_prompt(self.prompt_box)

    def chosen(self) -> TrainingSettings:
        """The settings as the request takes them."""
        values = {name: field.value() for name, field in self.fields.items()}
        return TrainingSettings(recipe=self._recipe(), **values)  # type: ignore[arg-type]  # by name

    def _follow_recipe(self) -> None:
        preset = PRESETS[self._recipe()]
        for name, field in self.fields.items():
            field.show(getattr(preset, name))

    def _recipe(self) -> Recipe:
        return "paper" if self.recipe_box.currentData() == "paper" else "recommended"


def _field(settings: Settings, name: str, option: Option) -> OptionField:
    key, default = f"train/{name}", getattr(TrainingSettings(), name)
    if option.ticked is not None:
        ticked, unticked = type(default)(option.ticked), type(default)(option.low)
        box = tick(settings, key, option.label, default=default != unticked)
        return OptionField(
            box,
            lambda: ticked if box.isChecked() else unticked,
            lambda value: box.setChecked(value != unticked),
            box.toggled,
        )
    if option.offered:
        titles = {_text(value): _title(name, value) for value in option.offered}
        combo = choice(settings, key, _text(default), titles)
        return OptionField(
            combo,
            lambda: type(default)(combo.currentData()),
            lambda value: combo.setCurrentIndex(combo.findData(_text(value))),
            combo.currentIndexChanged,
        )
    if isinstance(default, int):
        whole = whole_number(settings, key, default, int(option.low), int(option.high))
        return OptionField(
            whole, whole.value, lambda value: whole.setValue(int(value)), whole.valueChanged
        )
    limits = (option.low, option.high)
    decimal = decimal_number(settings, key, default, limits, step=_STEP, decimals=_DECIMALS)
    return OptionField(decimal, decimal.value, decimal.setValue, decimal.valueChanged)


def _add(section: Section, widget: QWidget, option: Option) -> None:
    if option.ticked is not None:
        widget.setToolTip(option.help)
        section.add(widget)
    else:
        section.row(option.label, widget, option.help)


def _text(value: float) -> str:
    return f"{value:g}"


def _title(name: str, value: float) -> str:
    text = f"{value:f}".rstrip("0").rstrip(".")
    return f"{text} (as the paper)" if value == getattr(PRESETS["paper"], name) else text


def _disclosure(text: str, content: QWidget) -> QToolButton:
    """A button that shows and hides ``content``, which is hidden at first."""
    button = QToolButton()
    button.setText(text)
    button.setCheckable(True)
    button.setAutoRaise(True)
    button.setArrowType(Qt.ArrowType.RightArrow)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setToolTip("Show the options that are seldom changed")

    def show(on: bool) -> None:
        content.setVisible(on)
        button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)

    button.toggled.connect(show)
    content.setVisible(False)
    return button
