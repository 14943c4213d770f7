"""A training within a study that can be interrupted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fetalstudio.learning import TrainingRun


class InterruptibleTraining:
    """The run of a training, and whether the study was stopped before its last step."""

    def __init__(self, checkpoint: Path, steps: int, stopped: Callable[[], bool]) -> None:
        self.run = TrainingRun(checkpoint, self._on_step, stopped, save_every_s=60)
        self._steps, self._reached = steps, 0

    def _on_step(self, step: int, loss: float) -> None:
        self._reached = step

    def cut_short(self) -> bool:
        """Whether what was trained is to be left to a later run.

        A training that had been finished before takes no step. Once the study is stopped, it is
        left as well.
        """
        return self.run.stopped() and self._reached < self._steps
