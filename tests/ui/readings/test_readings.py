"""Reading without seeing, agreement, adjudication, merge and history in the real window."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TypeVar

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDialog,
    QLabel,
    QLineEdit,
    QMessageBox,
    QTableWidget,
)
from pytestqt.qtbot import QtBot

from fetalstudio.core.agreement import mean_ellipse
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.project.agreements import group_agreement
from fetalstudio.project.project import Project
from fetalstudio.project.reading_exchange import export_readings
from fetalstudio.project.store.records import Annotation, Frame
from fetalstudio.ui.readings.adjudication_page import AdjudicationPage
from fetalstudio.ui.readings.agreement_page import AgreementPage
from fetalstudio.ui.readings.exchange_dialogs import ExportReadingsDialog, MergeDialog
from fetalstudio.ui.readings.history_dialog import HistoryDialog
from fetalstudio.ui.readings.reading_page import ReadingPage
from fetalstudio.ui.readings.start_dialog import StartDialog
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow

D = TypeVar("D", bound=QDialog)
CONTROL = Qt.KeyboardModifier.ControlModifier
HEAD = Ellipse.of(400, 270, 200, 150, 20)


@pytest.fixture
def ben(sample_project: Project, tmp_path: Path) -> Path:
    """The file of a colleague who has read all frames of a copy of the project."""
    path = tmp_path / "copy"
    shutil.copytree(sample_project.path, path)
    with Project.open(path) as copy:
        held = copy.annotations.by_frame()
        session = copy.readings.start([f.id for f in copy.frames.all()], observer="ben", seed=1)
        for i, (number, frame_id) in enumerate(session.left):
            drawn = held[frame_id].ellipse if frame_id in held else None
            e = drawn or HEAD
            size = 1 + i / 1000
            larger = Ellipse.of(e.cx, e.cy, size * e.a, size * e.b, e.angle_deg)
            copy.readings.add(session, number, larger, seconds=10)
        export_readings(copy, tmp_path / "ben.readings.json")
    return tmp_path / "ben.readings.json"


@pytest.fixture
def reading_window(open_session: Session, window: MainWindow) -> MainWindow:
    """The window of anna."""
    open_session.settings.author = "anna"
    return window


def dialog_of(window: MainWindow, kind: type[D]) -> D:
    """The dialog of this type that is open."""
    found = [dialog for dialog in window.findChildren(kind) if dialog.isVisible()]
    assert len(found) == 1
    return found[0]


def cell(table: QTableWidget, row: int, column: int) -> str:
    item = table.item(row, column)
    assert item is not None
    return item.text()


def begin(window: MainWindow, frame_ids: list[str], twice: int = 0) -> ReadingPage:
    """Start a session by the dialog."""
    window.readings.start(frame_ids)
    dialog = dialog_of(window, StartDialog)
    dialog.twice.setValue(twice)
    dialog.accept()
    page = window.page("reading")
    assert isinstance(page, ReadingPage)
    return page


def draw(page: ReadingPage | AdjudicationPage, ellipse: Ellipse) -> None:
    """A finished gesture on the canvas."""
    page.canvas.set_ellipse(ellipse)
    page.canvas.ellipse_edited.emit(ellipse)


def press(page: ReadingPage | AdjudicationPage, key: Qt.Key) -> None:
    QTest.keyClick(page.canvas, key)


def test_a_session_shows_pixels_and_nothing_else_and_is_undone(
    reading_window: MainWindow, open_session: Session
) -> None:
    project = open_session.open
    final = [f.id for f, a in _annotated(project)][:3]
    before = {f: project.annotations.newest(f) for f in final}
    page = begin(reading_window, final, twice=50)
    assert reading_window.stack.currentWidget() is page
    page.observer.setFixedWidth(page.observer.sizeHint().width() - 4)
    assert (page.observer.text(), page.observer.shown()) == ("by anna, without seeing", "by anna")
    assert page.reading is not None
    assert len(page.reading.left) == 5
    texts = [w.text() for w in page.findChildren(QLabel)]
    texts += [w.text() for w in page.findChildren(QAbstractButton)]
    texts += [w.toolTip() for w in page.findChildren(QLabel)]
    names = [project.frames.get(f).name for f in final]
    assert not [t for t in texts for n in (*names, "HC", "mm", "Final", "import") if n in t]
    assert page.canvas.ellipse() is None
    press(page, Qt.Key.Key_Return)  # nothing is drawn: nothing is saved
    assert project.readings.all() == []
    draw(page, HEAD)
    press(page, Qt.Key.Key_Return)
    assert page.position.text() == "Reading 2 of 5"
    assert page.canvas.ellipse() is None
    press(page, Qt.Key.Key_X)
    first, second = project.readings.all()
    assert (first.observer, first.ellipse, first.blinded) == ("anna", HEAD, True)
    assert first.seconds is not None and first.seconds < 60
    assert second.ellipse is None
    open_session.undo_stack.undo()
    assert page.position.text() == "Reading 2 of 5"
    open_session.undo_stack.undo()  # the saved reading: its ellipse is there to be corrected
    assert (page.position.text(), page.canvas.ellipse()) == ("Reading 1 of 5", HEAD)
    open_session.undo_stack.undo()
    assert page.canvas.ellipse() is None
    for _ in range(3):
        open_session.undo_stack.redo()
    assert project.readings.all() == [first, second]
    assert {f: project.annotations.newest(f) for f in final} == before


def test_a_session_goes_on_after_a_pause_and_after_a_restart(
    qtbot: QtBot, reading_window: MainWindow, open_session: Session
) -> None:
    project = open_session.open
    page = begin(reading_window, [f.id for f in project.frames.all()][:3])
    draw(page, HEAD)
    press(page, Qt.Key.Key_Return)
    reading_window.show_place("library")
    QTest.keyClick(reading_window, Qt.Key.Key_R, CONTROL | Qt.KeyboardModifier.ShiftModifier)
    assert reading_window.stack.currentWidget() is page
    path = project.path
    open_session.close_project()
    open_session.project_changed.emit()
    assert page.reading is None
    open_session.open_project(path)
    reading_window.readings.resume()
    assert page.position.text() == "Reading 2 of 3"
    for _ in range(2):
        press(page, Qt.Key.Key_X)
    assert "All frames are read" in page.empty.text()
    assert open_session.open.readings.unfinished("anna") is None
    with qtbot.waitSignal(open_session.message) as said:
        reading_window.readings.resume()
    assert "anna has no unfinished reading" in said.args[0]


def test_an_ellipse_that_is_not_saved_is_not_dropped_without_a_word(
    reading_window: MainWindow,
    open_session: Session,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: asked.append(box.text()))
    page = begin(reading_window, [frame.id for frame in open_session.frames()[:2]])
    draw(page, HEAD)
    said = QSignalSpy(open_session.message)
    page.end()
    assert page.reading is not None and page.canvas.ellipse() == HEAD
    assert "is not saved" in said.at(0)[0]
    reading_window.show_place("library")
    assert not reading_window.close()
    (text,) = asked
    assert text == "The ellipse of a reading is not saved. If you leave, what is not saved is lost."
    with pytest.raises(UserError, match="Continue reading"):
        open_session.new_project(tmp_path / "other")
    assert page.canvas.ellipse() == HEAD
    reading_window.show_place("reading")
    press(page, Qt.Key.Key_Return)
    assert reading_window.close() and len(asked) == 1


def test_the_start_says_what_it_will_take_and_keeps_the_name(
    qtbot: QtBot, reading_window: MainWindow, open_session: Session
) -> None:
    frames = open_session.frames()
    dialog = StartDialog(open_session, frames, [f.id for f in frames][:4], reading_window)
    qtbot.addWidget(dialog)
    assert dialog.scope.currentText() == "The 4 selected frames"
    dialog.twice.setValue(10)
    assert dialog.plan.text().startswith("5 readings, about ")
    dialog.scope.setCurrentIndex(1)
    dialog.most.setValue(7)
    assert len(dialog.frame_ids()) == 7
    dialog.observer.setText(" ")
    assert not dialog.accept_button.isEnabled()


def test_a_colleagues_file_is_planned_merged_undone_and_compared(
    qtbot: QtBot, reading_window: MainWindow, open_session: Session, ben: Path, tmp_path: Path
) -> None:
    project = open_session.open
    reading_window.readings.ask_merge(ben)
    dialog = dialog_of(reading_window, MergeDialog)
    assert dialog.summary.text() == "24 new readings by ben."
    assert not dialog.conflicts.isVisible()
    assert project.readings.all() == []  # nothing is stored before the person agrees
    dialog.accept()
    assert len(project.readings.all()) == 24
    page = reading_window.page("agreement")
    assert isinstance(page, AgreementPage)
    assert reading_window.stack.currentWidget() is page
    qtbot.waitUntil(lambda: len(page.found) == 1, timeout=30_000)
    assert page.list.item(0).text() == "ben and import\n16 frames"
    assert "16 frames of" in page.about.text()
    assert "Too few to tell" in page.about.text()
    assert cell(page.figures, 0, 0) == "HC"
    assert cell(page.figures, 0, 1).count("\n") == 1  # the bias with its interval
    assert len(page.plot.points.data) == 16
    dices = [float(cell(page.frames, row, 1)) for row in range(16)]
    assert dices == sorted(dices)
    page.save_csv(tmp_path / "frames.csv")
    assert len(list(csv.DictReader((tmp_path / "frames.csv").open()))) == 16
    open_session.undo_stack.undo()
    assert project.readings.all() == []
    qtbot.waitUntil(lambda: not page.found, timeout=30_000)
    assert "No frame was read twice" in page.empty.text()
    open_session.undo_stack.redo()
    assert len(project.readings.all()) == 24
    qtbot.waitUntil(lambda: len(page.found) == 1, timeout=30_000)
    assert page.plot_title.isVisible() and page.size_box.isVisible()
    for frame in project.frames.all():
        project.frames.set_calibration(frame.id, None)
    open_session.frames_changed.emit()
    qtbot.waitUntil(lambda: not page.plot.isVisible(), timeout=30_000)
    # There is no size to plot: the text stays at the top, without a heading for nothing.
    assert not page.plot_title.isVisible() and not page.size_box.isVisible()
    assert page.about.height() < 100
    page.annotations.setChecked(False)
    qtbot.waitUntil(lambda: not page.found, timeout=30_000)


def test_three_observers_have_their_correlation_as_on_the_command_line(
    qtbot: QtBot, reading_window: MainWindow, open_session: Session, ben: Path
) -> None:
    reading_window.readings.ask_merge(ben)
    dialog_of(reading_window, MergeDialog).accept()
    page = reading_window.page("agreement")
    assert isinstance(page, AgreementPage)
    qtbot.waitUntil(lambda: len(page.found) == 1, timeout=30_000)
    assert not page.together.isVisible()
    project = open_session.open
    readings = project.readings.start([f.id for f in project.frames.all()][:8], observer="eva")
    for number, frame_id in readings.left:
        held = project.annotations.newest(frame_id)
        drawn = None if held is None else held.ellipse
        project.readings.add(readings, number, drawn or HEAD, seconds=10)
    open_session.readings_changed.emit()
    qtbot.waitUntil(lambda: len(page.found) == 3, timeout=30_000)
    group = group_agreement(project)
    assert group is not None
    assert group.observers == ("ben", "eva", "import")
    shown = page.together.text()
    assert page.together.isVisible()
    assert group.title in shown
    assert group.about() in shown
    assert group.figures() in shown
    assert "Too few to tell" in shown
    page.annotations.setChecked(False)  # ben and eva remain
    qtbot.waitUntil(lambda: len(page.found) == 1, timeout=30_000)
    assert not page.together.isVisible()


def test_conflicts_are_shown_and_another_name_makes_another_person(
    reading_window: MainWindow, open_session: Session, ben: Path
) -> None:
    reading_window.readings.ask_merge(ben)
    first = dialog_of(reading_window, MergeDialog)
    first.accept()
    content = json.loads(ben.read_text())
    for number, reading in enumerate(content["readings"]):
        reading["id"] = f"{number:032x}"
        reading["ellipse"]["cx"] += 1
    ben.write_text(json.dumps(content))
    reading_window.readings.ask_merge(ben)
    dialog = dialog_of(reading_window, MergeDialog)
    assert dialog.conflicts.count() == 24
    assert not dialog.accept_button.isEnabled()
    dialog.keep_both.setChecked(True)
    assert dialog.accept_button.text() == "Merge 24 readings"
    dialog.keep_both.setChecked(False)
    (name,) = dialog.findChildren(QLineEdit)
    name.setText("another ben")
    name.editingFinished.emit()
    assert dialog.conflicts.count() == 0
    dialog.accept()
    observers = Counter(reading.observer for reading in open_session.open.readings.all())
    assert observers == {"ben": 24, "another ben": 24}


def test_a_reading_under_another_name_is_shown_and_known_once_the_name_is_entered(
    reading_window: MainWindow, open_session: Session, ben: Path
) -> None:
    reading_window.readings.ask_merge(ben)
    dialog_of(reading_window, MergeDialog).accept()
    content = json.loads(ben.read_text())
    for reading in content["readings"]:
        reading["observer"] = "B"
    ben.write_text(json.dumps(content))
    reading_window.readings.ask_merge(ben)
    dialog = dialog_of(reading_window, MergeDialog)
    assert dialog.conflicts.count() == 24
    assert "observer B in the file, ben here" in dialog.conflicts.item(0).text()
    assert not dialog.keep_both.isVisible()  # the same reading is not kept twice
    assert not dialog.accept_button.isEnabled()
    (name,) = dialog.findChildren(QLineEdit)
    name.setText("ben")
    name.editingFinished.emit()
    assert dialog.conflicts.count() == 0
    assert "24 readings are here already" in dialog.summary.text()
    dialog.reject()
    assert {reading.observer for reading in open_session.open.readings.all()} == {"ben"}


def test_two_outlines_are_decided_on_with_the_keyboard(
    qtbot: QtBot, reading_window: MainWindow, open_session: Session, ben: Path
) -> None:
    project = open_session.open
    reading_window.readings.ask_merge(ben)
    dialog = dialog_of(reading_window, MergeDialog)
    dialog.accept()
    reading_window.show_place("adjudication")
    page = reading_window.page("adjudication")
    assert isinstance(page, AdjudicationPage)
    assert page.list.count() == 16
    decided = [page.list.item(0).data(Qt.ItemDataRole.UserRole)]
    readings = project.readings.with_annotations(decided[0])
    theirs = {reading.observer: reading for reading in readings}
    assert page.canvas.ellipse() is None
    press(page, Qt.Key.Key_Return)
    assert project.readings.adjudicated() == {}
    press(page, Qt.Key.Key_2)
    assert page.canvas.ellipse() == theirs["import"].ellipse
    press(page, Qt.Key.Key_1)
    assert page.canvas.ellipse() == theirs["ben"].ellipse
    assert page.decision.text().startswith("As ben\n")
    press(page, Qt.Key.Key_Return)
    made = project.annotations.newest(decided[0])
    assert made is not None
    assert (made.author, made.state, made.ellipse) == ("anna", "final", theirs["ben"].ellipse)
    assert project.readings.adjudicated() == {
        (decided[0], made.revision): tuple(sorted(reading.id for reading in readings))
    }
    assert page.list.currentRow() == 1  # the next one
    assert page.list.item(0).text().endswith("decided")
    following = project.readings.with_annotations(page.list.item(1).data(Qt.ItemDataRole.UserRole))
    drawn = [r.ellipse for r in following if r.ellipse is not None]
    press(page, Qt.Key.Key_M)
    assert page.canvas.ellipse() == mean_ellipse(drawn[::-1])
    draw(page, HEAD)
    assert page.decision.text().startswith("Drawn by you")
    open_session.undo_stack.undo()
    undone = project.annotations.newest(decided[0])
    assert undone is not None
    assert undone.ellipse == theirs["import"].ellipse
    assert not page.list.item(0).text().endswith("decided")
    # Undo of a second decision returns to the first one, with what it was made from.
    open_session.undo_stack.redo()
    page.list.setCurrentRow(0)
    press(page, Qt.Key.Key_M)
    press(page, Qt.Key.Key_Return)
    open_session.undo_stack.undo()
    back = project.annotations.newest(decided[0])
    assert back is not None
    assert (back.author, back.ellipse) == ("anna", theirs["ben"].ellipse)
    assert (decided[0], back.revision) in project.readings.adjudicated()
    assert page.list.item(0).text().endswith("decided")


def test_readings_are_exported_under_the_names_that_are_chosen(
    reading_window: MainWindow, open_session: Session, tmp_path: Path
) -> None:
    project = open_session.open
    page = begin(reading_window, [f.id for f, _ in _annotated(project)][:2])
    for _ in range(2):
        draw(page, HEAD)
        press(page, Qt.Key.Key_Return)
    reading_window.readings.export()
    dialog = dialog_of(reading_window, ExportReadingsDialog)
    assert dialog.observers() == ["anna"]  # who only annotated is not ticked
    assert dialog.count.text() == "2 readings."
    field = next(f for f in dialog.findChildren(QLineEdit) if f.text() == "anna")
    field.setText("AB")
    out = tmp_path / "ab.readings.json"
    reading_window.readings.write(out, dialog.observers(), dialog.renamed())
    dialog.reject()
    content = out.read_text()
    assert {r["observer"] for r in json.loads(content)["readings"]} == {"AB"}
    assert "anna" not in content


def test_the_history_is_listed_filtered_and_saved(
    reading_window: MainWindow, open_session: Session, tmp_path: Path
) -> None:
    frame, annotation = _annotated(open_session.open)[0]
    add = open_session.open.annotations.add
    add(frame.id, annotation.ellipse, author="segmenter:compact+cohort", state="proposed")
    add(frame.id, annotation.ellipse, author="eva", state="draft")
    QTest.keyClick(reading_window, Qt.Key.Key_H, CONTROL)
    dialog = dialog_of(reading_window, HistoryDialog)
    everything = dialog.shown.rowCount()
    assert everything > 16
    dialog.search.setText("eva")
    assert dialog.shown.rowCount() == 1
    cells = [dialog.shown.index(0, column).data() for column in (1, 2, 3)]
    proposer = "segmenter compact, as the cohort is drawn"
    assert cells == ["eva", frame.name, f"accepted the proposal of {proposer}"]
    dialog.search.setText("proposed")
    assert dialog.shown.index(0, 1).data() == proposer
    dialog.save_csv(tmp_path / "history.csv")
    assert len(list(csv.DictReader((tmp_path / "history.csv").open()))) == everything
    dialog.close()
    QApplication.processEvents()


def _annotated(project: Project) -> list[tuple[Frame, Annotation]]:
    held = project.annotations.by_frame()
    return [(frame, held[frame.id]) for frame in project.frames.all() if frame.id in held]
