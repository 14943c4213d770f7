"""A cache of embeddings on disk, so that each frame is encoded only once per encoder."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fetalstudio.formats.files import write_bytes
from fetalstudio.segmentation.segmenter import Segmenter

_BYTES = 4 * 2**30
"""Limit of a cache in bytes; the least recently used files are deleted first. It holds 2000
embeddings of SAM ViT-B, or 15000 of the compact segmenter."""


@dataclass(frozen=True, slots=True)
class EmbeddingCache:
    """A folder with a half-precision file per frame and encoder. It may be deleted at any time.

    Files are keyed by the frame's pixels, the encoder's weights and the preprocessing profile.
    Models that differ only in their decoder, such as fine-tuned ones, share their embeddings.
    """

    folder: Path
    limit: int = _BYTES

    def embed(self, segmenter: Segmenter, encoder: str, image: NDArray[np.uint8]) -> Tensor:
        """The embedding (256, h, w) float16 of a frame, (H, W) uint8, on the CPU.

        ``encoder`` is :func:`encoder_key` of the segmenter.
        """
        path = self.folder / f"{_key(encoder, image)}.safetensors"
        found = _read(path)
        if found is None:
            found = segmenter.embed([image])[0].half().cpu().contiguous()
            write_bytes(path, save({"embedding": found}))
        return found

    def trim(self) -> None:
        """Delete the least recently used files beyond the limit."""
        files = [
            (p.stat().st_mtime, p.stat().st_size, p) for p in self.folder.glob("*.safetensors")
        ]
        held = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if held <= self.limit:
                return
            path.unlink(missing_ok=True)
            held -= size


def encoder_key(segmenter: Segmenter) -> str:
    """SHA-256 (hex) of the encoder's weights and its preprocessing."""
    digest = hashlib.sha256(f"{segmenter.profile}".encode())
    for name, value in segmenter.sam.image_encoder.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _key(encoder: str, image: NDArray[np.uint8]) -> str:
    digest = hashlib.sha256(f"{encoder} {image.shape} ".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _read(path: Path) -> Tensor | None:
    """Read an embedding. None if it is missing or damaged, so that it is computed again."""
    try:
        found = load_file(path)["embedding"]
    except (OSError, KeyError, SafetensorError):
        return None
    with suppress(OSError):  # the time of use, which a read-only folder cannot store
        os.utime(path)
    return found if found.dtype == torch.float16 else None
