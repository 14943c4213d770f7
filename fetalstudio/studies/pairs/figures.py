"""The figures of a trial.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fetalstudio.core.metrics import Interval
from fetalstudio.studies.pairs.findings import Cell, Findings
from fetalstudio.studies.pairs.plan import ARMS, MORE_REAL, PAIRS, RANDOM, REAL
from fetalstudio.studies.pairs.results import AUTO, BOX
from fetalstudio.studies.plots import blank_figure, pixels_of

_SIZE = (1400, 1000)
_COLOURS = {REAL: "#d68c28", PAIRS: "#148c82", MORE_REAL: "#6e747e"}
_OTHER = "#4a6fa5"


def figure(found: Findings) -> NDArray[np.uint8]:
    """RGB (1000, 1400, 3) uint8: by N in the paper's layout, or else by arm."""
    return _by_number(found) if found.settings.design == "paper" else _by_arm(found)


def _by_arm(found: Findings) -> NDArray[np.uint8]:
    """For each N, the Dice of every arm with its draws, and what it differs from N real frames."""
    cells = [c for c in found.cells if c.group is None or c.group == found.settings.primary.group]
    cells = [c for c in cells if c.base == RANDOM and c.way == AUTO] or list(found.cells)
    numbers = sorted({c.real for c in cells})
    sheet = blank_figure(_SIZE)
    grid = sheet.subplots(
        max(len(numbers), 1),
        2,
        squeeze=False,
        width_ratios=(3, 2),
        height_ratios=[sum(c.real == n for c in cells) + 1 for n in numbers] or None,
    )
    for (dice, gain), number in zip(grid, numbers, strict=False):
        shown = [c for c in cells if c.real == number]
        dice.set_title(f"Dice, N = {number}: mean with 95 % interval; dots are draws", loc="left")
        gain.set_title(f"Minus {ARMS[REAL]} (points)", loc="left")
        labels = [f"{ARMS[c.arm]} ({len(c.draws)})" for c in shown]
        dice.set_yticks(range(len(shown)), labels)
        gain.set_yticks(range(len(shown)), [""] * len(shown))
        for y, c in enumerate(shown):
            colour = _COLOURS.get(c.arm, _OTHER)
            dice.plot(c.by_draw, [y] * len(c.by_draw), "o", color=colour, alpha=0.3, markersize=4)
            _mark(dice, y, c.dice, 1.0, colour)
            if c.against_real is not None:
                _mark(gain, y, c.against_real.difference, 100.0, colour)
        gain.axvline(0, color="#787e86", linestyle="dashed")
        for axes in (dice, gain):
            axes.set_ylim(len(shown) - 0.5, -0.5)
            axes.grid(axis="x", color="#e4e6ea")
            axes.set_axisbelow(True)
    return pixels_of(sheet)


def _by_number(found: Findings) -> NDArray[np.uint8]:
    """For each group of frames, the Dice by N without a prompt and with a box."""
    groups = list(dict.fromkeys(c.group for c in found.cells))
    sheet = blank_figure(_SIZE)
    grid = sheet.subplots(2, max(len(groups), 1), squeeze=False, sharex=True, sharey=True)
    numbers = sorted({c.real for c in found.cells})
    for row, way in zip(grid, (AUTO, BOX), strict=True):
        for axes, group in zip(row, groups, strict=False):
            prompt = "no prompt" if way == AUTO else "box"
            axes.set_title(f"{group}, {prompt}: Dice (95 %); dots are draws", loc="left")
            axes.set_xticks(range(len(numbers)), [str(n) for n in numbers])
            axes.grid(axis="y", color="#e4e6ea")
            cells = [c for c in found.cells if (c.way, c.group) == (way, group)]
            for offset, arm in enumerate((REAL, PAIRS, MORE_REAL)):
                _curve(axes, [c for c in cells if c.arm == arm], numbers, arm, 0.1 * (offset - 1))
            if way == BOX:
                axes.set_xlabel("N, the number of real frames")
    if found.cells:
        grid[0][0].legend(frameon=False)
    return pixels_of(sheet)


def _curve(
    axes: Axes, cells: Sequence[Cell], numbers: Sequence[int], arm: str, offset: float
) -> None:
    for c in cells:
        x = [numbers.index(c.real) + offset] * len(c.by_draw)
        axes.plot(x, c.by_draw, "o", color=_COLOURS[arm], alpha=0.3, markersize=4)
    means = [c.dice.mean for c in cells]
    ends = np.array([[m - c.dice.low, c.dice.high - m] for m, c in zip(means, cells, strict=True)])
    axes.errorbar(
        [numbers.index(c.real) + offset for c in cells],
        means,
        yerr=np.nan_to_num(ends.reshape(-1, 2).T),
        color=_COLOURS[arm],
        marker="o",
        capsize=3,
        label=ARMS[arm],
    )


def _mark(axes: Axes, y: int, value: Interval, factor: float, colour: str) -> None:
    low, high = value.mean - value.low, value.high - value.mean
    error = np.nan_to_num(np.array([[low], [high]])) * factor
    axes.errorbar([value.mean * factor], [y], xerr=error, fmt="D", color=colour, capsize=4)
