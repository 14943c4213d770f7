"""The data mixes of an experiment: what an epoch of each shows, and how many steps it takes.

Importing this module imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

BEFORE = "before"
"""Used like the name of a mix for the original segmenter, which is measured once."""
SYNTHETIC = "synthetic"
CONTROL = "augmented_steps"
"""The mix that the answer compares with: the best use of the same number of steps without a
synthetic frame. It was chosen before anything was measured."""
POSITIVE = "real_frames"
"""The mix of the positive control, which shows whether the trial could have shown a difference."""
MIXES: Mapping[str, str] = {
    POSITIVE: "Control by real frames",
    "real": "Real frames",
    "augmented": "Real, with varied copies",
    SYNTHETIC: "Real and synthetic",
    "real_steps": "Real, as many steps",
    CONTROL: "Real, varied, as many steps",
}
"""The data mixes that are trained on and compared, with their names.

``real_frames``: as ``augmented_steps``, but with as many more real frames as there are pairs; or,
if there are not enough, with half of the real frames. ``real``: each real frame once an epoch.
``augmented``: also one varied copy of each, whose box is derived after it was varied.
``synthetic``: the real frames and the pairs. ``*_steps``: the real frames, or always new varied
copies of them, until an epoch has as many frames as that of ``synthetic``. These, and the positive
control, take the same number of optimiser steps as ``synthetic``, so that longer training is not
mistaken for better data."""

Item = TypeVar("Item")


def added_by_control(spare: Sequence[Item], real: int, pairs: int) -> Sequence[Item]:
    """The ``spare`` real frames that the positive control adds: as many as there are ``pairs``.

    Empty if there are fewer than both the pairs and the ``real`` frames of the other mixes: the
    control then leaves out half of these instead.
    """
    return spare[:pairs] if len(spare) >= min(real, pairs) else []


def examples_in(mix: str, real: int, pairs: int) -> int:
    """How many frames an epoch of the mix shows."""
    return {"real": real, "augmented": 2 * real}.get(mix, real + pairs)


def steps_in(mix: str, real: int, pairs: int, *, epochs: int, batch: int) -> int:
    """How many optimiser steps the mix takes."""
    return epochs * math.ceil(examples_in(mix, real, pairs) / batch)
