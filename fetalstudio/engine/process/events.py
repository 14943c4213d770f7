"""The events of a running job: frozen dataclasses of plain values and numpy arrays only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class RunKey:
    """Names a run: the folder of its project, and its id there."""

    project: Path
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What all events have in common."""

    run: RunKey | None = None
    """The run that the event belongs to; None if the job has no run, or none yet."""

    @property
    def droppable(self) -> bool:
        """Whether a newer event of the same kind and job makes this one worthless.

        Of such events only the newest is kept where they come faster than they are read; all
        others always arrive.
        """
        return False


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The job has left the queue and is running."""

    job: str
    """The job's name."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """``done`` of ``total`` steps; ``eta_s`` is the estimated time left, None while unknown."""

    done: int
    total: int
    eta_s: float | None = None
    note: str = ""
    finishing: bool = False
    """Whether the steps complete what the job has, so that it takes them even after a cancel, but
    not when it is asked to stop now. After a cancel, each such event gives it another grace."""

    @property
    def droppable(self) -> bool:
        """Only the newest counts."""
        return True


@dataclass(frozen=True, slots=True)
class Preview(Event):
    """An image of the work so far, (H, W) or (H, W, 3) uint8."""

    image: NDArray[np.uint8]
    caption: str = ""
    stays: bool = False
    """Whether it is one of a series that is shown whole, such as the pairs of a batch. Otherwise
    a newer one takes its place."""

    @property
    def droppable(self) -> bool:
        """Unless it stays."""
        return not self.stays


@dataclass(frozen=True, slots=True)
class Epoch(Event):
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
class Adapting(Event):
    """A synthesizer after ``step`` steps, measured on ellipses that it is not trained on."""

    step: int
    steps: int
    loss: float
    """Mean of the training loss since the last measurement; NaN before the first step."""
    fidelity: float
    """Mean Dice between the requested ellipses and those that the segmenter finds."""
    grey: float
    """Distance of the grey levels to the real held-out frames, in grey levels."""
    spectrum: float
    """Distance of the power spectra to the real held-out frames, in dB."""
    copies: int
    """Number of images that are too similar to a training frame."""
    best: bool


@dataclass(frozen=True, slots=True)
class Checkpoint(Event):
    """Something that outlives a cancel or a crash was saved."""

    path: Path
    note: str = ""


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """The job continues, but there is something that the person should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The job's result."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The job ended with an error: a message with a cure, and the traceback for a report."""

    message: str
    traceback: str
    bad_input: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled(Event):
    """The job stopped because it was asked to; what it had saved stays, in ``result`` if any."""

    result: Any = None


Final = Finished | Failed | Cancelled
FINAL = (Finished, Failed, Cancelled)
"""The last event of every job is one of these."""
