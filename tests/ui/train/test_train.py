"""Train in the real window: what will be trained, live curves, the verdict, and adopting."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError
from fetalstudio.core.labelled import LabelledFrame
from fetalstudio.core.training_settings import OPTIONS, PRESETS
from fetalstudio.engine.cohort_split import labelled_frames, of_part, split
from fetalstudio.engine.jobs.evaluate.evaluation import summarise
from fetalstudio.engine.jobs.evaluate.request import FrameScore
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.job import choose_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.process.events import Epoch, Failed, Preview, Progress, RunKey
from fetalstudio.engine.resumable import state_file
from fetalstudio.project.project import Project
from fetalstudio.ui.commands import AdoptModel
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.curves import TrainingCurves
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.train.training_plan import TrainingPlan, plan_training
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import HandleFake, add_pairs, text_at, use_fakes, use_small_jobs


@pytest.fixture
def page(open_session: Session, window: MainWindow) -> TrainPage:
    window.show_place("train")
    page = window.page("train")
    assert isinstance(page, TrainPage)
    return page


@pytest.fixture
def requests(page: TrainPage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of the small jobs, which run in the real engine."""
    return use_small_jobs(monkeypatch, page.session)


@pytest.fixture
def fakes(page: TrainPage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, HandleFake]]:
    return use_fakes(monkeypatch, page.session)


def train(qtbot: QtBot, page: TrainPage, epochs: int = 5) -> None:
    page.form.fields["epochs"].show(epochs)
    qtbot.mouseClick(page.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.start_button.isEnabled())


# -- the data ----------------------------------------------------------------------------------


def test_a_plan_is_made_for_a_page_that_is_shown(
    page: TrainPage, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def counted(*arguments: Any, **settings: Any) -> TrainingPlan:
        made.append(arguments)
        return plan_training(*arguments, **settings)

    monkeypatch.setattr("fetalstudio.ui.train.page.plan_training", counted)
    window.show_place("library")
    page.session.project_changed.emit()
    assert made == []
    assert not page.start_button.isEnabled()
    window.show_place("train")
    assert len(made) == 1
    assert page.start_button.isEnabled()


def test_a_segmenter_whose_files_are_gone_can_be_rolled_back(page: TrainPage) -> None:
    models = page.session.open.models
    models.add("mine", "segmenter", "models/mine")
    page.session.undo_stack.push(AdoptModel(page.session, "segmenter", "mine"))
    assert page.data.segmenter == "mine"
    page.activated()
    said = page.estimate.text()
    assert "mine cannot be used" in said and "Train, Roll back" in said
    page.roll_back_button.click()
    assert models.active("segmenter") is None and page.data.segmenter == "compact"
    page.activated()
    assert "cannot be used" not in page.estimate.text()


def test_the_counts_are_those_of_the_trainings_own_split(page: TrainPage) -> None:
    project = page.session.open
    labelled = labelled_frames(project)
    by_subject = split(project, labelled)
    for part in ("train", "validation", "test"):
        items = of_part(labelled, by_subject, part)
        subjects, frames = page.data.counts(part)
        assert frames == len(items) > 0
        assert subjects == len({item.subject for item in items})
    assert page.start_button.isEnabled()


def test_a_warning_that_the_page_shows_is_not_shown_again(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    said: list[str] = []
    page.session.message.connect(lambda text, _level: said.append(text))
    data = select_training_data(page.session.open, None, real=None, synthetic="recommended")
    shown = data.warnings[0]
    assert shown in page.data.checks.text()
    page.start_button.click()
    for text in (shown, "The memory is nearly full."):
        fakes[0][1].warned.emit(text)
    assert said == ["The memory is nearly full."]


def test_the_number_of_advised_pairs_is_not_cut_short(page: TrainPage, qtbot: QtBot) -> None:
    page.form.show_recommended(12_345)
    field = page.form.synthetic_box
    page.window().resize(960, 600)
    qtbot.wait(1)
    line = field.lineEdit()
    assert field.text() == "advised (12345)"
    room = line.width() - line.textMargins().left()
    assert line.fontMetrics().horizontalAdvance(field.text()) < room


def test_a_long_name_of_a_run_is_shortened_in_the_title(page: TrainPage, qtbot: QtBot) -> None:
    page.title.setText("a-name-of-a-model-of-2026-for-both-scanners, finished")
    page.window().resize(960, 600)
    qtbot.wait(1)
    assert page.title.shown().endswith("…")
    assert page.title.toolTip() == page.title.text()


def test_a_long_word_in_a_warning_hides_nothing_of_the_panel(page: TrainPage, qtbot: QtBot) -> None:
    plan = page._plan
    assert plan is not None
    name = "/data/" + "the_long_name_of_a_study_" * 4 + "x" * 80
    page.data.show_plan(replace(plan, problems=(f"Cohort 'A' of {name} has no frame.",)))
    qtbot.wait(1)
    for part in (page.data.checks, page.data.cohort_box, page.form.synthetic_box):
        panel: QWidget | None = part
        while not isinstance(panel, QScrollArea):
            assert panel is not None
            panel = panel.parentWidget()
        assert part.mapTo(panel, part.rect().topRight()).x() < panel.viewport().width()
    words = page.data.checks
    assert words.minimumSizeHint().width() <= words.width(), "the word itself is broken"


def test_accepting_a_pair_counts_it_and_a_held_out_source_does_not(page: TrainPage) -> None:
    project = page.session.open
    pairs = add_pairs(project, [0.98] * 8)
    labelled = labelled_frames(project)
    parts = split(project, labelled)
    usable = [
        pair
        for pair in pairs
        if parts[project.frames.get(pair.provenance["source_frame"]).subject] == "train"
    ]
    assert 0 < len(usable) < len(pairs)
    for pair in pairs:
        project.pairs.review(pair.id, "accepted", reviewer="me")
    page.activated()
    assert page.data.pairs_label.text() == str(len(usable))
    assert "held-out subject" in page.data.checks.text()


def test_a_project_without_ellipses_cannot_be_trained_and_says_why(
    session: Session, window: MainWindow, tmp_path: Any
) -> None:
    session.new_project(tmp_path / "bare")
    window.show_place("train")
    page = window.page("train")
    assert isinstance(page, TrainPage)
    assert not page.start_button.isEnabled()
    assert "no annotated frame" in page.data.checks.text()
    assert page.data.checks.property("role") == "error"


def test_two_subjects_are_too_few(page: TrainPage) -> None:
    project = page.session.open
    subjects = sorted({item.subject for item in labelled_frames(project)})
    for item in labelled_frames(project):
        if item.subject in subjects[2:]:
            project.annotations.add(item.id, None, author="me", state="draft")
    page.activated()
    assert not page.start_button.isEnabled() and "2 subjects" in page.data.checks.text()


def test_an_accepted_copy_does_not_count_and_the_plan_says_so(page: TrainPage) -> None:
    project = page.session.open
    before = plan_training(project, None, real=None, synthetic=None, seed=0)
    pair = project.pairs.add(
        project.frames.pixels(project.frames.all()[0].id) // 2,
        name="copy",
        ellipse=Ellipse(300, 200, 100, 80, 0),
        cohort="synthetic",
        calibration=None,
        quality={"similarity": 0.9},
        provenance={"copy_threshold": 0.75},
    )
    project.pairs.review(pair.id, "accepted", reviewer="me")
    after = plan_training(project, None, real=None, synthetic=None, seed=0)
    assert after.pairs == before.pairs
    assert "1 accepted pair is left out as too similar to a training frame" in " ".join(
        after.warnings
    )
    assert not any("held-out" in text for text in after.warnings)


def test_proposals_do_not_count(page: TrainPage) -> None:
    project = page.session.open
    before = plan_training(project, None, real=None, synthetic=None, seed=0)
    for frame in project.frames.all(annotated=False):
        ellipse = Ellipse(300, 200, 100, 80, 0)
        project.annotations.add(
            frame.id, ellipse, author="compact", state="proposed", confidence=0.9
        )
    after = plan_training(project, None, real=None, synthetic=None, seed=0)
    assert after.parts == before.parts
    assert any("8 proposals are left out" in text for text in after.warnings)


def test_more_than_there_is_is_refused_before_the_start(page: TrainPage) -> None:
    page.form.real_box.setValue(500)
    assert not page.start_button.isEnabled() and "500 real frames" in page.data.checks.text()
    page.form.real_box.setValue(4)
    assert page.start_button.isEnabled()
    page.form.synthetic_box.setValue(3)
    assert not page.start_button.isEnabled() and "3 synthetic pairs" in page.data.checks.text()


def test_nothing_to_train_on_is_refused(page: TrainPage) -> None:
    plan = plan_training(page.session.open, None, real=0, synthetic=None, seed=0)
    assert plan.problems == ("There is nothing to train on. Request real frames, pairs or both.",)


def test_the_plan_draws_the_frames_of_the_seed(page: TrainPage) -> None:
    """Fewer frames than there are: which of them are drawn, and so the problems, is the seed's."""
    project = page.session.open
    bad = plan_training(project, None, real=None, synthetic=None, seed=0).data.train[0]
    off = Ellipse(5000, 200, 100, 80, 0)
    project.annotations.add(bad.id, off, author="me", state="final")
    page.form.real_box.setValue(4)
    drawn = {}
    for seed in range(8):
        page.form.fields["seed"].show(seed)
        request = TrainRequest(project.path, real=4, settings=page.form.chosen())
        try:
            drawn[seed] = bad.id in {item.id for item in choose_data(project, request).train}
        except InputError as error:
            assert bad.name in str(error)
            drawn[seed] = True
        assert page.start_button.isEnabled() is not drawn[seed]
        assert (bad.name in page.data.checks.text()) is drawn[seed]
    assert len(set(drawn.values())) == 2


def test_a_bad_name_is_said_at_once_and_forbids_the_start(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    project = page.session.open
    project.models.add("mine", "segmenter", "models/mine")
    unfinished = project.runs.start("broken", {"job": "train"}, {})
    state_file(project, unfinished.id).write_bytes(b"")
    project.runs.update(unfinished.id, state="failed")
    box = page.form.name_box
    for name in ("../x", "mine ", "compact", "broken", "x" * 300, "CON", "a\u2028b"):
        box.setText(name)
        assert box.message.isVisible() and box.message.text() and not page.start_button.isEnabled()
    page.start()
    assert fakes == []
    box.setText(" mine too ")
    assert not box.message.isVisible() and page.start_button.isEnabled()
    page.start()
    assert fakes[-1][0].name == "mine too" and box.text() == ""


def test_every_option_has_a_field_that_is_used_and_kept(
    qtbot: QtBot, page: TrainPage, open_session: Session, fakes: list[tuple[Any, HandleFake]]
) -> None:
    form = page.form
    assert not form.advanced.isVisible()
    form.advanced_button.click()
    for name, option in OPTIONS.items():
        field, default = form.fields[name], getattr(PRESETS["recommended"], name)
        assert field.widget.isVisible() and option.help in field.widget.toolTip()
        assert field.value() == default
        others = (*option.offered, option.ticked or 0, option.low, option.high)
        field.show(next(value for value in others if value != default))
        assert field.value() != default
    page.start()
    settings = fakes[-1][0].settings
    settings.check()
    assert all(getattr(settings, n) != getattr(PRESETS["recommended"], n) for n in OPTIONS)
    again = TrainPage(open_session)
    qtbot.addWidget(again)
    assert again.form.chosen() == settings


# -- a training --------------------------------------------------------------------------------


def test_a_training_draws_its_curves_and_gives_a_verdict(
    qtbot: QtBot, page: TrainPage, requests: list[Any]
) -> None:
    page.form.name_box.setText("mine")
    page.form.fields["learning_rate"].show(3e-4)
    page.form.fields["patience"].show(9)
    seen: list[int] = []
    page.form.fields["epochs"].show(6)
    assert page.form.prompt is None  # what the model is used with
    page.form.prompt_box.setCurrentIndex(page.form.prompt_box.findData("box"))
    qtbot.keyClick(page, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    handle = page.job_bar.handle
    assert isinstance(handle, JobHandle) and not page.start_button.isEnabled()
    handle.epoch.connect(lambda _: seen.append(page.curves.epochs))
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    (request,) = requests
    assert (request.name, request.settings.epochs, request.settings.patience) == ("mine", 6, 9)
    assert request.settings.learning_rate == pytest.approx(3e-4)
    assert (request.real, request.synthetic, request.prompt) == (None, "recommended", "box")
    assert len(seen) == 6 and seen == sorted(seen) and seen[-1] == 6
    assert page.curves.best_epoch == 3
    assert "0.950  →  0.970" in page.verdict.text()
    assert "The new model is better." in page.verdict.text()
    assert page.filmstrip.count() > 0
    assert page.runs.count() == 1 and page.title.text() == "mine, finished"
    assert not page.job_bar.isVisible()


def test_cancel_keeps_the_best_epoch(qtbot: QtBot, page: TrainPage, requests: list[Any]) -> None:
    page.form.fields["epochs"].show(200)
    page.start()
    qtbot.waitUntil(lambda: page.curves.epochs >= 4)
    assert page.title.text().startswith("tuned-1") and "running" in page.title.text()
    qtbot.mouseClick(page.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    (run,) = page.session.open.runs.all()
    assert run.state == "cancelled" and 4 <= len(run.history) < 200
    assert page.curves.epochs == len(run.history) and page.curves.best_epoch == 3
    assert "0.970" in page.verdict.text() and page.adopt_button.isEnabled()


def test_adopt_and_roll_back(qtbot: QtBot, page: TrainPage, requests: list[Any]) -> None:
    assert page.in_use.text() == "In use: compact."
    assert not page.adopt_button.isEnabled() and not page.roll_back_button.isEnabled()
    train(qtbot, page)
    assert page.session.open.models.active("segmenter") is None
    with qtbot.waitSignal(page.session.models_changed):
        qtbot.keyClick(page, Qt.Key.Key_A)
    active = page.session.open.models.active("segmenter")
    assert active is not None and active.name == "tuned-1"
    assert page.in_use.text() == "In use: tuned-1."
    assert not page.adopt_button.isEnabled()
    qtbot.mouseClick(page.roll_back_button, Qt.MouseButton.LeftButton)
    assert page.session.open.models.active("segmenter") is None
    assert page.adopt_button.isEnabled() and not page.roll_back_button.isEnabled()


def test_past_runs_show_their_own_curves_also_while_another_trains(
    qtbot: QtBot, page: TrainPage, requests: list[Any]
) -> None:
    page.form.name_box.setText("first")
    train(qtbot, page, epochs=4)
    page.form.name_box.setText("second")
    page.form.fields["epochs"].show(400)
    page.start()
    qtbot.waitUntil(lambda: page.curves.epochs >= 2 and page.runs.count() == 2)
    page.runs.setCurrentRow(1)
    assert page.title.text() == "first, finished" and page.curves.epochs == 4
    handle = page.job_bar.handle
    assert isinstance(handle, JobHandle)
    with qtbot.waitSignal(handle.epoch):
        pass
    assert page.curves.epochs == 4
    page.runs.setCurrentRow(0)
    shown = page.curves.epochs
    assert shown > 2 and "running" in page.title.text()
    qtbot.waitUntil(lambda: page.curves.epochs > shown)
    handle.cancel()
    qtbot.waitUntil(lambda: page.start_button.isEnabled())
    assert page.title.text() == "second, cancelled"


def test_a_run_that_another_process_trains_gets_no_epoch_of_this_window(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    project = page.session.open
    page.start()
    _, handle = fakes[0]
    handle.started.emit()
    ours, theirs = (
        project.runs.start(name, {"epochs": 20, "kind": "compact"}, {})
        for name in ("ours", "theirs")
    )
    assert theirs.state == "running"
    handle.epoch.emit(_epoch_of(project, ours.id, 0))
    assert page.title.text() == "ours, running" and page.curves.epochs == 1
    _choose(page, theirs.id)
    assert page.title.text() == "theirs, running" and page.curves.epochs == 0
    handle.epoch.emit(_epoch_of(project, ours.id, 1))
    assert page.curves.epochs == 0
    _choose(page, ours.id)
    handle.epoch.emit(_epoch_of(project, ours.id, 2))
    assert page.curves.epochs == 1  # the run's stored history has none of the fake's epochs


def test_epochs_of_another_project_are_not_drawn_on_a_run_with_the_same_id(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]], tmp_path: Path
) -> None:
    first = page.session.open
    page.start()
    _, handle = fakes[0]
    handle.started.emit()
    run = first.runs.start("here", {"epochs": 20, "kind": "compact"}, {})
    event = _epoch_of(first, run.id, 0)
    page.session.new_project(tmp_path / "other")
    other = page.session.open.runs.start("there", {"epochs": 20, "kind": "compact"}, {})
    assert other.id == run.id
    page.session.project_changed.emit()
    assert page.title.text() == "there, running"
    handle.epoch.emit(event)
    assert page.curves.epochs == 0


def _epoch_of(project: Project, run_id: int, number: int) -> Epoch:
    return Epoch(number, 20, 0.5, 0.6, 0.9, True, run=RunKey(project.path, run_id))


def _choose(page: TrainPage, run_id: int) -> None:
    rows = [page.runs.item(row).data(Qt.ItemDataRole.UserRole) for row in range(page.runs.count())]
    page.runs.setCurrentRow(rows.index(run_id))


def test_nothing_comes_to_where_the_stop_button_was(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]], qtbot: QtBot
) -> None:
    page.start()
    _, handle = fakes[0]
    handle.started.emit()
    stop = page.job_bar.cancel_button
    at = stop.mapTo(page, stop.rect().center())
    assert page.childAt(at) is stop
    handle.failed.emit(Failed("Not enough memory.", "trace"))
    handle.ended.emit()
    qtbot.waitUntil(lambda: page.childAt(at) is not stop)
    assert not isinstance(page.childAt(at), QAbstractButton)


def test_the_values_of_an_epoch_take_one_line_in_a_small_window(
    page: TrainPage, window: MainWindow
) -> None:
    window.resize(1366, 700)
    page.curves.set_history([row(number, 0.98) for number in range(20)], best_epoch=10)
    QApplication.processEvents()
    shown = page.curves.findChild(QLabel)
    assert shown is not None and "best: epoch 10" in shown.text()
    assert shown.heightForWidth(shown.width()) == shown.heightForWidth(10_000)


def test_a_failed_training_says_so_and_another_can_start(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.start()
    _, handle = fakes[0]
    handle.started.emit()
    run = RunKey(page.session.open.path, 1)
    handle.epoch.emit(Epoch(1, 20, 0.5, 0.6, 0.9, True, run=run))
    handle.preview.emit(Preview(_grey(), "epoch 1", run=run))
    handle.failed.emit(Failed("Not enough memory.", "trace"))
    handle.ended.emit()
    assert page.start_button.isEnabled() and not page.job_bar.isVisible()


def test_a_training_of_another_project_is_told_but_not_shown(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]], tmp_path: Path
) -> None:
    page.start()
    first, (_, handle) = page.session.open.path, fakes[0]
    handle.started.emit()
    page.session.new_project(tmp_path / "other")
    told: list[str] = []
    page.session.message.connect(lambda text, _level: told.append(text))
    handle.preview.emit(Preview(_grey(), "epoch 1", run=RunKey(first, 1)))
    assert page.filmstrip.count() == 0
    handle.finished.emit(SimpleNamespace(verdict="The new model is better."))
    handle.ended.emit()
    assert told == [f"{first.name}: The new model is better."]


def test_a_training_cancelled_while_it_waits_leaves_no_trace(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.start()
    _, handle = fakes[0]
    handle.cancelled.emit(None)
    handle.ended.emit()
    assert page.start_button.isEnabled() and page.runs.count() == 0
    assert page.title.text() == "No run yet"


def test_the_estimate_follows_the_pace_of_the_last_run(
    qtbot: QtBot, page: TrainPage, requests: list[Any]
) -> None:
    typical = page.estimate.text()
    assert typical.startswith("Not measured here yet; typically ")
    assert typical.endswith(" on a CPU that nothing else uses. 1.0 GB of memory.")
    train(qtbot, page, epochs=3)
    page.form.fields["epochs"].show(500)
    # The small training takes 60 ms an epoch, and a second goes to the frames' embeddings.
    assert page.estimate.text().startswith("About 32 s for all epochs, at the pace of tuned-1.")
    page.form.fields["lora"].show(4)
    assert "tuned-1" not in page.estimate.text()


def test_the_settings_are_remembered(qtbot: QtBot, page: TrainPage, open_session: Session) -> None:
    page.form.fields["epochs"].show(33)
    page.form.fields["learning_rate"].show(1e-5)
    page.form.synthetic_box.setValue(0)
    again = TrainPage(open_session)
    qtbot.addWidget(again)
    chosen = again.form.chosen()
    assert (chosen.epochs, chosen.learning_rate, again.form.synthetic) == (33, 1e-5, 0)


# -- evaluating --------------------------------------------------------------------------------


def test_an_evaluation_shows_the_figures_and_opens_frames_from_plot_and_gallery(
    qtbot: QtBot, page: TrainPage, requests: list[Any]
) -> None:
    panel, view = page.evaluation, page.evaluation.view
    assert not view.isVisible() and page.curves.isVisible()
    qtbot.keyClick(page, Qt.Key.Key_V)
    assert view.isVisible() and not page.curves.isVisible() and not view.report_button.isVisible()
    qtbot.waitUntil(lambda: panel.button.isEnabled())
    (request,) = requests
    assert (request.segmenter, request.cohort, request.protocol) == ("compact", "samples", "native")
    assert request.held_out
    assert view.title.text().startswith("compact on 16 frames of ")
    columns = [view.table.horizontalHeaderItem(i) for i in range(view.table.columnCount())]
    heads = [column.text() for column in columns if column is not None]
    row = {head: text_at(view.table, 0, i) for i, head in enumerate(heads)}
    assert row["Dice"].startswith("0.980") and " to " in row["Dice"]
    assert row["HC bias mm"].startswith("+2.00") and "HD95 mm" not in heads
    assert view.plot.isVisible() and len(view.plot.points.points()) == 16
    qtbot.waitUntil(lambda: not view.gallery.item(11).icon().isNull())
    first_item = view.gallery.item(0)
    shown = [label.text() for label in view.findChildren(QLabel) if label.isVisible()]
    assert any("annotation" in text and "segmenter" in text for text in shown), "both colours"
    assert view.gallery.viewport().height() >= view.gallery.visualItemRect(first_item).height()
    assert view.result is not None
    view.show_result(replace(view.result, held_out=True))
    assert "None of these subjects was used" in view.about.text()
    view.show_result(replace(view.result, not_known=("What x.pth learnt from is not known.",)))
    assert "was used" not in view.about.text(), "nobody can know it"
    assert "known to have been used" in view.about.text()
    assert "What x.pth learnt from is not known." in view.about.text()
    worst = view.result.frames
    first = min(worst, key=lambda score: score.dice)
    with qtbot.waitSignal(page.session.place_requested) as asked:
        view.gallery.itemActivated.emit(view.gallery.item(0))
    assert asked.args == ["annotate"] and page.session.frame_id == first.frame_id
    view.plot.points.sigClicked.emit(view.plot.points, view.plot.points.points()[3:4], None)
    assert page.session.frame_id == worst[3].frame_id


def test_starting_a_training_brings_its_curves_back(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.tabs.setCurrentIndex(1)
    page.start()
    assert page.curves.isVisible() and not page.evaluation.view.isVisible()


def test_all_cohorts_are_evaluated_by_one_job_and_shown_apart(
    qtbot: QtBot, page: TrainPage, requests: list[Any]
) -> None:
    project = page.session.open
    frame, _ = project.frames.add(_grey(), name="x", cohort="other", subject="s9")
    project.annotations.add(frame.id, Ellipse(30, 20, 12, 10, 0), author="me", state="final")
    page.session.frames_changed.emit()
    panel = page.evaluation
    panel.cohort_box.setCurrentIndex(0)
    panel.held_out_box.setChecked(False)
    panel.evaluate()
    qtbot.waitUntil(lambda: panel.button.isEnabled())
    assert requests[-1].cohort is None and not requests[-1].held_out
    table = panel.view.table
    names = [text_at(table, i, 0) for i in range(table.rowCount())]
    assert names == ["All", "cohort other", "cohort samples"]
    heads = table.horizontalHeader().defaultAlignment()
    assert heads & Qt.AlignmentFlag.AlignRight, "as the numbers below them"


def _score(item: LabelledFrame) -> FrameScore:
    return FrameScore(
        frame_id=item.id,
        name="x",
        subject="s",
        cohort="c",
        dice=0.9,
        iou=0.8,
        hd95_px=3.0,
        assd_px=1.0,
        hc_mm=90.0,
        hc_error_mm=1.0,
        reference=item.ellipse,
    )


def test_an_evaluation_under_way_is_not_called_none(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    panel, view = page.evaluation, page.evaluation.view
    panel.evaluate()
    assert view.title.text() == "Evaluating compact" and "when it has ended" in view.about.text()
    fakes[0][1].cancelled.emit(None)
    fakes[0][1].ended.emit()
    assert view.title.text() == "No evaluation yet" and panel.button.isEnabled()


def test_a_training_under_way_is_not_shown_as_one_of_another_project(
    page: TrainPage, window: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fakes = use_fakes(monkeypatch, page.session)
    home = page.session.open.path
    page.start()
    assert page.job_bar.isVisible()
    page.session.new_project(tmp_path / "other")
    window.show_place("train")
    said = f"The training continues in the project {home.name}."
    assert page.estimate.text() == said and said in page.start_button.toolTip()
    assert not page.job_bar.isVisible()
    page.session.open_project(home)
    assert page.job_bar.isVisible() and page.estimate.text() != said
    fakes[0][1].ended.emit()
    assert not page.job_bar.isVisible() and page.start_button.isEnabled()


def test_an_evaluation_under_way_is_said_when_its_project_is_opened_again(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]], tmp_path: Path
) -> None:
    view, first = page.evaluation.view, page.session.open.path
    page.evaluation.evaluate()
    page.session.new_project(tmp_path / "other")
    assert view.title.text() == "No evaluation yet"
    page.session.open_project(first)
    assert view.title.text() == "Evaluating compact" and "when it has ended" in view.about.text()
    fakes[0][1].cancelled.emit(None)
    fakes[0][1].ended.emit()
    page.session.new_project(tmp_path / "third")
    page.session.open_project(first)
    assert view.title.text() == "No evaluation yet"


def test_an_evaluation_that_ends_unseen_is_announced(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]], tmp_path: Path
) -> None:
    told: list[str] = []
    page.session.message.connect(lambda text, _level: told.append(text))
    result = summarise("compact", [_score(labelled_frames(page.session.open)[0])])
    panel = page.evaluation
    for shown in (True, False):
        page.tabs.setCurrentIndex(1 if shown else 0)
        panel.evaluate()
        fakes[-1][1].finished.emit(result)
        fakes[-1][1].ended.emit()
        assert panel.view.result is result
        said = [] if shown else ["compact was evaluated on 1 frame: mean Dice 0.900."]
        assert told == said
    panel.evaluate()
    name = page.session.open.path.name
    page.session.new_project(tmp_path / "other")
    fakes[-1][1].finished.emit(result)
    fakes[-1][1].ended.emit()
    assert panel.view.result is None
    assert told[1:] == [f"{name}: compact was evaluated on 1 frame: mean Dice 0.900."]


def test_a_report_and_a_table_are_saved(qtbot: QtBot, page: TrainPage, tmp_path: Path) -> None:
    view = page.evaluation.view
    project = page.session.open
    view.show_result(summarise("m", [_score(labelled_frames(project)[0])]))
    with qtbot.waitSignal(page.session.message) as said:
        view.save_report(tmp_path / "r.html")
    assert said.args[0] == f"Saved {tmp_path / 'r.html'}."
    assert "Bland-Altman" in (tmp_path / "r.html").read_text()
    view.save_csv(tmp_path / "r.csv")
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 2
    with qtbot.waitSignal(page.session.failure):
        view.save_csv(tmp_path / "r.html" / "r.csv")
    page.session.engine.shutdown()


# -- the curves --------------------------------------------------------------------------------


def _grey() -> np.ndarray:
    return np.full((40, 60), 90, np.uint8)


def row(epoch: int, dice: float) -> dict[str, float]:
    return {
        "epoch": epoch,
        "train_loss": 1 / (epoch + 1),
        "validation_loss": 2 / (epoch + 1),
        "validation_dice": dice,
    }


@pytest.fixture
def curves(qtbot: QtBot, qapp: QApplication) -> TrainingCurves:
    widget = TrainingCurves()
    qtbot.addWidget(widget)
    widget.resize(600, 500)
    widget.show()
    qtbot.waitExposed(widget)
    return widget


def test_live_and_stored_curves_mark_the_same_best_epoch(curves: TrainingCurves) -> None:
    dices = [0.90, 0.95, 0.97, 0.96, 0.97]
    best = -1.0
    for i, dice in enumerate(dices):
        curves.add(Epoch(i, 20, 0.5, 0.6, dice, dice > best))
        best = max(best, dice)
    assert curves.best_epoch == 2
    curves.set_history([row(i, dice) for i, dice in enumerate(dices)])
    assert curves.best_epoch == 2
    curves.set_history([row(i, dice) for i, dice in enumerate(dices)], best_epoch=4)
    assert curves.best_epoch == 4


def test_hovering_reads_the_epoch_under_the_pointer(qtbot: QtBot, curves: TrainingCurves) -> None:
    curves.set_history([row(i, 0.9 + i / 100) for i in range(1, 8)])
    assert curves.readout().startswith("Epoch 7")
    viewport = curves.dice_plot.viewport()
    for dx in (0, 1):  # The offscreen platform drops a move to where the pointer already is.
        at = curves.dice_plot.getViewBox().mapViewToScene(QPoint(3, 0).toPointF())
        QTest.mouseMove(viewport, QPoint(round(at.x()) + dx, 40))
        qtbot.wait(30)
    assert curves.readout().startswith("Epoch 3") and "0.9300" in curves.readout()


def test_the_first_epochs_missing_loss_is_no_trouble(curves: TrainingCurves) -> None:
    start = {"epoch": 0, "validation_loss": 0.4, "validation_dice": 0.95}
    curves.set_history([start, row(1, 0.96)])
    curves.set_logarithmic(True)
    curves.add(Epoch(2, 2, math.nan, 0.1, 0.97, True))
    assert curves.epochs == 3 and curves.best_epoch == 2
    assert "training none" in curves.readout()


def test_empty_curves_have_no_numbers(curves: TrainingCurves) -> None:
    axis = curves.loss_plot.getAxis("left")
    assert not axis.style["showValues"]
    curves.set_history([row(1, 0.9)])
    assert axis.style["showValues"]


def test_a_zero_loss_survives_the_logarithmic_scale(curves: TrainingCurves) -> None:
    curves.set_logarithmic(True)
    curves.set_history([{**row(1, 0.9), "train_loss": 0.0}, row(2, 0.9)])
    assert curves.epochs == 2


def test_progress_of_the_training_is_told(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.start()
    _, handle = fakes[0]
    handle.started.emit()
    handle.progress.emit(Progress(2, 20, 44.0, "fine-tuning"))
    assert page.job_bar.text() == "2 of 20 · 44 s left · fine-tuning"


# -- recipes, and resuming ---------------------------------------------------------------------


def test_a_recipe_sets_what_goes_with_it(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    box = page.form.recipe_box
    box.setCurrentIndex(box.findData("paper"))
    box.activated.emit(box.currentIndex())
    page.start()
    request, handle = fakes[-1]
    assert request.settings == PRESETS["paper"]
    handle.ended.emit()
    box.setCurrentIndex(box.findData("recommended"))
    box.activated.emit(box.currentIndex())
    assert page.form.chosen() == PRESETS["recommended"]


def test_a_run_that_did_not_finish_can_be_resumed(
    page: TrainPage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    project = page.session.open
    run = project.runs.start("broken", {"job": "train", "epochs": 5}, {})
    project.runs.update(run.id, state="cancelled")
    page.session.project_changed.emit()
    assert not page.resume_button.isVisible()  # not even its first epoch was done
    state = state_file(project, run.id)
    state.write_bytes(b"")
    page.session.project_changed.emit()
    assert page.resume_button.isVisible() and page.resume_button.isEnabled()
    QTest.keyClick(page, Qt.Key.Key_G)
    request, handle = fakes[-1]
    assert request.resume == run.id and not page.resume_button.isEnabled()
    assert not page.start_button.isEnabled()
    project.runs.update(run.id, state="running")
    handle.epoch.emit(Epoch(1, 5, 0.1, 0.1, 0.9, best=True, run=RunKey(project.path, run.id)))
    assert page.runs.item(0).text() == "broken\nrunning"
    handle.ended.emit()
    assert page.start_button.isEnabled()
