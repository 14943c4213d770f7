"""What a running job says. Frozen dataclasses of plain values and numpy arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Started:
    """The job left the queue and runs."""

    job: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` of ``total`` steps; ``eta_s`` is the estimated time left, None while unknown."""

    done: int
    total: int
    eta_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of the work so far, (H, W) or (H, W, 3) uint8. May be dropped under pressure."""

    image: NDArray[np.uint8]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over the training data; losses are means, Dice is over the validation frames.

    Epoch 0 is the model as it was; its ``train_loss`` is NaN.
    """

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    validation_dice: float
    best: bool


@dataclass(frozen=True, slots=True)
class Adapting:
    """A synthesizer after ``step`` steps, measured on ellipses that it does not learn from."""

    step: int
    steps: int
    loss: float
    """Mean of the training loss since the last measurement; NaN before the first step."""
    fidelity: float
    """Mean Dice between the ellipses asked for and what the segmenter finds."""
    grey: float
    """Distance of the grey levels to real held-out frames, in grey levels."""
    spectrum: float
    """Distance of the power spectra to theirs, in dB."""
    copies: int
    """Pictures too near to a training frame."""
    best: bool


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Something that outlives a cancel or a crash was saved."""

    path: Path
    note: str = ""


@dataclass(frozen=True, slots=True)
class Warned:
    """The job goes on, but the person should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The job's result."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """The job ended with an error: a message to act on, and the traceback for a report."""

    message: str
    traceback: str
    bad_input: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job stopped because it was asked to; what it had saved stays, in ``result`` if any."""

    result: Any = None


Event = (
    Started
    | Progress
    | Preview
    | Epoch
    | Adapting
    | Checkpoint
    | Warned
    | Finished
    | Failed
    | Cancelled
)
FINAL = (Finished, Failed, Cancelled)
"""The last event of every job is one of these."""
