"""What a model learns from, and what its card says about it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.engine.cohort_split import labelled, some_of
from fetalstudio.project.project import Project
from fetalstudio.simulation import VERSION, simulated_frames
from fetalstudio.studies.log import say

_SIMULATION_SEED = 0
_SIMULATED_SIZE = (480, 324)
"""px; more than the input of either model, and small enough to keep thousands in memory."""
_NOT_LEARNT_FROM = {
    "segmenter": "",
    "outline": "",
    "detail": "; and a quarter of the others, from which the judge learns",
    "synthesizer": "; and a quarter of the others, from which the judge learns",
    "judge": "; and three quarters of the others, from which synthesizers learn",
}
"""What each kind of model does not learn from besides the held-out frames."""
_SUBJECTS_ARE = "examinations of HC18; a woman may recur"
"""What a subject of the cards is: HC18's file names tell examinations apart, not women."""
_CREDIT = (
    "HC18: T.L.A. van den Heuvel, D. de Bruijn, C.L. de Korte, B. van Ginneken, Automated "
    "measurement of fetal head circumference using 2D ultrasound images, Zenodo 1327317, CC BY 4.0"
)


def simulated_frames_of(options: argparse.Namespace) -> list[LabelledFrame]:
    """As many as ``--simulated`` asks for."""
    frames = simulated_frames(options.simulated, _SIMULATION_SEED, size=_SIMULATED_SIZE)
    return [frame.labelled() for frame in frames]


def drawn(items: list[LabelledFrame], options: argparse.Namespace) -> list[LabelledFrame]:
    """As many as ``--frames`` asks for, at random with ``--seed``; without it, all."""
    return list(some_of(items, options.frames, np.random.default_rng(options.seed)))


def real_and_pairs(
    project: Project, data: Mapping[str, list[LabelledFrame]], options: argparse.Namespace
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """The real frames and the accepted pairs to learn from."""
    learnt: list[LabelledFrame] = [] if options.accepted_pairs == "only" else data["train"]
    pairs: list[LabelledFrame] = []
    if options.accepted_pairs:
        accepted = sorted(project.pairs.all(state="accepted"), key=lambda p: p.id)
        pairs = drawn([labelled(project, pair.frame, pair.ellipse) for pair in accepted], options)
        say(f"{len(learnt)} real frames and {len(pairs)} accepted pairs")
    return learnt, pairs


def training_data(
    items: Sequence[LabelledFrame], settings: Mapping[str, Any], simulated: int, kind: str
) -> Mapping[str, Any]:
    """The card's ``training_data`` of a ``kind`` that learnt from these real frames, and from a
    number of simulated ones."""
    simulation = {
        "frames": simulated,
        "seed": _SIMULATION_SEED,
        "size": list(_SIMULATED_SIZE),
        "version": VERSION,
    }
    cohorts = Counter(item.cohort for item in items)
    return {
        "cohorts": dict(cohorts),
        "frames": len(items),
        "subjects": len({item.subject for item in items}),
        "subjects_are": _SUBJECTS_ARE,
        "held_out": "20 % of the subjects to test, 5 % to validate, never seen in training"
        + _NOT_LEARNT_FROM[kind],
        "credit": _CREDIT,
        "settings": dict(settings),
        "simulated": simulation if simulated else {"frames": 0},
    }
