"""The Annotate page on real frames, with a real project on disk."""

from __future__ import annotations

import csv
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import QApplication, QToolButton
from pytestqt.qtbot import QtBot

from fetalstudio.core.biometry import Spread
from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.propose.request import Proposal, ProposeRequest, ProposeResult
from fetalstudio.engine.jobs.snap.request import SnapRequest, SnapResult
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import Cancelled, Event, Failed, Finished
from fetalstudio.engine.process.job import Asked
from fetalstudio.project.project import Project
from fetalstudio.project.store.backups import Backup
from fetalstudio.project.store.database import Database
from fetalstudio.project.store.records import Annotation
from fetalstudio.ui import theme
from fetalstudio.ui.annotate.biometry_panel import NONE, BiometryPanel
from fetalstudio.ui.annotate.page import AnnotatePage
from fetalstudio.ui.canvas import GreyWindow, Tool
from fetalstudio.ui.canvas.handles import Handle
from fetalstudio.ui.canvas.view import Point
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.shortcut_sheet import keys_of
from tests.ui.loop import newest

LEFT = Qt.MouseButton.LeftButton
NO_BUTTON = Qt.MouseButton.NoButton
CONTROL = Qt.KeyboardModifier.ControlModifier
HEAD = Ellipse.of(400, 270, 200, 150, 20)


@pytest.fixture
def page(qtbot: QtBot, dressed: None, open_session: Session) -> AnnotatePage:
    page = AnnotatePage(open_session)
    qtbot.addWidget(page)
    page.resize(1200, 760)
    with qtbot.waitActive(page):
        page.show()
        page.activateWindow()
    page.activated()
    return page


@pytest.fixture
def project(open_session: Session) -> Project:
    return open_session.open


@pytest.mark.parametrize("state", ["none", "proposed", "draft", "final"])
def test_the_panel_is_as_wide_as_its_place_in_every_state(page: AnnotatePage, state: str) -> None:
    """What is wider is cut off at the right, because a panel does not scroll sideways."""
    newest_of = None
    if state != "none":
        kept: Any = state
        frame_id = frame_named(page, "346_HC")
        ellipse = Ellipse(400, 270, 200, 150, 20)
        page.session.open.annotations.add(frame_id, ellipse, author="segmenter:compact", state=kept)
        newest_of = newest(page.session.open, frame_id)
    page.panel.show_annotation(newest_of)
    assert page.panel.minimumSizeHint().width() <= 290  # a scroll bar beside it takes 10 px


def frame_named(page: AnnotatePage, name: str) -> str:
    return next(f.id for f in page.session.open.frames.all() if f.name == name)


def annotated(page: AnnotatePage) -> str:
    """Select a frame with an ellipse."""
    return select(page, frame_named(page, "346_HC"))


def unannotated(page: AnnotatePage) -> str:
    return select(page, page.session.open.frames.all(annotated=False)[0].id)


def select(page: AnnotatePage, frame_id: str) -> str:
    page.session.select_frame(frame_id)
    return frame_id


def send(
    page: AnnotatePage, kind: QEvent.Type, at: tuple[float, float], held: Qt.MouseButton = LEFT
) -> None:
    canvas, button = page.canvas, NO_BUTTON if kind == QEvent.Type.MouseMove else LEFT
    point = QPointF(*at)
    none = Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(kind, point, canvas.mapToGlobal(point), button, held, none)
    QApplication.sendEvent(canvas, event)


def press(page: AnnotatePage, at: Point) -> None:
    send(page, QEvent.Type.MouseButtonPress, at)


def move(page: AnnotatePage, at: Point, held: Qt.MouseButton = LEFT) -> None:
    send(page, QEvent.Type.MouseMove, at, held)


def release(page: AnnotatePage, at: Point) -> None:
    send(page, QEvent.Type.MouseButtonRelease, at, NO_BUTTON)


def drag(page: AnnotatePage, start: Point, to: Point) -> None:
    press(page, start)
    for i in range(1, 6):
        f = i / 5
        move(page, (start[0] + f * (to[0] - start[0]), start[1] + f * (to[1] - start[1])))
    release(page, to)


def handle_at(page: AnnotatePage, handle: Handle) -> tuple[float, float]:
    return page.canvas.handle_points()[handle]


def pull(page: AnnotatePage, handle: Handle, by: float) -> None:
    """Drag an axis handle outwards by screen px."""
    x, y = handle_at(page, handle)
    cx, cy = handle_at(page, Handle.CENTRE)
    reach = math.dist((x, y), (cx, cy))
    ux, uy = (x - cx) / reach, (y - cy) / reach
    drag(page, (x, y), (x + by * ux, y + by * uy))


def draw(page: AnnotatePage, ellipse: Ellipse) -> None:
    """With the callipers: long axis, then the side."""
    tips = ellipse.contour(360)
    at = [page.canvas.view.to_screen(tuple(tips[i])) for i in (0, 180, 90)]
    drag(page, at[0], at[1])
    move(page, at[2], NO_BUTTON)
    press(page, at[2])
    release(page, at[2])


def key(
    page: AnnotatePage, which: Qt.Key, keys: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    QTest.keyClick(page.canvas, which, keys)


def shown(page: AnnotatePage) -> Ellipse:
    """The ellipse on screen; there must be one."""
    ellipse = page.canvas.ellipse()
    assert ellipse is not None
    return ellipse


def ellipse_of(project: Project, frame_id: str) -> Ellipse:
    """The newest ellipse of a frame, which must have one."""
    ellipse = newest(project, frame_id).ellipse
    assert ellipse is not None
    return ellipse


def calibration_of(project: Project, frame_id: str) -> Calibration:
    calibration = project.frames.get(frame_id).calibration
    assert calibration is not None
    return calibration


def figure(page: AnnotatePage, name: str) -> str:
    return page.panel.biometry.values[name].text()


# -- frames ----------------------------------------------------------------------------------


def test_the_selected_frame_is_shown_with_its_place_in_the_list(
    page: AnnotatePage, project: Project
) -> None:
    names = [frame.name for frame in project.frames.all()]
    frame_id = annotated(page)
    assert page.canvas.ellipse() == ellipse_of(project, frame_id)
    assert page.bar.name.text() == "346_HC"
    assert f"frame {names.index('346_HC') + 1} of 24, 8 to do" in page.bar.position.text()


def test_page_keys_walk_through_the_frames(page: AnnotatePage, project: Project) -> None:
    ids = [frame.id for frame in project.frames.all()]
    select(page, ids[0])
    assert not page.previous_action.isEnabled()
    key(page, Qt.Key.Key_PageUp)
    assert page.session.frame_id == ids[0]
    for expected in ids[1:4]:
        key(page, Qt.Key.Key_PageDown)
        assert page.session.frame_id == expected
    key(page, Qt.Key.Key_PageUp)
    assert page.session.frame_id == ids[2]
    select(page, ids[-1])
    key(page, Qt.Key.Key_PageDown)
    assert page.session.frame_id == ids[-1]


def test_a_frame_whose_file_is_gone_is_named_and_the_next_one_works(
    page: AnnotatePage, project: Project
) -> None:
    first, second = (frame.id for frame in project.frames.all()[:2])
    select(page, second)
    project.frames.path(first).unlink()
    select(page, first)
    assert page.body.currentWidget() is page.empty
    assert project.frames.get(first).name in page.empty.text()
    select(page, second)
    assert page.body.currentWidget() is not page.empty
    assert page.canvas.ellipse() is not None


def test_without_a_project_the_way_to_the_library_is_shown(qtbot: QtBot, session: Session) -> None:
    page = AnnotatePage(session)
    qtbot.addWidget(page)
    assert page.body.currentWidget() is page.empty
    places = QSignalSpy(session.place_requested)
    page.empty.button.click()
    assert places.at(0) == ["library"]
    page.propose()
    page.confirm()
    page.next_unfinished()


def test_an_import_under_way_is_not_called_empty(
    qtbot: QtBot, session: Session, samples: Path, tmp_path: Path
) -> None:
    session.new_project(tmp_path / "new")
    page = AnnotatePage(session)
    qtbot.addWidget(page)
    assert "No frames yet" in page.empty.text()
    handle = session.import_frames(ImportRequest(session.open.path, samples))
    assert page.empty.text().startswith("Importing frames") and page.empty.button.isHidden()
    handle.cancel()
    with qtbot.waitSignal(handle.ended):
        pass
    assert "No frames yet" in page.empty.text() and not page.empty.button.isHidden()


def test_another_project_takes_the_place_of_the_first(page: AnnotatePage, tmp_path: Path) -> None:
    annotated(page)
    page.session.new_project(tmp_path / "other")
    assert page.body.currentWidget() is page.empty
    key(page, Qt.Key.Key_Left)
    page.canvas.flush()
    assert page.session.open.frames.all() == []


# -- one gesture, one revision ---------------------------------------------------------------


def test_a_drag_moves_the_figures_and_writes_once_at_its_end(
    page: AnnotatePage, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame_id = annotated(page)
    before, hc = project.annotations.revisions(frame_id), figure(page, "hc")
    written: list[object] = []
    statements: list[object] = []

    def counted(calls: list[object], function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: object, **kwargs: object) -> object:
            calls.append(args)
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(project.annotations, "add", counted(written, project.annotations.add))
    for name in ("query", "one", "insert", "execute", "transaction"):
        monkeypatch.setattr(Database, name, counted(statements, getattr(Database, name)))
    x, y = handle_at(page, Handle.SECOND_END)
    press(page, (x, y))
    for i in range(1, 20):
        move(page, (x, y + i))
    assert figure(page, "hc") != hc
    assert statements == []
    assert written == []
    release(page, (x, y + 19))
    assert len(written) == 1 and statements
    after = project.annotations.revisions(frame_id)
    assert len(after) == len(before) + 1
    assert after[-1].state == "draft"
    assert after[-1].author == page.session.author
    assert after[-1].ellipse == page.canvas.ellipse()


def test_drawing_is_one_revision_with_the_figures_of_what_was_drawn(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = unannotated(page)
    assert figure(page, "hc") == NONE
    draw(page, HEAD)
    (revision,) = project.annotations.revisions(frame_id)
    assert revision.ellipse is not None and revision.ellipse.overlap(HEAD) > 0.9999
    mm = calibration_of(project, frame_id).to_mm(revision.ellipse)
    assert figure(page, "hc") == f"{mm.perimeter:.1f} mm"


def test_key_strokes_before_the_next_frame_belong_to_the_old_one(
    page: AnnotatePage, project: Project
) -> None:
    first = annotated(page)
    before, start = newest(project, first), ellipse_of(project, first)
    for _ in range(5):
        key(page, Qt.Key.Key_Right)
    assert len(project.annotations.revisions(first)) == before.revision
    key(page, Qt.Key.Key_PageDown)
    second = page.session.frame_id
    assert second is not None and second != first
    assert newest(project, first).revision == before.revision + 1
    assert ellipse_of(project, first).cx == pytest.approx(start.cx + 5)
    page.canvas.flush()
    assert len(project.annotations.revisions(second)) <= 1
    assert page.session.undo_stack.count() == 1


def test_selecting_a_frame_elsewhere_does_not_lose_key_strokes(
    page: AnnotatePage, project: Project
) -> None:
    first = annotated(page)
    key(page, Qt.Key.Key_Up)
    select(page, project.frames.all()[0].id)
    assert len(project.annotations.revisions(first)) == 2


def test_undo_and_redo_work_through_a_save_and_a_new_start(
    page: AnnotatePage, project: Project, qapp: QApplication
) -> None:
    frame_id = annotated(page)
    stack = page.session.undo_stack
    original = newest(project, frame_id)
    pull(page, Handle.FIRST_END, 15)
    longer = ellipse_of(project, frame_id)
    pull(page, Handle.SECOND_START, 12)
    wider = ellipse_of(project, frame_id)
    assert stack.count() == 2

    def on_disk() -> Annotation:
        with Project.open(project.path) as other:
            return newest(other, frame_id)

    assert on_disk().ellipse == wider
    page.undo_action.trigger()
    assert page.canvas.ellipse() == on_disk().ellipse == longer
    page.undo_action.trigger()
    assert page.canvas.ellipse() == on_disk().ellipse == original.ellipse
    assert on_disk().state == "final"
    assert on_disk().author == "import"
    assert not page.undo_action.isEnabled()
    page.redo_action.trigger()
    page.redo_action.trigger()
    assert page.canvas.ellipse() == on_disk().ellipse == wider
    assert [r.ellipse for r in project.annotations.revisions(frame_id)] == [
        original.ellipse, longer, wider, longer, original.ellipse, longer, wider,
    ]  # fmt: skip


def test_undo_of_another_frames_edit_shows_that_frame(page: AnnotatePage, project: Project) -> None:
    first = annotated(page)
    pull(page, Handle.FIRST_END, 10)
    select(page, project.frames.all()[0].id)
    page.undo_action.trigger()
    assert page.session.frame_id == first
    assert page.canvas.ellipse() == project.annotations.revisions(first)[0].ellipse


def test_undo_drops_a_half_drawn_ellipse_first(page: AnnotatePage, project: Project) -> None:
    first = annotated(page)
    pull(page, Handle.FIRST_END, 10)
    pulled = ellipse_of(project, first)
    select(page, project.frames.all()[0].id)
    for undo in (lambda: key(page, Qt.Key.Key_Z, CONTROL), page.undo_action.trigger):
        page.canvas.set_tool(Tool.CALLIPER)
        press(page, (300, 300))
        move(page, (400, 350))
        undo()
        assert page.session.frame_id != first, "the frame on screen stays"
        assert ellipse_of(project, first) == pulled


def test_nothing_is_confirmed_on_a_frame_that_cannot_be_shown(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = annotated(page)
    other = unannotated(page)
    select(page, frame_id)
    path = project.frames.path(other)
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    select(page, other)
    page.session.frames_changed.emit()
    page.session.annotation_changed.emit(other)
    assert page.body.currentWidget() is page.empty and page.canvas.ellipse() is None
    page.confirm_action.trigger()
    assert project.annotations.newest(other) is None
    path.write_bytes(whole)
    page.session.frames_changed.emit()
    select(page, frame_id)
    select(page, other)
    assert page.body.currentWidget() is not page.empty


def test_a_key_that_is_held_down_confirms_once(page: AnnotatePage) -> None:
    for action in (page.confirm_action, page.reject_action, page.use_action):
        assert not action.autoRepeat()
    assert page.next_action.autoRepeat()


def test_a_key_that_is_held_down_neither_asks_and_stops_nor_draws_and_stops(
    page: AnnotatePage, jobs: Jobs
) -> None:
    unannotated(page)
    for repeated in (False, True, True):
        for letter in (Qt.Key.Key_P, Qt.Key.Key_D):
            none = Qt.KeyboardModifier.NoModifier
            event = QKeyEvent(QEvent.Type.KeyPress, letter, none, letter.name[-1], repeated)
            QApplication.sendEvent(page.window().windowHandle(), event)
    assert len(jobs.requests) == 1 and jobs.client.ids == []
    assert page.canvas.tool is Tool.CALLIPER


def test_the_undo_button_takes_key_strokes_back_that_are_still_collected(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = annotated(page)
    original = shown(page)
    pull(page, Handle.FIRST_END, 10)
    kept = shown(page)
    key(page, Qt.Key.Key_Right)
    page.undo_action.trigger()
    assert page.canvas.ellipse() == kept != original
    assert ellipse_of(project, frame_id) == kept


def test_news_about_the_frame_neither_stop_a_drag_nor_lose_key_strokes(
    page: AnnotatePage, project: Project
) -> None:
    """A job in the background ends while the person works."""
    frame_id = annotated(page)
    start = ellipse_of(project, frame_id)
    x, y = handle_at(page, Handle.CENTRE)
    press(page, (x, y))
    move(page, (x + 30, y))
    page.session.frames_changed.emit()
    page.session.annotation_changed.emit(frame_id)
    move(page, (x + 40, y))
    release(page, (x + 40, y))
    moved = newest(project, frame_id)
    shift = 40 / page.canvas.view.scale
    assert ellipse_of(project, frame_id).cx == pytest.approx(start.cx + shift)
    key(page, Qt.Key.Key_Left)
    page.session.annotation_changed.emit(frame_id)
    nudged = newest(project, frame_id)
    assert nudged.revision == moved.revision + 1
    assert page.canvas.ellipse() == nudged.ellipse
    key(page, Qt.Key.Key_Left)
    page.session.frames_changed.emit()
    assert newest(project, frame_id).revision == moved.revision + 2


def test_a_length_being_typed_survives_the_end_of_a_job(
    page: AnnotatePage, project: Project
) -> None:
    annotated(page)
    key(page, Qt.Key.Key_M)
    drag(page, (200, 200), (200, 400))
    page.session.frames_changed.emit()
    assert page.panel.calibration.asking


def test_removing_and_bringing_back(page: AnnotatePage, project: Project) -> None:
    frame_id = annotated(page)
    original = shown(page)
    key(page, Qt.Key.Key_Delete)
    assert newest(project, frame_id).ellipse is None
    assert figure(page, "hc") == NONE
    assert not page.panel.confirm.isEnabled()
    page.panel.revisions.itemDoubleClicked.emit(page.panel.revisions.item(1))
    assert page.canvas.ellipse() == original
    assert newest(project, frame_id).state == "draft"
    assert page.panel.revisions.count() == 3


def test_pointing_at_a_revision_shows_it_for_comparison(page: AnnotatePage) -> None:
    annotated(page)
    first = shown(page)
    pull(page, Handle.FIRST_END, 20)
    revisions = page.panel.revisions
    assert revisions.item(0).text().startswith("Draft, HC")
    assert "import" in revisions.item(1).text()
    revisions.itemEntered.emit(revisions.item(1))
    assert page.canvas.ghost() == first
    QApplication.sendEvent(revisions, QEvent(QEvent.Type.Leave))
    assert page.canvas.ghost() is None


# -- states ----------------------------------------------------------------------------------


def test_enter_makes_final_and_goes_to_the_next_frame_to_do(
    page: AnnotatePage, project: Project
) -> None:
    frames = project.frames.all()
    waiting = [frame.id for frame in project.frames.all(annotated=False)]
    select(page, waiting[0])
    draw(page, HEAD)
    key(page, Qt.Key.Key_Left)
    key(page, Qt.Key.Key_Return)
    confirmed = newest(project, waiting[0])
    assert confirmed.state == "final"
    assert ellipse_of(project, waiting[0]).cx == pytest.approx(HEAD.cx - 1, abs=0.1)
    assert page.session.frame_id == waiting[1]
    assert f"{len(waiting) - 1} to do" in page.bar.position.text()
    select(page, frames[-1].id)
    key(page, Qt.Key.Key_N)
    assert page.session.frame_id == waiting[1]


def test_editing_a_final_ellipse_makes_it_a_draft_again(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = annotated(page)
    assert "Final" in page.panel.state.text()
    pull(page, Handle.FIRST_END, 5)
    assert "Draft" in page.panel.state.text()
    key(page, Qt.Key.Key_Enter)
    assert newest(project, frame_id).state == "final"


def test_enter_on_a_final_frame_writes_nothing(page: AnnotatePage, project: Project) -> None:
    frame_id = annotated(page)
    key(page, Qt.Key.Key_Return)
    assert len(project.annotations.revisions(frame_id)) == 1
    assert page.session.frame_id != frame_id


def test_enter_without_an_ellipse_says_what_to_do(page: AnnotatePage, project: Project) -> None:
    frame_id = unannotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_Return)
    assert said.at(0)[1] == "warning"
    assert page.session.frame_id == frame_id
    assert project.annotations.revisions(frame_id) == []


def test_enter_confirms_nothing_while_a_line_is_half_drawn_and_says_so(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = annotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_D)
    drag(page, (200, 200), (300, 300))
    key(page, Qt.Key.Key_Return)
    assert "Finish the line" in said.at(0)[0]
    assert page.session.frame_id == frame_id
    assert page.canvas.tool is Tool.CALLIPER
    assert len(project.annotations.revisions(frame_id)) == 1
    key(page, Qt.Key.Key_Escape)
    key(page, Qt.Key.Key_D)
    key(page, Qt.Key.Key_Return)
    assert page.session.frame_id != frame_id, "a tool that was only picked up stops nothing"
    assert page.canvas.tool is Tool.EDIT


def test_the_end_of_the_work_is_said(page: AnnotatePage, project: Project) -> None:
    for frame in project.frames.all(annotated=False):
        project.annotations.add(frame.id, HEAD, author="a", state="final")
    said = QSignalSpy(page.session.message)
    annotated(page)
    key(page, Qt.Key.Key_Return)
    assert "All frames are final" in said.at(0)[0]
    assert "all final" in page.bar.position.text()


def test_proposals_are_gone_through_from_the_least_certain_on(
    page: AnnotatePage, project: Project
) -> None:
    sure, unsure, doubtful = [f.id for f in project.frames.all(annotated=False)][:3]
    for frame_id, confidence in ((sure, 0.98), (unsure, 0.6), (doubtful, 0.8)):
        project.annotations.add(
            frame_id, HEAD, author="segmenter:compact", state="proposed", confidence=confidence
        )
    annotated(page)
    key(page, Qt.Key.Key_L)
    assert page.session.frame_id == unsure
    key(page, Qt.Key.Key_R)
    assert newest(project, unsure).ellipse is None
    assert page.session.frame_id == doubtful
    page.session.undo_stack.undo()
    assert ellipse_of(project, unsure) == HEAD


def test_without_a_proposal_nothing_is_rejected(page: AnnotatePage, project: Project) -> None:
    frame_id = annotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_R)
    assert "no proposal" in said.at(0)[0]
    assert len(project.annotations.revisions(frame_id)) == 1


# -- figures ---------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_table(
    page: AnnotatePage, project: Project, samples: Path
) -> None:
    table = next(samples.glob("*.csv"))
    with table.open(newline="") as file:
        hc = {Path(r["filename"]).stem: float(r["head circumference (mm)"])
              for r in csv.DictReader(file)}  # fmt: skip
    seen = 0
    for frame in project.frames.all(annotated=True):
        select(page, frame.id)
        assert float(figure(page, "hc").split()[0]) == pytest.approx(hc[frame.name], rel=2e-3)
        seen += 1
    assert seen == 16


def test_a_long_head_is_flagged_and_an_age_out_of_range_is_not_given(qtbot: QtBot) -> None:
    panel = BiometryPanel()
    qtbot.addWidget(panel)
    mm = Calibration(0.1, 0.1, "table")
    panel.show_ellipse(Ellipse.of(0, 0, 300, 234, 0), mm)
    assert panel.values["index"].text() == "78.0 %"
    assert panel.values["index"].styleSheet() == ""
    assert panel.values["hadlock"].text().startswith("19w")
    assert "Radiology 1984" in panel.values["hadlock"].toolTip()
    panel.show_ellipse(Ellipse.of(0, 0, 300, 200, 0), mm)
    assert theme.WARNING in panel.values["index"].styleSheet()
    assert panel.values["index"].toolTip().startswith("Unusual")
    panel.show_ellipse(Ellipse.of(0, 0, 90, 70, 0), mm)
    assert panel.values["hadlock"].text() == "out of range"
    assert "68" in panel.values["hadlock"].toolTip()


def test_a_head_one_sd_from_the_mean_is_usual_and_only_an_age_from_the_bpd_may_mislead(
    qtbot: QtBot,
) -> None:
    panel = BiometryPanel()
    qtbot.addWidget(panel)
    mm = Calibration(0.1, 0.1, "table")
    panel.show_ellipse(Ellipse.of(0, 0, 300, 255, 0), mm)
    assert panel.values["index"].text() == "85.0 %"
    assert panel.values["index"].styleSheet() == ""
    tip = panel.values["index"].toolTip()
    assert "316 examinations at 14 to 40 weeks" in tip
    assert "age from the BPD may mislead" in tip
    panel.show_ellipse(Ellipse.of(0, 0, 300, 240, 0), mm)
    assert "mislead" not in panel.values["index"].toolTip()
    assert panel.values["bpd"].text() == "48.0 mm"
    assert panel.values["bpd_inner"].text() == "≈ 46.2 mm"


def test_an_age_comes_with_its_interval_and_says_where_it_is_extrapolated(qtbot: QtBot) -> None:
    panel = BiometryPanel()
    qtbot.addWidget(panel)
    mm = Calibration(0.1, 0.1, "table")
    panel.show_ellipse(Ellipse.of(0, 0, 300, 240, 0), mm)
    assert panel.values["intergrowth"].text() == "19w+6d ± 10 d"
    assert "95 % prediction interval" in panel.values["intergrowth"].toolTip()
    assert panel.names["hadlock"].text() == "GA Hadlock"
    panel.show_ellipse(Ellipse.of(0, 0, 140, 112, 0), mm)
    assert panel.names["hadlock"].text() == "GA Hadlock, extrap."
    assert panel.values["hadlock"].toolTip().startswith("extrapolated")
    panel.show_ellipse(Ellipse.of(0, 0, 140, 112, 0), None)
    assert panel.names["hadlock"].text() == "GA Hadlock"


def test_the_measurements_fit_into_their_column(page: AnnotatePage, project: Project) -> None:
    """A first-trimester head has the longest texts; the column does not scroll sideways."""
    frame_id = select(page, frame_named(page, "011_HC"))
    project.frames.set_labels(frame_id, {"gestational_age": "14+0"})
    page.reload()
    panel = page.panel
    assert "extrap" in panel.biometry.names["hadlock"].text()
    assert panel.biometry.values["size_who"].isVisible()
    assert panel.minimumSizeHint().width() <= 300


def test_a_known_age_gives_centiles_and_is_undoable(page: AnnotatePage, project: Project) -> None:
    frame_id, other = annotated(page), frame_named(page, "023_2HC")
    panel = page.panel.biometry
    assert not panel.values["size_who"].isVisible()
    key(page, Qt.Key.Key_G)
    assert QApplication.focusWidget() is panel.age
    QTest.keyClicks(panel.age, "20w4d")
    before = newest(project, frame_id)
    QTest.keyClick(panel.age, Qt.Key.Key_Return)
    assert project.frames.get(frame_id).labels == {"gestational_age": "20+4"}
    assert panel.age.text() == "20+4"
    assert newest(project, frame_id) == before, "Enter confirmed the ellipse of the frame"
    assert QApplication.focusWidget() is page.canvas
    for name in ("size_intergrowth", "size_hadlock", "size_who"):
        assert panel.values[name].isVisible()
        assert re.match(r"[<>]?[\d.]+(st|nd|rd|th)", panel.values[name].text())
    assert "Lancet 2014" in panel.values["size_intergrowth"].toolTip()
    select(page, other)
    assert panel.age.text() == ""
    assert not panel.values["size_who"].isVisible()
    page.session.undo_stack.undo()
    assert project.frames.get(frame_id).labels == {}
    assert page.session.frame_id == frame_id
    assert panel.age.text() == ""


def test_what_is_no_age_is_said_and_esc_drops_it(page: AnnotatePage, project: Project) -> None:
    frame_id = annotated(page)
    panel = page.panel.biometry
    key(page, Qt.Key.Key_G)
    QTest.keyClicks(panel.age, "20.4")
    QTest.keyClick(panel.age, Qt.Key.Key_Return)
    assert "such as 20+3" in panel.age_fault.text()
    assert panel.age_fault.isVisible()
    assert QApplication.focusWidget() is panel.age
    QTest.keyClick(panel.age, Qt.Key.Key_Escape)
    assert (panel.age.text(), panel.age_fault.isVisible()) == ("", False)
    assert project.frames.get(frame_id).labels == {}
    assert page.session.undo_stack.count() == 0


def test_an_age_that_was_typed_is_kept_by_going_to_the_next_frame(
    page: AnnotatePage, project: Project
) -> None:
    frame_id, other = annotated(page), frame_named(page, "023_2HC")
    key(page, Qt.Key.Key_G)
    QTest.keyClicks(page.panel.biometry.age, "21+0")
    select(page, other)
    assert project.frames.get(frame_id).labels == {"gestational_age": "21+0"}
    assert project.frames.get(other).labels == {}
    assert page.session.frame_id == other
    assert page.panel.biometry.age.text() == ""


def test_oblong_pixels_are_measured_in_mm(qtbot: QtBot) -> None:
    panel = BiometryPanel()
    qtbot.addWidget(panel)
    panel.show_ellipse(Ellipse.of(0, 0, 300, 200, 0), Calibration(0.1, 0.2, "dicom"))
    assert panel.values["bpd"].text() == "60.0 mm"
    assert panel.values["ofd"].text() == "80.0 mm"


# -- calibration -----------------------------------------------------------------------------


@pytest.fixture
def uncalibrated(page: AnnotatePage, project: Project) -> str:
    frame_id = frame_named(page, "346_HC")
    project.frames.set_calibration(frame_id, None)
    page.reload()
    return select(page, frame_id)


def test_without_calibration_there_are_pixels_and_no_age(
    page: AnnotatePage, uncalibrated: str
) -> None:
    ellipse = shown(page)
    assert figure(page, "hc") == f"{ellipse.perimeter:.0f} px"
    assert figure(page, "ofd") == f"{2 * ellipse.a:.1f} px"
    assert figure(page, "hadlock") == figure(page, "intergrowth") == NONE
    assert page.panel.biometry.warning.isVisible()
    assert "px" in page.panel.revisions.item(0).text()


def test_two_points_on_the_ruler_calibrate_undoably(
    page: AnnotatePage, project: Project, uncalibrated: str
) -> None:
    key(page, Qt.Key.Key_M)
    assert page.canvas.tool is Tool.RULER
    start, end = (page.canvas.view.to_screen(p) for p in ((50, 50), (50, 250)))
    drag(page, start, end)
    field = page.panel.calibration.length
    assert QApplication.focusWidget() is field
    QTest.keyClicks(field, "30")
    QTest.keyClick(field, Qt.Key.Key_Return)
    calibration = calibration_of(project, uncalibrated)
    assert calibration.source == "manual"
    assert calibration.mm_per_px_x == calibration.mm_per_px_y == pytest.approx(0.15)
    assert figure(page, "hc") == f"{0.15 * shown(page).perimeter:.1f} mm"
    assert page.session.frame_id == uncalibrated
    assert len(project.annotations.revisions(uncalibrated)) == 1
    assert QApplication.focusWidget() is page.canvas
    page.undo_action.trigger()
    assert project.frames.get(uncalibrated).calibration is None
    assert figure(page, "hc").endswith("px")


def test_a_line_too_short_to_measure_and_a_pixel_too_large_are_refused(
    page: AnnotatePage, uncalibrated: str
) -> None:
    panel = page.panel.calibration
    key(page, Qt.Key.Key_M)
    drag(page, (200, 200), (200, 210))
    assert "px long" in panel.error.text()
    assert not panel.asking
    key(page, Qt.Key.Key_M)
    drag(page, (200, 200), (200, 240))
    panel.length.setValue(500)
    panel.set_button.click()
    assert "not possible" in panel.error.text()
    assert page.session.open.frames.get(uncalibrated).calibration is None
    QTest.keyClick(panel.length, Qt.Key.Key_Escape)
    assert not panel.asking
    assert QApplication.focusWidget() is page.canvas


def test_a_calibration_by_hand_is_offered_to_the_frames_alike(
    page: AnnotatePage, project: Project, uncalibrated: str
) -> None:
    size = project.frames.get(uncalibrated).size
    alike = [f.id for f in project.frames.all() if f.size == size and f.id != uncalibrated]
    others = [f.id for f in project.frames.all() if f.size != size]
    for frame_id in (alike[0], others[0]):
        project.frames.set_calibration(frame_id, None)
    page.reload()
    button = page.panel.calibration.spread_button
    assert not button.isVisible()
    key(page, Qt.Key.Key_M)
    drag(page, *(page.canvas.view.to_screen(p) for p in ((50, 50), (50, 250))))
    QTest.keyClicks(page.panel.calibration.length, "30")
    QTest.keyClick(page.panel.calibration.length, Qt.Key.Key_Return)
    assert button.text() == "Use for 1 other frame"
    button.click()
    assert calibration_of(project, alike[0]).mm_per_px == pytest.approx(0.15)
    assert calibration_of(project, alike[0]).source == "inherited"
    assert project.frames.get(others[0]).calibration is None
    assert not button.isVisible()
    assert page.session.frame_id == uncalibrated
    key(page, Qt.Key.Key_M)
    drag(page, *(page.canvas.view.to_screen(p) for p in ((50, 50), (50, 250))))
    QTest.keyClicks(page.panel.calibration.length, "20")
    QTest.keyClick(page.panel.calibration.length, Qt.Key.Key_Return)
    assert button.isVisible(), "the other frame has the former one still"
    page.undo_action.trigger()
    select(page, alike[0])
    assert "from another frame" in page.panel.calibration.label.text()
    page.undo_action.trigger()
    assert project.frames.get(alike[0]).calibration is None
    assert page.session.frame_id == uncalibrated and button.isVisible()


def test_the_length_that_is_asked_for_belongs_to_its_frame(
    page: AnnotatePage, project: Project, uncalibrated: str
) -> None:
    key(page, Qt.Key.Key_M)
    drag(page, (200, 200), (200, 400))
    assert page.panel.calibration.asking
    select(page, project.frames.all()[0].id)
    assert not page.panel.calibration.asking


# -- proposals -------------------------------------------------------------------------------


class Cancels(EngineClient):
    """Notes which jobs are cancelled, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[int] = []

    def cancel(self, job_id: int, asked: Asked = Asked.TO_STOP) -> None:
        self.ids.append(job_id)


class Jobs:
    """Takes the page's jobs, and ends them as a test says."""

    def __init__(self) -> None:
        self.client = Cancels()
        self.requests: list[Any] = []
        self.handles: list[JobHandle[Any]] = []

    def submit(
        self, request: ProposeRequest | SnapRequest, replace: bool = False
    ) -> JobHandle[Any]:
        self.requests.append(request)
        self.handles.append(JobHandle(self.client, len(self.requests), request.job))
        return self.handles[-1]

    def end(self, event: Event, handle: JobHandle[Any] | None = None) -> None:
        """End the newest job, or another one."""
        handle = handle or self.handles[-1]
        handle.over = True
        handle.tell(event)


@pytest.fixture
def jobs(page: AnnotatePage, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    jobs = Jobs()
    monkeypatch.setattr(page.session.engine, "submit", jobs.submit)
    return jobs


def found(frame_id: str, ellipse: Ellipse = HEAD) -> Finished:
    return Finished(ProposeResult((Proposal(frame_id, ellipse, 0.93),), ()))


def test_whether_proposals_follow_the_cohort_is_chosen_and_remembered(
    page: AnnotatePage, project: Project, jobs: Jobs, qtbot: QtBot
) -> None:
    frame_id = unannotated(page)
    person, other = HEAD, replace(HEAD, a=HEAD.a / 1.02, b=HEAD.b / 1.02)
    convention = Convention.measure("compact", [(person, other)] * 3, ["1", "2", "3"])
    assert convention is not None
    proposal = Proposal(frame_id, HEAD, 0.93)
    followed = Finished(ProposeResult((proposal,), (), {"Madrid": convention}))
    said: list[str] = []
    page.session.message.connect(lambda text, _kind: said.append(text))
    for _ in range(2):
        key(page, Qt.Key.Key_P)
        jobs.end(followed)
    assert len(said) == 1, "it is not said again with each proposal"
    assert "Madrid" in said[0] and "2.0 % outside the skull" in said[0]
    qtbot.mouseClick(page.panel.convention, Qt.MouseButton.LeftButton)
    key(page, Qt.Key.Key_P)
    assert [r.convention for r in jobs.requests] == [True, True, False]
    assert not page.session.settings.follow_convention


def test_a_proposal_for_an_empty_frame_is_shown_to_be_decided(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = unannotated(page)
    place = page.panel.confirm.geometry()
    key(page, Qt.Key.Key_P)
    assert jobs.requests == [ProposeRequest(project.path, frame_ids=(frame_id,))]
    project.annotations.add(
        frame_id, HEAD, author="segmenter:compact+cohort", state="proposed", confidence=0.93
    )
    jobs.end(found(frame_id))
    QApplication.processEvents()
    assert page.panel.confirm.geometry() == place, "it does not move under the pointer"
    by = page.panel.by
    assert by.text() == "by compact, fairly sure, 93 %"
    assert by.fontMetrics().horizontalAdvance(by.text()) <= by.width()
    assert by.toolTip() == "By segmenter compact, as the cohort is drawn, fairly sure, 93 %"
    newest_revision = page.panel.revisions.item(0).text().splitlines()[1]
    assert newest_revision.startswith("segmenter compact, as the cohort is drawn, ")
    assert page.canvas.ellipse() == HEAD
    assert "Proposed" in page.panel.state.text()
    assert page.canvas.ghost() is None
    key(page, Qt.Key.Key_Return)
    assert newest(project, frame_id).state == "final"
    assert newest(project, frame_id).author == page.session.author


def test_a_proposal_never_replaces_a_persons_ellipse_by_itself(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    own = shown(page)
    key(page, Qt.Key.Key_U)
    key(page, Qt.Key.Key_P)
    jobs.end(found(frame_id))
    assert page.canvas.ellipse() == own
    assert page.canvas.ghost() == HEAD
    assert f"yours {HEAD.overlap(own):.3f}" in page.panel.proposal_text.text()
    assert len(project.annotations.revisions(frame_id)) == 1
    key(page, Qt.Key.Key_U)
    assert ellipse_of(project, frame_id) == HEAD
    assert newest(project, frame_id).state == "draft"
    assert page.canvas.ghost() is None
    page.undo_action.trigger()
    assert page.canvas.ellipse() == own


def test_a_proposal_can_be_dismissed_and_does_not_follow_to_another_frame(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    key(page, Qt.Key.Key_P)
    jobs.end(found(frame_id))
    page.panel.dismiss_button.click()
    assert page.canvas.ghost() is None
    assert not page.panel.proposal.isVisible()
    key(page, Qt.Key.Key_P)
    jobs.end(found(frame_id))
    key(page, Qt.Key.Key_PageDown)
    assert page.canvas.ghost() is None
    assert not page.panel.proposal.isVisible()


def test_a_proposal_that_arrives_after_one_has_gone_on_disturbs_nothing(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    first = annotated(page)
    key(page, Qt.Key.Key_P)
    key(page, Qt.Key.Key_PageDown)
    second = page.canvas.ellipse()
    jobs.end(found(first))
    assert page.canvas.ellipse() == second
    assert page.canvas.ghost() is None


def test_p_again_stops_proposing(page: AnnotatePage, jobs: Jobs) -> None:
    unannotated(page)
    (button,) = (b for b in page.bar.findChildren(QToolButton) if b.text() == "Propose")
    place = button.geometry()
    key(page, Qt.Key.Key_P)
    assert page.propose_action.text() == "Stop proposing"
    QCoreApplication.sendPostedEvents()
    assert (button.text(), button.geometry()) == ("Stop", place), "the others have not moved"
    key(page, Qt.Key.Key_P)
    assert jobs.client.ids == [1]
    assert len(jobs.requests) == 1
    jobs.end(Failed("It failed.", "trace"))
    assert page.propose_action.text() == "Propose"


def test_p_on_another_frame_asks_for_both(page: AnnotatePage, project: Project, jobs: Jobs) -> None:
    first = annotated(page)
    key(page, Qt.Key.Key_P)
    before = jobs.handles[-1]
    key(page, Qt.Key.Key_PageDown)
    second = page.session.frame_id
    assert second is not None
    assert page.propose_action.text() == "Propose"
    key(page, Qt.Key.Key_P)
    assert [request.frame_ids for request in jobs.requests] == [(first,), (second,)]
    assert jobs.client.ids == [], "the first one goes on"
    jobs.end(found(first), before)
    assert page.propose_action.text() == "Stop proposing", "the one before ended, not this one"
    key(page, Qt.Key.Key_P)
    assert jobs.client.ids == [2]
    jobs.end(Cancelled(None))
    assert page.propose_action.text() == "Propose"


def test_on_a_frame_that_cannot_be_shown_no_proposal_is_used(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    key(page, Qt.Key.Key_P)
    jobs.end(found(frame_id))
    other = next(id_ for id_ in project.annotations.by_frame() if id_ != frame_id)
    before = newest(project, other)
    project.frames.path(other).unlink()
    select(page, other)
    page.use_action.trigger()
    assert project.annotations.newest(other) == before


def test_a_proposal_beside_a_removed_ellipse_compares_nothing(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    key(page, Qt.Key.Key_P)
    jobs.end(found(frame_id))
    assert "with yours" in page.panel.proposal_text.text()
    key(page, Qt.Key.Key_Delete)
    assert page.panel.proposal_text.text() == "The segmenter proposes the dashed ellipse."


def test_a_proposal_of_another_project_is_kept_apart(
    page: AnnotatePage, project: Project, jobs: Jobs, tmp_path: Path
) -> None:
    frame_id = annotated(page)
    key(page, Qt.Key.Key_P)
    shutil.copytree(project.path, tmp_path / "copy")
    page.session.open_project(tmp_path / "copy")
    said = QSignalSpy(page.session.message)
    page.session.select_frame(frame_id)
    assert page.propose_action.text() == "Propose"
    jobs.end(Finished(ProposeResult((Proposal(frame_id, HEAD, 0.93),), ("other",))))
    assert page.canvas.ghost() is None and said.count() == 0


def test_no_head_found_is_said(page: AnnotatePage, project: Project, jobs: Jobs) -> None:
    frame_id = unannotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_P)
    jobs.end(Finished(ProposeResult((), (project.frames.get(frame_id).name,))))
    assert "no head" in said.at(0)[0]
    assert page.canvas.ellipse() is None


# -- the window ------------------------------------------------------------------------------


def test_the_grey_window_is_kept_for_the_next_start(page: AnnotatePage, qtbot: QtBot) -> None:
    page.view_bar.window_slider.setValue(180)
    page.view_bar.level_slider.setValue(90)
    assert page.canvas.window_level == GreyWindow(180, 90)
    again = AnnotatePage(page.session)
    qtbot.addWidget(again)
    assert again.canvas.window_level == GreyWindow(180, 90)
    assert again.view_bar.window_slider.value() == 180


def test_the_hint_says_what_comes_next(page: AnnotatePage) -> None:
    unannotated(page)
    assert "long axis" in page.view_bar.hint.text()
    tips = [page.canvas.view.to_screen(tuple(p)) for p in HEAD.contour(4)]
    drag(page, tips[0], tips[2])
    assert "side" in page.view_bar.hint.text()
    key(page, Qt.Key.Key_Escape)
    assert "long axis" in page.view_bar.hint.text()
    draw(page, HEAD)
    assert "handle" in page.view_bar.hint.text()


def test_every_key_is_on_the_sheet(page: AnnotatePage) -> None:
    keys = dict(keys_of(page))
    for wanted in ("D", "B", "F", "W", "P", "N", "U", "M", "H", "Arrows", "Q / E"):
        assert keys.get(wanted), wanted
    assert any("Return" in k or "Enter" in k for k in keys)


def test_in_the_window_ctrl_z_and_the_library_follow(
    qtbot: QtBot, open_session: Session, window: MainWindow
) -> None:
    """The whole way: the real window, its menu's undo, another place and back."""
    window.show_place("annotate")
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    window.activateWindow()
    frame_id = annotated(page)
    QTest.qWait(0)
    original = shown(page)
    pull(page, Handle.FIRST_END, 12)
    changed = shown(page)
    assert math.isclose(changed.b, original.b)
    key(page, Qt.Key.Key_Right)
    window.show_place("library")
    assert ellipse_of(open_session.open, frame_id).cx == pytest.approx(changed.cx + 1)
    window.show_place("annotate")
    assert QApplication.focusWidget() is page.canvas
    key(page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert page.canvas.ellipse() == changed
    key(page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert page.canvas.ellipse() == original


def test_what_a_full_disk_refuses_stays_on_screen_and_can_be_saved_later(
    page: AnnotatePage, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise UserError("The disk is full. Make room and try again.")

    frame_id = annotated(page)
    failures = QSignalSpy(page.session.failure)
    with monkeypatch.context() as patch:
        patch.setattr(project.annotations, "add", full)
        pull(page, Handle.FIRST_END, 12)
        drawn = shown(page)
        assert failures.count() == 1
        assert page.session.undo_stack.count() == 0
        assert "Not saved" in page.panel.state.text()
        assert page.panel.confirm.text() == "Confirm, next"
        key(page, Qt.Key.Key_Return)
        assert page.session.frame_id == frame_id
    assert page.canvas.ellipse() == drawn
    key(page, Qt.Key.Key_Return)
    assert ellipse_of(project, frame_id) == drawn
    assert newest(project, frame_id).state == "final"
    assert page.session.frame_id != frame_id


def test_what_a_full_disk_refuses_is_kept_for_its_frame(
    page: AnnotatePage, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise UserError("The disk is full. Make room and try again.")

    session, frame_id = page.session, annotated(page)
    with monkeypatch.context() as patch:
        patch.setattr(project.annotations, "add", full)
        pull(page, Handle.FIRST_END, 12)
        drawn = shown(page)
    page.next_frame()
    assert page.canvas.ellipse() != drawn and "Not saved" not in page.panel.state.text()
    page.previous_frame()
    assert session.frame_id == frame_id and page.canvas.ellipse() == drawn
    assert "Not saved" in page.panel.state.text()
    with pytest.raises(UserError, match="1 ellipse could not be saved"):
        session.new_project(tmp_path / "new")
    assert session.project is project and not (tmp_path / "new").exists()
    session.save_copy(tmp_path / "copy")
    assert not session.unsaved
    assert ellipse_of(session.open, frame_id) == drawn
    assert newest(session.open, frame_id).state == "draft"


def test_an_ellipse_that_is_stored_after_all_is_no_longer_called_unsaved(
    page: AnnotatePage, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise UserError("The disk is full. Make room and try again.")

    annotated(page)
    with monkeypatch.context() as patch:
        patch.setattr(project.annotations, "add", full)
        pull(page, Handle.FIRST_END, 12)
        first = shown(page)
    pull(page, Handle.FIRST_END, 6)
    assert shown(page) != first and not page.session.unsaved
    page.next_frame()
    page.previous_frame()
    assert "Not saved" not in page.panel.state.text()


def test_an_unsaved_ellipse_stays_when_a_proposal_comes_and_goes_with_undo(
    page: AnnotatePage, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise UserError("The disk is full. Make room and try again.")

    frame_id = annotated(page)
    stored = ellipse_of(project, frame_id)
    pull(page, Handle.FIRST_END, 6)
    with monkeypatch.context() as patch:
        patch.setattr(project.annotations, "add", full)
        pull(page, Handle.FIRST_END, 12)
        drawn = shown(page)
    project.annotations.add(frame_id, HEAD, author="segmenter:compact", state="proposed")
    page.session.annotation_changed.emit(frame_id)
    assert page.canvas.ellipse() == drawn and "Not saved" in page.panel.state.text()
    page.undo_action.trigger()
    assert page.canvas.ellipse() == stored and not page.session.unsaved
    assert "Not saved" not in page.panel.state.text()


def test_a_backup_that_cannot_be_put_back_leaves_the_unsaved_ellipse(
    page: AnnotatePage, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_args: object) -> None:
        raise UserError("The backup is damaged.")

    session, frame_id, path = page.session, annotated(page), project.path
    session.unsaved[frame_id] = HEAD
    monkeypatch.setattr("fetalstudio.ui.session.restore", damaged)
    with pytest.raises(UserError, match="damaged"):
        session.put_back(path, Backup(path / "backup.db", datetime.now(UTC)))
    session.open_project(path)
    session.select_frame(frame_id)
    assert shown(page) == HEAD and "Not saved" in page.panel.state.text()


def test_session_is_left_alone_by_looking(page: AnnotatePage, open_session: Session) -> None:
    annotated(page)
    page.canvas.zoom(3)
    page.canvas.fit()
    key(page, Qt.Key.Key_F)
    assert open_session.undo_stack.count() == 0


def test_an_ellipse_with_its_centre_outside_the_frame_is_not_made_final(
    page: AnnotatePage, project: Project
) -> None:
    frame_id = unannotated(page)
    width = project.frames.get(frame_id).width
    said = QSignalSpy(page.session.message)
    for cx, state in ((width + 5.0, "draft"), (width - 5.0, "final")):
        ellipse = Ellipse(cx, 200.0, 120.0, 90.0, 0.0)
        page.canvas.set_ellipse(ellipse)
        page.canvas.ellipse_edited.emit(ellipse)
        key(page, Qt.Key.Key_Return)
        assert (newest(project, frame_id).ellipse, newest(project, frame_id).state) == (
            ellipse,
            state,
        )
        page.session.select_frame(frame_id)
    assert said.count() == 1 and "outside the frame" in said.at(0)[0]


# -- snapping to the skull -------------------------------------------------------------------

SPREAD = Spread(0.01, 0.02, 0.03)


def snapped(frame_id: str, ellipse: Ellipse | None = HEAD) -> Finished:
    return Finished(SnapResult(frame_id, ellipse, SPREAD))


def test_s_moves_the_ellipse_onto_the_skull_as_one_step_of_undo(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    own = shown(page)
    key(page, Qt.Key.Key_S)
    assert jobs.requests == [SnapRequest(project.path, frame_id, own)]
    jobs.end(snapped(frame_id))
    assert ellipse_of(project, frame_id) == HEAD
    assert newest(project, frame_id).state == "draft"
    assert " ± " in page.panel.biometry.values["hc"].text()
    page.undo_action.trigger()
    assert page.canvas.ellipse() == own
    assert " ± " not in page.panel.biometry.values["hc"].text()


def test_a_snap_onto_what_may_be_another_outline_is_said_and_has_no_interval(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_S)
    jobs.end(Finished(SnapResult(frame_id, HEAD, SPREAD, elsewhere=True)))
    assert ellipse_of(project, frame_id) == HEAD
    assert " ± " not in page.panel.biometry.values["hc"].text()
    text, level = said.at(0)
    assert "finds the head elsewhere" in text and "press P" in text and level == "warning"
    key(page, Qt.Key.Key_S)
    jobs.end(snapped(frame_id))
    assert said.count() == 1, "an outline that is the head's is not warned of"


def test_a_snap_that_comes_too_late_changes_nothing(
    page: AnnotatePage, project: Project, jobs: Jobs
) -> None:
    frame_id = annotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_S)
    key(page, Qt.Key.Key_Right)
    moved = shown(page)
    jobs.end(Finished(SnapResult(frame_id, HEAD, SPREAD, elsewhere=True)))
    assert shown(page) == moved and not said.count()
    key(page, Qt.Key.Key_S)
    key(page, Qt.Key.Key_PageDown)
    other = page.canvas.ellipse()
    jobs.end(snapped(frame_id))
    assert page.canvas.ellipse() == other
    assert ellipse_of(project, frame_id) == moved


def test_where_no_skull_is_near_the_ellipse_stays(page: AnnotatePage, jobs: Jobs) -> None:
    frame_id = annotated(page)
    own, said = shown(page), QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_S)
    jobs.end(snapped(frame_id, None))
    assert page.canvas.ellipse() == own
    assert "No outline" in said.at(0)[0]


def test_without_an_ellipse_nothing_is_snapped(page: AnnotatePage, jobs: Jobs) -> None:
    unannotated(page)
    said = QSignalSpy(page.session.message)
    key(page, Qt.Key.Key_S)
    assert not jobs.requests
    assert "Draw an ellipse first" in said.at(0)[0]


def test_snapping_of_proposals_is_switched_on_and_remembered(
    page: AnnotatePage, project: Project, jobs: Jobs, qtbot: QtBot
) -> None:
    frame_id = unannotated(page)
    page.panel.snap.click()
    assert page.panel.convention.isEnabled()  # what was snapped follows the cohort, too
    key(page, Qt.Key.Key_P)
    assert jobs.requests == [ProposeRequest(project.path, frame_ids=(frame_id,), snap=True)]
    assert page.session.settings.snap_proposals
    other = AnnotatePage(page.session)
    qtbot.addWidget(other)
    assert other.panel.snap.isChecked()


def test_sizes_are_shown_with_what_95_percent_of_sonographers_would_measure() -> None:
    panel = BiometryPanel()
    panel.show_ellipse(HEAD, Calibration(0.5, 0.5, "manual"), spread=SPREAD)
    assert panel.values["ofd"].text() == f"{HEAD.a:.1f} ± {1.96 * 0.03 * HEAD.a:.1f} mm"
    panel.show_ellipse(HEAD, None, spread=SPREAD)
    assert panel.values["bpd"].text() == f"{2 * HEAD.b:.1f} ± {1.96 * 0.04 * HEAD.b:.1f} px"
    panel.show_ellipse(HEAD, None)
    assert panel.values["bpd"].text() == f"{2 * HEAD.b:.1f} px"


def test_an_unsure_outline_is_doubled(page: AnnotatePage) -> None:
    annotated(page)
    alone = page.canvas.grab().toImage()
    page.canvas.set_spread(Spread(0.005, 0.005, 0.005))
    assert page.canvas.grab().toImage() == alone
    page.canvas.set_spread(SPREAD)
    assert page.canvas.grab().toImage() != alone


def test_the_segmenter_itself_proposes_on_a_real_frame(
    page: AnnotatePage, project: Project, qtbot: QtBot, forked_engine: None
) -> None:
    """The whole way through the engine's process, with the built-in model."""
    frame_id = annotated(page)
    own = shown(page)
    with qtbot.waitSignal(page.proposing.proposed, timeout=120_000):
        key(page, Qt.Key.Key_P)
    assert page.canvas.ellipse() == own
    ghost = page.canvas.ghost()
    assert ghost is not None and ghost.overlap(own) > 0.9
    qtbot.waitUntil(lambda: page.propose_action.text() == "Propose")
    assert len(project.annotations.revisions(frame_id)) == 1
