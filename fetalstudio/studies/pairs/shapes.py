"""The second base: a segmenter that learnt to outline simulated shapes, none of which is a head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.learning import (
    OptimizerSettings,
    autocast,
    load_checkpoint,
    save_checkpoint,
    train_resumably,
)
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.pretraining import Batch, training_loss
from fetalstudio.simulation.acoustics import smooth_noise
from fetalstudio.studies.interruptible import InterruptibleTraining
from fetalstudio.studies.pairs.segmenters import CPU, Recipe


def shape_frame(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A frame (side, side) uint8 and the mask of its shape, 0 and 1.

    The shape has three to seven corners, straight or notched sides, another level than the
    speckle around it, and in half of the frames a bright edge.
    """
    corners = int(rng.integers(3, 8))
    turns = (np.arange(corners) + rng.uniform(-0.3, 0.3, corners)) * 2 * np.pi / corners
    radii = side * rng.uniform(0.12, 0.42, corners)
    centre = side * rng.uniform(0.35, 0.65, 2)
    points = centre + radii[:, None] * np.column_stack([np.cos(turns), np.sin(turns)])
    outline = np.rint(points).astype(np.int32)[None]
    mask = cv2.fillPoly(np.zeros((side, side), np.uint8), outline, 1).astype(np.uint8)
    shape = (side, side)
    level = rng.uniform(20, 90) * np.exp(0.5 * smooth_noise(rng, shape, (4, 4)))
    inside = float(rng.choice([rng.uniform(0.2, 0.6), rng.uniform(1.6, 3.0)]))
    level = np.where(mask > 0, level * inside, level)
    if rng.random() < 0.5:
        edge = cv2.polylines(np.zeros(shape, np.float32), outline, True, 1.0, 3)
        level = level + float(rng.uniform(40, 140)) * edge
    speckle = rng.rayleigh(0.8, shape).astype(np.float32)
    grains = cv2.GaussianBlur(speckle, (0, 0), float(rng.uniform(0.6, 1.6)))
    return np.clip(level * grains, 0, 255).astype(np.uint8), mask


def shapes_base(
    folder: Path, config: CompactConfig, recipe: Recipe, stopped: Callable[[], bool]
) -> Mapping[str, Tensor] | None:
    """The weights in ``folder``, trained first if there are none; None if ``stopped`` before."""
    kept = folder / "shapes.pt"
    if (state := load_checkpoint(kept)) is not None:
        return state
    torch.manual_seed(0)
    sam = build_compact(config)
    training = InterruptibleTraining(folder / "shapes-state.pt", recipe.steps, stopped)

    def loss_of(batch: Batch) -> Tensor:
        with autocast(CPU):
            return training_loss(sam, batch.images, batch.targets, batch.prompt)

    settings = recipe.settings(0)
    averaged = train_resumably(
        sam,
        partial(_draw, recipe.batch, config.image_size),
        loss_of,
        OptimizerSettings(
            settings.steps, settings.learning_rate, settings.weight_decay, settings.ema, 0
        ),
        training.run,
        keep={},
    )
    if training.cut_short():
        return None
    weights = averaged.state_dict()
    save_checkpoint(kept, weights)
    (folder / "shapes-state.pt").unlink(missing_ok=True)
    return weights


def _draw(count: int, side: int, rng: np.random.Generator) -> Batch:
    images, targets = [], []
    for _ in range(count):
        image, mask = shape_frame(rng, side)
        half = (side // 2, side // 2)
        coverage = cv2.resize(mask.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        images.append(torch.from_numpy(image).float()[None])
        targets.append(torch.from_numpy(np.asarray(coverage, np.float32))[None])
    return Batch(torch.stack(images), torch.stack(targets), {})
