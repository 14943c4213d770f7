"""The review queue, driven with keys and mouse in the real window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.screening import PairFilter
from fetalstudio.project.project import Project
from fetalstudio.project.store.records import Pair
from fetalstudio.ui.commands import SetEllipse
from fetalstudio.ui.common.quality import readings
from fetalstudio.ui.review.page import ReviewPage
from fetalstudio.ui.session import Session
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import add_pairs, same

DICES = [0.99, 0.91, 0.975, 0.95, 0.9699]


@pytest.fixture
def page(open_session: Session, window: MainWindow) -> ReviewPage:
    add_pairs(open_session.open, DICES)
    window.show_place("review")
    page = window.page("review")
    assert isinstance(page, ReviewPage)
    return page


def press(qtbot: QtBot, page: ReviewPage, key: Qt.Key) -> None:
    qtbot.keyClick(page.list, key)


def listed(page: ReviewPage) -> list[float]:
    return [page.list.pairs.pair(i).quality["dice"] for i in range(page.list.pairs.rowCount())]


def states(page: ReviewPage) -> dict[float, str]:
    return {pair.quality["dice"]: pair.state for pair in page.session.open.pairs.all()}


def current(page: ReviewPage) -> float:
    pair = page.list.current()
    assert pair is not None
    return pair.quality["dice"]


def test_the_worst_comes_first_with_its_figures_and_its_real_frame(page: ReviewPage) -> None:
    assert listed(page) == sorted(DICES)
    pair = page.list.current()
    assert pair is not None and pair.quality["dice"] == 0.91
    assert page.canvas.ellipse() == pair.ellipse
    assert "0.910" in page.quality.text()
    source = page.session.open.frames.get(pair.provenance["source_frame"])
    assert page.comparison.source.image is not None
    assert page.comparison.source.image.shape == (source.height, source.width)
    assert source.name in page.comparison.source_label.text()


def test_a_and_r_decide_and_go_to_the_next_pending(qtbot: QtBot, page: ReviewPage) -> None:
    press(qtbot, page, Qt.Key.Key_R)
    assert current(page) == 0.95
    press(qtbot, page, Qt.Key.Key_A)
    assert current(page) == 0.9699
    assert states(page)[0.91] == "rejected" and states(page)[0.95] == "accepted"
    assert page.filter_buttons["pending"].text() == "Pending\n3"
    assert page.filter_buttons["rejected"].text() == "Rejected\n1"


def test_undo_brings_the_pair_back_and_shows_it(qtbot: QtBot, page: ReviewPage) -> None:
    press(qtbot, page, Qt.Key.Key_J)
    press(qtbot, page, Qt.Key.Key_A)
    assert current(page) == 0.9699
    press(qtbot, page, Qt.Key.Key_U)
    qtbot.waitUntil(lambda: current(page) == 0.95)
    assert states(page)[0.95] == "pending"
    qtbot.keyClick(page.window(), Qt.Key.Key_Z, _CONTROL_SHIFT)
    qtbot.waitUntil(lambda: states(page)[0.95] == "accepted")


def test_every_decision_is_taken_back_with_a_sentence(qtbot: QtBot, page: ReviewPage) -> None:
    said: list[str] = []
    page.session.message.connect(lambda text, _level: said.append(text))
    before = page.session.open.pairs.all()
    (first, second) = (pair.frame.name for pair in before[:2])
    press(qtbot, page, Qt.Key.Key_A)
    press(qtbot, page, Qt.Key.Key_R)
    page.list.setFocus()
    page.canvas.ellipse_edited.emit(Ellipse(390, 260, 200, 150, 0))
    third = page.list.current()
    assert third is not None and third.corrected
    qtbot.keyClick(page.list, Qt.Key.Key_A, _SHIFT)
    undone = []
    for _ in range(4):
        qtbot.keyClick(page.window(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        undone.append(said[-1])
    assert undone == [
        "Undone: accept 2 pairs.",
        f"Undone: correct pair {third.frame.name}.",
        f"Undone: reject pair {second}.",
        f"Undone: accept pair {first}.",
    ]
    qtbot.keyClick(page.window(), Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert said[-1] == f"Done again: accept pair {first}."
    qtbot.keyClick(page.window(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    after = page.session.open.pairs.all()
    assert [(p.state, p.ellipse) for p in after] == [(p.state, p.ellipse) for p in before]


_SHIFT = Qt.KeyboardModifier.ShiftModifier
_CONTROL_SHIFT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


def test_moving_decides_nothing(qtbot: QtBot, page: ReviewPage) -> None:
    for key in (Qt.Key.Key_J, Qt.Key.Key_Down, Qt.Key.Key_K):
        press(qtbot, page, key)
    assert current(page) == 0.95
    for _ in range(9):
        press(qtbot, page, Qt.Key.Key_J)
    assert current(page) == 0.99
    assert set(states(page).values()) == {"pending"}


def test_the_last_decision_leaves_an_empty_queue_that_says_so(
    qtbot: QtBot, page: ReviewPage
) -> None:
    for _ in DICES:
        press(qtbot, page, Qt.Key.Key_A)
    assert listed(page) == []
    assert "All pairs are reviewed" in page.none_left.text()
    assert not page.pair_view.isVisible()
    assert page.canvas.ellipse() is None
    assert not page.accept_button.isEnabled()
    press(qtbot, page, Qt.Key.Key_A)
    assert set(states(page).values()) == {"accepted"}


def test_dragging_corrects_the_label_and_keeps_what_was_asked_for(
    qtbot: QtBot, page: ReviewPage
) -> None:
    before = page.list.current()
    assert before is not None
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    page.canvas.flush()
    after = page.session.open.pairs.get(before.id)
    assert after.ellipse.cx == pytest.approx(before.ellipse.cx + 10)
    assert after.requested == before.ellipse and after.state == "pending"
    assert page.correction.restore_button.isVisible()
    # An accept takes the corrected label along.
    qtbot.keyClick(page.canvas, Qt.Key.Key_A)
    accepted = page.session.open.pairs.get(before.id)
    assert accepted.state == "accepted" and accepted.ellipse == after.ellipse
    page.session.undo_stack.undo()
    page.session.undo_stack.undo()
    assert page.session.open.pairs.get(before.id).ellipse == before.ellipse


def test_back_to_the_requested_ellipse(qtbot: QtBot, page: ReviewPage) -> None:
    pair = page.list.current()
    assert pair is not None
    page.canvas.ellipse_edited.emit(Ellipse(300, 200, 100, 80, 10))
    assert page.canvas.ellipse() == Ellipse(300, 200, 100, 80, 10)
    press(qtbot, page, Qt.Key.Key_O)
    assert page.session.open.pairs.get(pair.id).ellipse == pair.requested
    assert not page.correction.restore_button.isVisible()


def test_a_pair_keeps_its_ellipse(qtbot: QtBot, page: ReviewPage) -> None:
    pair = page.list.current()
    assert pair is not None
    with qtbot.waitSignal(page.session.message):
        page.canvas.remove()
    assert page.canvas.ellipse() == pair.ellipse
    assert page.session.open.pairs.get(pair.id).ellipse == pair.ellipse


def test_accepting_what_passes_is_one_step_of_undo(qtbot: QtBot, page: ReviewPage) -> None:
    page.filter_form.dice_box.setValue(0.97)
    # 0.9699 is shown as 0.970, so it counts as 0.970.
    assert page.filter_form.accept_button.text() == "Accept 3 that pass"
    qtbot.keyClick(page.list, Qt.Key.Key_A, _SHIFT)
    assert listed(page) == [0.91, 0.95]
    assert [states(page)[d] for d in (0.9699, 0.975, 0.99)] == ["accepted"] * 3
    assert not page.filter_form.accept_button.isEnabled()
    page.session.undo_stack.undo()
    qtbot.waitUntil(lambda: listed(page) == sorted(DICES))
    assert set(states(page).values()) == {"pending"}


def test_rejecting_what_fails_is_one_step_of_undo(qtbot: QtBot, page: ReviewPage) -> None:
    page.filter_form.dice_box.setValue(0.96)
    assert page.filter_form.reject_button.text() == "Reject 2 that fail"
    qtbot.mouseClick(page.filter_form.reject_button, Qt.MouseButton.LeftButton)
    assert listed(page) == [0.9699, 0.975, 0.99]
    assert states(page)[0.91] == states(page)[0.95] == "rejected"
    assert not page.filter_form.reject_button.isEnabled()
    press(qtbot, page, Qt.Key.Key_U)
    qtbot.waitUntil(lambda: listed(page) == sorted(DICES))
    qtbot.keyClick(page.list, Qt.Key.Key_R, _SHIFT)
    assert set(states(page).values()) == {"pending", "rejected"}


def test_what_was_corrected_by_hand_is_not_decided_by_a_filter(
    qtbot: QtBot, page: ReviewPage
) -> None:
    page.filter_form.dice_box.setValue(0.96)
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_Right, _SHIFT)
    page.canvas.flush()
    assert page.filter_form.reject_button.text() == "Reject 1 that fails"
    assert "the filter does not decide it" in page.correction.note.text()
    qtbot.keyClick(page.list, Qt.Key.Key_R, _SHIFT)
    assert states(page)[0.95] == "rejected" and states(page)[0.91] == "pending"


def test_a_label_of_the_synthesizers_own_is_no_correction(page: ReviewPage) -> None:
    pair = page.session.open.pairs.add(
        page.session.open.frames.pixels(page.session.open.frames.all()[0].id) // 2,
        name="found",
        ellipse=Ellipse(300, 200, 100, 80, 10),
        label=Ellipse(320, 200, 100, 80, 10),
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.99, "hc_difference": 0.0, "edge": 0.9, "outline_score": 0.3},
        provenance={},
    )
    page.refresh(pair.id)
    assert (
        "the outline that the synthesizer drew" in page.correction.note.text()
        and not pair.corrected
    )
    # In doubt, however well the segmenter agrees: it fails, and says why.
    assert page.filter_form.reject_button.text() == "Reject 2 that fail"
    assert "the outline that the synthesizer drew is in doubt" in page.quality.text()


def test_another_project_shows_its_own_picture(
    page: ReviewPage, tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pairs have the same numbers."""
    session = page.session
    shown: list[np.ndarray | None] = []
    show = page.canvas.set_image

    def watched(picture: np.ndarray | None) -> None:
        shown.append(picture)
        show(picture)

    monkeypatch.setattr(page.canvas, "set_image", watched)
    other = Project.create(tmp_path / "other")
    pixels = np.full((540, 800), 120, np.uint8)
    real, _ = other.frames.add(pixels, name="real", cohort="c", subject="s")
    other.annotations.add(real.id, Ellipse(400, 270, 200, 150, 0), author="me", state="final")
    (theirs,) = add_pairs(other, [0.5])
    picture = other.frames.pixels(theirs.frame.id)
    other.close()
    page.refresh(theirs.id)
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_Right)  # not an edit yet
    session.open_project(tmp_path / "other")
    page.refresh()
    assert current(page) == 0.5
    assert same(shown[-1], picture)
    assert session.open.pairs.get(theirs.id).ellipse == theirs.ellipse


def test_pairs_that_come_meanwhile_do_not_drop_a_drag(qtbot: QtBot, page: ReviewPage) -> None:
    before = page.list.current()
    assert before is not None
    e = before.ellipse
    start = QPointF(*page.canvas.view.to_screen((e.cx, e.cy))).toPoint()
    QTest.mousePress(page.canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(page.canvas, start + QPointF(20, 0).toPoint())
    page.refresh()  # as every two seconds of a batch
    qtbot.mouseMove(page.canvas, start + QPointF(40, 0).toPoint())
    QTest.mouseRelease(page.canvas, Qt.MouseButton.LeftButton, pos=start + QPointF(40, 0).toPoint())
    assert page.session.open.pairs.get(before.id).ellipse.cx > e.cx + 20


def test_any_figure_can_fail_a_pair_and_the_queue_is_sorted_by_the_verdict(
    page: ReviewPage,
) -> None:
    add_measured(page, "no_edge", edge=0.2)
    add_measured(page, "too_large", hc_difference=0.1)
    page.refresh()
    names = [page.list.pairs.pair(i).frame.name for i in range(4)]
    assert names == ["too_large", "pair_1", "no_edge", "pair_3"]
    assert page.filter_form.reject_button.text() == "Reject 3 that fail"
    page.filter_form.hc_box.setValue(100)
    page.filter_form.edge_box.setValue(0)
    assert page.filter_form.reject_button.text() == "Reject 1 that fails"
    assert page.list.pairs.pair(0).frame.name == "pair_1"


def test_each_figure_stands_against_its_threshold(qtbot: QtBot, page: ReviewPage) -> None:
    rows = page.quality.text().splitlines()
    at = rows.index("Dice")
    assert rows[at - 1 : at + 4] == [
        "<b>✗</b>",
        "Dice",
        "<b>0.910</b>",
        "≥ 0.950",
        "the segmenter finds the head elsewhere",
    ]
    page.filter_form.dice_box.setValue(0.9)
    rows = page.quality.text().splitlines()
    assert rows[at - 1 : at + 3] == ["<b>✓</b>", "Dice", "<b>0.910</b>", "≥ 0.900"]
    # What the synthesizer of these pairs was trained on nobody knows, and the page says so.
    assert "not known" in page.quality.text()
    assert (
        "training frames of the synthesizer are not known" in page.comparison.nearest_label.text()
    )


def add_measured(page: ReviewPage, name: str, **figures: float) -> Pair:
    """A pair with these figures; its nearest training frame is the project's first frame."""
    project = page.session.open
    frame = project.frames.all()[0]
    return project.pairs.add(
        project.frames.pixels(frame.id) // 2 + len(project.pairs.all()),
        name=name,
        ellipse=Ellipse(300, 200, 100, 80, 10),
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.98, "hc_difference": 0.0, "edge": 0.9, **figures},
        provenance={"nearest_frame": frame.id[:16], "copy_threshold": 0.75},
    )


def test_a_copy_is_flagged_beside_the_frame_that_it_copies(qtbot: QtBot, page: ReviewPage) -> None:
    copy = add_measured(page, "copy", similarity=0.9)
    add_measured(page, "own", similarity=0.6)
    page.refresh()
    qtbot.keyClick(page.list, Qt.Key.Key_Home)
    shown = page.list.current()
    assert shown is not None and shown.id == copy.id
    assert page.copy_badge.isVisible()
    frame = page.session.open.frames.all()[0]
    assert page.comparison.nearest.image is not None
    assert frame.name in page.comparison.nearest_label.text()
    assert "0.900, above 0.750: a copy" in page.comparison.nearest_label.text()
    assert "a copy of a training frame" in page.quality.text()
    # However loose the filter, a copy does not pass; a person may still accept it.
    page.filter_form.similarity_box.setValue(1.0)
    qtbot.keyClick(page.list, Qt.Key.Key_A, _SHIFT)
    assert page.session.open.pairs.get(copy.id).state == "pending"
    with qtbot.waitSignal(page.session.message) as said:
        press(qtbot, page, Qt.Key.Key_A)
    assert page.session.open.pairs.get(copy.id).state == "accepted"
    assert "which training and export leave out" in said.args[0]
    assert not page.copy_badge.isVisible()


def test_pixels_of_a_real_frame_are_flagged(qtbot: QtBot, page: ReviewPage) -> None:
    kept = add_measured(page, "kept", similarity=0.5, real_share=0.42)
    made = add_measured(page, "made", similarity=0.5, real_share=0.004)
    page.refresh(kept.id)
    assert page.real_badge.isVisible() and not page.copy_badge.isVisible()
    assert page.real_badge.toolTip().startswith("42 % of the ultrasound")
    assert "left out of exports unless asked for" in page.real_badge.toolTip()
    assert "pixels of a real frame" in str(page.list.pairs.data(page.list.currentIndex()))
    page.refresh(made.id)
    assert not page.real_badge.isVisible()


def test_a_stricter_similarity_fails_a_pair_that_is_no_copy(page: ReviewPage) -> None:
    add_measured(page, "alike", similarity=0.6)
    page.refresh()
    failing = page.filter_form.reject_button.text()
    page.filter_form.similarity_box.setValue(0.55)
    assert (failing, page.filter_form.reject_button.text()) == (
        "Reject 1 that fails",
        "Reject 2 that fail",
    )
    assert not page.copy_badge.isVisible()


def test_a_training_frame_that_is_not_in_the_project_is_named(
    qtbot: QtBot, page: ReviewPage
) -> None:
    project = page.session.open
    pair = project.pairs.add(
        project.frames.pixels(project.frames.all()[0].id) // 3,
        name="elsewhere",
        ellipse=Ellipse(300, 200, 100, 80, 10),
        cohort="synthetic",
        calibration=None,
        quality={"dice": 0.5, "hc_difference": 0.0, "edge": 0.9, "similarity": 0.6},
        provenance={
            "synthesizer": "compact",
            "nearest_frame": "0123456789abcdef",
            "copy_threshold": 0.75,
        },
    )
    page.refresh(pair.id)
    assert page.comparison.nearest.image is None
    said = page.comparison.nearest.text()
    assert said == "Not shown: compact learnt from a frame that this project does not have."
    assert page.comparison.nearest_label.text().startswith("Frame 01234567: similarity 0.600")


def test_the_filters_show_what_was_decided_and_it_can_be_decided_again(
    qtbot: QtBot, page: ReviewPage
) -> None:
    press(qtbot, page, Qt.Key.Key_R)
    qtbot.mouseClick(page.filter_buttons["rejected"], Qt.MouseButton.LeftButton)
    assert listed(page) == [0.91]
    assert not page.reject_button.isEnabled()
    press(qtbot, page, Qt.Key.Key_A)
    assert states(page)[0.91] == "accepted"
    assert "No pair is rejected" in page.none_left.text()


def test_pairs_made_meanwhile_join_the_queue_and_the_current_one_stays(
    qtbot: QtBot, page: ReviewPage
) -> None:
    press(qtbot, page, Qt.Key.Key_J)
    frame = page.session.open.frames.all()[0]
    page.session.open.pairs.add(
        page.session.open.frames.pixels(frame.id) // 2,
        name="late",
        ellipse=Ellipse(300, 200, 100, 80, 10),
        cohort="synthetic",
        calibration=None,
        quality={},
        provenance={},
    )
    page.session.pairs_changed.emit()
    qtbot.waitUntil(lambda: page.list.pairs.rowCount() == 6)
    assert current(page) == 0.95
    qtbot.keyClick(page.list, Qt.Key.Key_Home)
    assert "not measured" in page.quality.text()
    assert page.comparison.source.image is None


def test_the_thresholds_are_remembered(
    qtbot: QtBot, page: ReviewPage, open_session: Session
) -> None:
    form = page.filter_form
    for box, value in (
        (form.dice_box, 0.945),
        (form.hc_box, 3.5),
        (form.edge_box, 65),
        (form.similarity_box, 0.6),
    ):
        box.setValue(value)
    again = ReviewPage(open_session)
    qtbot.addWidget(again)
    assert again.filter_form.filter() == PairFilter(0.945, 0.035, 0.65, 0.6)


def test_without_pairs_the_page_says_what_to_do(
    qtbot: QtBot, open_session: Session, window: MainWindow
) -> None:
    window.show_place("review")
    page = window.page("review")
    assert isinstance(page, ReviewPage)
    assert page.empty.isVisible() and not page.canvas.isVisible()
    with qtbot.waitSignal(open_session.place_requested) as asked:
        qtbot.mouseClick(page.empty.button, Qt.MouseButton.LeftButton)
    assert asked.args == ["synthesise"]


def test_a_picture_whose_file_is_gone_is_reported_and_the_queue_goes_on(
    qtbot: QtBot, page: ReviewPage
) -> None:
    second = page.list.pairs.pair(1)
    page.session.open.frames.path(second.frame.id).unlink()
    with qtbot.waitSignal(page.session.failure) as said:
        press(qtbot, page, Qt.Key.Key_J)
    assert str(page.session.open.path) in said.args[0]
    press(qtbot, page, Qt.Key.Key_J)
    assert current(page) == 0.9699 and page.canvas.ellipse() is not None


def test_an_undo_out_of_sight_is_told(page: ReviewPage, qtbot: QtBot) -> None:
    frame = page.session.open.frames.all(annotated=False)[0]
    page.session.undo_stack.push(SetEllipse(page.session, frame.id, Ellipse(300, 200, 90, 80, 0)))
    page.list.setFocus()
    with qtbot.waitSignal(page.session.message) as said:
        qtbot.keyClick(page.list, Qt.Key.Key_U)
    assert said.args == ["Undone in Annotate: draw ellipse.", "step"]
    now = page.session.open.annotations.newest(frame.id)
    assert now is not None and now.ellipse is None


def test_an_empty_queue_leads_on(qtbot: QtBot, page: ReviewPage) -> None:
    went: list[str] = []
    page.session.place_requested.connect(went.append)
    for _ in DICES:
        press(qtbot, page, Qt.Key.Key_R)
    qtbot.mouseClick(page.none_left.button, Qt.MouseButton.LeftButton)
    page.session.go("review")
    press(qtbot, page, Qt.Key.Key_U)
    qtbot.waitUntil(page.pair_view.isVisible)
    press(qtbot, page, Qt.Key.Key_A)
    qtbot.mouseClick(page.none_left.button, Qt.MouseButton.LeftButton)
    assert went == ["synthesise", "review", "train"]


def ghost(page: ReviewPage) -> Ellipse | None:
    return page.canvas.ghost()


def test_where_the_segmenter_sees_a_doubtful_head_is_dashed(qtbot: QtBot, page: ReviewPage) -> None:
    found = Ellipse(340, 210, 110, 85, 20)
    project = page.session.open
    doubtful, good = (
        project.pairs.add(
            project.frames.pixels(project.frames.all()[0].id) // (2 + i),
            name=name,
            ellipse=Ellipse(300, 200, 100, 80, 10),
            cohort="synthetic",
            calibration=None,
            quality={"dice": dice, "hc_difference": 0.0, "edge": 0.9},
            provenance={"found": [340, 210, 110, 85, 20]},
        )
        for i, (name, dice) in enumerate((("doubtful", 0.7), ("good", 0.98)))
    )
    page.refresh(doubtful.id)
    assert ghost(page) == found
    assert "where the segmenter finds the head" in page.correction.note.text()
    page.filter_form.dice_box.setValue(0.5)
    assert ghost(page) is None
    page.filter_form.dice_box.setValue(0.95)
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_T)
    assert page.session.open.pairs.get(doubtful.id).ellipse == found
    assert ghost(page) == doubtful.requested and not page.correction.take_button.isVisible()
    press(qtbot, page, Qt.Key.Key_U)
    qtbot.waitUntil(page.correction.take_button.isVisible)
    assert page.session.open.pairs.get(doubtful.id).ellipse == doubtful.requested
    page.refresh(good.id)
    assert ghost(page) is None


@pytest.mark.parametrize(("value", "unusual"), [(3.91, False), (3.96, True)])
def test_a_figure_that_reads_as_its_limit_is_within_it(value: float, unusual: bool) -> None:
    quality = {"dice": 0.99, "hc_difference": 0.01, "edge": 0.9, "spectrum_db": value}
    limits = {"cohort_limits": {"spectrum_db": 3.87}}
    (spectrum,) = (
        reading
        for reading in readings(quality, limits, PairFilter().verdict(quality, None))
        if reading.name == "Spectrum"
    )
    assert spectrum.limit == "≤ 3.9" and (spectrum.level == "unusual") == unusual


def test_the_place_of_the_pair_is_not_cut_short(page: ReviewPage, qtbot: QtBot) -> None:
    page.window().resize(1024, 640)
    qtbot.wait(1)
    assert page.caption.text() == "1 of 5, pending: pair_1"
    assert "…" not in page.caption.shown()


def test_the_related_frames_are_level_however_long_their_labels_are(
    page: ReviewPage, qtbot: QtBot
) -> None:
    page.window().resize(1024, 640)
    comparison = page.comparison
    comparison.nearest_label.setText("A sentence that takes a number of lines here. " * 3)
    comparison.source_label.setText("short")
    qtbot.wait(1)
    headings = [w for w in comparison.findChildren(QLabel) if w.property("role") == "heading"]
    assert len({heading.y() for heading in headings}) == 1
    assert comparison.nearest.geometry().top() == comparison.source.geometry().top()
    assert comparison.nearest_label.y() == comparison.source_label.y()


def test_no_button_above_the_pair_is_cut_short_in_the_narrowest_window(
    page: ReviewPage, qtbot: QtBot
) -> None:
    buttons = page.undo_button, page.reject_button, page.accept_button
    texts = ["Undo (U)", "Reject (R)", "Accept (A)"]

    def shown() -> list[str]:
        qtbot.wait(1)
        for button in buttons:
            assert button.isHidden() or button.width() >= button.sizeHint().width()
        return [button.text() for button in buttons if not button.isHidden()]

    page.window().resize(1280, 640)
    assert shown() == texts
    page.window().resize(960, 600)
    assert shown() == ["Undo", "Reject", "Accept"]
    page.real_badge.show()
    assert shown() == ["Reject", "Accept"]
    press(qtbot, page, Qt.Key.Key_A)
    assert page.undo_button.isEnabled()
    press(qtbot, page, Qt.Key.Key_U)
    assert listed(page)[0] == current(page)
    page.window().resize(1280, 640)
    page.real_badge.hide()
    assert shown() == texts
