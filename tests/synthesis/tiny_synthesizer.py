"""A synthesizer of the same classes as the built-in one, with a network that has learnt nothing."""

from __future__ import annotations

from typing import Any

import torch

from fetalstudio.engine.models.loading import ALIGNED
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler, build_unet
from fetalstudio.synthesis.synthesizer import Synthesizer

WIDTHS = (8, 8, 16, 32)


def tiny_pipeline(**settings: Any) -> CompactPipeline:
    """A pipeline with the smallest network. Its weights are the same in every test.

    ``settings`` are those of :class:`CompactPipeline`.
    """
    torch.manual_seed(0)
    return CompactPipeline(build_unet(WIDTHS).eval(), build_scheduler(), **settings)


def tiny_synthesizer(
    pipeline: CompactPipeline | None = None, finish: Lift | None = None, **settings: Any
) -> Synthesizer:
    """A synthesizer named ``tiny`` whose images are too bright and show no head.

    ``settings`` are those of the training that its card claims.
    """
    if pipeline is None:
        pipeline = tiny_pipeline(band_mean=[1.0] + [0.0] * 15, band_std=[0.5] * 16)
    card = ModelCard(
        name="tiny",
        kind="synthesizer",
        architecture={"type": "compact", "widths": list(WIDTHS)},
        preprocessing={"canvas": [384, 256], ALIGNED: True},
        licence="Apache-2.0",
        training_data={"settings": settings},
    )
    return Synthesizer(pipeline, card, finish=finish)
