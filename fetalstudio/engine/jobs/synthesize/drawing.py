"""Draws the pictures of pairs, and measures them against their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
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


def draw(
    model: FoundModel,
    textures: Sequence[CohortTexture | None],
    scenes: Sequence[Scene],
    wanted: Sequence[tuple[Ellipse, Offset]],
    seeds: Sequence[int],
    options: Mapping[str, Any],
) -> list[Made]:
    """Make images and their figures in any process. Models are loaded once per process.

    ``wanted`` are the ellipses that label the images, and how these are drawn around the skull.
    """
    segmenter, neighbours = load_segmenter(judge_model()), load_neighbours(model)
    judges = [Judge(segmenter, neighbours, texture) for texture in textures]
    drawn = _drawn_in_memory(load_synthesizer(model), scenes, seeds, options)
    made = []
    for judge, one, scene, (ellipse, offset) in zip(judges, drawn, scenes, wanted, strict=True):
        one, convention = labelled_as(one, scene, ellipse, offset)
        made.append((one, _measured(judge, one, scene.reference, convention)))
    return made


def _drawn_in_memory(
    synthesizer: SceneSynthesizer,
    scenes: Sequence[Scene],
    seeds: Sequence[int],
    options: Mapping[str, Any],
) -> list[Drawn]:
    """The images, in halves if memory runs out for all at once."""
    try:
        return synthesizer.draw(scenes, seeds, **options)
    except Exception as error:
        if len(scenes) == 1 or not is_out_of_memory(error):
            raise
    # Outside the handler, because the error's traceback keeps the tensors alive.
    half = len(scenes) // 2
    first = _drawn_in_memory(synthesizer, scenes[:half], seeds[:half], options)
    return first + _drawn_in_memory(synthesizer, scenes[half:], seeds[half:], options)


def _measured(
    judge: Judge, drawn: Drawn, lender: NDArray[np.uint8] | None, convention: Offset
) -> Measured:
    """The figures of an image and its label, including the synthesizer's own figures."""
    measured = judge(drawn.image, drawn.ellipse, lender, convention)
    return replace(measured, quality={**measured.quality, **drawn.figures})
