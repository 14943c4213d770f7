"""The session: projects, undo that appends, jobs whose end is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSettings
from pytestqt.qtbot import QtBot

from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import InputError, UserError
from fetalstudio.core.statistics import FEW_SUBJECTS
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.train.data import select_training_data
from fetalstudio.engine.jobs.train.request import TrainRequest
from fetalstudio.engine.models.seen import seen_by_named
from fetalstudio.engine.process.events import Failed, RunKey
from fetalstudio.formats.privacy.subjects import subject_of
from fetalstudio.project.importing.choices import Choices
from fetalstudio.project.project import Project
from fetalstudio.resources import samples_dir, user_data_dir, wide_samples_dir
from fetalstudio.ui.commands import AdoptModel, ReviewPair, SetEllipse
from fetalstudio.ui.job_runner import Engine
from fetalstudio.ui.session import Session
from fetalstudio.ui.settings import RECENT, Settings
from fetalstudio.ui.window.main_window import MainWindow
from tests.engine.jobs_for_tests import ask
from tests.ui.loop import use_fakes

DRAWN = Ellipse(300, 200, 120, 90, 30)
MOVED = Ellipse(310, 200, 120, 90, 30)


def unannotated(session: Session) -> str:
    return session.open.frames.all(annotated=False)[0].id


def ellipses(session: Session, frame_id: str) -> list[Ellipse | None]:
    return [revision.ellipse for revision in session.open.annotations.revisions(frame_id)]


def test_undo_and_redo_append_revisions(open_session: Session) -> None:
    session = open_session
    frame = unannotated(session)
    session.undo_stack.push(SetEllipse(session, frame, DRAWN))
    session.undo_stack.push(SetEllipse(session, frame, MOVED, "final"))
    session.undo_stack.undo()
    session.undo_stack.undo()
    session.undo_stack.redo()
    assert ellipses(session, frame) == [DRAWN, MOVED, DRAWN, None, DRAWN]
    newest = session.open.annotations.newest(frame)
    assert newest is not None
    assert (newest.state, newest.author) == ("draft", session.author)


def test_undo_restores_a_proposal_with_its_author_and_confidence(open_session: Session) -> None:
    session = open_session
    frame = unannotated(session)
    session.open.annotations.add(
        frame, DRAWN, author="segmenter:compact", state="proposed", confidence=0.7
    )
    session.undo_stack.push(SetEllipse(session, frame, DRAWN, "final"))
    assert session.undo_stack.undoText() == "confirm ellipse"
    session.undo_stack.undo()
    newest = session.open.annotations.newest(frame)
    assert newest is not None
    assert (newest.state, newest.author, newest.confidence) == (
        "proposed",
        "segmenter:compact",
        0.7,
    )


def test_undo_selects_the_frame_that_it_changes(open_session: Session, qtbot: QtBot) -> None:
    session = open_session
    first, second = (frame.id for frame in session.open.frames.all(annotated=False)[:2])
    session.select_frame(first)
    session.undo_stack.push(SetEllipse(session, first, DRAWN))
    session.select_frame(second)
    with qtbot.waitSignals([session.annotation_changed, session.frame_selected]):
        session.undo_stack.undo()
    assert session.frame_id == first


def test_a_change_that_cannot_be_saved_is_told_and_leaves_no_step(
    open_session: Session, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    session = open_session
    frame = unannotated(session)

    def full_disk(*_: object, **__: object) -> None:
        raise UserError("The disk is full. Make room, then try again.")

    monkeypatch.setattr(session.open.annotations, "add", full_disk)
    with qtbot.waitSignal(session.failure) as told:
        session.undo_stack.push(SetEllipse(session, frame, DRAWN))
    assert told.args == ["The disk is full. Make room, then try again.", ""]
    assert not session.undo_stack.canUndo()
    assert session.open.annotations.newest(frame) is None


def test_an_undo_that_fails_can_be_tried_again(
    open_session: Session, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    session = open_session
    frame = unannotated(session)
    session.undo_stack.push(SetEllipse(session, frame, DRAWN))

    def full_disk(*_: object, **__: object) -> None:
        raise UserError("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(session.open.annotations, "add", full_disk)
        with qtbot.waitSignal(session.failure):
            session.undo_stack.undo()
    session.undo_stack.redo()
    session.undo_stack.undo()
    newest = session.open.annotations.newest(frame)
    assert newest is not None
    assert newest.ellipse is None


def test_reviews_are_undone(open_session: Session, qtbot: QtBot) -> None:
    session = open_session
    pixels = np.random.default_rng(0).integers(0, 255, (64, 96), dtype=np.uint8)
    pair = session.open.pairs.add(
        pixels,
        name="a",
        ellipse=Ellipse(40, 30, 20, 15, 0),
        cohort="HC18",
        calibration=None,
        quality={"dice": 0.9},
        provenance={"seed": 1},
    )
    with qtbot.waitSignal(session.pairs_changed):
        session.undo_stack.push(ReviewPair(session, pair.id, "accepted"))
    corrected = Ellipse(42, 30, 20, 15, 0)
    session.undo_stack.push(ReviewPair(session, pair.id, "accepted", corrected))
    assert session.open.pairs.get(pair.id).ellipse == corrected
    session.undo_stack.undo()
    assert session.open.pairs.get(pair.id).ellipse == pair.ellipse
    assert session.open.pairs.get(pair.id).state == "accepted"
    session.undo_stack.undo()
    assert session.open.pairs.get(pair.id).state == "pending"


def test_opening_another_project_lets_go_of_the_first(
    open_session: Session, tmp_path: Path, engine: Engine, settings: Settings
) -> None:
    session = open_session
    first = session.open.path
    session.undo_stack.push(SetEllipse(session, unannotated(session), DRAWN))
    session.new_project(tmp_path / "other")
    assert session.open.path == tmp_path / "other"
    assert not session.undo_stack.canUndo()
    assert session.frame_id is None
    assert settings.recent_projects[:2] == [tmp_path / "other", first]
    other = Session(engine, settings)
    other.open_project(first)
    other.close_project()


def test_a_second_window_is_refused_and_the_open_project_stays(
    open_session: Session, tmp_path: Path, engine: Engine, settings: Settings
) -> None:
    held = open_session.open.path
    second = Session(engine, settings)
    second.new_project(tmp_path / "mine")
    with pytest.raises(UserError, match="open in another window"):
        second.open_project(held)
    assert second.open.path == tmp_path / "mine"
    second.close_project()


def test_the_project_that_is_open_can_be_asked_for_again(open_session: Session) -> None:
    project = open_session.open
    open_session.open_project(project.path)
    assert open_session.open is project


def test_a_folder_that_is_no_project_is_refused(open_session: Session, tmp_path: Path) -> None:
    project = open_session.open
    with pytest.raises(InputError, match="not a project"):
        open_session.open_project(tmp_path)
    assert open_session.open is project


def test_what_a_crash_left_is_told_at_open(session: Session, sample_project: Project) -> None:
    run = sample_project.runs.start("night", {}, {})
    path = sample_project.path
    sample_project.close()
    told: list[tuple[str, str]] = []
    session.message.connect(lambda text, level: told.append((text, level)))
    session.open_project(path)
    assert session.open.runs.get(run.id).state == "failed"
    assert told == [("The run night was interrupted and is marked as failed.", "warning")]


def test_the_frame_of_last_time_is_selected_again(open_session: Session, tmp_path: Path) -> None:
    session, path = open_session, open_session.open.path
    assert session.frame_id == unannotated(session)
    chosen = session.open.frames.all()[5].id
    session.select_frame(chosen)
    session.new_project(tmp_path / "other")
    session.open_project(path)
    assert session.frame_id == chosen


def test_the_first_start_makes_the_sample_project_and_later_ones_open_it(
    session: Session, qtbot: QtBot
) -> None:
    handle = session.open_sample_project()
    assert handle is not None
    with qtbot.waitSignals([session.message, session.frames_changed], timeout=60_000):
        pass
    assert session.open.path == user_data_dir() / "sample-project"
    assert session.open.frames.cohorts() == ["HC18", "HC18 wide"]
    assert session.open.counts()["final"] == 16 + 32
    assert session.frame_id == unannotated(session)
    session.close_project()
    assert session.open_sample_project() is None
    assert len(session.open.frames.all()) == 24 + 36


def test_annotate_opens_on_the_first_frame_to_draw_of_a_first_import(
    session: Session, window: MainWindow, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    window.page("annotate")  # already there, and told of the frames first
    handle = session.import_frames(ImportRequest(session.open.path, samples, Choices("HC18")))
    with qtbot.waitSignal(handle.ended):
        pass
    assert session.frame_id == unannotated(session) != session.open.frames.all()[0].id


def test_the_frame_shown_after_a_first_import_is_remembered(
    session: Session, samples: Path, tmp_path: Path, qtbot: QtBot
) -> None:
    session.new_project(tmp_path / "new")
    handle = session.import_frames(ImportRequest(session.open.path, samples, Choices("HC18")))
    with qtbot.waitSignal(handle.ended):
        pass
    shown = session.frame_id
    assert shown is not None
    session.open.annotations.add(
        shown, DRAWN, author="me", state="draft"
    )  # no longer the first to draw
    session.close_project()
    session.open_project(tmp_path / "new")
    assert session.frame_id == shown


def test_a_first_training_on_the_second_sample_cohort_can_be_judged(
    session: Session, qtbot: QtBot
) -> None:
    """It has as many test subjects as a verdict needs, none of whom a built-in model saw, and its
    images are not those of the first cohort."""
    session.open_sample_project()
    with qtbot.waitSignals([session.message], timeout=60_000):
        pass
    data = select_training_data(session.open, "HC18 wide", real=None, synthetic=None)
    assert data.problems == ()
    assert [len(p) for p in (data.train, data.validation, data.test)] == [8, 4, 20]
    assert len({item.subject for item in data.test}) == FEW_SUBJECTS
    stems = {path.stem for path in wide_samples_dir().rglob("*.png")}
    others = {subject_of(path.stem) for path in samples_dir().glob("*.png")}
    assert not {subject_of(stem) for stem in stems} & others
    seen = seen_by_named(session.open, None)
    assert sum(seen.knows_subject(f"{number:03d}") for number in range(806)) > 400
    assert not any(seen.knows_subject(subject_of(stem)) for stem in stems)


def test_a_sample_cohort_that_was_removed_does_not_come_back(
    session: Session, qtbot: QtBot
) -> None:
    session.open_sample_project()
    with qtbot.waitSignals([session.message], timeout=60_000):
        pass
    removed = [f.id for f in session.open.frames.all() if f.cohort == "HC18 wide"]
    session.open.amendments.remove(removed, author="me")
    session.close_project()
    assert session.open_sample_project() is None
    assert session.open.frames.cohorts() == ["HC18"]


def test_a_failed_job_is_told_with_its_traceback_unless_the_input_is_at_fault(
    session: Session, qtbot: QtBot
) -> None:
    with qtbot.waitSignal(session.failure, timeout=30_000) as told:
        session.submit(ask("divide", 1))
    text, details = told.args
    assert "ZeroDivisionError" in details
    assert text
    with qtbot.waitSignal(session.failure, timeout=30_000) as told:
        session.submit(ask("bad_input", "a.png is truncated. Copy it again."))
    assert told.args == ["a.png is truncated. Copy it again.", ""]


def test_a_warning_of_a_job_is_told(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(session.message, timeout=30_000) as told:
        session.submit(ask("everything", tmp_path))
    assert told.args == ["careful", "warning"]


def test_models_are_adopted_and_rolled_back(open_session: Session, qtbot: QtBot) -> None:
    session = open_session
    for name in ("one", "two"):
        folder = session.open.path / "models" / name
        folder.mkdir(parents=True)
        session.open.models.add(name, "segmenter", f"models/{name}")
        with qtbot.waitSignal(session.models_changed):
            session.undo_stack.push(AdoptModel(session, "segmenter", name))
    session.open.models.roll_back("segmenter")
    active = session.open.models.active("segmenter")
    assert active is not None
    assert active.name == "one"
    with qtbot.waitSignal(session.failure):
        session.undo_stack.push(AdoptModel(session, "segmenter", "no such model"))


def test_adopting_is_taken_back_by_undo(open_session: Session) -> None:
    session = open_session
    for name in ("one", "two"):
        (session.open.path / "models" / name).mkdir(parents=True)
        session.open.models.add(name, "synthesizer", f"models/{name}")
        session.undo_stack.push(AdoptModel(session, "synthesizer", name))

    def used() -> str | None:
        active = session.open.models.active("synthesizer")
        return active.name if active is not None else None

    seen = [used()]
    for step in (session.undo_stack.undo, session.undo_stack.undo, session.undo_stack.redo):
        step()
        seen.append(used())
    assert seen == ["two", "one", None, "one"]
    session.open.models.roll_back("synthesizer")
    assert used() is None
    session.undo_stack.undo()
    assert used() is None


def test_places_are_checked(session: Session, qtbot: QtBot) -> None:
    with qtbot.waitSignal(session.place_requested) as asked:
        session.go("train")
    assert asked.args == ["train"]
    with pytest.raises(ValueError, match="no place"):
        session.go("garden")


def test_settings_keep_types_through_the_file(tmp_path: Path) -> None:
    file = str(tmp_path / "kept.ini")
    store = QSettings(file, QSettings.Format.IniFormat)
    first = Settings(store)
    first.set("a/flag", True)
    first.set("a/steps", 12)
    first.set("a/rate", 1e-4)
    first.window_level = (120.0, 64.5)
    first.author = "  Dr. Who "
    store.sync()
    second = Settings(QSettings(file, QSettings.Format.IniFormat))
    assert second.get("a/flag", False) is True
    assert second.get("a/steps", 3) == 12
    assert second.get("a/rate", 0.1) == 1e-4
    assert second.get("a/rate", 5) == 5, "a value of another type is not taken"
    assert second.get("a/none", "x") == "x"
    assert second.window_level == (120.0, 64.5)
    assert second.author == "Dr. Who"


def test_recent_projects_are_few_and_unique(settings: Settings, tmp_path: Path) -> None:
    for number in range(RECENT + 3):
        settings.remember_project(tmp_path / str(number))
    settings.remember_project(tmp_path / "5")
    recent = settings.recent_projects
    assert len(recent) == RECENT
    assert recent[0] == settings.last_project == tmp_path / "5"
    settings.forget_project(tmp_path / "5")
    assert settings.last_project is None
    assert tmp_path / "5" not in settings.recent_projects


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_how_a_run_ended_is_recorded_in_a_project_that_is_no_longer_open(
    open_session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    session = open_session
    home = session.open.path
    fakes = use_fakes(monkeypatch, session)
    session.submit(TrainRequest(home))
    ((_, handle),) = fakes
    run = session.open.runs.start("run", {"job": "train"}, {})
    handle.run = RunKey(home, run.id)
    session.open.runs.close()  # as when its process ended
    session.new_project(tmp_path / "other")
    if end == "cancelled":
        handle.cancelled.emit(None)
    else:
        handle.failed.emit(Failed("The engine stopped unexpectedly.", ""))
    with Project.open(home) as project:
        assert project.runs.get(run.id).state == end
    handle.run = RunKey(tmp_path / "nowhere", 1)
    handle.cancelled.emit(None)  # nothing is left to record
