"""What the trial of the pairs stores can be read again, whatever its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.studies.pairs.plan import PAIRS, REAL, Run
from fetalstudio.studies.pairs.results import Figure, Result, Results


def result(run: Run, angle: float) -> Result:
    figure = Figure(0.9, None, Ellipse(50, 40, 30, 20, angle))
    return Result(run, ("a",), 400, 1.0, 1.0, {"none": (figure, None)})


def angles(folder: Path) -> list[float]:
    figures = [r.figures["none"][0] for r in Results(folder).all]
    return [figure.found.angle_deg for figure in figures if figure and figure.found]


def test_an_angle_that_is_rounded_to_180_is_read_as_0(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.add(result(Run(REAL, 5, 0), 179.998))
    results.add(result(Run(PAIRS, 5, 0), 12.344))
    assert angles(tmp_path) == [0, 12.34]


def test_a_line_that_is_damaged_is_named_and_none_is_lost(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for draw in range(3):
        results.add(result(Run(REAL, 5, draw), draw))
    lines = results.path.read_text().splitlines(keepends=True)
    damaged = lines[0] + lines[1][:30] + "\n" + lines[2]
    results.path.write_text(damaged)
    with pytest.raises(InputError, match=r"results.jsonl, line 2, is damaged"):
        Results(tmp_path)
    assert results.path.read_text() == damaged
