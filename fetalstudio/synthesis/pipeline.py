"""The compact synthesizer as a diffusers pipeline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, DPMSolverMultistepScheduler, UNet2DModel
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio.synthesis.bands import BANDS, FACTOR, from_bands, to_bands
from fetalstudio.synthesis.conditions import (
    CANVAS,
    CHANNELS,
    GRID,
    STYLES,
    Condition,
    condition_tensors,
)

_TIMESTEPS = 1000
"""The denoiser expects times of 0 to 1000; noise levels are 0 to 1."""
StepCallback = Callable[[DiffusionPipeline, int, Tensor, dict[str, Tensor]], dict[str, Any]]


def build_unet(widths: Sequence[int] = (48, 96, 144, 192)) -> UNet2DModel:
    """An untrained denoiser on the 16 x 64 x 96 band grid, attention at the lowest level only."""
    lower = len(widths) - 1
    unet = UNet2DModel(
        sample_size=(GRID[1], GRID[0]),
        in_channels=BANDS + CHANNELS,
        out_channels=BANDS,
        block_out_channels=tuple(widths),
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * lower + ("AttnDownBlock2D",),
        up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * lower,
        norm_num_groups=8,
        attention_head_dim=32,
        num_class_embeds=len(STYLES),
    )
    return unet.to(memory_format=torch.channels_last)


SAMPLER = "DPM-Solver++"
"""What the scheduler is called in a picture's provenance."""


def build_scheduler(shift: float = 2.0) -> DPMSolverMultistepScheduler:
    """DPM-Solver++ of second order along the straight paths of flow matching.

    A ``shift`` above 1 spends more steps on high noise levels, which decide the place of the head
    and the contrasts.
    """
    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction",
        use_flow_sigmas=True,
        flow_shift=shift,
        final_sigmas_type="zero",
    )


class CompactPipeline(DiffusionPipeline):
    """Makes an ultrasound image on the 384 x 256 canvas from ellipse, sector and style.

    The model is trained by flow matching. ``band_mean`` and ``band_std`` (16 values each) normalise
    the bands of images in [-1, 1]; without them the bands are not normalised. ``default_steps`` and
    ``default_guidance`` are the best ones for this model.
    """

    def __init__(
        self,
        unet: UNet2DModel,
        scheduler: DPMSolverMultistepScheduler,
        band_mean: list[float] | None = None,
        band_std: list[float] | None = None,
        default_steps: int = 8,
        default_guidance: float = 2.5,
    ) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        # diffusers saves plain values (not modules) only if they have a default.
        self.register_to_config(
            band_mean=band_mean or [0.0] * BANDS,
            band_std=band_std or [1.0] * BANDS,
            default_steps=default_steps,
            default_guidance=default_guidance,
        )
        # Convolutions that are not channels-last take several times as long on a CPU.
        self.unet.to(memory_format=torch.channels_last)
        # Weights from a file are aligned as in the file. If they do not begin on a cache line, a
        # CPU sums in a different order, and the same request would give different last digits.
        for parameter in self.unet.parameters():
            parameter.data = parameter.data.clone()

    to_bands = staticmethod(to_bands)
    from_bands = staticmethod(from_bands)

    def encode(self, images: Tensor) -> Tensor:
        """(B, 1, 256, 384) in [-1, 1] to normalised bands (B, 16, 64, 96)."""
        mean, std = self._statistics(images)
        return (self.to_bands(images) - mean) / std

    def decode(self, bands: Tensor) -> NDArray[np.uint8]:
        """Normalised bands to (B, 256, 384) uint8."""
        mean, std = self._statistics(bands)
        images = self.from_bands(bands.float() * std + mean)[:, 0]
        return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (
            torch.tensor(self.config[key], device=like.device, dtype=torch.float32)
            for key in ("band_mean", "band_std")
        )
        return mean.view(1, BANDS, 1, 1), std.view(1, BANDS, 1, 1)

    @torch.inference_mode()
    def __call__(
        self,
        conditions: Sequence[Condition],
        seeds: Sequence[int],
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_interval: tuple[float, float] = (0.1, 0.95),
        callback_on_step_end: StepCallback | None = None,
    ) -> NDArray[np.uint8]:
        """Sample a batch: (B, 256, 384) uint8.

        Each image has its own seed, so it does not depend on its batch. A ``guidance_scale`` of 1
        is unguided. Above 1 the ellipse is enforced while the noise level (1 = pure noise) is
        within ``guidance_interval``. The callback has the form of diffusers. It may raise to stop,
        and reads ``latents`` (the noisy bands) and ``clean`` (the expected image, as bands). If a
        condition has surroundings, they replace that part of each expected image before the next
        step.
        """
        steps = num_inference_steps or self.config.default_steps
        guidance = self.config.default_guidance if guidance_scale is None else guidance_scale
        if len(seeds) != len(conditions):
            raise ValueError("give one seed for each condition")
        device = self.unet.device
        asked = condition_tensors(conditions, device)
        free = condition_tensors(
            [replace(c, ellipse=None, style="any") for c in conditions], device
        )
        latents = self._noise(seeds).to(device)
        surroundings, made = self._surroundings(conditions)
        self.scheduler.set_timesteps(steps, device=device)
        for i, t in enumerate(self.scheduler.timesteps):
            level = self.scheduler.sigmas[i]
            velocity = self.velocity(latents, *asked, level)
            if guidance != 1 and guidance_interval[0] <= level <= guidance_interval[1]:
                unguided = self.velocity(latents, *free, level)
                velocity = unguided + guidance * (velocity - unguided)
            clean = latents - level * velocity
            clean = torch.lerp(surroundings, clean, made)
            velocity = (latents - clean) / level
            latents = self.scheduler.step(velocity, t, latents).prev_sample
            if callback_on_step_end is not None:
                callback_on_step_end(self, i, t, {"latents": latents, "clean": clean})
        return self.decode(latents)

    @torch.inference_mode()
    def redraw(
        self, conditions: Sequence[Condition], images: Tensor, seeds: Sequence[int], level: float
    ) -> NDArray[np.uint8]:
        """Real canvases (B, 1, 256, 384) in [-1, 1] as this model renders them, (B, 256, 384).

        Noise up to ``level`` is added and removed in two steps. The content stays, with the
        texture of the model.
        """
        device = self.unet.device
        asked = condition_tensors(conditions, device)
        noise = self._noise(seeds).to(device)
        clean = self.encode(images.to(device))
        for share in (level, level / 2):
            now = torch.tensor(share, device=device)
            latents = torch.lerp(clean, noise, now)
            clean = latents - now * self.velocity(latents, *asked, now)
            noise = (latents - (1 - now) * clean) / now
        return self.decode(clean)

    def velocity(self, latents: Tensor, maps: Tensor, labels: Tensor, level: Tensor) -> Tensor:
        """The output of the denoiser, (B, 16, 64, 96) float32: noise minus clean bands.

        ``maps`` and ``labels`` are those of ``conditions.condition_tensors``; ``level`` is the
        noise level, 0 to 1, () or (B,).
        """
        x = torch.cat([latents, maps], dim=1).contiguous(memory_format=torch.channels_last)
        answer: Tensor = self.unet(
            x.to(self.unet.dtype), _TIMESTEPS * level, class_labels=labels
        ).sample
        return answer.float()

    def _surroundings(self, conditions: Sequence[Condition]) -> tuple[Tensor, Tensor]:
        """The bands (B, 16, 64, 96) of the kept tissue, and the model's share (B, 1, 64, 96)."""
        shape = (len(conditions), 1, CANVAS[1], CANVAS[0])
        images, made = torch.zeros(shape), torch.ones(shape)
        for i, condition in enumerate(conditions):
            if (kept := condition.surroundings) is not None:
                images[i, 0] = torch.from_numpy(kept.image).float() / 127.5 - 1
                made[i, 0] = torch.from_numpy(kept.made)
        device = self.unet.device
        share = torch.nn.functional.avg_pool2d(made, FACTOR)
        return self.encode(images.to(device)), share.to(device)

    def _noise(self, seeds: Sequence[int]) -> Tensor:
        """Noise drawn on the CPU, so that a seed gives the same noise on every device."""
        shape = (BANDS, CANVAS[1] // FACTOR, CANVAS[0] // FACTOR)
        return torch.stack(
            [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        )
