"""What a trial shows so far, from its settings and raw results alone.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import over_repeats
from fetalstudio.engine.evidence import Answer
from fetalstudio.engine.jobs.experiment.answer import Comparison, answer, compare
from fetalstudio.studies.pairs.plan import RANDOM, REAL, SECONDARY, Primary, Run, runs_of
from fetalstudio.studies.pairs.results import AUTO, WAYS, Figure, Results, Settings

Values = NDArray[np.float64]
FEWEST_DRAWS = 3
"""For an interval of an arm: that of one draw would be over subjects alone, and that of two says
nothing."""


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
    """The mean, with its 95 % interval over subjects and draws; not a number with fewer draws than
    :data:`FEWEST_DRAWS`."""
    by_draw: tuple[float, ...]
    """The mean of each draw over the frames that it tested; nothing is filled in."""
    failures: float
    """Share of the tests with a Dice below 0.9."""
    hc_mae_mm: float | None
    """Mean absolute error of HC where an ellipse was found; None without pixel sizes."""
    against_real: Comparison | None
    """The Dice minus that of N real frames, in the draws that have both."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The primary comparison of a design, with some number of real frames."""

    real: int
    draws: int
    """The draws in which the comparison and its control are complete."""
    planned: int
    """The draws that were decided on."""
    subjects: int
    pairs: Comparison | None
    control: Comparison | None
    answer: Answer | None
    """None before all draws that were decided on are there."""


@dataclass(frozen=True, slots=True)
class Secondary:
    """A comparison that is reported beside the primary one."""

    first: str
    second: str
    draws: int
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class Findings:
    """What a trial shows so far."""

    settings: Settings
    cells: tuple[Cell, ...]
    answered: tuple[Answered, ...]
    """The comparison by number of real frames, as far as any draw of it is complete; that of the
    primary number comes first, also before that."""
    secondary: tuple[Secondary, ...]
    """Those of which any draw is complete."""
    done: int
    planned: int
    seconds: float
    """CPU time of all runs."""

    @property
    def primary(self) -> Answered:
        """The comparison that was decided on before the first run."""
        return self.answered[0]


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
    others = sorted({r.run.real for r in results.all if r.run.base == RANDOM} - {primary.real})
    answers = [scope.answered(primary, real) for real in (primary.real, *others)]
    return Findings(
        settings,
        tuple(cells),
        (answers[0], *(one for one in answers[1:] if one.draws)),
        tuple(scope.secondary(primary.real)),
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
        self.design = settings.design
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
        dice = replace(dice, low=max(dice.low, 0.0), high=min(dice.high, 1.0))
        if len(draws) < FEWEST_DRAWS:
            dice = replace(dice, low=math.nan, high=math.nan)
        return Cell(
            base,
            real,
            arm,
            self.way,
            self.group,
            tuple(draws),
            int(tested.sum()),
            len(set(names)),
            dice,
            tuple(np.nanmean(values, axis=1).tolist()),
            float((values[~np.isnan(values)] < FAILURE).mean()),
            None if np.isnan(errors).all() else float(np.nanmean(errors)),
            against,
        )

    def answered(self, primary: Primary, real: int) -> Answered:
        """The primary comparison with ``real`` frames."""
        needed = (primary.first, primary.second, primary.control)
        draws = self.common(RANDOM, real, needed)
        run = Run(primary.first, real, 0, RANDOM)
        planned = sum(replace(one, draw=0) == run for one in runs_of(self.design))
        pairs = control = given = None
        if draws:
            first, second, more = ((RANDOM, real, arm) for arm in needed)
            pairs = self.compared(first, second, draws)
            control = self.compared(more, second, draws)
            if len(draws) >= planned:
                given = answer(pairs, control, self.subjects, primary.margin)
        return Answered(real, len(draws), planned, self.subjects, pairs, control, given)

    def secondary(self, real: int) -> Iterator[Secondary]:
        """The comparisons beside the primary one, with ``real`` frames."""
        for first, second in SECONDARY[self.design]:
            if draws := self.common(RANDOM, real, (first, second)):
                found = self.compared((RANDOM, real, first), (RANDOM, real, second), draws)
                yield Secondary(first, second, len(draws), found)

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
