"""Whether a segmenter's confidence can be believed."""

from dataclasses import replace

import numpy as np
import pytest

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.models.loading import find_model, load_segmenter
from fetalstudio.project.project import Project
from fetalstudio.segmentation.segmenter import Segmenter
from fetalstudio.studies.reliability import Estimates, estimates, plot, reliability


def test_what_comes_as_expected_has_no_error_and_what_does_not_has_the_difference() -> None:
    actual = np.array([0.95, 0.93, 0.55, 0.55])
    good = actual > 0.9
    dice = np.where(good, 0.97, 0.7)
    exact = reliability(Estimates(np.array([0.94, 0.94, 0.55, 0.55]), actual, dice))
    assert exact["calibration_error"] == pytest.approx(0)
    assert (exact["auroc"], exact["bad"]) == (1.0, 2)
    off = reliability(Estimates(np.array([0.99, 0.99, 0.99, 0.99]), actual, dice))
    assert off["calibration_error"] == pytest.approx(0.99 - actual.mean())
    assert off["auroc"] == 0.5
    assert [b["n"] for b in off["bins"]] == [4]
    bins = [{"n": 10, "expected": x, "actual": x} for x in (0.6, 0.9)]
    wrong = [{**b, "actual": 0.7} for b in bins]
    assert (plot({"n": 20, "bins": bins}) != plot({"n": 20, "bins": wrong})).any()


def test_where_none_is_bad_nothing_can_be_told_apart() -> None:
    same = np.array([0.96, 0.97])
    assert reliability(Estimates(same, same, same))["auroc"] is None


@pytest.mark.slow
def test_hard_copies_are_expected_to_be_worse_and_are(sample_project: Project) -> None:
    segmenter = load_segmenter(find_model("segmenter", "compact"))
    frames = labelled_frames(sample_project)[:3]
    plain = estimates(segmenter, frames, copies=0)
    assert len(plain.dice) == 3
    held = estimates(segmenter, frames, copies=2)
    assert held.actual.mean() < plain.actual.mean()
    assert held.expected.mean() < plain.expected.mean()


def test_the_curve_of_the_card_is_what_a_segmenter_says() -> None:
    bundled = load_segmenter(find_model("segmenter", "compact"))
    curve = {"slope": 1.0, "offset": -1.0}
    told = Segmenter(
        bundled.sam,
        replace(bundled.card, preprocessing={**bundled.card.preprocessing, "confidence": curve}),
    )
    plain = Segmenter(
        bundled.sam,
        replace(bundled.card, preprocessing={**bundled.card.preprocessing, "confidence": {}}),
    )
    image = np.full((54, 80), 40, np.uint8)
    image[Ellipse(40, 27, 25, 18, 0).mask((80, 54)) > 0] = 160
    assert (told.predict(image).confidence or 1.0) < (plain.predict(image).confidence or 0.0)
