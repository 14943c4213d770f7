"""The canvas, driven with real mouse and key events."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QUndoCommand, QUndoStack, QWheelEvent
from PySide6.QtTest import QSignalSpy, QTest
from PySide6.QtWidgets import QApplication, QMainWindow
from pytestqt.qtbot import QtBot

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.ui import theme
from fetalstudio.ui.canvas import CanvasActions, EllipseStyle, FrameCanvas, GreyWindow, Tool
from fetalstudio.ui.canvas.canvas import MERGE_MS
from fetalstudio.ui.canvas.handles import Handle, Shape
from fetalstudio.ui.canvas.overlay import outline
from fetalstudio.ui.canvas.view import MAX_SCALE, MIN_SCALE, Point

LEFT, RIGHT, MIDDLE = (
    Qt.MouseButton.LeftButton,
    Qt.MouseButton.RightButton,
    Qt.MouseButton.MiddleButton,
)
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
HEAD = Ellipse.of(400, 270, 200, 150, 20)


class Hand:
    """A mouse on a canvas. (``QTest.mouseMove`` carries no buttons, so it cannot drag.)"""

    def __init__(self, canvas: FrameCanvas) -> None:
        self.canvas = canvas

    def send(
        self,
        kind: QEvent.Type,
        at: Point,
        button: Qt.MouseButton = LEFT,
        buttons: Qt.MouseButton | None = None,
        keys: Qt.KeyboardModifier = NONE,
    ) -> None:
        held = button if buttons is None else buttons
        spot = QPointF(*at)
        event = QMouseEvent(kind, spot, self.canvas.mapToGlobal(spot), button, held, keys)
        QApplication.sendEvent(self.canvas, event)

    def press(
        self, at: Point, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE
    ) -> None:
        self.send(QEvent.Type.MouseButtonPress, at, button, keys=keys)

    def move(
        self, at: Point, held: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE
    ) -> None:
        self.send(QEvent.Type.MouseMove, at, Qt.MouseButton.NoButton, held, keys)

    def release(
        self, at: Point, button: Qt.MouseButton = LEFT, keys: Qt.KeyboardModifier = NONE
    ) -> None:
        self.send(QEvent.Type.MouseButtonRelease, at, button, Qt.MouseButton.NoButton, keys)

    def drag(
        self,
        start: Point,
        to: Point,
        button: Qt.MouseButton = LEFT,
        keys: Qt.KeyboardModifier = NONE,
        steps: int = 5,
    ) -> None:
        self.press(start, button, keys)
        for i in range(1, steps + 1):
            f = i / steps
            at = (start[0] + f * (to[0] - start[0]), start[1] + f * (to[1] - start[1]))
            self.move(at, button, keys)
        self.release(to, button, keys)

    def click(self, at: Point, keys: Qt.KeyboardModifier = NONE) -> None:
        self.move(at, Qt.MouseButton.NoButton, keys)
        self.press(at, keys=keys)
        self.release(at, keys=keys)

    def double_click(self, at: Point) -> None:
        self.click(at)
        self.send(QEvent.Type.MouseButtonDblClick, at)
        self.release(at)

    def handle(self, handle: Handle) -> Point:
        """Where a handle of the committed ellipse stands on screen."""
        return self.canvas.handle_points()[handle]

    def outward(self, handle: Handle) -> Point:
        """The direction from the centre to a handle, of length 1."""
        (x, y), (cx, cy) = self.handle(handle), self.handle(Handle.CENTRE)
        reach = math.hypot(x - cx, y - cy)
        return (x - cx) / reach, (y - cy) / reach

    def on_screen(self, x: float, y: float) -> Point:
        return self.canvas.view.to_screen((x, y))


@pytest.fixture
def canvas(qtbot: QtBot) -> FrameCanvas:
    canvas = FrameCanvas()
    CanvasActions(canvas)
    qtbot.addWidget(canvas)
    canvas.resize(832, 572)
    with qtbot.waitExposed(canvas):
        canvas.show()
    canvas.set_image(np.tile(np.linspace(0, 255, 800).astype(np.uint8), (540, 1)))
    canvas.set_ellipse(HEAD)
    canvas.setFocus()
    return canvas


@pytest.fixture
def hand(canvas: FrameCanvas) -> Hand:
    return Hand(canvas)


@pytest.fixture
def edits(canvas: FrameCanvas) -> QSignalSpy:
    return QSignalSpy(canvas.ellipse_edited)


@pytest.fixture
def changes(canvas: FrameCanvas) -> QSignalSpy:
    return QSignalSpy(canvas.ellipse_changing)


def close(ellipse: Ellipse, other: Ellipse) -> bool:
    return ellipse.overlap(other) > 0.9999


# -- handles ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("handle", "changed"),
    [
        (Handle.FIRST_END, "a"),
        (Handle.FIRST_START, "a"),
        (Handle.SECOND_END, "b"),
        (Handle.SECOND_START, "b"),
    ],
)
def test_dragging_an_axis_end_is_one_edit_of_one_axis(
    canvas: FrameCanvas,
    hand: Hand,
    edits: QSignalSpy,
    changes: QSignalSpy,
    handle: Handle,
    changed: str,
) -> None:
    x, y = hand.handle(handle)
    ux, uy = hand.outward(handle)
    hand.drag((x, y), (x - 30 * ux + 9 * uy, y - 30 * uy - 9 * ux))
    assert edits.count() == 1
    assert changes.count() == 5
    after = edits.at(0)[0]
    assert canvas.ellipse() == after
    expected = {"a": HEAD.a, "b": HEAD.b}
    expected[changed] -= 30 / canvas.view.scale
    assert (after.a, after.b) == pytest.approx((expected["a"], expected["b"]), abs=0.01)
    assert (after.cx, after.cy, after.angle_deg) == pytest.approx((400, 270, 20))


def test_shift_keeps_the_opposite_end(canvas: FrameCanvas, hand: Hand, edits: QSignalSpy) -> None:
    x, y = hand.handle(Handle.FIRST_END)
    ux, uy = hand.outward(Handle.FIRST_END)
    far = (HEAD.cx - HEAD.a * ux, HEAD.cy - HEAD.a * uy)
    hand.drag((x, y), (x + 20 * ux, y + 20 * uy), keys=SHIFT)
    after = edits.at(0)[0]
    assert after.a == pytest.approx(HEAD.a + 10 / canvas.view.scale)
    assert (after.cx - after.a * ux, after.cy - after.a * uy) == pytest.approx(far)


def test_the_knob_turns_and_nothing_else(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    centre, knob = hand.handle(Handle.CENTRE), hand.handle(Handle.TURN)
    radius = math.dist(centre, knob)
    t = math.radians(HEAD.angle_deg + 50)
    hand.drag(knob, (centre[0] + radius * math.cos(t), centre[1] + radius * math.sin(t)))
    after = edits.at(0)[0]
    assert after.angle_deg == pytest.approx(70)
    assert (after.cx, after.cy, after.a, after.b) == (HEAD.cx, HEAD.cy, HEAD.a, HEAD.b)


def test_the_centre_moves_and_stays_on_the_frame(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    x, y = hand.handle(Handle.CENTRE)
    hand.drag((x + 3, y - 2), (x + 43, y + 18))
    scale = canvas.view.scale
    after = edits.at(0)[0]
    assert (after.cx, after.cy) == pytest.approx((400 + 40 / scale, 270 + 20 / scale))
    hand.drag(hand.handle(Handle.CENTRE), (5000, y))
    assert edits.at(1)[0].cx == 799.5
    assert edits.at(1)[0].box()[2] > 800


def test_growing_past_the_other_axis_does_not_jump(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, changes: QSignalSpy
) -> None:
    x, y = hand.handle(Handle.SECOND_END)
    ux, uy = hand.outward(Handle.SECOND_END)
    hand.drag((x, y), (x + 120 * ux, y + 120 * uy), steps=60)
    seen = [changes.at(i)[0] for i in range(changes.count())]
    assert all(a.overlap(b) > 0.98 for a, b in pairwise(seen))
    after = edits.at(0)[0]
    assert after.b == pytest.approx(HEAD.a)
    assert after.angle_deg == pytest.approx(110)


def test_a_click_on_a_handle_changes_nothing(hand: Hand, edits: QSignalSpy) -> None:
    hand.click(hand.handle(Handle.FIRST_END))
    assert edits.count() == 0


@pytest.mark.parametrize("angle", [0.0, 174.1234567891, 90.1, 91.7])
def test_the_knob_is_on_the_right_and_looking_changes_no_digit(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, angle: float
) -> None:
    tilted = Ellipse.of(400.1, 270.3, 200.7, 150.2, angle)
    canvas.set_ellipse(tilted)
    assert hand.handle(Handle.TURN)[0] > hand.handle(Handle.CENTRE)[0] - 40
    for handle in Handle:
        hand.click(hand.handle(handle))
    canvas.fit()
    canvas.set_tool(Tool.CALLIPER)
    canvas.set_tool(Tool.EDIT)
    assert canvas.ellipse() == tilted
    assert edits.count() == 0


def test_escape_takes_a_drag_back(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, changes: QSignalSpy
) -> None:
    x, y = hand.handle(Handle.CENTRE)
    hand.press((x, y))
    hand.move((x + 50, y))
    assert canvas.ellipse() != HEAD
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert canvas.ellipse() == HEAD
    assert changes.at(changes.count() - 1)[0] == HEAD
    hand.move((x + 80, y))
    hand.release((x + 80, y))
    assert edits.count() == 0


def test_a_new_ellipse_from_outside_waits_behind_a_drag(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    """A proposal that arrives meanwhile must not pull the ellipse out of the hand."""
    x, y = hand.handle(Handle.CENTRE)
    hand.press((x, y))
    hand.move((x + 50, y))
    canvas.set_ellipse(Ellipse.of(100, 100, 50, 40, 0))
    hand.move((x + 60, y))
    hand.release((x + 60, y))
    assert edits.count() == 1
    assert edits.at(0)[0].a == pytest.approx(HEAD.a)


def test_hovering_lights_the_handle_and_shows_its_cursor(
    canvas: FrameCanvas, hand: Hand, qtbot: QtBot
) -> None:
    def hover(at: Point) -> Qt.CursorShape:
        # underMouse() follows the enter event.
        QApplication.sendEvent(canvas, QEvent(QEvent.Type.Enter))
        canvas.setAttribute(Qt.WidgetAttribute.WA_UnderMouse)
        hand.move((at[0] + 1, at[1]), Qt.MouseButton.NoButton)
        hand.move(at, Qt.MouseButton.NoButton)
        return canvas.cursor().shape()

    shapes = Qt.CursorShape
    assert hover(hand.handle(Handle.CENTRE)) == shapes.SizeAllCursor
    assert hover(hand.handle(Handle.FIRST_END)) == shapes.SizeHorCursor
    assert hover(hand.handle(Handle.SECOND_START)) == shapes.SizeVerCursor
    assert hover(hand.handle(Handle.TURN)) == shapes.BitmapCursor
    lit = canvas.grab().toImage()
    assert hover((10, 10)) == shapes.ArrowCursor
    assert canvas.grab().toImage() != lit


def test_nothing_can_be_edited_where_that_is_not_allowed(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    canvas.set_editable(False)
    hand.drag(hand.handle(Handle.FIRST_END), (300, 300))
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    canvas.remove()
    canvas.flush()
    assert edits.count() == 0
    assert canvas.ellipse() == HEAD
    assert not CanvasActions(canvas).draw.isEnabled()


# -- drawing ---------------------------------------------------------------------------------


def test_callipers_draw_where_there_is_no_ellipse(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, changes: QSignalSpy
) -> None:
    canvas.set_ellipse(None)
    tips = HEAD.contour(360)
    ends = [hand.on_screen(*tips[i]) for i in (0, 180, 70)]
    hints = QSignalSpy(canvas.hint_changed)
    hand.drag(ends[0], ends[1])
    assert edits.count() == 0
    assert "side" in hints.at(hints.count() - 1)[0]
    unfinished = canvas.ellipse()
    assert unfinished is not None and unfinished.a == pytest.approx(HEAD.a)
    hand.move((300, 300), Qt.MouseButton.NoButton)
    preview = canvas.ellipse()
    hand.click(ends[2])
    assert edits.count() == 1
    assert close(edits.at(0)[0], HEAD)
    assert preview is not None and not close(preview, HEAD)
    assert changes.count() > 0
    assert canvas.tool is Tool.EDIT
    assert hints.at(hints.count() - 1)[0] == ""


def test_callipers_by_clicks_alone(canvas: FrameCanvas, hand: Hand, edits: QSignalSpy) -> None:
    canvas.set_ellipse(None)
    for at in ((200, 300), (500, 300), (350, 200)):
        hand.click(at)
    after = edits.at(0)[0]
    assert edits.count() == 1
    assert (after.a, after.b) == pytest.approx(
        (150 / canvas.view.scale, 100 / canvas.view.scale), abs=0.01
    )


def test_drawing_anew_replaces_the_ellipse_and_escape_keeps_it(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    QTest.keyClick(canvas, Qt.Key.Key_D)
    assert canvas.tool is Tool.CALLIPER
    hand.drag((200, 300), (500, 300))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    assert (canvas.ellipse(), canvas.tool, edits.count()) == (HEAD, Tool.EDIT, 0)
    QTest.keyClick(canvas, Qt.Key.Key_D)
    hand.drag((200, 300), (500, 300))
    hand.click((350, 200))
    assert edits.count() == 1


def test_a_box_is_one_stroke(canvas: FrameCanvas, hand: Hand, edits: QSignalSpy) -> None:
    QTest.keyClick(canvas, Qt.Key.Key_B)
    hand.drag((200, 200), (400, 300))
    box = edits.at(0)[0].box()
    assert hand.on_screen(*box[:2]) == pytest.approx((200, 200))
    assert hand.on_screen(*box[2:]) == pytest.approx((400, 300))
    assert edits.count() == 1


def test_a_double_click_on_the_background_fits_and_draws_nothing(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    canvas.set_ellipse(None)
    fitted = canvas.view
    canvas.zoom(3)
    hand.double_click((300, 300))
    assert canvas.view == fitted
    assert canvas.ellipse() is None
    assert edits.count() == 0
    assert not canvas.drawing


def test_the_ruler_reports_its_line_and_leaves_the_ellipse(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, changes: QSignalSpy
) -> None:
    lines = QSignalSpy(canvas.ruler_drawn)
    canvas.set_tool(Tool.RULER)
    hand.drag((50, 50), (50, 250))
    (start, end) = lines.at(0)[0]
    assert math.dist(start, end) == pytest.approx(200 / canvas.view.scale)
    assert (canvas.ellipse(), canvas.tool) == (HEAD, Tool.EDIT)
    assert edits.count() == changes.count() == 0


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "keys", "expected"),
    [
        (Qt.Key.Key_Left, NONE, Ellipse.of(399, 270, 200, 150, 20)),
        (Qt.Key.Key_Down, SHIFT, Ellipse.of(400, 280, 200, 150, 20)),
        (Qt.Key.Key_Plus, NONE, Ellipse.of(400, 270, 201, 150, 20)),
        (Qt.Key.Key_Minus, SHIFT, Ellipse.of(400, 270, 190, 150, 20)),
        (Qt.Key.Key_BracketRight, NONE, Ellipse.of(400, 270, 200, 151, 20)),
        (Qt.Key.Key_BracketLeft, NONE, Ellipse.of(400, 270, 200, 149, 20)),
        (Qt.Key.Key_E, NONE, Ellipse.of(400, 270, 200, 150, 20.5)),
        (Qt.Key.Key_Q, SHIFT, Ellipse.of(400, 270, 200, 150, 15)),
    ],
)
def test_keys_nudge(
    canvas: FrameCanvas,
    edits: QSignalSpy,
    changes: QSignalSpy,
    key: Qt.Key,
    keys: Qt.KeyboardModifier,
    expected: Ellipse,
) -> None:
    QTest.keyClick(canvas, key, keys)
    assert changes.at(0)[0] == expected
    assert edits.count() == 0
    canvas.flush()
    assert [edits.at(i)[0] for i in range(edits.count())] == [expected]


def test_key_strokes_in_a_row_become_one_edit_by_themselves(
    canvas: FrameCanvas, edits: QSignalSpy, changes: QSignalSpy, qtbot: QtBot
) -> None:
    for _ in range(8):
        QTest.keyClick(canvas, Qt.Key.Key_Right)
    assert edits.count() == 0
    qtbot.waitUntil(lambda: edits.count() > 0, timeout=10 * MERGE_MS)
    assert edits.count() == 1
    assert edits.at(0)[0].cx == 408
    assert changes.count() == 8


def test_a_key_that_is_held_down_makes_one_edit(
    canvas: FrameCanvas, edits: QSignalSpy, qtbot: QtBot
) -> None:
    """A keyboard waits longer before it repeats a key than a person between two strokes."""
    QTest.keyPress(canvas, Qt.Key.Key_Right)
    QTest.qWait(MERGE_MS + 200)
    assert edits.count() == 0
    repeated = QEvent.Type.KeyPress, Qt.Key.Key_Right, NONE, "", True
    QApplication.sendEvent(canvas, QKeyEvent(*repeated))
    QTest.keyRelease(canvas, Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: edits.count() == 1)
    moved = canvas.ellipse()
    assert moved is not None and moved.cx == HEAD.cx + 2


@pytest.mark.parametrize("leave", ["ellipse", "hide", "tool", "press", "focus"])
def test_key_strokes_are_never_lost(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy, leave: str
) -> None:
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    {
        "ellipse": lambda: canvas.set_ellipse(None),
        "hide": canvas.hide,
        "tool": lambda: canvas.set_tool(Tool.BOX),
        "press": lambda: hand.press((20, 20)),
        "focus": canvas.clearFocus,
    }[leave]()
    assert edits.count() == 1
    assert edits.at(0)[0].cx == 401


def test_live_previews_disturb_neither_key_strokes_nor_drags(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    preview = np.full((540, 800), 90, np.uint8)
    for _ in range(3):
        QTest.keyClick(canvas, Qt.Key.Key_Right)
        canvas.set_image(preview)
    canvas.flush()
    assert [edits.at(i)[0].cx for i in range(edits.count())] == [403]
    x, y = hand.handle(Handle.CENTRE)
    hand.press((x, y))
    canvas.set_image(preview)
    hand.move((x, y + 20))
    hand.release((x, y + 20))
    assert edits.count() == 2


def test_undo_finds_the_key_strokes_made_an_edit(qtbot: QtBot) -> None:
    """Ctrl+Z reaches the window before the strokes' time is up, and must take back just these."""
    window, canvas, stack = QMainWindow(), FrameCanvas(), QUndoStack()
    qtbot.addWidget(window)
    window.setCentralWidget(canvas)
    undo = stack.createUndoAction(window)
    undo.setShortcut("Ctrl+Z")
    window.addAction(undo)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    canvas.set_image(np.zeros((540, 800), np.uint8))
    canvas.set_ellipse(HEAD)
    canvas.ellipse_edited.connect(lambda e: stack.push(QUndoCommand(f"{e.cx}")))
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert (stack.redoText(), stack.index(), stack.count()) == ("401.0", 0, 1)


def test_delete_removes_the_ellipse_once(canvas: FrameCanvas, edits: QSignalSpy) -> None:
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    assert edits.count() == 1
    assert edits.at(0)[0] is None
    assert canvas.ellipse() is None


# -- the view --------------------------------------------------------------------------------


def test_an_ellipse_is_placed_and_shaped_by_keys_alone(
    canvas: FrameCanvas, edits: QSignalSpy
) -> None:
    canvas.set_ellipse(None)
    QTest.keyClick(canvas, Qt.Key.Key_I)
    assert edits.count() == 1
    placed = canvas.ellipse()
    assert placed is not None and placed == edits.at(0)[0]
    assert (placed.cx, placed.cy) == pytest.approx((399.5, 269.5), abs=5)
    assert placed.a == pytest.approx(0.43 * 540) and placed.b == pytest.approx(0.78 * placed.a)
    QTest.keyClick(canvas, Qt.Key.Key_I)  # there is one now
    assert edits.count() == 1
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Plus, Qt.Key.Key_BracketLeft, Qt.Key.Key_E):
        QTest.keyClick(canvas, key)
    canvas.flush()
    shaped = canvas.ellipse()
    assert edits.count() == 2 and shaped is not None
    assert shaped.cx == pytest.approx(placed.cx + 1) and shaped.a == pytest.approx(placed.a + 1)
    assert shaped.b == pytest.approx(placed.b - 1) and shaped.angle_deg == pytest.approx(0.5)


def test_an_ellipse_is_placed_where_a_person_looks(canvas: FrameCanvas) -> None:
    canvas.set_ellipse(None)
    canvas.zoom(4.0, QPointF(0, 0))
    seen = canvas.view.to_image((canvas.width() / 2, canvas.height() / 2))
    QTest.keyClick(canvas, Qt.Key.Key_I)
    placed = canvas.ellipse()
    assert placed is not None and math.dist((placed.cx, placed.cy), seen) < 20
    x0, y0, x1, y1 = placed.box()
    left, top = canvas.view.to_screen((x0, y0))
    right, bottom = canvas.view.to_screen((x1, y1))
    assert 0 < left < right < canvas.width() and 0 < top < bottom < canvas.height()


def test_an_ellipse_is_placed_in_the_sector(canvas: FrameCanvas) -> None:
    pixels = np.zeros((540, 800), np.uint8)
    pixels[100:500, 300:700] = 90
    canvas.set_image(pixels)
    canvas.set_ellipse(None)
    QTest.keyClick(canvas, Qt.Key.Key_I)
    placed = canvas.ellipse()
    assert placed is not None
    assert (placed.cx, placed.cy) == pytest.approx((500, 300), abs=8)
    assert placed.a == pytest.approx(0.31 * 400, abs=5)


def test_placing_drops_what_is_half_drawn(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    canvas.set_ellipse(None)
    hand.drag((200, 200), (500, 220))
    assert canvas.drawing
    QTest.keyClick(canvas, Qt.Key.Key_I)
    assert not canvas.drawing and canvas.tool is Tool.EDIT
    assert edits.count() == 1


def test_what_cannot_be_done_says_why(canvas: FrameCanvas) -> None:
    actions = CanvasActions(canvas)
    assert actions.remove.isEnabled() and not actions.place.isEnabled()
    assert actions.remove.toolTip() == "Remove the ellipse  (Del)"
    assert actions.place.toolTip().endswith("move it, or remove it first.")
    canvas.set_ellipse(None)
    assert actions.place.isEnabled() and not actions.remove.isEnabled()
    assert actions.remove.toolTip() == "Remove the ellipse  (Del)\nThere is no ellipse."
    canvas.set_editable(False)
    assert not actions.place.isEnabled() and not actions.draw.isEnabled()
    assert actions.draw.toolTip().endswith("There is nothing to draw on.")


def wheel(canvas: FrameCanvas, at: QPointF, notches: int) -> None:
    event = QWheelEvent(
        at,
        canvas.mapToGlobal(at),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        NONE,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(canvas, event)


def test_the_wheel_zooms_about_the_pointer_within_its_limits(canvas: FrameCanvas) -> None:
    at = QPointF(600, 200)
    under = canvas.view.to_image((600, 200))
    wheel(canvas, at, 3)
    assert canvas.view.scale > 1.5
    assert canvas.view.to_image((600, 200)) == pytest.approx(under)
    wheel(canvas, at, 100)
    assert canvas.view.scale == MAX_SCALE
    wheel(canvas, at, -200)
    assert canvas.view.scale == MIN_SCALE
    QTest.keyClick(canvas, Qt.Key.Key_F)
    assert canvas.view.scale == pytest.approx(1.0)


def test_middle_drag_space_drag_and_plain_drag_pan(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    canvas.zoom(2)
    for button, space in ((MIDDLE, False), (LEFT, True), (LEFT, False)):
        before = canvas.view
        if space:
            QTest.keyPress(canvas, Qt.Key.Key_Space)
            start = hand.handle(Handle.CENTRE)
        else:
            start = (20, 20)
        hand.drag(start, (start[0] + 25, start[1] - 10), button)
        if space:
            QTest.keyRelease(canvas, Qt.Key.Key_Space)
        moved = (canvas.view.x0 - before.x0, canvas.view.y0 - before.y0)
        assert moved == pytest.approx((25, -10))
    assert edits.count() == 0


def test_a_fitted_frame_stays_fitted_when_the_canvas_grows(canvas: FrameCanvas) -> None:
    canvas.resize(1632, 1112)
    assert canvas.view.scale == pytest.approx(2.0)
    canvas.zoom(1.5)
    middle = canvas.view.to_image((816, 556))
    canvas.resize(1200, 900)
    assert canvas.view.scale == pytest.approx(3.0)
    assert canvas.view.to_image((600, 450)) == pytest.approx(middle)


def test_an_image_of_the_same_size_keeps_the_view(canvas: FrameCanvas) -> None:
    canvas.zoom(3)
    zoomed = canvas.view
    canvas.set_image(np.zeros((540, 800), np.uint8))
    assert canvas.view == zoomed
    canvas.set_image(np.zeros((400, 400), np.uint8))
    assert canvas.view.scale == pytest.approx(540 / 400)


def test_right_drag_changes_the_grey_window_and_w_resets_it(
    canvas: FrameCanvas, hand: Hand
) -> None:
    at = (canvas.width() // 2, 30)
    before = canvas.grab().toImage().pixelColor(*at)
    spy = QSignalSpy(canvas.window_changed)
    hand.drag((300, 300), (340, 240), RIGHT)
    assert canvas.window_level.width < 255
    assert canvas.window_level.level < 127.5
    assert spy.count() > 0
    assert canvas.grab().toImage().pixelColor(*at).value() > before.value()
    QTest.keyClick(canvas, Qt.Key.Key_W)
    assert canvas.window_level == GreyWindow()
    assert canvas.grab().toImage().pixelColor(*at) == before


def test_the_grey_window_shows_all_by_default() -> None:
    assert (GreyWindow().table() == np.arange(256)).all()
    narrow = GreyWindow(100, 50).table()
    assert narrow[0] == 0
    assert narrow[100:].min() == 255
    assert (np.diff(narrow.astype(int)) >= 0).all()


# -- appearance ------------------------------------------------------------------------------


def test_pixels_stand_where_the_view_says(canvas: FrameCanvas) -> None:
    """One bright pixel, at a zoom at which pixels are squares."""
    image = np.zeros((540, 800), np.uint8)
    image[270, 400] = 255
    canvas.set_ellipse(None)
    canvas.set_image(image)
    canvas.zoom(8.0 / canvas.view.scale)
    shown = canvas.grab().toImage()
    x, y = canvas.view.to_screen((400, 270))
    assert shown.pixelColor(round(x), round(y)).value() == 255
    for dx, dy in ((-6, 0), (6, 0), (0, -6), (0, 6)):
        assert shown.pixelColor(round(x + dx), round(y + dy)).value() == 0
    assert shown.pixelColor(round(x + 2), round(y - 2)).value() == 255


@pytest.mark.parametrize("zoom", [0.07, 0.3, 1.0, 3.0, 30.0])
def test_a_frame_keeps_its_mean_brightness_at_every_zoom(canvas: FrameCanvas, zoom: float) -> None:
    rng = np.random.default_rng(0)
    canvas.set_ellipse(None)
    canvas.set_image(rng.integers(0, 256, (540, 800), dtype=np.uint8))
    canvas.zoom(zoom / canvas.view.scale)
    shown = canvas.grab().toImage()
    x1, y1 = (max(0, round(v) + 1) for v in canvas.view.to_screen((-0.5, -0.5)))
    x2, y2 = (round(v) - 1 for v in canvas.view.to_screen((799.5, 539.5)))
    x2, y2 = min(x2, canvas.width()), min(y2, canvas.height())
    step = max(1, (x2 - x1) // 60)
    values = [
        shown.pixelColor(x, y).value() for x in range(x1, x2, step) for y in range(y1, y2, step)
    ]
    spread = 75 / math.sqrt(len(values)) * (20 if zoom > 4 else 4)
    assert np.mean(values) == pytest.approx(127.5, abs=max(2.0, spread))


@pytest.mark.parametrize("scale", [0.05, 1.0, 32.0])
def test_the_outline_is_true_to_a_tenth_of_a_pixel(canvas: FrameCanvas, scale: float) -> None:
    canvas.zoom(scale / canvas.view.scale)
    points = [(p.x(), p.y()) for p in outline(Shape.of(HEAD), canvas.view).toList()]
    assert points[0] == points[-1]
    u, v = HEAD.axes
    for p, q in pairwise(points):
        for x, y in (p, ((p[0] + q[0]) / 2, (p[1] + q[1]) / 2)):
            ix, iy = canvas.view.to_image((x, y))
            d = np.array([ix - HEAD.cx, iy - HEAD.cy])
            r = math.hypot(d @ u / HEAD.a, d @ v / HEAD.b)
            assert abs(r - 1) * HEAD.a * scale < 0.15


def test_the_ellipse_is_painted_on_bright_and_dark_and_h_hides_it(
    canvas: FrameCanvas, hand: Hand
) -> None:
    x, y = (round(v) for v in hand.on_screen(*HEAD.contour(8)[1]))

    def differs() -> bool:
        """Whether the ellipse can be told from the frame there."""
        shown = canvas.grab().toImage()
        around = [shown.pixelColor(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        return any(c.saturation() > 60 for c in around)

    for grey in (0, 128, 255):
        canvas.set_image(np.full((540, 800), grey, np.uint8))
        assert differs()
        QTest.keyPress(canvas, Qt.Key.Key_H)
        assert not differs()
        QTest.keyRelease(canvas, Qt.Key.Key_H)
        assert differs()


@pytest.mark.parametrize("by", ["mouse", "keys", "drawing"])
def test_what_a_person_changes_no_longer_looks_like_a_proposal(
    canvas: FrameCanvas, by: str
) -> None:
    colour = theme.STATE_COLOURS["proposed"]
    canvas.set_style(EllipseStyle(colour, dashed=True, label="unsure, 88 %"))
    hand = Hand(canvas)
    if by == "keys":
        QTest.keyClick(canvas, Qt.Key.Key_Right, SHIFT)
    elif by == "mouse":
        x, y = hand.handle(Handle.CENTRE)
        hand.press((x, y))
        hand.move((x + 20, y + 10))
    else:
        canvas.set_tool(Tool.BOX)
        hand.press((200, 150))
        hand.move((500, 400))
    shown = canvas.grab().toImage()
    canvas.set_style(EllipseStyle(colour))
    assert canvas.grab().toImage() == shown, "neither dashes nor label"


def test_a_proposal_is_dashed_with_its_label(canvas: FrameCanvas) -> None:
    solid = canvas.grab().toImage()
    canvas.set_style(EllipseStyle(theme.STATE_COLOURS["proposed"], dashed=True, label="93 %"))
    dashed = canvas.grab().toImage()
    gaps = 0
    for p in HEAD.contour(720):
        x, y = (round(v) for v in canvas.view.to_screen(tuple(p)))
        seen = [
            dashed.pixelColor(x + dx, y + dy).saturation() > 60
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
        ]
        gaps += not any(seen)
    assert 100 < gaps < 600
    assert solid != dashed


def test_a_ghost_and_a_scale_bar_are_shown(canvas: FrameCanvas) -> None:
    plain = canvas.grab().toImage()
    canvas.set_ghost(Ellipse.of(300, 200, 80, 60, 0))
    with_ghost = canvas.grab().toImage()
    assert with_ghost != plain
    canvas.set_ghost(None)
    assert canvas.grab().toImage() == plain
    canvas.set_calibration(Calibration(0.1, 0.1, "table"))
    assert canvas.grab().toImage() != plain


def test_without_an_image_there_is_only_the_dark(
    canvas: FrameCanvas, hand: Hand, edits: QSignalSpy
) -> None:
    canvas.set_image(None)
    hand.drag((100, 100), (200, 200))
    wheel(canvas, QPointF(100, 100), 1)
    QTest.keyClick(canvas, Qt.Key.Key_Left)
    shown = canvas.grab().toImage()
    assert shown.pixelColor(400, 300) == QColor(theme.CANVAS)
    assert edits.count() == 0


def test_only_frames_are_taken(canvas: FrameCanvas) -> None:
    with pytest.raises(ValueError, match="uint8"):
        canvas.set_image(np.zeros((10, 10, 3), np.uint8))


def test_another_button_in_a_drag_does_not_make_it_stick(canvas: FrameCanvas, hand: Hand) -> None:
    right = Qt.MouseButton.RightButton
    x, y = hand.handle(Handle.CENTRE)
    hand.press((x, y))
    hand.move((x + 20, y))
    hand.press((x + 20, y), right)
    hand.release((x + 20, y))
    hand.release((x + 20, y), right)
    dropped = (canvas.ellipse(), canvas.view, canvas.window_level)
    hand.move((x + 80, y + 30), Qt.MouseButton.NoButton)
    assert (canvas.ellipse(), canvas.view, canvas.window_level) == dropped
