"""The epochs of a fine-tuning: what the validation frames showed in each, and which is the best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from fetalstudio.core.prompts import Prompt
from fetalstudio.segmentation.confidence import Confidence

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


@dataclass(frozen=True, slots=True)
class Found:
    """How a validation frame's head was found in an epoch."""

    dice: float
    """Of the mask."""
    expected: float
    """The confidence, by the curve that the training began with."""
    iou: float
    """Of the ellipse."""


Validated = Mapping[Prompt, Sequence[Found]]
"""The validation frames in an epoch, by prompt."""


class Epochs:
    """The epochs of one training so far, beginning with the original model.

    The validation frames are measured with each of ``prompts``; the first one chooses the best
    epoch.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = prompts
        self.figures: list[EpochFigures] = []
        self._validated: list[Validated] = []
        self.best_state: Mapping[str, Tensor] = {}
        """The weights of the best epoch."""

    @property
    def best(self) -> EpochFigures:
        """The figures of the best epoch; raises ``IndexError`` before there is one."""
        return [row for row in self.figures if row.best][-1]

    @property
    def since_best(self) -> int:
        """The number of epochs after the best one."""
        return self.figures[-1].epoch - self.best.epoch

    def add(
        self,
        train_loss: float,
        validation_loss: float,
        validated: Validated,
        weights: Callable[[], Mapping[str, Tensor]],
    ) -> EpochFigures:
        """Add the next epoch; its ``weights`` are asked for if it is the best so far."""
        best = not self.figures or self.is_better(validated)
        score = float(np.mean(self._dices(validated)))
        self.figures.append(
            EpochFigures(len(self.figures), train_loss, validation_loss, score, best)
        )
        self._validated.append(validated)
        if best:
            self.best_state = weights()
        return self.figures[-1]

    def is_better(self, validated: Validated) -> bool:
        """Whether an epoch is the best so far, and a better choice than the original model.

        Its gain over the original must exceed the standard error over the validation frames. With
        few frames, the best of twenty epochs would otherwise be better only by chance. No more
        frames may fail than with the original.
        """
        dices = self._dices(validated)
        better = _by_more_than_chance(dices, self._dices(self._validated[0]))
        return better and float(np.mean(dices)) > self.best.validation_dice + _LEAST_GAIN

    def best_prompt(self) -> Prompt:
        """The prompt that the best epoch is used with: another one than the first only if it is
        better by more than chance."""
        validated = self._validated[self.best.epoch]
        for prompt in self._prompts[1:]:
            if _by_more_than_chance(_dices(validated[prompt]), self._dices(validated)):
                return prompt
        return self._prompts[0]

    def confidence(self, prompt: Prompt, subjects: Sequence[str]) -> Confidence | None:
        """The curve from the confidence, as the training knew it, to the expected IoU.

        The validation frames, of ``subjects``, chose the epoch, so they are not new to the model.
        Each fold of subjects is therefore looked at in the epoch that the other folds choose. None
        with too few subjects, or if larger estimates stand for smaller IoUs.
        """
        names = sorted(set(subjects))
        if len(names) < _TO_CALIBRATE:
            return None
        fold = np.array([names.index(subject) % _FOLDS for subject in subjects])
        found = [validated[prompt] for validated in self._validated[1:]]
        dices = np.array([_dices(frames) for frames in found])
        held: list[Found] = []
        for k in range(_FOLDS):
            chosen = found[int(dices[:, fold != k].mean(axis=1).argmax())]
            held += [chosen[i] for i in np.flatnonzero(fold == k).tolist()]
        try:
            return Confidence.fit(
                [frame.expected for frame in held], [frame.iou for frame in held], prior=_PRIOR
            )
        except ValueError:
            return None

    def state(self) -> dict[str, Any]:
        """What :meth:`restore` needs, as plain values and tensors."""
        return {
            "best_state": dict(self.best_state),
            "figures": [asdict(row) for row in self.figures],
            "measured": [
                {prompt: [astuple(frame) for frame in frames] for prompt, frames in epoch.items()}
                for epoch in self._validated
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on after the last epoch of ``state``."""
        self.best_state = state["best_state"]
        self.figures = [EpochFigures(**row) for row in state["figures"]]
        self._validated = [
            {prompt: [Found(*frame) for frame in frames] for prompt, frames in epoch.items()}
            for epoch in state["measured"]
        ]

    def _dices(self, validated: Validated) -> list[float]:
        """By the prompt that chooses the best epoch."""
        return _dices(validated[self._prompts[0]])


def _dices(frames: Sequence[Found]) -> list[float]:
    return [frame.dice for frame in frames]


def _by_more_than_chance(dices: Sequence[float], others: Sequence[float]) -> bool:
    """Whether the mean gain over the ``others`` exceeds its standard error, and no more frames
    fail."""
    gains = np.subtract(dices, others)
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
    failures = [sum(dice < _FAILURE for dice in part) for part in (others, dices)]
    return float(gains.mean()) > error and failures[1] <= failures[0]
