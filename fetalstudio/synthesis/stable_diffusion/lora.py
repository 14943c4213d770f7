"""The low-rank adapter (Hu et al. 2021), the wider first layer, and their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.formats.files import write_bytes
from fetalstudio.synthesis.stable_diffusion.settings import LORA_TARGETS

LORA_FILE = "lora.safetensors"
CONV_IN_FILE = "conv_in.safetensors"
_CONDITION_CHANNELS = 4
"""Channels of the condition's latents, in addition to the four of the noisy latents."""
_ADAPTER = "default"


def add_lora(unet: UNet2DConditionModel, rank: int, alpha: int) -> None:
    """Insert a float32 adapter that changes nothing yet. All other weights are frozen."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(LORA_TARGETS)
    )
    inject_adapter_in_model(config, unet, adapter_name=_ADAPTER)
    for parameter in trained(unet):
        parameter.data = parameter.data.float()


def widen_conv_in(unet: UNet2DConditionModel) -> None:
    """Widen the first layer for the condition's latents, with zero weights that change nothing.

    The whole layer is then trained in float32.
    """
    old = unet.conv_in
    wide = nn.Conv2d(
        old.in_channels + _CONDITION_CHANNELS,
        old.out_channels,
        kernel_size=old.kernel_size,
        padding=old.padding,
        device=old.weight.device,
    )
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : old.in_channels] = old.weight
    wide.bias = nn.Parameter(old.bias.detach().float())
    unet.conv_in = wide
    unet.register_to_config(in_channels=wide.in_channels)


def trained(unet: nn.Module) -> list[nn.Parameter]:
    """The parameters that a training changes, always in the same order."""
    return [p for p in unet.parameters() if p.requires_grad]


def set_scale(unet: nn.Module, scale: float) -> None:
    """Set the strength of the adapter. 1 is as trained; the paper samples with 0.9."""
    module: Any
    for module in unet.modules():
        if hasattr(module, "lora_A"):
            module.set_scale(_ADAPTER, scale)


def save_adapter(unet: UNet2DConditionModel, folder: Path) -> None:
    """Write the LoRA in the format of diffusers, and the wider layer beside it."""
    lora = {
        f"unet.{name.replace(f'.{_ADAPTER}.', '.')}": parameter.detach().cpu().contiguous()
        for name, parameter in unet.named_parameters()
        if ".lora_" in name
    }
    _write(lora, folder / LORA_FILE)
    if unet.conv_in.in_channels > 4:
        layer = {k: v.detach().cpu().contiguous() for k, v in unet.conv_in.state_dict().items()}
        _write(layer, folder / CONV_IN_FILE)


def load_adapter(unet: UNet2DConditionModel, path: Path, alpha: int | None = None) -> None:
    """Insert the LoRA of a file. Raises :class:`InputError` if it does not fit this model.

    Reads the names of peft and the older ones of diffusers (``to_q.lora.down``). ``alpha``
    defaults to the rank.
    """
    weights = {_name(key): value for key, value in _read(path).items()}
    downs = [value for key, value in weights.items() if ".lora_A." in key]
    if not downs:
        raise InputError(
            f"{path} holds no LoRA for the UNet of Stable Diffusion. Replace it by an intact copy, "
            "or adapt the model again."
        )
    rank = downs[0].shape[0]
    add_lora(unet, rank, alpha or rank)
    own = {n: p for n, p in unet.named_parameters() if ".lora_" in n}
    if set(own) != set(weights) or any(own[k].shape != weights[k].shape for k in own):
        odd = min(set(own) ^ set(weights), default="shapes")
        raise InputError(
            f"{path} does not fit this Stable Diffusion ({odd}). Add the Stable Diffusion that it "
            "was trained from, or adapt the model again."
        )
    with torch.no_grad():
        for key, parameter in own.items():
            parameter.copy_(weights[key])
    unet.requires_grad_(False)


def load_conv_in(unet: UNet2DConditionModel, path: Path) -> None:
    """Widen the first layer and fill it from a file. Raises :class:`InputError`."""
    widen_conv_in(unet)
    try:
        unet.conv_in.load_state_dict(_read(path))
    except RuntimeError as error:
        raise InputError(
            f"{path} does not fit this Stable Diffusion: {error}. Add the Stable Diffusion that it "
            "was trained from, or adapt the model again."
        ) from error
    unet.requires_grad_(False)


def whole_parts() -> str:
    """Build a tiny denoiser with an adapter and a tiny text encoder; returns the versions used.

    Raises ImportError, and any error that an incomplete package raises.
    """
    import peft
    import transformers

    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8,),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        cross_attention_dim=8,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    add_lora(unet, 2, 2)
    config = transformers.CLIPTextConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        bos_token_id=0,
        eos_token_id=1,
    )
    words = transformers.CLIPTextModel(config)(torch.ones(1, 4, dtype=torch.long))[0]
    unet(torch.zeros(1, 4, 8, 8), 1, words)
    tokens = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    transformers.CLIPTokenizer(vocab=tokens, merges=[])("a")
    return f"transformers {transformers.__version__}, peft {peft.__version__}"


def _name(key: str) -> str:
    key = key.removeprefix("unet.").replace(".lora.down.", ".lora_A.")
    key = key.replace(".lora.up.", ".lora_B.")
    for part in ("lora_A", "lora_B"):
        key = key.replace(f".{part}.weight", f".{part}.{_ADAPTER}.weight")
    return key


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Any] = load_file(path)
        return weights
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{path} cannot be read ({error}). Replace it by an intact copy, or adapt the model "
            "again."
        ) from error


def _write(weights: dict[str, Tensor], path: Path) -> None:
    # As bytes, because safetensors reports a full disk in words that no person understands.
    write_bytes(path, save(weights))
