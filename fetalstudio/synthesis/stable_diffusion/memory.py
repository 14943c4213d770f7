"""How much memory is free, how much is needed, and what to do if it runs out."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from fetalstudio.core.errors import InputError, UserError, is_out_of_memory
from fetalstudio.synthesis.stable_diffusion.loading import Parts

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to compute; presets range from fast and large to slow and small."""

    name: str
    half: bool
    """Whether weights have 16 bits."""
    batch: int
    """Images at a time."""
    sliced: bool
    """Whether the two branches of the guidance are computed one after the other, and whether a
    training uses gradient checkpointing."""
    offload: bool
    """Whether text encoder and autoencoder are on the device only while they work."""

    def dtype(self, device: torch.device, *, training: bool = False) -> torch.dtype:
        """The dtype of frozen weights; bfloat16 in training, as float16 loses small gradients."""
        if not self.half:
            return torch.float32
        if device.type != "cpu" and not training:
            return torch.float16
        return torch.bfloat16


def presets(device: torch.device) -> tuple[Preset, ...]:
    """The presets, the largest first. 16 bits are slow on a CPU, and the last resort there."""
    quick = device.type != "cpu"
    return (
        Preset("large", half=quick, batch=4, sliced=False, offload=False),
        Preset("medium", half=quick, batch=1, sliced=False, offload=quick),
        Preset("small", half=True, batch=1, sliced=True, offload=quick),
    )


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the GPU or the machine in bytes; None if the system does not report it."""
    if device.type == "cuda":
        # Memory that an earlier job of this process has freed is still held by the allocator.
        gc.collect()
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    if sys.platform == "linux":
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def room_for(parts: Parts, device: torch.device) -> int | None:
    """The limit for :func:`needed_bytes`: free memory, plus, on a CPU, that of the model."""
    free = free_bytes(device)
    if free is None or device.type != "cpu":
        return free
    modules = (parts.unet, parts.vae, parts.text_encoder)
    held = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    return free + held


def check_room_to_load(count: int) -> None:
    """Raise :class:`UserError` if weights of ``count`` bytes do not fit into the main memory."""
    free = free_bytes(torch.device("cpu"))
    if free is not None and free < count:
        raise UserError(
            f"Loading Stable Diffusion takes {count / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free. Close other programs, or use the built-in synthesizer 'compact'."
        )


def needed_bytes(
    parts: Parts, preset: Preset, device: torch.device, *, batch: int = 1, trained: int = 0
) -> int:
    """A rough estimate of the memory for the weights and for one step.

    ``trained`` is the number of trained parameters, 0 for sampling (then ``preset.batch`` counts
    and not ``batch``). A step's share is scaled from Stable Diffusion 1.5 at 512 px: about 1.2 GB
    per guided image in 16 bits, and 5 GB per image in training without gradient checkpointing.
    """
    size = preset.dtype(device, training=trained > 0).itemsize
    unet, vae, text = (
        sum(p.numel() for p in module.parameters()) * size
        for module in (parts.unet, parts.vae, parts.text_encoder)
    )
    # Before the steps, the autoencoder encodes in float32.
    wide = vae * 4 // size
    # A training drops the other two parts before its first step.
    apart = preset.offload or trained > 0
    beside, encoding = (max(vae, text), max(wide, text)) if apart else (vae + text, wide + text)
    share = (parts.side / 512) ** 2 * parts.unet.config.block_out_channels[0] / 320 * size / 2
    if trained:
        # In float32: the parameter, its gradient, two moments, the average.
        step = trained * 20 + share * batch * (1.5e9 if preset.sliced else 5e9)
        return int(unet + max(step, encoding))
    step = beside + share * preset.batch * (0.7e9 if preset.sliced else 1.2e9)
    return int(unet + max(step, encoding))


def choose(
    asked: str,
    needs: Sequence[tuple[Preset, int]],
    free: int | None,
    device: torch.device,
) -> list[Preset]:
    """The preset to use, followed by those to fall back on.

    ``asked`` is a preset's name, or ``auto`` for the largest that fits. Raises :class:`InputError`
    if it does not fit, naming a smaller one that does, and :class:`UserError` if none does.
    """
    fitting = [preset.name for preset, need in needs if free is None or need <= free]
    names = [preset.name for preset, _ in needs]
    where = "of the GPU" if device.type == "cuda" else "of memory"
    if asked != "auto" and asked not in names:
        raise InputError(f"There is no memory preset {asked!r}. Choose auto, {', '.join(names)}.")
    if not fitting:
        least = min(need for _, need in needs)
        raise UserError(
            f"Stable Diffusion needs about {least / 1e9:.1f} GB {where} at the preset "
            f"'{names[-1]}', and {(free or 0) / 1e9:.1f} GB are free. Close other programs, or use "
            "the built-in synthesizer 'compact'."
        )
    chosen = fitting[0] if asked == "auto" else asked
    if chosen not in fitting:
        need = dict(zip(names, (n for _, n in needs), strict=True))[chosen]
        raise InputError(
            f"Stable Diffusion needs about {need / 1e9:.1f} GB {where} at the preset '{chosen}', "
            f"and {(free or 0) / 1e9:.1f} GB are free. Choose the preset '{fitting[0]}' instead."
        )
    return [preset for preset, _ in needs[names.index(chosen) :]]


def falling_back(
    ways: Sequence[Preset],
    work: Callable[[Preset], Result],
    warn: Callable[[str], None],
) -> Result:
    """Call ``work`` with the first preset, and with the next smaller one if memory runs out.

    ``work`` starts again each time. Raises :class:`UserError` if memory runs out with the last one.
    """
    for i, preset in enumerate(ways):
        try:
            return work(preset)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, because the error's traceback keeps the tensors alive.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if i + 1 < len(ways):
            warn(
                f"Memory ran out with the preset '{preset.name}'. The preset "
                f"'{ways[i + 1].name}', which is slower, is used instead."
            )
    raise UserError(
        f"Memory ran out for Stable Diffusion even with the preset '{ways[-1].name}'. Close other "
        "programs, or use the built-in synthesizer 'compact'."
    )
