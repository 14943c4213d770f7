"""Fine-tuning a segmenter's mask decoder on embeddings that are computed once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from fetalstudio import distributed
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import dice
from fetalstudio.learning import autocast, load_checkpoint, save_checkpoint
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.examples import Embedded, Example, embed_all, varied
from fetalstudio.segmentation.sam import decode, dice_ce, jittered_boxes, outward_boxes
from fetalstudio.segmentation.segmenter import Segmenter

_IOU_WEIGHT = 0.1
_PAPER_JITTER = 20 / 256
"""Of the input's side: up to 19 px outwards at 256 px."""


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """How to fine-tune; the defaults are those recommended."""

    epochs: int = 20
    batch: int = 8
    learning_rate: float = 1e-4
    patience: int = 5
    """Stop after that many epochs without a better validation Dice."""
    seed: int = 0
    copies: int = 2
    """Embedded copies of each training frame: as it is, and varied."""
    recipe: Literal["recommended", "paper"] = "recommended"
    """``recommended``: AdamW with a cosine to zero, six batches in ten without a prompt, the others
    with boxes moved by up to a tenth of the head both ways. ``paper``: as its code, Adam at a
    constant rate, every frame prompted by a box moved outwards only."""
    box_jitter: float = 0.1
    without_prompt: float = 0.6


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """One epoch, 1-based; epoch 0 is the model as it came (its training loss is NaN)."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_dice: float
    best: bool


def fine_tune(
    segmenter: Segmenter,
    train: Sequence[Example],
    validation: Sequence[Example],
    settings: FineTuneSettings,
    *,
    cache: EmbeddingCache | None = None,
    state: Path | None = None,
    on_embedded: Callable[[int, int], None] = lambda done, total: None,
    on_step: Callable[[int, int], None] = lambda done, total: None,
    on_epoch: Callable[[EpochFigures, Segmenter], None] = lambda figures, model: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[Segmenter, list[EpochFigures]]:
    """The best epoch's segmenter (epoch 0, the original, included) and all figures.

    The given segmenter is left as it is. The encoder is frozen; the mask decoder and the learned
    prompt tokens are tuned, and a SAM that had none is given some. Where the ``state`` of an
    earlier call with the same arguments is there, the training goes on after its last epoch.
    Cancelling ends after the current step with the best so far. ``on_step`` hears (steps done, of
    all epochs). Under a launcher each step's batch is shared out over the processes. Raises
    ``ValueError`` where either part is empty.
    """
    if not train or not validation:
        raise ValueError("fine-tuning needs at least one training and one validation frame")
    torch.manual_seed(settings.seed)
    tuned = Segmenter(copy.deepcopy(segmenter.sam), segmenter.card, segmenter.device)
    if tuned.needs_prompt and settings.recipe == "recommended":
        tuned.sam.prompt_encoder.add_auto_tokens(4)
        tuned.sam.to(tuned.device)
    examples = [varied(e, k) for k in range(settings.copies) for e in train] + list(validation)
    embedded = embed_all(tuned, examples, cache, on_embedded=on_embedded, cancelled=cancelled)
    if embedded is None:
        return tuned, []
    learnt = len(examples) - len(validation)
    task = _Task(embedded[:learnt], embedded[learnt:], validation, settings)
    begun = None if state is None else load_checkpoint(state)
    callbacks = _Callbacks(
        distributed.Here(on_step), distributed.Here(on_epoch), distributed.Here(cancelled)
    )
    saved = None if state is None else _Saved(state)
    best, figures = distributed.everywhere(_train, tuned, task, begun, callbacks, saved)[0]
    tuned.sam.load_state_dict(best)
    return tuned, figures


@dataclass(frozen=True, slots=True)
class _Task:
    train: Sequence[Embedded]
    held_out: Sequence[Embedded]
    validation: Sequence[Example]
    settings: FineTuneSettings


@dataclass(frozen=True, slots=True)
class _Callbacks:
    on_step: Callable[[int, int], None]
    on_epoch: Callable[[EpochFigures, Segmenter], None]
    cancelled: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Saved:
    """Where the state goes after each epoch."""

    path: Path

    def write(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.path, dict(state))


@dataclass(slots=True)
class _Progress:
    """What a training knows besides its weights."""

    best: float
    best_state: Mapping[str, Tensor]
    since: int = 0
    """Epochs without a better one."""
    figures: list[EpochFigures] = field(default_factory=list)


def _train(
    segmenter: Segmenter,
    task: _Task,
    begun: Mapping[str, Any] | None,
    callbacks: _Callbacks,
    saved: _Saved | None,
) -> tuple[Mapping[str, Tensor], list[EpochFigures]] | None:
    """In every process at once. The first one alone measures, decides and saves."""
    leads = distributed.rank() == 0
    if not leads:
        segmenter = Segmenter(segmenter.sam, segmenter.card)
    settings = task.settings
    parameters = _unfreeze(segmenter)
    optimizer = _optimizer(parameters, settings)
    done = 0
    progress = _Progress(-1.0, {})
    if begun is not None:
        _restore(segmenter, optimizer, begun)
        done = begun["figures"][-1]["epoch"]
        figures = [EpochFigures(**row) for row in begun["figures"]]
        progress = _Progress(begun["best"], begun["best_state"], begun["since"], figures)
    elif leads:
        loss, score = _validate(segmenter, task)
        progress = _Progress(score, _state(segmenter))
        progress.figures.append(EpochFigures(0, float("nan"), loss, score, True))
        callbacks.on_epoch(progress.figures[-1], segmenter)
    for epoch in range(done + 1, settings.epochs + 1):
        if distributed.agreed(progress.since >= settings.patience):
            break
        train_loss = _one_epoch(segmenter, task, optimizer, parameters, epoch, callbacks)
        if train_loss is None:
            break
        if leads:
            _measure(segmenter, task, progress, epoch, train_loss)
            if saved is not None:
                saved.write(_whole_state(segmenter, optimizer, progress))
            callbacks.on_epoch(progress.figures[-1], segmenter)
    return (progress.best_state, progress.figures) if leads else None


def _measure(
    segmenter: Segmenter, task: _Task, progress: _Progress, epoch: int, train_loss: float
) -> None:
    loss, score = _validate(segmenter, task)
    improved = score > progress.best
    progress.since = 0 if improved else progress.since + 1
    if improved:
        progress.best, progress.best_state = score, _state(segmenter)
    progress.figures.append(EpochFigures(epoch, train_loss, loss, score, improved))


def _state(segmenter: Segmenter) -> Mapping[str, Tensor]:
    return {k: v.detach().clone().cpu() for k, v in segmenter.sam.state_dict().items()}


def _whole_state(
    segmenter: Segmenter, optimizer: torch.optim.Optimizer, progress: _Progress
) -> Mapping[str, Any]:
    return {
        "model": _state(segmenter),
        "optimizer": optimizer.state_dict(),
        "best": progress.best,
        "best_state": dict(progress.best_state),
        "since": progress.since,
        "figures": [asdict(row) for row in progress.figures],
    }


def _restore(
    segmenter: Segmenter, optimizer: torch.optim.Optimizer, begun: Mapping[str, Any]
) -> None:
    segmenter.sam.load_state_dict(begun["model"])
    optimizer.load_state_dict(begun["optimizer"])


def _unfreeze(segmenter: Segmenter) -> list[torch.nn.Parameter]:
    segmenter.sam.requires_grad_(False)
    segmenter.sam.mask_decoder.requires_grad_(True)
    if not segmenter.needs_prompt:
        segmenter.sam.prompt_encoder.auto_tokens.requires_grad_(True)
    return [p for p in segmenter.sam.parameters() if p.requires_grad]


def _optimizer(
    parameters: Sequence[torch.nn.Parameter], settings: FineTuneSettings
) -> torch.optim.Optimizer:
    if settings.recipe == "paper":
        return torch.optim.Adam(parameters, lr=settings.learning_rate)
    return torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)


def _rate(settings: FineTuneSettings, epoch: int) -> float:
    if settings.recipe == "paper":
        return settings.learning_rate
    turn = np.cos(np.pi * (epoch - 1) / settings.epochs)
    return float(0.5 * settings.learning_rate * (1 + turn))


def _one_epoch(
    segmenter: Segmenter,
    task: _Task,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[torch.nn.Parameter],
    epoch: int,
    callbacks: _Callbacks,
) -> float | None:
    """Mean training loss of this process' share, or None when cancelled."""
    settings = task.settings
    for group in optimizer.param_groups:
        group["lr"] = _rate(settings, epoch)
    # Seeded by the epoch: a resumed training sees what an unbroken one would have.
    rng = np.random.default_rng((settings.seed, epoch))
    order = rng.permutation(len(task.train))
    starts = range(0, len(order), settings.batch)
    total = 0.0
    for i, start in enumerate(starts):
        if distributed.agreed(callbacks.cancelled()):
            return None
        chosen = order[start : start + settings.batch]
        boxes = _boxes(segmenter, [task.train[k].ellipse for k in chosen], settings, rng)
        optimizer.zero_grad(set_to_none=True)
        mine = slice(distributed.rank(), None, distributed.size())
        share = [task.train[k] for k in chosen[mine]]
        if share:
            loss = _loss(segmenter, share, None if boxes is None else boxes[mine])
            (loss * (len(share) / len(chosen))).backward()
            total += loss.item() * len(share)
        distributed.sum_of_gradients(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        callbacks.on_step((epoch - 1) * len(starts) + i + 1, settings.epochs * len(starts))
    return total / max(len(order) / distributed.size(), 1)


def _boxes(
    segmenter: Segmenter,
    heads: Sequence[Ellipse],
    settings: FineTuneSettings,
    rng: np.random.Generator,
) -> Tensor | None:
    if settings.recipe == "paper":
        return outward_boxes(rng, heads, _PAPER_JITTER * segmenter.side, segmenter.device)
    if rng.random() < settings.without_prompt:
        return None
    return jittered_boxes(rng, heads, settings.box_jitter, segmenter.device)


def _loss(segmenter: Segmenter, batch: Sequence[Embedded], boxes: Tensor | None) -> Tensor:
    """DiceCE, and what the IoU head's estimate misses by, read as the segmenter will read it."""
    embeddings = torch.stack([e.embedding for e in batch]).float().to(segmenter.device)
    targets = torch.stack([e.target for e in batch]).to(segmenter.device)
    with autocast(segmenter.device):
        logits, estimate = decode(segmenter.sam, embeddings, boxes=boxes)
    logits = functional.interpolate(
        logits.float(), size=targets.shape[-2:], mode="bilinear", align_corners=False
    )
    with torch.no_grad():
        found, true = logits > 0, targets > 0.5
        union = (found | true).sum((1, 2, 3)).clamp(min=1)
        actual = (found & true).sum((1, 2, 3)) / union
    expected = segmenter.confidence.of_tensor(estimate.float()[:, 0])
    return dice_ce(logits, targets) + _IOU_WEIGHT * functional.mse_loss(expected, actual)


@torch.no_grad()
def _validate(segmenter: Segmenter, task: _Task) -> tuple[float, float]:
    """Mean loss, and mean Dice of the mask at each frame's own size: prompt-free, or by the
    reference's box where the model needs a prompt."""
    losses, scores = [], []
    for e, example in zip(task.held_out, task.validation, strict=True):
        h, w = example.image.shape
        box, inner = None, None
        if segmenter.needs_prompt:
            box = example.ellipse.box()
            inner = torch.tensor([e.ellipse.box()], device=segmenter.device).float()
        losses.append(_loss(segmenter, [e], inner).item())
        embedding = e.embedding[None].float().to(segmenter.device)
        found = segmenter.predict_embedded(embedding, (w, h), box=box)
        scores.append(dice(found.mask, example.ellipse.mask((w, h))))
    return float(np.mean(losses)), float(np.mean(scores))
