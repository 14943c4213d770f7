"""The study of conventions: what following one gains, and how well it is recovered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.evaluate.score_table import write_scores
from fetalstudio.studies.conventions.proposals import (
    following,
    gain,
    main,
    plain,
    read_drawn,
    recovered,
)
from tests.scores import scored


def test_ellipses_that_were_grown_are_recovered_and_followed(tmp_path: Path) -> None:
    scores = []
    for i, size in enumerate(np.random.default_rng(0).normal(1, 0.005, 8)):
        reference = Ellipse(300, 200, 150 * size, 110 * size, 10)
        found = None if i == 7 else Ellipse(300, 200, 150, 110, 10)
        scores.append(scored(f"f{i}", reference=reference, found=found))
    write_scores(tmp_path / "scores.csv", scores)
    drawn = read_drawn(tmp_path / "scores.csv")
    assert len(drawn) == 7 and drawn[0].found == Ellipse(300, 200, 150, 110, 10)
    assert np.abs(recovered(drawn, 1.04, 5, 3)).max() < 0.005
    grown = [d.grown(1.04) for d in drawn]
    after = following(grown, 5, 1)
    more = gain(grown, after, plain(grown))
    assert more.mean == pytest.approx(0.03, abs=0.006) and more.low > 0.02
    assert np.mean(after) > 0.98


def test_the_second_look_is_compared_on_the_same_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    e = Ellipse(300, 200, 150, 110, 10)
    for name, factor, count in (("plain", 0.98, 5), ("snapped", 1.0, 6)):
        found = Ellipse(300, 200, 150 * factor, 110 * factor, 10)
        scores = [scored(f"f{i}", reference=e, found=found) for i in range(count)]
        write_scores(tmp_path / f"{name}.csv", scores)
    table = str(tmp_path / "plain.csv")
    snapped = str(tmp_path / "snapped.csv")
    monkeypatch.setattr("sys.argv", ["convention", table, "--snapped", snapped, "--draws", "1"])
    main()
    printed = capsys.readouterr().out
    assert "n = 5; drawn 2.0 % outside" in printed and "snapped 1.0000" in printed
    assert "over the convention alone +0.0" in printed
