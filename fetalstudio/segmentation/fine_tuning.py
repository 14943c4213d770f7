"""Fine-tuning a segmenter.

The mask decoder is trained on embeddings that are computed once; with low-rank changes the encoder
is trained too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
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
from fetalstudio.segmentation.examples import Embedded, embed_all, laid, varied
from fetalstudio.segmentation.lora import add_lora
from fetalstudio.segmentation.sam import decode, dice_ce, jittered_boxes, paper_boxes
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.segmentation.tuned_weights import TunedWeights

_IOU_WEIGHT = 0.1
FINE_TUNING = "fine-tuning"
"""The note of the progress of the optimiser's steps; see also ``examples.EMBEDDING``."""
_FAILURE = 0.9
"""A validation frame with a Dice below this counts as failed."""
_LEAST_GAIN = 1e-4
"""Gain in Dice. A smaller one is rounding, not learning."""


_TO_CALIBRATE = 10
"""With validation frames of fewer subjects, the confidence is withheld: what a few heads say about
it is chance."""
_FOLDS = 5
_PRIOR = 1.0
"""See ``Confidence.fit``. Validation frames are nearly all found well, which says little about the
slope of the curve."""


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """The figures of one epoch, counted from 1. Epoch 0 is the original model, whose training loss
    is NaN."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_dice: float
    best: bool


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
    chance; see ``_better``. The given segmenter is left as it is. The mask decoder and the learned
    prompt tokens are tuned, and a SAM that had none is given some; without ``settings.lora`` the
    encoder is frozen.

    All epochs are measured with ``prompt``: the one that the result is for, by default the one that
    the given segmenter is used with. By default, a segmenter that is used with a box is used
    without one from then on, if its best epoch is better so. The confidence of the result is
    calibrated by the validation frames, or withheld where they are too few; see ``_confidence``.

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
    if done.best_epoch > 0:
        chosen = _prompt_of_best(done, prompts)
        subjects = [frame.subject for frame in validation]
        curve = _confidence([rows[chosen] for rows in done.measured], subjects)
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


@dataclass(frozen=True, slots=True)
class _Row:
    """A validation frame in an epoch."""

    dice: float
    """Of the mask."""
    expected: float
    """The confidence, by the curve that the training began with."""
    iou: float
    """Of the ellipse."""


_Measured = Mapping[Prompt, Sequence[_Row]]
"""The validation frames in an epoch, by prompt."""


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


@dataclass(slots=True)
class _Progress:
    """The state of a training besides its weights."""

    first: Sequence[float]
    """Dice of each validation frame by the original model."""
    best: float
    """Mean Dice of the best epoch."""
    best_state: Mapping[str, Tensor]
    since: int = 0
    """Number of epochs since the best one."""
    figures: list[EpochFigures] = field(default_factory=list)
    measured: list[_Measured] = field(default_factory=list)
    """By epoch, as ``figures``."""

    @property
    def best_epoch(self) -> int:
        return max(row.epoch for row in self.figures if row.best)


def _train(
    segmenter: Segmenter,
    task: _Task,
    begun: Mapping[str, Any] | None,
    callbacks: _Callbacks,
    saved: _Saved | None,
) -> _Progress:
    """Runs in every process at once. Only the first process measures, decides and saves."""
    leads = distributed.rank() == 0
    if not leads:
        segmenter = Segmenter(segmenter.sam, segmenter.card)
    weights = _weights(segmenter, task.settings)
    done = 0
    progress = _Progress([], -1.0, {})
    if begun is not None:
        weights.restore(begun)
        done = begun["figures"][-1]["epoch"]
        figures = [EpochFigures(**row) for row in begun["figures"]]
        progress = _Progress(
            begun["first"],
            begun["best"],
            begun["best_state"],
            begun["since"],
            figures,
            [{p: [_Row(*row) for row in rows] for p, rows in m.items()} for m in begun["measured"]],
        )
    elif leads:
        with weights.averaged() as original:
            loss, measured = _validate(original, task)
            scores = [row.dice for row in measured[task.prompts[0]]]
            score = float(np.mean(scores))
            figures = [EpochFigures(0, float("nan"), loss, score, True)]
            progress = _Progress(
                scores, score, _state(original), figures=figures, measured=[measured]
            )
            callbacks.on_epoch(figures[0], original)
    for epoch in range(done + 1, task.settings.epochs + 1):
        if distributed.agreed(progress.since >= task.settings.patience):
            break
        train_loss = _one_epoch(weights, task, epoch, callbacks)
        if train_loss is None:
            break
        if leads:
            reached = weights.state()
            with weights.averaged() as averaged:
                _measure(averaged, task, progress, epoch, train_loss)
                if saved is not None:
                    saved.write(reached | _state_of(progress))
                callbacks.on_epoch(progress.figures[-1], averaged)
    return progress


def _measure(
    segmenter: Segmenter, task: _Task, progress: _Progress, epoch: int, train_loss: float
) -> None:
    loss, measured = _validate(segmenter, task)
    scores = [row.dice for row in measured[task.prompts[0]]]
    improved = _better(scores, progress)
    score = float(np.mean(scores))
    progress.since = 0 if improved else progress.since + 1
    if improved:
        progress.best, progress.best_state = score, _state(segmenter)
    progress.figures.append(EpochFigures(epoch, train_loss, loss, score, improved))
    progress.measured.append(measured)


def _better(scores: Sequence[float], progress: _Progress) -> bool:
    """Whether an epoch is the best so far, and a better choice than the original model.

    Its gain over the original must exceed the standard error over the validation frames. With few
    frames, the best of twenty epochs would otherwise be better only by chance. No more frames may
    fail than with the original.
    """
    better = _by_more_than_chance(scores, progress.first)
    return better and float(np.mean(scores)) > progress.best + _LEAST_GAIN


def _by_more_than_chance(scores: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the mean gain over the ``others`` exceeds its standard error, and no more frames
    fail."""
    gains = np.subtract(scores, others)
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    failures = [sum(score < _FAILURE for score in s) for s in (others, scores)]
    return float(gains.mean()) > error and failures[1] <= failures[0]


def _prompt_of_best(done: _Progress, prompts: Sequence[Prompt]) -> Prompt:
    """The prompt that the best epoch is used with: another one than the first only if it is better
    by more than chance."""
    rows = done.measured[done.best_epoch]
    first = [row.dice for row in rows[prompts[0]]]
    for prompt in prompts[1:]:
        if _by_more_than_chance([row.dice for row in rows[prompt]], first):
            return prompt
    return prompts[0]


def _confidence(measured: Sequence[Sequence[_Row]], subjects: Sequence[str]) -> Confidence | None:
    """The curve from the confidence, as the training knew it, to the expected IoU.

    ``measured`` holds the validation frames of ``subjects`` by epoch. They chose the epoch, so they
    are not new to the model. Each fold of subjects is therefore looked at in the epoch that the
    other folds choose. None with too few subjects, or if larger estimates stand for smaller IoUs.
    """
    names = sorted(set(subjects))
    if len(names) < _TO_CALIBRATE:
        return None
    fold = np.array([names.index(subject) % _FOLDS for subject in subjects])
    dices = np.array([[row.dice for row in rows] for rows in measured[1:]])
    held = []
    for k in range(_FOLDS):
        epoch = 1 + int(dices[:, fold != k].mean(axis=1).argmax())
        held += [measured[epoch][i] for i in np.flatnonzero(fold == k).tolist()]
    try:
        return Confidence.fit(
            [row.expected for row in held], [row.iou for row in held], prior=_PRIOR
        )
    except ValueError:
        return None


def _state(segmenter: Segmenter) -> Mapping[str, Tensor]:
    return {k: v.detach().clone().cpu() for k, v in segmenter.sam.state_dict().items()}


def _state_of(progress: _Progress) -> dict[str, Any]:
    figures = [asdict(row) for row in progress.figures]
    best = {"best": progress.best, "best_state": dict(progress.best_state)}
    measured = [
        {prompt: [astuple(row) for row in rows] for prompt, rows in epoch.items()}
        for epoch in progress.measured
    ]
    return {
        **best,
        "first": list(progress.first),
        "since": progress.since,
        "figures": figures,
        "measured": measured,
    }


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
    with torch.no_grad():
        found, true = logits > 0, targets > 0.5
        union = (found | true).sum((1, 2, 3)).clamp(min=1)
        actual = (found & true).sum((1, 2, 3)) / union
    expected = (segmenter.confidence or Confidence()).of_tensor(estimate.float()[:, 0])
    return dice_ce(logits, targets) + iou_weight * functional.mse_loss(expected, actual)


@torch.no_grad()
def _validate(segmenter: Segmenter, task: _Task) -> tuple[float, _Measured]:
    """Mean loss with the first prompt, and each frame at its own size by prompt.

    The box of a prompt is that of the person's ellipse.
    """
    losses: list[float] = []
    measured: dict[Prompt, list[_Row]] = {prompt: [] for prompt in task.prompts}
    for e, example in zip(task.held_out, task.validation, strict=True):
        h, w = example.image.shape
        reference = example.ellipse.mask((w, h))
        embedding = _embeddings(segmenter, [e])
        for prompt in task.prompts:
            box, inner = None, None
            if prompt == "box":
                box = example.ellipse.box()
                inner = torch.tensor([e.ellipse.box()], device=segmenter.device).float()
            if prompt == task.prompts[0]:
                losses.append(_loss(segmenter, embedding, [e], inner).item())
            found = segmenter.predict_embedded(embedding, (w, h), box=box)
            mask = found.mask if found.ellipse is None else found.ellipse.mask((w, h))
            measured[prompt].append(
                _Row(dice(found.mask, reference), found.confidence or 0.0, iou(mask, reference))
            )
    return float(np.mean(losses)), measured
