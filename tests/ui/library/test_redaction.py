"""Confirming what is blacked out of a scanner's screens, in the real window."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.formats.pictures.picture_files import read_image
from fetalstudio.formats.privacy.burned_in_text import Box
from fetalstudio.formats.privacy.redaction import Layout, remembered
from fetalstudio.ui.library.import_dialog import ImportDialog
from fetalstudio.ui.library.redaction_dialog import RedactionDialog
from fetalstudio.ui.library.redaction_view import RedactionView
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from tests.formats.dicom_files import write
from tests.formats.scanner_screens import left_of_text, screen
from tests.ui.library.test_library import dialog_of, drop

LEFT = Qt.MouseButton.LeftButton
PROPOSED = Layout("rectangle", Box(100, 80, 900, 700), (Box(300, 300, 400, 340),))


@pytest.fixture
def view(qtbot: QtBot, samples: Path) -> RedactionView:
    pixels = screen(4, read_image(samples / "011_HC.png")).pixels
    shown = RedactionView(pixels, PROPOSED)
    qtbot.addWidget(shown)
    shown.resize(800, 600)
    shown.show()
    qtbot.waitExposed(shown)
    return shown


def drag(view: RedactionView, start: tuple[int, int], end: tuple[int, int]) -> None:
    """With real events, in px of the image."""
    at = [view.to_screen(*point).toPoint() for point in (start, end)]
    QTest.mousePress(view, LEFT, pos=at[0])
    QTest.mouseMove(view, (at[0] + at[1]) / 2)
    QTest.mouseMove(view, at[1])
    QTest.mouseRelease(view, LEFT, pos=at[1])


def sides(box: Box | None) -> tuple[int, int, int, int]:
    assert box is not None
    return box.sides


def test_a_drag_draws_a_box_and_another_moves_it(view: RedactionView) -> None:
    drag(view, (500, 400), (600, 460))
    assert sides(view.layout_shown.boxes[1]) == pytest.approx((500, 400, 600, 460), abs=3)
    drag(view, (550, 430), (570, 420))
    assert sides(view.layout_shown.boxes[1]) == pytest.approx((520, 390, 620, 450), abs=3)
    drag(view, (620, 420), (680, 420))
    assert sides(view.layout_shown.boxes[1]) == pytest.approx((520, 390, 680, 450), abs=3)
    drag(view, (100, 80), (60, 40))
    assert sides(view.layout_shown.rectangle) == pytest.approx((60, 40, 900, 700), abs=3)
    for _ in range(4):
        view.undo()
    assert view.layout_shown == Layout(
        "rectangle", Box(100, 80, 900, 700), (Box(300, 300, 400, 340),)
    )
    assert not view.can_undo


def test_a_click_draws_nothing_and_chooses_a_box(view: RedactionView) -> None:
    before = view.layout_shown
    QTest.mouseClick(view, LEFT, pos=view.to_screen(600, 500).toPoint())
    assert view.layout_shown == before and view.chosen is None and not view.can_undo
    QTest.mouseClick(view, LEFT, pos=view.to_screen(350, 320).toPoint())
    assert view.chosen == 0 and not view.can_undo
    QTest.keyClick(view, Qt.Key.Key_Right)
    QTest.keyClick(view, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert view.layout_shown.boxes == (Box(301, 310, 401, 350),)
    QTest.keyClick(view, Qt.Key.Key_Delete)
    assert view.layout_shown.boxes == ()


def test_the_edges_of_the_frame_hold_a_box(view: RedactionView) -> None:
    drag(view, (350, 320), (-500, -500))
    assert sides(view.layout_shown.boxes[0]) == (0, 0, 100, 40)
    drag(view, (1000, 740), (1500, 900))
    assert sides(view.layout_shown.boxes[1])[2:] == (1024, 768)


def test_what_is_blacked_out_is_shown_in_red(view: RedactionView) -> None:
    def colour(x: int, y: int) -> tuple[int, int]:
        at: QPoint = view.to_screen(x, y).toPoint()
        seen = view.grab().toImage().pixelColor(at)
        return seen.red(), seen.green()

    red, green = colour(350, 320)
    assert red > green + 30
    red, green = colour(512, 400)
    assert red == green
    view.set_keep("all")
    red, green = colour(40, 600)
    assert red == green


def written(pixels: QImage) -> NDArray[np.uint8]:
    """What an image on the screen shows, (H, W) grey."""
    grey = pixels.convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(grey.constBits(), np.uint8).reshape(grey.height(), grey.bytesPerLine())
    return rows[:, : grey.width()].copy()


def button_about_screens(qtbot: QtBot, dialog: ImportDialog, does: str) -> QPushButton:
    """Wait for the button that confirms or changes what is stored of a layout."""

    def found() -> list[QPushButton]:
        buttons = dialog.details.findChildren(QPushButton)
        texts = [(b, b.text()) for b in buttons if b.isVisible()]
        return [b for b, text in texts if text.startswith(does) and "stored of it" in text]

    qtbot.waitUntil(lambda: len(found()) == 1)
    return found()[0]


def test_the_plan_shows_what_would_be_stored_and_asks_for_a_layout(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    made = screen(4, read_image(samples / "011_HC.png"))
    page = np.zeros_like(made.pixels)
    for line in range(40, 700, 30):
        cv2.putText(page, "REPORT OF A PATIENT 1234", (60, line), 0, 1.2, 230, 2)
    source = tmp_path / "stick"
    write(source / "IM0", made.pixels[None])
    write(source / "IM1", page[None], ManufacturerModelName="another")
    window.library.importing.ask([source])
    dialog = dialog_of(window.library, ImportDialog)
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    frame, left_out = sorted(dialog.model.rows, key=lambda row: row.key)
    assert frame.taken_for == "frame" and left_out.taken_for == "left out"
    read = dialog.model.picture_of(frame)
    assert read is not None and dialog.model.picture_of(left_out) is None
    assert max(left_of_text(made, read())) <= 0.02

    dialog.table.select([left_out.key])
    qtbot.waitUntil(lambda: dialog.details.name.text() == left_out.key)
    button = button_about_screens(qtbot, dialog, "Confirm")
    grab = written(dialog.details.preview.grab().toImage())
    assert (grab > 128).mean() < 0.05, "words in place of the picture"
    qtbot.mouseClick(button, LEFT)
    (asked,) = dialog.findChildren(RedactionDialog)
    asked.view.set_keep("all")
    asked.view.set_find_text(False)
    qtbot.keyClick(asked, Qt.Key.Key_Return)
    assert not dialog.accept_button.isEnabled(), "the plan is not that of the layout yet"
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    (row,) = [row for row in dialog.model.rows if row.key == left_out.key]
    assert row.taken_for == "frame"
    read = dialog.model.picture_of(row)
    assert read is not None and np.array_equal(read(), page)
    button_about_screens(qtbot, dialog, "Change")
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        dialog.accept()
        confirm(qtbot, window, Qt.Key.Key_Return)
    assert len(session.open.frames.all()) == 2
    assert len(remembered()) == 2


def confirm(qtbot: QtBot, window: QWidget, key: Qt.Key) -> None:
    qtbot.waitUntil(lambda: bool(window.findChildren(RedactionDialog)), timeout=60_000)
    qtbot.keyClick(window.findChildren(RedactionDialog)[0], key)
    qtbot.waitUntil(lambda: not window.findChildren(RedactionDialog))


def accept(qtbot: QtBot, window: MainWindow) -> None:
    dialog = dialog_of(window.library, ImportDialog)
    qtbot.waitUntil(dialog.accept_button.isEnabled, timeout=60_000)
    qtbot.keyClick(dialog, Qt.Key.Key_Return)


def test_dropped_dicom_files_are_asked_about_once(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    made = [screen(seed, read_image(samples / "011_HC.png")) for seed in (4, 5)]
    files = [write(tmp_path / "stick" / f"IM{n}", one.pixels[None]) for n, one in enumerate(made)]
    write(tmp_path / "stick" / "IM9")
    drop(window, *files)
    accept(qtbot, window)
    confirm(qtbot, window, Qt.Key.Key_Escape)
    assert session.engine.running is None and remembered() == {}
    assert session.open.frames.all() == []

    drop(window, *files)
    accept(qtbot, window)
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        confirm(qtbot, window, Qt.Key.Key_Return)
    assert len(remembered()) == 1
    frames = session.open.frames.all()
    assert len(frames) == 2, "the file beside them was not dropped"
    stored = {frame.name: session.open.frames.pixels(frame.id) for frame in frames}
    for name, one in zip(sorted(stored), made, strict=True):
        assert max(left_of_text(one, stored[name])) <= 0.02

    drop(window, files[0])
    with qtbot.waitSignal(session.frames_changed, timeout=60_000):
        accept(qtbot, window)
    assert not window.findChildren(RedactionDialog)
