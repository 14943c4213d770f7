"""Synthetic pairs and their reviews; runs, models and adoptions."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.project.project import Project
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.records import Frame, Pair
from tests.project.kinds import Picture


def add(project: Project, pixels: NDArray[np.uint8], ellipse: Ellipse, **quality: float) -> Pair:
    return project.pairs.add(
        pixels,
        name="synthetic",
        ellipse=ellipse,
        cohort="c",
        calibration=Calibration(0.2, 0.2, "inherited"),
        quality=quality,
        provenance={"seed": np.int64(3), "out": Path("a") / "b", "noise": np.float32(0.5)},
    )


def test_a_pair_comes_back_as_it_went_in(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    pair = add(project, picture(1), ellipse, dice=0.97, hd95_px=math.inf)
    assert pair == project.pairs.get(pair.id) == project.pairs.all()[0]
    assert pair.ellipse == pair.requested == ellipse
    assert (pair.state, pair.reviewer, pair.reviewed_at) == ("pending", None, None)
    assert pair.quality == {"dice": 0.97, "hd95_px": math.inf}
    assert pair.provenance == {"seed": 3, "out": "a/b", "noise": 0.5}
    assert pair.frame.kind == "synthetic"
    assert pair.frame.subject == f"synthetic:{pair.id}"
    assert np.array_equal(project.frames.pixels(pair.frame.id), picture(1))
    assert project.frames.all() == []
    assert project.frames.cohorts() == []


def test_the_worst_pairs_come_first(project: Project, picture: Picture, ellipse: Ellipse) -> None:
    for i, dice in enumerate((0.9, 0.5, math.nan, 0.99)):
        add(project, picture(i), ellipse, dice=dice)
    unmeasured = add(project, picture(9), ellipse)
    dices = [pair.quality.get("dice") for pair in project.pairs.all()]
    assert dices[2:] == [0.5, 0.9, 0.99]
    assert math.isnan(dices[0] or 0)
    assert project.pairs.all()[1] == unmeasured


def test_a_label_in_doubt_comes_first_whatever_its_dice(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    add(project, picture(1), ellipse, dice=0.9)
    doubtful = add(project, picture(2), ellipse, dice=0.99, outline_score=0.2)
    add(project, picture(3), ellipse, dice=0.95, outline_score=0.98)
    assert project.pairs.all()[0] == doubtful
    assert [pair.quality["dice"] for pair in project.pairs.all()] == [0.99, 0.9, 0.95]


def test_the_ellipse_that_a_picture_shows_is_its_label_from_the_start(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    shown = Ellipse(40, 40, 20, 10, 0)

    def added() -> Pair:
        return project.pairs.add(
            picture(1),
            name="s",
            ellipse=ellipse,
            cohort="c",
            calibration=None,
            quality={},
            provenance={},
            label=shown,
        )

    pair = added()
    assert (pair.state, pair.ellipse, pair.requested) == ("pending", shown, ellipse)
    corrected = Ellipse(42, 40, 20, 10, 0)
    project.pairs.review(pair.id, "accepted", reviewer="me", ellipse=corrected)
    again = added()
    assert (again.id, again.state, again.ellipse) == (pair.id, "accepted", corrected)


def test_reviews_are_a_log(project: Project, picture: Picture, ellipse: Ellipse) -> None:
    pair = add(project, picture(1), ellipse)
    corrected = Ellipse(40, 40, 20, 10, 0)
    accepted = project.pairs.review(pair.id, "accepted", reviewer="me", ellipse=corrected)
    assert (accepted.state, accepted.ellipse, accepted.requested) == (
        "accepted",
        corrected,
        ellipse,
    )
    assert accepted.reviewer == "me"
    assert accepted.reviewed_at is not None
    assert project.pairs.review(pair.id, "rejected", reviewer="me").ellipse == corrected
    undone = project.pairs.review(pair.id, "pending", reviewer="me", ellipse=ellipse)
    assert (undone.state, undone.ellipse) == ("pending", ellipse)
    assert [p.id for p in project.pairs.all(state="pending")] == [pair.id]
    assert project.pairs.all(state="accepted") == []
    assert project.counts()["pending"] == 1
    with contextlib.closing(Database(project.path / "project.db")) as opened:
        rows = opened.query("SELECT state FROM reviews ORDER BY revision")
    assert [row["state"] for row in rows] == ["accepted", "rejected", "pending"]


def test_the_same_picture_is_the_same_pair(
    project: Project, picture: Picture, ellipse: Ellipse
) -> None:
    pair = add(project, picture(1), ellipse)
    project.pairs.review(pair.id, "rejected", reviewer="me")
    again = add(project, picture(1), ellipse)
    assert (again.id, again.state) == (pair.id, "rejected")
    assert len(project.pairs.all()) == 1


def test_a_real_frame_is_never_a_synthetic_one(
    project: Project, frame: Frame, picture: Picture, ellipse: Ellipse
) -> None:
    with pytest.raises(UserError, match=r"same as the real frame 001_HC.*remove it"):
        add(project, picture(0), ellipse)
    pair = add(project, picture(1), ellipse)
    with pytest.raises(UserError, match="review"):
        project.annotations.add(pair.frame.id, ellipse, author="me", state="final")
    with pytest.raises(UserError, match="no pair 99"):
        project.pairs.review(99, "accepted", reviewer="me")


def test_a_run_keeps_its_curve_and_verdict(project: Project) -> None:
    run = project.runs.start("first", {"epochs": 2}, {"train": ["a"], "pairs": [1]})
    assert (run.state, run.history, run.verdict, run.ended_at) == ("running", (), None, None)
    for epoch in (1, 2):
        project.runs.update(run.id, history_entry={"epoch": epoch, "dice": np.float64(0.5)})
    ended = project.runs.update(run.id, state="finished", verdict={"sentence": "better"})
    assert ended == project.runs.get(run.id)
    assert [entry["epoch"] for entry in ended.history] == [1, 2]
    assert (ended.state, ended.verdict) == ("finished", {"sentence": "better"})
    assert ended.ended_at is not None
    assert ended.ended_at >= ended.started_at
    assert (ended.settings, ended.data) == ({"epochs": 2}, {"train": ["a"], "pairs": [1]})
    second = project.runs.start("second", {}, {})
    assert [r.name for r in project.runs.all()] == ["second", "first"]
    project.runs.update(second.id, state="cancelled")
    assert not list(project.path.glob(".run-*"))
    with pytest.raises(UserError, match="no run 77"):
        project.runs.update(77, state="finished")


def test_a_model_is_adopted_and_rolled_back(project: Project) -> None:
    for name in ("one", "two"):
        project.models.add(name, "segmenter", f"models/{name}", metrics={"dice": 0.9})
    assert project.models.active("segmenter") is None
    project.models.adopt("segmenter", "one")
    project.models.adopt("segmenter", "two")
    project.models.adopt("segmenter", "two")
    active = project.models.active("segmenter")
    assert active is not None
    assert (active.name, active.path, active.metrics) == ("two", "models/two", {"dice": 0.9})
    assert [(m.name, m.active) for m in project.models.all()] == [("two", True), ("one", False)]
    back = project.models.roll_back("segmenter")
    assert back is not None
    assert back.name == "one"
    assert project.models.roll_back("segmenter") is None
    assert project.models.active("segmenter") is None
    with pytest.raises(UserError, match="nothing to go back to"):
        project.models.roll_back("segmenter")
    assert project.models.active("synthesizer") is None


def test_going_back_to_the_built_in_model_can_be_undone(project: Project) -> None:
    project.models.add("one", "segmenter", "models/one")
    project.models.adopt("segmenter", "one")
    project.models.adopt("segmenter", "compact")
    assert project.models.active("segmenter") is None
    back = project.models.roll_back("segmenter")
    assert back is not None
    assert back.name == "one"


def test_models_that_cannot_be(project: Project) -> None:
    project.models.add("one", "segmenter", "models/one")
    project.models.add("one", "synthesizer", "models/other")
    for name in ("one", "compact"):
        with pytest.raises(InputError, match="another name"):
            project.models.add(name, "segmenter", "models/x")
    for path in ("/etc", "models/../../x"):
        with pytest.raises(InputError, match="inside the project"):
            project.models.add("two", "segmenter", path)
    with pytest.raises(InputError, match="compact, one"):
        project.models.adopt("segmenter", "three")


def test_a_run_whose_process_is_gone_is_taken_up_again(project: Project) -> None:
    run = project.runs.start("r", {"job": "adapt"}, {})
    project.runs.update(run.id, history_entry={"step": 0})
    with Project.open(project.path) as other:
        assert other.runs.resume(run.id) is None  # its process is busy with it
        project.close()
        resumed = other.runs.resume(run.id)
        assert resumed is not None and resumed.state == "running" and len(resumed.history) == 1
        with Project.open(project.path) as third:
            assert third.runs.fail_crashed() == []
        assert other.runs.update(run.id, state="finished").job == "adapt"
        assert not list(project.path.glob(".run-*"))


def test_a_run_that_is_not_there_says_where_to_look(project: Project) -> None:
    with pytest.raises(UserError, match=f"no run 7.*fetalstudio runs {project.path}"):
        project.runs.get(7)


def test_a_history_is_in_order_after_a_kill(project: Project) -> None:
    """A killed run goes on from its checkpoint, which may be older than its last entry."""
    run = project.runs.start("r", {}, {})
    for epoch, dice in ((0, 0.1), (1, 0.2), (2, 0.3), (1, 0.25), (2, 0.35), (3, 0.4)):
        project.runs.update(run.id, history_entry={"epoch": epoch, "dice": dice})
    history = project.runs.get(run.id).history
    assert [(entry["epoch"], entry["dice"]) for entry in history] == [
        (0, 0.1),
        (1, 0.25),
        (2, 0.35),
        (3, 0.4),
    ]
    assert project.runs.all()[0].history == history
