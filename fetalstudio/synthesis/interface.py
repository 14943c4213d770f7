"""What every synthesizer offers, whatever is behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.synthesis.scene import Scene

OnStep = Callable[[int, int, Callable[[], NDArray[np.uint8]]], None]
"""Hears (steps done, steps, a function that renders the first picture so far); may raise."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and the ellipse that it is labelled with."""

    image: NDArray[np.uint8]
    """(H, W) uint8 at its scene's size."""
    ellipse: Ellipse
    """The scene's, or the one in the picture where the model does not follow the scene's."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """What the model itself can say of the label, see ``outline_*`` in ``stable_diffusion``."""


class SceneSynthesizer(Protocol):
    """A synthesizer that is loaded and ready."""

    card: ModelCard
    hash: str
    """SHA-256 (hex) of its weights."""

    @property
    def to_scale(self) -> bool:
        """Whether a head is drawn as large as it was asked for, so that a scale in mm holds."""

    def generate(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
    ) -> list[NDArray[np.uint8]]:
        """The pictures alone, of :meth:`draw`."""

    def draw(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
        on_warning: Callable[[str], None] | None = None,
    ) -> list[Drawn]:
        """A picture for each scene and seed, with its label; None for the model's own choice."""

    def provenance(
        self, *, seed: int, steps: int | None, guidance: float | None, style: str
    ) -> Mapping[str, Any]:
        """What makes the same picture again, as plain values."""
