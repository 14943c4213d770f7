"""Training the compact synthesizer by flow matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.core.augment import NONE, Augmentation, augment
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.sector import sector_mask
from fetalstudio.learning import (
    OptimizerSettings,
    TrainingRun,
    autocast,
    load_checkpoint,
    train_resumably,
)
from fetalstudio.synthesis.bands import BANDS, to_bands
from fetalstudio.synthesis.conditions import CANVAS, GRID, Condition, condition_tensors
from fetalstudio.synthesis.guidance import PLAIN, Guidance
from fetalstudio.synthesis.lift import Lift
from fetalstudio.synthesis.pipeline import CompactPipeline, build_scheduler, build_unet

VARIED = Augmentation(
    rotation_deg=12, log_scale=0.15, log_aspect=0.04, shift=0.06, flip=True, gamma=0.1, gain=0.1
)
"""Mild, because variations of the training frames show in the samples."""
WIDE = Augmentation(
    rotation_deg=30, log_scale=0.7, log_aspect=0.25, shift=0.3, flip=True, gamma=0.1, gain=0.1
)
"""Strong, for heads that are small, long, turned or cut by the border, which few frames show. The
sector is a condition too, so samples on a usual sector stay usual."""
_LIFT_LEVEL = 0.4
"""The noise with which frames are redrawn to fit a lift: enough to give them the model's own
texture, and too little to move what they show."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that a training depends on besides its data."""

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
    guidance: Guidance = field(default_factory=Guidance)
    """What the model learns to follow by itself, so that sampling needs one evaluation per step
    instead of two. With a plain one it learns the data alone."""
    guidance_interval: tuple[float, float] = (0.1, 0.95)
    """Noise levels within which the guidance is learnt."""
    level_mean: float = 0.7
    level_std: float = 1.3
    """Mean and standard deviation of the logits of noise levels. Neighbouring cells of the coarse
    bands are so similar that levels above 0.9 decide where the head is: they must not be rare."""
    band_weighting: float = 0.5
    """Each band's loss is weighted by its standard deviation to this power. With 0, fifteen
    sixteenths of the loss would be speckle; 2 is the error of the image."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A model whose guided answers another one learns."""

    pipeline: CompactPipeline
    follows: Guidance = PLAIN
    """The guidance that it has learnt to follow itself."""


def train(
    examples: Sequence[LabelledFrame],
    settings: TrainSettings,
    run: TrainingRun,
    *,
    start: CompactPipeline | None = None,
    teacher: Teacher | None = None,
    unlabelled: Sequence[LabelledFrame] = (),
    make: type[CompactPipeline] = CompactPipeline,
) -> CompactPipeline:
    """Train, or resume. Returns a pipeline with the averaged denoiser.

    Training begins with a copy of ``start`` instead of random weights if it is given. With a
    ``teacher``, its guided answers are learnt instead of the frames, which takes far fewer steps.
    Raises ``ValueError`` if the teacher normalises bands differently from ``start``. Half of each
    batch are ``unlabelled`` frames, if there are any: their ellipse and style are not learnt, and
    their ellipse is only kept in the frame when they are varied. ``make`` may be another type of
    pipeline.
    """
    torch.manual_seed(settings.seed)
    unet = build_unet(settings.widths).to(run.device)
    origin = start or (None if teacher is None else teacher.pipeline)
    # A resumed training keeps its normalisation.
    if begun := load_checkpoint(run.checkpoint):
        mean, std = begun["band_mean"], begun["band_std"]
    elif origin is not None:
        mean, std = list(origin.config.band_mean), list(origin.config.band_std)
    else:
        mean, std = band_statistics(examples, make.to_bands)
    if start is not None and not begun:
        unet.load_state_dict(start.unet.state_dict())
    if teacher is not None:
        config = teacher.pipeline.config
        if (config.band_mean, config.band_std) != (mean, std):
            raise ValueError("the teacher was trained on bands normalised in another way")
    pipeline = make(unet, build_scheduler(), mean, std)
    optimizer = OptimizerSettings(
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
        partial(_draw, examples, unlabelled, settings),
        partial(_step_loss, pipeline, settings, teacher),
        optimizer,
        run,
        keep={"band_mean": mean, "band_std": std, "settings": asdict(settings)},
    )
    # A model that learnt the guidance is sampled without it.
    guidance = 2.5 if settings.guidance.plain else 1.0
    return make(averaged, build_scheduler(), mean, std, default_guidance=guidance)


def fit_lift(
    pipeline: CompactPipeline,
    examples: Sequence[LabelledFrame],
    *,
    progress: Progress = NO_PROGRESS,
) -> Lift:
    """Fit the lift for this model to real frames. Of 120 and more frames, 60 to 119 are used.

    ``progress`` is checked before each frame. Raises ``ValueError`` if the frames have no more
    detail than the canvas.
    """
    rng = np.random.default_rng(0)
    chosen = examples[:: max(len(examples) // 60, 1)]
    canvases = []
    for seed, example in enumerate(chosen):
        progress.check()
        image, ellipse = augment(rng, NONE, example.image, example.ellipse, CANVAS)
        condition = Condition(ellipse, sector_mask(image), example.style)
        canvases.append(pipeline.redraw([condition], _to_unit(image[None]), [seed], _LIFT_LEVEL)[0])
    return Lift.fit([e.image for e in chosen], canvases)


def band_statistics(
    examples: Sequence[LabelledFrame], bands_of: Callable[[Tensor], Tensor] = to_bands
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each band. Of 400 and more frames, 200 to 399 are used."""
    rng = np.random.default_rng(0)
    images = [
        augment(rng, NONE, e.image, e.ellipse, CANVAS)[0]
        for e in examples[:: max(len(examples) // 200, 1)]
    ]
    bands = bands_of(_to_unit(np.stack(images)))
    mean, std = bands.mean((0, 2, 3)), bands.std((0, 2, 3))
    return mean.tolist(), std.clamp(min=1e-3).tolist()


@dataclass(frozen=True, slots=True)
class _Batch:
    """The data of one step, on the CPU; conditions as in ``conditions.condition_tensors``."""

    images: Tensor
    """(B, 1, 256, 384) float32 in [-1, 1]."""
    asked: tuple[Tensor, Tensor]
    guided: list[int]
    """Indices of the frames whose ellipse is given."""
    styles: list[str]
    """Their styles, withheld or not."""
    free: tuple[Tensor, Tensor]
    """Their conditions without ellipse and style."""
    noise: Tensor
    """(B, 16, 64, 96)."""
    level: Tensor
    """(B,)."""


def _draw(
    examples: Sequence[LabelledFrame],
    unlabelled: Sequence[LabelledFrame],
    settings: TrainSettings,
    rng: np.random.Generator,
) -> _Batch:
    chosen = [examples[index] for index in rng.integers(0, len(examples), settings.batch)]
    drawn = [_vary(rng, example, settings) for example in chosen]
    for place in range(settings.batch // 2 if unlabelled else 0):
        image, condition = _vary(rng, unlabelled[int(rng.integers(len(unlabelled)))], settings)
        drawn[place] = image, replace(condition, ellipse=None, style="any")
    conditions = [condition for _, condition in drawn]
    noise = rng.standard_normal((len(drawn), BANDS, GRID[1], GRID[0]), dtype=np.float32)
    logits = rng.normal(settings.level_mean, settings.level_std, len(drawn)).astype(np.float32)
    guided = [i for i, c in enumerate(conditions) if c.ellipse is not None]
    free = [replace(conditions[i], ellipse=None, style="any") for i in guided]
    cpu = torch.device("cpu")
    return _Batch(
        _to_unit(np.stack([image for image, _ in drawn])),
        condition_tensors(conditions, cpu),
        guided,
        [chosen[i].style for i in guided],
        condition_tensors(free, cpu) if free else (torch.empty(0), torch.empty(0)),
        torch.from_numpy(noise),
        torch.from_numpy(logits).sigmoid(),
    )


def _step_loss(
    pipeline: CompactPipeline,
    settings: TrainSettings,
    teacher: Teacher | None,
    batch: _Batch,
) -> Tensor:
    device = pipeline.unet.device
    clean, noise = pipeline.encode(batch.images.to(device)), batch.noise.to(device)
    level, (maps, labels) = batch.level.to(device), batch.asked
    maps, labels = maps.to(device), labels.to(device)
    noisy = torch.lerp(clean, noise, level.view(-1, 1, 1, 1))
    with autocast(device):
        velocity = pipeline.velocity(noisy, maps, labels, level)
        if teacher is None:
            target = noise - clean
            share = [1 - 1 / settings.guidance.of(style) for style in batch.styles]
            guide, answer = pipeline, velocity
        else:
            with torch.no_grad():
                target = teacher.pipeline.velocity(noisy, maps, labels, level)
            share = [settings.guidance.of(s) / teacher.follows.of(s) - 1 for s in batch.styles]
            guide, answer = teacher.pipeline, target
        if any(share):
            pull = _guidance_pull(guide, batch, noisy, level, answer, settings)
            target[batch.guided] += torch.tensor(share, device=device).view(-1, 1, 1, 1) * pull
    weights = torch.tensor(pipeline.config.band_std, device=device) ** settings.band_weighting
    weights = (weights / weights.mean()).view(1, -1, 1, 1)
    return (weights * (velocity - target).square()).mean()


@torch.no_grad()
def _guidance_pull(
    pipeline: CompactPipeline,
    batch: _Batch,
    noisy: Tensor,
    level: Tensor,
    velocity: Tensor,
    settings: TrainSettings,
) -> Tensor:
    """The difference of the model's answers with and without the ellipse.

    A share of it is added to the targets of the frames whose ellipse is given. A teacher's answer
    plus g - 1 times the difference is its answer at the guidance g (guided distillation, Meng et
    al. 2023, arXiv 2210.03142); for a teacher that follows the guidance h already, g / h - 1 times
    the difference is. Without a teacher, a target of v + m (own - free), with the model's
    own answers, has its fixed point at free + (v - free) / (1 - m). Sampled with one evaluation per
    step, this is the guidance 1 / (1 - m) (model guidance, Tang et al. 2025, arXiv 2502.12154).
    """
    low, high = settings.guidance_interval
    guided = batch.guided
    within = ((level >= low) & (level <= high)).float()[guided].view(-1, 1, 1, 1)
    maps, labels = (t.to(noisy.device) for t in batch.free)
    unguided = pipeline.velocity(noisy[guided], maps, labels, level[guided])
    return within * (velocity[guided] - unguided)


def _vary(
    rng: np.random.Generator, example: LabelledFrame, settings: TrainSettings
) -> tuple[NDArray[np.uint8], Condition]:
    wide = rng.random() < settings.wide
    kind = WIDE if wide else settings.augmentation
    image, ellipse = augment(rng, kind, example.image, example.ellipse, CANVAS)
    condition = Condition(ellipse, sector_mask(image), example.style)
    # Samples without a given sector shall have a usual one.
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
