"""A Stable Diffusion in one file, as it was published, from one in diffusers' layout."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def write_single_file(folder: Path, path: Path) -> Path:
    """The same weights in one file, under the names that Stable Diffusion was published with."""
    weights: dict[str, torch.Tensor] = {}
    for part, rename, prefix in (
        ("unet", _unet_name, "model.diffusion_model."),
        ("vae", _vae_name, "first_stage_model."),
        ("text_encoder", lambda key: f"text_model.{key}", "cond_stage_model.transformer."),
    ):
        (file,) = (folder / part).glob("*.safetensors")
        for key, value in load_file(file).items():
            name = rename(key)
            # Attention of the autoencoder is published as 1 x 1 convolutions.
            if ".attn_1." in name and value.ndim == 2:
                value = value[:, :, None, None].contiguous()
            weights[prefix + name] = value
    save_file(weights, path)
    return path


_UNET_PLACES = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.attentions.0": "input_blocks.1.1",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.1.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.attentions.0": "output_blocks.2.1",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
    "up_blocks.1.attentions.1": "output_blocks.3.1",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_LAYERS = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "time_emb_proj.": "emb_layers.1.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "conv_shortcut.": "skip_connection.",
}


def _unet_name(key: str) -> str:
    place = next(p for p in _UNET_PLACES if key.startswith(f"{p}."))
    rest = key.removeprefix(f"{place}.")
    if "resnets" in place:
        layer = next(n for n in _UNET_LAYERS if rest.startswith(n))
        rest = rest.replace(layer, _UNET_LAYERS[layer])
    return f"{_UNET_PLACES[place]}.{rest}"


def _vae_name(key: str) -> str:
    for old, new in (
        ("down_blocks.", "down."),
        ("up_blocks.0.", "up.2."),
        ("up_blocks.1.", "up.1."),
        ("up_blocks.2.", "up.0."),
        ("downsamplers.0.", "downsample."),
        ("upsamplers.0.", "upsample."),
        ("mid_block.resnets.0.", "mid.block_1."),
        ("mid_block.resnets.1.", "mid.block_2."),
        ("mid_block.attentions.0.", "mid.attn_1."),
        ("resnets.", "block."),
        ("conv_shortcut.", "nin_shortcut."),
        ("conv_norm_out.", "norm_out."),
        ("group_norm.", "norm."),
        ("to_q.", "q."),
        ("to_k.", "k."),
        ("to_v.", "v."),
        ("to_out.0.", "proj_out."),
    ):
        key = key.replace(old, new)
    return key
