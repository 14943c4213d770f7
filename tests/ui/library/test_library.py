"""The library, driven with mouse and keys in the real window."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QModelIndex, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QMessageBox
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.engine.cohort_split import labelled_frames
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.measure_conventions.request import MeasureConventionsRequest
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.project import Project
from fetalstudio.ui.annotate.page import AnnotatePage
from fetalstudio.ui.commands import SetEllipse
from fetalstudio.ui.common.ask_dialog import AskDialog
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library.amending import KeyDialog, MergeDialog, RemoveDialog, RenameDialog
from fetalstudio.ui.library.frame_grid import ANNOTATION, FRAME, THUMBNAIL, FrameModel, State
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.importing import import_summary
from fetalstudio.ui.library.page import LibraryPage, what_is_left
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.shortcut_sheet import keys_of
from tests.ui.loop import newest

DRAWN = Ellipse(300, 200, 120, 90, 30)


@pytest.fixture
def library(open_session: Session, window: MainWindow) -> LibraryPage:
    return window.library


def rows(library: LibraryPage) -> list[QModelIndex]:
    return [library.model.index(row) for row in range(library.model.rowCount())]


def annotate_page(window: MainWindow) -> AnnotatePage:
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    return page


def names(library: LibraryPage) -> list[str]:
    return [index.data() for index in rows(library)]


def row_named(library: LibraryPage, name: str) -> QModelIndex:
    return rows(library)[names(library).index(name)]


def click(
    qtbot: QtBot,
    library: LibraryPage,
    name: str,
    modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier,
) -> None:
    index = row_named(library, name)
    library.grid.scrollTo(index)
    at = library.grid.visualRect(index).center()
    qtbot.mouseClick(library.grid.viewport(), Qt.MouseButton.LeftButton, modifier, at)


def test_all_frames_are_shown_with_their_state(library: LibraryPage) -> None:
    assert len(names(library)) == 24
    annotated = [index.data(FRAME).name for index in rows(library) if index.data(ANNOTATION)]
    assert len(annotated) == 16
    texts = {state: b.text() for state, b in library.filters.state_buttons.items()}
    assert texts[None] == "All  24"
    assert (texts["none"], texts["final"]) == ("To draw  8", "Final  16")
    assert library.todo.text() == "8 frames to draw"


def test_thumbnails_come_and_show_the_frame(library: LibraryPage, qtbot: QtBot) -> None:
    index = rows(library)[0]
    qtbot.waitUntil(lambda: index.data(THUMBNAIL) is not None)
    frame, image = index.data(FRAME), index.data(THUMBNAIL)
    assert image.width() / image.height() == pytest.approx(frame.width / frame.height, rel=0.02)
    pixels = library.session.open.frames.pixels(frame.id)
    bits = bytes(image.constBits())
    assert sum(bits) / len(bits) == pytest.approx(float(pixels.mean()), rel=0.1)
    # It is on screen too: the middle of the cell is not the flat colour of an empty one.
    qtbot.wait(50)
    shot = library.grid.viewport().grab(library.grid.visualRect(index)).toImage()
    greys = {shot.pixelColor(x, shot.height() // 3).lightness() for x in range(20, 180, 4)}
    assert len(greys) > 10


def test_a_click_selects_the_frame_for_all_pages(library: LibraryPage, qtbot: QtBot) -> None:
    with qtbot.waitSignal(library.session.frame_selected):
        click(qtbot, library, "068_HC")
    assert library.session.open.frames.get(library.session.frame_id or "").name == "068_HC"


def test_the_keyboard_alone_selects_nothing(library: LibraryPage, qtbot: QtBot) -> None:
    chosen = library.session.frame_id
    assert chosen != rows(library)[0].data(FRAME).id
    library.filters.focus_search()
    library.grid.selectionModel().clearCurrentIndex()
    assert not library.grid.currentIndex().isValid()
    qtbot.keyClick(library.filters.search, Qt.Key.Key_Return)
    assert library.grid.hasFocus()
    assert library.session.frame_id == chosen


def test_arrows_select_and_enter_annotates(
    library: LibraryPage, window: MainWindow, qtbot: QtBot
) -> None:
    click(qtbot, library, "011_HC")
    qtbot.keyClick(library.grid, Qt.Key.Key_Right)
    assert library.session.open.frames.get(library.session.frame_id or "").name == names(library)[1]
    qtbot.keyClick(library.grid, Qt.Key.Key_Return)
    assert library.session.place == "annotate"
    assert window.stack.currentWidget() is window.page("annotate")


def test_a_double_click_annotates(library: LibraryPage, qtbot: QtBot) -> None:
    click(qtbot, library, "068_HC")
    at = library.grid.visualRect(row_named(library, "068_HC")).center()
    with qtbot.waitSignal(library.session.place_requested) as asked:
        qtbot.mouseDClick(
            library.grid.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at
        )
    assert asked.args == ["annotate"]


def test_filters_by_state_cohort_and_name(library: LibraryPage, qtbot: QtBot) -> None:
    bar = library.filters
    qtbot.mouseClick(bar.state_buttons["none"], Qt.MouseButton.LeftButton)
    assert len(names(library)) == 8
    qtbot.keyClicks(bar.search, "150")
    assert names(library) == ["150_HC"]
    bar.search.setText("no such name")
    assert library.body.currentWidget() is library.empty
    assert library.todo.text() == "No frame matches"
    assert library.next_button.isEnabled() and library.propose_button.isEnabled()
    qtbot.mouseClick(library.empty.button, Qt.MouseButton.LeftButton)
    assert len(names(library)) == 24
    assert library.body.currentWidget() is library.grid
    cohort = bar.cohort_box.itemText(1)
    bar.cohort_box.setCurrentIndex(1)
    assert {index.data(FRAME).cohort for index in rows(library)} == {cohort}


def test_esc_clears_the_search_and_then_leaves_it(library: LibraryPage, qtbot: QtBot) -> None:
    qtbot.keyClick(library.grid, Qt.Key.Key_End)
    search = library.filters.search
    qtbot.keyClicks(search, "_2HC")
    assert 0 < len(names(library)) < 24
    assert library.grid.verticalScrollBar().value() == 0
    search.setFocus()
    qtbot.keyClick(search, Qt.Key.Key_Escape)
    assert search.text() == "" and len(names(library)) == 24 and search.hasFocus()
    qtbot.keyClick(search, Qt.Key.Key_Escape)
    assert library.grid.hasFocus()


def test_labels_are_told_and_searched(library: LibraryPage, qtbot: QtBot) -> None:
    project = library.session.open
    frame = row_named(library, "011_HC").data(FRAME)
    project.frames.set_labels(frame.id, {"country": "EGY", "quality": "cut"})
    library.session.frames_changed.emit()
    told = row_named(library, "011_HC").data(Qt.ItemDataRole.ToolTipRole)
    assert "country: EGY" in told and "quality: cut" in told
    for text in ("egy", "Country EGY", "quality c"):
        library.filters.search.setText(text)
        assert names(library) == ["011_HC"]
    library.filters.search.setText("country GHA")
    assert not names(library)


def test_letters_reach_the_search_field_and_are_keys_elsewhere(
    library: LibraryPage, qtbot: QtBot
) -> None:
    qtbot.keyClick(library.grid, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    search = library.filters.search
    assert search.hasFocus()
    qtbot.keyClicks(search, "nfp3")
    assert search.text() == "nfp3"
    assert library.session.place == "library"
    search.clear()
    qtbot.keyClick(search, Qt.Key.Key_Return)
    assert library.grid.hasFocus()
    qtbot.keyClick(library.grid, Qt.Key.Key_N)
    assert library.session.place == "annotate"


def test_next_takes_the_frames_that_wait_in_turn(library: LibraryPage, qtbot: QtBot) -> None:
    session = library.session
    waiting = [frame.id for frame in session.open.frames.all(annotated=False)]
    session.select_frame(waiting[-1])
    qtbot.mouseClick(library.next_button, Qt.MouseButton.LeftButton)
    assert session.frame_id == waiting[0], "after the last one it starts anew"
    qtbot.mouseClick(library.next_button, Qt.MouseButton.LeftButton)
    assert session.frame_id == waiting[1]


def test_a_drawn_ellipse_changes_badge_counts_and_filter(library: LibraryPage) -> None:
    session = library.session
    library.filters.state_buttons["none"].click()
    frame = session.open.frames.all(annotated=False)[0]
    session.undo_stack.push(SetEllipse(session, frame.id, DRAWN))
    assert frame.name not in names(library), "it left the filter at once"
    assert library.todo.text() == "7 frames to draw, 1 draft to confirm"
    session.undo_stack.undo()
    assert frame.name in names(library)


def test_confirm_and_remove_many_are_one_step_of_undo_each(
    library: LibraryPage, qtbot: QtBot
) -> None:
    session = library.session
    drafts = session.open.frames.all(annotated=False)[:3]
    for frame in drafts:
        session.open.annotations.add(frame.id, DRAWN, author="a", state="draft")
    session.frames_changed.emit()
    click(qtbot, library, drafts[0].name)
    for frame in drafts[1:]:
        click(qtbot, library, frame.name, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(library.grid, Qt.Key.Key_F)
    assert session.open.counts()["final"] == 19
    assert session.undo_stack.undoText() == "confirm 3 ellipses"
    assert {frame.id for frame in library.selected()} == {frame.id for frame in drafts}
    qtbot.keyClick(library.grid, Qt.Key.Key_Delete)
    assert session.open.counts()["none"] == 8
    told = []
    session.message.connect(lambda text, _level: told.append(text))
    session.go("train")
    session.undo_stack.undo()
    assert told == ["Undone in Library: remove 3 ellipses."]
    assert session.open.counts()["final"] == 19
    session.undo_stack.undo()
    assert session.open.counts()["draft"] == 3


def test_an_ellipse_beside_its_frame_is_not_confirmed_among_others(
    library: LibraryPage, qtbot: QtBot
) -> None:
    session = library.session
    right, beside = session.open.frames.all(annotated=False)[:2]
    session.open.annotations.add(right.id, DRAWN, author="a", state="draft")
    outside = replace(DRAWN, cx=beside.width + 20.0)
    session.open.annotations.add(beside.id, outside, author="a", state="draft")
    session.frames_changed.emit()
    told: list[str] = []
    session.message.connect(lambda text, _level: told.append(text))
    library.grid.selectAll()
    qtbot.keyClick(library.grid, Qt.Key.Key_F)
    assert session.open.counts()["final"] == 17 and session.open.counts()["draft"] == 1
    assert len(told) == 1 and beside.name in told[0] and right.name not in told[0]


def test_what_is_selected_stays_so_but_not_in_another_project(
    library: LibraryPage, qtbot: QtBot, tmp_path: Path
) -> None:
    session, shown = library.session, names(library)
    for name in shown[:3]:
        click(qtbot, library, name, Qt.KeyboardModifier.ControlModifier)
    click(qtbot, library, shown[0], Qt.KeyboardModifier.ControlModifier)
    chosen = [frame.name for frame in library.selected()]
    session.frames_changed.emit()
    assert [frame.name for frame in library.selected()] == chosen
    library.grid.selectAll()
    shutil.copytree(session.open.path, tmp_path / "copy")
    session.open_project(tmp_path / "copy")
    assert len(library.selected()) <= 1


def test_many_are_confirmed_or_none(
    library: LibraryPage, window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.session
    for frame in session.open.frames.all(annotated=False):
        session.open.annotations.add(frame.id, DRAWN, author="a", state="draft")
    session.frames_changed.emit()
    annotate, called = session.open.annotations.add, []

    def full(*args: Any, **kwargs: Any) -> object:
        called.append(args)
        if len(called) == 3:
            raise UserError("The disk is full. Make room, then try again.")
        return annotate(*args, **kwargs)

    monkeypatch.setattr(session.open.annotations, "add", full)
    library.grid.selectAll()
    qtbot.keyClick(library.grid, Qt.Key.Key_F)
    assert "The disk is full." in window.notices.notices[-1].text
    assert session.open.counts()["draft"] == 8 and not session.undo_stack.canUndo()


@pytest.fixture
def few_drawn(sample_project: Project) -> None:
    """Only four frames have an ellipse: each costs time where it is measured how they are drawn."""
    drawn = sample_project.frames.all(annotated=True)
    kept = {frame.subject: frame.id for frame in drawn}
    left_out = {frame.id for frame in drawn} - set([*kept.values()][:4])
    sample_project.amendments.remove(sorted(left_out), author="test")


def test_proposals_for_all_wait_for_a_person(
    few_drawn: None,
    library: LibraryPage,
    window: MainWindow,
    qtbot: QtBot,
    forked_engine: None,
) -> None:
    session = library.session
    with qtbot.waitSignal(session.frames_changed, timeout=120_000):
        qtbot.mouseClick(library.propose_button, Qt.MouseButton.LeftButton)
        assert not library.propose_button.isEnabled()
    counts = session.open.counts()
    assert (counts["none"], counts["proposed"], counts["final"]) == (0, 8, 4)
    assert library.todo.text() == "8 proposals to check"
    said = window.notices.notices[-1].text
    assert said.startswith("8 ellipses proposed. You decide on each. Proposals for samples follow ")
    assert library.propose_button.isEnabled(), "another model may propose anew"
    waiting = next(i for i in rows(library) if i.data(ANNOTATION).state == "proposed")
    assert "sure, " in waiting.data(Qt.ItemDataRole.ToolTipRole)


def test_how_a_cohort_is_drawn_is_said_once_it_was_measured(
    few_drawn: None,
    library: LibraryPage,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
    forked_engine: None,
) -> None:
    """Nothing is measured by itself: the window would wait for a segmenter."""
    shown = library.convention
    qtbot.waitUntil(lambda: "Ctrl+M" in shown.text())
    asked: list[object] = []
    submit = library.session.submit

    def noted(request: Any) -> Any:
        asked.append(request)
        return submit(request)

    monkeypatch.setattr(library.session, "submit", noted)
    qtbot.keyClick(library, Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier)
    project = library.session.open
    assert asked == [MeasureConventionsRequest(project.path)]
    qtbot.waitUntil(lambda: "as compact sees it" in shown.text(), timeout=120_000)
    assert shown.isVisibleTo(library) and "Ctrl+M" not in shown.text()
    assert shown.text().startswith("samples: drawn ")
    item = labelled_frames(project)[0]
    grown = replace(item.ellipse, a=item.ellipse.a + 1)
    project.annotations.add(item.id, grown, author="me", state="final")
    library.session.annotation_changed.emit(item.id)
    qtbot.waitUntil(lambda: "Ctrl+M" in shown.text())


def test_the_least_certain_proposal_is_offered_first(
    library: LibraryPage, window: MainWindow, qtbot: QtBot
) -> None:
    session = library.session
    imported = [index.data(FRAME).id for index in rows(library)]
    open_ones = [f for f in session.open.frames.all(annotated=False)][:3]
    head = Ellipse(400, 270, 200, 150, 0)
    for frame, confidence in zip(open_ones, (0.97, 0.81, 0.92), strict=True):
        session.open.annotations.add(
            frame.id, head, author="segmenter:x", state="proposed", confidence=confidence
        )
    session.frames_changed.emit()
    assert [index.data(FRAME).id for index in rows(library)] == imported
    qtbot.keyClick(library.grid, Qt.Key.Key_O)
    assert library.filters.order_box.currentText() == "Least certain first"
    shown = [index.data(FRAME).id for index in rows(library)]
    a, b, c = (frame.id for frame in open_ones)
    assert shown[:3] == [b, c, a] and sorted(shown) == sorted(imported)
    library.grid.selectionModel().clear()
    qtbot.keyClick(library.grid, Qt.Key.Key_N)
    assert (session.place, session.frame_id) == ("annotate", b)
    page = annotate_page(window)
    qtbot.keyClick(page.canvas, Qt.Key.Key_Return)
    assert session.frame_id == c and newest(session.open, b).state == "final"
    session.undo_stack.undo()
    undone = newest(session.open, b)
    assert (undone.state, undone.confidence, undone.author) == ("proposed", 0.81, "segmenter:x")
    assert session.frame_id == b
    assert "least certain first" in page.bar.position.text()
    qtbot.keyClick(page.canvas, Qt.Key.Key_O)
    assert [index.data(FRAME).id for index in rows(library)] == imported


def test_a_cancelled_proposal_leaves_the_page_ready(
    library: LibraryPage, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit, submitted = library.session.engine.submit, []

    def noted(*args: Any, **kwargs: Any) -> JobHandle[Any]:
        submitted.append(submit(*args, **kwargs))
        return submitted[-1]

    monkeypatch.setattr(library.session.engine, "submit", noted)
    qtbot.mouseClick(library.propose_button, Qt.MouseButton.LeftButton)
    (job,) = submitted
    with qtbot.waitSignal(job.cancelled, timeout=30_000):
        job.cancel()
    assert library.propose_button.isEnabled()
    assert library.session.open.counts()["final"] == 16


def test_p_never_touches_what_a_person_drew(
    library: LibraryPage, window: MainWindow, qtbot: QtBot, forked_engine: None
) -> None:
    library.session.settings.follow_convention = False  # which would be measured first
    click(qtbot, library, "011_HC")
    qtbot.keyClick(library.grid, Qt.Key.Key_P)
    assert library.propose_button.isEnabled()
    assert "not replace your ellipse" in window.notices.notices[-1].text
    click(qtbot, library, "068_HC")
    with qtbot.waitSignal(library.session.frames_changed, timeout=120_000):
        qtbot.keyClick(library.grid, Qt.Key.Key_P)
    assert library.session.open.counts()["proposed"] == 1


def test_names_are_copied(library: LibraryPage, qtbot: QtBot) -> None:
    click(qtbot, library, "011_HC")
    click(qtbot, library, "023_HC", Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(library.grid, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == "011_HC\n023_HC"


def test_the_menu_opens_on_a_frame_only(library: LibraryPage, qtbot: QtBot) -> None:
    library.filters.search.setText("011")
    view = library.grid.viewport()
    library.grid.customContextMenuRequested.emit(QPoint(view.width() - 2, view.height() - 2))
    assert not library.menu.isVisible()
    at = library.grid.visualRect(rows(library)[0]).center()
    library.grid.customContextMenuRequested.emit(at)
    assert library.menu.isVisible()
    library.menu.close()


def dialog_of(library: LibraryPage, kind: type[ImportDialog]) -> ImportDialog:
    found = [w for w in QApplication.topLevelWidgets() if isinstance(w, kind) and w.isVisible()]
    assert len(found) == 1
    return found[0]


def drop(window: MainWindow, *paths: Path) -> None:
    """What the window gets when ``paths`` are dragged onto it and let go."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    plain, at = Qt.KeyboardModifier.NoModifier, QPointF(400, 300)
    enter = QDragEnterEvent(at.toPoint(), copy, data, left, plain)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert window.library.drop_hint.isVisible()
    QApplication.sendEvent(window, QDropEvent(at, copy, data, left, plain))
    assert not window.library.drop_hint.isVisible()


def test_an_import_under_way_is_not_called_empty(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    library = window.library
    assert "No frames yet" in library.empty.text()
    handle = session.import_frames(ImportRequest(session.open.path, samples))
    assert library.empty.text().startswith("Importing frames")
    assert library.todo.text() == "Importing frames" and library.empty.button.isHidden()
    handle.cancel()
    with qtbot.waitSignal(handle.ended):
        pass
    assert "No frames yet" in library.empty.text() and not library.empty.button.isHidden()


def test_an_import_into_another_project_is_not_this_ones(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "first")
    handle = session.import_frames(ImportRequest(session.open.path, samples))
    session.new_project(tmp_path / "second")
    assert "No frames yet" in window.library.empty.text()
    handle.cancel()
    with qtbot.waitSignal(handle.ended):
        pass


def test_a_dropped_folder_is_imported_as_the_cohort_that_is_entered(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    library = window.library
    assert library.body.currentWidget() is library.empty
    drop(window, samples)
    dialog = dialog_of(library, ImportDialog)
    assert dialog.cohort == samples.name
    dialog.field.setEditText("Nijmegen")
    assert not dialog.accept_button.isEnabled()
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(names(library)) == 24)
    assert session.open.frames.cohorts() == ["Nijmegen"]
    first = session.open.frames.get(session.frame_id or "")
    assert first.name == "031_HC", "the first frame to draw, not the first of all"
    notice = window.notices.notices[-1].text
    # Three of them show a bar with text, which is kept and said.
    text = "24 frames imported into Nijmegen, 16 with an ellipse. 1 note: "
    assert notice.startswith(text) and "burned into the picture" in notice
    assert session.undo_stack.undoText() == "import 24 frames"
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert names(library) == [] and library.body.currentWidget() is library.empty
    assert session.frame_id is None
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(window, Qt.Key.Key_Z, modifiers)
    assert len(names(library)) == 24
    assert len(session.open.annotations.by_frame()) == 16


def test_dropped_files_alone_are_imported_and_bad_ones_listed(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    folder = tmp_path / "stick"
    folder.mkdir()
    for name in ("011_HC.png", "023_HC.png", "031_HC.png"):
        shutil.copy2(samples / name, folder)
    cut = folder / "cut.png"
    cut.write_bytes((samples / "050_HC.png").read_bytes()[:4000])
    drop(window, folder / "011_HC.png", folder / "023_HC.png", cut)
    dialog = dialog_of(window.library, ImportDialog)
    assert dialog.cohort == "cohort-1", "stick looks like a name"
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    (bad,) = (row for row in dialog.model.rows if row.notes)
    assert bad.taken_for == "left out" and "cut.png is truncated" in bad.notes[0]
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        qtbot.keyClick(dialog, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool(window.notices.notices))
    assert {frame.name for frame in session.open.frames.all()} == {"011_HC", "023_HC"}
    assert window.notices.notices[-1].level == "warning"
    assert not window.findChildren(TextDialog), "what is wrong was seen before"


def test_a_folder_without_images_is_refused_and_nothing_changes(
    library: LibraryPage, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("no picture")
    drop(window, tmp_path / "letters")
    dialog = dialog_of(library, ImportDialog)
    qtbot.waitUntil(lambda: "holds no images" in dialog.empty.text(), timeout=60_000)
    assert not dialog.accept_button.isEnabled()
    dialog.reject()
    assert len(names(library)) == 24
    qtbot.waitUntil(dialog.worker.isFinished)


def test_import_asks_for_a_folder_and_leaves_without_one(
    library: LibraryPage, monkeypatch: pytest.MonkeyPatch, samples: Path, qtbot: QtBot
) -> None:
    answers = ["", str(samples)]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: answers.pop(0))
    qtbot.mouseClick(library.import_button, Qt.MouseButton.LeftButton)
    assert not library.findChildren(ImportDialog)
    qtbot.mouseClick(library.import_button, Qt.MouseButton.LeftButton)
    dialog = dialog_of(library, ImportDialog)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
    assert library.session.engine.running is None
    qtbot.waitUntil(dialog.worker.isFinished)


def test_the_chosen_frame_stays_in_view_when_a_line_above_appears(
    library: LibraryPage, qtbot: QtBot
) -> None:
    library.session.select_frame(rows(library)[-1].data(FRAME).id)
    grid = library.grid

    def in_view() -> bool:
        return grid.viewport().rect().contains(grid.visualRect(grid.currentIndex()))

    qtbot.waitUntil(in_view)
    grid.setFixedHeight(grid.height() - 40)
    qtbot.wait(50)
    assert in_view()


def test_words_for_what_is_left() -> None:
    counts: dict[State, int] = {"none": 1, "proposed": 2, "draft": 0, "final": 4}
    assert what_is_left(counts) == "1 frame to draw, 2 proposals to check"
    assert what_is_left(dict.fromkeys(counts, 0)) == "Nothing here yet"
    assert what_is_left({**dict.fromkeys(counts, 0), "final": 3}) == "All ellipses are final"


def test_words_for_an_import() -> None:
    source = Path("scans")
    cut = f"{source / 'b.png'} is truncated."
    text = import_summary(ImportReport("A", 1, 0, 2, 3, {}, (cut,)), source)
    assert text == "1 frame imported into A; 2 already in the project. 1 note: b.png is truncated."
    two = ("b.png is truncated.", "c.png is truncated.")
    text = import_summary(ImportReport("A", 1, 0, 0, 3, {}, two), source)
    assert text == "1 frame imported into A. 2 notes, such as: b.png is truncated."


# -- amending --------------------------------------------------------------------------------


def choose(qtbot: QtBot, library: LibraryPage, *chosen: str) -> None:
    """Select these frames with the mouse."""
    for number, name in enumerate(chosen):
        modifier = Qt.KeyboardModifier.ControlModifier if number else Qt.KeyboardModifier.NoModifier
        click(qtbot, library, name, modifier)
    assert {frame.name for frame in library.selected()} == set(chosen)


def asked(qtbot: QtBot, library: LibraryPage, keys: str) -> AskDialog:
    """Press a key of the grid, and return the dialog that it opens."""
    key, modifier = {
        "Shift+S": (Qt.Key.Key_S, Qt.KeyboardModifier.ShiftModifier),
        "Shift+C": (Qt.Key.Key_C, Qt.KeyboardModifier.ShiftModifier),
        "Shift+Del": (Qt.Key.Key_Delete, Qt.KeyboardModifier.ShiftModifier),
        "Shift+R": (Qt.Key.Key_R, Qt.KeyboardModifier.ShiftModifier),
        "Shift+M": (Qt.Key.Key_M, Qt.KeyboardModifier.ShiftModifier),
    }[keys]
    qtbot.keyClick(library.grid, key, modifier)
    dialog = QApplication.activeModalWidget()
    assert isinstance(dialog, AskDialog)
    return dialog


def subjects(library: LibraryPage, *wanted: str) -> list[str]:
    held = {frame.name: frame.subject for frame in library.session.open.frames.all()}
    return [held[name] for name in wanted]


def test_the_subject_of_many_frames_is_set_and_undone(library: LibraryPage, qtbot: QtBot) -> None:
    choose(qtbot, library, "023_HC", "068_HC")
    dialog = asked(qtbot, library, "Shift+S")
    assert isinstance(dialog, KeyDialog)
    before = subjects(library, "023_HC", "068_HC")
    assert dialog.key == before[0] == library.session.open.patients.key("023")
    dialog.field.setEditText("")
    assert not dialog.accept_button.isEnabled()
    dialog.field.setEditText("mother 7")
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    key = library.session.open.patients.key("mother 7")
    assert key.startswith("subject-") and subjects(library, "023_HC", "068_HC") == [key, key]
    stack = library.session.undo_stack
    assert stack.undoText() == "set the subject of 2 frames"
    stack.undo()
    assert subjects(library, "023_HC", "068_HC") == before
    stack.redo()  # the dialog is gone; what was entered is not
    assert subjects(library, "023_HC", "068_HC") == [key, key]


def test_frames_are_removed_after_a_yes_and_every_page_follows(
    library: LibraryPage, window: MainWindow, qtbot: QtBot
) -> None:
    project = library.session.open
    source = project.frames.all()[0]
    project.pairs.add(
        project.frames.pixels(source.id)[::-1].copy(),
        name="made",
        ellipse=DRAWN,
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.9},
        provenance={"source_frame": source.id},
    )
    library.session.pairs_changed.emit()
    after = names(library)[2]
    choose(qtbot, library, names(library)[1], names(library)[0])
    assert library.session.frame_id == source.id
    dialog = asked(qtbot, library, "Shift+Del")
    assert isinstance(dialog, RemoveDialog)
    said = " ".join(label.text() for label in dialog.findChildren(QLabel))
    assert f"This removes 2 frames: {names(library)[0]}, {names(library)[1]}." in said
    assert "1 synthetic pair made from them: made." in said
    dialog.reject()
    assert len(names(library)) == 24
    dialog = asked(qtbot, library, "Shift+Del")
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert len(names(library)) == 22
    assert project.pairs.all() == []
    assert library.filters.state_buttons[None].text() == "All  22"
    selected = project.frames.get(library.session.frame_id or "")
    assert selected.name == after
    window.show_place("annotate")
    assert annotate_page(window).bar.name.text() == after
    assert "of 22" in annotate_page(window).bar.position.text()
    qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(names(library)) == 24
    assert library.session.frame_id == source.id
    assert len(project.pairs.all()) == 1
    assert annotate_page(window).bar.name.text() == source.name


def test_all_frames_can_be_removed_and_restored(
    library: LibraryPage, window: MainWindow, qtbot: QtBot
) -> None:
    library.grid.selectAll()
    dialog = asked(qtbot, library, "Shift+Del")
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert library.session.frame_id is None
    assert library.body.currentWidget() is library.empty
    for place in ("annotate", "synthesise", "review", "train"):
        window.show_place(place)
    library.session.undo_stack.undo()
    assert len(names(library)) == 24
    assert library.session.frame_id is not None


def test_a_cohort_is_set_renamed_and_merged(library: LibraryPage, qtbot: QtBot) -> None:
    (first,) = library.session.open.frames.cohorts()
    choose(qtbot, library, "068_HC")
    dialog = asked(qtbot, library, "Shift+C")
    assert isinstance(dialog, KeyDialog)
    dialog.field.setEditText("Voluson")
    dialog.accept()
    assert [library.filters.cohort_box.itemText(i) for i in (1, 2)] == ["Voluson", first]
    choose(qtbot, library, "068_HC")
    dialog = asked(qtbot, library, "Shift+R")
    assert isinstance(dialog, RenameDialog)
    assert dialog.cohort == "Voluson"
    assert not dialog.accept_button.isEnabled()
    dialog.field.setText(first)
    assert not dialog.accept_button.isEnabled()
    assert "Merge" in dialog.hint.text()
    dialog.field.setText("E10")
    dialog.accept()
    assert library.session.open.frames.cohorts() == ["E10", first]
    choose(qtbot, library, "068_HC")
    dialog = asked(qtbot, library, "Shift+M")
    assert isinstance(dialog, MergeDialog)
    assert (dialog.cohort, dialog.into) == ("E10", first)
    dialog.accept()
    assert library.session.open.frames.cohorts() == [first]
    for _ in range(3):
        library.session.undo_stack.undo()
    assert library.session.open.frames.cohorts() == [first]
    assert library.session.undo_stack.index() == 0


def test_a_refused_amendment_is_no_step_of_undo(library: LibraryPage, qtbot: QtBot) -> None:
    choose(qtbot, library, "068_HC")
    dialog = asked(qtbot, library, "Shift+S")
    with qtbot.waitSignal(library.session.failure) as failed:
        dialog.accept()
    assert "like that already" in failed.args[0]
    assert library.session.undo_stack.count() == 0


def test_amending_needs_a_selection(library: LibraryPage, qtbot: QtBot) -> None:
    library.grid.clearSelection()
    with qtbot.waitSignal(library.session.message) as said:
        qtbot.keyClick(library.grid, Qt.Key.Key_Delete, Qt.KeyboardModifier.ShiftModifier)
    assert "Select the frames" in said.args[0]
    assert QApplication.activeModalWidget() is None


def test_the_amendments_are_in_the_menus_and_on_the_key_sheet(library: LibraryPage) -> None:
    texts = [action.text() for action in library.amend_menu.actions() if action.text()]
    assert texts == [
        "Set subject ...",
        "Group frames by subject ...",
        "Set cohort ...",
        "Set label ...",
        "Set calibration ...",
        "Remove frames ...",
        "Forget this patient ...",
        "Rename cohort ...",
        "Merge cohort into ...",
    ]
    assert library.amend_button.menu() is library.amend_menu
    assert library.amend_menu.menuAction() in library.menu.actions()
    keys = dict(keys_of(library))
    assert keys["Shift+S"] == "Set subject"
    assert keys["Shift+Del"] == "Remove frames"
    assert "(A)" in library.amend_button.toolTip()


def test_what_was_removed_is_gone_once_the_project_is_closed(
    library: LibraryPage, qtbot: QtBot
) -> None:
    project = library.session.open
    choose(qtbot, library, "068_HC")
    (frame,) = library.selected()
    path = project.frames.path(frame.id)
    asked(qtbot, library, "Shift+Del").accept()
    assert path.is_file()
    library.session.close_project()
    assert not path.exists()


def test_a_removed_frame_that_an_old_result_shows_is_not_selected(
    library: LibraryPage, qtbot: QtBot
) -> None:
    choose(qtbot, library, "068_HC")
    (frame,) = library.selected()
    asked(qtbot, library, "Shift+Del").accept()
    selected = library.session.frame_id
    assert selected != frame.id
    with qtbot.waitSignal(library.session.message) as said:
        library.session.select_frame(frame.id)
    assert "was removed" in said.args[0]
    assert library.session.frame_id == selected


def test_a_filter_asks_for_what_is_on_screen_only(
    library: LibraryPage, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    """Not for every row, which would hold up a search among thousands of frames."""
    frames = library.session.open.frames.all()
    many = [replace(f, id=f"{n:064x}", name=f"{n} {f.name}") for n in range(100) for f in frames]
    library.model.load(library.session.project, many)
    asked: list[QModelIndex] = []
    data = FrameModel.data

    def counting(model: FrameModel, index: QModelIndex, role: int = 0) -> Any:
        asked.append(index)
        return data(model, index, role)

    monkeypatch.setattr(FrameModel, "data", counting)
    library.filters.search.setText("hc")
    assert library.model.rowCount() == len(many)
    library.filters.search.setText("1")
    assert 0 < library.model.rowCount() < len(many)
    QApplication.processEvents()
    assert len({index.row() for index in asked}) < 100


def test_an_ellipse_takes_its_frame_out_of_a_filter_by_state(
    library: LibraryPage, window: MainWindow
) -> None:
    """And undo brings it back, with the others in their order."""
    library.filters.state_buttons["none"].click()
    before = names(library)
    first, second = before[0], before[1]
    session = library.session
    frame = row_named(library, first).data(FRAME)
    session.undo_stack.push(SetEllipse(session, frame.id, DRAWN, "draft"))
    assert names(library) == before[1:]
    assert library.model.frame(0).name == second
    session.undo_stack.undo()
    assert names(library) == before
    assert [index.data(FRAME).name for index in rows(library)] == before


@pytest.mark.perf
def test_a_search_among_a_hundred_thousand_frames_does_not_stall(library: LibraryPage) -> None:
    frames = library.session.open.frames.all()
    many = [replace(f, id=f"{n:064x}", name=f"{n}_HC") for n, f in enumerate(frames * 4200)]
    library.model.load(library.session.project, many[:100_000])
    for text in ("1", "12", "123", "hc", ""):
        start = time.process_time()
        library.filters.search.setText(text)
        QApplication.processEvents()
        assert time.process_time() - start <= 0.1


def test_names_are_neutral_and_doubtful_texts_are_asked_about(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    folder = tmp_path / "Meier Anna"
    folder.mkdir()
    for i, name in enumerate(("011_HC", "023_HC")):
        shutil.copy2(samples / f"{name}.png", folder / f"Meier Anna {i}.png")
    (folder / "t.csv").write_text("filename,site\nMeier Anna 0.png,Quaresma\n")
    drop(window, folder)
    dialog = dialog_of(window.library, ImportDialog)
    assert dialog.cohort == "cohort-1" and not dialog.keep_names.isChecked()
    assert any(
        "looks like a person's name" in label.text() for label in dialog.findChildren(QLabel)
    )
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(window.findChildren(QMessageBox)))
    assert [frame.name for frame in session.open.frames.all()] == ["frame-00001", "frame-00002"]
    assert not any(frame.labels for frame in session.open.frames.all())
    (box,) = window.findChildren(QMessageBox)
    assert box.text() == "The label 'site' was left out."
    assert box.informativeText().startswith(
        "A value of 'site' looks like a person's name (Quaresma). "
    )
    add = next(button for button in box.buttons() if button.text() == "Import it")
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        qtbot.mouseClick(add, Qt.MouseButton.LeftButton)
    assert session.open.frames.all()[0].labels == {"site": "Quaresma"}
    assert "Meier" not in Path(session.settings._store.fileName()).read_text()
    assert not window.findChildren(TextDialog)  # nothing else is to be said


def test_that_names_are_kept_is_remembered(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    folder = tmp_path / "clinic"
    folder.mkdir()
    shutil.copy2(samples / "011_HC.png", folder / "first.png")
    drop(window, folder)
    dialog = dialog_of(window.library, ImportDialog)
    dialog.keep_names.setChecked(True)
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert [frame.name for frame in session.open.frames.all()] == ["first"]
    drop(window, folder)
    dialog = dialog_of(window.library, ImportDialog)
    assert dialog.keep_names.isChecked() and dialog.cohort == "clinic"
    dialog.reject()
    qtbot.waitUntil(dialog.worker.isFinished)
