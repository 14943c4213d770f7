"""Training the LoRA as in the paper's code and, if conditioned, the wider first layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from torch import Tensor, nn

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.geometry import Affine, warp
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.sector import seen_sector
from fetalstudio.learning import OptimizerSettings, TrainingRun, load_checkpoint, train_resumably
from fetalstudio.synthesis.stable_diffusion import lora, memory, sampling
from fetalstudio.synthesis.stable_diffusion.canvas import (
    RgbImage,
    condition_image,
    to_canvas,
    training_image,
)
from fetalstudio.synthesis.stable_diffusion.loading import Parts
from fetalstudio.synthesis.stable_diffusion.settings import LoraSettings


@dataclass(frozen=True, slots=True)
class Cached:
    """The outputs of the frozen models for the frames, computed once, on the CPU."""

    images: Tensor
    """(N, 8, h, w): mean and standard deviation of the latents."""
    conditions: Tensor | None
    """(N, 2, 4, h, w): latents of the drawn ellipses, with the frame's sector and without."""
    prompts: Tensor
    """(P, 77, f), the empty prompt first."""
    prompt_of: tuple[int, ...]
    """The index of each image's prompt. Mirrored frames count as images of their own."""


def train_lora(
    parts: Parts,
    examples: Sequence[LabelledFrame],
    settings: LoraSettings,
    run: TrainingRun,
    *,
    data: str = "",
    memory_preset: str = "auto",
    progress: Progress = NO_PROGRESS,
    warn: Callable[[str], None] = lambda message: None,
) -> UNet2DConditionModel:
    """Train, or resume. Returns ``parts.unet`` with its adapter.

    ``parts`` cannot be used again: the text encoder and the autoencoder are dropped once the frames
    are encoded. ``data`` identifies the frames and the base; a resumed training must have the same.
    ``progress`` follows the encoding of the frames. Raises :class:`InputError` for a checkpoint of
    other settings or data, or if memory is not sufficient.
    """
    kept = {"settings": _comparable(settings), "data": data}
    if (begun := load_checkpoint(run.checkpoint)) is not None:
        for key, words in (("settings", "settings"), ("data", "frames, ellipses or weights")):
            if begun[key] != kept[key]:
                raise InputError(
                    f"The training whose checkpoint is {run.checkpoint} was started with other "
                    f"{words}. Start a new training under another name."
                )
    del begun
    unet, device = parts.unet, run.device
    torch.manual_seed(settings.seed)
    lora.add_lora(unet, settings.rank, settings.alpha)
    if settings.mode == "conditioned":
        lora.widen_conv_in(unet)
    adapter = nn.ParameterList(lora.trained(unet))
    count = sum(p.numel() for p in adapter)
    ways = [
        (way, memory.needed_bytes(parts, way, device, batch=settings.batch, trained=count))
        for way in memory.presets(device)
    ]
    chosen, *smaller = memory.choose(memory_preset, ways, memory.room_for(parts, device), device)
    # Other presets differ only in sampling, so a training would run out of memory again.
    usable = [chosen, *(way for way in smaller if way.sliced)]
    cached = _cache(parts, examples, settings, device, progress)
    schedule = DDPMScheduler.from_config(dict(parts.scheduler))
    # Constant rate and no average, as in the paper's code: the last step is the result.
    optimizer = OptimizerSettings(
        settings.steps,
        settings.learning_rate,
        settings.weight_decay,
        ema=0.0,
        seed=settings.seed,
        warmup=0,
        plateau=1.0,
    )

    def work(preset: memory.Preset) -> nn.Module:
        _settle(unet, preset, device)
        for parameter in adapter:
            parameter.grad = None
        return train_resumably(
            adapter,
            lambda rng: rng,  # drawing from the cache takes no time
            lambda rng: step_loss(unet, schedule, cached, settings, rng),
            optimizer,
            run,
            keep=kept,
        )

    memory.falling_back(usable, work, warn)
    return unet.requires_grad_(False).eval()


def step_loss(
    unet: UNet2DConditionModel,
    schedule: DDPMScheduler,
    cached: Cached,
    settings: LoraSettings,
    rng: np.random.Generator,
) -> Tensor:
    """Mean squared error of the predicted noise (or v) on a batch drawn by ``rng``."""
    device = next(unet.parameters()).device
    index = rng.integers(0, len(cached.images), settings.batch)
    mean, std = cached.images[index].chunk(2, dim=1)
    clean = mean if settings.latents == "mean" else mean + std * _normal(rng, mean)
    noise = _normal(rng, clean)
    times = torch.from_numpy(rng.integers(0, schedule.config.num_train_timesteps, len(index)))
    noisy = schedule.add_noise(clean, noise, times)
    dropped = torch.from_numpy(rng.random(len(index)) < settings.caption_dropout)
    prompt = torch.tensor([cached.prompt_of[i] for i in index])
    text = cached.prompts[torch.where(dropped, torch.zeros_like(prompt), prompt)]
    if cached.conditions is not None:
        blind = rng.random(len(index)) < settings.sector_dropout
        given = cached.conditions[index, blind.astype(int)]
        given = torch.where(dropped[:, None, None, None], torch.zeros_like(given), given)
        noisy = torch.cat([noisy, given], dim=1)
    target = noise
    if schedule.config.prediction_type == "v_prediction":
        target = schedule.get_velocity(clean, noise, times)
    dtype = unet.mid_block.resnets[0].conv1.weight.dtype
    half = dtype != torch.float32
    with torch.autocast(device.type, dtype if half else torch.bfloat16, enabled=half):
        answer = unet(
            noisy.to(device), times.to(device), encoder_hidden_states=text.to(device, dtype)
        ).sample
    return nn.functional.mse_loss(answer.float(), target.to(device))


def scene_condition(
    ellipse: Ellipse, reference: np.ndarray | None, there: Affine, side: int, width: float
) -> RgbImage:
    """The condition image of one scene. ``reference`` lends its sector."""
    sector = None
    if reference is not None:
        sector = seen_sector(warp(reference, there, (side, side)).astype(np.uint8))
    return condition_image(ellipse.transformed(there), sector, side, width)


def _cache(
    parts: Parts,
    examples: Sequence[LabelledFrame],
    settings: LoraSettings,
    device: torch.device,
    progress: Progress,
) -> Cached:
    """Encode the frames and the prompts, then drop the models that did."""
    styles = sorted({example.style for example in examples})
    texts = ["", *(settings.prompt(style) for style in styles)]
    if settings.flip:
        examples = [*examples, *(_mirrored(example) for example in examples)]
    prompts = sampling.embed(parts, texts, device)
    images, conditions = [], []

    def encoded(pictures: Sequence[RgbImage], name: str) -> Tensor:
        try:
            return sampling.encode(parts.vae, pictures, device)
        except OverflowError as error:
            raise UserError(
                f"The latents of the frame {name} are not numbers, so the autoencoder of the base "
                "is damaged. Replace the weights of the base by an intact copy."
            ) from error

    for done, example in enumerate(examples, 1):
        frame, side = example.image, parts.side
        image = training_image(frame, example.ellipse, side, settings)
        images.append(encoded([image], example.name))
        if settings.mode == "conditioned":
            there = to_canvas((frame.shape[1], frame.shape[0]), side, settings.placement)
            given = [
                scene_condition(example.ellipse, sector_of, there, side, settings.outline_width)
                for sector_of in (frame, None)
            ]
            conditions.append(encoded(given, example.name)[:, :4])
        progress.advance(done, len(examples))
    del parts.vae, parts.text_encoder
    return Cached(
        torch.cat(images),
        torch.stack(conditions) if conditions else None,
        prompts.float(),
        tuple(1 + styles.index(example.style) for example in examples),
    )


def _mirrored(frame: LabelledFrame) -> LabelledFrame:
    ellipse = frame.ellipse.transformed(Affine(xx=-1, x0=frame.size[0] - 1))
    return frame.redrawn(np.ascontiguousarray(frame.image[:, ::-1]), ellipse)


def _settle(unet: UNet2DConditionModel, preset: memory.Preset, device: torch.device) -> None:
    """Convert the frozen weights for the preset. Trained weights stay in float32."""
    dtype = preset.dtype(device, training=True)
    unet.to(device).train()
    for parameter in unet.parameters():
        if not parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    if preset.sliced:
        unet.enable_gradient_checkpointing()


def _comparable(settings: LoraSettings) -> Mapping[str, Any]:
    """The settings without the steps, which may be increased."""
    return {k: v for k, v in settings.plain().items() if k != "steps"}


def _normal(rng: np.random.Generator, like: Tensor) -> Tensor:
    return torch.from_numpy(rng.standard_normal(tuple(like.shape), dtype=np.float32))
