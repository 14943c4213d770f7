"""The study of conventions: what following one gains, and how well it is recovered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.jobs.evaluate.score_table import write_scores
from fetalstudio.studies.convention import gain, read_drawn, recovered


def test_ellipses_that_were_grown_are_recovered_and_followed(tmp_path: Path) -> None:
    scores = []
    for i, size in enumerate(np.random.default_rng(0).normal(1, 0.005, 8)):
        e = Ellipse(300, 200, 150, 110, 10)
        reference = Ellipse(300, 200, 150 * size, 110 * size, 10)
        scores.append(
            FrameScore(
                frame_id=f"f{i}",
                name=f"f{i}",
                subject=f"s{i}",
                cohort="c",
                dice=0.99,
                iou=0.98,
                hd95_px=1.0,
                assd_px=1.0,
                reference=reference,
                found=None if i == 7 else e,
            )
        )
    write_scores(tmp_path / "scores.csv", scores)
    drawn = read_drawn(tmp_path / "scores.csv")
    assert len(drawn) == 7 and drawn[0].found == Ellipse(300, 200, 150, 110, 10)
    assert np.abs(recovered(drawn, 1.04, 5, 3)).max() < 0.005
    dice, more = gain([d.grown(1.04) for d in drawn], 5, 1)
    assert more.mean == pytest.approx(0.03, abs=0.006) and more.low > 0.02
    assert dice > 0.98
