"""Training and measuring one arm of an experiment, for the job and for the study."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.engine.jobs.experiment.request import CONTROL, SYNTHETIC
from fetalstudio.segmentation.embeddings import EmbeddingCache, encoder_key
from fetalstudio.segmentation.examples import varied
from fetalstudio.segmentation.fine_tuning import EpochFigures, FineTuneSettings, fine_tune
from fetalstudio.segmentation.segmenter import Segmenter

Item = TypeVar("Item")

VALIDATION_FRAMES = 20
"""At most so many choose the best epoch; they are the same for all arms."""


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` of them, spread over the whole."""
    return (
        [items[i * len(items) // count] for i in range(count)] if len(items) > count else [*items]
    )


def examples_of(
    arm: str, real: Sequence[LabelledFrame], pairs: Sequence[LabelledFrame]
) -> list[LabelledFrame]:
    """What one epoch of the arm shows, see ``experiment.ARMS``."""
    if arm == "real":
        return [*real]
    if arm == "augmented":
        return [*real, *(varied(example, 1) for example in real)]
    if arm == SYNTHETIC:
        return [*real, *pairs]
    shown = range(len(real) + len(pairs))
    copies = [(real[i % len(real)], i // len(real)) for i in shown]
    return [varied(example, k) if arm == CONTROL else example for example, k in copies]


def train_arm(
    base: Segmenter,
    examples: Sequence[LabelledFrame],
    validation: Sequence[LabelledFrame],
    settings: FineTuneSettings,
    cache: EmbeddingCache,
    *,
    progress: Progress = NO_PROGRESS,
) -> tuple[Segmenter, list[EpochFigures]]:
    """As ``fine_tune``, with no copies but those in ``examples`` and to the last epoch: all arms of
    as many examples take as many steps."""
    settings = replace(settings, copies=1, patience=settings.epochs)
    return fine_tune(base, examples, validation, settings, cache=cache, progress=progress)


def train_to_the_end(
    base: Segmenter,
    examples: Sequence[LabelledFrame],
    settings: FineTuneSettings,
    cache: EmbeddingCache,
) -> Segmenter:
    """As :func:`train_arm`, and the last epoch's segmenter, whatever it is worth.

    No further real frames choose the epoch: where only a handful is assumed to be there, they would
    be of more worth to learn from.
    """
    last = Segmenter(copy.deepcopy(base.sam), base.card, base.device)

    def keep(_figures: EpochFigures, tuned: Segmenter) -> None:
        last.sam.load_state_dict(tuned.sam.state_dict())

    settings = replace(settings, copies=1, patience=settings.epochs)
    # Fine-tuning wants a frame to look at; what it sees there decides nothing here.
    fine_tune(base, examples, examples[:1], settings, cache=cache, on_epoch=keep)
    return last


def dice_of(
    segmenter: Segmenter,
    test: Sequence[LabelledFrame],
    cache: EmbeddingCache,
    progress: Progress = NO_PROGRESS,
) -> tuple[float, ...]:
    """Dice of each frame's ellipse at its own size, from one view, without a prompt (plain SAM: the
    reference's box). ``progress`` is checked before each."""
    key, result = encoder_key(segmenter), []
    for example in test:
        progress.check()
        h, w = example.image.shape
        embedding = cache.embed(segmenter, key, example.image)[None].float().to(segmenter.device)
        box = example.ellipse.box() if segmenter.needs_prompt else None
        found = segmenter.predict_embedded(embedding, (w, h), box=box)
        mask = found.mask if found.ellipse is None else found.ellipse.mask((w, h))
        result.append(dice(mask, example.ellipse.mask((w, h))))
    return tuple(result)
