"""The settings of a synthetic image: style, surroundings, seed, steps and guidance."""

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
    "This frame has no ellipse, so its surroundings cannot be kept and are synthetic too. Draw "
    "its ellipse in Annotate (Ctrl+2)."
)
_OWN_STEPS, _OWN_GUIDANCE = 0, 0.9
"""Below any useful value; they stand for the defaults of the synthesizer."""


@dataclass(frozen=True, slots=True)
class Look:
    """The fields of the same names of ``SynthesizeRequest``."""

    style: str
    background: Background
    seed: int
    steps: int | None
    guidance: float | None
    convention: bool
    synthesizer: str | None = None


class SynthesisControls(Section):
    """The fields; their values are remembered."""

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
            "Show drafts of few steps while the ellipse moves, and the full image when it rests"
        )
        self.row(
            "Style",
            self.style_box,
            "The trimester that the image resembles; the simulated scanner draws a phantom without "
            "a model",
        )
        self.row(
            "Surroundings",
            self.background_box,
            "The tissue around the head: synthetic, or kept from the real frame, which must have "
            "an ellipse",
        )
        self.no_ellipse = theme.style(note(_NO_ELLIPSE), "warning")
        self.no_ellipse.hide()
        self.add(self.no_ellipse)
        self.row(
            "Seed",
            self.seed_box,
            "The same seed gives the same image; a batch takes the next unused seed",
        )
        self.steps_box.setToolTip(
            "More steps give finer speckle and take longer; auto: the synthesizer's default"
        )
        self.guidance_box.setToolTip(
            "How closely the skull follows the ellipse (1: freely); auto: the synthesizer's default"
        )
        self.row(
            "Steps, guidance",
            side_by_side(self.steps_box, self.guidance_box),
            "The number of steps, and how closely the skull follows the ellipse",
        )
        self.convention_box = tick(
            settings, "synthesise/convention", "Skull as the cohort draws around it", default=True
        )
        self.convention_box.setToolTip(
            "Show the skull where the annotators of the cohort draw such an ellipse around it; "
            "otherwise on the ellipse"
        )
        self.add(self.convention_box)
        for signal in (
            self.convention_box.toggled,
            self.style_box.currentIndexChanged,
            self.background_box.currentIndexChanged,
            self.seed_box.valueChanged,
            self.steps_box.valueChanged,
            self.guidance_box.valueChanged,
        ):
            signal.connect(lambda _: self.changed.emit())

    def look(self) -> Look:
        """The values as requests take them; None stands for the synthesizer's default."""
        steps, guidance = self.steps_box.value(), self.guidance_box.value()
        return Look(
            style=str(self.style_box.currentData()),
            background=self.background_box.currentData(),
            seed=self.seed_box.value(),
            steps=steps if steps > _OWN_STEPS else None,
            guidance=guidance if guidance > _OWN_GUIDANCE + 1e-6 else None,
            convention=self.convention_box.isChecked(),
        )

    def warn(self, *, has_ellipse: bool) -> None:
        """Warn if the surroundings of a frame without an ellipse are to be kept."""
        wanted = self.background_box.currentData() == "frame"
        self.no_ellipse.setVisible(wanted and not has_ellipse)

    def next_seed(self) -> None:
        """Take the next seed; after the last seed comes the first."""
        self.seed_box.setValue((self.seed_box.value() + 1) % (MAX_SEED + 1))
