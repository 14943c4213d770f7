"""Amending many frames at once in the library, with mouse and keys in the real window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QDialog, QLabel
from pytestqt.qtbot import QtBot

from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Frame
from fetalstudio.ui.library.amending import DecideDialog, ForgetDialog, KeyDialog
from fetalstudio.ui.library.group_dialog import GroupDialog
from fetalstudio.ui.library.page import LibraryPage
from fetalstudio.ui.library.value_dialogs import CalibrationDialog, LabelDialog
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def library(open_session: Session, window: MainWindow) -> LibraryPage:
    return window.library


@pytest.fixture
def project(library: LibraryPage) -> Project:
    return library.session.open


def select(library: LibraryPage, *chosen: str) -> list[Frame]:
    """Select these frames, or all where none is named."""
    library.grid.setFocus()
    library.grid.selectAll()
    if chosen:
        ids = [frame.id for frame in library.selected() if frame.name in chosen]
        library._select(ids)
    return library.selected()


def press(
    qtbot: QtBot, library: LibraryPage, key: Qt.Key, modifier: Qt.KeyboardModifier = SHIFT
) -> QDialog:
    """Press a key of the grid, and return the dialog that it opens."""
    library.window().activateWindow()  # which a window manager does when a dialog closes
    qtbot.waitUntil(library.window().isActiveWindow)
    library.grid.setFocus()
    qtbot.keyClick(library.grid, key, modifier)
    return shown()


def shown() -> QDialog:
    dialog = QApplication.activeModalWidget()
    assert isinstance(dialog, QDialog)
    return dialog


def enter(qtbot: QtBot, box: QComboBox) -> None:
    """Press Return in a box that can be edited."""
    # Before, Return is a key of the grid, which still has the keyboard.
    qtbot.waitUntil(box.window().isActiveWindow)
    qtbot.keyClick(box, Qt.Key.Key_Return)


def said(dialog: QDialog) -> str:
    return " ".join(label.text() for label in dialog.findChildren(QLabel) if label.text())


def sizes(project: Project) -> list[float | None]:
    held = [frame.calibration for frame in project.frames.all()]
    return [None if calibration is None else calibration.mm_per_px_x for calibration in held]


def test_frames_are_grouped_as_a_pattern_is_typed(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    frames = select(library)
    dialog = press(qtbot, library, Qt.Key.Key_G)
    assert isinstance(dialog, GroupDialog)
    assert dialog.model.rowCount() == len(frames) == 24
    dialog.pattern.setEditText("{subject}H*")
    summary = dialog.summary.text()
    assert summary.startswith(f"{24 - len(dialog.grouping.unmatched)} frames become")
    first = dialog.model.index(0, 0).data()
    read, new = dialog.model.index(0, 1).data(), dialog.model.index(0, 3).data()
    assert first.startswith(read) and new == project.patients.key(read)
    assert dialog.accept_button.text() == f"Group {len(dialog.grouping.subjects)} frames"
    dialog.pattern.setEditText("no subject")
    assert "once where the subject stands" in dialog.error.text()
    assert not dialog.accept_button.isEnabled()
    dialog.expression.setChecked(True)
    dialog.pattern.setEditText(r"(\d)\d+_.*")
    before = project.frames.all()
    wanted = dialog.grouping.subjects
    assert len(set(wanted.values())) < 10 and not dialog.error.isVisible()
    enter(qtbot, dialog.pattern)
    assert {f.id: f.subject for f in project.frames.all() if f.id in wanted} == wanted
    library.session.undo_stack.undo()
    assert project.frames.all() == before


def test_what_a_grouping_joins_is_asked_about(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    project.parts.divide(frame.subject for frame in project.frames.all())
    before = project.frames.all()
    select(library)
    dialog = press(qtbot, library, Qt.Key.Key_G)
    assert isinstance(dialog, GroupDialog)
    dialog.expression.setChecked(True)
    dialog.pattern.setEditText("([0-9]).*")
    assert "Subjects of different parts" in dialog.questions.text()
    dialog.accept()
    question = shown()
    assert isinstance(question, DecideDialog) and "would become one" in said(question)
    question.reject()
    assert project.frames.all() == before
    dialog = press(qtbot, library, Qt.Key.Key_G)
    assert isinstance(dialog, GroupDialog)
    dialog.expression.setChecked(True)
    dialog.pattern.setEditText("([0-9]).*")
    dialog.accept()
    shown().accept()
    assert len({frame.subject for frame in project.frames.all()}) < 10


def test_the_rest_of_a_video_gets_the_subject_too(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    one, other = project.frames.all()[:2]
    database = project._storage.database
    database.execute("DROP TRIGGER frames_no_update")
    database.execute("UPDATE frames SET video = 'v' WHERE id IN (?, ?)", (one.id, other.id))
    select(library, one.name)
    dialog = press(qtbot, library, Qt.Key.Key_S)
    assert isinstance(dialog, KeyDialog)
    dialog.field.setEditText("mother 7")
    dialog.accept()
    key = project.patients.key("mother 7")
    assert [project.frames.get(frame.id).subject for frame in (one, other)] == [key, key]


def test_a_calibration_replaces_others_only_if_a_person_says_so(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    before = sizes(project)
    without = project.frames.all()[0]
    project.frames.set_calibration(without.id, None)
    library.session.frames_changed.emit()
    select(library)
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    dialog.number.setValue(0.5)
    assert "calibration of 23 frames" in dialog.replace.text()
    assert dialog.accept_button.text() == "Set for 1 frame"
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert sizes(project) == [0.5, *before[1:]]
    select(library)
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    dialog.number.setValue(0.4)
    assert not dialog.accept_button.isEnabled()
    dialog.replace.click()
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert sizes(project) == [0.4] * 24
    library.session.undo_stack.undo()
    library.session.undo_stack.undo()
    assert sizes(project) == [None, *before[1:]]
    library.session.undo_stack.redo()
    assert sizes(project) == [0.5, *before[1:]]


def test_no_pixel_size_is_offered_where_none_is_known(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    for frame in project.frames.all():
        project.frames.set_calibration(frame.id, None)
    library.session.frames_changed.emit()
    select(library)
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    assert not dialog.accept_button.isEnabled() and not dialog.chosen
    qtbot.keyClick(dialog.number, Qt.Key.Key_Return)
    assert sizes(project) == [None] * 24
    dialog.number.selectAll()
    qtbot.keyClicks(dialog.number, "0,25")  # with either decimal sign
    assert dialog.accept_button.text() == "Set for 24 frames"
    qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert sizes(project) == [0.25] * 24


def test_a_calibration_comes_from_a_table_or_goes(
    library: LibraryPage, project: Project, qtbot: QtBot, tmp_path: Path
) -> None:
    first, second = select(library)[:2]
    table = tmp_path / "sizes.csv"
    table.write_text(f"filename,pixel size(mm)\n{first.name}.png,0.31\n")
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    dialog.use_table(table)
    assert "no pixel size for" in dialog.notes.text()
    dialog.replace.click()
    dialog.accept()
    now = project.frames.get(first.id).calibration
    assert now is not None and (now.mm_per_px_x, now.source) == (0.31, "table")
    select(library, first.name, second.name)
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    dialog.remove.click()
    assert dialog.accept_button.text() == "Remove from 2 frames"
    dialog.accept()
    assert project.frames.get(first.id).calibration is None
    dialog = press(qtbot, library, Qt.Key.Key_K)
    assert isinstance(dialog, CalibrationDialog)
    table.write_text("nothing\n")
    dialog.use_table(table)
    assert not dialog.accept_button.isEnabled() and str(table) in dialog.notes.text()
    dialog.reject()


def test_a_label_is_set_for_many_and_taken_away(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    chosen = select(library)[:3]
    select(library, *(frame.name for frame in chosen))
    dialog = press(qtbot, library, Qt.Key.Key_L)
    assert isinstance(dialog, LabelDialog)
    dialog.name_box.setEditText("gestational_age")
    dialog.value_box.setEditText("20.3")
    assert not dialog.accept_button.isEnabled() and "20+3" in dialog.hint.text()
    dialog.name_box.setEditText("quality")
    dialog.value_box.setEditText("Meier Anna")
    assert "a person's name" in dialog.hint.text()
    dialog.value_box.setEditText("clear")
    assert not dialog.hint.isVisible()
    enter(qtbot, dialog.value_box)
    labels = [project.frames.get(frame.id).labels.get("quality") for frame in chosen]
    assert labels == ["clear"] * 3
    dialog = press(qtbot, library, Qt.Key.Key_L)
    assert isinstance(dialog, LabelDialog)
    assert dialog.held.text() == "Now: clear (3)"
    dialog.value_box.setEditText("")
    assert dialog.accept_button.text() == "Remove label"
    dialog.accept()
    assert [dict(project.frames.get(frame.id).labels) for frame in chosen] == [{}, {}, {}]
    library.session.undo_stack.undo()
    library.session.undo_stack.undo()
    assert [frame.labels for frame in project.frames.all()] == [{}] * 24


def test_a_patient_is_forgotten_after_a_second_yes(
    library: LibraryPage, project: Project, qtbot: QtBot
) -> None:
    frame = project.frames.all()[2]
    run = project.runs.start("mine", {"job": "train"}, {"train": [frame.id]})
    project.runs.update(run.id, state="finished")
    folder = project.path / "models" / "1"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text("{}")
    project.models.add("mine", "segmenter", "models/1", run_id=run.id)
    others = [f for f in project.frames.all() if f.subject != frame.subject]
    select(library, others[0].name)
    press(qtbot, library, Qt.Key.Key_Delete).accept()
    select(library, frame.name)
    modifiers = SHIFT | Qt.KeyboardModifier.ControlModifier
    dialog = press(qtbot, library, Qt.Key.Key_Delete, modifiers)
    assert isinstance(dialog, ForgetDialog)
    assert "mine" in said(dialog) and "cannot be undone" in said(dialog)
    dialog.understood.click()
    assert not dialog.accept_button.isEnabled(), "what becomes of the model is not decided"
    dialog.remove_models.click()
    with qtbot.waitSignal(library.session.message) as message:
        qtbot.mouseClick(dialog.accept_button, Qt.MouseButton.LeftButton)
    assert "deleted for good" in message.args[0]
    assert project.frames.all() == others[1:]
    assert not project.frames.path(frame.id).exists() and not folder.exists()
    assert library.session.undo_stack.count() == 0
    assert library.model.rowCount() == len(others) - 1
    assert library.session.frame_id in {f.id for f in others[1:]}


def test_only_what_can_be_done_is_enabled_in_the_menu(library: LibraryPage) -> None:
    def enabled() -> dict[str, bool]:
        library.amend_menu.aboutToShow.emit()
        return {a.text(): a.isEnabled() for a in library.amend_menu.actions() if a.text()}

    library.grid.clearSelection()
    shown = enabled()
    assert not shown["Set subject ..."] and not shown["Forget this patient ..."]
    assert shown["Group frames by subject ..."] and shown["Rename cohort ..."]
    assert not shown["Merge cohort into ..."], "there is one cohort"
    select(library)
    assert enabled()["Set subject ..."]
    library.grid.clearSelection()
    library.amend_menu.aboutToHide.emit()
    # Its key still says what is missing.
    assert all(action.isEnabled() for action in library.amend_menu.actions())
