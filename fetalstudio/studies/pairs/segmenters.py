"""The segmenters of the trial: small enough to be trained from random weights hundreds of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fetalstudio.core.biometry import measure
from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import letterbox, warp
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice
from fetalstudio.core.prompts import Prompt
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame
from fetalstudio.learning import TrainingRun
from fetalstudio.segmentation.compact import CompactConfig
from fetalstudio.segmentation.pretraining import PretrainSettings, pretrain
from fetalstudio.segmentation.segmenter import Segmenter, compact_card
from fetalstudio.studies.pairs.results import BOX, PAPER_AUTO, PAPER_BOX, Figure

SMALL = CompactConfig(
    image_size=256, widths=(16, 32, 64, 128), blocks=(1, 1, 2), attention=2, decoder_mlp=256
)
"""3.2 million parameters instead of 7.0, on 256 instead of 384 px."""
_READ_AT = 400
"""Frames are shrunk to this longer side once, because a training reads each a hundred times."""
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How every segmenter of a trial is trained: all weights, and the last epoch is tested."""

    steps: int
    batch: int
    learning_rate: float
    without_prompt: float
    """Share of steps without a prompt."""

    def settings(self, seed: int) -> PretrainSettings:
        """The settings of one training, varied as strongly as the built-in segmenter's."""
        return PretrainSettings(
            steps=self.steps,
            batch=self.batch,
            learning_rate=self.learning_rate,
            # An average over more than a tenth of the steps would still hold the first weights.
            ema=min(0.998, 1 - 10 / max(self.steps, 20)),
            seed=seed,
            without_prompt=self.without_prompt,
        )

    def said(self, config: CompactConfig) -> Mapping[str, Any]:
        """For the settings of a trial."""
        return {"architecture": asdict(config), "training": asdict(self.settings(0))}


def balanced(groups: Sequence[Sequence[LabelledFrame]]) -> list[LabelledFrame]:
    """The frames of all groups, repeated so that each group is drawn equally often."""
    most = max(map(len, groups))
    return [group[i % len(group)] for group in groups for i in range(most)]


def shrunk(frame: LabelledFrame) -> LabelledFrame:
    """The frame as trainings read it, at most 400 px long."""
    scale = _READ_AT / max(frame.size)
    if scale >= 1:
        return frame.loaded()
    size = (round(frame.size[0] * scale), round(frame.size[1] * scale))
    to = letterbox(frame.size, size)
    image = warp(frame.image, to, size).astype(np.uint8)
    return LabelledFrame.of(image, frame.ellipse.transformed(to), id=frame.id)


def trained(
    groups: Sequence[Sequence[LabelledFrame]],
    recipe: Recipe,
    seed: int,
    run: TrainingRun,
    *,
    config: CompactConfig = SMALL,
    start: Mapping[str, Tensor] | None = None,
) -> Segmenter:
    """A segmenter trained on the groups, each of which is drawn equally often."""
    examples = balanced([[shrunk(frame) for frame in group] for group in groups])
    sam = pretrain(examples, recipe.settings(seed), run, config=config, start=start)
    return Segmenter(sam, compact_card("trial", config), CPU)


def tested(
    segmenter: Segmenter,
    frames: Sequence[LabelledFrame],
    ways: Sequence[str],
    *,
    convention: Convention | None = None,
    learnt: Sequence[str] = (),
) -> dict[str, tuple[Figure | None, ...]]:
    """The figures of each frame by prompt and protocol; None for frames that were ``learnt`` from.

    A ``convention`` is applied to the ellipses of the native protocol.
    """
    known = set(learnt)

    def figure(frame: LabelledFrame, way: str) -> Figure:
        prompt: Prompt = "box" if way in (BOX, PAPER_BOX) else "auto"
        if way in (PAPER_AUTO, PAPER_BOX):
            score = score_frame(segmenter, frame, prompt=prompt, protocol="paper")
            return Figure(score.dice, None, None)
        found = segmenter.predict(frame.image, box=frame.prompt_box(prompt))
        ellipse = found.ellipse
        if ellipse is None:
            return Figure(dice(found.mask, frame.ellipse.mask(frame.size)), None, None)
        return figure_of(frame, ellipse if convention is None else convention.apply(ellipse))

    return {
        way: tuple(None if frame.id in known else figure(frame, way) for frame in frames)
        for way in ways
    }


def figure_of(frame: LabelledFrame, found: Ellipse) -> Figure:
    """The figure of an ellipse at native resolution."""
    overlap = dice(found.mask(frame.size), frame.ellipse.mask(frame.size))
    c = frame.calibration
    error = None if c is None else measure(found, c).hc_mm - measure(frame.ellipse, c).hc_mm
    return Figure(overlap, error, found)


def convention_of(segmenter: Segmenter, frames: Sequence[LabelledFrame]) -> Convention | None:
    """How the frames' annotators draw, compared with the segmenter; None if too few are sound."""
    pairs, subjects = [], []
    for frame in frames:
        found = segmenter.predict(frame.image).ellipse
        if found is not None:
            pairs.append((frame.ellipse, found))
            subjects.append(frame.subject)
    return Convention.measure(segmenter.card.name, pairs, subjects)


def pseudo_labelled(segmenter: Segmenter, frames: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """The frames with the segmenter's ellipses instead of the person's, where it finds a head."""
    labelled = []
    for frame in frames:
        found = segmenter.predict(frame.image).ellipse
        if found is not None:
            labelled.append(frame.redrawn(frame.image, found))
    return labelled
