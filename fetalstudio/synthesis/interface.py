"""The interface of all synthesizers."""

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
"""Called with (steps done, steps, a function that renders the first image so far); may raise."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A synthetic image and the ellipse that labels it."""

    image: NDArray[np.uint8]
    """(H, W) uint8 at its scene's size."""
    ellipse: Ellipse
    """The ellipse of the scene, or the one found in the image if the model does not follow it."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """The model's own figures of the label, see ``outline_*`` in ``stable_diffusion``."""


class SceneSynthesizer(Protocol):
    """A synthesizer that is loaded and ready."""

    card: ModelCard
    hash: str
    """SHA-256 (hex) of its weights."""

    @property
    def to_scale(self) -> bool:
        """Whether heads have the requested size, so that a scale in mm is valid."""

    def generate(
        self,
        scenes: Sequence[Scene],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        on_step: OnStep | None = None,
    ) -> list[NDArray[np.uint8]]:
        """The images of :meth:`draw` without their labels."""

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
        """Make an image for each scene and seed, with its label.

        ``steps`` and ``guidance`` are the model's own if they are None.
        """

    def provenance(
        self, *, seed: int, steps: int | None, guidance: float | None, style: str
    ) -> Mapping[str, Any]:
        """The plain values with which the same image can be made again."""
