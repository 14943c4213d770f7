"""Fine-tuning a segmenter.

The mask decoder is trained on embeddings that are computed once; with low-rank changes the encoder
is trained too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from fetalstudio import distributed
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice, iou
from fetalstudio.core.progress import NO_PROGRESS, Progress, Stopped
from fetalstudio.core.prompts import Prompt
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.learning import autocast, load_checkpoint, save_checkpoint
from fetalstudio.segmentation.confidence import Confidence
from fetalstudio.segmentation.embeddings import EmbeddingCache
from fetalstudio.segmentation.epochs import EpochFigures, Epochs, Found, Validated
from fetalstudio.segmentation.examples import Embedded, embed_all, laid, varied
from fetalstudio.segmentation.lora import add_lora
from fetalstudio.segmentation.sam import decode, dice_ce, jittered_boxes, paper_boxes, reached_iou
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.segmentation.tuned_weights import TunedWeights

_IOU_WEIGHT = 0.1
FINE_TUNING = "fine-tuning"
"""The note of the progress of the optimiser's steps; see also ``examples.EMBEDDING``."""


def fine_tune(
    segmenter: Segmenter,
    train: Sequence[LabelledFrame],
    validation: Sequence[LabelledFrame],
    settings: TrainingSettings,
    *,
    cache: EmbeddingCache | None = None,
    prompt: Prompt | None = None,
    state: Path | None = None,
    progress: Progress = NO_PROGRESS,
    on_epoch: Callable[[EpochFigures, Segmenter], None] = lambda figures, model: None,
) -> tuple[Segmenter, list[EpochFigures]]:
    """Return the best epoch's segmenter and the figures of all epochs.

    The best may be epoch 0, the original. Another epoch counts as better only if the gain exceeds
    chance; see :meth:`Epochs.is_better`. The given segmenter is left as it is. The mask decoder and
    the learned prompt tokens are tuned, and a SAM that had none is given some; without
    ``settings.lora`` the encoder is frozen.

    All epochs are measured with ``prompt``: the one that the result is for, by default the one that
    the given segmenter is used with. By default, a segmenter that is used with a box is used
    without one from then on, if its best epoch is better so. The confidence of the result is
    calibrated by the validation frames, or withheld where they are too few; see
    :meth:`Epochs.confidence`.

    If the file ``state`` exists, left by an earlier call with the same arguments, the training
    resumes after its last epoch. When it is asked to stop, it ends after the current step with the
    best so far; while the frames are embedded, it raises :class:`Stopped`. Under a launcher the
    processes share each step's batch. Raises ``ValueError`` where either part is empty, or for a
    prompt that :func:`prepared` refuses.
    """
    if not train or not validation:
        raise ValueError("fine-tuning needs at least one training and one validation frame")
    tuned = prepared(segmenter, settings, prompt)
    examples = [varied(e, k) for k in range(settings.copies) for e in train] + list(validation)
    if settings.lora:
        embedded = [laid(tuned, example) for example in examples]
    else:
        embedded = embed_all(tuned, examples, cache, progress=progress)
    learnt = len(examples) - len(validation)
    prompts: list[Prompt] = [tuned.prompt]
    if prompt is None and tuned.prompt == "box" and not tuned.needs_prompt:
        prompts.append("auto")
    task = _Task(embedded[:learnt], embedded[learnt:], validation, settings, prompts)
    begun = None if state is None else load_checkpoint(state)
    steps = _Steps(progress)
    callbacks = _Callbacks(
        distributed.Here(steps.advance), distributed.Here(on_epoch), distributed.Here(steps.stopped)
    )
    saved = None if state is None else _Saved(state)
    changing = Segmenter(copy.deepcopy(tuned.sam), tuned.card, tuned.device)
    done = distributed.everywhere(_train, changing, task, begun, callbacks, saved)[0]
    tuned.sam.load_state_dict(done.best_state)
    if done.best.epoch > 0:
        chosen = done.best_prompt()
        curve = done.confidence(chosen, [frame.subject for frame in validation])
        known = None if curve is None else asdict(curve.after(tuned.confidence or Confidence()))
        tuned = _with_card(
            tuned, {**tuned.card.preprocessing, "prompt": chosen, "confidence": known}
        )
    return tuned, done.figures


def prepared(
    segmenter: Segmenter, settings: TrainingSettings, prompt: Prompt | None = None
) -> Segmenter:
    """A copy to be fine-tuned and measured with ``prompt``, by default that of the segmenter.

    A SAM that needs a prompt is given learned tokens, so that it may do without, unless the recipe
    only ever shows boxes. Raises ``ValueError`` for ``auto`` if it then still needs one.
    """
    torch.manual_seed(settings.seed)
    values = {**segmenter.card.preprocessing, "prompt": prompt or segmenter.prompt}
    # Where it is withheld, the training begins with the IoU head's own estimate.
    values["confidence"] = values.get("confidence") or {}
    copied = Segmenter(copy.deepcopy(segmenter.sam), segmenter.card, segmenter.device)
    if copied.needs_prompt and settings.recipe == "recommended":
        copied.sam.prompt_encoder.add_auto_tokens(4)
        copied.sam.to(copied.device)
    if copied.needs_prompt and prompt == "auto":
        raise ValueError("this recipe shows boxes only, so a SAM that needs one keeps needing it")
    return _with_card(copied, values)


def _with_card(segmenter: Segmenter, preprocessing: Mapping[str, Any]) -> Segmenter:
    card = replace(segmenter.card, preprocessing=preprocessing)
    return Segmenter(segmenter.sam, card, segmenter.device)


@dataclass(frozen=True, slots=True)
class _Task:
    train: Sequence[Embedded]
    held_out: Sequence[Embedded]
    validation: Sequence[LabelledFrame]
    settings: TrainingSettings
    prompts: Sequence[Prompt]
    """Those to validate with. The first one chooses the best epoch."""


class _Steps:
    """Reports the steps to a `Progress`. A request to stop is remembered instead of raised, because
    all processes have to stop at the same step."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stopped = False

    def advance(self, done: int, total: int) -> None:
        try:
            self._progress.advance(done, total, FINE_TUNING)
        except Stopped:
            self._stopped = True

    def stopped(self) -> bool:
        try:
            self._progress.check()
        except Stopped:
            self._stopped = True
        return self._stopped


@dataclass(frozen=True, slots=True)
class _Callbacks:
    advance: Callable[[int, int], None]
    on_epoch: Callable[[EpochFigures, Segmenter], None]
    stopped: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class _Saved:
    """Where the state is written after each epoch."""

    path: Path

    def write(self, state: Mapping[str, Any]) -> None:
        save_checkpoint(self.path, dict(state))


def _train(
    segmenter: Segmenter,
    task: _Task,
    begun: Mapping[str, Any] | None,
    callbacks: _Callbacks,
    saved: _Saved | None,
) -> Epochs:
    """Runs in every process at once. Only the first process measures, decides and saves."""
    leads = distributed.rank() == 0
    if not leads:
        segmenter = Segmenter(segmenter.sam, segmenter.card)
    weights = _weights(segmenter, task.settings)
    epochs = Epochs(task.prompts)
    done = 0
    if begun is not None:
        weights.restore(begun)
        epochs.restore(begun)
        done = epochs.figures[-1].epoch
    elif leads:
        with weights.averaged() as original:
            callbacks.on_epoch(_measured(original, task, epochs, float("nan")), original)
    for epoch in range(done + 1, task.settings.epochs + 1):
        if distributed.agreed(leads and epochs.since_best >= task.settings.patience):
            break
        train_loss = _one_epoch(weights, task, epoch, callbacks)
        if train_loss is None:
            break
        if leads:
            reached = weights.state()
            with weights.averaged() as averaged:
                figures = _measured(averaged, task, epochs, train_loss)
                if saved is not None:
                    saved.write(reached | epochs.state())
                callbacks.on_epoch(figures, averaged)
    return epochs


def _measured(segmenter: Segmenter, task: _Task, epochs: Epochs, train_loss: float) -> EpochFigures:
    loss, validated = _validate(segmenter, task)
    return epochs.add(train_loss, loss, validated, lambda: _state(segmenter))


def _state(segmenter: Segmenter) -> Mapping[str, Tensor]:
    return {k: v.detach().clone().cpu() for k, v in segmenter.sam.state_dict().items()}


def _unfreeze(segmenter: Segmenter, settings: TrainingSettings) -> list[nn.Parameter]:
    segmenter.sam.requires_grad_(False)
    parameters = list(segmenter.sam.mask_decoder.parameters())
    if not segmenter.needs_prompt:
        parameters.append(segmenter.sam.prompt_encoder.auto_tokens)
    if settings.lora:
        parameters += add_lora(segmenter.sam.image_encoder, settings.lora)
    return [p.requires_grad_(True) for p in parameters]


def _weights(segmenter: Segmenter, settings: TrainingSettings) -> TunedWeights:
    plain = segmenter
    if settings.lora:
        plain = Segmenter(copy.deepcopy(segmenter.sam), segmenter.card, segmenter.device)
    torch.manual_seed(settings.seed)
    parameters = _unfreeze(segmenter, settings)
    if settings.recipe == "paper":
        adam = torch.optim.Adam(parameters, lr=settings.learning_rate)
        return TunedWeights(segmenter, plain, parameters, adam, 0.0)
    adamw = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    return TunedWeights(segmenter, plain, parameters, adamw, settings.average)


def _rate(settings: TrainingSettings, epoch: int) -> float:
    if settings.recipe == "paper":
        return settings.learning_rate
    turn = np.cos(np.pi * (epoch - 1) / settings.epochs)
    return float(0.5 * settings.learning_rate * (1 + turn))


def _one_epoch(
    weights: TunedWeights, task: _Task, epoch: int, callbacks: _Callbacks
) -> float | None:
    """Mean training loss of this process' share, or None if the training is to stop."""
    settings, segmenter, optimizer = task.settings, weights.segmenter, weights.optimizer
    parameters = list(weights.parameters)
    for group in optimizer.param_groups:
        group["lr"] = _rate(settings, epoch)
    # Seeded by the epoch, so that a resumed training sees the same frames as an uninterrupted one.
    rng = np.random.default_rng((settings.seed, epoch))
    order = rng.permutation(len(task.train))
    starts = range(0, len(order), settings.batch)
    iou_weight = 0.0 if settings.recipe == "paper" else _IOU_WEIGHT
    total = 0.0
    for i, start in enumerate(starts):
        if distributed.agreed(callbacks.stopped()):
            return None
        chosen = order[start : start + settings.batch]
        boxes = _boxes(segmenter, [task.train[k] for k in chosen], settings, rng)
        optimizer.zero_grad(set_to_none=True)
        mine = slice(distributed.rank(), None, distributed.size())
        share = [task.train[k] for k in chosen[mine]]
        if share:
            embeddings = _embeddings(segmenter, share)
            boxes = None if boxes is None else boxes[mine]
            loss = _loss(segmenter, embeddings, share, boxes, iou_weight)
            (loss * (len(share) / len(chosen))).backward()
            total += loss.item() * len(share)
        distributed.sum_of_gradients(parameters)
        if settings.recipe != "paper":
            nn.utils.clip_grad_norm_(parameters, 1.0)
        weights.step()
        callbacks.advance((epoch - 1) * len(starts) + i + 1, settings.epochs * len(starts))
    return total / max(len(order) / distributed.size(), 1)


def _boxes(
    segmenter: Segmenter,
    batch: Sequence[Embedded],
    settings: TrainingSettings,
    rng: np.random.Generator,
) -> Tensor | None:
    heads = [one.ellipse for one in batch]
    if settings.recipe == "paper":
        frames = np.array([_frame_in_input(segmenter, one) for one in batch])
        return paper_boxes(rng, heads, frames, segmenter.device)
    if rng.random() < settings.without_prompt:
        return None
    return jittered_boxes(rng, heads, settings.box_jitter, segmenter.device)


def _frame_in_input(segmenter: Segmenter, one: Embedded) -> NDArray[np.float64]:
    """(4,): where the frame lies in the model's input, x0, y0, x1 and y1 in px."""
    height, width = one.image.shape
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    return segmenter.profile.to_input((width, height)).apply(corners).ravel()


def _embeddings(segmenter: Segmenter, batch: Sequence[Embedded]) -> Tensor:
    """Embeddings (B, 256, h, w), float32, on the segmenter's device: cached, or computed now."""
    known = [e.embedding for e in batch if e.embedding is not None]
    if known:
        return torch.stack(known).float().to(segmenter.device)
    images = torch.stack([segmenter.profile.prepare(e.image) for e in batch])
    with autocast(segmenter.device):
        embeddings: Tensor = segmenter.sam.image_encoder(images.to(segmenter.device))
    return embeddings.float()


def _loss(
    segmenter: Segmenter,
    embeddings: Tensor,
    batch: Sequence[Embedded],
    boxes: Tensor | None,
    iou_weight: float = 0.0,
) -> Tensor:
    """DiceCE plus the squared error of the IoU head's estimate, computed as in the segmenter."""
    targets = torch.stack([e.target for e in batch]).to(segmenter.device)
    with autocast(segmenter.device):
        logits, estimate = decode(segmenter.sam, embeddings, boxes=boxes)
    logits = functional.interpolate(
        logits.float(), size=targets.shape[-2:], mode="bilinear", align_corners=False
    )
    # The head ends where the segmenter will look for its outline.
    logits = logits - segmenter.level
    expected = (segmenter.confidence or Confidence()).of_tensor(estimate.float()[:, 0])
    reached = reached_iou(logits, targets)
    return dice_ce(logits, targets) + iou_weight * functional.mse_loss(expected, reached)


@torch.no_grad()
def _validate(segmenter: Segmenter, task: _Task) -> tuple[float, Validated]:
    """Mean loss with the first prompt, and each frame at its own size by prompt.

    The box of a prompt is that of the person's ellipse.
    """
    losses: list[float] = []
    validated: dict[Prompt, list[Found]] = {prompt: [] for prompt in task.prompts}
    for e, example in zip(task.held_out, task.validation, strict=True):
        h, w = example.image.shape
        reference = example.ellipse.mask((w, h))
        embedding = _embeddings(segmenter, [e])
        for prompt in task.prompts:
            inner = None
            if prompt == "box":
                inner = torch.tensor([e.ellipse.box()], device=segmenter.device).float()
            if prompt == task.prompts[0]:
                losses.append(_loss(segmenter, embedding, [e], inner).item())
            box = example.prompt_box(prompt)
            found = segmenter.predict_embedded(embedding, (w, h), box=box)
            validated[prompt].append(
                Found(
                    dice(found.mask, reference),
                    found.confidence or 0.0,
                    iou(found.head, reference),
                )
            )
    return float(np.mean(losses)), validated
