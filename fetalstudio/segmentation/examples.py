"""Frames to fine-tune on, varied and embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio import distributed
from fetalstudio.core.augment import Augmentation, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.segmentation.embeddings import EmbeddingCache, encoder_key
from fetalstudio.segmentation.segmenter import Segmenter

VARIED = Augmentation(
    rotation_deg=15, log_scale=0.15, log_aspect=0.05, shift=0.06, flip=True, gamma=0.3, gain=0.2
)
MAX_TARGET = 256
"""px; the loss is taken on at most such a grid, which is that of SAM's own logits."""


@dataclass(frozen=True, slots=True)
class Example:
    """A frame to learn from or to be measured on."""

    image: NDArray[np.uint8]
    """(H, W) uint8."""
    ellipse: Ellipse


@dataclass(frozen=True, slots=True)
class Embedded:
    """An example as the decoder sees it."""

    image: NDArray[np.uint8]
    """(H, W) uint8."""
    embedding: Tensor | None
    """(256, h, w) float16: half the memory, far more precise than the decoder needs. None where the
    encoder changes and must look anew each time."""
    target: Tensor
    """(1, T, T) coverage of each cell, 0 to 1."""
    ellipse: Ellipse
    """In the model's input."""


def varied(example: Example, copy: int) -> Example:
    """The ``copy``-th copy: 0 is the example itself, others are varied, the same each time.

    A copy's variation hangs on its number and the pixels alone, so that another training finds it
    in the cache.
    """
    if copy == 0:
        return example
    digest = hashlib.sha256(np.ascontiguousarray(example.image).data).digest()
    rng = np.random.default_rng((copy, int.from_bytes(digest[:8], "big")))
    h, w = example.image.shape
    # The prompt's box is derived from the varied ellipse, not varied with the box.
    return Example(*augment(rng, VARIED, example.image, example.ellipse, (w, h)))


def embed_all(
    segmenter: Segmenter,
    examples: Sequence[Example],
    cache: EmbeddingCache | None,
    *,
    on_embedded: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> list[Embedded] | None:
    """All examples in order, shared out over the processes; None when cancelled.

    ``on_embedded`` hears (done, total).
    """
    at_once = 8 * distributed.size() if distributed.size() > 1 else 1
    distributed.everywhere(_hold, segmenter, cache)
    try:
        result: list[Embedded] = []
        for start in range(0, len(examples), at_once):
            if cancelled():
                return None
            some = examples[start : start + at_once]
            result += distributed.each(_embed, [(example,) for example in some])
            on_embedded(len(result), len(examples))
        return result
    finally:
        distributed.everywhere(_let_go)
        if cache is not None:
            cache.trim()


_held: list[tuple[Segmenter, str, EmbeddingCache | None]] = []
"""In each process: what it embeds with. A large encoder is sent there once, not with each frame."""


def _hold(segmenter: Segmenter, cache: EmbeddingCache | None) -> None:
    if distributed.rank() > 0:
        segmenter = Segmenter(segmenter.sam, segmenter.card)  # on this process' own device
    _held.append((segmenter, "" if cache is None else encoder_key(segmenter), cache))


def _let_go() -> None:
    _held.clear()


def _embed(example: Example) -> Embedded:
    segmenter, encoder, cache = _held[-1]
    if cache is not None:
        embedding = cache.embed(segmenter, encoder, example.image)
    else:
        embedding = segmenter.embed([example.image])[0].half().cpu()
    # Outside of inference mode's tensors, which no training may take.
    return laid(segmenter, example, embedding.clone())


def laid(segmenter: Segmenter, example: Example, embedding: Tensor | None = None) -> Embedded:
    """The example on the segmenter's input, with its embedding where that does not change."""
    h, w = example.image.shape
    inner = example.ellipse.transformed(segmenter.profile.to_input((w, h)))
    side, target = segmenter.side, min(segmenter.side // 2, MAX_TARGET)
    coverage = cv2.resize(
        inner.mask((side, side)).astype(np.float32), (target, target), interpolation=cv2.INTER_AREA
    )
    return Embedded(example.image, embedding, torch.from_numpy(coverage)[None], inner)
