"""The table of goals says what is reached, met and missed, and measures nothing twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.statistics import percentile_interval
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.models.loading import judge_model, load_segmenter
from fetalstudio.project.project import Project
from fetalstudio.segmentation.outline import SecondLook
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies import goals
from fetalstudio.studies.goals import PROPOSALS, TIMES, Goal, of_fidelity, proposals, table
from fetalstudio.studies.realism.pictures import Pictures
from tests.scores import scored

FIGURE = {"mean": 0.981, "ci95": [0.979, 0.983], "n": 153, "subjects": 127}


def test_a_row_says_whether_the_goal_is_met() -> None:
    goal = Goal("dice", "Dice", least=0.982)
    assert goal.row(FIGURE) == (
        "| Dice | at least 0.9820 | 0.9810 | 0.9790 to 0.9830 | 153 (127) "
        "| missed, but the interval reaches it |"
    )
    assert goal.row({**FIGURE, "mean": 0.983}).endswith("| met |")
    assert goal.row({**FIGURE, "ci95": [0.979, 0.9815]}).endswith("| missed |")
    assert goal.row(None) == "| Dice | at least 0.9820 | not measured | | | |"
    bias = Goal("bias", "bias", least=-0.3, most=0.3, digits=1)
    wide = {**FIGURE, "mean": 0.0, "ci95": [-0.5, 0.5], "subjects": None}
    assert bias.row(wide) == "| bias | -0.3 to +0.3 | +0.0 | -0.5 to +0.5 | 153 | met |"
    # An interval may span a goal that neither of its ends meets.
    assert bias.row({**wide, "mean": 0.4, "ci95": [-0.4, 1.2]}).endswith("reaches it |")
    assert Goal("s", "time").row({**FIGURE, "ci95": None}).endswith("| 0.9810 | | 153 (127) | |")


def frames() -> list[LabelledFrame]:
    """HC18 in three trimesters, and two hospitals without a pixel size."""
    found = []
    rng = np.random.default_rng(0)
    for i in range(120):
        a = (80, 200, 320)[i % 3] * float(rng.uniform(0.97, 1.03))
        one = LabelledFrame.of(
            np.zeros((8, 8), np.uint8),
            Ellipse(400, 270, a, 0.8 * a, 0),
            id=f"h{i}",
            subject=f"h{i}",
            calibration=Calibration(0.15, 0.15, "table"),
        )
        found.append(replace(one, cohort="HC18"))
    for cohort in ("Spain", "Africa"):
        for i in range(8):
            labels = {"quality": "cut" if i == 0 else "clear"}
            one = replace(found[i], id=f"{cohort}{i}", subject=f"{cohort}{i}", calibration=None)
            found.append(replace(one, cohort=cohort, labels=labels))
    return found


def test_figures_are_of_frames_kept_aside_before_and_after_the_second_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, bool]] = []

    class Outline:
        level = -0.3

    def score(segmenter: Any, item: LabelledFrame, *, outline: Any = None) -> FrameScore:
        seen.append((item.id, outline is not None))
        error = 1.0 if outline is None else 0.5
        return scored(
            item.id,
            subject=item.subject,
            cohort=item.cohort,
            dice=0.99 - error / 100,
            hc_error_mm=None if item.calibration is None else error,
        )

    monkeypatch.setattr(goals, "score_frame", score)
    monkeypatch.setattr(goals, "at_level", lambda segmenter, level: segmenter)
    monkeypatch.setattr(
        "fetalstudio.studies.calibration.bias_of",
        lambda segmenter, item, at: 0.01 + 0.01 * at + 0.0001 * item.ellipse.a,
    )
    segmenter = cast(Segmenter, Outline())
    found = proposals(segmenter, cast(SecondLook, object()), frames(), tmp_path)
    for name, dice in (("plain", 0.98), ("snapped", 0.985)):
        of = found[name]
        assert of["dice"]["mean"] == of["worst"]["mean"] == pytest.approx(dice)
        assert of["dice"]["n"] == sum(of[f"{t}_dice"]["n"] for t in ("first", "second", "third"))
        assert 12 < of["dice"]["n"] < 40 and of["Spain_dice"]["n"] == of["Africa_dice"]["n"] == 7
    assert found["plain"]["hc_mae_mm"]["mean"] == 1
    assert found["gain"]["hc_mae_mm"]["mean"] == pytest.approx(-0.5)
    assert found["gain"]["Africa_dice"]["mean"] == pytest.approx(0.005)
    # Each frame of the test part is measured at three levels, with and without the second look.
    assert max(seen.count(one) for one in set(seen)) == 3
    measured = len(seen)
    again = proposals(segmenter, cast(SecondLook, object()), frames(), tmp_path)
    assert again == found and len(seen) == measured
    text = table(found, {}, {}, {goal.key: FIGURE for goal in TIMES})
    assert text.count("not measured") == 4 and text.count(PROPOSALS[0].words) == 3


def test_fidelity_is_what_the_judge_finds_in_the_pictures(
    sample_project: Project,
) -> None:
    items = [item.loaded() for item in labelled_frames(sample_project)[:3]]
    found = of_fidelity(Pictures(items, [item.image for item in items]))
    judge = load_segmenter(judge_model())
    heads = [judge.predict(item.image).ellipse for item in items]
    overlaps = [e.overlap(i.ellipse) for e, i in zip(heads, items, strict=True) if e is not None]
    assert found["dice"]["mean"] == pytest.approx(np.mean(overlaps), abs=0.004)
    assert found["dice_5th_percentile"]["mean"] == pytest.approx(min(overlaps), abs=0.01)
    assert found["dice"]["n"] == 3


def test_a_percentile_has_an_interval_over_subjects() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, 200).tolist()
    alone = percentile_interval(values, [str(i) for i in range(200)], 5)
    grouped = percentile_interval(sorted(values), [str(i // 20) for i in range(200)], 5)
    assert alone.mean == grouped.mean == pytest.approx(0.05, abs=0.03)
    assert alone.low < alone.mean < alone.high and alone.high - alone.low < 0.1
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert np.isnan(percentile_interval([1.0, 2.0], ["a", "a"], 5).low)
    with pytest.raises(ValueError, match="need a subject each"):
        percentile_interval([1.0], ["a", "b"], 5)
