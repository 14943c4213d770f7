"""Once round the loop in the real window with the engine's own jobs and the built-in models."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from fetalstudio.ui.review.page import ReviewPage
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.page import SynthesisePage
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import same

PATIENCE_MS = 120_000
"""A machine that is busy with other things."""


@pytest.mark.slow
def test_from_an_ellipse_to_an_adopted_model(
    qtbot: QtBot, open_session: Session, window: MainWindow
) -> None:
    failures: list[tuple[str, str]] = []
    open_session.failure.connect(lambda text, details: failures.append((text, details)))
    project = open_session.open

    # The picture of an ellipse, another variation of it, and one kept.
    window.show_place("synthesise")
    synthesise = window.page("synthesise")
    assert isinstance(synthesise, SynthesisePage)
    source = next(iter(project.annotations.by_frame()))
    open_session.select_frame(source)
    synthesise.controls.steps_box.setValue(3)
    synthesise.synthesise()
    qtbot.waitUntil(lambda: not synthesise.sampler.busy, timeout=PATIENCE_MS)
    assert failures == []
    first = synthesise.view.shown()
    assert first is not None and not same(first, project.frames.pixels(source))
    assert "Dice" in synthesise.quality.text()
    synthesise.new_variation()
    qtbot.waitUntil(lambda: not synthesise.sampler.busy, timeout=PATIENCE_MS)
    assert not same(synthesise.view.shown(), first)
    synthesise.keep()
    assert project.pairs.all() == []  # the cohort is measured first
    qtbot.waitUntil(lambda: synthesise.keep_button.isEnabled(), timeout=PATIENCE_MS)
    synthesise.keep()
    assert "convention" in project.pairs.all()[0].provenance

    # A batch, reviewed.
    synthesise.batch.count_box.setValue(3)
    synthesise.batch.make()
    qtbot.waitUntil(lambda: synthesise.batch.make_button.isEnabled(), timeout=PATIENCE_MS)
    assert "3 pairs made" in synthesise.batch.summary.text(), failures
    window.show_place("review")
    review = window.page("review")
    assert isinstance(review, ReviewPage)
    assert review.list.pairs.rowCount() == 4
    order = [review.list.pairs.verdict(i).order for i in range(4)]
    assert order == sorted(order)
    review.decide("rejected")
    for _ in range(3):
        review.decide("accepted")
    assert project.counts()["accepted"] == 3

    # Trained on, judged and adopted.
    window.show_place("train")
    train = window.page("train")
    assert isinstance(train, TrainPage)
    train.form.fields["epochs"].show(2)
    train.form.fields["learning_rate"].show(0.001)
    train.start()
    qtbot.waitUntil(lambda: train.start_button.isEnabled(), timeout=2 * PATIENCE_MS)
    assert failures == []
    (run,) = project.runs.all()
    assert run.state == "finished" and run.verdict is not None
    assert train.curves.epochs == len(run.history) >= 3
    assert run.verdict["verdict"] in train.verdict.text()
    assert set(run.data["pairs"]) <= {pair.id for pair in project.pairs.all(state="accepted")}
    trained = run.verdict["model"] is not None
    assert train.adopt_button.isEnabled() == trained
    if trained:  # Whether an epoch was better than the start is up to the models that ship.
        train.adopt()
        active = project.models.active("segmenter")
        assert active is not None and active.name == run.name

    # Evaluated on what it never saw.
    train.evaluation.evaluate()
    qtbot.waitUntil(lambda: train.evaluation.button.isEnabled(), timeout=PATIENCE_MS)
    assert failures == []
    assert train.evaluation.view.table.rowCount() >= 1
