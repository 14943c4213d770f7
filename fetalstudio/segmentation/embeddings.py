"""Embeddings kept on disk: what an encoder made of a frame once, it need not make again."""

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

BYTES = 4 * 2**30
"""A cache is cut down to that, the longest unused first: 2000 embeddings of SAM ViT-B, or 15000 of
the compact segmenter's."""


@dataclass(frozen=True, slots=True)
class EmbeddingCache:
    """A folder with one half-precision file a picture and encoder; it may be deleted any time.

    Keyed by the picture's pixels, the encoder's weights and the preprocessing profile: models that
    differ in their decoder alone, as fine-tuned ones do, share what they embed.
    """

    folder: Path
    limit: int = BYTES

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
        """Delete the longest unused files beyond the limit."""
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
    """SHA-256 (hex) over the encoder's weights and how frames are laid before it."""
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
    """None where it is not there, or damaged: it is then made anew."""
    try:
        found = load_file(path)["embedding"]
    except (OSError, KeyError, SafetensorError):
        return None
    with suppress(OSError):  # it was used now, which a read-only folder cannot note
        os.utime(path)
    return found if found.dtype == torch.float16 else None
