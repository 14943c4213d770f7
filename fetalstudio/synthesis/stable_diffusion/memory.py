"""How much memory is there, how much is needed, and what to do when it was not enough."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from fetalstudio.core.errors import InputError, UserError
from fetalstudio.synthesis.stable_diffusion.loading import Parts

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Preset:
    """A way to compute, from fast and large to slow and small."""

    name: str
    half: bool
    """16-bit weights."""
    batch: int
    """Pictures at a time."""
    sliced: bool
    """The two branches of the guidance are asked one after the other; a training recomputes what it
    would otherwise remember (gradient checkpointing)."""
    offload: bool
    """Text encoder and autoencoder are on the device only while they work."""

    def dtype(self, device: torch.device, *, training: bool = False) -> torch.dtype:
        """Of the frozen weights. bfloat16 in training: float16 would lose small gradients."""
        if not self.half:
            return torch.float32
        if device.type != "cpu" and not training:
            return torch.float16
        return torch.bfloat16


def presets(device: torch.device) -> tuple[Preset, ...]:
    """The largest first. A CPU computes slower with 16 bits, so there they are the last resort."""
    quick = device.type != "cpu"
    return (
        Preset("large", half=quick, batch=4, sliced=False, offload=False),
        Preset("medium", half=quick, batch=1, sliced=False, offload=quick),
        Preset("small", half=True, batch=1, sliced=True, offload=quick),
    )


PRESETS = ("large", "medium", "small")


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the GPU, or of the machine; None where the system does not say."""
    if device.type == "cuda":
        # What an earlier job of this process has let go of counts as free, but is still held.
        gc.collect()
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    if sys.platform == "linux":
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def room_for(parts: Parts, device: torch.device) -> int | None:
    """What :func:`needed_bytes` may be: free memory, on a CPU with what the model has of it."""
    free = free_bytes(device)
    if free is None or device.type != "cpu":
        return free
    modules = (parts.unet, parts.vae, parts.text_encoder)
    held = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    return free + held


def check_room_to_load(count: int) -> None:
    """Raise :class:`UserError` where weights of ``count`` bytes do not fit into the main memory."""
    free = free_bytes(torch.device("cpu"))
    if free is not None and free < count:
        raise UserError(
            f"Loading Stable Diffusion takes {count / 1e9:.1f} GB of memory, and {free / 1e9:.1f} "
            "GB are free. Close other programs, or use the built-in synthesizer 'compact'."
        )


def needed_bytes(
    parts: Parts, preset: Preset, device: torch.device, *, batch: int = 1, trained: int = 0
) -> int:
    """An estimate, of the right order: weights, and what a step holds beside them.

    ``trained`` is the number of trained parameters, 0 for sampling (then ``preset.batch`` counts
    and not ``batch``). A step's share is scaled from Stable Diffusion 1.5 at 512 px: about 1.2 GB a
    guided picture in 16 bits, and 5 GB a picture in a training that remembers everything.
    """
    size = preset.dtype(device, training=trained > 0).itemsize
    unet, vae, text = (
        sum(p.numel() for p in module.parameters()) * size
        for module in (parts.unet, parts.vae, parts.text_encoder)
    )
    # A training has dropped the other two before its first step.
    beside = max(vae, text) if preset.offload or trained else vae + text
    share = (parts.side / 512) ** 2 * parts.unet.config.block_out_channels[0] / 320 * size / 2
    if trained:
        # In float32: the parameter, its gradient, two moments, the average.
        step = trained * 20 + share * batch * (1.5e9 if preset.sliced else 5e9)
        return int(max(unet + step, unet + beside))
    return int(unet + beside + share * preset.batch * (0.7e9 if preset.sliced else 1.2e9))


def choose(
    asked: str,
    needs: Sequence[tuple[Preset, int]],
    free: int | None,
    device: torch.device,
) -> list[Preset]:
    """The preset to use, followed by those to fall back on.

    ``asked`` is a preset's name, or ``auto`` for the largest that fits. Raises :class:`InputError`
    where it does not fit, naming a smaller one that does, :class:`UserError` where none does.
    """
    fitting = [preset.name for preset, need in needs if free is None or need <= free]
    names = [preset.name for preset, _ in needs]
    where = "of the GPU" if device.type == "cuda" else "of memory"
    if asked != "auto" and asked not in names:
        raise InputError(
            f"There is no memory preset {asked!r}; there are auto, {', '.join(names)}."
        )
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
    """``work`` with the first preset, and with the next smaller one when memory runs out.

    ``work`` begins anew each time. Raises :class:`UserError` when the last one ran out too.
    """
    for i, preset in enumerate(ways):
        try:
            return work(preset)
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        # Outside the handler: the error's traceback holds on to the tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if i + 1 < len(ways):
            warn(
                f"Memory ran out with the preset '{preset.name}'; going on with "
                f"'{ways[i + 1].name}', which is slower."
            )
    raise UserError(
        f"Memory ran out for Stable Diffusion even with the preset '{ways[-1].name}'. Close other "
        "programs, or use the built-in synthesizer 'compact'."
    )


def _is_out_of_memory(error: Exception) -> bool:
    # On a CPU torch raises a plain RuntimeError that names its allocator.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )
