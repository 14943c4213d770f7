r"""The level at which a segmenter's outlines have the right mean length, and how uncertain it is.

    python -m fetalstudio.studies.calibration PROJECT MODEL

prints the level of a trained model (its folder) by the validation part, and the figures of the test
part at the model's own level, with the error of that level in their intervals.

A level that is fitted to a few dozen frames is a measurement with an error, and every figure of the
calibrated model has a share of it. Validation frames are drawn again by subject, within each
trimester, and count as often as their trimester occurs among all frames.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.metrics import Interval
from fetalstudio.core.statistics import DRAWS, mean_interval
from fetalstudio.engine.cohort_split import bundled_parts, labelled_frames, of_part
from fetalstudio.engine.jobs.evaluate.evaluation import score_frame
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter

TRIED = -0.4
"""The level at which outlines are compared with those at level 0. The bias is nearly linear in the
level, because the outline moves evenly with it."""


@dataclass(frozen=True, slots=True)
class Level:
    """A calibrated level."""

    value: float
    draws: NDArray[np.float64]
    """(:data:`~fetalstudio.core.statistics.DRAWS`,): the levels by other validation subjects."""
    frames: int

    @property
    def error(self) -> float:
        """The standard error."""
        return float(self.draws.std())

    def moved_to(self, value: float) -> Level:
        """Another level with the same error."""
        return replace(self, value=value, draws=self.draws - self.value + value)


def calibrated_level(
    found: Callable[[LabelledFrame, float], float | None],
    items: Sequence[LabelledFrame],
    shares: Mapping[str, float],
) -> Level:
    """The level of the least bias on ``items``.

    ``found`` gives the length of the outline in a frame at a level, as a ratio to the person's
    minus 1, or None without an outline. ``shares`` are those of the trimesters
    (:attr:`~fetalstudio.core.labelled.LabelledFrame.style`) among all frames. The level is 0 where
    nothing is found, or where that of the least bias is out of reach.
    """
    pairs = [(item, found(item, 0.0), found(item, TRIED)) for item in items]
    kept = [(item, low, high) for item, low, high in pairs if low is not None and high is not None]
    if not kept:
        return Level(0.0, np.zeros(DRAWS), 0)
    bias = np.array([(low, high) for _, low, high in kept])
    subjects = np.array([item.subject for item, _, _ in kept])
    strata = np.array([item.style for item, _, _ in kept])
    present = {style: shares.get(style, 0.0) or 1e-9 for style in sorted(set(strata))}
    rng = np.random.default_rng(0)
    means, drawn = np.zeros(2), np.zeros((DRAWS, 2))
    for style, share in present.items():
        share /= sum(present.values())
        inside = strata == style
        _, group = np.unique(subjects[inside], return_inverse=True)
        counts = np.bincount(group)
        sums = np.stack([np.bincount(group, weights=bias[inside, k]) for k in range(2)], axis=1)
        chosen = rng.integers(0, len(counts), (DRAWS, len(counts)))
        mean = bias[inside].mean(axis=0)
        means += share * mean
        draws = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1, keepdims=True)
        # A bootstrap of n subjects scatters by n - 1 of n.
        n = len(counts)
        drawn += share * (mean + (draws - mean) * np.sqrt(n / max(n - 1, 1)))
    return Level(float(_zero(means)), np.asarray(_zero(drawn)), len(kept))


def _zero(bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a line through the biases (..., 2) is zero; 0 where that is out of reach."""
    low, high = bias[..., 0], bias[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        level = TRIED * low / (low - high)
    return np.where(np.isfinite(level) & (abs(level) <= 2 * abs(TRIED)), level, 0.0)


def shares_of(items: Sequence[LabelledFrame]) -> Mapping[str, float]:
    """The share of each trimester among the frames."""
    counts = Counter(item.style for item in items)
    return {style: count / len(items) for style, count in counts.items()}


def figures_with_error(
    score: Callable[[LabelledFrame, float], FrameScore],
    items: Sequence[LabelledFrame],
    level: Level,
) -> Mapping[str, Interval]:
    """Dice, HC error and HC bias of ``items`` at the level, with intervals that hold for other
    subjects and for other validation frames.

    ``score`` measures a frame at a level. How far the level moves each mean is taken from one
    standard error below and above.
    """
    step = max(level.error, 1e-3)
    below, at, above = (
        [score(item, level.value + sign * step) for item in items] for sign in (-1, 0, 1)
    )
    moved = (level.draws - level.value) / (2 * step)
    subjects = [item.subject for item in items]
    named: Mapping[str, Callable[[FrameScore], float | None]] = {
        "dice": lambda s: s.dice,
        "hc_mae_mm": lambda s: None if s.hc_error_mm is None else abs(s.hc_error_mm),
        "hc_bias_mm": lambda s: s.hc_error_mm,
    }
    figures = {}
    for name, figure in named.items():
        rows = [[figure(one) for one in scores] for scores in (below, at, above)]
        known = [k for k in range(len(items)) if all(row[k] is not None for row in rows)]
        if not known:
            continue
        first, values, last = (np.array([row[k] for k in known], float) for row in rows)
        errors = moved * float(last.mean() - first.mean())
        of = [subjects[k] for k in known]
        figures[name] = mean_interval(values.tolist(), of, more=errors)
    return figures


def at_level(segmenter: Segmenter, level: float) -> Segmenter:
    """The same segmenter with another level."""
    card = segmenter.card
    values = {**card.preprocessing, "level": level}
    return Segmenter(segmenter.sam, replace(card, preprocessing=values), segmenter.device)


def bias_of(segmenter: Segmenter, item: LabelledFrame, level: float) -> float | None:
    """The length of the outline in a frame as a ratio to the person's, minus 1."""
    found = at_level(segmenter, level).predict(item.image).ellipse
    return None if found is None else found.perimeter / item.ellipse.perimeter - 1


def level_of(segmenter: Segmenter, items: Sequence[LabelledFrame]) -> Level:
    """The level that the validation part of ``items``, all frames of a data set, asks for."""
    validation = of_part(items, bundled_parts(items), "validation")
    return calibrated_level(
        lambda item, at: bias_of(segmenter, item, at), validation, shares_of(items)
    )


def as_plain(figures: Mapping[str, Interval], level: Level) -> dict[str, Any]:
    """The figures for a card."""
    return {
        "level": level.value,
        "level_error": level.error,
        "calibrated_on": level.frames,
        **{n: {"mean": f.mean, "ci95": [f.low, f.high]} for n, f in figures.items()},
    }


def main() -> None:
    """Print the level, and the figures with its error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("model", type=Path, help="the folder of a segmenter")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model)
    with Project.open(options.project) as project:
        items = labelled_frames(project)
        test = of_part(items, bundled_parts(items), "test")
        level = level_of(segmenter, items)
        print(f"level {level.value:.3f}, standard error {level.error:.3f}", flush=True)
        own = level.moved_to(segmenter.level)
        figures = figures_with_error(
            lambda item, at: score_frame(at_level(segmenter, at), item), test, own
        )
    print(json.dumps(as_plain(figures, own), indent=2))


if __name__ == "__main__":
    main()
