"""Stable Diffusion's parts from a local folder or a single file. Nothing is ever downloaded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_clip_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from fetalstudio.core.errors import InputError, is_out_of_memory

Part = TypeVar("Part")
_TOKENS = 77
"""Length of every prompt, in tokens."""


@dataclass
class Parts:
    """A Stable Diffusion 1.x model, in eval mode on the CPU."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: Any
    """transformers' CLIPTextModel."""
    tokenizer: Any
    scheduler: Mapping[str, Any]
    """The configuration of the noise schedule, for any sampler."""

    @property
    def factor(self) -> int:
        """Px of the image per cell of the latents, along a side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def side(self) -> int:
        """Side in px of the square image that the model was made for (512)."""
        return int(self.unet.config.sample_size) * self.factor


def load_parts(weights: Path, config: Path | None, dtype: torch.dtype) -> Parts:
    """From a diffusers folder, or from a ``.safetensors`` file with a folder of configurations.

    Raises :class:`InputError` that names the file if it is missing, damaged, a pickle, or a model
    other than Stable Diffusion 1.x.
    """
    check_source(weights, config)
    folder = weights if config is None else config
    checkpoint = None if config is None else _attempt(weights, lambda: load_file(weights))

    def model(kind: Any, name: str) -> Any:
        if checkpoint is None:
            half = _stored(folder / name).name.endswith(".fp16.safetensors")
            return kind.from_pretrained(
                folder,
                subfolder=name,
                local_files_only=True,
                low_cpu_mem_usage=False,
                use_safetensors=True,
                variant="fp16" if half else None,
                dtype=dtype,
            )
        # A copy, because the conversion removes entries from the dictionary.
        return kind.from_single_file(
            dict(checkpoint), config=str(folder), subfolder=name, local_files_only=True
        ).to(dtype)

    unet = _attempt(weights, lambda: model(UNet2DConditionModel, "unet"))
    if unet.config.in_channels != 4:
        raise InputError(
            f"{weights} takes {unet.config.in_channels} channels (an inpainting or edited model?). "
            "Give plain Stable Diffusion 1.5."
        )
    vae = _attempt(weights, lambda: model(AutoencoderKL, "vae"))
    text = _attempt(weights, lambda: _text_encoder(folder, checkpoint, dtype))
    if text.config.hidden_size != unet.config.cross_attention_dim:
        raise InputError(
            f"The text encoder of {folder} has {text.config.hidden_size} features, the UNet wants "
            f"{unet.config.cross_attention_dim}. Give the parts of one Stable Diffusion 1.5."
        )
    tokenizer = _attempt(folder, lambda: _tokenizer(folder / "tokenizer"))
    scheduler = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    parts = Parts(unet, vae, text, tokenizer, scheduler)
    for module in (parts.unet, parts.vae, parts.text_encoder):
        module.eval().requires_grad_(False)
    return parts


def check_source(weights: Path, config: Path | None) -> None:
    """Raise :class:`InputError` if this cannot be Stable Diffusion. The headers of the weights are
    read, but not the weights."""
    if weights.suffix in (".ckpt", ".pt", ".pth", ".bin"):
        raise InputError(
            f"{weights} is a pickle, which can run any program when it is read. Choose the "
            ".safetensors file of the same model, or a folder in diffusers' layout."
        )
    if weights.is_file() and weights.suffix != ".safetensors":
        raise InputError(
            f"{weights} is neither a .safetensors file nor a folder. Choose a Stable Diffusion 1.5 "
            "in one of these two forms."
        )
    if weights.is_file() and config is None:
        raise InputError(
            f"{weights} holds weights only. Also name a folder of Stable Diffusion 1.5 in "
            "diffusers' layout (unet, vae, text_encoder, tokenizer, scheduler) with --config; its "
            "weights are not needed."
        )
    folder = weights if config is None else config
    needed = [
        *("unet/config.json", "vae/config.json", "text_encoder/config.json"),
        "scheduler/scheduler_config.json",
    ]
    missing = [name for name in needed if not (folder / name).is_file()]
    words = folder / "tokenizer"
    if not (words / "vocab.json").is_file() and not (words / "tokenizer.json").is_file():
        missing.append("tokenizer/vocab.json")
    if not weights.exists() or missing:
        raise InputError(
            f"{folder} is not a Stable Diffusion in diffusers' layout: "
            f"{missing[0] if missing else weights} is missing. Choose the folder that holds "
            "model_index.json, or a .safetensors file."
        )
    for file in weight_files(weights):
        _attempt(file, partial(_count, file))


def weight_files(weights: Path) -> list[Path]:
    """The files to read: the file itself, or the safetensors of the three parts of a folder.

    Raises :class:`InputError` if a part has none.
    """
    if weights.is_file():
        return [weights]
    return [_stored(weights / part) for part in ("unet", "vae", "text_encoder")]


def bytes_to_load(weights: Path, dtype: torch.dtype) -> int:
    """The peak of main memory that :func:`load_parts` takes, in bytes.

    These are the parameters in ``dtype``; for a single file, the parameters in float32 and the file
    itself. Raises :class:`InputError` for a damaged file.
    """
    parameters = 0
    for file in weight_files(weights):
        parameters += _attempt(file, partial(_count, file))
    if weights.is_file():
        return weights.stat().st_size + parameters * torch.float32.itemsize
    return parameters * dtype.itemsize


def _count(file: Path) -> int:
    """The size of a file's parameters, without reading them."""
    with safe_open(file, "pt") as stored:
        slices = (stored.get_slice(key) for key in stored.keys())  # noqa: SIM118
        parameters = sum(math.prod(part.get_shape()) for part in slices)
    if parameters == 0:
        raise ValueError("it holds no weights")
    return parameters


def _stored(folder: Path) -> Path:
    """The weights file of a part, in full precision if there is a choice."""
    name = "model" if folder.name == "text_encoder" else "diffusion_pytorch_model"
    for path in (folder / f"{name}.safetensors", folder / f"{name}.fp16.safetensors"):
        if path.is_file():
            return path
    raise InputError(
        f"{folder} holds no .safetensors file ({name}.safetensors). Pickled weights (.bin) are not "
        "read; get the same model as safetensors."
    )


def token_ids(tokenizer: Any, prompts: Sequence[str]) -> Tensor:
    """Token ids, (B, 77) int64, cut or padded."""
    answer = tokenizer(
        list(prompts),
        padding="max_length",
        max_length=_TOKENS,
        truncation=True,
        return_tensors="pt",
    )
    ids: Tensor = answer.input_ids
    return ids


def _text_encoder(folder: Path, checkpoint: Mapping[str, Tensor] | None, dtype: torch.dtype) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    if checkpoint is None:
        stored = load_file(_stored(folder / "text_encoder"))
    else:
        stored = convert_ldm_clip_checkpoint(dict(checkpoint))
    model = CLIPTextModel(
        CLIPTextConfig.from_pretrained(folder / "text_encoder", local_files_only=True)
    )
    own = model.state_dict()
    # transformers dropped this prefix in version 5, and leaves missing weights random.
    found = {
        name: value
        for key, value in stored.items()
        if (name := key if key in own else key.removeprefix("text_model.")) in own
    }
    if missing := set(own) - set(found):
        raise ValueError(f"its text encoder lacks {min(missing)}")
    model.load_state_dict(found)
    return model.to(dtype)


def _tokenizer(folder: Path) -> Any:
    """The tokenizer, built from the vocabulary itself. Given file names, transformers 5 silently
    returns the same id for every word."""
    from transformers import CLIPTokenizer

    whole = folder / "tokenizer.json"
    if whole.is_file():
        model = json.loads(whole.read_text(encoding="utf-8"))["model"]
        vocabulary, merges = model["vocab"], model["merges"]
        merges = [tuple(m.split()) if isinstance(m, str) else tuple(m) for m in merges]
    else:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
        merges = [tuple(line.split()) for line in lines if line and not line.startswith("#version")]
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=_TOKENS)
    one, two = token_ids(tokenizer, ["fetal head", "third trimester"])
    if torch.equal(one, two):
        raise ValueError("its tokenizer gives two prompts the same ids")
    return tokenizer


def _attempt(source: Path, load: Callable[[], Part]) -> Part:
    try:
        return load()
    except InputError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # diffusers, transformers and safetensors raise a dozen kinds of error for a damaged file.
        raise InputError(
            f"{source} is not a complete Stable Diffusion 1.5: {error}. Replace it by an "
            "intact copy."
        ) from error
