"""Fine-tuning a segmenter's mask decoder on embeddings that are computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fetalstudio.core.augment import NONE, Augmentation, augment
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.geometry import letterbox
from fetalstudio.core.metrics import dice
from fetalstudio.segmentation.sam import decode, dice_ce, jittered_boxes
from fetalstudio.segmentation.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class Example:
    """A frame to learn from or to be measured on."""

    image: NDArray[np.uint8]
    """(H, W) uint8."""
    ellipse: Ellipse


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How to fine-tune."""

    epochs: int = 20
    batch: int = 8
    learning_rate: float = 1e-4
    patience: int = 5
    """Stop after that many epochs without a better validation Dice."""
    seed: int = 0
    copies: int = 2
    """Embedded copies of each training frame: as it is, and varied."""
    box_jitter: float = 0.1
    without_prompt: float = 0.6
    """Share of batches without a prompt; the others show a jittered box."""


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One epoch, 1-based; epoch 0 is the model as it came (its training loss is NaN)."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_dice: float
    best: bool


VARIED = Augmentation(
    rotation_deg=15, log_scale=0.15, log_aspect=0.05, shift=0.06, flip=True, gamma=0.3, gain=0.2
)


def fine_tune(
    segmenter: Segmenter,
    train: Sequence[Example],
    validation: Sequence[Example],
    settings: FineTuneSettings,
    *,
    on_embedded: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[EpochFigures, Segmenter], None] = lambda figures, model: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Segmenter, list[EpochFigures]]:
    """The best epoch's segmenter (epoch 0, the original, included) and all figures.

    The given segmenter is left as it is. The encoder is frozen; the mask decoder and the learned
    prompt tokens are tuned. Cancelling ends after the current step with the best so far. Raises
    ``ValueError`` where either part is empty.
    """
    if not train or not validation:
        raise ValueError("fine-tuning needs at least one training and one validation frame")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    tuned = Segmenter(copy.deepcopy(segmenter.sam), segmenter.card, segmenter.device)
    total = len(train) * settings.copies + len(validation)
    embedded: list[_Embedded] = []
    for i in range(len(train) * settings.copies):
        if cancelled():
            return tuned, []
        kind = NONE if i < len(train) else VARIED
        embedded.append(_embed(tuned, train[i % len(train)], rng, kind))
        on_embedded(i + 1, total)
    held_out = []
    for i, example in enumerate(validation):
        held_out.append(_embed(tuned, example, rng, NONE))
        on_embedded(len(embedded) + i + 1, total)

    loss, score = _validate(tuned, held_out, validation)
    figures = [EpochFigures(0, float("nan"), loss, score, True)]
    on_epoch(figures[0], tuned)
    best, best_state, since = score, copy.deepcopy(tuned.sam.state_dict()), 0
    parameters = _unfreeze(tuned)
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)
    for epoch in range(1, settings.epochs + 1):
        rate = 0.5 * settings.learning_rate * (1 + np.cos(np.pi * (epoch - 1) / settings.epochs))
        for group in optimizer.param_groups:
            group["lr"] = float(rate)
        train_loss = _one_epoch(tuned, embedded, optimizer, settings, rng, cancelled)
        if train_loss is None:
            break
        loss, score = _validate(tuned, held_out, validation)
        improved = score > best
        figures.append(EpochFigures(epoch, train_loss, loss, score, improved))
        if improved:
            best, best_state, since = score, copy.deepcopy(tuned.sam.state_dict()), 0
        else:
            since += 1
        on_epoch(figures[-1], tuned)
        if since >= settings.patience:
            break
    tuned.sam.load_state_dict(best_state)
    return tuned, figures


@dataclass(frozen=True, slots=True)
class _Embedded:
    embedding: Tensor
    """(256, h, w) float16: half the memory, far more precise than the decoder needs."""
    target: Tensor
    """(1, S/2, S/2) coverage."""
    ellipse: Ellipse
    """In the model's input."""


def _embed(
    segmenter: Segmenter, example: Example, rng: np.random.Generator, kind: Augmentation
) -> _Embedded:
    side = segmenter.side
    if kind is NONE:
        h, w = example.image.shape
        image, inner = example.image, example.ellipse.transformed(letterbox((w, h), (side, side)))
    else:
        image, inner = augment(rng, kind, example.image, example.ellipse, (side, side))
    coverage = cv2.resize(
        inner.mask((side, side)).astype(np.float32),
        (side // 2, side // 2),
        interpolation=cv2.INTER_AREA,
    )
    embedding = segmenter.embed([image])[0].half()
    return _Embedded(embedding.clone(), torch.from_numpy(coverage)[None], inner)


def _unfreeze(segmenter: Segmenter) -> list[torch.nn.Parameter]:
    segmenter.sam.requires_grad_(False)
    segmenter.sam.mask_decoder.requires_grad_(True)
    segmenter.sam.prompt_encoder.auto_tokens.requires_grad_(True)
    return [p for p in segmenter.sam.parameters() if p.requires_grad]


def _one_epoch(
    segmenter: Segmenter,
    embedded: Sequence[_Embedded],
    optimizer: torch.optim.Optimizer,
    settings: FineTuneSettings,
    rng: np.random.Generator,
    cancelled: Callable[[], bool],
) -> float | None:
    """Mean training loss, or None when cancelled."""
    order = rng.permutation(len(embedded))
    losses = []
    for start in range(0, len(order), settings.batch):
        if cancelled():
            return None
        batch = [embedded[i] for i in order[start : start + settings.batch]]
        boxes = None
        if rng.random() >= settings.without_prompt:
            heads = [e.ellipse for e in batch]
            boxes = jittered_boxes(rng, heads, settings.box_jitter, segmenter.device)
        loss = _loss(segmenter, batch, boxes)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
        optimizer.step()
        losses.append(loss.item() * len(batch))
    return sum(losses) / len(embedded)


def _loss(segmenter: Segmenter, batch: Sequence[_Embedded], boxes: Tensor | None) -> Tensor:
    embeddings = torch.stack([e.embedding for e in batch]).float()
    targets = torch.stack([e.target for e in batch]).to(segmenter.device)
    logits, _ = decode(segmenter.sam, embeddings, boxes=boxes)
    logits = functional.interpolate(
        logits, size=targets.shape[-2:], mode="bilinear", align_corners=False
    )
    return dice_ce(logits, targets)


@torch.no_grad()
def _validate(
    segmenter: Segmenter, embedded: Sequence[_Embedded], examples: Sequence[Example]
) -> tuple[float, float]:
    """Mean loss, and mean Dice of the prompt-free mask at each frame's own size."""
    losses, scores = [], []
    for e, example in zip(embedded, examples, strict=True):
        losses.append(_loss(segmenter, [e], None).item())
        h, w = example.image.shape
        found = segmenter.predict_embedded(e.embedding[None].float(), (w, h))
        scores.append(dice(found.mask, example.ellipse.mask((w, h))))
    return float(np.mean(losses)), float(np.mean(scores))
