"""Training the compact synthesizer by flow matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.augment import NONE, Augmentation, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.sector import sector_mask
from fetalstudio.learning import Plan, Watch, autocast, load_checkpoint, train_resumably
from fetalstudio.synthesis.bands import to_bands
from fetalstudio.synthesis.conditions import CANVAS, Condition, condition_tensors
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler, build_unet

VARIED = Augmentation(
    rotation_deg=12, log_scale=0.15, log_aspect=0.04, shift=0.06, flip=True, gamma=0.1, gain=0.1
)
"""Mild: what is varied here will be seen in the samples."""
WIDE = Augmentation(
    rotation_deg=25, log_scale=0.5, log_aspect=0.2, shift=0.2, flip=True, gamma=0.1, gain=0.1
)
"""For heads that are small, long, turned or cut by the border, which few frames show. The sector is
a condition too, so that samples on a plain sector stay plain."""


@dataclass(frozen=True, slots=True)
class Example:
    """A real frame to learn from."""

    image: NDArray[np.uint8]
    """(H, W) uint8."""
    ellipse: Ellipse
    style: str
    """One of ``conditions.STYLES``."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that a rerun needs besides the data."""

    steps: int = 2500
    batch: int = 8
    learning_rate: float = 3e-4
    warmup: int = 100
    weight_decay: float = 0.01
    ema: float = 0.998
    seed: int = 0
    widths: tuple[int, ...] = (48, 96, 144, 192)
    augmentation: Augmentation = VARIED
    wide: float = 0.35
    """Share of frames that are varied widely instead."""
    drop_ellipse: float = 0.1
    """Share of frames whose ellipse and style are withheld, for guidance."""
    drop_style: float = 0.15
    drop_sector: float = 0.25
    guidance: float = 2.5
    """The guidance that the model learns to follow by itself, so that sampling needs one evaluation
    a step instead of two; 1 learns the data alone."""
    guidance_interval: tuple[float, float] = (0.1, 0.95)
    """Noise levels within which it is learnt."""
    level_mean: float = 0.7
    level_std: float = 1.3
    """Noise levels are logit-normal with these. Neighbouring cells of the coarse bands are so alike
    that the head's place is decided at levels above 0.9: those must not be rare."""
    band_weighting: float = 0.5
    """Each band's loss is weighted by its standard deviation to this power: 0 would spend fifteen
    sixteenths on the speckle, 2 is the error of the picture."""


def train(
    examples: Sequence[Example],
    settings: TrainSettings,
    checkpoint: Path,
    *,
    start: CompactPipeline | None = None,
    device: torch.device | None = None,
    watch: Watch | None = None,
) -> CompactPipeline:
    """Train, or go on from ``checkpoint``; returns a pipeline around the averaged denoiser.

    ``start`` is trained further instead of random weights; it is left as it is.
    """
    device = device or torch.device("cpu")
    torch.manual_seed(settings.seed)
    unet = build_unet(settings.widths).to(device)
    # A training that goes on keeps the normalisation that it began with.
    if begun := load_checkpoint(checkpoint):
        mean, std = begun["band_mean"], begun["band_std"]
    elif start is not None:
        unet.load_state_dict(start.unet.state_dict())
        mean, std = list(start.config.band_mean), list(start.config.band_std)
    else:
        mean, std = band_statistics(examples)
    pipeline = CompactPipeline(unet, build_scheduler(), mean, std)
    plan = Plan(
        settings.steps,
        settings.learning_rate,
        settings.weight_decay,
        settings.ema,
        settings.seed,
        settings.warmup,
        seasoned=start is not None,
    )
    averaged = train_resumably(
        unet,
        lambda rng: _step_loss(pipeline, rng, examples, settings, device),
        plan,
        checkpoint,
        watch=watch or Watch(),
        keep={"band_mean": mean, "band_std": std, "settings": asdict(settings)},
    )
    # What the model does by itself need not be asked of it again.
    guidance = 1.0 if settings.guidance > 1 else 2.5
    return CompactPipeline(averaged, build_scheduler(), mean, std, default_guidance=guidance)


def fit_lift(
    pipeline: CompactPipeline,
    examples: Sequence[Example],
    *,
    level: float = 0.4,
    check: Callable[[], None] = lambda: None,
) -> Lift:
    """The lift for what this model draws, from the real frames; of 120 and more from 60 to 119.

    ``check`` is called before each, and may raise to stop. Raises ``ValueError`` where they have
    no more detail than the canvas shows.
    """
    rng = np.random.default_rng(0)
    chosen = examples[:: max(len(examples) // 60, 1)]
    canvases = []
    for seed, example in enumerate(chosen):
        check()
        image, ellipse = augment(rng, NONE, example.image, example.ellipse, CANVAS)
        condition = Condition(ellipse, sector_mask(image), example.style)
        canvases.append(pipeline.redraw([condition], _to_unit(image[None]), [seed], level)[0])
    return Lift.fit([e.image for e in chosen], canvases)


def band_statistics(examples: Sequence[Example]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each band over the frames; of 400 and more over 200 to 399."""
    rng = np.random.default_rng(0)
    images = [
        augment(rng, NONE, e.image, e.ellipse, CANVAS)[0]
        for e in examples[:: max(len(examples) // 200, 1)]
    ]
    bands = to_bands(_to_unit(np.stack(images)))
    mean, std = bands.mean((0, 2, 3)), bands.std((0, 2, 3))
    return mean.tolist(), std.clamp(min=1e-3).tolist()


def _step_loss(
    pipeline: CompactPipeline,
    rng: np.random.Generator,
    examples: Sequence[Example],
    settings: TrainSettings,
    device: torch.device,
) -> Tensor:
    images, conditions = [], []
    for index in rng.integers(0, len(examples), settings.batch):
        image, condition = _draw(rng, examples[index], settings)
        images.append(image)
        conditions.append(condition)
    clean = pipeline.encode(_to_unit(np.stack(images)).to(device))
    noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(device)
    logits = rng.normal(settings.level_mean, settings.level_std, len(images)).astype(np.float32)
    level = torch.from_numpy(logits).sigmoid().to(device)
    noisy = torch.lerp(clean, noise, level.view(-1, 1, 1, 1))
    with autocast(device):
        velocity = pipeline.velocity(noisy, *condition_tensors(conditions, device), level)
        guided = [i for i, c in enumerate(conditions) if c.ellipse is not None]
        pull = _guidance_pull(pipeline, noisy, level, conditions, velocity, guided, settings)
    target = noise - clean
    target[guided] += pull
    weights = torch.tensor(pipeline.config.band_std, device=device) ** settings.band_weighting
    weights = (weights / weights.mean()).view(1, -1, 1, 1)
    return (weights * (velocity - target).square()).mean()


@torch.no_grad()
def _guidance_pull(
    pipeline: CompactPipeline,
    noisy: Tensor,
    level: Tensor,
    conditions: Sequence[Condition],
    velocity: Tensor,
    guided: list[int],
    settings: TrainSettings,
) -> Tensor:
    """What is added to the targets of the ``guided`` frames for the guidance to be learnt.

    A target of v + m (own - free), with the model's own answers with and without the ellipse, has
    its fixed point at free + (v - free) / (1 - m): sampled with one evaluation a step, that is the
    guidance 1 / (1 - m) (model guidance, Tang et al. 2025, arXiv 2502.12154).
    """
    share = 1 - 1 / settings.guidance
    low, high = settings.guidance_interval
    if not guided or not share:
        return torch.zeros_like(noisy[guided])
    within = ((level >= low) & (level <= high)).float()[guided].view(-1, 1, 1, 1)
    free = [replace(conditions[i], ellipse=None, style="any") for i in guided]
    tensors = condition_tensors(free, noisy.device)
    unguided = pipeline.velocity(noisy[guided], *tensors, level[guided])
    return share * within * (velocity[guided] - unguided)


def _draw(
    rng: np.random.Generator, example: Example, settings: TrainSettings
) -> tuple[NDArray[np.uint8], Condition]:
    wide = rng.random() < settings.wide
    kind = WIDE if wide else settings.augmentation
    image, ellipse = augment(rng, kind, example.image, example.ellipse, CANVAS)
    condition = Condition(ellipse, sector_mask(image), example.style)
    # Without a sector a sample shall have a plain one.
    if not wide and rng.random() < settings.drop_sector:
        condition = replace(condition, sector=None)
    if rng.random() < settings.drop_ellipse:
        condition = replace(condition, ellipse=None, style="any")
    elif rng.random() < settings.drop_style:
        condition = replace(condition, style="any")
    return image, condition


def _to_unit(images: NDArray[np.uint8]) -> Tensor:
    """(B, H, W) uint8 to (B, 1, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1
