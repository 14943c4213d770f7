"""Stable Diffusion in miniature: every part real, random and small, in diffusers' layout."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file

import fetalstudio.synthesis.stable_diffusion  # noqa: F401  (before diffusers looks round)

_LETTERS = "abcdefghijklmnopqrstuvwxyz.,"


def write_tiny(folder: Path, *, seed: int = 0) -> Path:
    """A model of 64 x 64 px pictures, as ``save_pretrained`` of a pipeline would leave it."""
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=8,
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
        scaling_factor=5.0,  # latents spread as those of the real one do, about 1
    ).save_pretrained(folder / "vae")
    vocabulary = _vocabulary()
    config = CLIPTextConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=vocabulary["<|startoftext|>"],
        eos_token_id=vocabulary["<|endoftext|>"],
    )
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    PNDMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        skip_prk_steps=True,
        set_alpha_to_one=False,
        steps_offset=1,
    ).save_pretrained(folder / "scheduler")
    tokenizer = folder / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "vocab.json").write_text(json.dumps(vocabulary))
    (tokenizer / "merges.txt").write_text("#version: 0.2\nh e\nhe a\nhea d</w>\n")
    (tokenizer / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "PNDMScheduler"],
    }
    index = {"_class_name": "StableDiffusionPipeline", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _vocabulary() -> dict[str, int]:
    words = [*_LETTERS, *(f"{letter}</w>" for letter in _LETTERS), "he", "hea", "head</w>"]
    return {w: i for i, w in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


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
