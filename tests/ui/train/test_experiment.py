"""Whether the pairs help, asked for in the window."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from fetalstudio.core.training_settings import TrainingSettings
from fetalstudio.engine.jobs.experiment.findings import Trained, result_of
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, POSITIVE, SYNTHETIC
from fetalstudio.engine.jobs.experiment.request import ExperimentRequest
from fetalstudio.engine.jobs.experiment.resuming import own_settings
from fetalstudio.project.project import Project
from fetalstudio.ui.session import Session
from fetalstudio.ui.train.page import TrainPage
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import HandleFake, text_at, use_fakes


@pytest.fixture
def page(open_session: Session, window: MainWindow) -> TrainPage:
    window.show_place("train")
    page = window.page("train")
    assert isinstance(page, TrainPage)
    return page


def _record(project: Project, *, trainings: int = 5 * len(MIXES)) -> None:
    """Record an experiment, which was stopped after so many trainings if that is not all."""
    ids = [frame.id for frame in project.frames.all()][:6]
    data = {
        "test": ids,
        "subjects": [f"s{i}" for i in range(24)],
        "drawn": [{"train": ids[:2], "pairs": [1, 2, 3], "more": ids[2:5]}] * 5,
    }
    request = ExperimentRequest(project.path, "compact", real=2, seeds=5)
    settings = {**asdict(request), "project": None, "job": "experiment"}
    run = project.runs.start("experiment-1", settings, data)
    better = {SYNTHETIC: 0.95, POSITIVE: 0.96}
    each = [(BEFORE, 0), *((mix, seed) for seed in range(5) for mix in MIXES)]
    for mix, seed in each[: 1 + trainings]:
        trained = Trained(mix, seed, (better.get(mix, 0.93),) * 24, 10, 1.0)
        project.runs.update(run.id, history_entry=asdict(trained))
    stopped = trainings < 5 * len(MIXES)
    project.runs.update(run.id, state="cancelled" if stopped else "finished")


def test_it_asks_for_the_frames_and_pairs_of_the_settings(
    page: TrainPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes: list[tuple[Any, HandleFake]] = use_fakes(monkeypatch, page.session)
    page.form.real_box.setValue(5)
    page.form.fields["epochs"].show(7)
    page.experiment.seeds_box.setValue(2)
    QTest.keyClick(page, Qt.Key.Key_H)
    request, handle = fakes[-1]
    assert (request.real, request.synthetic, request.seeds) == (5, None, 2)
    assert request.settings == page.form.chosen() and request.settings.epochs == 7
    assert page.experiment.isVisible() and not page.experiment.button.isEnabled()
    page.experiment.start()
    assert len(fakes) == 1
    handle.ended.emit()
    assert page.experiment.button.isEnabled()


def test_the_newest_answer_is_shown_with_its_figures(page: TrainPage) -> None:
    panel = page.experiment
    assert panel.sentence.text() == "" and panel.table.isHidden()
    _record(page.session.open)
    panel.refresh()
    assert panel.sentence.text().startswith("Yes: with 3 synthetic pairs beside 2 real frames")
    assert "on 24 test frames of 24 subjects" in panel.evidence.text()
    texts = [[text_at(panel.table, r, c) for c in range(3)] for r in range(7)]
    assert texts[0] == ["compact, not fine-tuned", "0.930", ""]
    assert [row for row in texts if row[1] == "0.950"] == [["Real and synthetic", "0.950", ""]]
    assert texts[1] == ["Control: +3 real", "0.960", "-1.00"]
    assert texts[-1][2] == "+2.00"


def test_an_experiment_that_was_stopped_is_offered_with_its_own_settings(
    page: TrainPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, panel = page.session.open, page.experiment
    fakes = use_fakes(monkeypatch, page.session)
    page.tabs.setCurrentIndex(2)
    assert panel.resume_button.isHidden() and panel.unfinished.isHidden()
    _record(project, trainings=8)
    panel.refresh()
    assert panel.unfinished.text() == (
        f"experiment-1 was stopped. 8 of its {5 * len(MIXES)} trainings have ended and are kept."
    )
    page.form.real_box.setValue(5)  # the settings on screen are those of the next one
    QTest.keyClick(page, Qt.Key.Key_H, Qt.KeyboardModifier.ShiftModifier)
    ((request, handle),) = fakes
    settings = own_settings(TrainingSettings())
    assert request == ExperimentRequest(project.path, "compact", real=2, seeds=5, settings=settings)
    assert panel.resume_button.isHidden() and panel.unfinished.isHidden()
    handle.ended.emit()
    assert panel.resume_button.isVisible()
    _record(project)  # a later one takes its place
    panel.refresh()
    assert panel.resume_button.isHidden() and panel.unfinished.isHidden()


def test_an_experiment_goes_on_in_its_project_and_says_so(
    page: TrainPage, window: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session, panel = page.session, page.experiment
    said: list[str] = []
    session.message.connect(lambda text, _level: said.append(text))
    fakes = use_fakes(monkeypatch, session)
    QTest.keyClick(page, Qt.Key.Key_H)
    ((request, handle),) = fakes
    home = request.project
    with _under_way(session, handle):
        session.new_project(tmp_path / "other")
        assert said == [f"Comparing trainings goes on in the project {home.name}."]
        assert panel.unfinished.text() == f"It continues in the project {home.name}."
        assert window.status_job.title.text() == f"Comparing trainings in the project {home.name}"
        assert _asked_when_leaving(window) == (
            f"Comparing trainings is still running in the project {home.name}.",
            "If you leave, the job is stopped. The trainings that have ended are kept, and Resume "
            "in Train, Experiment, goes on with the others.",
        )
    session.open_project(home)
    assert panel.unfinished.isHidden()
    _record(session.open)
    found = result_of(session.open.runs.all()[0])
    session.open_project(tmp_path / "other")
    handle.finished.emit(found)
    assert found is not None and said[-1] == f"{home.name}: {found.sentence}"


@contextlib.contextmanager
def _under_way(session: Session, handle: HandleFake) -> Iterator[None]:
    """The engine runs this job."""
    session.engine._running = session.engine._handles[handle.id] = handle
    try:
        yield
    finally:
        session.engine._running = None
        session.engine._handles.clear()


def _asked_when_leaving(window: MainWindow) -> tuple[str, str]:
    """What the window asks when it is closed; the answer is to stay."""
    read: list[tuple[str, str]] = []

    def stay() -> None:
        (box,) = window.findChildren(QMessageBox)
        read.append((box.text(), box.informativeText()))
        box.reject()

    QTimer.singleShot(0, stay)
    assert not window.close()
    return read[0]
