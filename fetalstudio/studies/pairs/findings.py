"""What a trial shows so far, from its settings and raw results alone.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import over_repeats
from fetalstudio.engine.jobs.experiment.request import Answer, Comparison, answer, compare
from fetalstudio.studies.pairs.plan import RANDOM, REAL, Run, runs_of
from fetalstudio.studies.pairs.results import AUTO, WAYS, Figure, Results, Settings

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm with one number of frames, tested in one way on one group of frames."""

    base: str
    real: int
    arm: str
    way: str
    group: str | None
    draws: tuple[int, ...]
    frames: int
    subjects: int
    dice: Interval
    """The mean, with its 95 % interval over subjects and draws."""
    by_draw: tuple[float, ...]
    """The mean of each draw over the frames that it tested; nothing is filled in."""
    failures: float
    """Share of the tests with a Dice below 0.9."""
    hc_mae_mm: float | None
    """Mean absolute error of HC where an ellipse was found; None without pixel sizes."""
    against_real: Comparison | None
    """The Dice minus that of N real frames, in the draws that have both."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a trial shows so far."""

    settings: Settings
    cells: tuple[Cell, ...]
    draws: int
    """The draws in which the primary comparison and its control are complete."""
    primary: Comparison | None
    control: Comparison | None
    answer: Answer | None
    """None before all draws that were decided on are there."""
    done: int
    planned: int
    seconds: float
    """CPU time of all runs."""


def completed(values: Values) -> Values:
    """(draws, frames) with NaN where a draw learnt from the frame, filled in.

    The filled values are those that an additive model of draws and frames expects, so that no
    draw gains by having learnt from the difficult frames. Each frame needs one value at least.
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, np.nanmean(values, axis=0))
    for _ in range(500):
        rows, columns = filled.mean(axis=1, keepdims=True), filled.mean(axis=0)
        expected = np.where(known, values, rows + columns - filled.mean())
        if np.allclose(expected, filled, rtol=0, atol=1e-7):
            break
        filled = expected
    return np.asarray(filled)


def findings(settings: Settings, results: Results) -> Findings:
    """What the results show so far."""
    cells = []
    ways = [way for way in WAYS if any(way in r.figures for r in results.all)]
    # Without runs that are made twice, in the order of the plan.
    rows = dict.fromkeys((r.run.base, r.run.real, r.run.arm) for r in results.all)
    order = list(dict.fromkeys((r.base, r.real, r.arm) for r in runs_of(settings.design)))
    for way in ways:
        for group in groups_of(settings):
            scope = _Scope(settings, results, way, group)
            cells += [scope.cell(*row) for row in sorted(rows, key=order.index)]
    primary = settings.primary
    scope = _Scope(settings, results, AUTO, primary.group)
    needed = (primary.first, primary.second, primary.control)
    draws = scope.common(RANDOM, primary.real, needed)
    pairs = control = given = None
    if draws:
        named = RANDOM, primary.real
        pairs = scope.compared((*named, primary.first), (*named, primary.second), draws)
        control = scope.compared((*named, primary.control), (*named, primary.second), draws)
        if len(draws) >= primary.draws:
            given = answer(pairs, control, scope.subjects, primary.margin)
    return Findings(
        settings,
        tuple(cells),
        len(draws),
        pairs,
        control,
        given,
        len({r.run for r in results.all}),
        len(runs_of(settings.design)),
        sum(r.cpu_seconds for r in results.all),
    )


def groups_of(settings: Settings) -> list[str | None]:
    """The groups to report: all frames first, unless they are of different cohorts."""
    groups: list[str | None] = list(dict.fromkeys(frame.group for frame in settings.test))
    return [None, *groups] if settings.primary.group is None and len(groups) > 1 else groups


class _Scope:
    """The results of one way on one group."""

    def __init__(self, settings: Settings, results: Results, way: str, group: str | None) -> None:
        self.way, self.group, self.results = way, group, results
        self.chosen = [i for i, frame in enumerate(settings.test) if group in (None, frame.group)]
        self.names = [settings.test[i].subject for i in self.chosen]

    @property
    def subjects(self) -> int:
        return len(set(self.names))

    def common(self, base: str, real: int, arms: Sequence[str]) -> list[int]:
        """The draws in which all of these arms are done."""
        return sorted(set.intersection(*(set(self._by_draw(base, real, arm)) for arm in arms)))

    def cell(self, base: str, real: int, arm: str) -> Cell:
        """The figures of an arm."""
        draws = self.common(base, real, [arm])
        values = self._values((base, real, arm), draws, lambda f: f.dice)
        tested = _anywhere(values)
        names = [self.names[i] for i in np.flatnonzero(tested)]
        filled = completed(values[:, tested])
        errors = self._values((base, real, arm), draws, _hc_error)
        both = self.common(base, real, [arm, REAL])
        against = None
        if arm != REAL and both:
            against = self.compared((base, real, arm), (base, real, REAL), both)
        dice = over_repeats(filled, names)
        return Cell(
            base,
            real,
            arm,
            self.way,
            self.group,
            tuple(draws),
            int(tested.sum()),
            len(set(names)),
            replace(dice, low=max(dice.low, 0.0), high=min(dice.high, 1.0)),
            tuple(np.nanmean(values, axis=1).tolist()),
            float((values[~np.isnan(values)] < FAILURE).mean()),
            None if np.isnan(errors).all() else float(np.nanmean(errors)),
            against,
        )

    def compared(
        self, first: tuple[str, int, str], second: tuple[str, int, str], draws: Sequence[int]
    ) -> Comparison:
        """The first arm minus the second, in these draws, on the frames that both are tested on."""
        pair = [self._values(named, draws, lambda f: f.dice) for named in (first, second)]
        tested = _anywhere(pair[0]) & _anywhere(pair[1])
        names = [self.names[i] for i in np.flatnonzero(tested)]
        a, b = (completed(values[:, tested]) for values in pair)
        found = compare(a.tolist(), b.tolist(), names, against=second[2])
        # Failures and the draws' own differences are of the tested frames alone, not filled in.
        both = ~np.isnan(pair[0]) & ~np.isnan(pair[1])
        failed = [float((values[both] < FAILURE).sum()) / len(draws) for values in pair]
        plain = np.nanmean(pair[0] - pair[1], axis=1)
        return replace(found, failures=(failed[0], failed[1]), by_seed=tuple(plain.tolist()))

    def _by_draw(self, base: str, real: int, arm: str) -> dict[int, Sequence[Figure | None]]:
        return {
            r.run.draw: r.figures[self.way]
            for r in self.results.all
            if r.run == Run(arm, real, r.run.draw, base) and self.way in r.figures
        }

    def _values(
        self,
        named: tuple[str, int, str],
        draws: Sequence[int],
        value: Callable[[Figure], float | None],
    ) -> Values:
        """(draws, frames); NaN for frames that were learnt from and values that are unknown."""
        found = self._by_draw(*named)
        rows = [[found[draw][i] for i in self.chosen] for draw in draws]
        values = [[None if f is None else value(f) for f in row] for row in rows]
        return np.array([[math.nan if v is None else v for v in row] for row in values])


def _anywhere(values: Values) -> NDArray[np.bool_]:
    """(frames,): which frames were tested in any draw."""
    return np.asarray(np.isfinite(values).any(axis=0))


def _hc_error(figure: Figure) -> float | None:
    return None if figure.hc_error_mm is None else abs(figure.hc_error_mm)
