"""The paper's sampler: UniPC (Zhao et al. 2023) with guidance, reproducible by its seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UniPCMultistepScheduler
from torch import Tensor, nn

from fetalstudio.synthesis.stable_diffusion.canvas import RgbImage, to_pictures, to_tensor
from fetalstudio.synthesis.stable_diffusion.loading import Parts, token_ids

OnStep = Callable[[int, int, Callable[[], RgbImage]], None]
"""Called with (steps done, steps, a function that renders the first image so far)."""


@torch.inference_mode()
def embed(parts: Parts, prompts: Sequence[str], device: torch.device) -> Tensor:
    """The output of the text encoder, (B, 77, features), on the CPU."""
    parts.text_encoder.to(device)
    ids = token_ids(parts.tokenizer, prompts).to(device)
    hidden: Tensor = parts.text_encoder(ids)[0]
    return hidden.cpu()


@torch.inference_mode()
def encode(vae: AutoencoderKL, images: Sequence[RgbImage], device: torch.device) -> Tensor:
    """Mean and standard deviation of the latents, scaled, (B, 8, h, w) float32 on the CPU.

    Computed in float32, in which the autoencoder of Stable Diffusion 1.5 does not overflow as it
    does in float16; its weights have their own precision again afterwards. Raises
    ``OverflowError`` if the latents are not finite all the same.
    """
    dtype = vae.dtype
    nn.Module.to(vae, device, torch.float32)
    try:
        parts = []
        for image in images:  # one at a time: the autoencoder is the largest consumer of memory
            answer = vae.encode(to_tensor([image]).to(device)).latent_dist
            parts.append(_finite(torch.cat([answer.mean, answer.std], dim=1)).cpu())
    finally:
        nn.Module.to(vae, dtype)
    return torch.cat(parts) * vae.config.scaling_factor


@torch.inference_mode()
def decode(vae: AutoencoderKL, latents: Tensor) -> list[RgbImage]:
    """The images of scaled latents, (B, 4, h, w), one at a time. Raises ``OverflowError``."""
    vae.to(latents.device)
    scaled = latents.to(vae.dtype) / vae.config.scaling_factor
    return [to_pictures(_finite(vae.decode(one[None]).sample))[0] for one in scaled]


@torch.inference_mode()
def sample(
    unet: UNet2DConditionModel,
    vae: AutoencoderKL,
    schedule: Mapping[str, Any],
    asked: Tensor,
    free: Tensor,
    condition: Tensor | None,
    seeds: Sequence[int],
    *,
    steps: int,
    guidance: float,
    apart: bool = False,
    on_step: OnStep | None = None,
) -> Tensor:
    """Clean latents, (B, 4, h, w), on the device of ``unet``.

    ``asked`` (B, 77, f) and ``free`` (1, 77, f) embed the prompts and the empty one. ``condition``
    (B, 4, h, w) are the latents of the drawn ellipse, which the unguided branch does not get.
    ``apart`` computes the guided and the unguided branch one after the other, which takes half the
    memory. ``on_step`` may raise to stop: latents that are not finished are then never decoded or
    returned. The noise of each image is drawn on the CPU by its own seed, so it does not depend on
    batch or device. Raises ``OverflowError`` if float16 is not sufficient (GTX 16xx).
    """
    parameter = next(unet.parameters())
    device, dtype = parameter.device, parameter.dtype
    scheduler = UniPCMultistepScheduler.from_config(dict(schedule))
    scheduler.set_timesteps(steps, device=device)
    cells = unet.config.sample_size
    noise = [torch.randn(4, cells, cells, generator=_seeded(seed)) for seed in seeds]
    latents = torch.stack(noise).to(device) * scheduler.init_noise_sigma
    text = torch.cat([free.expand_as(asked), asked]).to(device, dtype)
    given = None
    if condition is not None:
        given = torch.cat([torch.zeros_like(condition), condition]).to(device)
    guided = guidance != 1
    for i, t in enumerate(scheduler.timesteps):
        count = 2 if guided else 1
        inputs = scheduler.scale_model_input(torch.cat([latents] * count), t)
        if given is not None:
            inputs = torch.cat([inputs, given[-len(inputs) :]], dim=1)
        words = text[-len(inputs) :]
        parts = zip(inputs.split(len(latents)), words.split(len(latents)), strict=True)
        answer = torch.cat(
            [
                unet(some.to(dtype), t, encoder_hidden_states=theirs).sample.float()
                for some, theirs in (parts if apart else [(inputs, words)])
            ]
        )
        if guided:
            unasked, answer = answer.chunk(2)
            answer = unasked + guidance * (answer - unasked)

        def preview(now: Tensor = latents, answer: Tensor = answer, t: Tensor = t) -> RgbImage:
            return decode(vae, _clean(scheduler, now[:1], answer[:1], t))[0]

        latents = scheduler.step(answer, t, latents).prev_sample
        if on_step is not None:
            on_step(i + 1, steps, preview)
    return _finite(latents)


def _finite(tensor: Tensor) -> Tensor:
    if not torch.isfinite(tensor).all():
        raise OverflowError("an image or its latents have values that are not finite")
    return tensor


def _clean(scheduler: UniPCMultistepScheduler, noisy: Tensor, answer: Tensor, t: Tensor) -> Tensor:
    """The latents that the model expects at the end (Ho et al. 2020; for v Salimans 2022)."""
    kept = scheduler.alphas_cumprod[t.long().cpu()].to(noisy.device)
    if scheduler.config.prediction_type == "v_prediction":
        return kept.sqrt() * noisy - (1 - kept).sqrt() * answer
    return (noisy - (1 - kept).sqrt() * answer) / kept.sqrt()


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
