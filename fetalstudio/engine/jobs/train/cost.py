"""How long a training will take and how much memory: told before it starts. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fetalstudio.project.project import Project
from fetalstudio.project.records import Run


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds a frame, and what is needed in memory besides the embeddings."""

    embed_s: float
    """Of embedding one frame or copy."""
    train_s: float
    """Of one frame or copy in an epoch, the epoch's validation included."""
    memory: float
    """Bytes."""
    embedding: int
    """Bytes of one embedding."""
    of: str = ""
    """Name of the run that ``train_s`` is from; empty where it is a typical one."""


TYPICAL: Mapping[str, Pace] = {
    "compact": Pace(0.04, 0.03, 1.0e9, 2 * 256 * 24 * 24),
    "vit_b": Pace(20.0, 0.25, 3.3e9, 2 * 256 * 64 * 64),
    "vit_l": Pace(50.0, 0.25, 5.0e9, 2 * 256 * 64 * 64),
    "vit_h": Pace(100.0, 0.25, 8.0e9, 2 * 256 * 64 * 64),
}
"""On a CPU. Measured are compact's seconds, and the time and memory of embedding with vit_b; the
others are guesses, which the first epoch replaces."""


@dataclass(frozen=True, slots=True)
class Work:
    """How much there is to do."""

    train: int
    """Frames and pairs."""
    validation: int
    test: int
    copies: int
    epochs: int
    lora: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """An estimate."""

    epochs_s: float
    seconds: float
    """The epochs, and what comes before and after them."""
    memory: float
    """Bytes."""
    of: str
    """As :attr:`Pace.of`."""


def kind_of(architecture: Mapping[str, Any]) -> str:
    """``compact``, or a SAM's variant, by a card's architecture."""
    return str(architecture.get("variant", architecture.get("type", "")))


def pace_of(project: Project, kind: str, lora: int) -> Pace:
    """Of the newest training of such a model in the project, else a typical one.

    ``kind`` is as from :func:`kind_of`; an unknown one is taken for ``vit_b``.
    """
    typical = TYPICAL.get(kind, TYPICAL["vit_b"])
    for run in project.runs.all():
        alike = run.settings.get("kind") == kind and run.settings.get("lora") == lora
        if run.job == "train" and alike and (train_s := _train_s(run)) is not None:
            return replace(typical, train_s=train_s, of=run.name)
    if lora:
        # Each step embeds anew, forwards and backwards.
        return replace(typical, train_s=typical.train_s + 3 * typical.embed_s)
    return typical


def cost(pace: Pace, work: Work) -> Cost:
    """Of a training that no patience ends early. The test frames are looked at twice."""
    items = work.train * work.copies
    embedded = items + work.validation
    epochs_s = work.epochs * items * pace.train_s
    looked_at = 2 * work.test + (0 if work.lora else embedded)
    kept = 0 if work.lora else embedded * pace.embedding
    return Cost(epochs_s, looked_at * pace.embed_s + epochs_s, pace.memory + kept, pace.of)


class Clock:
    """The seconds left of a training: by the estimate, and by its own pace once it has one."""

    def __init__(self, epochs_s: float) -> None:
        """``epochs_s`` of all epochs, before anything is measured."""
        self._epochs_s = epochs_s
        self._began: float | None = None
        self._first: int | None = None

    def embedded(self, done: int, total: int) -> float:
        """After so many frames are embedded, all epochs included."""
        now = time.monotonic()
        self._began = self._began or now
        each = (now - self._began) / max(done - 1, 1)
        return (total - done) * each + self._epochs_s

    def stepped(self, done: int, total: int) -> float:
        """After so many steps; from the second on by their own pace."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._began = done, now
        if self._began is None or done <= self._first:
            return self._epochs_s * (total - done) / total
        return (now - self._began) / (done - self._first) * (total - done)


def _train_s(run: Run) -> float | None:
    clock = [row["seconds"] for row in run.history if "seconds" in row]
    items = len(run.data.get("train", ())) + len(run.data.get("pairs", ()))
    items *= run.settings.get("copies", 1)
    if len(clock) < 2 or not items:
        return None
    return float((clock[-1] - clock[0]) / (len(clock) - 1) / items)
