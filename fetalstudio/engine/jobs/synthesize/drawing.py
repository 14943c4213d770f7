"""Draws the pictures of pairs, and measures them against their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.convention import Offset
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import is_out_of_memory
from fetalstudio.core.texture import CohortTexture
from fetalstudio.engine.followed_conventions import labelled_as
from fetalstudio.engine.models.loading import (
    FoundModel,
    judge_model,
    load_neighbours,
    load_segmenter,
    load_synthesizer,
)
from fetalstudio.engine.quality import Judge, Measured
from fetalstudio.synthesis.interface import Drawn, SceneSynthesizer
from fetalstudio.synthesis.scene import Scene

Made = tuple[Drawn, Measured]
"""An image with its label, and its figures."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image that is to be made, and how it is labelled and measured."""

    scene: Scene
    seed: int
    ellipse: Ellipse
    """The ellipse that labels it, in px."""
    convention: Offset
    """How that ellipse is drawn around the skull."""
    texture: CohortTexture | None
    """The texture that it is compared with; None without real frames."""


def draw(model: FoundModel, wanted: Sequence[Wanted], options: Mapping[str, Any]) -> list[Made]:
    """Make images and their figures in any process. Models are loaded once per process.

    ``options`` are the keyword arguments of :meth:`SceneSynthesizer.draw`.
    """
    segmenter, neighbours = load_segmenter(judge_model()), load_neighbours(model)
    made = []
    for one, plain in zip(
        wanted, _drawn_in_memory(load_synthesizer(model), wanted, options), strict=True
    ):
        drawn, convention = labelled_as(plain, one.scene, one.ellipse, one.convention)
        judge = Judge(segmenter, neighbours, one.texture)
        made.append((drawn, _measured(judge, drawn, one.scene.reference, convention)))
    return made


def _drawn_in_memory(
    synthesizer: SceneSynthesizer, wanted: Sequence[Wanted], options: Mapping[str, Any]
) -> list[Drawn]:
    """The images, in halves if memory runs out for all at once."""
    try:
        return synthesizer.draw(
            [one.scene for one in wanted], [one.seed for one in wanted], **options
        )
    except Exception as error:
        if len(wanted) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, because the error's traceback keeps the tensors alive.
    half = len(wanted) // 2
    first = _drawn_in_memory(synthesizer, wanted[:half], options)
    return first + _drawn_in_memory(synthesizer, wanted[half:], options)


def _measured(
    judge: Judge, drawn: Drawn, lender: NDArray[np.uint8] | None, convention: Offset
) -> Measured:
    """The figures of an image and its label, including the synthesizer's own figures."""
    measured = judge(drawn.image, drawn.ellipse, lender, convention)
    return replace(measured, quality={**measured.quality, **drawn.figures})
