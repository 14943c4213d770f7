"""Tables and figures of a trial, from its settings and raw results alone.

Imports no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fetalstudio.core.metrics import FAILURE, Interval
from fetalstudio.core.statistics import over_repeats
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.experiment.request import Answer, Comparison, answer, compare
from fetalstudio.formats.files import write_bytes
from fetalstudio.formats.tables import table_text
from fetalstudio.studies.pairs.figures import figure
from fetalstudio.studies.pairs.plan import ARMS, BASES, RANDOM, REAL, Run, runs_of
from fetalstudio.studies.pairs.results import AUTO, WAYS, Figure, Results, Settings

Values = NDArray[np.float64]
SAID: dict[Answer, str] = {
    "yes": "Yes",
    "no": "No: as well without them, to within the margin",
    "harm": "No: it is worse with them",
    "unknown": "It is not known",
    "too_few": "Too few subjects or draws to tell",
    "insensitive": "This trial could not have shown a difference",
}


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
            tuple(filled.mean(axis=1).tolist()),
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
        # Failures are counted, not filled in.
        both = ~np.isnan(pair[0]) & ~np.isnan(pair[1])
        failed = [float((values[both] < FAILURE).sum()) / len(draws) for values in pair]
        return replace(found, failures=(failed[0], failed[1]))

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


def show(folder: Path) -> str:
    """Write ``trial.md``, ``trial.csv`` and ``trial.png``, and return the text of the first.

    Raises ``InputError`` if the folder holds no trial.
    """
    settings, results = Settings.read(folder), Results(folder)
    found = findings(settings, results)
    text = markdown(found)
    write_bytes(folder / "trial.md", text.encode())
    write_bytes(folder / "trial.csv", long_table(found.cells).encode())
    png = cv2.imencode(".png", figure(found)[..., ::-1])[1]
    write_bytes(folder / "trial.png", png.tobytes())
    return text


def markdown(found: Findings) -> str:
    """The primary comparison in a sentence, and a table for each way and group."""
    lines = [verdict(found), ""]
    for way in dict.fromkeys(cell.way for cell in found.cells):
        for group in dict.fromkeys(cell.group for cell in found.cells):
            cells = [c for c in found.cells if (c.way, c.group) == (way, group)]
            lines += [f"### {group or 'All test frames'}, {_WAY_WORDS[way]}", ""]
            lines += [*_table(cells), ""]
    hours = found.seconds / 3600
    lines.append(
        f"{found.done} of {found.planned} runs are done; they took {hours:.1f} hours of one core."
    )
    return "\n".join(lines) + "\n"


_WAY_WORDS = {
    "auto native": "without a prompt, native resolution",
    "box native": "box, native resolution",
    "auto paper": "without a prompt, the paper's protocol",
    "box paper": "box, the paper's protocol",
}


def verdict(found: Findings) -> str:
    """The primary comparison in words. Nothing is claimed before all its draws are there."""
    primary = found.settings.primary
    about = (
        f"Primary comparison: {ARMS[primary.first]}, minus {ARMS[primary.second]}, at N = "
        f"{primary.real}"
    )
    if found.primary is None or found.control is None:
        return f"{about}. No draw of it is complete yet."
    numbers = (
        f"{_points(found.primary.difference)} points of Dice; {found.primary.failures[0]:.1f} "
        f"failures a draw against {found.primary.failures[1]:.1f}. Positive control, "
        f"{ARMS[primary.control]}: {_points(found.control.difference)} points"
    )
    if found.answer is None:
        return (
            f"{about}. Interim: {found.draws} of {primary.draws} draws; nothing is claimed before "
            f"all are there. So far {numbers}."
        )
    claim = f" It may claim: {primary.claim}." if found.answer == "yes" else ""
    return f"{about}. {SAID[found.answer]} ({counted(found.draws, 'draw')}): {numbers}.{claim}"


def _table(cells: Sequence[Cell]) -> list[str]:
    hc = any(cell.hc_mae_mm is not None for cell in cells)
    head = ["base", "N", "arm", "draws", "frames", "Dice (95 %)", "failures"]
    head += [*(["HC error mm"] if hc else []), "minus N real, points"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for c in cells:
        row = [BASES[c.base], str(c.real), ARMS[c.arm], str(len(c.draws)), str(c.frames)]
        row += [_interval(c.dice), f"{100 * c.failures:.0f} %"]
        if hc:
            row.append("" if c.hc_mae_mm is None else f"{c.hc_mae_mm:.2f}")
        row.append("" if c.against_real is None else _points(c.against_real.difference))
        lines.append(f"| {' | '.join(row)} |")
    return lines


def long_table(cells: Sequence[Cell]) -> str:
    """CSV with a row for each cell."""
    rows = [
        {
            "base": c.base,
            "real": c.real,
            "arm": c.arm,
            "prompt_and_protocol": c.way,
            "group": c.group or "all",
            "draws": len(c.draws),
            "frames": c.frames,
            "subjects": c.subjects,
            "dice": f"{c.dice.mean:.6f}",
            "low": f"{c.dice.low:.6f}",
            "high": f"{c.dice.high:.6f}",
            "failures": f"{c.failures:.4f}",
            "hc_mae_mm": "" if c.hc_mae_mm is None else f"{c.hc_mae_mm:.3f}",
            "minus_real": c.against_real and round(c.against_real.difference.mean, 6),
        }
        for c in cells
    ]
    names = tuple(rows[0]) if rows else ("base",)
    return table_text(names, rows)


def _interval(value: Interval) -> str:
    if math.isnan(value.low):
        return f"{value.mean:.4f}"
    return f"{value.mean:.4f} ({value.low:.4f} to {value.high:.4f})"


def _points(value: Interval) -> str:
    """In points of Dice; without an interval where there are too few draws or subjects."""
    text = f"{100 * value.mean:+.2f}"
    if math.isnan(value.low):
        return f"{text} (too few for an interval)"
    return f"{text} ({100 * value.low:+.2f} to {100 * value.high:+.2f})"
