"""Reading and writing SAM checkpoints of segment_anything, MedSAM and Hugging Face.

In memory, all have the keys of segment_anything.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from fetalstudio.core.errors import InputError, is_out_of_memory
from fetalstudio.formats.files import check_regular, write_bytes
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

_SAM_PART = re.compile(
    r"(?:^|\.)((?:image_encoder|vision_encoder|prompt_encoder|mask_decoder)\."
    r"|shared_image_embedding\.positional_embedding$)"
)
"""In a key: the name of a part of SAM, after any prefix."""
_SD_PART = re.compile(r"(?:model\.diffusion_model|first_stage_model|cond_stage_model)\.")
_LORA = re.compile(r"lora_|lokr_|hada_w|linear_[ab]_[qkv]|^w_[ab]_\d+", re.IGNORECASE)
"""In a key: a LoRA of peft, kohya, LyCORIS or SAMed."""
_INNER = re.compile(r"\b(?:_orig_mod|module)\.")
_ARCHIVES = (b"\x1f\x8b", b"BZh", b"7z\xbc\xaf", b"Rar!", b"\xfd7zXZ")
_OTHERS = {b"\x89HDF": "an HDF5 file", b"GGUF": "a GGUF file", b"\x93NUMPY": "a NumPy file"}
"""How files of other programs begin."""
_TEXT = re.compile(rb"[\t\n\r -~]+")
_WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state")
"""Entries under which trainings save the weights."""


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


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file with segment_anything's keys, and what was around them."""

    state: dict[str, Tensor]
    wrapper: str = ""
    """The entry of the file that holds the weights, such as ``model`` or ``checkpoint/model``."""
    prefix: str = ""
    """What each key began with, such as ``sam.``."""
    others: tuple[str, ...] = ()
    """Other entries of the file that hold the weights of a SAM, such as ``ema``."""

    @property
    def stripped(self) -> str:
        """What was left out, in words; empty if nothing was."""
        parts = (
            f"the wrapper '{self.wrapper}'" if self.wrapper else "",
            f"the prefix '{self.prefix}' of each key" if self.prefix else "",
            *(f"the weights under '{name}'" for name in self.others),
        )
        return " and ".join(part for part in parts if part)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a ``.safetensors`` or pickled file onto the CPU, whatever its name ends in.

    Pickles are read as weights and nothing else. Raises :class:`InputError` that names the file.
    """
    read = _read(path)
    wrapper, stored = _unwrapped(read)
    if not stored:
        raise InputError(f"{path} does not hold the weights of a model. Choose a SAM checkpoint.")
    prefix = _common_prefix(stored, path)
    # torch.compile and data parallel training name parts of a model too.
    state = {
        _INNER.sub("", key.removeprefix(prefix)): value
        for key, value in stored.items()
        if key.startswith(prefix)
    }
    if any(key.startswith("vision_encoder.") for key in state):
        state = from_hugging_face(state)
    taken = wrapper.split("/")[0]
    others = [] if not wrapper else [name for name in read if str(name) != taken]
    return Checkpoint(
        state, wrapper, prefix, tuple(str(name) for name in others if _holds_sam(read[name]))
    )


def kind_of(path: Path) -> Literal["sam", "stable diffusion", "other"]:
    """What a file of weights is, by its keys.

    Raises :class:`InputError` for what cannot be added, such as a LoRA or a web page.
    """
    if _is_safetensors(_head(path)):
        try:
            with safe_open(path, "pt") as stored:
                keys = list(stored.keys())
        except Exception as error:
            raise InputError(
                f"{path} cannot be read as safetensors: {error}. Copy it again."
            ) from error
    else:
        keys = list(_unwrapped(_read(path))[1])
    if keys and all(map(_LORA.search, keys)):
        raise lora_error(path)
    if any(_SAM_PART.search(key) for key in keys):
        return "sam"
    return "stable diffusion" if any(_SD_PART.match(key) for key in keys) else "other"


def lora_error(path: Path) -> InputError:
    """What to raise for a file or folder that holds a LoRA alone."""
    return InputError(
        f"{path} is a LoRA: a small change to a model, without the model. Give the checkpoint of "
        "the whole model."
    )


def check_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Raise :class:`InputError` for tensors that are no plain weights: with a LoRA among them, or
    stored in 8 bits or as whole numbers, which mean nothing without their factors."""
    change = next(filter(_LORA.search, state), None)
    if change is not None:
        raise InputError(
            f"{path} holds a LoRA beside the weights that it changes ({change}). Merge it into "
            "them, as merge_and_unload of peft does, and save the model again."
        )
    for key, value in state.items():
        if not value.is_floating_point() or value.itemsize < 2:
            kind = str(value.dtype).removeprefix("torch.")
            raise InputError(
                f"{path} is quantised: it stores {key} as {kind}. Give a checkpoint in 16 or 32 "
                "bits."
            )


def write_checkpoint(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a checkpoint atomically: ``.safetensors``, or a pickle for segment_anything.

    ``segment_anything.sam_model_registry[...](checkpoint=path)`` loads the pickle.
    """
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    if path.suffix == ".safetensors":
        write_bytes(path, save(tensors))
    else:
        save_checkpoint(path, tensors)


def _head(path: Path) -> bytes:
    """The first bytes. Raises :class:`InputError` if the file plainly holds no weights."""
    try:
        check_regular(path)
        with path.open("rb") as stream:
            head = stream.read(512)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist. Check the path.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give a file.") from error
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        raise InputError(f"{path} is empty. Copy or download it again.")
    if text.startswith(b"version https://git-lfs"):
        raise InputError(
            f"{path} is a Git-LFS pointer: it names the weights and does not hold them. Run "
            "`git lfs pull` in its repository, or download the file itself."
        )
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path} is a web page, saved in place of the weights. Open its address in a browser "
            "and download the file itself."
        )
    if head.startswith(_ARCHIVES) or (head.startswith(b"PK") and not _is_of_torch(path)):
        raise InputError(f"{path} is an archive. Unpack it, and give the checkpoint that is in it.")
    other = next((name for start, name in _OTHERS.items() if head.startswith(start)), None)
    if other is None and not _is_safetensors(head) and _TEXT.fullmatch(head):
        other = "a text file"
    if other is not None:
        raise InputError(
            f"{path} is {other} and holds no weights of PyTorch. Get the model as .safetensors or "
            ".pth."
        )
    return head


def _is_of_torch(path: Path) -> bool:
    """Whether a zip archive is one of PyTorch."""
    try:
        with zipfile.ZipFile(path) as packed:
            return any(PurePath(name).name in ("data.pkl", "version") for name in packed.namelist())
    except (OSError, zipfile.BadZipFile):
        return True  # a damaged one, of which PyTorch says what is wrong


def _is_safetensors(head: bytes) -> bool:
    """By content: the length of a header in JSON, then the header."""
    return len(head) > 8 and head[8:9] == b"{" and not head.startswith((b"PK", b"\x80"))


def _read(path: Path) -> Any:
    head = _head(path)
    try:
        if _is_safetensors(head):
            return load_file(path)
        # Opened here: of a path that ends in .safetensors, PyTorch believes the ending.
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(stream, map_location="cpu", weights_only=True)
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


def _unwrapped(stored: Any) -> tuple[str, Mapping[str, Tensor]]:
    """The entry that holds the weights, empty for the file itself, and the weights.

    Trainings save them beside other things. Of several SAMs, such as a model and its moving
    average, the one of a usual name is taken, else the first.
    """
    if not isinstance(stored, Mapping):
        return "", {}
    tensors = {k: v for k, v in stored.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if any(_SAM_PART.search(key) for key in tensors):
        return "", tensors
    best: tuple[str, Mapping[str, Tensor]] = "", tensors
    for name in sorted(stored, key=lambda name: name not in _WRAPPERS):
        inner, state = _unwrapped(stored[name])
        found = f"{name}/{inner}" if inner else str(name), state
        if any(_SAM_PART.search(key) for key in state):
            return found
        if not best[1]:
            best = found
    return best


def _holds_sam(stored: Any) -> bool:
    return any(map(_SAM_PART.search, _unwrapped(stored)[1]))


def _common_prefix(keys: Iterable[str], path: Path) -> str:
    """What most keys have before the name of a part of SAM. Raises :class:`InputError` where half
    as many or more have another prefix: the file then holds two models."""
    counts = Counter(key[: m.start(1)] for key in keys if (m := _SAM_PART.search(key)))
    (prefix, most), *rest = counts.most_common(2) or [("", 0)]
    if rest and 2 * rest[0][1] >= most:
        raise InputError(
            f"{path} holds two models, with the prefixes {prefix!r} and {rest[0][0]!r} in its "
            "keys. Save the one that you want by itself."
        )
    return prefix
