import math
from collections.abc import Sequence

import pytest

from fetalstudio.engine.jobs.evaluate.evaluation import summarise
from fetalstudio.engine.jobs.evaluate.request import EvaluateResult, FrameScore
from fetalstudio.engine.jobs.train.job import verdict


def _result(dices: Sequence[float]) -> EvaluateResult:
    return summarise(
        "model",
        [
            FrameScore(
                frame_id=f"f{i}",
                name=f"f{i}",
                subject=f"s{i}",
                cohort="c",
                dice=d,
                iou=d,
                hd95_px=1.0,
                assd_px=0.5,
            )
            for i, d in enumerate(dices)
        ],
    )


@pytest.mark.parametrize(
    ("after", "interval", "improved", "begins"),
    [
        ([0.97, 0.98], (0.01, 0.03), True, "The new model is better"),
        ([0.92, 0.93], (-0.04, -0.02), True, "The new model is worse"),
        ([0.95, 0.97], (-0.01, 0.02), True, "No clear difference"),
        ([0.97, 0.98], (math.nan, math.nan), True, "Too few test subjects for a verdict"),
        ([0.99, 0.60], (-0.3, 0.03), True, "Keep the current model: 1 of the test frames fail"),
        ([0.95, 0.96], (0.0, 0.0), False, "No epoch was better"),
    ],
)
def test_the_verdict_says_what_the_figures_allow(
    after: list[float], interval: tuple[float, float], improved: bool, begins: str
) -> None:
    sentence = verdict(_result([0.95, 0.96]), _result(after), *interval, improved)
    assert sentence.startswith(begins)
    assert "2 test frames of 2 subjects" in sentence
