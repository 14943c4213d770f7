"""The batch panel and its dialog in the real window: which heads, and going on with a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from fetalstudio.core.biometry import trimester
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.heads import HeadConstraints
from fetalstudio.engine.jobs.synthesize.like_cohort import ellipses_like
from fetalstudio.engine.jobs.synthesize.request import SynthesizeResult
from fetalstudio.project.store.records import BatchItem
from fetalstudio.ui.commands import SetEllipse
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.batch import BatchPanel
from fetalstudio.ui.synthesise.heads_dialog import HeadsDialog, RangeField
from fetalstudio.ui.synthesise.page import SynthesisePage
from fetalstudio.ui.synthesise.synthesis_panel import MANY
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import HandleFake, use_fakes


@pytest.fixture
def page(open_session: Session, window: MainWindow) -> SynthesisePage:
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    page.panel.tabs.setCurrentIndex(MANY)
    return page


@pytest.fixture
def batch(page: SynthesisePage, qtbot: QtBot) -> BatchPanel:
    page.batch.count_box.setValue(60)
    drawn(qtbot, page.batch)
    return page.batch


@pytest.fixture
def dialog(page: SynthesisePage, batch: BatchPanel, qtbot: QtBot) -> HeadsDialog:
    """Opened by its key."""
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_H, Qt.KeyboardModifier.ShiftModifier)
    assert batch.dialog is not None and batch.dialog.isVisible()
    return batch.dialog


@pytest.fixture
def fakes(page: SynthesisePage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, HandleFake]]:
    return use_fakes(monkeypatch, page.session)


def drawn(qtbot: QtBot, batch: BatchPanel) -> None:
    """Wait until the heads of the batch are there."""
    qtbot.waitUntil(lambda: len(batch.heads.drawn) == batch.count_box.value())


def enter(qtbot: QtBot, field: RangeField, low: str, high: str) -> None:
    """Tick it with the mouse and type both numbers."""
    if not field.tick.isChecked():
        at = field.tick.rect().center()
        at.setX(8)
        qtbot.mouseClick(field.tick, Qt.MouseButton.LeftButton, pos=at)
    for box, text in zip(field.fields(), (low, high), strict=True):
        box.selectAll()
        qtbot.keyClicks(box.lineEdit(), text)
        qtbot.keyClick(box, Qt.Key.Key_Return)


def hcs(batch: BatchPanel) -> np.ndarray:
    return np.array([head.circumference(e, "mm") for head, e in batch.heads.drawn])


def unfinished(session: Session, wanted: int, made: int) -> int:
    """A batch of which some is made, as a crash leaves it."""
    frame = session.open.frames.all()[0]
    ellipse = Ellipse(300, 200, 90, 80, 0)
    items = [
        BatchItem(i, f"n{i}", ellipse, frame.size, frame.id, None, i, "any") for i in range(wanted)
    ]
    started = session.open.batches.start({}, items)
    for i in range(made):
        pair = session.open.pairs.add(
            np.full((60, 60), i, np.uint8),
            name=f"n{i}",
            ellipse=Ellipse(30, 30, 20, 15, 0),
            cohort="synthetic",
            calibration=None,
            quality={"dice": 0.9},
            provenance={},
        )
        session.open.batches.mark_made(started.id, i, pair.id)
    return started.id


# -- which heads -------------------------------------------------------------------------------


def test_what_is_shown_is_what_will_be_made(
    page: SynthesisePage, batch: BatchPanel, qtbot: QtBot
) -> None:
    page.controls.seed_box.setValue(9)
    drawn(qtbot, batch)
    made = ellipses_like(page.session.open, 60, cohort="samples", seed=9)
    assert [e for _, e in batch.heads.drawn] == [item.ellipse for item in made]
    assert batch.size_plot.isVisible()
    assert batch.size_plot.batch_shares.sum() == pytest.approx(1)
    inside = (batch.size_plot.edges[0] < hcs(batch)) & (hcs(batch) < batch.size_plot.edges[-1])
    assert inside.all()


def test_a_range_is_seen_at_once_asked_for_and_remembered(
    page: SynthesisePage,
    batch: BatchPanel,
    dialog: HeadsDialog,
    fakes: list[tuple[Any, HandleFake]],
    qtbot: QtBot,
) -> None:
    own = batch.heads.own
    assert own is not None and not dialog.size_field.low.isEnabled()
    assert dialog.size_field.low.value() == pytest.approx(own.hc[0], abs=0.6)
    enter(qtbot, dialog.size_field, "150", "190")
    drawn(qtbot, batch)
    assert hcs(batch).min() >= 150 and hcs(batch).max() <= 190
    assert dialog.plots.sizes.batch_shares.sum() == pytest.approx(1)
    within = dialog.plots.sizes.edges[1:][dialog.plots.sizes.batch_shares > 0]
    assert within.min() > 150 and dialog.mix.text() == "First 0 % · second 100 % · third 0 %"
    enter(qtbot, dialog.angle_field, "-10", "10")
    drawn(qtbot, batch)
    qtbot.mouseClick(dialog.close_button, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
    assert batch.constraints_label.text() == "HC 150 to 190 mm, angle -10° to 10°"
    qtbot.mouseClick(batch.make_button, Qt.MouseButton.LeftButton)
    assert fakes[0][0].constraints == HeadConstraints(hc_mm=(150, 190), angle=(-10, 10))
    again = SynthesisePage(page.session)
    qtbot.addWidget(again)
    assert again.batch.heads.constraints == HeadConstraints(hc_mm=(150, 190), angle=(-10, 10))


def test_the_way_back_to_the_cohort(
    batch: BatchPanel, dialog: HeadsDialog, fakes: list[tuple[Any, HandleFake]], qtbot: QtBot
) -> None:
    before = list(batch.heads.drawn)
    dialog.balance_box.setCurrentIndex(1)
    dialog.spread_box.setValue(0.5)
    drawn(qtbot, batch)
    assert batch.constraints_label.text() == "spread 0.5, trimesters balanced"
    names = [trimester(hc) for hc in hcs(batch)]
    assert {names.count(t) for t in ("first", "second", "third")} == {20}
    qtbot.keyClick(dialog, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    drawn(qtbot, batch)
    assert batch.heads.drawn == before and dialog.spread_box.value() == 1
    assert not batch.constraints_label.isVisible()
    batch.make()
    assert fakes[0][0].constraints is None


def test_an_empty_range_is_told_and_nothing_can_be_made(
    batch: BatchPanel, dialog: HeadsDialog, qtbot: QtBot
) -> None:
    enter(qtbot, dialog.ratio_field, "0.85", "0.75")
    assert "empty range" in dialog.message.text() and dialog.message.isVisible()
    assert "empty range" in batch.summary.text() and not batch.make_button.isEnabled()
    assert batch.heads.drawn == []
    enter(qtbot, dialog.ratio_field, "0.75", "0.85")
    drawn(qtbot, batch)
    assert not dialog.message.isVisible() and batch.make_button.isEnabled()
    enter(qtbot, dialog.size_field, "900", "950")
    qtbot.waitUntil(lambda: "The cohort has an HC of" in dialog.message.text())
    assert not batch.make_button.isEnabled()


def test_an_entry_that_was_no_range_is_forgotten_when_the_dialog_opens_again(
    batch: BatchPanel, dialog: HeadsDialog, qtbot: QtBot
) -> None:
    enter(qtbot, dialog.ratio_field, "0.85", "0.75")
    dialog.close()
    dialog.show()
    drawn(qtbot, batch)
    assert not dialog.message.isVisible() and batch.make_button.isEnabled()
    assert dialog.ratio_field.low.value() < dialog.ratio_field.high.value()


def test_without_calibration_sizes_are_in_px(
    page: SynthesisePage, batch: BatchPanel, dialog: HeadsDialog, qtbot: QtBot
) -> None:
    dialog.close()
    for frame in page.session.open.frames.all():
        page.session.open.frames.set_calibration(frame.id, None)
    page.session.frames_changed.emit()
    dialog.show()
    assert "px" in dialog.size_field.tick.text() and not dialog.balance_box.isEnabled()
    enter(qtbot, dialog.size_field, "1100", "1200")
    drawn(qtbot, batch)
    assert batch.constraints_label.text() == "HC 1100 to 1200 px"
    assert all(1100 <= e.perimeter <= 1200 for _, e in batch.heads.drawn)


def test_an_ellipse_drawn_in_annotate_is_one_more_head(
    page: SynthesisePage, batch: BatchPanel, window: MainWindow, qtbot: QtBot
) -> None:
    before = len(batch.heads.cohort)
    window.show_place("annotate")
    for frame in page.session.open.frames.all(annotated=False):
        page.session.undo_stack.push(
            SetEllipse(page.session, frame.id, Ellipse(400, 270, 150, 120, 0), "final")
        )
    window.show_place("synthesise")
    assert len(batch.heads.cohort) > before


def test_whether_pairs_follow_the_cohort_is_chosen_and_remembered(
    page: SynthesisePage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    panel = page.batch
    monkeypatch.setattr(panel, "_submit", lambda request: asked.append(request.convention))
    panel.make()
    page.controls.convention_box.click()
    panel.make()
    assert asked == [True, False]
    assert not page.session.settings.get("synthesise/convention", True)


def test_each_batch_has_a_seed_of_its_own(
    page: SynthesisePage, batch: BatchPanel, fakes: list[tuple[Any, HandleFake]], qtbot: QtBot
) -> None:
    """The same one again would make the same pairs, and nothing new."""
    page.controls.seed_box.setValue(7)
    drawn(qtbot, batch)
    first = [e for _, e in batch.heads.drawn]
    batch.make()
    request, handle = fakes[0]
    assert request.seed == 7
    page.session.open.batches.start({"seed": 7}, [])
    handle.finished.emit(SynthesizeResult((1,), 0.95, 1.0, None, 0))
    handle.ended.emit()
    qtbot.waitUntil(lambda: [e for _, e in batch.heads.drawn] != first)
    page.session.open.batches.start({"seed": 9}, [])
    batch.make()
    assert fakes[1][0].seed == 8 and page.controls.seed_box.value() == 7


# -- going on ----------------------------------------------------------------------------------


def test_an_unfinished_batch_is_offered_and_goes_on(
    page: SynthesisePage,
    batch: BatchPanel,
    fakes: list[tuple[Any, HandleFake]],
    qtbot: QtBot,
) -> None:
    assert not batch.resume_button.isVisible()
    batch_id = unfinished(page.session, 10, 4)
    batch.refresh()
    assert batch.unfinished.text() == "Unfinished batch: 4 of 10 pairs made."
    assert batch.resume_button.isVisible() and "Shift+R" in batch.resume_button.toolTip()
    qtbot.keyClick(page.canvas, Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier)
    request, handle = fakes[0]
    assert (request.resume, request.count, request.ellipses) == (batch_id, None, None)
    assert not batch.resume_button.isVisible() and not batch.make_button.isEnabled()
    handle.started.emit()
    # The batch that runs is unfinished, too, and its keys must not ask for it again.
    page.session.batches_changed.emit()
    for key in (Qt.Key.Key_R, Qt.Key.Key_L):
        qtbot.keyClick(page.canvas, key, Qt.KeyboardModifier.ShiftModifier)
    assert len(fakes) == 1 and not page.session.undo_stack.canUndo()
    handle.finished.emit(SynthesizeResult(tuple(range(10)), 0.95, 1.0, None, 4))
    handle.ended.emit()
    page.session.frames_changed.emit()  # the engine has written to the project
    assert "10 pairs made (4 of them earlier)" in batch.summary.text()
    # The fake made nothing, so that the batch still is what it was.
    assert batch.resume_button.isVisible()


def test_a_batch_can_be_left_and_that_undone(
    page: SynthesisePage, batch: BatchPanel, qtbot: QtBot
) -> None:
    unfinished(page.session, 6, 4)
    batch.refresh()
    qtbot.mouseClick(batch.dismiss_button, Qt.MouseButton.LeftButton)
    assert not batch.resume_button.isVisible()
    page.session.undo_stack.undo()
    assert batch.resume_button.isVisible() and batch.resume_button.text() == "Continue: 2 more"


def test_another_project_has_its_own_heads_and_batches(
    page: SynthesisePage, batch: BatchPanel, dialog: HeadsDialog, qtbot: QtBot, tmp_path: Path
) -> None:
    unfinished(page.session, 6, 4)
    dialog.spread_box.setValue(2)
    dialog.close()
    here = page.session.open.path
    page.session.new_project(tmp_path / "other")
    assert not batch.resume_button.isVisible() and batch.heads.constraints == HeadConstraints()
    assert not batch.make_button.isEnabled() and not batch.size_plot.isVisible()
    page.session.open_project(here)
    assert batch.heads.constraints == HeadConstraints(spread=2) and batch.resume_button.isVisible()


def test_a_batch_of_a_table(
    page: SynthesisePage,
    batch: BatchPanel,
    fakes: list[tuple[Any, HandleFake]],
    qtbot: QtBot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = tmp_path / "heads.csv"
    table.write_text("name,cx,cy,a,b,angle_deg,width,height\nx,50,40,20,10,0,100,80\n")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(table), ""))
    qtbot.mouseClick(batch.table_button, Qt.MouseButton.LeftButton)
    (item,) = fakes[0][0].ellipses
    assert (item.name, item.ellipse.a, fakes[0][0].count) == ("x", 20, None)
    table.write_text(table.read_text() + "far,500,40,20,10,0,100,80\n")
    with qtbot.waitSignal(page.session.message) as left_out:
        batch.make_from(table)
    assert [item.name for item in fakes.pop()[0].ellipses] == ["x"]
    assert "No pair is made for 1 row of heads.csv" in left_out.args[0]
    assert "line 3: the centre (500, 40) px lies outside" in left_out.args[0]
    table.write_text("name\n")
    with qtbot.waitSignal(page.session.failure) as said:
        batch.make_from(table)
    assert str(table) in said.args[0] and len(fakes) == 1
