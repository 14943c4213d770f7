"""How a segmenter is fine-tuned: every option with its default, its bounds and its help.

The command line, the form in the window, the range check, the stored run and ``fine_tune`` all read
:class:`TrainingSettings`. A new option is one field here and its use in ``fine_tune``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from fetalstudio.core.errors import InputError, check_ranges

Recipe = Literal["recommended", "paper"]
RECOMMENDED: Literal["recommended"] = "recommended"
PairCount = int | Literal["recommended"] | None
"""How many accepted pairs to train on, at most: a number, as many as the evidence recommends
(``fetalstudio.engine.jobs.train.advice``), or all (None)."""


@dataclass(frozen=True, slots=True)
class Option:
    """What the command line, the form and the range check need to know about one setting."""

    low: float
    high: float
    """The smallest and the largest value allowed."""
    label: str
    """Its name in the form, a noun."""
    help: str
    """One sentence without a full stop, for the tool tip and for ``--help``."""
    unit: str = ""
    offered: tuple[float, ...] = ()
    """The values that the form offers; empty where it takes any number within the bounds."""
    ticked: float | None = None
    """The value of a setting that is a tick in the form, and an option that may stand alone on the
    command line; unticked it is :attr:`low`."""
    advanced: bool = False
    """Shown in the form under "Advanced" only."""


def option(default: float, low: float, high: float, label: str, help_text: str, **more: Any) -> Any:
    """A dataclass field that describes itself; ``more`` are further fields of :class:`Option`."""
    described = Option(low, high, label, help_text, **more)
    return field(default=default, metadata={"option": described})


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to fine-tune; the defaults are the recommended values."""

    recipe: Recipe = "recommended"
    """``recommended``: AdamW with a cosine schedule to zero; prompted by boxes moved both ways, or
    not at all; a moving average of the weights. ``paper``: as the paper's code, Adam at a constant
    rate, every frame prompted by a box moved outwards only; no average, no clipping of gradients,
    no tuning of the IoU head."""
    copies: int = option(
        2, 1, 16, "Copies", "Copies of each frame: one as it is, the others varied"
    )
    epochs: int = option(
        20, 1, 1000, "Epochs", "Passes over the training data, at most", unit="epochs"
    )
    learning_rate: float = option(
        1e-4,
        1e-9,
        0.1,
        "Learning rate",
        "The size of a step; smaller is slower and safer",
        offered=(1e-5, 3e-5, 1e-4, 3e-4, 1e-3),
    )
    patience: int = option(
        5,
        1,
        1000,
        "Patience",
        "Stop after this many epochs without a better validation Dice",
        unit="epochs",
    )
    seed: int = option(
        0,
        0,
        2**31 - 1,
        "Seed",
        "Decides which frames are used where not all are, and in what order",
    )
    lora: int = option(
        0,
        0,
        64,
        "Tune the encoder too",
        "Tune the encoder too, by low-rank changes (LoRA) of this rank; without a graphics card "
        "each epoch then takes many times longer; 0 leaves the encoder as it is",
        ticked=4,
    )
    batch: int = option(8, 1, 64, "Batch", "Frames in each step", unit="frames", advanced=True)
    weight_decay: float = option(
        0.01,
        0.0,
        1.0,
        "Weight decay",
        "How strongly the weights are drawn to zero (recommended recipe)",
        advanced=True,
    )
    average: float = option(
        0.9,
        0.0,
        0.9999,
        "Averaging",
        "Decay, by step, of the moving average of the weights; 0 for none (recommended recipe)",
        advanced=True,
    )
    without_prompt: float = option(
        0.6,
        0.0,
        1.0,
        "Without prompt",
        "Share of the steps that give no box as a prompt (recommended recipe)",
        advanced=True,
    )
    box_jitter: float = option(
        0.1,
        0.0,
        0.5,
        "Box jitter",
        "How far the boxes given as prompts are moved at most (recommended recipe)",
        unit="of the head's size",
        advanced=True,
    )

    def check(self) -> None:
        """Raise :class:`InputError` for the first setting that is out of its bounds."""
        if self.recipe not in PRESETS:
            raise InputError(
                f"There is no recipe {self.recipe!r}. Choose one of these: {', '.join(PRESETS)}."
            )
        check_ranges({n: (getattr(self, n), o.low, o.high) for n, o in OPTIONS.items()})

    def stored(self) -> dict[str, Any]:
        """As it is kept in a run's record; :func:`settings_of` reads it back."""
        return asdict(self)


OPTIONS: Mapping[str, Option] = {
    f.name: f.metadata["option"] for f in fields(TrainingSettings) if "option" in f.metadata
}
"""The options by name, in the order in which they are shown. The recipe is not among them: it is
chosen with the preset that the others depart from."""

PRESETS: Mapping[Recipe, TrainingSettings] = {
    "recommended": TrainingSettings(),
    "paper": TrainingSettings(
        recipe="paper", copies=1, epochs=20, learning_rate=1e-5, patience=20, batch=5
    ),
}


def settings_of(record: Mapping[str, Any]) -> TrainingSettings:
    """The training settings in a run's stored ``settings``.

    Earlier versions stored the options beside the other settings instead of under ``settings``, and
    fewer of them: those that are missing have their defaults, which is how the run was trained.
    """
    stored = record.get("settings", record)
    known = {f.name for f in fields(TrainingSettings)}
    return TrainingSettings(**{name: stored[name] for name in stored if name in known})
