"""The classes of segment_anything, without torchvision, and decoding in batches."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio.core.ellipse import Ellipse


def _open_package() -> None:
    """Make ``segment_anything.modeling`` importable without torchvision.

    The package's ``__init__`` imports its predictor, which needs torchvision; the model classes
    need torch only. A bare package object with the same path skips the ``__init__``.
    """
    if "segment_anything" in sys.modules or importlib.util.find_spec("torchvision"):
        return
    spec = importlib.util.find_spec("segment_anything")
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError("segment-anything is not installed")
    package = types.ModuleType("segment_anything")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["segment_anything"] = package


_open_package()

from segment_anything.modeling import (  # noqa: E402
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)

__all__ = [
    "AutoPromptEncoder",
    "BatchedMaskDecoder",
    "ImageEncoderViT",
    "MaskDecoder",
    "PromptEncoder",
    "Sam",
    "TwoWayTransformer",
]

_PAPER_SIDE, _PAPER_JITTER = 256, 20
"""Side in px of the paper's squashed frames; its jitter of boxes is below this many of them."""


class AutoPromptEncoder(PromptEncoder):
    """SAM's prompt encoder, with learned tokens if no prompt is given.

    Without tokens it equals the original, including its state dict, and needs a prompt.
    """

    auto_tokens: nn.Parameter | None
    """(1, n, 256)."""

    def __init__(self, auto_tokens: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.register_parameter("auto_tokens", None)
        if auto_tokens:
            self.add_auto_tokens(auto_tokens)

    def add_auto_tokens(self, count: int) -> None:
        """Add untrained tokens, so that the model takes frames without a prompt."""
        like = self.no_mask_embed.weight
        tokens = 0.02 * torch.randn(1, count, self.embed_dim, device=like.device)
        self.auto_tokens = nn.Parameter(tokens)

    def forward(
        self,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """As SAM's. Without points and boxes the learned tokens are the sparse embedding.

        Raises ``ValueError`` if there is neither a prompt nor a learned token.
        """
        sparse, dense = super().forward(points, boxes, masks)
        if points is None and boxes is None:
            if self.auto_tokens is None:
                raise ValueError("a SAM without learned tokens needs a box or points")
            sparse = self.auto_tokens.expand(dense.shape[0], -1, -1)
        return sparse, dense


class BatchedMaskDecoder(MaskDecoder):
    """SAM's mask decoder for B images with B prompts; same parameters, same state dict.

    The original repeats the image embeddings for each prompt, which is right for one image only.
    """

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Masks (B, 4, 4h, 4w) and IoU estimates (B, 4) for embeddings (B or 1, C, h, w)."""
        prompts = sparse_prompt_embeddings.shape[0]
        tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight], dim=0)
        tokens = torch.cat(
            [tokens.unsqueeze(0).expand(prompts, -1, -1), sparse_prompt_embeddings], dim=1
        )
        source = image_embeddings.repeat_interleave(prompts // image_embeddings.shape[0], dim=0)
        source = source + dense_prompt_embeddings
        b, c, h, w = source.shape
        hidden, source = self.transformer(source, image_pe.expand(b, -1, -1, -1), tokens)
        upscaled = self.output_upscaling(source.transpose(1, 2).reshape(b, c, h, w))
        weights = torch.stack(
            [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)],
            dim=1,
        )
        masks = torch.einsum("bkc,bchw->bkhw", weights, upscaled)
        return masks, self.iou_prediction_head(hidden[:, 0])


def decode(
    sam: Sam,
    embeddings: Tensor,
    *,
    boxes: Tensor | None = None,
    points: tuple[Tensor, Tensor] | None = None,
    masks: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Low-resolution logits (B, 1, 4h, 4w) and IoU estimates (B, 1), with one prompt per image.

    ``boxes`` is (B, 4) and ``points`` (B, n, 2) with labels (B, n), in pixels of the model's
    square input; ``masks`` are logits (B, 1, 4h, 4w) of a previous answer. Without a box or points
    the model's learned tokens replace the prompt, see :class:`AutoPromptEncoder`.
    """
    sparse, dense = sam.prompt_encoder(points=points, boxes=boxes, masks=masks)
    if sparse.shape[0] != embeddings.shape[0]:
        sparse = sparse.expand(embeddings.shape[0], -1, -1)
        dense = dense.expand(embeddings.shape[0], -1, -1, -1)
    return cast(
        tuple[Tensor, Tensor],
        sam.mask_decoder(
            image_embeddings=embeddings,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        ),
    )


def jittered_boxes(
    rng: np.random.Generator, ellipses: Sequence[Ellipse], share: float, device: torch.device
) -> Tensor:
    """Tight boxes (B, 4), each side moved by up to ``share`` of the box's extent, in or out."""
    boxes = np.array([e.box() for e in ellipses])
    extent = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    boxes += extent * rng.uniform(-1, 1, boxes.shape) * share
    return torch.from_numpy(boxes).float().to(device)


def paper_boxes(
    rng: np.random.Generator,
    ellipses: Sequence[Ellipse],
    frames: NDArray[np.float64],
    device: torch.device,
) -> Tensor:
    """Tight boxes (B, 4) with the paper's jitter, in px of the model's input.

    Its code squashes each frame to 256 x 256 px and moves each side outwards by 0 to 19 whole px,
    but not off the frame. ``frames`` (B, 4) says where the frames lie in the input: a jitter of
    1 px is 1/256 of the frame's width for the left and right side, and of its height for the top
    and bottom.
    """
    boxes = np.array([e.box() for e in ellipses])
    px = np.tile(frames[:, 2:] - frames[:, :2], 2) / _PAPER_SIDE
    boxes += rng.integers(0, _PAPER_JITTER, boxes.shape) * px * np.array([-1.0, -1.0, 1.0, 1.0])
    low, high = np.tile(frames[:, :2], 2), np.tile(frames[:, 2:], 2)
    return torch.from_numpy(np.clip(boxes, low, high)).float().to(device)


def dice_ce(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice (squared denominators) plus binary cross-entropy, mean over a batch.

    ``logits`` and ``target`` (0 to 1, soft edges allowed) are (B, 1, h, w); the loss of the paper.
    """
    probability = logits.sigmoid()
    dims = (1, 2, 3)
    overlap = (probability * target).sum(dims)
    total = probability.square().sum(dims) + target.square().sum(dims)
    dice = 1 - (2 * overlap + 1e-5) / (total + 1e-5)
    return dice.mean() + functional.binary_cross_entropy_with_logits(logits, target)


@torch.no_grad()
def reached_iou(logits: Tensor, target: Tensor) -> Tensor:
    """(B,): the IoU that the masks reach, which the IoU head learns to estimate.

    ``logits`` and ``target`` as in :func:`dice_ce`; two empty masks have an IoU of 0.
    """
    found, true = logits > 0, target > 0.5
    union = (found | true).sum((1, 2, 3)).clamp(min=1)
    return (found & true).sum((1, 2, 3)) / union
