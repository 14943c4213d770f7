"""Placing and removing an ellipse in Annotate by keys alone."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from fetalstudio.project.project import Project
from fetalstudio.ui.annotate.bars import tool_button
from fetalstudio.ui.annotate.page import AnnotatePage
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from fetalstudio.ui.window.shortcut_sheet import keys_of


@pytest.fixture
def project(open_session: Session) -> Project:
    return open_session.open


@pytest.fixture
def page(project: Project, window: MainWindow) -> AnnotatePage:
    """Annotate, on a frame without an ellipse."""
    window.show_place("annotate")
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    page.session.select_frame(project.frames.all(annotated=False)[0].id)
    page.activated()
    return page


def test_an_ellipse_is_placed_moved_and_made_final_by_keys_alone(
    page: AnnotatePage, project: Project, qtbot: QtBot
) -> None:
    frame_id = page.session.frame_id
    assert frame_id is not None
    for _ in range(3):  # a key that is held down places one
        QTest.keyClick(page.canvas, Qt.Key.Key_I)
    (placed,) = project.annotations.revisions(frame_id)
    assert placed.ellipse is not None and placed.state == "draft"
    QTest.keyClick(page.canvas, Qt.Key.Key_Left, Qt.KeyboardModifier.ShiftModifier)
    QTest.keyClick(page.canvas, Qt.Key.Key_Return)
    newest = project.annotations.newest(frame_id)
    assert newest is not None and newest.ellipse is not None
    assert newest.ellipse.cx == pytest.approx(placed.ellipse.cx - 10)
    assert newest.state == "final"


def test_placing_is_one_step_of_undo(page: AnnotatePage, project: Project) -> None:
    QTest.keyClick(page.canvas, Qt.Key.Key_I)
    assert page.canvas.ellipse() is not None
    page.session.undo_stack.undo()
    assert page.canvas.ellipse() is None
    assert not page.session.undo_stack.canUndo()
    page.session.undo_stack.redo()
    assert page.canvas.ellipse() is not None


def test_remove_says_where_there_is_no_ellipse(page: AnnotatePage, project: Project) -> None:
    button = tool_button(page.canvas_actions.remove)
    assert not button.isEnabled()
    assert button.toolTip() == "Remove the ellipse  (Del)\nThere is no ellipse."
    QTest.keyClick(page.canvas, Qt.Key.Key_I)
    assert button.isEnabled() and button.toolTip() == "Remove the ellipse  (Del)"
    QTest.keyClick(page.canvas, Qt.Key.Key_Delete)
    assert not button.isEnabled()
    page.session.undo_stack.undo()
    assert button.isEnabled()
    annotated = project.frames.all(annotated=True)[0].id
    page.session.select_frame(annotated)
    assert button.isEnabled()


def test_the_key_is_in_the_sheet_and_in_the_hint(page: AnnotatePage) -> None:
    assert dict(keys_of(page))["I"].startswith("Place an ellipse in the middle")
    assert page.view_bar.hint.text().endswith("or press I")
