"""Estimates of a training's time and memory, before it starts and while it runs.

Importing this module imports no torch.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median_low
from typing import Any

from fetalstudio.core.training_settings import TrainingSettings, settings_of
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Run


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a segmenter trains, and how much memory it needs."""

    embed_s: float
    """Seconds to embed one frame or copy."""
    train_s: float
    """Seconds for one frame or copy in an epoch, the epoch's validation included."""
    memory: float
    """Bytes needed besides the embeddings."""
    embedding: int
    """Bytes of one embedding."""
    of: str = ""
    """Name of the run in which the seconds were measured; empty where they are typical values."""


TYPICAL: Mapping[str, Pace] = {
    "compact": Pace(0.04, 0.03, 1.0e9, 2 * 256 * 24 * 24),
    "vit_b": Pace(20.0, 0.25, 3.3e9, 2 * 256 * 64 * 64),
    "vit_l": Pace(50.0, 0.25, 5.0e9, 2 * 256 * 64 * 64),
    "vit_h": Pace(100.0, 0.25, 8.0e9, 2 * 256 * 64 * 64),
}
"""Typical values on a CPU that nothing else uses. Those of compact were measured, and so were the
time and memory of embedding with vit_b; the others are guesses, which the first training replaces.
"""


@dataclass(frozen=True, slots=True)
class Work:
    """The number of frames in a training."""

    train: int
    """Frames and pairs."""
    validation: int
    test: int


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate of what a training takes."""

    epochs_s: float
    """Seconds of all epochs."""
    seconds: float
    """Seconds of the epochs and of what comes before and after them."""
    memory: float
    """Bytes."""
    of: str
    """As :attr:`Pace.of`."""


def kind_of(architecture: Mapping[str, Any]) -> str:
    """``compact`` or a SAM's variant (``vit_b``), from a model card's ``architecture``."""
    return str(architecture.get("variant", architecture.get("type", "")))


def pace_of(project: Project, kind: str, lora: int) -> Pace:
    """The pace of the newest training of such a model in the project, or else a typical one.

    ``kind`` is a result of :func:`kind_of`; an unknown one counts as ``vit_b``. ``lora`` is the
    rank of the low-rank changes, 0 for none.
    """
    typical = TYPICAL.get(kind, TYPICAL["vit_b"])
    measured: list[Pace] = []
    for run in project.runs.all():
        if run.job == "train" and run.settings.get("kind") == kind:
            settings = settings_of(run.settings)
            if settings.lora == lora and (pace := _measured(run, settings, typical)) is not None:
                measured.append(pace)
    if measured:
        # A run whose frames had been embedded before says little about embedding.
        return replace(measured[0], embed_s=max(pace.embed_s for pace in measured))
    if lora:
        # Every step embeds its frames again, forwards and backwards.
        return replace(typical, train_s=typical.train_s + 3 * typical.embed_s)
    return typical


def cost(pace: Pace, work: Work, settings: TrainingSettings) -> Cost:
    """The cost of a training that runs for all its epochs. The test frames are measured twice."""
    items = work.train * settings.copies
    embedded = items + work.validation
    epochs_s = settings.epochs * items * pace.train_s
    embedded_once = 0 if settings.lora else embedded
    seconds = (2 * work.test + embedded_once) * pace.embed_s + epochs_s
    return Cost(epochs_s, seconds, pace.memory + embedded_once * pace.embedding, pace.of)


class TrainingCountdown:
    """Seconds left of a training: from the estimate, and from its own pace once that is known."""

    def __init__(self, epochs_s: float | None) -> None:
        """``epochs_s`` is the estimate for all epochs, None where none was measured."""
        self._epochs_s = epochs_s
        self._began: float | None = None
        self._first: int | None = None

    def embedded(self, done: int, total: int) -> float | None:
        """Seconds left once ``done`` frames are embedded, all epochs included; None if unknown."""
        now = time.monotonic()
        self._began = self._began or now
        if self._epochs_s is None:
            return None
        each = (now - self._began) / max(done - 1, 1)
        return (total - done) * each + self._epochs_s

    def stepped(self, done: int, total: int) -> float | None:
        """Seconds left after ``done`` steps; from the second on at their own pace."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        if self._began is None or done <= self._first:
            return None if self._epochs_s is None else self._epochs_s * (total - done) / total
        return (now - self._began) / (done - self._first) * (total - done)


def _measured(run: Run, settings: TrainingSettings, typical: Pace) -> Pace | None:
    """The pace of a run; None where it had not two epochs."""
    ends = [row["seconds"] for row in run.history if "seconds" in row]
    count = {part: len(run.data.get(part, ())) for part in ("train", "pairs", "validation", "test")}
    items = settings.copies * (count["train"] + count["pairs"])
    if len(ends) < 2 or not items:
        return None
    # The median: where a run was resumed, an epoch seems to take as long as the new start, too.
    train_s = float(median_low(end - start for start, end in pairwise(ends)) / items)
    embed_s = typical.embed_s
    if run.history[0].get("epoch") == 0:  # at its end, the frames are embedded
        before = count["test"] + (0 if settings.lora else items) + count["validation"]
        embed_s = float(ends[0] / before)
    return replace(typical, train_s=train_s, embed_s=embed_s, of=run.name)
