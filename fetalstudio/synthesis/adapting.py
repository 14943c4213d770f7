"""Adapting the compact synthesizer to a handful of frames: a short training with halts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.learning import TrainingRun, load_checkpoint
from fetalstudio.synthesis.pipeline import CompactPipeline
from fetalstudio.synthesis.synthesizer import Synthesizer
from fetalstudio.synthesis.training import TrainSettings, train


@dataclass(frozen=True, slots=True)
class Halt:
    """The model after ``step`` steps."""

    step: int
    pipeline: CompactPipeline
    """Holds the moving average in half precision, so that it is measured as it is saved."""


def adapt_settings(
    parent: Synthesizer, *, steps: int, batch: int, learning_rate: float, seed: int
) -> TrainSettings:
    """Settings that train all weights of a copy of ``parent`` at a low rate.

    The moving average covers about 50 steps, because single steps differ in brightness more than
    the adapting changes it. The copy goes on with the guidance that the parent learnt to follow.
    """
    return TrainSettings(
        wide=0.0,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        warmup=min(100, max(steps // 5, 1)),
        ema=0.98,
        seed=seed,
        widths=tuple(parent.pipeline.unet.config.block_out_channels),
        guidance=parent.learnt_guidance,
    )


def adapt(
    examples: Sequence[LabelledFrame],
    settings: TrainSettings,
    checkpoint: Path,
    *,
    start: CompactPipeline,
    halts: Iterable[int],
    on_step: Callable[[int, float], None],
    on_halt: Callable[[Halt], bool],
) -> None:
    """Train a copy of ``start`` on its device, halting after each of the steps ``halts``.

    ``on_halt`` returns whether to continue. If ``checkpoint`` exists, the training resumes from it.
    Returns after the last halt or when ``on_halt`` returns False. Both callbacks may raise to stop;
    the steps since the last checkpoint are then lost.
    """
    begun = load_checkpoint(checkpoint)
    done = 0 if begun is None else int(begun["step"])
    del begun

    def stepped(step: int, loss: float) -> None:
        nonlocal done
        done = step
        on_step(step, loss)

    for halt in halts:

        def stop(halt: int = halt) -> bool:
            return done >= halt

        run = TrainingRun(checkpoint, stepped, stop, save_every_s=60, device=start.device)
        pipeline = train(examples, settings, run, start=start)
        # Sampled in the same way as the parent.
        pipeline.register_modules(scheduler=copy.deepcopy(start.scheduler))
        pipeline.register_to_config(
            default_steps=start.config.default_steps, default_guidance=start.config.default_guidance
        )
        pipeline.unet.half().float()
        if not on_halt(Halt(halt, pipeline)):
            return
