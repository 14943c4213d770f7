"""Frames for fine-tuning, varied and embedded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fetalstudio import distributed
from fetalstudio.core.augment import Augmentation, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.progress import Progress
from fetalstudio.segmentation.embeddings import EmbeddingCache, encoder_key
from fetalstudio.segmentation.segmenter import Segmenter

VARIED = Augmentation(
    rotation_deg=15, log_scale=0.15, log_aspect=0.05, shift=0.06, flip=True, gamma=0.3, gain=0.2
)
_MAX_TARGET = 256
"""Largest side of the grid for the loss, in px: that of SAM's own logits."""

EMBEDDING = "embedding"
"""The note of the progress of :func:`embed_all`."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A frame in the form that the decoder takes."""

    image: NDArray[np.uint8]
    """(H, W) uint8."""
    embedding: Tensor | None
    """(256, h, w) float16, which halves the memory and is precise enough for the decoder. None
    if the encoder is trained too."""
    target: Tensor
    """(1, T, T) coverage of each cell, 0 to 1."""
    ellipse: Ellipse
    """In px of the model's input."""


def varied(frame: LabelledFrame, copy: int) -> LabelledFrame:
    """Copy number ``copy`` of a frame: 0 is the frame itself, others are varied reproducibly.

    The variation depends only on the number and the pixels, so that other trainings find the copy
    in the cache.
    """
    if copy == 0:
        return frame
    image = frame.image
    digest = hashlib.sha256(np.ascontiguousarray(image).data).digest()
    rng = np.random.default_rng((copy, int.from_bytes(digest[:8], "big")))
    # The prompt's box is derived from the varied ellipse, not varied with the box.
    return frame.redrawn(*augment(rng, VARIED, image, frame.ellipse, frame.size))


def embed_all(
    segmenter: Segmenter,
    frames: Sequence[LabelledFrame],
    cache: EmbeddingCache | None,
    *,
    progress: Progress,
) -> list[Embedded]:
    """Embed all frames, divided among the processes; in order."""
    at_once = 8 * distributed.size() if distributed.size() > 1 else 1
    distributed.everywhere(_hold, segmenter, cache)
    try:
        result: list[Embedded] = []
        for start in range(0, len(frames), at_once):
            progress.check()
            some = [frame.loaded() for frame in frames[start : start + at_once]]
            result += distributed.each(_embed, [(frame,) for frame in some])
            progress.advance(len(result), len(frames), EMBEDDING)
        return result
    finally:
        distributed.everywhere(_let_go)
        if cache is not None:
            cache.trim()


_held: list[tuple[Segmenter, str, EmbeddingCache | None]] = []
"""In each process: the encoder, which is sent once and not with each frame, and the cache."""


def _hold(segmenter: Segmenter, cache: EmbeddingCache | None) -> None:
    if distributed.rank() > 0:
        segmenter = Segmenter(segmenter.sam, segmenter.card)  # on this process' own device
    _held.append((segmenter, "" if cache is None else encoder_key(segmenter), cache))


def _let_go() -> None:
    _held.clear()


def _embed(frame: LabelledFrame) -> Embedded:
    segmenter, encoder, cache = _held[-1]
    if cache is not None:
        embedding = cache.embed(segmenter, encoder, frame.image)
    else:
        embedding = segmenter.embed([frame.image])[0].half().cpu()
    # A copy outside of inference mode, whose tensors cannot be trained on.
    return laid(segmenter, frame, embedding.clone())


def laid(segmenter: Segmenter, frame: LabelledFrame, embedding: Tensor | None = None) -> Embedded:
    """The frame mapped to the segmenter's input, with its embedding if the encoder is frozen."""
    inner = frame.ellipse.transformed(segmenter.profile.to_input(frame.size))
    side, target = segmenter.side, min(segmenter.side // 2, _MAX_TARGET)
    coverage = cv2.resize(
        inner.mask((side, side)).astype(np.float32), (target, target), interpolation=cv2.INTER_AREA
    )
    return Embedded(frame.image, embedding, torch.from_numpy(coverage)[None], inner)
