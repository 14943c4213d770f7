"""The session, which all pages share: the open project, the engine and the selected frame."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QGuiApplication, QUndoCommand
from PySide6.QtWidgets import QWidget

from fetalstudio.core.biometry import Spread
from fetalstudio.core.ellipse import Ellipse
from fetalstudio.core.errors import UserError
from fetalstudio.core.progress import NO_PROGRESS
from fetalstudio.core.words import counted
from fetalstudio.engine.jobs.import_frames.request import ImportRequest
from fetalstudio.engine.jobs.propose.request import ProposeResult
from fetalstudio.engine.process.events import Failed
from fetalstudio.engine.process.job import Request
from fetalstudio.project.importing.importers import ImportReport
from fetalstudio.project.project import Project
from fetalstudio.project.store.backups import Backup, restore
from fetalstudio.project.store.records import Frame
from fetalstudio.resources import user_data_dir
from fetalstudio.ui.history import History
from fetalstudio.ui.job_runner import Engine, JobHandle
from fetalstudio.ui.samples import sample_imports
from fetalstudio.ui.settings import Settings
from fetalstudio.ui.unsaved import UnsavedEllipses
from fetalstudio.ui.waiting import Task, wait_for
from fetalstudio.ui.worklist import in_order

Result = TypeVar("Result")

log = logging.getLogger(__name__)

PLACES = ("library", "annotate", "synthesise", "review", "train")
"""The five places in the order of the work."""
VIEWS = ("reading", "agreement", "adjudication")
"""What is shown like a place, but opened from the menu Readings."""

_WATCH_MS = 2000
_AT_ONCE = 100
"""Frames that are amended in less time than a person notices."""
SAMPLE_WELCOME = (
    "This is the sample project: two cohorts of frames of the HC18 data set (CC BY 4.0). "
    "To work on your own frames, make a new project (File menu)."
)


def sample_project_path() -> Path:
    """The folder of the sample project."""
    return user_data_dir() / "sample-project"


class Session(QObject):
    """State and actions that concern more than one page.

    Pages read ``project``, ``frame_id`` and ``author``, call the methods, and follow the signals.
    All methods are called in the GUI thread.
    """

    project_changed = Signal()
    """Another project is open, or none; everything on screen is out of date."""
    frames_changed = Signal()
    """Frames were added, amended or removed, or annotated many at once."""
    annotation_changed = Signal(str)
    """The ellipse on this frame (id) changed."""
    imports_changed = Signal()
    """An import began or ended; see :attr:`importing`."""
    pairs_changed = Signal()
    readings_changed = Signal()
    """Readings were made, taken back or merged."""
    reading_asked = Signal(object)
    """A person wants to read frames without seeing: the ids of those that are selected."""
    adjudication_asked = Signal(str)
    """A person wants to decide between the readings of this frame (id)."""
    batches_changed = Signal()
    """An unfinished batch was dismissed or offered again."""
    models_changed = Signal()
    frame_selected = Signal(str)
    message = Signal(str, str)
    """A transient notice: text, and the level ``info``, ``warning`` or ``error``, or ``step`` for
    what a step did or undid, which stays until the next."""
    failure = Signal(str, str)
    """An error with details: text, traceback."""
    place_requested = Signal(str)
    project_displaced = Signal()
    """The folder of the open project was removed, moved or replaced."""

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        super().__init__()
        self.engine = engine
        self.settings = settings if settings is not None else Settings()
        self.project: Project | None = None
        self.frame_id: str | None = None
        self.place: str = PLACES[0]
        self.window: QWidget | None = None
        """The window, over which the session shows what it waits for."""
        self.spreads: dict[tuple[str, Ellipse], Spread] = {}
        """How uncertain the sizes of ellipses are, by frame id and ellipse, of those that were
        moved onto the skull since the program was started."""
        self.unsaved = UnsavedEllipses()
        self.undo_stack = History(self)
        self.undo_stack.moved.connect(self._say_moved)
        self._held = contextlib.ExitStack()
        self._imports: list[Path] = []
        """The project of each import that waits or runs."""
        self._changes = 0
        self._displaced = False
        self._waiting = False
        self._watch = QTimer(self, interval=_WATCH_MS)
        self._watch.timeout.connect(self.look_around)

    @property
    def author(self) -> str:
        """Who annotates and reviews."""
        return self.settings.author

    @property
    def open(self) -> Project:
        """The open project. Raises :class:`UserError` if there is none."""
        if self.project is None:
            raise UserError("No project is open. Open or make one in the File menu.")
        return self.project

    def is_open(self, path: Path | None) -> bool:
        """Whether the project at ``path`` is open; a job continues when it no longer is."""
        return self.project is not None and self.project.path == path

    def elsewhere(self, handle: JobHandle[Any]) -> str:
        """`` in the project NAME`` where a job works on another project than the open one, else
        nothing: what is said after its title."""
        if handle.project is None or self.is_open(handle.project):
            return ""
        return f" in the project {handle.project.name}"

    def keep_spreads(self, result: ProposeResult) -> None:
        """Remember how uncertain the sizes of these proposals are."""
        for proposal in result.proposals:
            if proposal.spread is not None:
                self.spreads[proposal.frame_id, proposal.ellipse] = proposal.spread

    # -- projects ---------------------------------------------------------------------------

    def open_project(self, path: Path) -> None:
        """Open and lock the project at ``path`` in place of the one that is open.

        Raises :class:`UserError` if it is no project, has a newer format or is open in another
        window, and while ellipses are not saved; the open project then stays open.
        """
        held = self.project
        if held and not held.displaced and path.exists() and path.samefile(held.path):
            return
        if held:
            self.unsaved.check_none()
        self._take(Project.open(path))

    def new_project(self, path: Path) -> None:
        """Make an empty project at ``path`` and open it. Raises :class:`UserError`, also while
        ellipses are not saved."""
        if self.project is not None:
            self.unsaved.check_none()
        self._take(Project.create(path))

    def put_back(self, path: Path, backup: Backup) -> None:
        """Put a backup of the project at ``path`` back, and open the project. Ellipses that could
        not be stored in it are drafts then.

        Raises :class:`UserError` while a job runs, for a damaged backup, and as
        :meth:`open_project`.
        """
        self.check_idle()
        if self.is_open(path):
            self.close_project()
            self.project_changed.emit()
            restore(path, backup)
            self.unsaved.pass_on(path, self.author)
        else:
            restore(path, backup)
        self.open_project(path)

    def check_idle(self) -> None:
        """Raise :class:`UserError` while a job runs."""
        if self.engine.running is not None:
            raise UserError(
                f"{self.engine.running.job.title} is still running. Let it end, or cancel it."
            )

    def forgotten(self, order: Sequence[str]) -> None:
        """Let go of what is remembered of frames that were deleted for good.

        Earlier steps may concern them, and can no longer be undone. ``order``: the ids of the
        frames as they were shown before.
        """
        self.undo_stack.clear()
        left = {frame.id for frame in self.open.frames.all()}
        self.spreads = {key: spread for key, spread in self.spreads.items() if key[0] in left}
        for frame_id in self.unsaved.keys() - left:
            del self.unsaved[frame_id]
        self.select_another(order)
        self.frames_changed.emit()
        self.pairs_changed.emit()
        self.batches_changed.emit()
        self.models_changed.emit()

    def open_sample_project(self) -> JobHandle[ImportReport] | None:
        """Open the sample project in the user's data folder; make it on the first call.

        Returns the handle of the import if its frames still have to be imported.
        Raises :class:`UserError` as :meth:`open_project`.
        """
        path = sample_project_path()
        if (path / "project.db").is_file():
            self.open_project(path)
        else:
            self.new_project(path)
        return self._import_samples(path)

    def _import_samples(self, path: Path) -> JobHandle[ImportReport] | None:
        """Import the next sample cohort into the sample project, unless it is no longer open.

        The log of amendments says which imports were made: a cohort that a person removed does not
        come back.
        """
        cohorts = sample_imports(path)
        made = len(self.open.amendments.all()) if self.is_open(path) else len(cohorts)
        if made >= len(cohorts):
            return None
        handle = self.import_frames(cohorts[made])
        if made + 1 < len(cohorts):
            handle.on_finished(lambda _result: self._import_samples(path))
        else:
            handle.on_finished(lambda _result: self.message.emit(SAMPLE_WELCOME, "info"))
        return handle

    def close_project(self) -> None:
        """Close the open project, if any, and give up its lock.

        Frames that were removed can no longer be restored, and are deleted for good.
        """
        self._watch.stop()
        self.undo_stack.clear()
        if self.project is not None:
            # Where that fails (a full disk), the next window to open the project does it.
            with contextlib.suppress(UserError):
                self.project.purge()
        self._held.close()
        self.project, self.frame_id = None, None

    def _take(self, project: Project) -> None:
        with contextlib.ExitStack() as held:
            held.callback(project.close)
            held.enter_context(project.lock())
            notes = project.recover()
            self.close_project()
            self._held = held.pop_all()
        self.project = project
        self._changes, self._displaced = project.changes, False
        self._watch.start()
        self.settings.remember_project(project.path)
        self.frame_id = self._first_frame()
        self.project_changed.emit()
        if self.frame_id is not None:
            self.frame_selected.emit(self.frame_id)
        for note in notes:
            self.message.emit(note, "warning")
        running = self.engine.running
        if running is not None and running.job.stopped and (where := self.elsewhere(running)):
            self.message.emit(f"{running.job.title} goes on{where}.", "info")
        if damage := project.damage:
            self.failure.emit(
                f"{project.path.name} is damaged: {counted(len(damage), 'row')} could not be "
                "read. Put back a backup (File, Put back a backup).",
                "\n".join(damage),
            )

    def save_copy(self, path: Path) -> None:
        """Save a copy of the open project in a new or empty folder, and open the copy. Ellipses
        that could not be stored in the project are drafts there.

        Raises :class:`UserError` where it cannot be written.
        """
        missing = self.open.save_copy(path)
        self.unsaved.pass_on(path, self.author)
        self.open_project(path)
        if missing:
            self.message.emit(
                f"{counted(missing, 'picture')} could not be copied, because the former folder no "
                "longer has them. Import the same pictures again to put them back.",
                "warning",
            )

    def look_around(self) -> None:
        """Notice what others did to the open project: its folder is gone, or it has grown."""
        project = self.project
        if project is None or self._displaced or self._waiting:
            return
        if project.displaced:
            self._displaced = True
            self.project_displaced.emit()
            return
        # The pages follow a job by its events, and nothing on screen changes under a drag.
        busy = self.engine.running is not None or bool(QGuiApplication.mouseButtons().value)
        if busy or project.changes == self._changes:
            return
        self._changes = project.changes
        self.frames_changed.emit()
        self.pairs_changed.emit()
        self.readings_changed.emit()
        self.batches_changed.emit()
        self.models_changed.emit()

    def wait_for(self, title: str, task: Task[Result], *, frames: int) -> Result:
        """Run a task on the open project that concerns so many frames.

        A few are done at once; otherwise it runs on a thread of its own, while the window shows its
        progress; see :func:`~fetalstudio.ui.waiting.wait_for`. The caller then says what changed.
        """
        if frames <= _AT_ONCE:
            return task(self.open, NO_PROGRESS)
        self._waiting = True
        try:
            result = wait_for(self.open, self.engine, title, task, self.window)
        finally:
            self._waiting = False
        self._changes = self.open.changes
        return result

    # -- frames -----------------------------------------------------------------------------

    def select_frame(self, frame_id: str) -> None:
        """Make ``frame_id`` the frame that every page is about.

        A frame that was removed (an old evaluation may still show it) is reported instead.
        """
        if frame_id != self.frame_id:
            if self.open.frames.find(frame_id) is None:
                text = "This frame was removed from the project. Undo the removal to see it."
                self.message.emit(text, "info")
                return
            self.frame_id = frame_id
            self._tell_selected(frame_id)

    def _tell_selected(self, frame_id: str) -> None:
        """Remember the selected frame for the next time, and show it on every page."""
        self.settings.set(self._frame_key(), frame_id)
        self.frame_selected.emit(frame_id)

    def select_another(self, order: Sequence[str]) -> None:
        """Where the selected frame was removed, select the next one that is left.

        ``order``: the ids of the frames as they were shown before.
        """
        left = {frame.id for frame in self.open.frames.all()}
        if self.frame_id is None or self.frame_id in left:
            return
        at = order.index(self.frame_id) if self.frame_id in order else 0
        candidates = [*order[at:], *reversed(order[:at])]
        another = next((frame_id for frame_id in candidates if frame_id in left), None)
        if another is not None:
            self.select_frame(another)
        else:
            self.frame_id = None

    def import_frames(self, request: ImportRequest) -> JobHandle[ImportReport]:
        """Start an import; ``frames_changed`` follows when its frames are in the project."""
        handle = self.submit(request)
        handle.on_finished(self._frames_imported)
        handle.ended.connect(lambda: self._import_ended(request.project))
        self._imports.append(request.project)
        self.imports_changed.emit()
        return handle

    @property
    def importing(self) -> bool:
        """Whether frames are being imported into the open project."""
        return any(map(self.is_open, self._imports))

    def _import_ended(self, project: Path) -> None:
        self._imports.remove(project)
        self.imports_changed.emit()

    def _frames_imported(self, _result: object) -> None:
        first = self._first_frame() if self.frame_id is None else None
        # Before the pages are told, because one of them shows its first frame where there is none.
        self.frame_id = self.frame_id or first
        self.frames_changed.emit()
        if first is not None:
            self._tell_selected(first)

    def _first_frame(self) -> str | None:
        """The frame selected last in this project, else the first frame without an ellipse."""
        last = self.open.frames.by_id().get(self.settings.get(self._frame_key(), ""))
        if last is not None and last.kind == "real":
            return last.id
        frames = self.open.frames.all()
        done = self.open.annotations.by_frame()
        waiting = (frame.id for frame in frames if frame.id not in done)
        return next(waiting, frames[0].id if frames else None)

    def _frame_key(self) -> str:
        # QSettings reads a slash as a group, and a path may contain any character.
        return f"frame/{self.open.path.as_posix().encode().hex()}"

    @property
    def least_certain_first(self) -> bool:
        """Whether the least certain proposals come first; remembered across sessions."""
        return self.settings.get("least_certain_first", False)

    def offer_least_certain_first(self, first: bool) -> None:
        """Choose the order in which the pages show the frames."""
        if first != self.least_certain_first:
            self.settings.set("least_certain_first", first)
            self.frames_changed.emit()

    def frames(self) -> list[Frame]:
        """The real frames of the open project in the chosen order; empty without a project."""
        if self.project is None:
            return []
        return in_order(
            self.project.frames.all(),
            self.project.annotations.by_frame(),
            least_certain_first=self.least_certain_first,
        )

    # -- the history ------------------------------------------------------------------------

    def _say_moved(self, step: QUndoCommand, undone: bool) -> None:
        """Say what was undone or done again where nobody may see it: on another page, or out of
        sight."""
        places: tuple[str, ...] = getattr(step, "places", ())
        elsewhere = bool(places) and self.place not in places
        if elsewhere or getattr(step, "told", False):
            where = f" in {places[0].capitalize()}" if elsewhere else ""
            how = "Undone" if undone else "Done again"
            self.message.emit(f"{how}{where}: {step.text()}.", "step")

    # -- jobs -------------------------------------------------------------------------------

    def submit(
        self, request: Request[Result], *, replace: bool = False, known: Sequence[str] = ()
    ) -> JobHandle[Result]:
        """Submit a job to the engine; the window shows its warnings, except those that are
        ``known`` because the page shows them, and its failure."""
        handle = self.engine.submit(request, replace=replace)
        handle.warned.connect(lambda text: self._job_warned(text, known))
        handle.failed.connect(lambda event: self._job_failed(handle, event))
        handle.on_cancelled(lambda _result: self._job_cancelled(handle))
        return handle

    def _job_warned(self, text: str, known: Sequence[str]) -> None:
        if text not in known:
            self.message.emit(text, "warning")

    def _job_cancelled(self, handle: JobHandle[Any]) -> None:
        if handle.run is not None:
            self._end_runs(handle.run.project, cancelled=handle.run.id)

    def _job_failed(self, handle: JobHandle[Any], event: Failed) -> None:
        if handle.project is not None:
            self._end_runs(handle.project)
        # A person can correct bad input, and a traceback would only be a distraction.
        self.failure.emit(event.message, "" if event.bad_input else event.traceback)

    def _end_runs(self, path: Path, *, cancelled: int | None = None) -> None:
        """Record the end of runs whose process was ended, or died, before it could. The project may
        not be the open one any more."""
        if self.is_open(path):
            self.open.runs.fail_crashed(cancelled=cancelled)
            return
        # Where its folder is gone, there is nothing to record.
        with contextlib.suppress(UserError), Project.open(path) as project:
            project.runs.fail_crashed(cancelled=cancelled)

    # -- the window -------------------------------------------------------------------------

    def go(self, place: str) -> None:
        """Show one of :data:`PLACES` or of :data:`VIEWS`."""
        if place not in PLACES + VIEWS:
            raise ValueError(f"there is no place {place!r}, only {', '.join(PLACES + VIEWS)}")
        self.place_requested.emit(place)

    def report(self, error: Exception) -> None:
        """Show an error: a :class:`UserError` as its message, any other with its traceback."""
        if isinstance(error, UserError):
            self.failure.emit(str(error), "")
            return
        details = "".join(traceback.format_exception(error))
        log.error("unexpected error\n%s", details)
        self.failure.emit(
            f"An unexpected error occurred: {error}. Your work so far is saved. Try again; if that "
            "does not help, report the error with its details.",
            details,
        )
