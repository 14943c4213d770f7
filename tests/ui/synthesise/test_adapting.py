"""Adapting the synthesizer in the real window: from what, how it goes, using it and going back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.adapt.data import choose_adapt_data
from fetalstudio.engine.jobs.adapt.request import AdaptRequest, AdaptResult
from fetalstudio.engine.jobs.sample.request import SampleRequest
from fetalstudio.engine.jobs.synthesize.request import SynthesizeRequest
from fetalstudio.engine.process.events import Adapting, Failed, Preview
from fetalstudio.formats.model_card import ModelCard
from fetalstudio.ui.commands import AdoptModel, SetEllipse
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.adapting import AdaptingDialog
from fetalstudio.ui.synthesise.page import SynthesisePage
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import HandleFake, keep_convention, same, use_fakes, use_small_jobs


@pytest.fixture
def page(open_session: Session, window: MainWindow) -> SynthesisePage:
    keep_convention(open_session.open, "samples", None)
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    return page


@pytest.fixture
def requests(page: SynthesisePage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of the small jobs, which run in the real engine."""
    return use_small_jobs(monkeypatch, page.session)


@pytest.fixture
def fakes(page: SynthesisePage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, HandleFake]]:
    return use_fakes(monkeypatch, page.session)


def opened(qtbot: QtBot, page: SynthesisePage) -> AdaptingDialog:
    """By its key."""
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_M)
    assert page.synthesizer.dialog is not None
    qtbot.waitUntil(page.synthesizer.dialog.isActiveWindow)
    return page.synthesizer.dialog


def add_model(session: Session, name: str) -> None:
    (session.open.path / "models" / name).mkdir(parents=True, exist_ok=True)
    session.open.models.add(name, "synthesizer", f"models/{name}")
    session.models_changed.emit()


def result(model: str | None) -> AdaptResult:
    figures = {"fidelity": 0.98, "grey": 9.0, "spectrum": 4.0, "similarity": 0.4, "copies": 0}
    return AdaptResult(
        1, model, "compact", 10, 8, 6, 2, 0.975, figures, figures, 0.4, 40, 30, "It is nearer."
    )


def event(step: int, grey: float, best: bool) -> Adapting:
    return Adapting(step, 40, math.nan if not step else 0.9, 0.98, grey, grey / 2, 0, best)


def test_it_says_what_will_be_learnt_from(qtbot: QtBot, page: SynthesisePage) -> None:
    dialog = opened(qtbot, page)
    data = choose_adapt_data(page.session.open, None, 0)
    assert f"{len(data.train)} frames" in dialog.data.text()
    assert f"Holds out {counted(len(data.held_out), 'frame')} of 1 other" in dialog.data.text()
    assert dialog.start_button.isEnabled() and not dialog.buttons.isVisible()
    assert "first steps" in dialog.estimate.text()


def test_return_enters_a_number_or_a_name_and_starts_nothing(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    dialog = opened(qtbot, page)
    for field in (dialog.steps_box, dialog.name_box):
        field.setFocus()
        qtbot.keyClick(field, Qt.Key.Key_Return)
    assert fakes == [] and dialog.isVisible()
    qtbot.keyClick(dialog.steps_box, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert len(fakes) == 1


@pytest.mark.parametrize("count", ["frames", "real_frames"])
def test_what_a_model_of_the_project_learnt_from_is_told(
    page: SynthesisePage, window: MainWindow, count: str
) -> None:
    """Whichever adaptation wrote its card: that of Stable Diffusion named its frames otherwise."""
    session = page.session
    card = ModelCard(
        "ours", "synthesizer", {}, {}, "", {"cohorts": ["HC18"], "started_from": "sd15", count: 12}
    )
    card.write(session.open.path / "models" / "ours")
    add_model(session, "ours")
    page.synthesizer.take_next()
    assert page.synthesizer.about.text() == "sd15, adapted to 12 frames of HC18"


def test_too_few_frames_are_refused_with_the_cure(qtbot: QtBot, page: SynthesisePage) -> None:
    project = page.session.open
    for frame_id in list(project.annotations.by_frame())[4:]:
        page.session.undo_stack.push(SetEllipse(page.session, frame_id, None))
    dialog = opened(qtbot, page)
    assert not dialog.start_button.isEnabled()
    assert "at least 5 annotated frames" in dialog.checks.text()
    assert dialog.checks.property("role") == "error"
    page.session.undo_stack.undo()
    assert dialog.start_button.isEnabled() and not dialog.checks.isVisible()


def test_from_the_key_to_a_model_in_use_and_back(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    dialog = opened(qtbot, page)
    dialog.steps_box.setValue(40)
    QTest.keyClicks(dialog.name_box, "ours")
    qtbot.keyClick(dialog, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dialog.job_bar.isVisible() and not dialog.start_button.isEnabled()
    qtbot.waitUntil(dialog.start_button.isEnabled)
    (request,) = requests
    assert isinstance(request, AdaptRequest)
    assert (request.steps, request.name, request.synthesizer) == (40, "ours", "compact")
    assert request.cohort == dialog.cohort_box.currentData()
    assert dialog.curves.steps == [0, 10, 20, 30, 40] and "best: step 30" in dialog.curves.readout()
    assert dialog.sheet.shown is not None
    assert "nearer" in dialog.verdict.text() and "2 held-out subjects" in dialog.verdict.text()

    # Nothing has changed yet: the person decides.
    assert page.synthesizer.name == "compact" and page.request().synthesizer == "compact"
    qtbot.mouseClick(dialog.use_button, Qt.MouseButton.LeftButton)
    assert page.synthesizer.name == "ours" and page.synthesizer.box.currentText() == "ours"
    assert dialog.use_button.text() == "In use" and not dialog.use_button.isEnabled()
    assert page.request().synthesizer == "ours" and page.look().synthesizer == "ours"
    assert page.session.undo_stack.undoText() == "use ours"
    page.session.undo_stack.undo()
    assert (
        page.synthesizer.name == "compact"
        and page.session.open.models.active("synthesizer") is None
    )
    assert dialog.use_button.isEnabled()
    assert "at the pace of ours" in dialog.estimate.text()


def test_a_bad_name_is_said_at_once_and_forbids_the_start(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    dialog = opened(qtbot, page)
    add_model(page.session, "theirs")
    for name in ("../x", "theirs ", "compact", "CON"):
        dialog.name_box.setText(name)
        assert dialog.name_box.message.isVisible() and not dialog.start_button.isEnabled()
    dialog.start()
    assert fakes == []
    dialog.name_box.setText("ours ")
    assert not dialog.name_box.message.isVisible()
    dialog.start()
    assert fakes[-1][0].name == "ours"


def test_keeping_the_former_changes_nothing(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    dialog = opened(qtbot, page)
    dialog.start()
    _, handle = fakes[-1]
    add_model(page.session, "theirs")
    handle.finished.emit(result("theirs"))
    handle.ended.emit()
    qtbot.keyClick(dialog, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert not dialog.isVisible() and page.synthesizer.name == "compact"
    assert page.synthesizer.box.findData("theirs") >= 0


def test_curves_and_pictures_grow_and_stop_keeps_the_best(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    dialog = opened(qtbot, page)
    dialog.start()
    _, handle = fakes[-1]
    handle.started.emit()
    for step, grey, best in ((0, 10.0, False), (10, 6.0, True), (20, 7.0, False)):
        handle.adapting.emit(event(step, grey, best))
        picture = np.full((60, 90, 3), 10 + step, np.uint8)
        handle.preview.emit(Preview(picture, f"step {step}"))
        assert same(dialog.sheet.shown, picture)
    assert dialog.curves.steps == [0, 10, 20] and "best: step 10" in dialog.curves.readout()
    qtbot.mouseClick(dialog.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    assert handle.cancel_calls == 1
    add_model(page.session, "stopped")
    handle.cancelled.emit(result("stopped"))
    handle.ended.emit()
    assert dialog.use_button.isVisible() and dialog.use_button.isEnabled()
    assert not dialog.job_bar.isVisible() and dialog.start_button.isEnabled()


def test_without_a_better_model_there_is_nothing_to_use(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    dialog = opened(qtbot, page)
    for outcome, text in ((result(None), "nearer"), (None, "Stopped before the first measurement")):
        dialog.start()
        handle = fakes[-1][1]
        handle.cancelled.emit(outcome)
        handle.ended.emit()
        assert text in dialog.verdict.text() and not dialog.buttons.isVisible()
    dialog.start()
    handle = fakes[-1][1]
    handle.failed.emit(Failed("The disk is full.", "", True))
    handle.ended.emit()
    assert dialog.verdict.text() == "The disk is full." and dialog.start_button.isEnabled()


def test_a_result_for_another_project_is_not_shown(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]], tmp_path: Any
) -> None:
    dialog = opened(qtbot, page)
    dialog.start()
    handle = fakes[-1][1]
    page.session.new_project(tmp_path / "another")
    handle.adapting.emit(event(0, 9.0, False))
    handle.finished.emit(result("theirs"))
    handle.ended.emit()
    assert dialog.curves.steps == [] and dialog.verdict.text() == ""
    assert not dialog.buttons.isVisible() and not dialog.start_button.isEnabled()


def test_the_box_and_its_key_choose_who_makes_pictures_and_batches(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    assert page.synthesizer.box.count() == 1
    add_model(page.session, "ward")
    assert page.synthesizer.box.count() == 2 and page.synthesizer.name == "compact"
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_Y)
    active = page.session.open.models.active("synthesizer")
    assert active is not None and active.name == "ward" == page.synthesizer.name
    qtbot.keyClick(page.canvas, Qt.Key.Key_G)
    sample, _ = fakes[-1]
    assert isinstance(sample, SampleRequest) and sample.synthesizer == "ward"
    page.batch.make()
    batch, _ = fakes[-1]
    assert isinstance(batch, SynthesizeRequest) and batch.synthesizer == "ward"
    page.synthesizer.box.setCurrentIndex(0)
    page.synthesizer.box.activated.emit(0)
    assert page.session.open.models.active("synthesizer") is None
    page.session.undo_stack.undo()
    assert page.synthesizer.name == "ward"


def test_a_picture_of_another_synthesizer_is_out_of_date(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    page.controls.follow_box.setChecked(False)
    page.synthesise()
    qtbot.waitUntil(lambda: not page.sampler.busy)
    assert not page.stale
    add_model(page.session, "ward")
    page.session.undo_stack.push(AdoptModel(page.session, "synthesizer", "ward"))
    assert page.stale and not page.keep_button.isEnabled()


def test_an_adapting_is_not_listed_among_the_trainings(
    page: SynthesisePage, window: MainWindow
) -> None:
    run = page.session.open.runs.start("ward-1", {"job": "adapt", "steps": 500}, {"train": []})
    page.session.open.runs.update(run.id, state="failed")
    window.show_place("train")
    train = window.page("train")
    assert isinstance(train, TrainPage) and train.runs.count() == 0
