"""Synthesise in the real window: one picture that follows the ellipse, and batches."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QDialog, QWidget
from pytestqt.qtbot import QtBot

from fetalstudio.core.calibration import Calibration
from fetalstudio.core.convention import NO_OFFSET, Convention
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.metrics import Interval
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.pair_convention.request import (
    PairConventionRequest,
    PairConventionResult,
)
from fetalstudio.engine.jobs.sample.request import SampleRequest, SampleResult
from fetalstudio.engine.jobs.synthesize.request import SynthesizeResult
from fetalstudio.engine.process.events import Failed, Preview, Progress
from fetalstudio.ui.commands import SetCalibration, SetEllipse
from fetalstudio.ui.session import Session
from fetalstudio.ui.synthesise.frame_choices import FrameChoices
from fetalstudio.ui.synthesise.page import SynthesisePage, typical_ellipse
from fetalstudio.ui.synthesise.sampler import DRAFT_STEPS
from fetalstudio.ui.synthesise.synthesis_panel import MANY, ONE
from fetalstudio.ui.window.main_window import MainWindow
from tests.ui.loop import HandleFake, keep_convention, same, use_fakes, use_small_jobs
from tests.ui.loop_jobs import ring

MOVED = Ellipse(420, 260, 150, 110, 20)


@pytest.fixture
def warmed(open_session: Session, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The jobs that were asked to get ready."""
    jobs: list[str] = []
    monkeypatch.setattr(open_session.engine, "warm_up", lambda *names: jobs.extend(names))
    return jobs


@pytest.fixture
def page(open_session: Session, window: MainWindow, warmed: list[type]) -> SynthesisePage:
    """On the first annotated frame. Its cohort was measured, and is drawn as the judge draws."""
    keep_convention(open_session.open, "samples", None)
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    open_session.select_frame(next(iter(open_session.open.annotations.by_frame())))
    return page


@pytest.fixture
def requests(page: SynthesisePage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Of the small jobs, which run in the real engine."""
    return use_small_jobs(monkeypatch, page.session)


@pytest.fixture
def fakes(page: SynthesisePage, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, HandleFake]]:
    return use_fakes(monkeypatch, page.session)


def test_removing_the_ellipse_says_why_it_stays(page: SynthesisePage) -> None:
    said: list[str] = []
    page.session.message.connect(lambda text, _level: said.append(text))
    before = page.canvas.ellipse()
    QTest.keyClick(page.canvas, Qt.Key.Key_Delete)
    assert page.canvas.ellipse() == before
    assert len(said) == 1 and "around the ellipse, so it stays" in said[0]


def real(page: SynthesisePage) -> np.ndarray:
    assert page.session.frame_id is not None
    return page.session.open.frames.pixels(page.session.frame_id)


def result_for(request: SampleRequest) -> SampleResult:
    image = ring(request.ellipse, request.size, request.seed)
    info: dict[str, Any] = {"seed": request.seed}
    if request.convention != NO_OFFSET:
        info["convention"] = asdict(request.convention)
    return SampleResult(image, request.ellipse, 0.5, info, {"dice": 0.98})


def finish(fakes: list[tuple[Any, HandleFake]], index: int = -1) -> SampleResult:
    request, handle = fakes[index]
    result = result_for(request)
    handle.started.emit()
    handle.finished.emit(result)
    handle.ended.emit()
    return result


# -- the start ---------------------------------------------------------------------------------


def test_it_starts_from_the_frames_ellipse_and_its_size(page: SynthesisePage) -> None:
    frame = page.session.open.frames.get(page.session.frame_id or "")
    annotation = page.session.open.annotations.newest(frame.id)
    assert annotation is not None and page.canvas.ellipse() == annotation.ellipse
    assert same(page.view.shown(), real(page))
    assert frame.calibration is not None and "HC " in page.size_label.text()
    assert frame.name in page.frame_box.currentText()


def test_without_an_annotation_a_typical_head_is_the_start(page: SynthesisePage) -> None:
    frame = page.session.open.frames.all(annotated=False)[0]
    page.session.select_frame(frame.id)
    assert page.canvas.ellipse() == typical_ellipse(frame.size)
    x0, y0, x1, y1 = typical_ellipse(frame.size).box()
    assert x0 > 0 and y0 > 0 and x1 < frame.width and y1 < frame.height


def test_an_ellipse_drawn_in_annotate_is_taken_over_until_a_picture_is_made(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    frame_id = page.session.frame_id or ""
    page.session.undo_stack.push(SetEllipse(page.session, frame_id, MOVED))
    assert page.canvas.ellipse() == MOVED
    page.synthesise()
    finish(fakes)
    page.session.undo_stack.push(SetEllipse(page.session, frame_id, Ellipse(300, 200, 90, 80, 0)))
    assert page.canvas.ellipse() == MOVED


def test_without_frames_the_page_says_what_to_do(
    qtbot: QtBot, session: Session, window: MainWindow, tmp_path: Any
) -> None:
    session.new_project(tmp_path / "empty")
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    assert page.empty.isVisible() and not page.canvas.isVisible()
    with qtbot.waitSignal(session.place_requested) as asked:
        qtbot.mouseClick(page.empty.button, Qt.MouseButton.LeftButton)
    assert asked.args == ["library"]


def test_an_import_under_way_is_not_called_empty(
    qtbot: QtBot, session: Session, window: MainWindow, samples: Path, tmp_path: Path
) -> None:
    session.new_project(tmp_path / "new")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    assert "No frames yet" in page.empty.text()
    handle = session.import_frames(ImportRequest(session.open.path, samples))
    assert page.empty.text().startswith("Importing frames") and page.empty.button.isHidden()
    handle.cancel()
    with qtbot.waitSignal(handle.ended):
        pass
    assert "No frames yet" in page.empty.text() and not page.empty.button.isHidden()


def test_the_engine_gets_ready_when_the_page_is_shown(
    page: SynthesisePage, warmed: list[type]
) -> None:
    assert warmed == [SampleRequest]


# -- one picture -------------------------------------------------------------------------------


def test_g_makes_the_picture_with_previews_and_measures_it(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    previews: list[Preview] = []
    page.sampler.preview.connect(previews.append)
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_G)
    assert page.job_bar.isVisible()
    qtbot.waitUntil(lambda: not page.sampler.busy)
    (request,) = requests
    assert request.ellipse == page.canvas.ellipse() and request.steps is None
    assert same(request.reference, real(page)) and request.previews
    assert same(page.view.shown(), ring(request.ellipse, request.size, request.seed))
    assert previews and not page.job_bar.isVisible()
    assert "0.981" in page.quality.text() and "+1.2 %" in page.quality.text()
    assert not page.stale and page.keep_button.isEnabled()


def test_a_preview_is_shown_in_the_frames_size_and_gone_after_a_cancel(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    request, handle = fakes[0]
    handle.started.emit()
    handle.preview.emit(Preview(np.full((256, 384), 77, np.uint8), "step 1"))
    shown = page.view.shown()
    assert shown is not None and shown.shape == (request.size[1], request.size[0])
    assert shown[0, 0] == 77
    assert page.view.caption.text().startswith("Making the ultrasound")
    page.job_bar.cancel_button.click()
    assert handle.cancel_calls == 1
    handle.cancelled.emit(None)
    handle.ended.emit()
    assert same(page.view.shown(), real(page)) and "real frame" in page.view.caption.text()
    assert not page.keep_button.isEnabled() and not page.job_bar.isVisible()


def test_cancel_stops_the_engines_job(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    page.controls.steps_box.setValue(50)
    page.synthesise()
    with qtbot.waitSignal(page.sampler.preview):
        pass
    qtbot.mouseClick(page.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not page.sampler.busy)
    assert same(page.view.shown(), real(page))


def test_a_failure_is_shown_and_the_next_picture_works(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    page.controls.seed_box.setValue(13)
    with qtbot.waitSignal(page.session.failure) as said:
        page.synthesise()
    assert said.args == ["There is no seed 13. Take another one.", ""]
    page.controls.seed_box.setValue(14)
    page.synthesise()
    qtbot.waitUntil(lambda: page.keep_button.isEnabled())


def test_space_tapped_on_the_canvas_synthesises_and_a_pan_does_not(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    QTest.keyPress(page.canvas, Qt.Key.Key_Space)
    QTest.mousePress(page.canvas, Qt.MouseButton.LeftButton)
    QTest.mouseRelease(page.canvas, Qt.MouseButton.LeftButton)
    QTest.keyRelease(page.canvas, Qt.Key.Key_Space)
    assert fakes == []
    qtbot.keyClick(page.canvas, Qt.Key.Key_Space)
    assert len(fakes) == 1


def test_n_takes_the_next_seed(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.controls.seed_box.setValue(41)
    qtbot.keyClick(page.canvas, Qt.Key.Key_N)
    assert page.controls.seed_box.value() == 42
    assert [request.seed for request, _ in fakes] == [42]
    page.controls.seed_box.setValue(page.controls.seed_box.maximum())
    page.new_variation()
    assert fakes[-1][0].seed == 0


def test_the_fields_reach_the_request_and_are_remembered(
    qtbot: QtBot, page: SynthesisePage, open_session: Session
) -> None:
    controls = page.controls
    look = controls.look()
    assert (look.style, look.steps, look.guidance) == ("auto", None, None)
    controls.style_box.setCurrentIndex(controls.style_box.findData("third"))
    controls.steps_box.setValue(12)
    controls.guidance_box.setValue(2.5)
    controls.seed_box.setValue(7)
    request = page.request()
    assert (request.style, request.steps, request.seed) == ("third", 12, 7)
    assert request.guidance == pytest.approx(2.5)
    again = SynthesisePage(open_session)
    qtbot.addWidget(again)
    assert again.controls.look() == controls.look()


# -- following the ellipse ---------------------------------------------------------------------


def test_a_drag_shows_drafts_and_rest_brings_the_full_picture(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    page.synthesise()
    qtbot.waitUntil(lambda: not page.sampler.busy)
    ellipse = page.canvas.ellipse()
    assert ellipse is not None
    start = QPointF(*page.canvas.view.to_screen((ellipse.cx, ellipse.cy))).toPoint()
    QTest.mousePress(page.canvas, Qt.MouseButton.LeftButton, pos=start)
    for i in range(1, 6):
        qtbot.mouseMove(page.canvas, start + QPointF(6 * i, 0).toPoint())
        qtbot.wait(20)
    assert page.stale
    QTest.mouseRelease(page.canvas, Qt.MouseButton.LeftButton, pos=start + QPointF(30, 0).toPoint())
    moved = page.canvas.ellipse()
    assert moved is not None and moved.cx > ellipse.cx + 10
    assert not page.keep_button.isEnabled()
    qtbot.waitUntil(lambda: page.keep_button.isEnabled())
    drafts = [r for r in requests[1:] if r.steps == DRAFT_STEPS]
    assert drafts and not any(r.previews for r in drafts)
    assert requests[-1].steps is None and requests[-1].ellipse == moved
    assert same(page.view.shown(), ring(moved, requests[-1].size, requests[-1].seed))


def test_a_long_drag_keeps_one_draft_under_way_and_only_the_newest_waiting(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    finish(fakes)
    for x in range(300, 306):
        page.canvas.ellipse_changing.emit(Ellipse(x, 250, 120, 90, 0))
    assert [request.ellipse.cx for request, _ in fakes[1:]] == [300]
    finish(fakes)
    assert [request.ellipse.cx for request, _ in fakes[1:]] == [300, 305]
    assert fakes[1][0].steps == DRAFT_STEPS


def test_a_drag_is_followed_before_any_picture_was_asked_for(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.controls.seed_box.setValue(5)  # a setting alone asks for nothing
    assert fakes == []
    page.canvas.ellipse_changing.emit(MOVED)
    assert [r.steps for r, _ in fakes] == [DRAFT_STEPS]
    page.controls.follow_box.setChecked(False)
    finish(fakes)
    page.canvas.ellipse_changing.emit(Ellipse(300, 250, 120, 90, 0))
    assert len(fakes) == 1


def test_the_full_picture_comes_back_after_a_drag_that_moved_nothing(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    """Esc in the middle of a drag, or a click on a handle."""
    page.synthesise()
    finish(fakes)
    own = page.canvas.ellipse()
    assert own is not None and page.keep_button.isEnabled()
    page.canvas.ellipse_changing.emit(MOVED)
    finish(fakes)
    assert not page.keep_button.isEnabled()
    page.canvas.ellipse_changing.emit(own)
    finish(fakes)
    qtbot.waitUntil(lambda: len(fakes) == 4)
    request, _ = fakes[-1]
    assert request.ellipse == own and request.steps is None and request.measure
    # Its first steps would be a step back from the draft.
    assert not request.previews
    finish(fakes)
    assert page.keep_button.isEnabled() and "Synthetic, made by" in page.view.caption.text()


def test_only_the_frame_in_the_list_of_frames_that_is_shown_is_described(
    open_session: Session, window: MainWindow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 100,000 frames, to describe each would stall the window for seconds."""
    described: list[int] = []
    data = FrameChoices.data

    def counting(choices: FrameChoices, index: QModelIndex, role: int = 0) -> object:
        described.append(index.row())
        return data(choices, index, role)

    monkeypatch.setattr(FrameChoices, "data", counting)
    frames = open_session.open.frames.all()
    monkeypatch.setattr(open_session.open.frames, "all", lambda **_: frames * 20)
    window.show_place("synthesise")
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    assert page.frame_box.count() == 20 * len(frames) > 200
    assert frames[0].name in page.frame_box.itemText(0)
    assert len(set(described)) < len(frames)


def test_undo_of_a_move_on_another_frame_shows_that_frame_everywhere(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    first = page.session.frame_id
    other = page.session.open.frames.all(annotated=False)[0]
    page.canvas.ellipse_edited.emit(MOVED)
    page.session.select_frame(other.id)
    page.session.undo_stack.undo()
    assert page.session.frame_id == first == page.frame_box.currentData()
    assert same(page.view.shown(), real(page))


def test_a_calibration_made_elsewhere_counts_at_once(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    finish(fakes)
    frame = page.session.open.frames.get(page.session.frame_id or "")
    before = page.size_label.text()
    calibration = Calibration(0.5, 0.5, "manual")
    page.session.undo_stack.push(SetCalibration(page.session, frame, [frame], calibration))
    assert page.request().calibration == calibration and page.size_label.text() != before
    # By its trimester the head is another now, perhaps: the picture must be asked for anew.
    assert page.stale and not page.keep_button.isEnabled()
    page.session.undo_stack.undo()
    assert page.size_label.text() == before and not page.stale


def test_not_following_marks_the_picture_stale_until_asked(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.controls.follow_box.setChecked(False)
    page.synthesise()
    finish(fakes)
    page.canvas.ellipse_edited.emit(MOVED)
    assert page.stale and "earlier" in page.view.caption.text()
    assert page.view.caption.property("role") == "warning"
    assert not page.keep_button.isEnabled() and len(fakes) == 1
    page.synthesise()
    finish(fakes)
    assert not page.stale and page.keep_button.isEnabled()


def test_moving_the_head_can_be_undone_and_stores_nothing(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    frame_id = page.session.frame_id or ""
    own = page.canvas.ellipse()
    revisions = len(page.session.open.annotations.revisions(frame_id))
    page.canvas.ellipse_edited.emit(MOVED)
    page.session.undo_stack.undo()
    assert page.canvas.ellipse() == own
    page.session.undo_stack.redo()
    assert page.canvas.ellipse() == MOVED
    page.reset_button.click()
    assert page.canvas.ellipse() == own
    assert len(page.session.open.annotations.revisions(frame_id)) == revisions


def test_a_failed_draft_stops_the_following_quietly(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    finish(fakes)
    page.canvas.ellipse_edited.emit(MOVED)
    _, handle = fakes[-1]
    handle.failed.emit(Failed("No memory.", "trace"))
    handle.ended.emit()
    assert not page.sampler.busy and page.stale
    assert len(fakes) == 2


def test_another_frame_drops_the_picture_and_its_late_result(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    other = page.session.open.frames.all(annotated=False)[0]
    page.session.select_frame(other.id)
    assert fakes[0][1].cancel_calls == 1
    finish(fakes, 0)
    assert same(page.view.shown(), page.session.open.frames.pixels(other.id))
    assert not page.keep_button.isEnabled()


# -- the convention of the cohort --------------------------------------------------------------


OUTSIDE = Interval(0.03, 0.02, 0.04, 9)
NOWHERE = Interval(0, 0, 0, 9)
WIDER = Convention(OUTSIDE, OUTSIDE, OUTSIDE, NOWHERE, NOWHERE, 9, "judge")


def test_the_picture_follows_how_the_cohort_is_drawn_unless_the_box_is_cleared(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    keep_convention(page.session.open, "samples", WIDER)
    page.session.frames_changed.emit()
    page.synthesise()
    finish(fakes)
    page.keep_button.click()
    page.canvas.ellipse_changing.emit(MOVED)
    assert [r.convention for r, _ in fakes] == [WIDER.offset] * 2  # drafts, too
    kept = page.session.open.pairs.all()[0]
    assert kept.provenance["convention"] == asdict(WIDER.offset)
    page.controls.convention_box.click()
    assert page.request().convention == NO_OFFSET and page.stale


def test_nothing_is_kept_before_it_is_known_how_the_cohort_is_drawn(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    """The first picture does not wait for it; once it is known, the picture follows."""
    frame = page.session.open.frames.all(annotated=True)[-1]
    page.session.open.annotations.add(frame.id, MOVED, author="a person", state="final")
    page.session.annotation_changed.emit(frame.id)  # what was measured holds no longer
    page.synthesise()
    finish(fakes)
    request, measuring = fakes[-1]
    assert request == PairConventionRequest(page.session.open.path, "samples")
    assert not page.keep_button.isEnabled()
    assert page.view.caption.text().startswith("Measuring how samples is drawn")
    page.canvas.ellipse_changing.emit(MOVED)  # the draft of a drag goes first
    assert measuring.cancel_calls == 1
    measuring.ended.emit()
    finish(fakes)
    assert len(fakes) == 3  # nothing is measured between the drafts of a drag
    page.synthesise()
    finish(fakes)
    request, measuring = fakes[-1]
    assert isinstance(request, PairConventionRequest)
    keep_convention(page.session.open, "samples", WIDER)
    measuring.finished.emit(PairConventionResult(WIDER))
    measuring.ended.emit()
    assert not page.keep_button.isEnabled()
    assert fakes[-1][0].convention == WIDER.offset
    page.synthesise()
    finish(fakes)
    assert page.keep_button.isEnabled()
    assert "Drawn 2.5 % outside the skull, as in samples." in page.view.caption.text()


def test_a_measurement_that_a_person_cancels_begins_again_with_the_next_picture(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    (page.session.open.path / "cache" / "pair_conventions.json").unlink()
    page.session.frames_changed.emit()
    page.synthesise()
    finish(fakes)
    fakes[-1][1].ended.emit()
    assert "Press G to measure it" in page.view.caption.text() and len(fakes) == 2
    assert not page.keep_button.isEnabled()
    page.controls.convention_box.click()  # the skull on the ellipse needs nothing measured
    assert page.controls.follow_box.isChecked()
    page.synthesise()
    finish(fakes)
    assert page.keep_button.isEnabled()


# -- comparing ---------------------------------------------------------------------------------


def test_c_held_shows_the_real_frame_and_the_split_both(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    assert not page.view.split.isEnabled()
    page.synthesise()
    image = finish(fakes).image
    QTest.keyPress(page.canvas, Qt.Key.Key_C)
    assert same(page.view.shown(), real(page))
    QTest.keyRelease(page.canvas, Qt.Key.Key_C)
    assert same(page.view.shown(), image)
    page.view.split.setValue(50)
    shown, half = page.view.shown(), image.shape[1] // 2
    assert shown is not None
    assert same(shown[:, : half - 1], real(page)[:, : half - 1])
    assert same(shown[:, half + 1 :], image[:, half + 1 :])


# -- keeping -----------------------------------------------------------------------------------


def test_k_keeps_the_picture_as_a_pending_pair_once(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    result = finish(fakes)
    with qtbot.waitSignal(page.session.pairs_changed):
        qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    (pair,) = page.session.open.pairs.all()
    frame = page.session.open.frames.get(page.session.frame_id or "")
    assert pair.state == "pending" and pair.ellipse == result.ellipse
    assert pair.quality == {"dice": 0.98}
    assert pair.provenance["source_frame"] == frame.id
    assert pair.frame.calibration is not None and frame.calibration is not None
    assert pair.frame.calibration.source == "inherited"
    assert pair.frame.calibration.mm_per_px_x == frame.calibration.mm_per_px_x
    assert same(page.session.open.frames.pixels(pair.frame.id), result.image)


def test_what_was_kept_as_a_pair_is_taken_back_and_kept_again(
    qtbot: QtBot, page: SynthesisePage, window: MainWindow, fakes: list[tuple[Any, HandleFake]]
) -> None:
    said: list[str] = []
    page.session.message.connect(lambda text, _level: said.append(text))
    pairs, control = page.session.open.pairs, Qt.KeyboardModifier.ControlModifier
    page.synthesise()
    finish(fakes)
    qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    (pair,) = pairs.all()
    window.show_place("review")  # it can be taken back from there, too
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert pairs.all() == []
    assert said[1:] == [f"Undone in Synthesise: keep pair {pair.frame.name}."]
    window.show_place("synthesise")
    assert page.keep_button.isEnabled()
    qtbot.keyClick(window, Qt.Key.Key_Y, control)
    assert [again.id for again in pairs.all()] == [pair.id] and not page.keep_button.isEnabled()
    qtbot.keyClick(window, Qt.Key.Key_Z, control)
    assert said[-1] == f"Undone: keep pair {pair.frame.name}."
    qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    (kept,) = pairs.all()
    assert kept.id != pair.id and kept.frame.name == pair.frame.name
    assert said[-1] == f"Kept as pair {kept.id}, ready for review."


def test_the_same_picture_again_is_no_second_pair_and_no_step_of_undo(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    finish(fakes)
    qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    page.synthesise()  # the same seed
    finish(fakes)
    assert page.keep_button.isEnabled()
    with qtbot.waitSignal(page.session.message) as said:
        qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    assert said.args == ["This image is kept as a pair already.", "info"]
    assert not page.keep_button.isEnabled()
    assert page.session.undo_stack.count() == 1
    page.session.undo_stack.undo()
    assert page.session.open.pairs.all() == []


def test_a_head_that_was_not_followed_is_kept_as_it_is_and_without_a_scale(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    """As Stable Diffusion's in the paper's way: the label is the ellipse in its picture."""
    page.synthesise()
    request, handle = fakes[0]
    result = replace(result_for(request), ellipse=MOVED, to_scale=False)
    handle.finished.emit(result)
    handle.ended.emit()
    qtbot.keyClick(page.canvas, Qt.Key.Key_K)
    (pair,) = page.session.open.pairs.all()
    assert pair.ellipse == MOVED and pair.requested == request.ellipse
    assert pair.frame.calibration is None and not pair.corrected
    assert request.cohort == page.session.open.frames.get(page.session.frame_id or "").cohort


# -- batches -----------------------------------------------------------------------------------


def test_a_batch_fills_the_queue_and_leads_to_it(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    batch = page.batch
    page.panel.tabs.setCurrentIndex(MANY)
    batch.count_box.setValue(5)
    page.controls.steps_box.setValue(6)
    assert batch.make_button.text() == "Make 5 pairs like my cohort"
    qtbot.mouseClick(batch.make_button, Qt.MouseButton.LeftButton)
    assert not batch.make_button.isEnabled() and batch.job_bar.isVisible()
    with qtbot.waitSignal(page.session.pairs_changed):
        pass
    qtbot.waitUntil(lambda: batch.make_button.isEnabled())
    (request,) = requests
    assert (request.count, request.cohort, request.steps) == (5, "samples", 6)
    assert len(page.session.open.pairs.all(state="pending")) == 5
    assert page.filmstrip.isVisible() and page.filmstrip.count() > 0
    assert "5 pairs made" in batch.summary.text() and "0.950." in batch.summary.text()
    with qtbot.waitSignal(page.session.place_requested) as asked:
        qtbot.mouseClick(batch.review_button, Qt.MouseButton.LeftButton)
    assert asked.args == ["review"]


def test_a_cancelled_batch_keeps_what_is_done(
    qtbot: QtBot, page: SynthesisePage, requests: list[Any]
) -> None:
    batch = page.batch
    batch.count_box.setValue(400)
    batch.make()
    qtbot.waitUntil(lambda: page.filmstrip.count() > 1)
    qtbot.mouseClick(batch.job_bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: batch.make_button.isEnabled())
    made = len(page.session.open.pairs.all())
    assert 0 < made < 400
    assert "Stopped" in batch.summary.text() and batch.review_button.isVisible()


def test_pairs_can_be_reviewed_while_a_batch_goes_on(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.batch.make()
    _, handle = fakes[0]
    handle.started.emit()
    with qtbot.waitSignal(page.session.pairs_changed):
        handle.progress.emit(Progress(4, 40, 9.0, "synthesising"))
    told: list[None] = []
    page.session.pairs_changed.connect(lambda: told.append(None))
    handle.progress.emit(Progress(5, 40, 9.0, "synthesising"))
    assert told == []


def test_a_batch_of_another_project_is_not_told_in_this_one(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]], tmp_path: Any
) -> None:
    page.batch.make()
    _, handle = fakes[0]
    page.session.new_project(tmp_path / "other")
    handle.preview.emit(Preview(np.zeros((20, 30), np.uint8), "x"))
    handle.finished.emit(SynthesizeResult((1, 2), 0.9, 1.0, None))
    handle.ended.emit()
    assert page.filmstrip.count() == 0
    assert "pairs made" not in page.batch.summary.text()


def test_a_preview_can_be_seen_large(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.batch.make()
    fakes[0][1].preview.emit(Preview(np.zeros((540, 800), np.uint8), "ring_0"))
    strip = page.filmstrip
    at = strip.visualItemRect(strip.item(0)).center()
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=at)
    (window,) = strip.findChildren(QDialog)
    assert window.isVisible() and window.windowTitle() == "ring_0" and window.width() >= 800
    window.close()


def test_wide_previews_are_as_high_as_others(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    strip = page.filmstrip
    for width, height in ((800, 540), (1600, 540)):
        page.batch.make()
        fakes[-1][1].preview.emit(Preview(np.zeros((height, width), np.uint8), "a"))
        (shown,) = strip.item(0).icon().availableSizes()
        assert shown.height() == pytest.approx(strip.iconSize().height(), abs=1)
        fakes[-1][1].ended.emit()


def test_the_time_of_a_batch_is_told_by_the_last_picture(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.synthesise()
    finish(fakes)
    page.batch.count_box.setValue(60)
    assert page.batch.summary.text() == "About 30 s."
    page.batch.count_box.setValue(600)
    assert page.batch.summary.text() == "About 5 min."


def test_progress_says_how_long_and_waits_its_turn(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.batch.make()
    _, handle = fakes[0]
    assert "Waiting" in page.batch.job_bar.text()
    handle.started.emit()
    handle.progress.emit(Progress(3, 40, 130.0, "synthesising"))
    assert page.batch.job_bar.text() == "3 of 40 · 3 min left · synthesising"
    handle.finished.emit(SynthesizeResult((), 0.0, 1.0, None))
    handle.ended.emit()
    assert not page.batch.review_button.isVisible()


def test_proposals_alone_are_nothing_to_be_like(
    session: Session, window: MainWindow, tmp_path: Any
) -> None:
    session.new_project(tmp_path / "bare")
    project = session.open
    pixels = np.full((200, 300), 9, np.uint8)
    frame, _ = project.frames.add(pixels, name="one", cohort="c", subject="s")
    project.annotations.add(
        frame.id, Ellipse(150, 100, 60, 50, 0), author="segmenter", state="proposed"
    )
    session.frames_changed.emit()
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    assert not page.batch.make_button.isEnabled()
    assert "Annotate at least one frame" in page.batch.summary.text()
    project.annotations.add(frame.id, Ellipse(150, 100, 60, 50, 0), author="me", state="final")
    session.frames_changed.emit()
    assert page.batch.make_button.isEnabled()


def test_without_annotations_there_is_nothing_to_be_like(
    session: Session, window: MainWindow, tmp_path: Any
) -> None:
    session.new_project(tmp_path / "bare")
    session.open.frames.add(np.full((200, 300), 9, np.uint8), name="one", cohort="c", subject="s")
    session.frames_changed.emit()
    page = window.page("synthesise")
    assert isinstance(page, SynthesisePage)
    assert not page.batch.make_button.isEnabled()
    assert "Annotate at least one frame" in page.batch.summary.text()
    assert "mm" in page.size_label.text() and "HC" not in page.size_label.text()


# -- the two tabs ------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [ONE, MANY])
def test_the_main_buttons_are_in_sight_on_a_laptop(
    page: SynthesisePage, window: MainWindow, qtbot: QtBot, index: int
) -> None:
    window.resize(1280, 800)
    page.panel.tabs.setCurrentIndex(index)
    main = (page.make_button, page.keep_button) if index == ONE else (page.batch.make_button,)
    for button in main:

        def whole(button: QWidget = button) -> bool:
            return button.visibleRegion().boundingRect() == button.rect()

        qtbot.waitUntil(whole)


def test_return_in_a_number_field_gives_the_keys_back_to_the_page(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.panel.tabs.setCurrentIndex(MANY)
    box = page.batch.count_box
    box.setFocus()
    box.selectAll()
    QTest.keyClicks(box, "8")
    QTest.keyClick(box, Qt.Key.Key_Return)
    assert page.window().focusWidget() is page.canvas
    qtbot.keyClick(page.canvas, Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert [request.count for request, _ in fakes] == [8]


def test_t_switches_and_a_batch_asked_for_by_its_key_is_seen(
    qtbot: QtBot, page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_T)
    assert page.batch.isVisible() and not page.make_button.isVisible()
    page.canvas.setFocus()
    qtbot.keyClick(page.canvas, Qt.Key.Key_T)
    assert page.make_button.isVisible() and not page.batch.isVisible()
    qtbot.keyClick(page.canvas, Qt.Key.Key_G, Qt.KeyboardModifier.ShiftModifier)
    assert len(fakes) == 1 and page.batch.job_bar.isVisible()


def test_the_tab_is_remembered(page: SynthesisePage, qtbot: QtBot) -> None:
    page.panel.tabs.setCurrentIndex(MANY)
    again = SynthesisePage(page.session)
    qtbot.addWidget(again)
    assert again.panel.tabs.currentIndex() == MANY


# -- what cannot be had ------------------------------------------------------------------------


def test_surroundings_of_a_frame_without_an_ellipse_are_told_to_be_synthetic(
    page: SynthesisePage, fakes: list[tuple[Any, HandleFake]]
) -> None:
    box, told = page.controls.background_box, page.controls.no_ellipse
    box.setCurrentIndex(box.findData("frame"))
    assert not told.isVisible()
    frame = page.session.open.frames.all(annotated=False)[0]
    page.session.select_frame(frame.id)
    assert told.isVisible() and "has no ellipse" in told.text()
    page.synthesise()
    assert fakes[0][0].replaces is None
    finish(fakes)
    page.session.undo_stack.push(SetEllipse(page.session, frame.id, MOVED, "final"))
    assert not told.isVisible() and page.request().replaces == MOVED
    assert "other settings" in page.view.caption.text()
    page.session.undo_stack.undo()
    assert told.isVisible()
    box.setCurrentIndex(box.findData("made"))
    assert not told.isVisible()
