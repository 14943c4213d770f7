"""SAM with its vision transformer: vit_b, vit_l, vit_h and others with the same keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from fetalstudio.segmentation.profiles import IMAGENET_MEAN, IMAGENET_STD
from fetalstudio.segmentation.sam import (
    AutoPromptEncoder,
    BatchedMaskDecoder,
    ImageEncoderViT,
    Sam,
    TwoWayTransformer,
)

_PATCH, _MLP_RATIO = 16, 4
"""Of all released models."""
AUTO_TOKENS = "prompt_encoder.auto_tokens"
"""The one key that segment_anything's model does not have; see :class:`AutoPromptEncoder`."""
_POSITION = "image_encoder.pos_embed"
_RELATIVE = re.compile(r"image_encoder\.blocks\.(\d+)\.attn\.rel_pos_h")


@dataclass(frozen=True, slots=True)
class VitConfig:
    """The configuration of an image encoder; vit_b by default."""

    width: int = 768
    depth: int = 12
    heads: int = 12
    global_attention: tuple[int, ...] = (2, 5, 8, 11)
    """Blocks that attend to the whole image; the others attend within windows."""
    image_size: int = 1024
    window: int = 14
    """Side of a window, in patches of 16 px."""


VARIANTS: Mapping[str, VitConfig] = {
    "vit_b": VitConfig(),
    "vit_l": VitConfig(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": VitConfig(1280, 32, 16, (7, 15, 23, 31)),
}
"""The names of segment_anything."""


def build_vit(config: VitConfig) -> Sam:
    """An untrained SAM that decodes in batches, like that of ``segment_anything.build_sam``.

    It has the same state dict and, without learned tokens, needs a prompt.
    """
    side = config.image_size // _PATCH
    return Sam(
        image_encoder=ImageEncoderViT(
            depth=config.depth,
            embed_dim=config.width,
            img_size=config.image_size,
            mlp_ratio=_MLP_RATIO,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=config.heads,
            patch_size=_PATCH,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=config.global_attention,
            window_size=config.window,
            out_chans=256,
        ),
        prompt_encoder=AutoPromptEncoder(
            0,
            embed_dim=256,
            image_embedding_size=(side, side),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=BatchedMaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
        ),
        pixel_mean=list(IMAGENET_MEAN),
        pixel_std=list(IMAGENET_STD),
    )


def config_of(state: Mapping[str, Tensor]) -> VitConfig:
    """The configuration of a state dict with segment_anything's keys, inferred from its shapes.

    Raises ``ValueError`` if the keys of such an encoder are missing.
    """
    relative = {int(m[1]): v.shape for k, v in state.items() if (m := _RELATIVE.fullmatch(k))}
    if _POSITION not in state or not relative:
        raise ValueError("it lacks the keys of SAM's image encoder")
    _, grid, _, width = state[_POSITION].shape
    # Relative positions have a row for each offset: 2 n - 1 for n patches.
    spans = {block: (shape[0] + 1) // 2 for block, shape in relative.items()}
    return VitConfig(
        width=width,
        depth=len(spans),
        heads=width // relative[0][1],
        global_attention=tuple(sorted(b for b, span in spans.items() if span == grid)),
        image_size=grid * _PATCH,
        window=min(spans.values()),
    )


def load_vit(state: Mapping[str, Tensor]) -> Sam:
    """The SAM of a state dict with segment_anything's keys, as float32, with its learned tokens.

    Raises ``ValueError`` or ``RuntimeError`` that names keys that are missing, unknown or of a
    different shape.
    """
    config = config_of(state)
    # No random weights are made that would only be replaced: vit_h has 2.5 GB.
    with torch.device("meta"):
        sam = build_vit(config)
        if AUTO_TOKENS in state:
            sam.prompt_encoder.add_auto_tokens(state[AUTO_TOKENS].shape[1])
    sam.load_state_dict({k: v.float() for k, v in state.items()}, assign=True)
    # Not part of a state dict.
    sam.pixel_mean, sam.pixel_std = (
        torch.tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return sam


def variant_of(config: VitConfig) -> str:
    """``vit_b``, ``vit_l``, ``vit_h``, or ``vit`` for any other."""
    return next((name for name, known in VARIANTS.items() if known == config), "vit")
