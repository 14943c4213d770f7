"""The settings of a training; each point where the paper's text and code differ is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from fetalstudio.core.errors import InputError, check_ranges

TYPE = "stable-diffusion"
"""The architecture type in ``model.json``."""
LORA_TARGETS = ("to_k", "to_q", "to_v", "to_out.0")

Mode = Literal["paper", "conditioned"]
MODES = ("paper", "conditioned")

_HEAD = "An ultrasound image of a fetal head"
_PLANE = "a photo of standard maternal fetal ultrasound planes, fetal head"


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """A training of Stable Diffusion. The defaults are those of the paper's code."""

    mode: Mode = "paper"
    """``paper``: image and outline are generated together from the prompt alone.
    ``conditioned``: the drawn ellipse is an input of the denoiser."""
    steps: int = 6000
    """100 epochs of 60 frames."""
    batch: int = 1
    learning_rate: float = 1e-4
    """The learning rate, constant and without warm-up."""
    weight_decay: float = 0.01
    rank: int = 128
    alpha: int = 128
    seed: int = 42
    third_channel: Literal["outline", "filled"] = "outline"
    """The paper says masks. The data of its code are outlines, 0.4 to 0.7 % of the pixels."""
    outline_width: float = 2.0
    """Width of the drawn line, in px of the model's image (512 px)."""
    placement: Literal["squash", "letterbox"] = "squash"
    """The code squashes each frame to a square; ``letterbox`` keeps its proportions."""
    flip: bool = False
    """Left-right. The paper's script is called with --random_flip, but never reads the option."""
    caption_dropout: float = 0.0
    """Share of frames without prompt (and, conditioned, without ellipse). The paper's code drops
    none, so its unguided branch was never adapted."""
    sector_dropout: float = 0.0
    """Share of frames whose sector is left to the model (conditioned), as for scenes without a
    lender."""
    prompts: Literal["trimester", "plane"] = "trimester"
    """HC18 frames are prompted by trimester, the Spanish frames by one text for all."""
    latents: Literal["sample", "mean"] = "sample"
    """How latents are taken from the autoencoder; the paper's code samples them at each step."""

    def checked(self) -> LoraSettings:
        """Return these settings. Raises :class:`InputError` for a value out of range."""
        check_ranges(
            {
                "steps": (self.steps, 1, 10**6),
                "batch": (self.batch, 1, 64),
                "rank": (self.rank, 1, 1024),
                "alpha": (self.alpha, 1, 4096),
                "learning_rate": (self.learning_rate, 1e-8, 0.1),
                "caption_dropout": (self.caption_dropout, 0, 0.9),
                "sector_dropout": (self.sector_dropout, 0, 0.9),
                "outline_width": (self.outline_width, 0.5, 20),
                "seed": (self.seed, 0, 2**31 - 1),
            }
        )
        choices = {
            "mode": MODES,
            "third_channel": ("outline", "filled"),
            "placement": ("squash", "letterbox"),
            "prompts": ("trimester", "plane"),
            "latents": ("sample", "mean"),
        }
        for name, allowed in choices.items():
            if (given := getattr(self, name)) not in allowed:
                raise InputError(f"{name} is {given!r}. Choose {' or '.join(allowed)}.")
        return self

    def prompt(self, style: str) -> str:
        """The prompt for a style (``first``, ``second``, ``third``, ``any``)."""
        if self.prompts == "plane":
            return _PLANE
        return f"{_HEAD}." if style == "any" else f"{_HEAD}, {style} trimester."

    def plain(self) -> dict[str, Any]:
        """The settings as plain values, for ``model.json`` and checkpoints."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LoraSettings:
        """From :meth:`plain`. Raises :class:`InputError` for names that are not settings."""
        try:
            return cls(**values).checked()
        except TypeError as error:
            known = ", ".join(field.name for field in fields(cls))
            raise InputError(
                f"These are not settings of Stable Diffusion: {error}. The settings are {known}."
            ) from error


def settings_for(mode: Mode) -> LoraSettings:
    """The defaults of a mode.

    In the mode ``conditioned`` nothing is squashed, since the ellipse has the frame's proportions.
    A tenth of the frames have no prompt and no ellipse, which trains the unguided branch, and a
    fifth have no sector.
    """
    if mode == "paper":
        return LoraSettings()
    return LoraSettings(
        mode=mode, placement="letterbox", caption_dropout=0.1, sector_dropout=0.2
    ).checked()
