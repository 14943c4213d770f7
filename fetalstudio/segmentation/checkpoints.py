"""Reading and writing SAM checkpoints of segment_anything, MedSAM and Hugging Face.

In memory, all have the keys of segment_anything.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.formats.files import write_bytes
from fetalstudio.learning import save_checkpoint
from fetalstudio.segmentation.vit import AUTO_TOKENS

_HEADS = ("iou_prediction_head", *(f"output_hypernetworks_mlps.{i}" for i in range(4)))
_RENAMED: tuple[tuple[str, str], ...] = (
    (".norm", ".layer_norm"),
    ("image_encoder.patch_embed.proj.", "vision_encoder.patch_embed.projection."),
    ("image_encoder.blocks.", "vision_encoder.layers."),
    ("image_encoder.neck.0.", "vision_encoder.neck.conv1."),
    ("image_encoder.neck.1.", "vision_encoder.neck.layer_norm1."),
    ("image_encoder.neck.2.", "vision_encoder.neck.conv2."),
    ("image_encoder.neck.3.", "vision_encoder.neck.layer_norm2."),
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    (
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "shared_image_embedding.positional_embedding",
    ),
    ("prompt_encoder.point_embeddings.", "prompt_encoder.point_embed."),
    ("prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    *((f"{head}.layers.0.", f"{head}.proj_in.") for head in _HEADS),
    *((f"{head}.layers.1.", f"{head}.layers.0.") for head in _HEADS),
    *((f"{head}.layers.2.", f"{head}.proj_out.") for head in _HEADS),
)
"""Names in segment_anything and in transformers (``SamModel``), replaced in this order.

On the way back the order is reversed, since a few new names are old names of other parts.
"""
_SHARED = "shared_image_embedding.positional_embedding"
_SHARED_TOO = "prompt_encoder.shared_embedding.positional_embedding"
"""transformers stores the same tensor under two names."""


def to_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the keys of transformers' ``SamModel``, which has no learned tokens."""
    renamed = {}
    for key, value in state.items():
        if key != AUTO_TOKENS:
            for ours, theirs in _RENAMED:
                key = key.replace(ours, theirs)
            renamed[key] = value
    renamed[_SHARED_TOO] = renamed[_SHARED].clone()  # safetensors cannot share tensors
    return renamed


def from_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with segment_anything's keys from one with those of ``SamModel``."""
    renamed = {}
    for key, value in state.items():
        if key == _SHARED_TOO:
            # Older files have only this one.
            key = _SHARED
        for ours, theirs in reversed(_RENAMED):
            key = key.replace(theirs, ours)
        renamed[key] = value
    return renamed


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` or pickled file, with segment_anything's keys, on the CPU.

    Pickles are read as weights and nothing else. Raises :class:`InputError` that names the file.
    """
    stored = _strip(_read(path), path)
    foreign = any(key.startswith("vision_encoder.") for key in stored)
    return from_hugging_face(stored) if foreign else stored


def write_checkpoint(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a checkpoint atomically: ``.safetensors``, or a pickle for segment_anything.

    ``segment_anything.sam_model_registry[...](checkpoint=path)`` loads the pickle.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    if path.suffix == ".safetensors":
        write_bytes(path, save(tensors))
    else:
        save_checkpoint(path, tensors)


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds more than weights, or is not a checkpoint. Reading the rest could run "
            "any program, so the file was not read. Get the model as .safetensors."
        ) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        # safetensors and PyTorch raise different errors for a damaged file.
        raise InputError(
            f"{path} cannot be read as a checkpoint: {error}. Replace it by an intact copy."
        ) from error


def _strip(stored: Any, path: Path) -> dict[str, Tensor]:
    """The state dict without the wrapping that trainings add."""
    for wrapper in ("model", "state_dict", "model_state_dict"):
        if isinstance(stored, Mapping) and isinstance(stored.get(wrapper), Mapping):
            stored = stored[wrapper]
    if not isinstance(stored, Mapping) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in stored.items()
    ):
        raise InputError(f"{path} does not hold the weights of a model. Choose a SAM checkpoint.")
    return {k.removeprefix("module."): v for k, v in stored.items()}
