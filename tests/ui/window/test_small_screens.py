"""The window on a small screen, the wheel over its panels, and where the keyboard goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QPushButton,
    QStyle,
    QStyleOptionComboBox,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from fetalstudio.engine.jobs.experiment.request import ExperimentRequest
from fetalstudio.engine.process.client import EngineClient
from fetalstudio.engine.process.events import Progress
from fetalstudio.ui.annotate.page import AnnotatePage
from fetalstudio.ui.common.form import side_panel, whole_number
from fetalstudio.ui.job_runner import JobHandle
from fetalstudio.ui.session import PLACES, VIEWS, Session
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.synthesise.page import SynthesisePage
from fetalstudio.ui.window.main_window import MainWindow


def test_the_first_window_fits_the_screen(qtbot: QtBot, dressed: None, session: Session) -> None:
    window = MainWindow(session)
    qtbot.addWidget(window)
    room = window.screen().availableSize()  # in logical px, so that a scale is in it
    for size in (window.size(), window.minimumSize()):
        assert size.width() < room.width() and size.height() < room.height()


def test_a_window_kept_from_a_larger_screen_fits_too(
    qtbot: QtBot, dressed: None, session: Session, settings: Settings
) -> None:
    for _ in range(2):
        window = MainWindow(session)
        qtbot.addWidget(window)
        assert window.width() < window.screen().availableSize().width()
        window.resize(3000, 2000)
        settings.geometry = window.saveGeometry()


def _wheel(widget: QWidget) -> bool:
    """Turn the wheel over ``widget``; False if it leaves that to what is around it."""
    at = QPointF(widget.rect().center())
    turned = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, turned)
    return turned.isAccepted()


def test_the_wheel_scrolls_a_panel_and_changes_no_field(qtbot: QtBot, settings: Settings) -> None:
    number, box, tall = whole_number(settings, "test/n", 5, 1, 9), QComboBox(), QWidget()
    box.addItems(["one", "two"])
    tall.setMinimumHeight(900)
    panel = side_panel(300, number, box, tall)
    qtbot.addWidget(panel)
    panel.resize(300, 200)
    panel.show()
    panel.activateWindow()
    qtbot.waitUntil(panel.isActiveWindow)
    panel.setFocus()
    for field in (number, box):
        assert not _wheel(field)
    assert (number.value(), box.currentText()) == (5, "one")
    number.setFocus()
    assert _wheel(number)
    assert number.value() == 4  # with the keyboard in it, a field follows the wheel


def test_no_field_of_a_panel_takes_the_keyboard_by_the_wheel(
    open_session: Session, window: MainWindow
) -> None:
    for place in PLACES:
        for kind in (QComboBox, QAbstractSpinBox):
            for field in window.page(place).findChildren(kind):
                assert field.focusPolicy() != Qt.FocusPolicy.WheelFocus, (place, field)


@pytest.mark.parametrize("place", PLACES)
def test_no_place_is_wider_than_the_narrowest_window(
    open_session: Session, window: MainWindow, place: str
) -> None:
    window.show_place(place)
    window.resize(960, 600)
    for kind in (QPushButton, QComboBox, QAbstractSpinBox, QLabel):
        for part in window.page(place).findChildren(kind):
            if not part.visibleRegion().isEmpty():
                assert part.mapTo(window, part.rect().topRight()).x() < 960, (place, part)


def test_the_frame_is_named_in_the_narrowest_window(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    window.show_place("annotate")
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    window.resize(960, 600)
    qtbot.wait(1)
    name = page.bar.name
    assert name.width() >= name.fontMetrics().horizontalAdvance(name.text())
    window.resize(1366, 768)
    qtbot.wait(1)
    shown = [button.text() for button in page.bar.findChildren(QToolButton) if button.isVisible()]
    assert shown[-2:] == ["Undo", "Redo"]


@pytest.mark.parametrize("width", [960, 1024, 1280, 1900])
def test_the_place_of_the_frame_is_not_cut_short(
    open_session: Session, window: MainWindow, qtbot: QtBot, width: int
) -> None:
    window.show_place("annotate")
    page = window.page("annotate")
    assert isinstance(page, AnnotatePage)
    open_session.select_frame(open_session.frames()[0].id)
    window.resize(width, 640)
    qtbot.wait(1)
    shown = page.bar.position.shown()
    assert "1 of 24" in shown and "…" not in shown
    assert (shown == "samples, frame 1 of 24, 8 to do") == (width == 1900)


def test_the_order_of_the_library_is_not_cut_short(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    window.resize(960, 600)
    qtbot.wait(1)
    box = window.library.filters.order_box
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    part = QStyle.SubControl.SC_ComboBoxEditField
    room = box.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, part, box)
    assert box.fontMetrics().horizontalAdvance(box.currentText()) <= room.width()


def test_the_next_step_of_synthesise_is_not_cut_short(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    window.resize(960, 600)
    qtbot.wait(1)
    assert page.view.caption.shown() == "Press G to make the ultrasound."


def test_the_running_job_and_the_project_share_the_narrowest_status_bar(
    open_session: Session, window: MainWindow, qtbot: QtBot
) -> None:
    window.resize(960, 600)
    engine, status = open_session.engine, window.status_job
    elsewhere = Path("/home/a-person-with-a-long-name/projects/heads-of-the-second-trimester")
    handle = JobHandle(EngineClient(), 1, ExperimentRequest.job, elsewhere)
    engine._running = engine._handles[1] = handle
    engine.job_started.emit(handle)
    note = "real, with varied copies and as many steps, repeat 1 of 5"
    engine.job_progress.emit(handle, Progress(36, 120, 1200.0, note))
    status.show()
    window.project_label.setText(str(elsewhere))
    qtbot.waitUntil(lambda: status.cancel.isVisible() and status.width() > 0)
    qtbot.wait(1)
    tip = status.cancel.toolTip().split("\n")
    assert tip == ["Stop the job  (Ctrl+.)", ExperimentRequest.job.stopped]
    engine._running = None
    engine._handles.clear()
    assert status.left.shown() == "36 of 120  ·  20 min left"
    assert status.title.shown() == "Comparing trainings"
    assert window.project_label.shown().startswith("/home") and window.width() == 960
    right = status.cancel.mapTo(window, status.cancel.rect().topRight()).x()
    assert right < 960
    engine.job_ended.emit(handle)


def test_every_button_that_cannot_be_used_says_why(
    open_session: Session, window: MainWindow
) -> None:
    found = 0
    for place in (*PLACES, *VIEWS):
        window.show_place(place)
        for button in window.page(place).findChildren(QPushButton):
            if button.isVisible() and not button.isEnabled():
                found += 1
                *_, why = button.toolTip().splitlines()
                assert why.endswith("."), (place, button.text(), button.toolTip())
    assert found >= 5


@pytest.mark.parametrize("place", PLACES)
def test_a_button_that_is_disabled_leaves_the_keyboard_on_its_page(
    open_session: Session, window: MainWindow, qtbot: QtBot, place: str
) -> None:
    window.show_place(place)
    page = window.page(place)
    for end in (QWidget.setEnabled, QWidget.setVisible):
        button = QPushButton("Once", page)
        button.show()
        button.setFocus()
        assert window.focusWidget() is button
        end(button, False)
        focus = window.focusWidget()
        assert focus is not None and (focus is page or page.isAncestorOf(focus))
        button.deleteLater()
