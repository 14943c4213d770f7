"""The dialog of an import, driven with mouse and keys in the real window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot
from shiboken6 import isValid

from fetalstudio.core.errors import InputError
from fetalstudio.core.progress import NO_PROGRESS, Progress, Stopped
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.formats.pictures.picture_files import write_png
from fetalstudio.formats.reading.doubts import Question
from fetalstudio.project.importing.choices import NO_CHOICES, Choices
from fetalstudio.project.importing.importers import ImportReport, import_frames
from fetalstudio.project.importing.plan import ImportPlan
from fetalstudio.project.importing.planner import Planner
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir
from fetalstudio.ui import theme
from fetalstudio.ui.common.text_dialog import TextDialog
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.library import import_dialog, import_worker
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.import_rows import Kind, Row
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from tests.doubtful import HEAD, MASK, SIZE, doubtful_source, texture
from tests.progress import Watched

Open = Callable[[Path], ImportDialog]
CONTROL = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return doubtful_source(tmp_path / "clinic")


@pytest.fixture
def open_dialog(
    session: Session, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> Iterator[Open]:
    """Opens the dialog on a folder, in an empty project."""
    opened: list[ImportDialog] = []
    session.new_project(tmp_path / "new")

    def open_on(folder: Path) -> ImportDialog:
        window.library.importing.ask([folder])
        dialogs = (w for w in QApplication.topLevelWidgets() if isinstance(w, ImportDialog))
        (dialog,) = (dialog for dialog in dialogs if dialog.isVisible())
        opened.append(dialog)
        return dialog

    yield open_on
    for dialog in opened:
        if isValid(dialog) and dialog.isVisible():
            dialog.reject()
        qtbot.waitUntil(dialog.worker.isFinished)


@pytest.fixture
def dialog(open_dialog: Open, source: Path, qtbot: QtBot) -> ImportDialog:
    """The dialog on the source, with its plan."""
    dialog = open_dialog(source)
    planned(qtbot, dialog)
    return dialog


def planned(qtbot: QtBot, dialog: ImportDialog) -> ImportPlan:
    """Wait for the plan under the dialog's choices."""
    qtbot.waitUntil(lambda: dialog.plan is not None and dialog.plan.choices == dialog.choices)
    qtbot.wait(1)  # the details follow when the events are done
    assert dialog.plan is not None
    return dialog.plan


def row(dialog: ImportDialog, key: str) -> Row:
    return {row.key: row for row in dialog.model.rows}[key]


def select(qtbot: QtBot, dialog: ImportDialog, key: str) -> None:
    """Click a row."""
    place = dialog.model.place_of(key)
    assert place is not None
    index = dialog.model.index(place, 1)
    dialog.table.scrollTo(index)
    at = dialog.table.visualRect(index).center()
    qtbot.mouseClick(dialog.table.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.wait(1)
    assert dialog.details.name.text() == key.rpartition("/")[2]


def answer(qtbot: QtBot, dialog: ImportDialog, text: str) -> None:
    """Click the answer with this text."""
    (button,) = (button for button in dialog.details.buttons if text in button.text())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def shown(dialog: ImportDialog) -> list[str]:
    return [dialog.model.row(place).key for place in range(dialog.model.rowCount())]


# -- what is shown ---------------------------------------------------------------------------


def test_columns_are_as_wide_as_names_that_differ_in_the_middle(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in (1, 2):
        write_png(folder / f"patient00{number}_GHA_plane1.png", texture(number))
    dialog = open_dialog(folder)
    planned(qtbot, dialog)
    metrics = dialog.table.fontMetrics()
    for column, spared in ((0, 84 + 16 + 6), (2, 2 * 3)):
        said = dialog.model.index(0, column).data()
        assert "patient00" in said
        assert metrics.horizontalAdvance(said) <= dialog.table.columnWidth(column) - spared
    dialog.reject()


def test_a_long_name_does_not_push_the_doubts_out_of_sight(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "scans"
    folder.mkdir()
    write_png(folder / "1.png", texture(1))
    (folder / f"{'measured_and_sent_' * 4}.pdf").write_bytes(b"%PDF")
    dialog = open_dialog(folder)
    dialog.resize(1180, 740)
    planned(qtbot, dialog)
    start = dialog.table.horizontalHeader().sectionPosition(5)
    assert start + 140 <= dialog.table.viewport().width()


def test_a_note_on_a_frame_is_in_sight_on_a_screen_of_1280_px(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_dialog, "room_for", lambda _dialog: QSize(1264, 760))
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in (1, 2):
        write_png(folder / f"Patient0069{number}_Plane3_1_of_4.png", texture(number))
    (folder / "other.tif").write_bytes(b"no picture")  # it has a note
    dialog = open_dialog(folder)
    planned(qtbot, dialog)
    qtbot.wait(1)
    table = dialog.table
    assert "see the note" in [dialog.model.index(n, 5).data() for n in range(3)]
    needed = table.fontMetrics().horizontalAdvance("see the note")
    assert table.horizontalHeader().sectionPosition(5) + needed <= table.viewport().width()
    assert not table.horizontalScrollBar().isVisible()


def test_a_long_name_in_a_question_pushes_no_answer_out_of_sight(
    open_dialog: Open, source: Path, qtbot: QtBot
) -> None:
    uid = "1.2.840.113619.2.176.3596.3364818.7819.1259708454.105.1.2.3.4.5"
    for path in source.glob("*.png"):
        path.rename(source / f"{uid}_{path.name}")
    dialog = open_dialog(source)
    planned(qtbot, dialog)
    said: list[str] = []
    for key in shown(dialog):
        select(qtbot, dialog, key)
        labels = dialog.details._body.findChildren(QLabel)
        said += [label.text() for label in labels]
        needed = max((label.minimumSizeHint().width() for label in labels), default=0)
        assert needed < dialog.details.minimumSizeHint().width(), key
    assert any(uid in text for text in said)


def test_every_file_is_a_row_and_the_first_one_in_doubt_is_selected(dialog: ImportDialog) -> None:
    taken = {row.key: row.taken_for for row in dialog.model.rows}
    assert taken["again.png"] == "frame" and taken["sure.png"] == "same as again.png"
    assert taken["sure_overlay.png"] == taken["drawn.png"] == "left out"
    assert (taken["twice_seg.png"], taken["t.csv"]) == ("annotation", "table")
    assert (taken["deep/er/scan.webp"], taken["notes.txt"]) == ("not read", "other")
    assert "Export such files" in row(dialog, "deep/er/scan.webp").notes[0]
    texts = [button.text() for button in dialog.kinds.values() if button.isVisible()]
    assert texts[:2] == ["All  17", "In doubt  6"] and "Left out  2" in texts
    assert {r.key for r in dialog.model.rows if r.open} == set(shown(dialog)[:6])
    assert dialog.table.selected()[0].open
    assert dialog.accept_button.text() == "Import the safe part" and dialog.hint.isVisible()
    assert "5 frames of 6 subjects, 3 with an ellipse" in dialog.summary.text()


def test_rows_are_filtered_searched_and_sorted(dialog: ImportDialog, qtbot: QtBot) -> None:
    qtbot.mouseClick(dialog.kinds[Kind.LEFT_OUT], Qt.MouseButton.LeftButton)
    assert set(shown(dialog)) == {"sure_overlay.png", "drawn.png"}
    qtbot.mouseClick(dialog.kinds[Kind.ALL], Qt.MouseButton.LeftButton)
    qtbot.keyClick(dialog, Qt.Key.Key_F, CONTROL)
    qtbot.keyClicks(dialog.search, "TWICE")
    assert sorted(shown(dialog)) == ["twice.png", "twice_mask.png", "twice_seg.png"]
    assert dialog.details.name.text() or dialog.table.selected()
    dialog.search.clear()
    dialog.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    assert shown(dialog)[0] == "twice_seg.png" and shown(dialog)[-1] == "again.png"


def test_pictures_show_the_structures_that_are_in_doubt(dialog: ImportDialog, qtbot: QtBot) -> None:
    select(qtbot, dialog, "several.png")
    picture = dialog.model.picture_of(row(dialog, "several.png"))
    assert picture is not None
    colours = [np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in theme.SERIES[:2]]
    plain, found = texture(1), picture()
    for mask, colour in ((HEAD.mask(SIZE) > 0, colours[1]), (found[..., 0] < 0, colours[0])):
        tinted = plain[mask][:, None] * 0.55 + 0.45 * colour
        assert np.abs(found[mask] - tinted).max(initial=0) <= 1
    preview = dialog.details.preview
    qtbot.waitUntil(lambda: len(set(bytes(preview.grab().toImage().constBits())[::7])) > 50)
    answer(qtbot, dialog, "value 2")
    picture = dialog.model.picture_of(row(dialog, "several.png"))
    assert picture is not None and np.array_equal(picture(), plain)


# -- answers ---------------------------------------------------------------------------------


def test_text_that_is_kept_is_said_before_the_import(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture = Image.open(samples_dir() / "011_HC.png").convert("L")
    picture.save(folder / "plain.png")
    font = ImageFont.load_default(18)
    ImageDraw.Draw(picture).text((300, 60), "DOE^JANE 4711", fill=255, font=font)
    picture.save(folder / "named.png")
    dialog = open_dialog(folder)
    planned(qtbot, dialog)
    assert row(dialog, "plain.png").notes == ()
    select(qtbot, dialog, "named.png")
    shown = [label.text() for label in dialog.details.findChildren(QLabel)]
    assert any("Text or marks of a scanner seem to be burned into" in text for text in shown)
    texts = [button.text() for button in dialog.details.findChildren(QPushButton)]
    assert any("may be stored of it" in text for text in texts)


def test_an_answer_changes_the_plan_and_is_undone(dialog: ImportDialog, qtbot: QtBot) -> None:
    select(qtbot, dialog, "several.png")
    assert [button.text().split()[0] for button in dialog.details.buttons] == ["1", "2", "3"]
    answer(qtbot, dialog, "value 2")
    assert not row(dialog, "several.png").open
    assert not dialog.accept_button.isEnabled(), "the plan is not that of the answer yet"
    planned(qtbot, dialog)
    ellipse = row(dialog, "several.png").ellipse
    assert ellipse is not None and ellipse.overlap(HEAD) > 0.97
    assert dialog.kinds[Kind.DOUBTS].text() == "In doubt  5"
    qtbot.keyClick(dialog.table, Qt.Key.Key_Z, CONTROL)
    planned(qtbot, dialog)
    assert row(dialog, "several.png").open and row(dialog, "several.png").ellipse is None
    dialog.redo()
    planned(qtbot, dialog)
    assert row(dialog, "several.png").ellipse == ellipse


def test_keys_answer_for_one_or_for_all_alike(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    folder = tmp_path / "many"
    labels = (MASK // 255) * 2
    labels[70:, :20] = 1
    for number in range(3):
        write_png(folder / f"{number}.png", texture(number))
        write_png(folder / f"{number}_mask.png", labels)
    write_png(folder / "other.png", texture(7))
    write_png(folder / "other_mask.png", np.where(labels == 1, 5, labels).astype(np.uint8))
    dialog = open_dialog(folder)
    planned(qtbot, dialog)
    assert dialog.table.hasFocus(), "nobody is entering a cohort"
    assert dialog.details.alike.text() == "For all 3 alike"
    qtbot.keyClick(dialog.table, Qt.Key.Key_3)
    assert dialog.choices.by_file == {"0.png": {Question.HEAD: "2"}}
    for held in (Qt.Key.Key_1, Qt.Key.Key_Delete):  # held down, neither decides again
        repeated = QKeyEvent(QEvent.Type.KeyPress, held, Qt.KeyboardModifier(0), "", True)
        QApplication.sendEvent(dialog.table, repeated)
    assert dialog.choices.by_file == {"0.png": {Question.HEAD: "2"}}
    qtbot.keyClick(dialog.table, Qt.Key.Key_N)
    assert dialog.table.selected()[0].key == "1.png"
    planned(qtbot, dialog)
    qtbot.keyClick(dialog.table, Qt.Key.Key_3, CONTROL)
    planned(qtbot, dialog)
    assert {r.key for r in dialog.model.rows if r.open} == {"other.png"}
    assert [row(dialog, f"{n}.png").ellipse_state for n in range(3)] == ["final"] * 3
    qtbot.keyClick(dialog.table, Qt.Key.Key_Return)
    assert QApplication.focusWidget() in dialog.details.buttons and dialog.isVisible()


def test_an_answer_about_a_table_is_not_for_the_frames_of_another(
    open_dialog: Open, tmp_path: Path, qtbot: QtBot
) -> None:
    for number, place in enumerate(("a/0.png", "a/1.png", "b/2.png")):
        path = tmp_path / "scans" / place
        write_png(path, texture(number))
        with (path.parent / "ellipses.csv").open("a") as table:
            table.write("" if table.tell() else "name,cx,cy,a,b,angle_deg\n")
            table.write(f"{path.name},48,36,30,22,20\n")
    dialog = open_dialog(tmp_path / "scans")
    planned(qtbot, dialog)
    assert {r.key for r in dialog.model.rows if r.open} == {"a/0.png", "a/1.png", "b/2.png"}
    assert dialog.details.alike.text() == "For all 2 alike"
    qtbot.keyClick(dialog.table, Qt.Key.Key_2, CONTROL)
    planned(qtbot, dialog)
    assert {r.key for r in dialog.model.rows if r.open} == {"b/2.png"}


def test_a_picture_is_a_frame_or_the_annotation_of_one(dialog: ImportDialog, qtbot: QtBot) -> None:
    select(qtbot, dialog, "sure_overlay.png")
    answer(qtbot, dialog, "It is a frame")
    planned(qtbot, dialog)
    assert row(dialog, "sure_overlay.png").taken_for == "frame"
    select(qtbot, dialog, "drawn.png")
    boxes: list[QComboBox] = []

    def shown_box() -> bool:
        boxes[:] = [b for b in dialog.details.findChildren(QComboBox) if b.isVisible()]
        return len(boxes) == 1

    qtbot.waitUntil(shown_box)
    (box,) = boxes
    box.setCurrentText("again.png")
    box.activated.emit(box.currentIndex())
    planned(qtbot, dialog)
    assert row(dialog, "drawn.png").taken_for == "annotation"
    assert row(dialog, "again.png").ellipse_state == "final"


def test_subjects_are_entered_and_frames_left_out(dialog: ImportDialog, qtbot: QtBot) -> None:
    keys = {"square.png", "sized.png"}
    dialog.table.select(sorted(keys))
    qtbot.wait(1)
    assert "2 files selected" in dialog.details.facts.text()
    qtbot.keyClicks(dialog.details.subject, "P 7")
    qtbot.keyClick(dialog.details.subject, Qt.Key.Key_Return)
    plan = planned(qtbot, dialog)
    assert {f.key for f in plan.frames if f.subject == "P 7"} == keys
    assert dialog.isVisible(), "Return in the field is no import"
    dialog.details.subject.clear()
    dialog.details.subject.editingFinished.emit()
    plan = planned(qtbot, dialog)
    assert not [f for f in plan.frames if f.subject == "P 7"]
    qtbot.keyClick(dialog.table, Qt.Key.Key_Delete)
    plan = planned(qtbot, dialog)
    assert {f.key for f in plan.frames if f.frame_id is None} == keys | {
        "drawn.png",
        "sure_overlay.png",
    }
    qtbot.keyClick(dialog.table, Qt.Key.Key_Delete)
    assert planned(qtbot, dialog).choices == Choices()


# -- importing -------------------------------------------------------------------------------


def test_the_safe_part_is_imported_with_the_answers_and_taken_back(
    dialog: ImportDialog, session: Session, qtbot: QtBot
) -> None:
    select(qtbot, dialog, "several.png")
    answer(qtbot, dialog, "value 2")
    planned(qtbot, dialog)
    dialog.field.setEditText("Scanner A")
    dialog.keep_names.setChecked(True)
    with qtbot.waitSignal(session.message, timeout=60_000) as said:
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert "5 frames imported into Scanner A, 4 with an ellipse" in said.args[0]
    frames = {frame.name: frame.id for frame in session.open.frames.all(cohort="Scanner A")}
    assert set(frames) == {"again", "several", "twice", "square", "sized"}
    held = session.open.annotations.by_frame()
    states = {name: held[id].state for name, id in frames.items() if id in held}
    assert states == {
        "again": "final",
        "several": "final",
        "sized": "final",
        "square": "proposed",
    }
    session.undo_stack.undo()
    assert session.open.frames.all() == []


def test_what_changes_after_the_plan_is_left_out_and_named(
    dialog: ImportDialog, session: Session, window: MainWindow, source: Path, qtbot: QtBot
) -> None:
    write_png(source / "several.png", texture(77))
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        dialog.accept()
    assert len(session.open.frames.all()) == 4
    qtbot.waitUntil(lambda: QApplication.activeModalWidget() is not None)
    report = QApplication.activeModalWidget()
    assert isinstance(report, TextDialog)
    assert "has changed since" in report.text.toPlainText()
    report.close()


# -- planning --------------------------------------------------------------------------------


class Slow(Planner):
    """Waits until it may go on, or is stopped."""

    may_go = threading.Event()
    begun = threading.Event()

    def plan(
        self, choices: Choices = NO_CHOICES, *, progress: Progress = NO_PROGRESS, **_: object
    ) -> ImportPlan:
        self.begun.set()
        while not self.may_go.wait(0.005):
            progress.advance(1, 4)
        return super().plan(choices, progress=progress)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> type[Slow]:
    monkeypatch.setattr(import_worker, "Planner", Slow)
    Slow.may_go.clear()
    Slow.begun.clear()
    return Slow


def test_the_dialog_opens_on_the_cohort(
    open_dialog: Open, source: Path, slow: type[Slow], qtbot: QtBot
) -> None:
    dialog = open_dialog(source)
    with qtbot.waitActive(dialog):
        dialog.activateWindow()
    QTest.keyClicks(dialog.focusWidget(), "Nijmegen")
    assert dialog.cohort == "Nijmegen" and not dialog.keep_names.isChecked()
    dialog.reject()


def test_planning_says_how_far_it_is_and_stops(
    open_dialog: Open, source: Path, slow: type[Slow], qtbot: QtBot
) -> None:
    dialog = open_dialog(source)
    qtbot.waitUntil(lambda: "1 of 4" in dialog.bar.text())
    assert "left" in dialog.bar.text() and not dialog.accept_button.isEnabled()
    shown = [b.text() for b in dialog.findChildren(QPushButton) if b.isVisible()]
    assert "Cancel" in shown and "Stop" not in shown, "there is nothing else to stop"
    dialog.reject()
    qtbot.waitUntil(lambda: not (isValid(dialog) and dialog.isVisible()))


def test_a_stopped_change_leaves_the_plan_as_it_was(
    open_dialog: Open, source: Path, slow: type[Slow], qtbot: QtBot
) -> None:
    slow.may_go.set()
    dialog = open_dialog(source)
    planned(qtbot, dialog)
    slow.may_go.clear()
    select(qtbot, dialog, "several.png")
    answer(qtbot, dialog, "value 2")
    answer(qtbot, dialog, "value 1")  # in place of the other
    qtbot.waitUntil(lambda: "1 of 4" in dialog.bar.text())
    qtbot.mouseClick(dialog.bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(dialog.accept_button.isEnabled)
    assert dialog.choices == Choices() and row(dialog, "several.png").open


def test_a_fault_is_said_in_the_dialog(
    open_dialog: Open, source: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    def fail(*_: object, **__: object) -> Planner:
        raise InputError("clinic is upside down. Turn it.")

    monkeypatch.setattr(import_worker, "Planner", fail)
    dialog = open_dialog(source)
    qtbot.waitUntil(lambda: dialog.empty.text() == "clinic is upside down. Turn it.")
    assert dialog.body.currentWidget() is dialog.empty and not dialog.accept_button.isEnabled()


def test_the_size_is_remembered(
    open_dialog: Open, dialog: ImportDialog, source: Path, qtbot: QtBot
) -> None:
    dialog.resize(780, 600)
    dialog.splitter.setSizes([370, 350])
    parts = dialog.splitter.sizes()
    dialog.reject()
    again = open_dialog(source)
    planned(qtbot, again)
    assert (again.width(), again.height()) == (780, 600)
    assert again.splitter.sizes() == pytest.approx(parts, abs=3)


def test_the_dialog_fits_a_small_screen(open_dialog: Open, tmp_path: Path, qtbot: QtBot) -> None:
    """Also with the question about a folder that is named like a person."""
    folder = tmp_path / "Meier Anna"
    write_png(folder / "x.png", texture(1))
    dialog = open_dialog(folder)
    planned(qtbot, dialog)
    assert dialog.minimumSizeHint().width() <= 1024 and dialog.minimumSizeHint().height() <= 700


# -- an import that stops --------------------------------------------------------------------


def question(text: str) -> QMessageBox | None:
    """The question on screen that says this."""
    boxes = (w for w in QApplication.topLevelWidgets() if isinstance(w, QMessageBox))
    return next((box for box in boxes if box.isVisible() and text in box.text()), None)


def press(qtbot: QtBot, box: QMessageBox | None, label: str) -> None:
    assert box is not None
    (button,) = (button for button in box.buttons() if button.text() == label)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_an_import_that_is_cancelled_goes_on(
    open_dialog: Open,
    session: Session,
    tmp_path: Path,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = 150
    for number in range(count):
        write_png(tmp_path / "many" / f"{number:03}.png", texture(number))
    dialog = open_dialog(tmp_path / "many")
    planned(qtbot, dialog)
    start, handles = session.import_frames, list[JobHandle[ImportReport]]()

    def kept(request: ImportRequest) -> JobHandle[ImportReport]:
        handles.append(start(request))
        return handles[-1]

    monkeypatch.setattr(session, "import_frames", kept)
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    handles[0].progress.connect(lambda p: handles[0].cancel() if p.done else None)
    qtbot.waitUntil(lambda: question("The import was stopped after") is not None, timeout=60_000)
    assert session.open.frames.all() == []
    with qtbot.waitSignal(session.message, timeout=60_000) as said:
        press(qtbot, question("The import was stopped after"), "Go on")
    assert f"{count} frames imported" in said.args[0]
    assert session.open.imports.unfinished() == []


def test_what_an_interrupted_import_has_left_is_offered_and_discarded(
    session: Session, window: MainWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    for number in range(4):
        write_png(tmp_path / "many" / f"{number}.png", texture(number))
    with Project.create(tmp_path / "interrupted") as project, pytest.raises(Stopped):
        answers = iter([False] * 3)
        import_frames(project, tmp_path / "many", progress=Watched(lambda: next(answers, True)))
    session.open_project(tmp_path / "interrupted")
    interrupted = "An import was interrupted after 3 of 4 pictures"
    qtbot.waitUntil(lambda: question(interrupted) is not None)
    assert len(session.open.imports.unfinished()) == 1
    press(qtbot, question(interrupted), "Discard what was read")
    assert session.open.imports.unfinished() == []
    session.open_project(tmp_path / "interrupted")
    qtbot.wait(10)
    assert question(interrupted) is None
