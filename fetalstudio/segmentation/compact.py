"""The compact segmenter: segment_anything's ``Sam`` with a small convolutional encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fetalstudio.segmentation.profiles import PIXEL_MEAN, PIXEL_STD
from fetalstudio.segmentation.sam import (
    AutoPromptEncoder,
    BatchedMaskDecoder,
    Sam,
    TwoWayTransformer,
)


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """The architecture, as it is saved in ``model.json``."""

    image_size: int = 384
    """Side of the square input in px. The side of the embedding is a sixteenth of it."""
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    """Channels at stride 2, 4, 8 and 16."""
    blocks: tuple[int, int, int] = (1, 2, 2)
    """Residual blocks at stride 4, 8 and 16."""
    attention: int = 3
    """Attention blocks at stride 16, with a head per 32 channels."""
    decoder_mlp: int = 512
    auto_tokens: int = 4
    """Learned tokens that replace the prompt if there is none."""


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions; the first may halve the size."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, outputs)
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = nn.functional.relu(self.norm1(self.conv1(x)))
        return nn.functional.relu(self.skip(x) + self.norm2(self.conv2(y)))


class CompactEncoder(nn.Module):
    """Encodes a grey image as an embedding; has the ``img_size`` that ``Sam`` expects."""

    def __init__(self, config: CompactConfig, out_channels: int = 256) -> None:
        super().__init__()
        self.img_size = config.image_size
        w = config.widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, w[0], 5, 2, 2, bias=False), nn.GroupNorm(8, w[0]), nn.ReLU()
        )
        stages: list[nn.Module] = []
        for inputs, outputs, count in zip(w[:-1], w[1:], config.blocks, strict=True):
            stages += [_ResidualBlock(inputs, outputs, 2)]
            stages += [_ResidualBlock(outputs, outputs) for _ in range(count - 1)]
        self.stages = nn.Sequential(*stages)
        side = config.image_size // 16
        self.position = nn.Parameter(torch.zeros(1, side * side, w[3]))
        self.attention = nn.ModuleList(
            nn.TransformerEncoderLayer(
                w[3],
                max(w[3] // 32, 1),
                2 * w[3],
                dropout=0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.attention)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(w[3], out_channels, 1, bias=False), nn.GroupNorm(1, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, S, S) normalised, three equal channels, to (B, 256, S/16, S/16)."""
        x = self.stages(self.stem(x[:, :1].contiguous(memory_format=torch.channels_last)))
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2) + self.position
        for block in self.attention:
            tokens = block(tokens)
        return self.neck(tokens.transpose(1, 2).reshape(b, c, h, w))


def build_compact(config: CompactConfig) -> Sam:
    """An untrained compact segmenter, in training mode and channels-last."""
    side = config.image_size // 16
    sam = Sam(
        image_encoder=CompactEncoder(config),
        prompt_encoder=AutoPromptEncoder(
            config.auto_tokens,
            embed_dim=256,
            image_embedding_size=(side, side),
            input_image_size=(config.image_size, config.image_size),
            mask_in_chans=16,
        ),
        mask_decoder=BatchedMaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2, embedding_dim=256, mlp_dim=config.decoder_mlp, num_heads=8
            ),
            transformer_dim=256,
        ),
        pixel_mean=[PIXEL_MEAN] * 3,
        pixel_std=[PIXEL_STD] * 3,
    )
    return sam.to(memory_format=torch.channels_last)
