"""Calvarial dropout: where the beam runs along the bone, its echo does not come back."""

from __future__ import annotations

import numpy as np

from fetalstudio.simulation.acoustics import Field


def dropout(rng: np.random.Generator, turn: Field, incidence: Field) -> Field:
    """What is left of the echo around the skull, 0 to 1.

    ``turn`` is the angle around the ellipse (rad), ``incidence`` |cos| of the angle between the
    beam and the outline's normal. The two ends of a head differ, because they lie on other beams.
    Where the beam is perpendicular nothing is lost.
    """
    left = np.ones_like(incidence)
    for side in (np.cos(turn) >= 0, np.cos(turn) < 0):
        limit, soft = float(rng.uniform(0.1, 0.45)), float(rng.uniform(0.04, 0.12))
        lost = 1 / (1 + np.exp(np.clip((incidence - limit) / soft, -30, 30)))
        left -= side * float(rng.uniform(0.5, 1.0)) * lost
    return left.astype(np.float32)
