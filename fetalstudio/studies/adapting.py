"""Adapting a synthesizer for a fixed number of steps, without held-out frames that end it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.synthesis.adapting import Halt, adapt, adapt_settings
from fetalstudio.synthesis.synthesizer import Synthesizer


def adapted(
    parent: Synthesizer,
    frames: Sequence[LabelledFrame],
    checkpoint: Path,
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    seed: int,
) -> Synthesizer:
    """A copy of ``parent``, adapted to the frames; resumes from ``checkpoint``.

    No held-out frame decides when to stop, because it would be one more real frame.
    """
    halts: list[Halt] = []

    def keep(halt: Halt) -> bool:
        halts.append(halt)
        return False

    adapt(
        [frame.loaded() for frame in frames],
        adapt_settings(
            parent,
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            seed=seed,
        ),
        checkpoint,
        start=parent.pipeline,
        halts=[steps],
        on_step=lambda step, loss: None,
        on_halt=keep,
    )
    # A segmenter's input does not resolve the fine grain, so the parent's finish is good enough.
    return Synthesizer(halts[0].pipeline, parent.card, finish=parent.finish)
