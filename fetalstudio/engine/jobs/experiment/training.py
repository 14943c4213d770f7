"""Training on one mix of an experiment and measuring the result, for the job and the studies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import dice
from fetalstudio.core.progress import NO_PROGRESS, Progress
from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.experiment.mixes import POSITIVE, SYNTHETIC
from fetalstudio.segmentation.embeddings import EmbeddingCache, encoder_key
from fetalstudio.segmentation.epochs import EpochFigures
from fetalstudio.segmentation.examples import varied
from fetalstudio.segmentation.fine_tuning import fine_tune, prepared
from fetalstudio.segmentation.segmenter import Segmenter


def examples_of(
    mix: str,
    real: Sequence[LabelledFrame],
    pairs: Sequence[LabelledFrame],
    more: Sequence[LabelledFrame] = (),
) -> list[LabelledFrame]:
    """The frames of one epoch on the mix; see
    :data:`~fetalstudio.engine.jobs.experiment.mixes.MIXES`.

    ``more`` are the real frames that the positive control adds, see
    :func:`~fetalstudio.engine.jobs.experiment.mixes.added_by_control`.
    """
    if mix == "real":
        return [*real]
    if mix == "augmented":
        return [*real, *(varied(example, 1) for example in real)]
    if mix == SYNTHETIC:
        return [*real, *pairs]
    shown = range(len(real) + len(pairs))
    if mix == POSITIVE:
        real = [*real, *more] if more else real[::2]
    copies = [(real[i % len(real)], i // len(real)) for i in shown]
    return [example if mix == "real_steps" else varied(example, k) for example, k in copies]


def train_to_the_end(
    base: Segmenter,
    examples: Sequence[LabelledFrame],
    settings: TrainingSettings,
    cache: EmbeddingCache,
    progress: Progress = NO_PROGRESS,
) -> Segmenter:
    """Fine-tune without copies or patience, and return the segmenter of the last epoch.

    No validation frames choose the best epoch. Fine-tuning would otherwise return the original
    segmenter where no epoch is clearly better, and mixes would seem to be alike.
    """
    last = prepared(base, settings)

    def keep(_figures: EpochFigures, tuned: Segmenter) -> None:
        last.sam.load_state_dict(tuned.sam.state_dict())

    settings = replace(settings, copies=1, patience=settings.epochs)
    # Fine-tuning needs a validation frame. Its Dice decides nothing here.
    fine_tune(base, examples, examples[:1], settings, cache=cache, progress=progress, on_epoch=keep)
    return last


def dice_of(
    segmenter: Segmenter,
    test: Sequence[LabelledFrame],
    cache: EmbeddingCache,
    progress: Progress = NO_PROGRESS,
) -> tuple[float, ...]:
    """Dice of each frame's ellipse at the frame's own size, from one view.

    The prompt is the one that the segmenter is used with; a box is that of the reference.
    ``progress`` is checked before each frame.
    """
    key, result = encoder_key(segmenter), []
    for example in test:
        progress.check()
        h, w = example.image.shape
        embedding = cache.embed(segmenter, key, example.image)[None].float().to(segmenter.device)
        box = example.prompt_box(segmenter.prompt)
        found = segmenter.predict_embedded(embedding, (w, h), box=box)
        result.append(dice(found.head, example.ellipse.mask((w, h))))
    return tuple(result)
