"""Training the compact segmenter from scratch: encoder, prompt encoder and decoder together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fetalstudio.core.augment import Augmentation, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import Affine
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.learning import OptimizerSettings, TrainingRun, autocast, train_resumably
from fetalstudio.segmentation.compact import CompactConfig, build_compact
from fetalstudio.segmentation.sam import Sam, decode, dice_ce, jittered_boxes, reached_iou
from fetalstudio.simulation import Clutter, draw_clutter

VARIED = Augmentation(
    rotation_deg=30,
    log_scale=0.3,
    log_aspect=0.1,
    shift=0.12,
    flip=True,
    gamma=0.4,
    gain=0.25,
    blur_px=1.2,
    speckle=0.25,
    tilt=0.7,
    shadow=0.8,
)
"""Strong, because the encoder learns from a few hundred frames of one hospital."""

WIDE = replace(VARIED, rotation_deg=45, log_scale=0.7, log_aspect=0.25, shift=0.3)
"""For heads that are small, long, turned or cut by the border, which few frames show."""
_MARKS = Clutter(grey_bar=True, boxes=True, text=True, calipers=True)


@dataclass(frozen=True, slots=True)
class PretrainSettings:
    """Everything that a training depends on besides its data."""

    steps: int = 3000
    batch: int = 8
    learning_rate: float = 8e-4
    weight_decay: float = 0.05
    ema: float = 0.998
    seed: int = 0
    augmentation: Augmentation = VARIED
    wide: float = 0.25
    """Share of frames that are varied as :data:`WIDE` instead."""
    box_jitter: float = 0.1
    """Each box side moves by up to this share of the box, in or out."""
    without_prompt: float = 0.5
    """Share of steps without a prompt. Of the other steps, 60 % show a box, 20 % points, and 20 % a
    rough mask, with or without a box."""
    marked: float = 0.3
    """Share of frames with text, calipers and blanked corners drawn over them."""


def pretrain(
    examples: Sequence[LabelledFrame],
    settings: PretrainSettings,
    run: TrainingRun,
    *,
    config: CompactConfig | None = None,
    start: Mapping[str, Tensor] | None = None,
) -> Sam:
    """Train, or resume. Returns the averaged model in evaluation mode.

    Training begins with the weights ``start``, of the same ``config``, or else with random ones.
    """
    device = run.device
    torch.manual_seed(settings.seed)
    sam = build_compact(config or CompactConfig()).to(device)
    if start is not None:
        sam.load_state_dict(start)

    def loss_of(batch: Batch) -> Tensor:
        prompt = {
            name: tuple(t.to(device) for t in given) if name == "points" else given.to(device)
            for name, given in batch.prompt.items()
        }
        with autocast(device):
            return training_loss(sam, batch.images.to(device), batch.targets.to(device), prompt)

    optimizer = OptimizerSettings(
        settings.steps,
        settings.learning_rate,
        settings.weight_decay,
        settings.ema,
        settings.seed,
    )
    return train_resumably(
        sam,
        partial(_draw, examples, settings, sam.image_encoder.img_size),
        loss_of,
        optimizer,
        run,
        keep={"settings": asdict(settings)},
    )


def training_loss(sam: Sam, images: Tensor, targets: Tensor, prompt: dict[str, Any]) -> Tensor:
    """DiceCE on logits at half the input's resolution, plus the IoU head's squared error.

    ``images`` (B, 1, S, S) grey values 0 to 255, ``targets`` (B, 1, S/2, S/2) coverage 0 to 1.
    """
    x = (images - sam.pixel_mean[0]) / sam.pixel_std[0]
    embeddings = sam.image_encoder(x.expand(-1, 3, -1, -1))
    logits, iou = decode(sam, embeddings, **prompt)
    logits = functional.interpolate(
        logits, size=targets.shape[-2:], mode="bilinear", align_corners=False
    )
    reached = reached_iou(logits, targets)
    return dice_ce(logits, targets) + 0.1 * functional.mse_loss(iou[:, 0], reached)


@dataclass(frozen=True, slots=True)
class Batch:
    """See :func:`training_loss`."""

    images: Tensor
    targets: Tensor
    prompt: dict[str, Any]


def _draw(
    examples: Sequence[LabelledFrame],
    settings: PretrainSettings,
    side: int,
    rng: np.random.Generator,
) -> Batch:
    images, targets, ellipses = [], [], []
    for index in rng.integers(0, len(examples), settings.batch):
        frame = examples[index]
        kind = WIDE if rng.random() < settings.wide else settings.augmentation
        image, ellipse = augment(rng, kind, frame.image, frame.ellipse, (side, side))
        if rng.random() < settings.marked:
            draw_clutter(rng, image, _MARKS)
        coverage = cv2.resize(
            ellipse.mask((side, side)).astype(np.float32),
            (side // 2, side // 2),
            interpolation=cv2.INTER_AREA,
        )
        images.append(torch.from_numpy(image).float()[None])
        targets.append(torch.from_numpy(coverage)[None])
        ellipses.append(ellipse)
    prompt = _prompt(rng, ellipses, settings, side)
    return Batch(torch.stack(images), torch.stack(targets), prompt)


def _prompt(
    rng: np.random.Generator, ellipses: Sequence[Ellipse], settings: PretrainSettings, side: int
) -> dict[str, Any]:
    """One kind of prompt for the whole batch, as keyword arguments of ``decode``."""
    if rng.random() < settings.without_prompt:
        return {}
    kind = rng.random()
    if kind < 0.2:
        count = int(rng.integers(1, 4))
        points = np.stack([_points_inside(rng, e, count) for e in ellipses])
        return {"points": (torch.from_numpy(points).float(), torch.ones(points.shape[:2]))}
    prompt: dict[str, Any] = {}
    if kind > 0.3:
        prompt["boxes"] = jittered_boxes(rng, ellipses, settings.box_jitter, torch.device("cpu"))
    if kind < 0.4:
        rough = np.stack([_rough_logits(rng, e, side) for e in ellipses])
        prompt["masks"] = torch.from_numpy(rough)[:, None]
    return prompt


def _rough_logits(rng: np.random.Generator, ellipse: Ellipse, side: int) -> NDArray[np.float32]:
    """Logits (side/4, side/4) of an ellipse near the true one, like those of a previous answer."""
    grid = Affine(xx=0.25, x0=-0.375, yy=0.25, y0=-0.375)
    dx, dy = rng.normal(0, 0.05, 2) * ellipse.a
    major, minor = ellipse.a * rng.uniform(0.85, 1.15), ellipse.b * rng.uniform(0.85, 1.15)
    rough = Ellipse.of(
        ellipse.cx + dx, ellipse.cy + dy, major, minor, ellipse.angle_deg + rng.normal(0, 6)
    ).transformed(grid)
    u, v = rough.local((side // 4, side // 4))
    inside = 1 - np.sqrt((u / rough.a) ** 2 + (v / rough.b) ** 2)
    return np.asarray(np.clip(inside * rng.uniform(10, 40), -20, 20), np.float32)


def _points_inside(rng: np.random.Generator, ellipse: Ellipse, n: int) -> NDArray[np.float64]:
    radius, angle = 0.8 * np.sqrt(rng.random(n)), rng.uniform(0, 2 * np.pi, n)
    local = np.column_stack(
        [ellipse.a * radius * np.cos(angle), ellipse.b * radius * np.sin(angle)]
    )
    return local @ ellipse.axes + np.array([ellipse.cx, ellipse.cy])
