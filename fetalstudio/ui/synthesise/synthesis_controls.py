"""What a synthetic picture should look like: style, seed, steps, guidance."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from fetalstudio.engine.jobs.sample.request import Background
from fetalstudio.ui import theme
from fetalstudio.ui.common.form import (
    Section,
    choice,
    decimal_number,
    note,
    side_by_side,
    tick,
    whole_number,
)
from fetalstudio.ui.settings import Settings

STYLES = {
    "auto": "By head size",
    "first": "First trimester",
    "second": "Second trimester",
    "third": "Third trimester",
    "any": "Any",
    "simulated": "Simulated scanner",
}
BACKGROUNDS: dict[str, str] = {"made": "Synthetic too", "frame": "From the real frame"}
MAX_SEED = 999_999
_NO_ELLIPSE = (
    "This frame has no ellipse, so its surroundings cannot be kept: they are synthetic too. Draw "
    "its ellipse in Annotate (Ctrl+2)."
)
_OWN_STEPS, _OWN_GUIDANCE = 0, 0.9
"""Below any value that makes sense: they stand for the synthesizer's own."""


@dataclass(frozen=True, slots=True)
class Look:
    """The fields of ``SynthesizeRequest`` of the same names."""

    style: str
    background: Background
    seed: int
    steps: int | None
    guidance: float | None
    synthesizer: str | None = None


class SynthesisControls(Section):
    """The fields, kept in the settings from one start to the next."""

    changed = Signal()

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        own = "auto"
        self.style_box = choice(settings, "synthesise/style", "auto", STYLES)
        self.background_box = choice(settings, "synthesise/background", "made", BACKGROUNDS)
        self.seed_box = whole_number(settings, "synthesise/seed", 1, 0, MAX_SEED)
        self.steps_box = whole_number(
            settings, "synthesise/steps", _OWN_STEPS, _OWN_STEPS, 50, lowest=own
        )
        self.guidance_box = decimal_number(
            settings,
            "synthesise/guidance",
            _OWN_GUIDANCE,
            (_OWN_GUIDANCE, 6.0),
            step=0.1,
            decimals=1,
            lowest=own,
        )
        self.follow_box = tick(settings, "synthesise/follow", "Follow the ellipse", default=True)
        self.follow_box.setToolTip(
            "While the ellipse moves, show drafts of few steps; the full picture when it rests"
        )
        self.row(
            "Style",
            self.style_box,
            "The trimester that the picture looks like; the simulated scanner draws a phantom's "
            "picture without a model",
        )
        self.row(
            "Surroundings",
            self.background_box,
            "The tissue around the head: made with it, or kept from the real frame (which needs "
            "its ellipse)",
        )
        self.no_ellipse = theme.style(note(_NO_ELLIPSE), "warning")
        self.no_ellipse.hide()
        self.add(self.no_ellipse)
        self.row(
            "Seed",
            self.seed_box,
            "The same seed gives the same picture; a batch takes the next that no batch had",
        )
        self.steps_box.setToolTip(
            "More steps: finer speckle, more time; auto: the synthesizer's own"
        )
        self.guidance_box.setToolTip(
            "How strictly the skull keeps to the ellipse (1: free); auto: the synthesizer's own"
        )
        self.row(
            "Steps, guidance",
            side_by_side(self.steps_box, self.guidance_box),
            "How many steps, and how strictly the skull keeps to the ellipse",
        )
        for signal in (
            self.style_box.currentIndexChanged,
            self.background_box.currentIndexChanged,
            self.seed_box.valueChanged,
            self.steps_box.valueChanged,
            self.guidance_box.valueChanged,
        ):
            signal.connect(lambda _: self.changed.emit())

    def look(self) -> Look:
        """The values as requests take them; None stands for the synthesizer's own."""
        steps, guidance = self.steps_box.value(), self.guidance_box.value()
        return Look(
            style=str(self.style_box.currentData()),
            background=self.background_box.currentData(),
            seed=self.seed_box.value(),
            steps=steps if steps > _OWN_STEPS else None,
            guidance=guidance if guidance > _OWN_GUIDANCE + 1e-6 else None,
        )

    def tell(self, *, has_ellipse: bool) -> None:
        """Say so where the surroundings of a frame without an ellipse are asked for."""
        wanted = self.background_box.currentData() == "frame"
        self.no_ellipse.setVisible(wanted and not has_ellipse)

    def next_seed(self) -> None:
        """Another variation; after the last seed comes the first."""
        self.seed_box.setValue((self.seed_box.value() + 1) % (MAX_SEED + 1))
