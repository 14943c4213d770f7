"""Whether the pairs help, asked for in the window."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from fetalstudio.engine.jobs.experiment.findings import Trained
from fetalstudio.engine.jobs.experiment.mixes import BEFORE, MIXES, POSITIVE, SYNTHETIC
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


def _record(project: Project) -> None:
    ids = [frame.id for frame in project.frames.all()][:6]
    data = {
        "test": ids,
        "subjects": [f"s{i}" for i in range(24)],
        "drawn": [{"train": ids[:2], "pairs": [1, 2, 3], "more": ids[2:5]}],
    }
    run = project.runs.start("experiment-1", {"job": "experiment", "segmenter": "compact"}, data)
    better = {SYNTHETIC: 0.95, POSITIVE: 0.96}
    for seed in range(5):
        for mix in (BEFORE, *MIXES):
            trained = Trained(mix, seed, (better.get(mix, 0.93),) * 24, 10, 1.0)
            project.runs.update(run.id, history_entry=asdict(trained))
    project.runs.update(run.id, state="finished")


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
